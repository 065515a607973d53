//! `bursar restore`: a copy of the books, brought back behind a fence.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use jobs::{Clock, Stopwatch};
use serde_json::json;
use store::{Address, CopyKind, Extent, NewFence, Opening, Store, Violation, check_file, restore_dump};

use crate::cli::author::author;
use crate::cli::backup::part::Part;
use crate::cli::backup::progress::Watched;
use crate::cli::backup::{interrupted, seconds};
use crate::cli::{DONE, FAILED, Format, verify};
use crate::input::{BadInput, Config, database_address};
use crate::tables::{counted, written};

#[derive(clap::Args)]
pub struct RestoreArgs {
    /// What `bursar backup` made: an SQLite file, or a PostgreSQL dump in the custom format
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Where the books are to be: sqlite:PATH of no file yet, or an empty postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "URL")]
    to: String,
    /// The daemon's configuration: verifying books that no daemon served needs the rules' numbers
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What came back.
struct Restored {
    extent: Extent,
    violations: Vec<Violation>,
    /// All that was committed by then is in it.
    taken_at: Option<rules::Timestamp>,
}

pub async fn run(args: RestoreArgs) -> anyhow::Result<u8> {
    let took = Stopwatch::start();
    let config = match &args.config {
        Some(file) => Config::read(file)?,
        None => Config::default(),
    };
    let to = database_address(&args.to)?;
    let kind = kind(&args.from)?;
    let by = author();
    let reason = format!("restored from {}", args.from.display());
    let fence = NewFence { taken_at: None, at: Clock::system().now(), by: &by, reason: &reason };
    let restoring = async {
        match (kind, &to) {
            (CopyKind::File, Address::Sqlite(path)) => of_file(&args.from, path, fence, &config).await,
            (CopyKind::Dump, Address::Postgres(_)) => {
                let watched = Watched::work("restoring");
                restore_dump(&to, &args.from, fence).await?;
                watched.end();
                let store = Store::open(&args.to, Opening::moving(fence.at)).await?;
                look_over(store, &config).await
            }
            (CopyKind::File, _) => Err(BadInput(format!(
                "--to {}: the copy is an SQLite file: restore it to sqlite:PATH, take its fence down there, and move \
                it by `bursar migrate`",
                args.to
            ))
            .into()),
            (CopyKind::Dump, _) => Err(BadInput(format!(
                "--to {}: the copy is a dump of PostgreSQL: give an empty postgres://USER@HOST/DATABASE",
                args.to
            ))
            .into()),
        }
    };
    let restored = tokio::select! {
        restored = restoring => restored?,
        ended = interrupted() => {
            ended?;
            bail!("it was interrupted: give the same command again, with an empty target")
        }
    };
    let Restored { extent: Extent { accounts, settled_until }, violations, taken_at } = restored;
    let json = json!({
        "from": args.from.display().to_string(),
        "to": to.to_string(),
        "kind": kind.name(),
        "taken_at": written(taken_at),
        "as_of": written(settled_until),
        "accounts": accounts,
        "fenced": true,
        "verified": violations.is_empty(),
        "violations": verify::rows(&violations),
        "took_ms": u64::try_from(took.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    let settled = settled_until.map_or_else(String::new, |at| format!(", settled up to {at}"));
    let taken = taken_at.map_or_else(String::new, |at| format!(", with all that was committed by {at}"));
    let text = format!(
        "Restored to {to} in {} s: {}{settled}{taken}.\n{}\nA fence stands around the copy: it can be served and read, \
        nothing is changed in it and no provider is asked, for the original may live. If it is to go on instead: \
        bursar fence lift --database-url {}",
        seconds(took.elapsed().as_millis()),
        counted(accounts, "account"),
        verify::text(&violations),
        args.to,
    );
    args.format.print(&json, &text)?;
    Ok(if violations.is_empty() { DONE } else { FAILED })
}

fn kind(from: &Path) -> Result<CopyKind, BadInput> {
    let bad = |why: String| BadInput(format!("--from {}: {why}", from.display()));
    let mut file = File::open(from).map_err(|error| bad(error.to_string()))?;
    if file.metadata().is_ok_and(|file| !file.is_file()) {
        return Err(bad("that is no file".to_owned()));
    }
    let mut log = from.as_os_str().to_owned();
    log.push("-wal");
    if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(bad(format!(
            "{} beside it has what is not in the file: it is served, or was cut off. Copy it by `bursar backup \
            --database-url sqlite:{} --to FILE`",
            Path::new(&log).display(),
            from.display()
        )));
    }
    match CopyKind::of(&mut file) {
        Ok(Some(kind)) => Ok(kind),
        Ok(None) => Err(bad("it is neither an SQLite file nor a dump of PostgreSQL in the custom format".to_owned())),
        Err(error) => Err(bad(error.to_string())),
    }
}

/// Copies the file, and gives it its name only once it has its fence.
async fn of_file(from: &Path, to: &Path, fence: NewFence<'_>, config: &Config) -> anyhow::Result<Restored> {
    check_file(from).await?;
    let part = Part::begin("--to", to, false)?;
    let watched = Watched::file(part.path().to_owned());
    copy(from, &part).await.with_context(|| format!("cannot copy {}", from.display()))?;
    watched.end();
    let place = part.path().to_str().context("the name of the file is not UTF-8")?;
    let store = Store::open(&format!("sqlite:{place}"), Opening::moving(fence.at)).await?;
    store.fence_restored(fence).await?;
    let restored = look_over(store, config).await?;
    part.keep()?;
    Ok(restored)
}

async fn copy(from: &Path, part: &Part) -> io::Result<()> {
    const AT_ONCE: usize = 1 << 20;
    let (mut from, mut to, mut bytes) = (File::open(from)?, part.file(), vec![0; AT_ONCE]);
    loop {
        let read = from.read(&mut bytes)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&bytes[..read])?;
        // Whoever interrupts it is heard in between.
        tokio::task::yield_now().await;
    }
}

/// Verifies all of it, and closes it.
async fn look_over(store: Store, config: &Config) -> anyhow::Result<Restored> {
    let watched = Watched::work("verifying");
    let policy = store.policy().await?.unwrap_or_else(|| config.policy.clone());
    let violations = store.verify(None, &policy).await?;
    let (extent, fence) = (store.extent().await?, store.fence().await?);
    store.close().await;
    watched.end();
    Ok(Restored { extent, violations, taken_at: fence.map(|fence| fence.taken_at) })
}
