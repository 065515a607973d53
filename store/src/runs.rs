//! Runs of the jobs: the proof of what ran when, over how much, with which outcome.

use std::collections::BTreeMap;

use rules::{AccountId, DueKind, Micros, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cells::{Cells, Problem};
use crate::queue::Wake;
use crate::sql::{self, Row, Transaction};
use crate::write::json;
use crate::{Result, Store, StoreError, shards};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub i64);

/// How many of what: by kind of change, or by outcome.
pub type Counts = BTreeMap<String, i64>;

/// Amounts by currency.
pub type Moved = BTreeMap<String, Micros>;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Queued,
    Running,
    Done,
    Failed,
    /// It waits for an admin: its preview was beyond the band.
    Held,
    /// Somebody took back what was asked for, before it began.
    Cancelled,
}

impl RunState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Cancelled => "cancelled",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewRun<'a> {
    pub job: &'a str,
    /// What the job looks for; while the run is held, accounts with such work due wait.
    pub due_kind: Option<DueKind>,
    /// The nominal time of a calendar run; none of a sweep or of what an admin asked for.
    pub slot: Option<Timestamp>,
    pub asked_by: &'a str,
    /// Nobody works on it before.
    pub starts_at: Timestamp,
    /// The run whose place it takes.
    pub retry_of: Option<RunId>,
    /// It is opened only if no other run of its job by the same asker is unfinished, nor one that began.
    pub one_at_a_time: bool,
    /// Older slots that this run makes up for.
    pub covered: &'a [Timestamp],
    /// What it would do, as JSON.
    pub preview: Option<&'a str>,
    /// Why it is held from the first, if it is.
    pub held_for: Option<&'a str>,
    /// First and last account of each shard.
    pub shards: &'a [(AccountId, AccountId)],
    /// How many accounts there are to look at.
    pub total: u64,
    pub now: Timestamp,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    pub id: RunId,
    pub job: String,
    pub slot: Option<Timestamp>,
    /// How many slots it settles, with those that it covers.
    pub slots: u32,
    pub asked_by: String,
    pub starts_at: Timestamp,
    pub retry_of: Option<RunId>,
    pub state: RunState,
    /// What it would do, as JSON, counted before its first commit.
    pub preview: Option<String>,
    pub held_for: Option<String>,
    pub released_at: Option<Timestamp>,
    pub released_by: Option<String>,
    pub cancelled_by: Option<String>,
    pub cancelled_for: Option<String>,
    pub covered_by: Option<RunId>,
    pub opened_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub total: u64,
    pub done: u64,
    pub moved: Moved,
    pub counts: Counts,
    pub error: Option<String>,
}

impl Run {
    /// Whether there is something to retry: it failed, or parked accounts.
    pub fn left_something(&self) -> bool {
        self.state == RunState::Failed || self.counts.get("parked").is_some_and(|parked| *parked > 0)
    }
}

/// A held run: accounts with something of its kind due wait for its release.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    pub run: RunId,
    pub job: String,
    pub kind: Option<DueKind>,
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunEnd<'a> {
    Done,
    Failed(&'a str),
}

/// In the order in which [`read_run`] takes them.
macro_rules! select_runs {
    ($tail:literal) => {
        concat!(
            "select id, job, slot, slots, asked_by, starts_at, retry_of, state, preview, held_for, released_at,
            released_by, cancelled_by, cancelled_for, covered_by, opened_at, started_at, finished_at, total, done,
            moved, counts, error from runs ",
            $tail
        )
    };
}

impl Store {
    /// Opens a run with its shards, the older slots it covers and a wake for each shard; none if its slot is
    /// taken, by whichever daemon was faster.
    pub async fn run_open(&self, new: &NewRun<'_>) -> Result<Option<Run>> {
        Ok(self.runs_open(std::slice::from_ref(new)).await?.pop())
    }

