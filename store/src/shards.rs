//! A run's shards: who works on which accounts, and how far.

use std::collections::HashSet;

use rules::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cells::{Cells, Problem};
use crate::runs::{self, Counts, Moved, RunEnd, RunId};
use crate::sql::{self, Dialect, Row, Transaction, Work};
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
    /// Who claimed it: once another one did, nothing of this is written any more.
    pub worker: String,
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

/// One that is free, the worker's own, or whose claim ran out, in a run whose time came.
macro_rules! claim {
    ($dead:expr) => {
        concat!(
            "update run_shards set state = 'running', claimed_by = $3, claimed_until = $5
            where run_id = $1 and shard = $2 and state <> 'done'
                and (claimed_by is null or claimed_by = $3 or claimed_until <= $4",
            $dead,
            ") and exists (select 1 from runs where id = $1 and state in ('queued', 'running') and starts_at <= $4)"
        )
    };
}

const CLAIM: &str = claim!("");

/// By [`crate::Pulse`] a daemon asks the server something each second. One that has been silent for longer is gone or
/// stands still. Of another role's connections the server may not say since when they are silent.
macro_rules! alive {
    () => {
        "select application_name from pg_catalog.pg_stat_activity
        where datname = current_database() and application_name <> ''
            and coalesce(state_change > clock_timestamp() - interval '10 seconds', true)"
    };
}

/// Also one of a daemon that is gone or stands still.
const CLAIM_OF_THE_DEAD: &str = claim!(concat!(" or claimed_by not in (", alive!(), ")"));

const ALIVE: &str = alive!();

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
        let mut transaction = self.write_beside().await?;
        let claimed = sql::query(transaction.dialect().pick(CLAIM, CLAIM_OF_THE_DEAD))
            .bind(run.0)
            .bind(i64::from(shard))
            .bind(worker)
            .bind(now.secs())
            .bind(until.secs())
            .execute(&mut transaction)
            .await?;
        let row = sql::query(select_shards!("where run_id = $1 and shard = $2"))
            .bind(run.0)
            .bind(i64::from(shard))
            .fetch_optional(&mut transaction)
            .await?;
        transaction.commit().await?;
        row.filter(|_| claimed == 1).as_ref().map(read_shard).transpose()
    }

    /// Lets go of a shard whose work ended early, if it is the worker's still: whoever is woken for it may have it.
    pub async fn shard_release(&self, run: RunId, shard: u32, worker: &str) -> Result<()> {
        let mut transaction = self.write_beside().await?;
        sql::query(
            "update run_shards set state = 'queued', claimed_by = null, claimed_until = null
            where run_id = $1 and shard = $2 and state = 'running' and claimed_by = $3",
        )
        .bind(run.0)
        .bind(i64::from(shard))
        .bind(worker)
        .execute(&mut transaction)
        .await?;
        transaction.commit().await
    }

    /// The daemons that are connected and awake, where a server knows: a claim of another name is a dead one's.
    pub async fn workers_alive(&self) -> Result<Option<HashSet<String>>> {
        if self.readers().dialect() == Dialect::Sqlite {
            return Ok(None);
        }
        let names: Vec<String> = sql::query_scalar(ALIVE).fetch_all(self.readers()).await?;
        Ok(Some(names.into_iter().collect()))
    }

    /// Ends a shard with its final sums, and with the last shard the run; how many shards of it are left. One
    /// that was ended before, or that another worker claimed, keeps its sums.
    pub async fn shard_finish(&self, progress: &ShardProgress, now: Timestamp) -> Result<u64> {
        let mut transaction = self.write_beside().await?;
        if transaction.dialect() == Dialect::Postgres {
            // One after the other: of two that are the last, one must see the other.
            let run = sql::query("select 1 from runs where id = $1 for no key update").bind(progress.run.0);
            run.fetch_optional(&mut transaction).await?;
        }
        sql::query(
            "update run_shards set state = 'done', up_to = last_account, done = $3, moved = $4, counts = $5,
                finished_at = $6
            where run_id = $1 and shard = $2 and state <> 'done' and claimed_by = $7",
        )
        .bind(progress.run.0)
        .bind(i64::from(progress.shard))
        .bind(i64::try_from(progress.done).unwrap_or(i64::MAX))
        .bind(json(&progress.moved)?)
        .bind(json(&progress.counts)?)
        .bind(now.secs())
        .bind(&progress.worker)
        .execute(&mut transaction)
        .await?;
        let left: i64 = sql::query_scalar("select count(*) from run_shards where run_id = $1 and state <> 'done'")
            .bind(progress.run.0)
            .fetch_one(&mut transaction)
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

pub async fn of_run(connection: &mut Transaction, run: RunId) -> Result<Vec<Shard>> {
    let rows = sql::query(select_shards!("where run_id = $1 order by shard")).bind(run.0).fetch_all(connection).await?;
    rows.iter().map(read_shard).collect()
}

pub async fn insert(connection: &mut Transaction, run: RunId, shards: &[(AccountId, AccountId)]) -> Result<()> {
    let rows: Vec<(usize, &(AccountId, AccountId))> = shards.iter().enumerate().collect();
    let columns = "run_id, shard, first_account, last_account, state, up_to, done, moved, counts";
    let mut work = Work::new(connection, None);
    work.insert("run_shards", columns, &rows, |cells, (shard, (first, last))| {
        cells
            .push_bind(run.0)
            .push_bind(i64::try_from(*shard).unwrap_or(i64::MAX))
            .push_bind(first.0)
            .push_bind(last.0)
            .push_bind("queued")
            .push_bind(first.0.saturating_sub(1))
            .push_bind(0)
            .push_bind("{}")
            .push_bind("{}");
    })
    .await
}

/// Writes how far a shard came, in the transaction of the batch. Refused once it is another worker's: then nothing of
/// the batch is written.
pub async fn advance(transaction: &mut Transaction, progress: &ShardProgress) -> Result<()> {
    let written = sql::query(
        "update run_shards set up_to = $3, done = $4, moved = $5, counts = $6,
            claimed_until = coalesce($7, claimed_until)
        where run_id = $1 and shard = $2 and state = 'running' and claimed_by = $8",
    )
    .bind(progress.run.0)
    .bind(i64::from(progress.shard))
    .bind(progress.up_to.0)
    .bind(i64::try_from(progress.done).unwrap_or(i64::MAX))
    .bind(json(&progress.moved)?)
    .bind(json(&progress.counts)?)
    .bind(progress.claimed_until.map(Timestamp::secs))
    .bind(&progress.worker)
    .execute(transaction)
    .await?;
    match written {
        1 => Ok(()),
        _ => Err(StoreError::ClaimLost { run: progress.run.0, shard: progress.shard }),
    }
}

fn read_shard(row: &Row) -> Result<Shard> {
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
