//! The queue in the books' own file.

use apalis_sqlite::{Config, SqliteStorage, SqliteTask, queries};
use rules::Timestamp;
use sqlx::{SqliteConnection, SqlitePool};

use super::{MISSED_HEARTBEATS, WAKES_AT_ONCE, WORKER_HEARTBEAT, Wake, payload, refused};
use crate::Result;
use crate::sql::{self, Pool};

/// Done tasks keep their `lock_by`, so that by apalis' own index each acknowledgement walks all that its worker did.
const INDEXES: [&str; 2] = [
    "drop index if exists LIdx",
    "create index if not exists LIdxP on Jobs (lock_by) where status in ('Queued', 'Running')",
];

pub async fn set_up(pool: &SqlitePool) -> Result<()> {
    // Not apalis' `setup`: that one turns `synchronous` off on the connection of the books.
    let mut migrations = SqliteStorage::migrations();
    migrations.set_ignore_missing(true);
    migrations.run(pool).await.map_err(refused)?;
    let mut transaction = pool.begin_with("begin immediate").await?;
    for change in INDEXES {
        sqlx::query(change).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

pub async fn is_there(readers: &Pool) -> Result<bool> {
    let table = "select exists (select 1 from sqlite_schema where type = 'table' and name = 'Jobs')";
    sql::query_scalar(table).fetch_one(readers).await
}

pub fn storage(pool: &SqlitePool, queue: &str) -> SqliteStorage<serde_json::Value> {
    // `persist_results` stays as it is: without it nothing is ever acknowledged.
    let config = Config::default()
        .queue(queue)
        .batch_size(WAKES_AT_ONCE)
        .heartbeat_interval(WORKER_HEARTBEAT)
        .missed_heartbeats(MISSED_HEARTBEATS);
    SqliteStorage::new(pool).with_config(config)
}

pub async fn push(connection: &mut SqliteConnection, queue: &str, wakes: &[Wake]) -> Result<()> {
    let mut tasks: Vec<SqliteTask> = Vec::with_capacity(wakes.len());
    for wake in wakes {
        tasks.push(SqliteTask::new(payload(wake)?));
    }
    queries::push_tasks(connection, queue, &tasks).await.map_err(refused)
}

pub async fn waiting(readers: &Pool, queue: &str) -> Result<u64> {
    let question = sql::query_scalar("select count(*) from Jobs where job_type = $1 and status = 'Pending'");
    let waiting: i64 = question.bind(queue).fetch_one(readers).await?;
    Ok(waiting.unsigned_abs())
}

pub async fn purge(writer: &Pool, queue: &str, before: Timestamp) -> Result<u64> {
    let jobs = sql::query(
        "delete from Jobs where job_type = $1 and status in ('Done', 'Failed', 'Killed')
            and coalesce(done_at, run_at) < $2",
    );
    let purged = jobs.bind(queue).bind(before.secs()).execute(writer).await?;
    let workers = sql::query(
        "delete from Workers where worker_type = $1 and last_seen < $2
            and not exists (select 1 from Jobs where Jobs.lock_by = Workers.id)",
    );
    workers.bind(queue).bind(before.secs()).execute(writer).await?;
    Ok(purged)
}

pub async fn lose(writer: &Pool) -> Result<()> {
    for table in ["delete from Jobs", "delete from Workers"] {
        sql::query(table).execute(writer).await?;
    }
    Ok(())
}
