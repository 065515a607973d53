//! What a first program does: an instance at a time, a transaction each, by prepared statements on one connection.

use std::time::Duration;

use jobs::Stopwatch;
use sqlx::{Connection as _, PgConnection, SqliteConnection};

const INSTANCES: &str = "select account_id, number, paid_to from services where mode = 'daily'
    order by account_id, number limit $1";

const CHARGE: &str = "insert into transfers (account_id, number, kind, debit, credit, currency, amount, effective_at,
        recorded_at, service, period_from, period_to)
    select id, next_transfer, 'period', 'wallet', 'sales', currency, 3900000, $3, $3, $2, $3, $3 + 86400
    from accounts where id = $1";

const MOVE: &str = "update accounts set wallet = wallet - 3900000, next_transfer = next_transfer + 1,
    version = version + 1 where id = $1";

macro_rules! bill_each {
    ($connection:expr, $count:expr) => {{
        let instances: Vec<(i64, i64, i64)> =
            sqlx::query_as(INSTANCES).bind(i64::from($count)).fetch_all(&mut *$connection).await?;
        let watch = Stopwatch::start();
        for (account, service, paid_to) in instances {
            let mut transaction = $connection.begin().await?;
            sqlx::query(CHARGE).bind(account).bind(service).bind(paid_to).execute(&mut *transaction).await?;
            sqlx::query(MOVE).bind(account).execute(&mut *transaction).await?;
            transaction.commit().await?;
        }
        Ok(watch.elapsed())
    }};
}

pub async fn on_postgres(connection: &mut PgConnection, count: u32) -> anyhow::Result<Duration> {
    bill_each!(connection, count)
}

pub async fn on_sqlite(connection: &mut SqliteConnection, count: u32) -> anyhow::Result<Duration> {
    bill_each!(connection, count)
}
