//! The queue in a Redis. A wake is pushed once what it points to is committed; one that is lost in between, or with
//! the Redis, is pushed again by the scheduler.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use apalis_core::backend::Vacuum as _;
use apalis_redis::{Config, ConnectionManager, RedisStorage};
use futures_util::TryStreamExt as _;
use redis::aio::ConnectionManagerConfig;
use redis::{AsyncCommands as _, Client, cmd, pipe};

use super::{MISSED_HEARTBEATS, WAKES_AT_ONCE, WORKER_HEARTBEAT, Wake, payload, refused};
use crate::Result;

/// A Redis that is gone is told of at once, not waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A connection that comes back by itself.
#[derive(Clone)]
pub struct Redis(ConnectionManager);

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redis")
    }
}

impl Redis {
    /// Does not fail where nobody answers yet: the books go on without their queue.
    pub async fn open(url: &str) -> Result<Self> {
        let client = Client::open(url).map_err(refused)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(1);
        Ok(Self(ConnectionManager::new_lazy_with_config(client, config).map_err(refused)?))
    }

    pub fn storage(&self, queue: &str) -> RedisStorage<serde_json::Value> {
        let config = Config::default()
            .queue(queue)
            .batch_size(WAKES_AT_ONCE)
            .heartbeat_interval(WORKER_HEARTBEAT)
            .missed_heartbeats(MISSED_HEARTBEATS);
        RedisStorage::new(self.0.clone()).with_config(config)
    }

    /// Laid where workers take from, as apalis would once their time comes: it asks the pusher's clock when that is,
    /// and another machine's may be behind it.
    pub async fn push(&self, queue: &str, wakes: &[Wake]) -> Result<()> {
        let config = Config::default().queue(queue);
        let mut push = pipe();
        push.atomic();
        for wake in wakes {
            let id = new_id();
            let state = [("attempts", "0"), ("max_attempts", "1"), ("status", "Pending")];
            push.hset(config.job_data_hash(), &id, payload(wake)?).ignore();
            push.hset_multiple(meta_key(&config, &id), &state).ignore();
            push.rpush(config.active_jobs_list(), &id).ignore();
        }
        push.query_async::<()>(&mut self.0.clone()).await.map_err(refused)
    }

    /// Those that lie ready, and those that apalis laid back for later.
    pub async fn waiting(&self, queue: &str) -> Result<u64> {
        let config = Config::default().queue(queue);
        let mut count = pipe();
        count.llen(config.active_jobs_list()).zcard(config.scheduled_jobs_set());
        let (ready, later): (u64, u64) = count.query_async(&mut self.0.clone()).await.map_err(refused)?;
        Ok(ready + later)
    }

    /// Tasks that ended so long ago, with all that was kept of them, and what workers left that are gone.
    pub async fn purge(&self, queue: &str, kept_secs: i64) -> Result<u64> {
        let kept = Duration::from_secs(kept_secs.unsigned_abs());
        let purged = self.storage(queue).vacuum_before(kept).await.map_err(refused)?;
        // It forgets to take them from these, and nobody looks there.
        let config = Config::default().queue(queue);
        let ended = [config.done_jobs_set(), config.dead_jobs_set()];
        let _: i64 = self.0.clone().del(&ended).await.map_err(refused)?;
        self.purge_workers(&config).await?;
        Ok(u64::try_from(purged).unwrap_or(u64::MAX))
    }

    /// Each start of a worker leaves a note, which stays when its worker is struck off.
    async fn purge_workers(&self, config: &Config) -> Result<()> {
        let mut connection = self.0.clone();
        let notes = format!("{}:metadata:", config.workers_set());
        let left: Vec<String> = {
            let found = connection.scan_match(format!("{notes}*")).await.map_err(refused)?;
            found.try_collect().await.map_err(refused)?
        };
        for note in left {
            let worker = note.strip_prefix(&notes).unwrap_or_default();
            let seen: Option<String> = connection.zscore(config.workers_set(), worker).await.map_err(refused)?;
            if seen.is_none() {
                let _: i64 = connection.del(&note).await.map_err(refused)?;
            }
        }
        Ok(())
    }

    /// A connection that broke is made anew by whoever asks next: so twice.
    pub async fn answers(&self) -> Result<()> {
        let ping = cmd("PING");
        match ping.query_async::<()>(&mut self.0.clone()).await {
            Ok(()) => Ok(()),
            Err(_) => ping.query_async(&mut self.0.clone()).await.map_err(refused),
        }
    }

    pub async fn lose(&self, queue: &str) -> Result<()> {
        let mut connection = self.0.clone();
        let held: Vec<String> = {
            let found = connection.scan_match(format!("{queue}:*")).await.map_err(refused)?;
            found.try_collect().await.map_err(refused)?
        };
        for key in held {
            let _: i64 = connection.del(key).await.map_err(refused)?;
        }
        Ok(())
    }
}

fn meta_key(config: &Config, id: &str) -> String {
    format!("{}:{id}", config.job_meta_hash())
}

/// Unlike any other, also one of another daemon.
fn new_id() -> String {
    static NTH: AtomicU64 = AtomicU64::new(0);
    let chance = RandomState::new().build_hasher().finish();
    format!("wake-{chance:016x}-{}", NTH.fetch_add(1, Ordering::Relaxed))
}
