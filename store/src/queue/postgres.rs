//! The queue in the books' own PostgreSQL, in apalis' schema; workers hear of a wake by LISTEN.

use std::time::Duration;

use apalis_core::backend::ext::poll_strategy::{PollWith, Strategy};
use apalis_core::task::builder::TaskBuilder;
use apalis_postgres::{Config, PgTask, PostgresStorage, Pubsub, queries};
use futures_util::StreamExt as _;
use futures_util::stream;
use rules::Timestamp;
use sqlx::{PgConnection, PgPool};

use super::{MISSED_HEARTBEATS, WAKES_AT_ONCE, WORKER_HEARTBEAT, Wake, payload, refused};
use crate::Result;
use crate::sql::{self, Pool};

/// Always past: when a wake is due is the books' to say, not the difference between two machines' clocks.
const AT_ONCE: u64 = 1;

const LOOK: Duration = Duration::from_secs(1);

/// Its migrations are kept apart from ours, in `_sqlx_migrations`.
pub async fn set_up(pool: &PgPool) -> Result<()> {
    let mut migrations = PostgresStorage::migrations();
    migrations.set_ignore_missing(true);
    migrations.run(pool).await.map_err(refused)
}

pub async fn is_there(readers: &Pool) -> Result<bool> {
    sql::query_scalar("select to_regclass('apalis.jobs') is not null").fetch_one(readers).await
}

/// The queue with when to look into it.
pub type Listening = PollWith<PostgresStorage<serde_json::Value>, Strategy>;

/// Hears of wakes, and looks by itself in between: of notifications that come together it hears one, and a connection
/// that is cut is silent until the next look listens anew.
pub fn listening(pool: &PgPool, queue: &str) -> Listening {
    let (connections, name) = (pool.clone(), queue.to_owned());
    let notified = stream::repeat_with(move || Pubsub::new(connections.clone(), name.clone())).flatten();
    // The interval first: whichever is ready keeps those behind it from being asked.
    PollWith::new(storage(pool, queue), Strategy::new().interval(LOOK).stream(notified))
}

fn storage(pool: &PgPool, queue: &str) -> PostgresStorage<serde_json::Value> {
    let config = Config::default()
        .queue(queue)
        .batch_size(WAKES_AT_ONCE)
        .heartbeat_interval(WORKER_HEARTBEAT)
        .missed_heartbeats(MISSED_HEARTBEATS);
    PostgresStorage::new(pool).with_config(config)
}

pub async fn push(connection: &mut PgConnection, queue: &str, wakes: &[Wake]) -> Result<()> {
    let mut tasks: Vec<PgTask> = Vec::with_capacity(wakes.len());
    for wake in wakes {
        tasks.push(TaskBuilder::new(payload(wake)?).run_at_timestamp(AT_ONCE).build());
    }
    queries::push_tasks(connection, queue, tasks).await.map_err(refused)
}

pub async fn waiting(readers: &Pool, queue: &str) -> Result<u64> {
    let question = sql::query_scalar("select count(*) from apalis.jobs where job_type = $1 and status = 'Pending'");
    let waiting: i64 = question.bind(queue).fetch_one(readers).await?;
    Ok(waiting.unsigned_abs())
}

pub async fn purge(writer: &Pool, queue: &str, before: Timestamp) -> Result<u64> {
    let jobs = sql::query(
        "delete from apalis.jobs where job_type = $1 and status in ('Done', 'Failed', 'Killed')
            and coalesce(done_at, run_at) < to_timestamp($2)",
    );
    let purged = jobs.bind(queue).bind(before.secs()).execute(writer).await?;
    let workers = sql::query(
        "delete from apalis.workers w where worker_type = $1 and last_seen < to_timestamp($2)
            and not exists (select 1 from apalis.jobs where lock_by = w.id)",
    );
    workers.bind(queue).bind(before.secs()).execute(writer).await?;
    Ok(purged)
}

pub async fn lose(writer: &Pool) -> Result<()> {
    for table in ["delete from apalis.jobs", "delete from apalis.workers"] {
        sql::query(table).execute(writer).await?;
    }
    Ok(())
}
