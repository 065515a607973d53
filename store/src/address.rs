//! Where a database is, as its URL says.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;

use crate::{Result, StoreError};

/// The place of a database. Printing it tells no password.
#[derive(Clone, Debug)]
pub enum Address {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

impl Address {
    /// Reads `sqlite:PATH` or `postgres://USER@HOST/DATABASE`. What a PostgreSQL address leaves out comes from
    /// libpq's variables and files (PGHOST, PGPASSWORD, ~/.pgpass).
    pub fn parse(url: &str) -> Result<Self> {
        let unknown = || StoreError::UnknownUrl(without_password(url));
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

/// Whether a PostgreSQL address carries a password.
pub fn has_password(url: &str) -> bool {
    without_password(url) != url
}

/// The address with its password starred out.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:***@{host}"),
            None => format!("{user}@{host}"),
        },
        None => authority.to_owned(),
    };
    let tail = match tail.split_once("password=") {
        Some((front, secret)) => {
            let rest = secret.find('&').map_or("", |end| &secret[end..]);
            format!("{front}password=***{rest}")
        }
        None => tail.to_owned(),
    };
    format!("{scheme}://{authority}{tail}")
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
        ] {
            assert_eq!(without_password(url), printed);
            assert!(has_password(url), "{url}");
        }
        assert!(!has_password("postgres://u@h/d") && !has_password("sqlite:/a"));
    }
}
