//! The file of an import: known by what is in it, whatever its name, and the same from its check to its end.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

pub struct Source {
    pub path: PathBuf,
    pub hash: String,
    stamp: Stamp,
}

/// Device, inode, length, and when it was changed: seconds and nanoseconds.
type Stamp = (u64, u64, u64, i64, i64);

impl Source {
    pub fn of(path: &Path) -> io::Result<Self> {
        // Before it is read: what is changed meanwhile shows.
        let stamp = stamp_of(path)?;
        if !fs::metadata(path)?.is_file() {
            // A pipe gives what is in it once.
            return Err(io::Error::other("it is no regular file, and is read more than once: write it into one first"));
        }
        Ok(Self { path: path.to_owned(), hash: hash_of(path)?, stamp })
    }

    /// Whether it is still the file that was read first.
    pub fn is_unchanged(&self) -> bool {
        stamp_of(&self.path).is_ok_and(|stamp| stamp == self.stamp)
    }
}

fn stamp_of(path: &Path) -> io::Result<Stamp> {
    let known = fs::metadata(path)?;
    Ok((known.dev(), known.ino(), known.len(), known.mtime(), known.mtime_nsec()))
}

fn hash_of(path: &Path) -> io::Result<String> {
    let (mut file, mut hasher, mut bytes) = (File::open(path)?, Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut bytes)? {
            0 => break,
            count => hasher.update(bytes.get(..count).unwrap_or_default()),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_once_alone_is_no_source() {
        let folder = tempfile::tempdir().expect("a folder");
        for path in [folder.path(), Path::new("/dev/null")] {
            let refused = Source::of(path).err().expect("refused").to_string();
            assert!(refused.starts_with("it is no regular file"), "{refused}");
        }
    }

    #[test]
    fn a_file_that_was_changed_or_replaced_is_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("move.jsonl");
        fs::write(&file, "one").expect("written");
        let source = Source::of(&file).expect("a source");
        assert!(source.is_unchanged());
        fs::write(&file, "other").expect("written");
        assert!(!source.is_unchanged());
        let source = Source::of(&file).expect("a source");
        let beside = folder.path().join("beside.jsonl");
        fs::write(&beside, "other").expect("written");
        fs::rename(&beside, &file).expect("replaced");
        assert!(!source.is_unchanged());
        fs::remove_file(&file).expect("removed");
        assert!(!source.is_unchanged());
    }
}
