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
        .pragma("query_only", if role == Role::Reader { "on" } else { "off" })
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
