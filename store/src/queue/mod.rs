//! The queue carries wakes: where to look. It lies in the books' own database, where a wake joins the transaction of
//! what it points to, or in a Redis. What is due is found in the books: a lost wake costs time, a doubled one nothing.

mod postgres;
mod redis;
mod sqlite;

use std::time::Duration;

use apalis_redis::RedisStorage;
use apalis_sqlite::SqliteStorage;
use rules::Timestamp;
use serde::{Deserialize, Serialize};

use crate::runs::RunId;
use crate::sql::{self, Pool, Transaction};
use crate::{Result, Store, StoreError};
use redis::Redis;

/// Few: whoever takes a wake holds it until it is its turn.
const WAKES_AT_ONCE: usize = 4;

/// A worker that misses two of these has lost its wakes.
const WORKER_HEARTBEAT: Duration = Duration::from_secs(10);
const MISSED_HEARTBEATS: usize = 2;

const KEPT_SECS: i64 = 7 * rules::DAY;
const KEPT_IN_MEMORY_SECS: i64 = 300;

/// Says where to look.
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

/// Where the wakes lie.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    name: String,
    redis: Option<Redis>,
}

impl Queue {
    /// In a Redis, where other books may have theirs, it is called by whose it is.
    pub async fn open(name: &str, redis_url: Option<&str>, readers: &Pool) -> Result<Self> {
        let Some(url) = redis_url else { return Ok(Self { name: name.to_owned(), redis: None }) };
        let books: String = sql::query_scalar("select name from identity").fetch_one(readers).await?;
        Ok(Self { name: format!("{name}:{books}"), redis: Some(Redis::open(url).await?) })
    }

    /// Whether it was made already; a Redis needs no making.
    pub async fn is_there(&self, readers: &Pool) -> Result<bool> {
        match (&self.redis, readers) {
            (Some(_), _) => Ok(true),
            (None, Pool::Sqlite(_)) => sqlite::is_there(readers).await,
            (None, Pool::Postgres(_)) => postgres::is_there(readers).await,
        }
    }

    /// How many wakes no worker has taken yet.
    pub async fn waiting(&self, readers: &Pool) -> Result<u64> {
        match (&self.redis, readers) {
            (Some(redis), _) => redis.waiting(&self.name).await,
            (None, Pool::Sqlite(_)) => sqlite::waiting(readers, &self.name).await,
            (None, Pool::Postgres(_)) => postgres::waiting(readers, &self.name).await,
        }
    }
}

/// The queue as apalis' workers take from it; each task is a [`Wake`] in JSON.
pub enum Wakes {
    Sqlite(SqliteStorage<serde_json::Value>),
    Postgres(postgres::Listening),
    Redis(RedisStorage<serde_json::Value>),
}

impl Store {
    /// Creates or updates the queue's tables.
    pub async fn queue_setup(&self) -> Result<()> {
        match (self.queue(), self.writer()?) {
            (Some(Queue { redis: Some(_), .. }), _) => Ok(()),
            (_, Pool::Sqlite(pool)) => sqlite::set_up(pool).await,
            (_, Pool::Postgres(pool)) => postgres::set_up(pool).await,
        }
    }

    /// The queue to take from; none without one.
    pub fn wakes(&self) -> Option<Wakes> {
        let queue = self.queue()?;
        Some(match (&queue.redis, self.writer().ok()?) {
            (Some(redis), _) => Wakes::Redis(redis.storage(&queue.name)),
            (None, Pool::Sqlite(pool)) => Wakes::Sqlite(sqlite::storage(pool, &queue.name)),
            (None, Pool::Postgres(pool)) => Wakes::Postgres(postgres::listening(pool, &queue.name)),
        })
    }

    /// How many wakes no worker has taken yet.
    pub async fn wakes_waiting(&self) -> Result<u64> {
        let Some(queue) = self.queue() else { return Ok(0) };
        queue.waiting(self.readers()).await
    }

    /// For how long wakes that ended stay to be looked at: in a Redis, whose memory they take, not for long.
    pub fn wakes_kept_secs(&self) -> i64 {
        match self.queue() {
            Some(Queue { redis: Some(_), .. }) => KEPT_IN_MEMORY_SECS,
            _ => KEPT_SECS,
        }
    }

    /// Forgets wakes that ended `kept_secs` ago or earlier, and workers last seen before that; how many wakes.
    pub async fn wakes_purge(&self, now: Timestamp, kept_secs: i64) -> Result<u64> {
        let Some(queue) = self.queue() else { return Ok(0) };
        let before = now.plus_secs(-kept_secs);
        match (&queue.redis, self.writer()?) {
            (Some(redis), _) => redis.purge(&queue.name, kept_secs).await,
            (None, writer @ Pool::Sqlite(_)) => sqlite::purge(writer, &queue.name, before).await,
            (None, writer @ Pool::Postgres(_)) => postgres::purge(writer, &queue.name, before).await,
        }
    }

    /// Whether the queue answers, where it is elsewhere.
    pub async fn queue_answers(&self) -> Result<()> {
        match self.queue() {
            Some(Queue { redis: Some(redis), .. }) => redis.answers().await,
            _ => Ok(()),
        }
    }

    /// A fault for tests: the queue loses all that it held.
    pub async fn wakes_lose(&self) -> Result<()> {
        let Some(queue) = self.queue() else { return Ok(()) };
        match (&queue.redis, self.writer()?) {
            (Some(redis), _) => redis.lose(&queue.name).await,
            (None, writer @ Pool::Sqlite(_)) => sqlite::lose(writer).await,
            (None, writer @ Pool::Postgres(_)) => postgres::lose(writer).await,
        }
    }

    /// Wakes a job's workers by themselves, for what is not a run.
    pub async fn wake(&self, wakes: &[Wake]) -> Result<()> {
        let mut transaction = self.write_beside().await?;
        self.push_within(&mut transaction, wakes).await?;
        transaction.commit().await?;
        self.push_after(wakes).await;
        Ok(())
    }

    /// Pushes wakes in the transaction of what they point to, where books and queue share a database.
    pub(crate) async fn push_within(&self, transaction: &mut Transaction, wakes: &[Wake]) -> Result<()> {
        let Some(queue) = self.queue().filter(|queue| queue.redis.is_none()) else { return Ok(()) };
        match transaction {
            _ if wakes.is_empty() => Ok(()),
            Transaction::Sqlite(one) => sqlite::push(one, &queue.name, wakes).await,
            Transaction::Postgres(one) => postgres::push(one, &queue.name, wakes).await,
        }
    }

    /// Pushes the same wakes to a queue elsewhere, once what they point to is committed. That it does not take them
    /// undoes nothing: the scheduler pushes them again.
    pub(crate) async fn push_after(&self, wakes: &[Wake]) {
        if let Some(Queue { name, redis: Some(redis) }) = self.queue()
            && !wakes.is_empty()
            && let Err(error) = redis.push(name, wakes).await
        {
            tracing::warn!(%error, wakes = wakes.len(), "the queue takes no wakes; they are pushed again later");
        }
    }
}

fn payload(wake: &Wake) -> Result<Vec<u8>> {
    serde_json::to_vec(wake).map_err(refused)
}

fn refused(error: impl std::fmt::Display) -> StoreError {
    StoreError::Queue(error.to_string())
}
