//! The queue in a Redis. A wake is pushed once what it points to is committed; one that is lost in between, or with
//! the Redis, is pushed again by the scheduler.

use std::fmt;
use std::time::Duration;

use apalis_redis::{Config, ConnectionManager, RedisStorage, RedisTask};
use futures_util::SinkExt as _;
use redis::aio::ConnectionManagerConfig;
use redis::{AsyncCommands as _, Client, cmd};
use rules::Timestamp;

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

    pub async fn push(&self, queue: &str, wakes: &[Wake]) -> Result<()> {
        let mut storage = self.storage(queue);
        for wake in wakes {
            storage.feed(RedisTask::new(payload(wake)?)).await.map_err(refused)?;
        }
        storage.flush().await.map_err(refused)
    }

    pub async fn waiting(&self, queue: &str) -> Result<u64> {
        let list = Config::default().queue(queue).active_jobs_list();
        self.0.clone().llen(list).await.map_err(refused)
    }

    /// Tasks that are done, with what was kept of them.
    pub async fn purge(&self, queue: &str, before: Timestamp) -> Result<u64> {
        let mut connection = self.0.clone();
        let config = Config::default().queue(queue);
        let done: Vec<String> =
            connection.zrangebyscore(config.done_jobs_set(), 0, before.secs()).await.map_err(refused)?;
        for id in &done {
            let _: i64 = connection.zrem(config.done_jobs_set(), id).await.map_err(refused)?;
            for hash in [config.job_data_hash(), config.job_meta_hash()] {
                let _: i64 = connection.hdel(hash, id).await.map_err(refused)?;
            }
        }
        Ok(u64::try_from(done.len()).unwrap_or(u64::MAX))
    }

    pub async fn lose(&self) -> Result<()> {
        cmd("FLUSHDB").query_async(&mut self.0.clone()).await.map_err(refused)
    }
}
