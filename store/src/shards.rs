//! A run's shards: who works on which accounts, and how far.

use rules::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use crate::bulk::Work;
use crate::cells::{Cells, Problem};
use crate::runs::{self, Counts, Moved, RunEnd, RunId};
use crate::write::json;
use crate::{Result, Store, StoreError};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardState {
    Queued,
    Running,
    Done,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shard {
    pub run: RunId,
    pub shard: u32,
    pub first: AccountId,
    pub last: AccountId,
    pub state: ShardState,
    pub claimed_by: Option<String>,
    pub claimed_until: Option<Timestamp>,
    /// Accounts up to this one are worked off.
    pub up_to: AccountId,
    pub done: u64,
    pub moved: Moved,
    pub counts: Counts,
    pub finished_at: Option<Timestamp>,
}

/// How far a shard came: sums since its start, written with the batch that brought it there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShardProgress {
    pub run: RunId,
    pub shard: u32,
    pub up_to: AccountId,
    pub done: u64,
    pub moved: Moved,
    pub counts: Counts,
    /// Renews the worker's claim.
    pub claimed_until: Option<Timestamp>,
}

macro_rules! select_shards {
    ($tail:literal) => {
        concat!(
            "select run_id, shard, first_account, last_account, state, claimed_by, claimed_until, up_to, done, moved,
            counts, finished_at from run_shards ",
            $tail
        )
    };
}

impl Store {
    /// Claims a shard until `until`; none if it is done, another worker's claim still stands, or its run is held
    /// or not to start yet.
    pub async fn shard_claim(
        &self,
        run: RunId,
        shard: u32,
        worker: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Shard>> {
        let mut transaction = self.write().await?;
        let claimed = sqlx::query(
            "update run_shards set state = 'running', claimed_by = $3, claimed_until = $5
            where run_id = $1 and shard = $2 and state <> 'done'
                and (claimed_by is null or claimed_by = $3 or claimed_until <= $4)
                and exists (select 1 from runs where id = $1 and state in ('queued', 'running') and starts_at <= $4)",
        )
        .bind(run.0)
        .bind(i64::from(shard))
        .bind(worker)
        .bind(now.secs())
        .bind(until.secs())
        .execute(&mut *transaction)
        .await?;
        let row = sqlx::query(select_shards!("where run_id = $1 and shard = $2"))
            .bind(run.0)
            .bind(i64::from(shard))
            .fetch_optional(&mut *transaction)
            .await?;
        transaction.commit().await?;
        row.filter(|_| claimed.rows_affected() == 1).as_ref().map(read_shard).transpose()
    }

    /// Ends a shard with its final sums, and with the last shard the run; how many shards of it are left. One
    /// that was ended before keeps its sums.
    pub async fn shard_finish(&self, progress: &ShardProgress, now: Timestamp) -> Result<u64> {
        let mut transaction = self.write().await?;
        sqlx::query(
            "update run_shards set state = 'done', up_to = last_account, done = $3, moved = $4, counts = $5,
                finished_at = $6
            where run_id = $1 and shard = $2 and state <> 'done'",
        )
        .bind(progress.run.0)
        .bind(i64::from(progress.shard))
        .bind(i64::try_from(progress.done).unwrap_or(i64::MAX))
        .bind(json(&progress.moved)?)
        .bind(json(&progress.counts)?)
        .bind(now.secs())
        .execute(&mut *transaction)
        .await?;
        let left: i64 = sqlx::query_scalar("select count(*) from run_shards where run_id = $1 and state <> 'done'")
            .bind(progress.run.0)
            .fetch_one(&mut *transaction)
            .await?;
        if left == 0 {
            runs::finish(&mut transaction, progress.run, RunEnd::Done, now).await?;
        }
        transaction.commit().await?;
        Ok(left.unsigned_abs())
    }

    /// All shards of a run, in order.
    pub async fn shards(&self, run: RunId) -> Result<Vec<Shard>> {
        let mut snapshot = self.snapshot().await?;
        let shards = of_run(&mut snapshot, run).await?;
        snapshot.commit().await?;
        Ok(shards)
    }
}

pub async fn of_run(connection: &mut SqliteConnection, run: RunId) -> Result<Vec<Shard>> {
    let rows =
        sqlx::query(select_shards!("where run_id = $1 order by shard")).bind(run.0).fetch_all(connection).await?;
    rows.iter().map(read_shard).collect()
}

pub async fn insert(connection: &mut SqliteConnection, run: RunId, shards: &[(AccountId, AccountId)]) -> Result<()> {
    let rows: Vec<(usize, &(AccountId, AccountId))> = shards.iter().enumerate().collect();
    Work::new(connection, None)
        .values(
            "insert into run_shards (run_id, shard, first_account, last_account, state, up_to, done, moved, counts) ",
            &rows,
            |cells, (shard, (first, last))| {
                cells
                    .push_bind(run.0)
                    .push_bind(i64::try_from(*shard).unwrap_or(i64::MAX))
                    .push_bind(first.0)
                    .push_bind(last.0)
                    .push("'queued'")
                    .push_bind(first.0.saturating_sub(1))
                    .push("0, '{}', '{}'");
            },
            "",
        )
        .await?;
    Ok(())
}

/// Writes how far a shard came, in the transaction of the batch.
pub async fn advance(connection: &mut SqliteConnection, progress: &ShardProgress) -> Result<()> {
    let written = sqlx::query(
        "update run_shards set up_to = $3, done = $4, moved = $5, counts = $6,
            claimed_until = coalesce($7, claimed_until)
        where run_id = $1 and shard = $2",
    )
    .bind(progress.run.0)
    .bind(i64::from(progress.shard))
    .bind(progress.up_to.0)
    .bind(i64::try_from(progress.done).unwrap_or(i64::MAX))
    .bind(json(&progress.moved)?)
    .bind(json(&progress.counts)?)
    .bind(progress.claimed_until.map(Timestamp::secs))
    .execute(connection)
    .await?;
    if written.rows_affected() == 1 {
        return Ok(());
    }
    Err(StoreError::NotFound { what: "shard", key: format!("{} of run {}", progress.shard, progress.run.0) })
}

fn read_shard(row: &SqliteRow) -> Result<Shard> {
    let read = |cells: &mut Cells<'_>| -> std::result::Result<Shard, Problem> {
        Ok(Shard {
            run: RunId(cells.int()?),
            shard: cells.small()?,
            first: AccountId(cells.int()?),
            last: AccountId(cells.int()?),
            state: cells.name()?,
            claimed_by: cells.maybe_text()?,
            claimed_until: cells.maybe_time()?,
            up_to: AccountId(cells.int()?),
            done: cells.int()?.unsigned_abs(),
            moved: cells.json()?,
            counts: cells.json()?,
            finished_at: cells.maybe_time()?,
        })
    };
    read(&mut Cells::of(row)).map_err(|problem| StoreError::CorruptTable { table: "run_shards", problem })
}
