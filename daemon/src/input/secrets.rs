//! Passwords that stand beside the configuration: in a credential that systemd hands in, or in a file.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use super::reader::{Table, Value};
use super::words;

/// A password of these names is taken from systemd's credential `bursar.NAME`, if there is one.
pub const DATABASE_PASSWORD: &str = "database_password";
pub const QUEUE_PASSWORD: &str = "queue_password";

/// The path of a key, from the configuration's folder on.
pub fn path(value: &Value<'_>, folder: &Path) -> Option<PathBuf> {
    words::text(value).map(|path| folder.join(path))
}

/// An address with the password that is kept apart from it, as `key` of this table says or systemd hands it in. The
/// credential goes before the file, which may be one that only root can read.
pub fn complete(url: String, table: &Table<'_>, key: &str, (name, file): (&str, Option<&Path>)) -> Option<String> {
    let at = table.get(key).unwrap_or_else(|| table.value().clone());
    if url.starts_with("sqlite:") {
        return if file.is_some() { at.fail("an SQLite file has no password: leave this out") } else { Some(url) };
    }
    let handed_in = credential(name);
    match handed_in.as_deref().or(file) {
        None => Some(url),
        Some(_) if store::has_password(&url) => at.fail("there is a password in the address already: leave one out"),
        Some(path) => match read(path) {
            Ok(password) => Some(store::with_password(&url, &password)),
            Err(problem) => at.fail(format!("{}: {problem}", path.display())),
        },
    }
}

fn credential(name: &str) -> Option<PathBuf> {
    let path = Path::new(&env::var_os("CREDENTIALS_DIRECTORY")?).join(format!("bursar.{name}"));
    path.exists().then_some(path)
}

/// The first line of a file that strangers cannot read. What it holds is never told.
fn read(path: &Path) -> Result<String, String> {
    let unread = |error: std::io::Error| format!("can't be read: {error}");
    let mode = fs::metadata(path).map_err(unread)?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(format!("everybody can read the password in it: chmod 600 {}", path.display()));
    }
    let text = fs::read_to_string(path).map_err(unread)?;
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(password) => Ok(password.to_owned()),
        None => Err("its first line is to be the password, and is empty".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Config;
    use super::super::document::Format;
    use super::*;

    fn written(folder: &Path, name: &str, text: &str, mode: u32) {
        let path = folder.join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
    }

    #[test]
    fn a_password_comes_from_a_file_and_is_never_told() {
        let folder = tempfile::tempdir().expect("a folder");
        written(folder.path(), "good", "se cret\nmore\n", 0o600);
        written(folder.path(), "open", "secret\n", 0o604);
        written(folder.path(), "empty", "\nsecret\n", 0o600);
        let parsed = |text: &str| Config::parse("bursar.toml", text, Format::Toml, folder.path());
        let server = "database = \"postgres://u@h/d\"\ndatabase_password_file = ";
        let config = parsed(&format!("{server}\"good\"\n[queue]\nurl = \"redis://h\"\npassword_file = \"good\""));
        let config = config.expect("a configuration");
        assert_eq!(config.database, "postgres://u@h/d?password=se%20cret");
        assert_eq!(config.queue.as_deref(), Some("redis://:se%20cret@h"));
        assert!(!format!("{config:?}").contains("cret"), "{config:?}");
        for (text, told) in [
            (format!("{server}\"open\""), ":2: database_password_file: "),
            (format!("{server}\"open\""), "everybody can read the password"),
            (format!("{server}\"empty\""), "its first line is to be the password"),
            (format!("{server}\"gone\""), "can't be read"),
            ("database = \"postgres://u:p@h/d\"\ndatabase_password_file = \"good\"".to_owned(), "leave one out"),
            ("database_password_file = \"good\"".to_owned(), "an SQLite file has no password"),
            ("[queue]\npassword_file = \"good\"".to_owned(), "the key `url` is missing"),
        ] {
            let problems = parsed(&text).expect_err(&text).to_string();
            assert!(problems.contains(told) && !problems.contains("secret"), "{problems}\nnot: {told}");
        }
    }
}
