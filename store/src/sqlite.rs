//! Connections to an SQLite file. What each is set to is read back: a setting that silently did not take would cost
//! committed money in a power failure.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool};

use crate::open::{Durability, Role};
use crate::{Result, StoreError};

const BUSY: Duration = Duration::from_secs(10);

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
pub async fn read_back(connection: &mut SqliteConnection, role: Role, durability: Durability) -> Result<()> {
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

/// The file is created here, not by the driver, which would also create it for a mistyped path of a reader. It is
/// its owner's alone, and so are the files that SQLite puts beside it.
pub fn create(path: &Path) -> Result<()> {
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .mode(0o600)
        .truncate(false)
        .open(path)
        .map(|_| ())
        .map_err(|error| StoreError::CannotOpen { path: path.to_owned(), problem: error.to_string() })
}

pub async fn pool(path: &Path, role: Role, durability: Durability, size: u32) -> Result<SqlitePool> {
    let options = options(path, role, durability);
    // A first one by hand: the pool would try again and again, and at last only say that it took too long.
    let mut first = options.connect().await.map_err(|error| of_file(error, path))?;
    read_back(&mut first, role, durability).await?;
    first.close().await?;
    let pool = SqlitePoolOptions::new()
        .max_connections(size)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(60))
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // On a full disk SQLite ends a transaction itself, and the driver's rollback after it fails: it would take
        // the connection for being within one for ever.
        .before_acquire(|connection, _| {
            let is_free = !connection.is_in_transaction();
            Box::pin(async move { Ok(is_free) })
        })
        .after_connect(move |connection, _| {
            Box::pin(async move {
                let checked = read_back(connection, role, durability).await;
                checked.map_err(|error| sqlx::Error::Configuration(Box::new(error)))
            })
        })
        .connect_with(options)
        .await?;
    Ok(pool)
}

fn of_file(error: sqlx::Error, path: &Path) -> StoreError {
    const CANNOT_OPEN: &str = "14";
    const NOT_A_DATABASE: &str = "26";
    let code = error.as_database_error().and_then(|error| error.code()).map(std::borrow::Cow::into_owned);
    let path = path.to_owned();
    match code.as_deref() {
        Some(CANNOT_OPEN) => StoreError::CannotOpen { path, problem: "it is no file that can be opened".to_owned() },
        Some(NOT_A_DATABASE) => {
            let place = path.display().to_string();
            StoreError::NotADatabase { place, problem: "it is not an SQLite file".to_owned() }
        }
        _ => error.into(),
    }
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
