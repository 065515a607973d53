//! Runs: opening them for slots and for what is due, and working off their shards.

use std::str::FromStr;

use cron::Schedule;
use rules::{AccountId, Timestamp};
use store::{NewRun, Run, RunEnd, RunId, RunState, Shard, ShardProgress, Wake};

use crate::error::JobError;
use crate::job::Registered;
use crate::office::Office;
use crate::tally::Tally;

/// Accounts that are loaded, decided and committed together: well below 200 ms, so that nobody waits long.
pub const BATCH_ACCOUNTS: usize = 128;

/// Accounts of a shard: what one worker takes at a time.
const SHARD_ACCOUNTS: i64 = 4096;

/// For how long a worker that shows no progress keeps its shard.
const CLAIM_SECS: i64 = 60;

/// The first slot of a job's cron line after `after`.
pub fn next_slot(job: &Registered, after: Timestamp) -> Option<Timestamp> {
    let schedule = Schedule::from_str(job.cron).ok()?;
    let slot = schedule.after(&after.civil()).next()?;
    Some(Timestamp::from_secs(slot.timestamp()))
}

/// Slots of a job's cron line after `after` up to `now`, the oldest first.
pub fn due_slots(job: &Registered, after: Timestamp, now: Timestamp) -> Vec<Timestamp> {
    let Ok(schedule) = Schedule::from_str(job.cron) else { return Vec::new() };
    let later = schedule.after_owned(after.civil());
    let seconds = later.map(|slot| Timestamp::from_secs(slot.timestamp()));
    seconds.take_while(|slot| *slot <= now).collect()
}

/// The slots that a calendar job has not run: all since the last one, or the newest for a new job.
pub async fn missed_slots(office: &Office, job: &Registered, now: Timestamp) -> Result<Vec<Timestamp>, JobError> {
    match office.store.last_slot(job.name).await? {
        Some(last) => Ok(due_slots(job, last, now)),
        // A new job starts with its newest slot: it settles everything older anyway.
        None => Ok(due_slots(job, now.plus_secs(-32 * rules::DAY), now).pop().into_iter().collect()),
    }
}

/// Opens the run of the newest missed slot of a calendar job; the older ones are recorded as covered by it.
pub async fn open_slot(office: &Office, job: &Registered, now: Timestamp) -> Result<Option<Run>, JobError> {
    let mut slots = missed_slots(office, job, now).await?;
    let Some(slot) = slots.pop() else { return Ok(None) };
    open_run(office, job, Some(slot), &slots, "schedule", now).await
}

/// Opens a run of a sweep, if anything is due and none is under way.
pub async fn open_sweep(office: &Office, job: &Registered, now: Timestamp) -> Result<Option<Run>, JobError> {
    if (job.due_count)(office, now).await? == 0 {
        return Ok(None);
    }
    let under_way = office.store.runs_unfinished().await?.iter().any(|run| run.job == job.name);
    if under_way { Ok(None) } else { open_run(office, job, None, &[], "schedule", now).await }
}

/// Opens a run, cut into shards by account; none if another daemon has its slot.
pub async fn open_run(
    office: &Office,
    job: &Registered,
    slot: Option<Timestamp>,
    covered: &[Timestamp],
    asked_by: &str,
    now: Timestamp,
) -> Result<Option<Run>, JobError> {
    let total = (job.due_count)(office, now).await?;
    let shards = match office.store.account_ids_range().await? {
        Some((first, last)) => shards_of(first, last),
        None => vec![(AccountId(0), AccountId(0))],
    };
    let new = NewRun { job: job.name, slot, asked_by, covered, shards: &shards, total, now };
    Ok(office.store.run_open(&new).await?)
}

fn shards_of(first: AccountId, last: AccountId) -> Vec<(AccountId, AccountId)> {
    let width = usize::try_from(SHARD_ACCOUNTS).unwrap_or(usize::MAX);
    let starts = (first.0..=last.0).step_by(width);
    starts.map(|start| (AccountId(start), AccountId((start + SHARD_ACCOUNTS - 1).min(last.0)))).collect()
}

