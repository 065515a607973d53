//! Clocks that jumped, each until it is back or an admin says that it is right.

use rules::Timestamp;

use crate::cells::{Cells, Problem};
use crate::sql;
use crate::{Result, Store, StoreError};

/// What a daemon saw of its clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClockDoubt {
    pub worker: String,
    pub since: Timestamp,
    pub observed_at: Timestamp,
    pub expected_at: Timestamp,
    /// When, by that clock, an admin said that it is right, and who did.
    pub confirmed: Option<(Timestamp, String)>,
}

impl Store {
    /// All doubts, the oldest first.
    pub async fn clock_doubts(&self) -> Result<Vec<ClockDoubt>> {
        let rows = sql::query(
            "select worker, since, observed_at, expected_at, confirmed_at, confirmed_by from clock_doubts
            order by since, worker",
        )
        .fetch_all(self.readers())
        .await?;
        let read = |cells: &mut Cells<'_>| -> std::result::Result<ClockDoubt, Problem> {
            let worker = cells.text()?;
            let (since, observed_at, expected_at) = (cells.time()?, cells.time()?, cells.time()?);
            let confirmed = cells.maybe_time()?.zip(cells.maybe_text()?);
            Ok(ClockDoubt { worker, since, observed_at, expected_at, confirmed })
        };
        let doubts = rows.iter().map(|row| read(&mut Cells::of(row)));
        doubts
            .collect::<std::result::Result<_, _>>()
            .map_err(|problem| StoreError::CorruptTable { table: "clock_doubts", problem })
    }

    /// Records that a daemon doubts its clock; its first doubt stays until it is settled.
    pub async fn clock_doubt_record(&self, worker: &str, observed_at: Timestamp, expected_at: Timestamp) -> Result<()> {
        let mut transaction = self.write().await?;
        sql::query(
            "insert into clock_doubts (worker, since, observed_at, expected_at) values ($1, $2, $2, $3)
            on conflict (worker) do nothing",
        )
        .bind(worker)
        .bind(observed_at.secs())
        .bind(expected_at.secs())
        .execute(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// An admin says that the clock, which says `now`, is right, to every daemon that doubts its own; false if none
    /// does. Those that are gone need no telling: their doubts end.
    pub async fn clock_confirm(&self, now: Timestamp, by: &str) -> Result<bool> {
        let alive = self.workers_alive().await?;
        let mut transaction = self.write().await?;
        let confirmed = sql::query("update clock_doubts set confirmed_at = $1, confirmed_by = $2")
            .bind(now.secs())
            .bind(by)
            .execute(&mut transaction)
            .await?;
        if let Some(alive) = alive {
            let alive: Vec<String> = alive.into_iter().collect();
            let gone = sql::query("delete from clock_doubts where not (worker = any($1))").bind(alive);
            gone.execute(&mut transaction).await?;
        }
        transaction.commit().await?;
        Ok(confirmed > 0)
    }

    /// The clock of these daemons, one and the same, is trusted again.
    pub async fn clock_doubts_end(&self, workers: &[String]) -> Result<()> {
        let mut transaction = self.write().await?;
        let end = sql::query("delete from clock_doubts where worker = any($1)").bind(workers.to_vec());
        end.execute(&mut transaction).await?;
        transaction.commit().await?;
        Ok(())
    }
}
