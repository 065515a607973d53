//! The queue's tables in the same file: wakes, pushed in the transaction of what they point to.

use std::time::Duration;

use apalis_sqlite::{Config, SqliteStorage, SqliteTask, queries};
use rules::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;

use crate::runs::RunId;
use crate::{Result, Store, StoreError};

/// Few: whoever takes a wake holds it until it is its turn.
const WAKES_AT_ONCE: usize = 4;

/// A worker that misses two of these has lost its wakes.
const WORKER_HEARTBEAT: Duration = Duration::from_secs(10);

/// Says where to look. What is due is found in the books: a lost wake costs time, a doubled one nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Wake {
    pub job: String,
    pub run: Option<RunId>,
    pub slot: Option<Timestamp>,
    pub shard: Option<u32>,
}

impl Wake {
    pub(crate) fn of_shard(job: &str, run: RunId, slot: Option<Timestamp>, shard: usize) -> Self {
        Self { job: job.to_owned(), run: Some(run), slot, shard: u32::try_from(shard).ok() }
    }
}

impl Store {
    /// Creates or updates the queue's tables.
    pub async fn queue_setup(&self) -> Result<()> {
        // Not apalis' `setup`: that one turns `synchronous` off on the connection of the books.
        let mut migrations = SqliteStorage::migrations();
        migrations.set_ignore_missing(true);
        migrations.run(self.queue_pool()).await.map_err(|error| StoreError::Queue(error.to_string()))?;
        let mut transaction = self.write().await?;
        // Done tasks keep their `lock_by`, so that each acknowledgement walks all that its worker ever did.
        for change in [
            "drop index if exists LIdx",
            "create index if not exists LIdxP on Jobs (lock_by) where status in ('Queued', 'Running')",
        ] {
            sqlx::query(change).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The queue as apalis' workers take from it; each task is a [`Wake`] in JSON. None without a queue.
    pub fn wakes(&self) -> Option<SqliteStorage<serde_json::Value>> {
        // `persist_results` stays as it is: without it nothing is ever acknowledged.
        let config =
            Config::default().queue(self.queue_name()?).batch_size(WAKES_AT_ONCE).heartbeat_interval(WORKER_HEARTBEAT);
        Some(SqliteStorage::new(self.queue_pool()).with_config(config))
    }

    /// How many wakes no worker has taken yet.
    pub async fn wakes_waiting(&self) -> Result<u64> {
        let Some(queue) = self.queue_name() else { return Ok(0) };
        let waiting: i64 = sqlx::query_scalar("select count(*) from Jobs where job_type = $1 and status = 'Pending'")
            .bind(queue)
            .fetch_one(self.readers())
            .await?;
        Ok(waiting.unsigned_abs())
    }

    /// Forgets wakes that ended before `before`, and workers that were last seen before it.
    pub async fn wakes_purge(&self, before: Timestamp) -> Result<u64> {
        let Some(queue) = self.queue_name() else { return Ok(0) };
        let mut transaction = self.write().await?;
        let purged = sqlx::query(
            "delete from Jobs where job_type = $1 and status in ('Done', 'Failed', 'Killed')
                and coalesce(done_at, run_at) < $2",
        )
        .bind(queue)
        .bind(before.secs())
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "delete from Workers where worker_type = $1 and last_seen < $2
                and not exists (select 1 from Jobs where Jobs.lock_by = Workers.id)",
        )
        .bind(queue)
        .bind(before.secs())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(purged.rows_affected())
    }

    /// A fault for tests: the queue loses all that it held.
    pub async fn wakes_lose(&self) -> Result<()> {
        let mut transaction = self.write().await?;
        for table in ["delete from Jobs", "delete from Workers"] {
            sqlx::query(table).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Wakes a job's workers by themselves, for what is not a run.
    pub async fn wake(&self, wakes: &[Wake]) -> Result<()> {
        let Some(queue) = self.queue_name() else { return Ok(()) };
        let mut transaction = self.write().await?;
        push_wakes(&mut transaction, queue, wakes).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Pushes wakes within the caller's transaction.
pub async fn push_wakes(connection: &mut SqliteConnection, queue: &str, wakes: &[Wake]) -> Result<()> {
    let mut tasks: Vec<SqliteTask> = Vec::with_capacity(wakes.len());
    for wake in wakes {
        let payload = serde_json::to_vec(wake).map_err(|error| StoreError::Queue(error.to_string()))?;
        tasks.push(SqliteTask::new(payload));
    }
    queries::push_tasks(connection, queue, &tasks).await.map_err(|error| StoreError::Queue(error.to_string()))
}
