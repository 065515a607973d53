//! What an admin's look at a database asks: how safe its commits are, what time its server has, how its queue is.

use rules::Timestamp;

use crate::queue::Queue;
use crate::sql::{self, Dialect};
use crate::{Result, Store};

/// A setting by which commits outlive a power failure, or not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    pub name: &'static str,
    pub found: String,
    pub is_safe: bool,
}

impl Store {
    /// Those of a file are set on each connection, and this one's are told; those of a server are the server's.
    pub async fn durability_settings(&self) -> Result<Vec<Setting>> {
        let readers = self.readers();
        if readers.dialect() == Dialect::Postgres {
            let row = sql::query(
                "select current_setting('fsync'), current_setting('full_page_writes'),
                    current_setting('synchronous_commit')",
            );
            let row = row.fetch_one(readers).await?;
            let found =
                [("fsync", row.get(0)?), ("full_page_writes", row.get(1)?), ("synchronous_commit", row.get(2)?)];
            let setting = |(name, found): (_, String)| Setting { name, is_safe: found != "off", found };
            return Ok(found.map(setting).into());
        }
        let journal_mode: String = sql::query_scalar("pragma journal_mode").fetch_one(readers).await?;
        let synchronous: i64 = sql::query_scalar("pragma synchronous").fetch_one(readers).await?;
        Ok(vec![
            Setting { name: "journal_mode", is_safe: journal_mode == "wal", found: journal_mode },
            Setting { name: "synchronous", is_safe: synchronous >= 2, found: synchronous.to_string() },
        ])
    }

    /// What a server's clock says; a file has none.
    pub async fn server_clock(&self) -> Result<Option<Timestamp>> {
        if self.readers().dialect() == Dialect::Sqlite {
            return Ok(None);
        }
        let secs: i64 =
            sql::query_scalar("select extract(epoch from clock_timestamp())::bigint").fetch_one(self.readers()).await?;
        Ok(Some(Timestamp::from_secs(secs)))
    }

    /// How many wakes wait in this queue, which books that are only read do not open; none where it was never made.
    pub async fn queue_looked_into(&self, name: &str, redis_url: Option<&str>) -> Result<Option<u64>> {
        let queue = Queue::open(name, redis_url, self.readers()).await?;
        if !queue.is_there(self.readers()).await? {
            return Ok(None);
        }
        Ok(Some(queue.waiting(self.readers()).await?))
    }
}
