//! The schema's migrations, in a table of our own: apalis-sqlite keeps its own in the same file.

use std::path::Path;

use rules::Timestamp;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::{Result, StoreError};

/// Version, name and text of each migration. An applied one is never edited; the next one corrects it.
const MIGRATIONS: [(i64, &str, &str); 11] = [
    (1, "accounts", include_str!("../../migrations/sqlite/0001_accounts.sql")),
    (2, "runs", include_str!("../../migrations/sqlite/0002_runs.sql")),
    (3, "invoices", include_str!("../../migrations/sqlite/0003_invoices.sql")),
    (4, "ledger", include_str!("../../migrations/sqlite/0004_ledger.sql")),
    (5, "events", include_str!("../../migrations/sqlite/0005_events.sql")),
    (6, "payments", include_str!("../../migrations/sqlite/0006_payments.sql")),
    (7, "due", include_str!("../../migrations/sqlite/0007_due.sql")),
    (8, "reference", include_str!("../../migrations/sqlite/0008_reference.sql")),
    (9, "control", include_str!("../../migrations/sqlite/0009_control.sql")),
    (10, "imports", include_str!("../../migrations/sqlite/0010_imports.sql")),
    (11, "corrections", include_str!("../../migrations/sqlite/0011_corrections.sql")),
];

/// The schema that this program needs.
pub const KNOWN: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// The texts of all migrations.
pub fn texts() -> impl Iterator<Item = &'static str> {
    MIGRATIONS.into_iter().map(|(_, _, text)| text)
}

/// Whether the database has exactly the schema that this program needs.
pub async fn check(connection: &mut SqliteConnection, path: &Path) -> Result<()> {
    match version(connection, path).await? {
        KNOWN => Ok(()),
        found if found > KNOWN => Err(StoreError::SchemaTooNew { found, known: KNOWN }),
        found => Err(StoreError::SchemaTooOld { found, known: KNOWN }),
    }
}

/// Brings an older schema up to date, each migration with its row in one transaction.
pub async fn migrate(connection: &mut SqliteConnection, path: &Path, now: Timestamp) -> Result<()> {
    let found = version(connection, path).await?;
    if found > KNOWN {
        return Err(StoreError::SchemaTooNew { found, known: KNOWN });
    }
    for (number, name, text) in MIGRATIONS {
        sqlx::query("begin immediate").execute(&mut *connection).await?;
        let applied = apply(connection, path, (number, name, text), now).await;
        let end = if applied.is_ok() { "commit" } else { "rollback" };
        sqlx::query(end).execute(&mut *connection).await?;
        applied?;
    }
    Ok(())
}

/// Asks again within the transaction: another program may have been faster.
async fn apply(
    connection: &mut SqliteConnection,
    path: &Path,
    (number, name, text): (i64, &'static str, &'static str),
    now: Timestamp,
) -> Result<()> {
    if version(connection, path).await? >= number {
        return Ok(());
    }
    sqlx::query(
        "create table if not exists bursar_migrations (
            version bigint not null primary key,
            name text not null,
            applied_at bigint not null
        )",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *connection).await?;
    sqlx::query("insert into bursar_migrations (version, name, applied_at) values ($1, $2, $3)")
        .bind(number)
        .bind(name)
        .bind(now.secs())
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// The newest migration applied; 0 of an empty database.
async fn version(connection: &mut SqliteConnection, path: &Path) -> Result<i64> {
    let tables: Vec<String> =
        sqlx::query_scalar("select name from sqlite_schema where type = 'table'").fetch_all(&mut *connection).await?;
    if tables.iter().any(|table| table == "bursar_migrations") {
        let newest = sqlx::query_scalar("select coalesce(max(version), 0) from bursar_migrations");
        return Ok(newest.fetch_one(&mut *connection).await?);
    }
    match tables.first() {
        None => Ok(0),
        Some(table) => Err(StoreError::NotADatabase {
            path: path.to_owned(),
            problem: format!("it has a table `{table}` and none of Bursar's; give a file of its own"),
        }),
    }
}
