//! Where a database is, as its URL says.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;

use crate::{Result, StoreError};

/// The place of a database. Printing it tells no password.
#[derive(Clone)]
pub enum Address {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

impl Address {
    /// Reads `sqlite:PATH` or `postgres://USER@HOST/DATABASE`. What a PostgreSQL address leaves out comes from
    /// libpq's variables and files (PGHOST, PGPASSWORD, ~/.pgpass).
    pub fn parse(url: &str) -> Result<Self> {
        let unknown = || StoreError::UnknownUrl(harmless(url));
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url).map_err(|_| unknown())?;
            return Ok(Self::Postgres(Box::new(options)));
        }
        let path = url.strip_prefix("sqlite:").ok_or_else(unknown)?;
        let path = path.strip_prefix("//").unwrap_or(path);
        // A database in memory would be another one for each connection.
        if path.is_empty() || path.contains(":memory:") {
            return Err(unknown());
        }
        Ok(Self::Sqlite(PathBuf::from(path)))
    }

    /// The file of an SQLite database.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Postgres(options) => {
                let database = options.get_database().unwrap_or_else(|| options.get_username());
                match options.get_socket() {
                    Some(socket) => write!(f, "postgres database {database} at {}", socket.display()),
                    None => write!(f, "postgres database {database} at {}:{}", options.get_host(), options.get_port()),
                }
            }
        }
    }
}

/// Whether a server's address carries a password, or what may be one.
pub fn has_password(url: &str) -> bool {
    without_password(url) != url
}

/// The address with its password starred out. A password may hold any letter, also those that end a host: all up to
/// the last `@` is its user's.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => match user.split_once(':') {
            Some((name, _)) => (format!("{name}:***@"), rest),
            None => (format!("{user}@"), rest),
        },
        None => (String::new(), rest),
    };
    let (place, options) = rest.split_once('?').map_or((rest, None), |(place, options)| (place, Some(options)));
    let starred = |option: &str| match option.split_once('=') {
        Some((name, _)) if name.contains('%') || name.to_lowercase().contains("pass") => format!("{name}=***"),
        _ => option.to_owned(),
    };
    let options = options.map(|options| options.split('&').map(starred).collect::<Vec<_>>().join("&"));
    format!("{scheme}://{user}{place}{}", options.map_or_else(String::new, |options| format!("?{options}")))
}

/// The address with this password in it, as those who connect take it.
pub fn with_password(url: &str, password: &str) -> String {
    let password: String = password.bytes().map(encoded).collect();
    let is_socket = url.starts_with("unix://");
    match url.split_once("://") {
        Some((scheme, rest)) if scheme.starts_with("redis") => match rest.split_once('@') {
            Some((user, place)) => format!("{scheme}://{user}:{password}@{place}"),
            None => format!("{scheme}://:{password}@{rest}"),
        },
        _ => {
            let (begins, name) =
                (if url.contains('?') { '&' } else { '?' }, if is_socket { "pass" } else { "password" });
            format!("{url}{begins}{name}={password}")
        }
    }
}

/// A letter of a URL that ends nothing in it.
fn encoded(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}

/// As much of what cannot be read as may be told: where there may be a password, no more than how it begins.
fn harmless(url: &str) -> String {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    let may_hide = scheme != "sqlite" && (url.contains(['@', '?']) || rest.contains(':'));
    let begins = scheme.split(['@', '/', '?']).next().unwrap_or_default();
    if may_hide { format!("{begins}:…") } else { url.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_file_or_a_server() {
        assert_eq!(Address::parse("sqlite:/a/b.db").expect("a file").to_string(), "/a/b.db");
        let server = Address::parse("postgres://bursar:secret@db.example:5433/books").expect("a server");
        assert_eq!(server.to_string(), "postgres database books at db.example:5433");
        for wrong in ["books.db", "sqlite:", "sqlite::memory:", "mysql://h/d", "postgres:books"] {
            let refused = Address::parse(wrong).expect_err("no address").to_string();
            assert!(refused.contains(wrong), "{refused}");
        }
    }

    #[test]
    fn no_password_is_printed() {
        for (url, printed) in [
            ("postgres://u:se:cret@h/d", "postgres://u:***@h/d"),
            ("postgres://u:s@cret@h/d", "postgres://u:***@h/d"),
            (
                "postgres://u@h/d?sslmode=require&password=secret&port=1",
                "postgres://u@h/d?sslmode=require&password=***&port=1",
            ),
            ("mysql://u:secret@h", "mysql://u:***@h"),
            ("postgres://u:se/cr?et@h/d", "postgres://u:***@h/d"),
            (
                "postgres://u@h/d?password=secret&port=1&password=secret",
                "postgres://u@h/d?password=***&port=1&password=***",
            ),
            ("postgres://u@h/d?p%61ssword=secret", "postgres://u@h/d?p%61ssword=***"),
        ] {
            assert_eq!(without_password(url), printed);
            assert!(has_password(url), "{url}");
        }
        assert!(!has_password("postgres://u@h/d?sslmode=require") && !has_password("sqlite:/a"));
        let address = Address::parse("postgres://u:secret@h/d").expect("a server");
        assert_eq!(format!("{address:?}"), "Address(postgres database d at h:5432)");
    }

    #[test]
    fn a_password_is_put_where_it_is_looked_for() {
        for (url, with) in [
            ("postgres://u@h/d", "postgres://u@h/d?password=s%26%2F%40%20%C3%A9"),
            ("postgres:///d?host=/run/postgresql", "postgres:///d?host=/run/postgresql&password=s%26%2F%40%20%C3%A9"),
            ("redis://h:6379/1", "redis://:s%26%2F%40%20%C3%A9@h:6379/1"),
            ("redis://u@h", "redis://u:s%26%2F%40%20%C3%A9@h"),
            ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1&pass=s%26%2F%40%20%C3%A9"),
        ] {
            let found = with_password(url, "s&/@ \u{e9}");
            assert_eq!(found, with);
            assert!(has_password(&found) && !without_password(&found).contains("s%26"), "{found}");
        }
        let Ok(Address::Postgres(options)) =
            Address::parse(&with_password("postgres:///d?host=/run/pg", "s&/@ \u{e9}"))
        else {
            panic!("no server")
        };
        assert!(format!("{options:?}").contains("s&/@ \u{e9}"), "{options:?}");
    }

    #[test]
    fn what_cannot_be_read_is_told_without_what_may_be_a_password() {
        for url in [
            "postgres://u:secret",
            "postgres://u:se/secret@h/d",
            "postgres//u:secret@h/d",
            "postgres:/u:secret@h/d",
            "u:secret@h/d",
            "mysql://u@h/d?password=secret",
        ] {
            match Address::parse(url) {
                Ok(address) => assert!(!format!("{address} {address:?}").contains("secret"), "{url}: {address:?}"),
                Err(error) => assert!(!error.to_string().contains("secret"), "{error}"),
            }
        }
    }
}
