//! The schema's migrations, in a table of our own: apalis keeps its own in the same database.

use rules::Timestamp;
use sqlx::AssertSqlSafe;

use crate::address::Address;
use crate::sql::{self, Dialect, Pool, Transaction};
use crate::{Result, StoreError, postgres};

/// A migration: its version and name, and its text for each database.
struct Migration {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal $file:literal),* $(,)?) => {
        [$(Migration {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../../migrations/sqlite/", $file)),
            postgres: include_str!(concat!("../../migrations/postgres/", $file)),
        }),*]
    };
}

/// An applied one is never edited; the next one corrects it.
const MIGRATIONS: [Migration; 14] = migrations! {
    1 "accounts" "0001_accounts.sql",
    2 "runs" "0002_runs.sql",
    3 "invoices" "0003_invoices.sql",
    4 "ledger" "0004_ledger.sql",
    5 "events" "0005_events.sql",
    6 "payments" "0006_payments.sql",
    7 "due" "0007_due.sql",
    8 "reference" "0008_reference.sql",
    9 "control" "0009_control.sql",
    10 "imports" "0010_imports.sql",
    11 "corrections" "0011_corrections.sql",
    12 "moves" "0012_moves.sql",
    13 "access" "0013_access.sql",
    14 "fences" "0014_fences.sql",
};

/// The schema that this program needs.
pub const KNOWN: i64 = MIGRATIONS[MIGRATIONS.len() - 1].version;

pub const VERSION: &str = "select coalesce(max(version), 0) from bursar_migrations";

/// The texts of all migrations.
pub fn texts(dialect: Dialect) -> impl Iterator<Item = &'static str> {
    MIGRATIONS.iter().map(move |migration| dialect.pick(migration.sqlite, migration.postgres))
}

/// Whether the database has exactly the schema that this program needs.
pub async fn check(pool: &Pool, address: &Address) -> Result<()> {
    let mut transaction = pool.snapshot().await?;
    match version(&mut transaction, address).await? {
        KNOWN => Ok(()),
        found if found < KNOWN => Err(StoreError::SchemaTooOld { found, known: KNOWN }),
        found => refuse_newer(found),
    }
}

/// Brings an older schema up to date, each migration with its row in one transaction.
pub async fn migrate(pool: &Pool, address: &Address, now: Timestamp) -> Result<()> {
    for migration in &MIGRATIONS {
        // Asked again within each transaction: another program may have been faster.
        let mut transaction = pool.begin_to_write(postgres::ALONE).await?;
        let found = version(&mut transaction, address).await?;
        refuse_newer(found)?;
        if found < migration.version {
            apply(&mut transaction, migration, now).await?;
            transaction.commit().await?;
        }
    }
    Ok(())
}

async fn apply(transaction: &mut Transaction, migration: &Migration, now: Timestamp) -> Result<()> {
    sql::query(
        "create table if not exists bursar_migrations (
            version bigint not null primary key,
            name text not null,
            applied_at bigint not null
        )",
    )
    .execute(&mut *transaction)
    .await?;
    match transaction {
        Transaction::Sqlite(one) => {
            sqlx::raw_sql(AssertSqlSafe(migration.sqlite)).execute(&mut **one).await?;
        }
        Transaction::Postgres(one) => {
            sqlx::raw_sql(AssertSqlSafe(migration.postgres)).execute(&mut **one).await?;
        }
    }
    sql::query("insert into bursar_migrations (version, name, applied_at) values ($1, $2, $3)")
        .bind(migration.version)
        .bind(migration.name)
        .bind(now.secs())
        .execute(transaction)
        .await?;
    Ok(())
}

/// Whether the newest migration is one that this program knows.
pub const fn refuse_newer(found: i64) -> Result<()> {
    match found {
        found if found > KNOWN => Err(StoreError::SchemaTooNew { found, known: KNOWN }),
        _ => Ok(()),
    }
}

/// The newest migration applied; 0 of an empty database.
async fn version(transaction: &mut Transaction, address: &Address) -> Result<i64> {
    let question = transaction.dialect().pick(
        "select name from sqlite_schema where type = 'table'",
        "select tablename::text from pg_catalog.pg_tables where schemaname = current_schema()",
    );
    let tables: Vec<String> = sql::query_scalar(question).fetch_all(&mut *transaction).await?;
    if tables.iter().any(|table| table == "bursar_migrations") {
        let newest = sql::query_scalar(VERSION);
        return newest.fetch_one(transaction).await;
    }
    match tables.first() {
        None => Ok(0),
        Some(table) => Err(StoreError::NotADatabase {
            place: address.to_string(),
            problem: format!("it has a table `{table}` and none of Bursar's; give it a database of its own"),
        }),
    }
}
