//! When nobody was alive (rule 11.8), and the heartbeat that tells it.

use rules::{Outage, Timestamp};

use crate::cells::{Cells, Problem};
use crate::sql::{self, Transaction};
use crate::{Result, Store, StoreError};

/// A daemon that was silent for longer begins a new life: it may have much to catch up on. One whose clock was set
/// back by more begins it where it was already.
const SILENCE_SECS: i64 = 600;

impl Store {
    /// Records an outage; the same one again is no harm.
    pub async fn outage_insert(&self, outage: Outage, recorded_at: Timestamp) -> Result<()> {
        let mut transaction = self.write().await?;
        insert(&mut transaction, outage, recorded_at).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Records the outage that ends with a daemon alive at `now`: both or neither, so that none is forgotten.
    pub async fn outage_end(&self, outage: Outage, now: Timestamp) -> Result<()> {
        let mut transaction = self.write().await?;
        insert(&mut transaction, outage, now).await?;
        beat(&mut transaction, now).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// All outages, the earliest first.
    pub async fn outages(&self) -> Result<Vec<Outage>> {
        let rows = sql::query("select since, until from outages order by since").fetch_all(self.readers()).await?;
        let read = |cells: &mut Cells<'_>| Ok(Outage::new(cells.time()?, cells.time()?));
        let outages = rows.iter().map(|row| read(&mut Cells::of(row)));
        outages
            .collect::<std::result::Result<_, Problem>>()
            .map_err(|problem| StoreError::CorruptTable { table: "outages", problem })
    }

    /// Says that a daemon is alive at `now`; the last second never goes back.
    pub async fn heartbeat(&self, now: Timestamp) -> Result<()> {
        let mut transaction = self.write_beside().await?;
        beat(&mut transaction, now).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The latest second that any account is settled to. It reads all accounts.
    pub async fn settled_until(&self) -> Result<Option<Timestamp>> {
        let at: Option<i64> =
            sql::query_scalar("select max(settled_at) from accounts").fetch_one(self.readers()).await?;
        Ok(at.map(Timestamp::from_secs))
    }

    /// The last second at which a daemon is known to have been alive.
    pub async fn last_alive(&self) -> Result<Option<Timestamp>> {
        let at: Option<i64> =
            sql::query_scalar("select last_alive_at from heartbeats").fetch_optional(self.readers()).await?;
        Ok(at.map(Timestamp::from_secs))
    }
}

async fn insert(connection: &mut Transaction, outage: Outage, recorded_at: Timestamp) -> Result<()> {
    sql::query("insert into outages (since, until, recorded_at) values ($1, $2, $3) on conflict (since) do nothing")
        .bind(outage.from.secs())
        .bind(outage.to.secs())
        .bind(recorded_at.secs())
        .execute(connection)
        .await?;
    Ok(())
}

async fn beat(connection: &mut Transaction, now: Timestamp) -> Result<()> {
    sql::query(
        "insert into heartbeats (id, last_alive_at, alive_since) values (1, $1, $1)
        on conflict (id) do update set
            last_alive_at = case
                when excluded.last_alive_at > heartbeats.last_alive_at then excluded.last_alive_at
                else heartbeats.last_alive_at
            end,
            alive_since = case
                when excluded.last_alive_at - heartbeats.last_alive_at > $2 then excluded.last_alive_at
                when heartbeats.last_alive_at - excluded.last_alive_at > $2 then heartbeats.last_alive_at
                else heartbeats.alive_since
            end",
    )
    .bind(now.secs())
    .bind(SILENCE_SECS)
    .execute(connection)
    .await?;
    Ok(())
}
