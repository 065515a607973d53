//! One daemon to a database: two would claim each other's shards as their own.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use store::StoreError;

/// Held as long as this lives; the kernel lets go of it however the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Locks the database of this address, by a file beside it.
    pub fn take(database: &str) -> anyhow::Result<Self> {
        let path = path_of(database)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("cannot open {}: the folder must be there and writable", path.display()))?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                write!(file, "{}", std::process::id())?;
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => bail!(refusal(database, &path, &mut file)),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}: is it on a local disk?", path.display()))
            }
        }
    }
}

/// Beside the file itself, however it was named.
fn path_of(database: &str) -> anyhow::Result<PathBuf> {
    let path = database.strip_prefix("sqlite:").filter(|path| !path.is_empty() && !path.contains(":memory:"));
    let path = path.ok_or_else(|| StoreError::UnknownUrl(database.to_owned()))?;
    let path = Path::new(path.strip_prefix("//").unwrap_or(path));
    let mut path = path.canonicalize().unwrap_or_else(|_| path.to_owned()).into_os_string();
    path.push(".lock");
    Ok(path.into())
}

fn refusal(database: &str, path: &Path, file: &mut File) -> String {
    let mut holder = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut holder));
    let who = match read {
        Ok(_) if !holder.is_empty() => format!("process {holder}"),
        _ => "another process".to_owned(),
    };
    format!(
        "{database} is served already: {who} holds {}. Stop it first, or give this daemon a database of its own",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_refused_by_name_until_the_first_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("books.db").display());
        let first = Lock::take(&url).expect("free");
        let refused = Lock::take(&url).expect_err("taken").to_string();
        assert!(refused.contains("books.db.lock") && refused.contains(&std::process::id().to_string()), "{refused}");
        drop(first);
        Lock::take(&url).expect("free again");
    }
}
