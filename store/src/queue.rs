//! The queue's tables in the same file: wakes, pushed in the transaction of what they point to.

use apalis_sqlite::{SqliteStorage, SqliteTask, queries};
use rules::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;

use crate::runs::RunId;
use crate::{Result, Store, StoreError};

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
