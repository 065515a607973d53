//! A file that gets its name once it is whole: until then it is `FILE.part`. Whoever dies on the way leaves nothing
//! that could be taken for the file; the next one takes what is left of it away.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::cli::books::NotNow;
use crate::input::BadInput;

/// What SQLite puts beside a file and reads with it, whoever's it is.
const BESIDE: [&str; 2] = ["-wal", "-journal"];

pub struct Part {
    file: File,
    path: PathBuf,
    target: PathBuf,
    replace: bool,
    is_kept: bool,
}

impl Part {
    /// Makes it, its owner's alone and empty, if the file may have its name. `argument` is what names the file.
    pub fn begin(argument: &str, target: &Path, replace: bool) -> anyhow::Result<Self> {
        let bad = |why: String| BadInput(format!("{argument} {}: {why}", target.display()));
        let name = target.file_name().filter(|_| !target.as_os_str().as_encoded_bytes().ends_with(b"/"));
        let name = name.ok_or_else(|| bad("give the name of a file".to_owned()))?;
        if !folder(target).is_dir() {
            return Err(bad(format!("there is no folder {}", folder(target).display())).into());
        }
        refuse_taken(target, replace).map_err(bad)?;
        let mut part = name.to_owned();
        part.push(".part");
        let path = target.with_file_name(part);
        let file = make(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let Some(file) = file else {
            return Err(NotNow(format!("another one is writing {}", path.display())).into());
        };
        Ok(Self { file, path, target: target.to_owned(), replace, is_kept: false })
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name, once all of it is on the disk; how many bytes it has.
    pub fn keep(mut self) -> anyhow::Result<u64> {
        let unkept = || format!("cannot keep {}", self.target.display());
        if !stands(&self.file, &self.path).with_context(unkept)? || log_beside(&self.path).is_some() {
            bail!("{} was changed by another program: nothing is kept of it", self.path.display());
        }
        self.file.sync_all().with_context(unkept)?;
        let bytes = self.file.metadata().with_context(unkept)?.len();
        refuse_taken(&self.target, self.replace)
            .map_err(|why| BadInput(format!("{}: {why}", self.target.display())))?;
        rename(&self.path, &self.target, self.replace).with_context(unkept)?;
        self.is_kept = true;
        File::open(folder(&self.target)).and_then(|folder| folder.sync_all()).with_context(unkept)?;
        Ok(bytes)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_kept && stands(&self.file, &self.path).unwrap_or(false) {
            let _ = fs::remove_file(&self.path);
            for beside in ["-wal", "-shm", "-journal"] {
                let _ = fs::remove_file(beside_of(&self.path, beside));
            }
        }
    }
}

fn folder(of: &Path) -> &Path {
    of.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside_of(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

fn log_beside(path: &Path) -> Option<PathBuf> {
    let has_something = |path: &PathBuf| path.metadata().is_ok_and(|file| file.len() > 0);
    BESIDE.iter().map(|ending| beside_of(path, ending)).find(has_something)
}

fn refuse_taken(target: &Path, replace: bool) -> Result<(), String> {
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error.to_string()),
        Ok(there) if !there.is_file() => return Err("that is no file".to_owned()),
        Ok(_) if !replace => return Err("it is there already".to_owned()),
        Ok(_) => {}
    }
    match log_beside(target) {
        None => Ok(()),
        Some(path) => Err(format!("{} lies there, which SQLite would read with it: give another name", path.display())),
    }
}

/// None where another process writes it. What a killed one left is taken away.
fn make(path: &Path) -> io::Result<Option<File>> {
    loop {
        match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path) {
            Ok(file) => match file.try_lock() {
                Ok(()) if stands(&file, path)? => return Ok(Some(file)),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            },
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if !fs::symlink_metadata(path)?.is_file() {
                    return Err(io::Error::other("that is no file"));
                }
                let left = match File::open(path) {
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    opened => opened?,
                };
                match left.try_lock() {
                    Ok(()) if stands(&left, path)? => fs::remove_file(path)?,
                    Ok(()) => {}
                    Err(TryLockError::WouldBlock) => return Ok(None),
                    Err(TryLockError::Error(error)) => return Err(error),
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether the file is the one that others find under that name.
fn stands(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn rename(from: &Path, to: &Path, replace: bool) -> io::Result<()> {
    if replace {
        return fs::rename(from, to);
    }
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot look and rename in one: it was looked a moment ago.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => fs::rename(from, to),
        renamed => Ok(renamed?),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    fn begin(target: &Path, replace: bool) -> Result<Part, String> {
        Part::begin("--to", target, replace).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_file_has_its_name_once_it_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("copy.db");
        drop(begin(&target, false).expect("begun"));
        assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));
        let part = begin(&target, false).expect("begun");
        part.file().write_all(b"whole").expect("written");
        assert_eq!(names(folder.path()), ["copy.db.part"]);
        let other = begin(&target, false).err().expect("it is being written");
        assert!(other.contains("another one is writing"), "{other}");
        assert_eq!(part.keep().expect("kept"), 5);
        assert_eq!(names(folder.path()), ["copy.db"]);
        let mode = target.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(begin(&target, false).err().expect("taken").contains("it is there already"));
        let part = begin(&target, true).expect("begun");
        part.file().write_all(b"new").expect("written");
        assert_eq!(fs::read(&target).expect("there"), b"whole");
        part.keep().expect("kept");
        assert_eq!(fs::read(&target).expect("there"), b"new");
    }

    #[test]
    fn what_came_in_between_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("copy.db");
        let part = begin(&target, false).expect("begun");
        fs::write(&target, "another's").expect("written");
        part.keep().expect_err("taken meanwhile");
        assert_eq!(fs::read(&target).expect("there"), b"another's");
        assert_eq!(rename(&target, &target.with_extension("x"), false).map_err(|error| error.kind()), Ok(()));
        assert_eq!(names(folder.path()), ["copy.x"]);
    }

    #[test]
    fn what_a_killed_one_left_is_taken_away_and_links_lead_nowhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let (target, mine) = (folder.path().join("copy.db"), folder.path().join("mine"));
        fs::write(folder.path().join("copy.db.part"), "left").expect("written");
        begin(&target, false).expect("begun").keep().expect("kept");
        assert_eq!(fs::read(&target).expect("there"), b"");
        fs::write(&mine, "mine").expect("written");
        let other = folder.path().join("other.db");
        symlink(&mine, folder.path().join("other.db.part")).expect("a link");
        assert!(begin(&other, false).err().expect("a link").contains("that is no file"));
        symlink(&mine, &other).expect("a link");
        assert!(begin(&other, true).err().expect("a link").contains("that is no file"));
        assert_eq!(fs::read(&mine).expect("there"), b"mine");
        let logged = folder.path().join("logged.db");
        fs::write(folder.path().join("logged.db-wal"), "another's").expect("written");
        assert!(begin(&logged, false).err().expect("a log").contains("logged.db-wal"));
        for no_file in ["/", "x/", "nowhere/copy.db"] {
            begin(Path::new(no_file), false).err().expect(no_file);
        }
    }
}