    /// The same for runs that begin together.
    pub async fn runs_open(&self, new: &[NewRun<'_>]) -> Result<Vec<Run>> {
        let mut transaction = self.write().await?;
        let (mut opened, mut wakes) = (Vec::new(), Vec::new());
        for new in new {
            if let Some(id) = open_one(&mut transaction, new).await? {
                opened.push(id);
                if new.held_for.is_none() && new.starts_at <= new.now {
                    wakes.extend(wakes_of((id, new.job, new.slot), new.shards.len()));
                }
            }
        }
        self.push_within(&mut transaction, &wakes).await?;
        transaction.commit().await?;
        self.push_after(&wakes).await;
        let mut runs = Vec::new();
        for id in opened {
            runs.extend(self.run(id).await?);
        }
        Ok(runs)
    }

    /// Lets a held run go on; none if it is not held. It settles the slots that passed while it was held, too.
    pub async fn run_release(&self, id: RunId, by: &str, covered: &[Timestamp], now: Timestamp) -> Result<Option<Run>> {
        let mut transaction = self.write().await?;
        let released = sql::query(
            "update runs set state = 'queued', released_at = $2, released_by = $3 where id = $1 and state = 'held'",
        )
        .bind(id.0)
        .bind(now.secs())
        .bind(by)
        .execute(&mut transaction)
        .await?;
        if released == 0 {
            transaction.rollback().await?;
            return Ok(None);
        }
        let row = sql::query(select_runs!("where id = $1")).bind(id.0).fetch_one(&mut transaction).await?;
        let run = read_run(&row)?;
        for slot in covered {
            cover(&mut transaction, (&run.job, &run.asked_by), *slot, id, now).await?;
        }
        let shards = shards::of_run(&mut transaction, id).await?.len();
        let wakes = wakes_of((id, &run.job, run.slot), shards);
        self.push_within(&mut transaction, &wakes).await?;
        transaction.commit().await?;
        self.push_after(&wakes).await;
        Ok(Some(run))
    }

    /// Takes back a run that somebody asked for; false if it has begun, has ended, or is a slot's.
    pub async fn run_cancel(&self, id: RunId, by: &str, reason: &str, now: Timestamp) -> Result<bool> {
        // Alone: nobody claims a part of it meanwhile.
        let mut transaction = self.write().await?;
        let cancelled = sql::query(
            "update runs set state = 'cancelled', finished_at = $2, cancelled_by = $3, cancelled_for = $4
            where id = $1 and state in ('queued', 'held') and slot is null and started_at is null
                and not exists (select 1 from run_shards where run_id = $1 and state <> 'queued')",
        )
        .bind(id.0)
        .bind(now.secs())
        .bind(by)
        .bind(reason)
        .execute(&mut transaction)
        .await?;
        if cancelled == 1 {
            transaction.commit().await?;
        }
        Ok(cancelled == 1)
    }

    /// Held runs with what their jobs look for.
    pub async fn holds(&self) -> Result<Vec<Hold>> {
        let rows =
            sql::query("select id, job, due_kind from runs where state = 'held'").fetch_all(self.readers()).await?;
        let read = |cells: &mut Cells<'_>| -> std::result::Result<Hold, Problem> {
            let (run, job, kind) = (RunId(cells.int()?), cells.text()?, cells.maybe_text()?);
            let kind = DueKind::ALL.into_iter().find(|known| Some(known.name()) == kind.as_deref());
            Ok(Hold { run, job, kind })
        };
        let holds = rows.iter().map(|row| read(&mut Cells::of(row)));
        holds
            .collect::<std::result::Result<_, _>>()
            .map_err(|problem| StoreError::CorruptTable { table: "runs", problem })
    }

    /// The newest calendar runs of a job that looked at accounts and are done: what a preview is compared with.
    pub async fn runs_to_compare(&self, job: &str, limit: u32) -> Result<Vec<Run>> {
        let rows = sql::query(select_runs!(
            "where job = $1 and state = 'done' and slot is not null and done > 0 order by id desc limit $2"
        ))
        .bind(job)
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(read_run).collect()
    }

    /// Slots of a job that have a row, from the newest back: its strip.
    pub async fn slots(&self, job: &str, limit: u32) -> Result<Vec<Run>> {
        let rows = sql::query(select_runs!("where job = $1 and slot is not null order by slot desc limit $2"))
            .bind(job)
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(read_run).collect()
    }

    pub async fn run(&self, id: RunId) -> Result<Option<Run>> {
        let row = sql::query(select_runs!("where id = $1")).bind(id.0).fetch_optional(self.readers()).await?;
        row.as_ref().map(read_run).transpose()
    }

    /// The newest runs, of one job or of all.
    pub async fn runs(&self, job: Option<&str>, limit: u32) -> Result<Vec<Run>> {
        let rows = match job {
            Some(job) => sql::query(select_runs!("where job = $1 order by id desc limit $2")).bind(job),
            None => sql::query(select_runs!("order by id desc limit $1")),
        };
        let rows = rows.bind(i64::from(limit)).fetch_all(self.readers()).await?;
        rows.iter().map(read_run).collect()
    }

    /// The newest run of a job that ended by itself, well or not; a slot that another one's run covers is none.
    pub async fn newest_ended(&self, job: &str) -> Result<Option<Run>> {
        let row = sql::query(select_runs!(
            "where job = $1 and state in ('done', 'failed') and covered_by is null order by id desc limit 1"
        ));
        row.bind(job).fetch_optional(self.readers()).await?.as_ref().map(read_run).transpose()
    }

