//! A clock that jumped, until it is back or an admin says that it is right.

use rules::Timestamp;

use crate::cells::{Cells, Problem};
use crate::sql;
use crate::{Result, Store, StoreError};

/// What a daemon saw of its clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClockDoubt {
    pub since: Timestamp,
    pub observed_at: Timestamp,
    pub expected_at: Timestamp,
    /// When, by that clock, an admin said that it is right, and who did.
    pub confirmed: Option<(Timestamp, String)>,
}

impl Store {
    pub async fn clock_doubt(&self) -> Result<Option<ClockDoubt>> {
        let row = sql::query("select since, observed_at, expected_at, confirmed_at, confirmed_by from clock_doubts")
            .fetch_optional(self.readers())
            .await?;
        let read = |cells: &mut Cells<'_>| -> std::result::Result<ClockDoubt, Problem> {
            let (since, observed_at, expected_at) = (cells.time()?, cells.time()?, cells.time()?);
            let confirmed = cells.maybe_time()?.zip(cells.maybe_text()?);
            Ok(ClockDoubt { since, observed_at, expected_at, confirmed })
        };
        row.map(|row| read(&mut Cells::of(&row)))
            .transpose()
            .map_err(|problem| StoreError::CorruptTable { table: "clock_doubts", problem })
    }

    /// Records that the clock is doubted; the first doubt stays until it is settled.
    pub async fn clock_doubt_record(&self, observed_at: Timestamp, expected_at: Timestamp) -> Result<()> {
        let mut transaction = self.write().await?;
        sql::query(
            "insert into clock_doubts (id, since, observed_at, expected_at) values (1, $1, $1, $2)
            on conflict (id) do nothing",
        )
        .bind(observed_at.secs())
        .bind(expected_at.secs())
        .execute(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// An admin says that the clock, which says `now`, is right; false if nobody doubts it.
    pub async fn clock_confirm(&self, now: Timestamp, by: &str) -> Result<bool> {
        let mut transaction = self.write().await?;
        let confirmed = sql::query("update clock_doubts set confirmed_at = $1, confirmed_by = $2")
            .bind(now.secs())
            .bind(by)
            .execute(&mut transaction)
            .await?;
        transaction.commit().await?;
        Ok(confirmed == 1)
    }

    /// The clock is trusted again.
    pub async fn clock_doubt_end(&self) -> Result<()> {
        let mut transaction = self.write().await?;
        sql::query("delete from clock_doubts").execute(&mut transaction).await?;
        transaction.commit().await?;
        Ok(())
    }
}