/// How a worker left a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShardEnd {
    /// It was done before, or is another worker's.
    NotOurs,
    /// A stop was asked for between two batches: the next wake goes on from there.
    Stopped,
    Done,
    /// It was the last of its run, which is done with it.
    RunDone,
}

/// What a worker did on a shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShardWork {
    pub tally: Tally,
    pub end: ShardEnd,
}

/// Works off all shards of a run, one after the other.
pub async fn work_run(office: &Office, job: &Registered, run: &Run, worker: &str) -> Result<Tally, JobError> {
    let mut tally = Tally::default();
    for shard in office.store.shards(run.id).await? {
        tally.merge(work_shard(office, job, run.id, shard.shard, worker).await?.tally);
    }
    Ok(tally)
}

/// Works off one shard in batches, each one transaction. A shard that is done, or another worker's, is left.
pub async fn work_shard(
    office: &Office,
    job: &Registered,
    run: RunId,
    shard: u32,
    worker: &str,
) -> Result<ShardWork, JobError> {
    let now = office.clock.now();
    let Some(claimed) = office.store.shard_claim(run, shard, worker, now, now.plus_secs(CLAIM_SECS)).await? else {
        return Ok(ShardWork { tally: Tally::default(), end: ShardEnd::NotOurs });
    };
    office.store.run_start(run, now).await?;
    // All that is due in the shard, also what a worker before this one left half done.
    let before_first = AccountId(claimed.first.0 - 1);
    let due = (job.due)(office, now, before_first, claimed.last, u32::MAX).await?;
    let mut progress = progress_of(claimed);
    let (tally, stopped) = work_batches(office, job, &mut progress, &due).await?;
    if stopped {
        return Ok(ShardWork { tally, end: ShardEnd::Stopped });
    }
    let left = office.store.shard_finish(&progress, office.clock.now()).await?;
    Ok(ShardWork { tally, end: if left > 0 { ShardEnd::Done } else { ShardEnd::RunDone } })
}

fn progress_of(claimed: Shard) -> ShardProgress {
    ShardProgress {
        run: claimed.run,
        shard: claimed.shard,
        up_to: claimed.up_to,
        done: claimed.done,
        moved: claimed.moved,
        counts: claimed.counts,
        claimed_until: None,
    }
}

/// Works off accounts of a claimed shard; whether a stop was asked for before all were done.
async fn work_batches(
    office: &Office,
    job: &Registered,
    progress: &mut ShardProgress,
    due: &[AccountId],
) -> Result<(Tally, bool), JobError> {
    let mut tally = Tally::default();
    for batch in due.chunks(BATCH_ACCOUNTS) {
        if office.stop.is_asked() {
            return Ok((tally, true));
        }
        let now = office.clock.now();
        progress.claimed_until = Some(now.plus_secs(CLAIM_SECS));
        match (job.work)(office, batch, now, Some(&mut *progress)).await {
            Ok(worked) => tally.merge(worked),
            Err(error @ JobError::BooksBroken { .. }) => {
                office.store.run_finish(progress.run, RunEnd::Failed(&error.to_string()), now).await?;
                return Err(error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok((tally, false))
}

/// Wakes workers for the shards of unfinished runs that nobody works on: their wakes may be lost.
/// Claims of `gone` count for nothing: it worked before a restart, under the same name.
pub async fn rewake(office: &Office, gone: Option<&str>, now: Timestamp) -> Result<usize, JobError> {
    office.store.runs_heal(now).await?;
    let mut wakes = Vec::new();
    for run in office.store.runs_unfinished().await? {
        if run.state == RunState::Held {
            continue;
        }
        for shard in office.store.shards(run.id).await? {
            let lost = gone.is_some() && shard.claimed_by.as_deref() == gone;
            let idle = lost || shard.claimed_until.is_none_or(|until| until <= now);
            if shard.finished_at.is_none() && idle {
                wakes.push(Wake { job: run.job.clone(), run: Some(run.id), slot: run.slot, shard: Some(shard.shard) });
            }
        }
    }
    office.store.wake(&wakes).await?;
    Ok(wakes.len())
}