    /// When a job last did its work to the end.
    pub async fn last_success(&self, job: &str) -> Result<Option<Timestamp>> {
        let at: Option<Option<i64>> = sql::query_scalar(
            "select finished_at from runs where job = $1 and state = 'done' and covered_by is null
            order by id desc limit 1",
        )
        .bind(job)
        .fetch_optional(self.readers())
        .await?;
        Ok(at.flatten().map(Timestamp::from_secs))
    }

    /// Runs that are still to do, the oldest first.
    pub async fn runs_unfinished(&self) -> Result<Vec<Run>> {
        let rows = sql::query(select_runs!("where state in ('queued', 'running', 'held') order by id"))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(read_run).collect()
    }

    /// The newest slot of a job that was opened or covered.
    pub async fn last_slot(&self, job: &str) -> Result<Option<Timestamp>> {
        let slot: Option<i64> = sql::query_scalar("select max(slot) from runs where job = $1 and slot is not null")
            .bind(job)
            .fetch_one(self.readers())
            .await?;
        Ok(slot.map(Timestamp::from_secs))
    }

    /// From queued to running; again is no harm.
    pub async fn run_start(&self, id: RunId, now: Timestamp) -> Result<()> {
        let change = "update runs set state = 'running', started_at = coalesce(started_at, $2)
            where id = $1 and state in ('queued', 'running')";
        let mut transaction = self.write_beside().await?;
        let started = sql::query(change).bind(id.0).bind(now.secs()).execute(&mut transaction).await?;
        transaction.commit().await?;
        found(started, id)
    }

    /// Ends a run, with the sums of its shards.
    pub async fn run_finish(&self, id: RunId, end: RunEnd<'_>, now: Timestamp) -> Result<()> {
        let mut transaction = self.write().await?;
        let ended = finish(&mut transaction, id, end, now).await?;
        transaction.commit().await?;
        found(u64::from(ended), id)
    }

    /// Finishes runs whose shards are all done, which an older program left unfinished when it was killed; how
    /// many there were.
    pub async fn runs_heal(&self, now: Timestamp) -> Result<u64> {
        let broken: Vec<i64> = sql::query_scalar(
            "select id from runs where state in ('queued', 'running', 'held') and state <> 'held'
                and exists (select 1 from run_shards where run_id = runs.id)
                and not exists (select 1 from run_shards where run_id = runs.id and state <> 'done')
            order by id",
        )
        .fetch_all(self.readers())
        .await?;
        // Mostly there is none, and nobody is kept waiting. A shard that is done stays so.
        if broken.is_empty() {
            return Ok(0);
        }
        let mut transaction = self.write().await?;
        let mut healed = 0;
        for id in broken {
            healed += u64::from(finish(&mut transaction, RunId(id), RunEnd::Done, now).await?);
        }
        transaction.commit().await?;
        Ok(healed)
    }
}

/// Whether a run of the job is under way; two clocks may not agree on whether one that was opened has begun.
async fn is_under_way(connection: &mut Transaction, new: &NewRun<'_>) -> Result<bool> {
    let unfinished = sql::query_scalar(
        "select exists (select 1 from runs where state in ('queued', 'running', 'held') and job = $1
            and (asked_by = $2 or starts_at <= $3))",
    );
    unfinished.bind(new.job).bind(new.asked_by).bind(new.now.secs()).fetch_one(connection).await
}

async fn open_one(connection: &mut Transaction, new: &NewRun<'_>) -> Result<Option<RunId>> {
    if new.one_at_a_time && is_under_way(connection, new).await? {
        return Ok(None);
    }
    let id: Option<i64> = sql::query_scalar(
        "insert into runs (job, slot, asked_by, state, opened_at, total, done, moved, counts, due_kind, slots,
            starts_at, retry_of, preview, held_for)
        values ($1, $2, $3, $4, $5, $6, 0, '{}', '{}', $7, $8, $9, $10, $11, $12)
        on conflict (job, slot) where slot is not null do nothing
        returning id",
    )
    .bind(new.job)
    .bind(new.slot.map(Timestamp::secs))
    .bind(new.asked_by)
    .bind(if new.held_for.is_some() { RunState::Held } else { RunState::Queued }.name())
    .bind(new.now.secs())
    .bind(i64::try_from(new.total).unwrap_or(i64::MAX))
    .bind(new.due_kind.map(DueKind::name))
    .bind(i64::try_from(new.covered.len() + 1).unwrap_or(i64::MAX))
    .bind(new.starts_at.secs())
    .bind(new.retry_of.map(|run| run.0))
    .bind(new.preview)
    .bind(new.held_for)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(id) = id.map(RunId) else { return Ok(None) };
    for slot in new.covered {
        cover(connection, (new.job, new.asked_by), *slot, id, new.now).await?;
    }
    shards::insert(connection, id, new.shards).await?;
    Ok(Some(id))
}

