//! One daemon to a database: two would claim each other's shards as their own.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use store::StoreError;

/// Held as long as this lives; the kernel lets go of it however the process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Locks a database by a file beside it. A database that is not there is made, empty.
    pub fn take(database: &Path) -> anyhow::Result<Self> {
        let path = beside(database)?;
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .with_context(|| format!("cannot open {}: the folder must be writable", path.display()))?;
            match file.try_lock() {
                Ok(()) => {
                    let mut lock = Self { file, path: path.clone() };
                    // Whoever held it took the file away: it locks nothing any more.
                    if !lock.stands()? {
                        continue;
                    }
                    lock.file.set_len(0)?;
                    write!(lock.file, "{}", std::process::id())?;
                    return Ok(lock);
                }
                Err(TryLockError::WouldBlock) => bail!(refusal(database, &path, &mut file)),
                Err(TryLockError::Error(error)) => {
                    return Err(error)
                        .with_context(|| format!("cannot lock {}: is it on a local disk?", path.display()));
                }
            }
        }
    }

    /// Whether the locked file is the one that others find.
    fn stands(&self) -> io::Result<bool> {
        let own = self.file.metadata()?;
        match self.path.metadata() {
            Ok(found) => Ok((found.dev(), found.ino()) == (own.dev(), own.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Takes the file away while it is still locked; one that stays does no harm.
impl Drop for Lock {
    fn drop(&mut self) {
        if self.stands().unwrap_or(false) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Beside the file itself, however it was named; so it must be there.
fn beside(database: &Path) -> anyhow::Result<PathBuf> {
    let unmade = |error: io::Error| StoreError::CannotOpen { path: database.to_owned(), problem: error.to_string() };
    if !database.exists() {
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(database).map_err(unmade)?;
    }
    let mut path = database.canonicalize().map_err(unmade)?.into_os_string();
    path.push(".lock");
    Ok(path.into())
}

fn refusal(database: &Path, path: &Path, file: &mut File) -> String {
    let mut holder = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut holder));
    let who = match read {
        Ok(_) if !holder.is_empty() => format!("process {holder}"),
        _ => "another process".to_owned(),
    };
    format!(
        "{} is served already: {who} holds {}. Stop it first, or use a database of its own",
        database.display(),
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_second_daemon_is_refused_by_name_until_the_first_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("books.db");
        let first = Lock::take(&path).expect("free");
        let refused = Lock::take(&path).expect_err("taken").to_string();
        assert!(refused.contains("books.db.lock") && refused.contains(&std::process::id().to_string()), "{refused}");
        drop(first);
        assert!(!folder.path().join("books.db.lock").exists(), "nothing stays behind");
        Lock::take(&path).expect("free again");
    }

    #[test]
    fn a_database_has_one_lock_under_all_its_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, link) = (folder.path().join("books.db"), folder.path().join("link.db"));
        let linked_folder = folder.path().join("folder");
        symlink(&path, &link).expect("a link to what is not there yet");
        symlink(folder.path(), &linked_folder).expect("a link");
        let first = Lock::take(&link).expect("free");
        for other in [&path, &link, &linked_folder.join("books.db")] {
            Lock::take(other).expect_err("taken");
        }
        drop(first);
        let _second = Lock::take(&path).expect("free again");
        Lock::take(&link).expect_err("taken");
    }

    #[test]
    fn a_lock_whose_file_was_taken_away_leaves_the_next_ones_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("books.db");
        let first = Lock::take(&path).expect("free");
        std::fs::remove_file(folder.path().join("books.db.lock")).expect("somebody tidies up");
        let _second = Lock::take(&path).expect("free, as it seems");
        assert!(!first.stands().expect("a folder to look into"));
        drop(first);
        Lock::take(&path).expect_err("taken by the second");
    }
}
