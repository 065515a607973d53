//! What every connection is set to, and reads back: a setting that silently did not take would cost
//! committed money in a power failure.

use std::path::Path;
use std::time::Duration;

use sqlx::SqliteConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use crate::StoreError;

const BUSY: Duration = Duration::from_secs(10);

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Writer,
    Reader,
}

/// Whether a commit outlives a power failure. Only a scratch database goes without.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    Full,
    Off,
}

impl Durability {
    const fn pragma(self) -> (SqliteSynchronous, &'static str) {
        match self {
            Self::Full => (SqliteSynchronous::Full, "2"),
            Self::Off => (SqliteSynchronous::Off, "0"),
        }
    }
}

pub fn options(path: &Path, role: Role, durability: Durability) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(durability.pragma().0)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .pragma("trusted_schema", "off")
        // In KiB: a batch's pages stay at hand. Sorting needs no file outside the data directory.
        .pragma("cache_size", if role == Role::Reader { "-8192" } else { "-32768" })
        .pragma("temp_store", "memory")
        .pragma("query_only", if role == Role::Reader { "on" } else { "off" })
        // Rows cross from the driver's thread in one go, not by handfuls.
        .row_buffer_size(4096)
        // Each bulk statement comes in a few sizes; all of them stay prepared.
        .statement_cache_capacity(512)
}

/// Asks the connection what it is really set to.
pub async fn read_back(
    connection: &mut SqliteConnection,
    role: Role,
    durability: Durability,
) -> Result<(), StoreError> {
    let busy = BUSY.as_millis().to_string();
    let wanted: [(&'static str, &'static str, &str); 6] = [
        ("journal_mode", "pragma journal_mode", "wal"),
        ("synchronous", "pragma synchronous", durability.pragma().1),
        ("foreign_keys", "pragma foreign_keys", "1"),
        ("busy_timeout", "pragma busy_timeout", &busy),
        ("trusted_schema", "pragma trusted_schema", "0"),
        ("query_only", "pragma query_only", if role == Role::Reader { "1" } else { "0" }),
    ];
    for (pragma, question, wanted) in wanted {
        let found = match pragma {
            "journal_mode" => sqlx::query_scalar::<_, String>(question).fetch_one(&mut *connection).await?,
            _ => sqlx::query_scalar::<_, i64>(question).fetch_one(&mut *connection).await?.to_string(),
        };
        if found != wanted {
            return Err(StoreError::Setting { pragma, wanted: wanted.to_owned(), found });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::ConnectOptions;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_is_set_otherwise_is_refused() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let path = directory.path().join("books.db");
        let as_set = |role, durability| options(&path, role, durability).create_if_missing(true);
        for role in [Role::Writer, Role::Reader] {
            let mut connection = as_set(role, Durability::Full).connect().await.expect("a connection");
            read_back(&mut connection, role, Durability::Full).await.expect("as it was set");
        }
        let mut lax = as_set(Role::Writer, Durability::Off).connect().await.expect("a connection");
        let error = read_back(&mut lax, Role::Writer, Durability::Full).await.expect_err("not durable");
        assert_eq!(
            error.to_string(),
            "the connection says synchronous = 0 where 2 was set: the books are not safe with it"
        );
        for (pragma, set) in [
            ("foreign_keys", "pragma foreign_keys = off"),
            ("busy_timeout", "pragma busy_timeout = 5"),
            ("trusted_schema", "pragma trusted_schema = on"),
            ("query_only", "pragma query_only = on"),
            ("synchronous", "pragma synchronous = normal"),
        ] {
            let mut changed = as_set(Role::Writer, Durability::Full).connect().await.expect("a connection");
            sqlx::query(set).execute(&mut changed).await.expect(set);
            let error = read_back(&mut changed, Role::Writer, Durability::Full).await.expect_err(set);
            assert!(matches!(error, StoreError::Setting { pragma: found, .. } if found == pragma), "{set}: {error}");
        }
        let other = options(&directory.path().join("other.db"), Role::Writer, Durability::Full);
        let other = other.create_if_missing(true).journal_mode(SqliteJournalMode::Delete);
        let error = read_back(&mut other.connect().await.expect("a connection"), Role::Writer, Durability::Full).await;
        assert!(matches!(error, Err(StoreError::Setting { pragma: "journal_mode", .. })), "{error:?}");
    }
}
