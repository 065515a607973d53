//! `bursar backup`: a copy of the books, beside the daemon that serves them.

pub mod part;
pub mod progress;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::bail;
use jobs::{Clock, Stopwatch};
use serde_json::json;
use store::{Address, Extent, NewFence};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::author::author;
use crate::cli::backup::part::Part;
use crate::cli::backup::progress::Watched;
use crate::cli::books::Books;
use crate::cli::{DONE, Format};
use crate::input::BadInput;
use crate::tables::{counted, written};

#[derive(clap::Args)]
pub struct BackupArgs {
    /// The file to be made; until it is whole it is called FILE.part
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Put it in the place of a file of that name
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    books: Books,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub async fn run(args: BackupArgs) -> anyhow::Result<u8> {
    let took = Stopwatch::start();
    if let Some(database) = Address::parse(&args.books.configuration()?.database)?.file() {
        refuse_itself(&args.to, database)?;
    }
    let part = Part::begin("--to", &args.to, args.replace)?;
    let store = args.books.store().await?;
    let (now, by, kind) = (Clock::system().now(), author(), store.copy_kind().name());
    let fence = NewFence { taken_at: Some(now), at: now, by: &by, reason: "a backup" };
    let watched = Watched::file(part.path().to_owned());
    let taken = tokio::select! {
        taken = store.back_up(part.path(), part.file(), fence) => taken.map_err(anyhow::Error::from),
        ended = interrupted() => ended.and_then(|()| bail!("it was interrupted: no file was made")),
    };
    watched.end();
    store.close().await;
    let Extent { accounts, settled_until } = taken?;
    let bytes = part.keep()?;
    let json = json!({
        "file": args.to.display().to_string(),
        "kind": kind,
        "bytes": bytes,
        "taken_at": now.to_string(),
        "as_of": written(settled_until),
        "accounts": accounts,
        "took_ms": u64::try_from(took.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    let settled = settled_until.map_or_else(String::new, |at| format!(", settled up to {at}"));
    let text = format!(
        "{}: {} in {} s, {}{settled}, with all that was committed by {now}.",
        args.to.display(),
        size(bytes),
        seconds(took.elapsed().as_millis()),
        counted(accounts, "account"),
    );
    args.format.print(&json, &text)?;
    Ok(DONE)
}

/// A name that SQLite keeps for the books themselves is none for a copy of them.
fn refuse_itself(to: &Path, database: &Path) -> Result<(), BadInput> {
    let refused = || BadInput(format!("--to {}: that is the books' own: give another name", to.display()));
    let (Ok(books), Some(name)) = (database.canonicalize(), to.file_name()) else { return Ok(()) };
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let (Ok(folder), Some(own)) = (folder.canonicalize(), books.file_name())
        && books.parent() == Some(folder.as_path())
    {
        let (name, own) = (name.as_encoded_bytes(), own.as_encoded_bytes());
        let is_own = |ending: &&str| name.strip_prefix(own) == Some(ending.as_bytes());
        if ["", "-wal", "-shm", "-journal", ".lock"].iter().any(is_own) {
            return Err(refused());
        }
    }
    match (fs::metadata(to), fs::metadata(&books)) {
        (Ok(to), Ok(books)) if (to.dev(), to.ino()) == (books.dev(), books.ino()) => Err(refused()),
        _ => Ok(()),
    }
}

/// Returns when somebody wants the command to end.
pub async fn interrupted() -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// As in `4.2 MiB`.
pub fn size(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    let (unit, name) = if bytes < 10 * MIB { (KIB, "KiB") } else { (MIB, "MiB") };
    format!("{} {name}", bytes.div_ceil(unit))
}

pub fn seconds(millis: u128) -> String {
    format!("{}.{}", millis / 1_000, millis % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_own_names_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let books = folder.path().join("books.db");
        fs::write(&books, "").expect("written");
        fs::hard_link(&books, folder.path().join("linked.db")).expect("a link");
        for own in ["books.db", "books.db-wal", "books.db.lock", "./books.db", "linked.db"] {
            refuse_itself(&folder.path().join(own), &books).expect_err(own);
        }
        for other in ["books.db.copy", "copy.db", "nowhere/books.db"] {
            refuse_itself(&folder.path().join(other), &books).expect(other);
        }
    }

    #[test]
    fn sizes_and_times_are_told_shortly() {
        for (bytes, told) in [(0, "0 KiB"), (1, "1 KiB"), (4 << 20, "4096 KiB"), (25 << 20, "25 MiB")] {
            assert_eq!(size(bytes), told);
        }
        assert_eq!((seconds(0), seconds(61_260)), ("0.0".to_owned(), "61.2".to_owned()));
    }
}