fn wakes_of((id, job, slot): (RunId, &str, Option<Timestamp>), shards: usize) -> Vec<Wake> {
    (0..shards).map(|shard| Wake::of_shard(job, id, slot, shard)).collect()
}

/// Writes a run's end and the sums of its shards; false if it had ended before.
pub async fn finish(connection: &mut Transaction, id: RunId, end: RunEnd<'_>, now: Timestamp) -> Result<bool> {
    let (state, error) = match end {
        RunEnd::Done => (RunState::Done, None),
        RunEnd::Failed(error) => (RunState::Failed, Some(error)),
    };
    let (mut done, mut moved, mut counts) = (0, Moved::new(), Counts::new());
    for shard in shards::of_run(connection, id).await? {
        done += shard.done;
        for (currency, amount) in shard.moved {
            let sum = moved.entry(currency).or_default();
            *sum = sum.checked_add(amount).unwrap_or(Micros::new(i64::MAX));
        }
        for (what, count) in shard.counts {
            *counts.entry(what).or_default() += count;
        }
    }
    // In decimals, as everybody else reads amounts.
    let decimals: BTreeMap<&str, String> =
        moved.iter().map(|(currency, amount)| (currency.as_str(), amount.to_string())).collect();
    let after = json(&serde_json::json!({ "moved": decimals, "counts": counts, "error": error }))?;
    let ended: Option<String> = sql::query_scalar(
        "update runs set state = $2, error = $3, finished_at = $4, started_at = coalesce(started_at, $4),
            done = $5, moved = $6, counts = $7
        where id = $1 and state in ('queued', 'running', 'held') returning job",
    )
    .bind(id.0)
    .bind(state.name())
    .bind(error)
    .bind(now.secs())
    .bind(i64::try_from(done).unwrap_or(i64::MAX))
    .bind(json(&moved)?)
    .bind(json(&counts)?)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(job) = ended else { return Ok(false) };
    // What a job did stands in the log of who changed what, too: in sums, for the ledger has each entry's run.
    sql::query(
        "insert into audit_log (at, actor, request, action, object, result, after)
        values ($1, $2, $3, 'run', $4, $5, $6)",
    )
    .bind(now.secs())
    .bind(format!("job:{job}"))
    .bind(format!("run-{}", id.0))
    .bind(format!("run {}", id.0))
    .bind(state.name())
    .bind(after)
    .execute(connection)
    .await?;
    Ok(true)
}

fn found(written: u64, id: RunId) -> Result<()> {
    if written == 1 { Ok(()) } else { Err(StoreError::NotFound { what: "run in that state", key: id.0.to_string() }) }
}

/// Records an older slot as done by `by`; one that has a run of its own keeps it.
async fn cover(
    connection: &mut Transaction,
    (job, asked_by): (&str, &str),
    slot: Timestamp,
    by: RunId,
    now: Timestamp,
) -> Result<()> {
    sql::query(
        "insert into runs (job, slot, asked_by, state, covered_by, opened_at, starts_at, finished_at, total, done,
            moved, counts, slots)
        values ($1, $2, $3, 'done', $4, $5, $5, $5, 0, 0, '{}', '{}', 1)
        on conflict (job, slot) where slot is not null do nothing",
    )
    .bind(job)
    .bind(slot.secs())
    .bind(asked_by)
    .bind(by.0)
    .bind(now.secs())
    .execute(connection)
    .await?;
    Ok(())
}

fn read_run(row: &Row) -> Result<Run> {
    let read = |cells: &mut Cells<'_>| -> std::result::Result<Run, Problem> {
        Ok(Run {
            id: RunId(cells.int()?),
            job: cells.text()?,
            slot: cells.maybe_time()?,
            slots: cells.small()?,
            asked_by: cells.text()?,
            starts_at: cells.time()?,
            retry_of: cells.maybe_int()?.map(RunId),
            state: cells.name()?,
            preview: cells.maybe_text()?,
            held_for: cells.maybe_text()?,
            released_at: cells.maybe_time()?,
            released_by: cells.maybe_text()?,
            cancelled_by: cells.maybe_text()?,
            cancelled_for: cells.maybe_text()?,
            covered_by: cells.maybe_int()?.map(RunId),
            opened_at: cells.time()?,
            started_at: cells.maybe_time()?,
            finished_at: cells.maybe_time()?,
            total: cells.int()?.unsigned_abs(),
            done: cells.int()?.unsigned_abs(),
            moved: cells.json()?,
            counts: cells.json()?,
            error: cells.maybe_text()?,
        })
    };
    read(&mut Cells::of(row)).map_err(|problem| StoreError::CorruptTable { table: "runs", problem })
}
