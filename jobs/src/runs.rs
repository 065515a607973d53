//! Runs: opening them for what is due, and working off their shards.

use rules::{AccountId, Timestamp};
use store::{JobControl, NewRun, Run, RunEnd, RunId, RunState, Shard, ShardProgress, Store, StoreError, Wake};

use crate::clock::Stopwatch;
use crate::error::JobError;
use crate::job::Registered;
use crate::office::Office;
use crate::slots::{Foreseen, SCHEDULE, foresee, slots_behind};
use crate::tally::Tally;

/// Accounts that are loaded, decided and committed together: well below 200 ms, so that nobody waits long.
pub const BATCH_ACCOUNTS: usize = 256;

const BATCH: i64 = BATCH_ACCOUNTS as i64;

/// Accounts of a shard, at most: what one worker takes at a time.
const SHARD_ACCOUNTS: i64 = 4096;

/// Where many daemons work, all are to find something: about so many shards, of so many accounts at least.
const SHARDS_SHARED: i64 = 32;
const SHARD_LEAST: i64 = 128;

/// For how long a worker that shows no progress keeps its shard.
const CLAIM_SECS: i64 = 60;

/// By so much two daemons' clocks may differ.
const SKEW_SECS: i64 = 60;

/// What a run is opened for.
#[derive(Clone, Copy, Debug)]
pub struct RunOrder<'a> {
    pub slot: Option<Timestamp>,
    pub covered: &'a [Timestamp],
    pub asked_by: &'a str,
    pub starts_at: Timestamp,
    pub retry_of: Option<RunId>,
    /// On one account alone.
    pub only: Option<AccountId>,
}

impl<'a> RunOrder<'a> {
    /// By somebody, at once, on all accounts.
    pub const fn by(asked_by: &'a str, now: Timestamp) -> Self {
        Self { slot: None, covered: &[], asked_by, starts_at: now, retry_of: None, only: None }
    }

    /// The run that is to be, without its shards.
    pub const fn of(self, job: &Registered, now: Timestamp) -> NewRun<'a>
    where
        'static: 'a,
    {
        let Self { slot, covered, asked_by, starts_at, retry_of, .. } = self;
        NewRun {
            job: job.name,
            due_kind: job.due_kind,
            slot,
            asked_by,
            starts_at,
            retry_of,
            one_at_a_time: false,
            covered,
            preview: None,
            held_for: None,
            shards: &[],
            total: 0,
            now,
        }
    }
}

/// Opens a run of a sweep, if anything is due and none is under way.
pub async fn open_sweep(office: &Office, job: &Registered, now: Timestamp) -> Result<Option<Run>, JobError> {
    let total = (job.due_count)(office, now).await?;
    if total == 0 || is_paused(office, job.name).await? {
        return Ok(None);
    }
    let under_way = office.store.runs_unfinished().await?;
    if under_way.iter().any(|run| run.job == job.name && (run.asked_by == SCHEDULE || run.starts_at <= now)) {
        return Ok(None);
    }
    // Asked again as it is opened: another daemon looks at the same time.
    let shards = shards_of_all(office).await?;
    let new = RunOrder::by(SCHEDULE, now).of(job, now);
    Ok(office.store.run_open(&NewRun { total, shards: &shards, one_at_a_time: true, ..new }).await?)
}

pub async fn is_paused(office: &Office, job: &str) -> Result<bool, JobError> {
    Ok(paused(&office.store.job_controls().await?, job))
}

fn paused(controls: &[JobControl], job: &str) -> bool {
    controls.iter().any(|control| control.job == job && control.is_paused())
}

/// Opens a run, cut into shards by account. On all of them it is looked at like a slot's: beyond the band it is held.
pub async fn open_run(
    office: &Office,
    job: &Registered,
    order: &RunOrder<'_>,
    now: Timestamp,
) -> Result<Option<Run>, JobError> {
    let new = order.of(job, now);
    if let Some(only) = order.only {
        return Ok(office.store.run_open(&NewRun { total: 1, shards: &[(only, only)], ..new }).await?);
    }
    let until = order.starts_at.max(now);
    let Foreseen { total, preview, held_for } =
        foresee(office, job, slots_behind(office, job, until).await?, until).await?;
    let (preview, held_for, shards) = (preview.as_deref(), held_for.as_deref(), shards_of_all(office).await?);
    Ok(office.store.run_open(&NewRun { total, preview, held_for, shards: &shards, ..new }).await?)
}

/// All accounts in shards. The last one is open: who comes before the run starts is in it.
pub async fn shards_of_all(office: &Office) -> Result<Vec<(AccountId, AccountId)>, JobError> {
    let (first, last) = office.store.account_ids_range().await?.unwrap_or((AccountId(0), AccountId(0)));
    let width = if office.store.is_shared() { width_shared(last.0 - first.0) } else { SHARD_ACCOUNTS };
    let starts = (first.0..=last.0).step_by(usize::try_from(width).unwrap_or(usize::MAX));
    let mut shards: Vec<_> = starts.map(|start| (AccountId(start), AccountId(start + width - 1))).collect();
    if let Some((_, last)) = shards.last_mut() {
        *last = AccountId(i64::MAX);
    }
    Ok(shards)
}

/// Of whole batches, where it is more than one: what is left of a batch takes as many round trips as all of it.
const fn width_shared(accounts: i64) -> i64 {
    match accounts / SHARDS_SHARED {
        ..=SHARD_LEAST => SHARD_LEAST,
        few if few <= BATCH => few,
        many if many < SHARD_ACCOUNTS => (many + BATCH - 1) / BATCH * BATCH,
        _ => SHARD_ACCOUNTS,
    }
}

/// How many shards a daemon works on at a time. On a server each of them mostly waits for it; a file has one writer.
pub fn shards_at_once(store: &Store) -> usize {
    if store.is_shared() { 6 } else { 2 }
}

/// How a worker left a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShardEnd {
    /// It was done before, or is another worker's.
    NotOurs,
    /// A stop was asked for, or the job was paused, between two batches: a later wake goes on from there.
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
    let begins = office.store.run(run).await?.map_or(Timestamp::BEGINNING, |run| run.starts_at);
    let now = not_before(begins, office.clock.trusted()?);
    if is_paused(office, job.name).await? {
        return Ok(ShardWork { tally: Tally::default(), end: ShardEnd::Stopped });
    }
    let Some(claimed) = office.store.shard_claim(run, shard, worker, now, now.plus_secs(CLAIM_SECS)).await? else {
        return Ok(ShardWork { tally: Tally::default(), end: ShardEnd::NotOurs });
    };
    office.store.run_start(run, now).await?;
    // All that is due in the shard, also what a worker before this one left half done.
    let before_first = AccountId(claimed.first.0 - 1);
    let due = (job.due)(office, now, before_first, claimed.last, u32::MAX).await?;
    let mut progress = progress_of(claimed);
    let (tally, stopped) = match work_batches(office, job, begins, &mut progress, &due).await {
        Err(JobError::Store(StoreError::ClaimLost { run, shard })) => {
            tracing::warn!(run, shard, worker, "too slow: another worker has the shard now");
            return Ok(ShardWork { tally: Tally::default(), end: ShardEnd::NotOurs });
        }
        worked => worked?,
    };
    if stopped {
        return Ok(ShardWork { tally, end: ShardEnd::Stopped });
    }
    let left = office.store.shard_finish(&progress, office.clock.now()).await?;
    Ok(ShardWork { tally, end: if left > 0 { ShardEnd::Done } else { ShardEnd::RunDone } })
}

/// The second to work by. Another daemon, whose clock is a little ahead, may have opened the run: then it is that late.
fn not_before(begins: Timestamp, now: Timestamp) -> Timestamp {
    if begins.secs() - now.secs() <= SKEW_SECS { now.max(begins) } else { now }
}

fn progress_of(claimed: Shard) -> ShardProgress {
    ShardProgress {
        run: claimed.run,
        shard: claimed.shard,
        worker: claimed.claimed_by.unwrap_or_default(),
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
    begins: Timestamp,
    progress: &mut ShardProgress,
    due: &[AccountId],
) -> Result<(Tally, bool), JobError> {
    let mut tally = Tally::default();
    for batch in due.chunks(BATCH_ACCOUNTS) {
        if office.stop.is_asked() || is_paused(office, job.name).await? {
            return Ok((tally, true));
        }
        let now = not_before(begins, office.clock.trusted()?);
        progress.claimed_until = Some(now.plus_secs(CLAIM_SECS));
        let began = Stopwatch::start();
        match (job.work)(office, batch, now, Some(&mut *progress)).await {
            Ok(worked) => {
                office.meter.batches.observe(job.name, began.elapsed());
                tally.merge(worked);
            }
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
    let controls = office.store.job_controls().await?;
    let alive = office.store.workers_alive().await?;
    let mut wakes = Vec::new();
    for run in office.store.runs_unfinished().await? {
        if run.state == RunState::Held || run.starts_at > now || paused(&controls, &run.job) {
            continue;
        }
        for shard in office.store.shards(run.id).await? {
            let lost = gone.is_some() && shard.claimed_by.as_deref() == gone;
            let is_dead = |worker: &String| alive.as_ref().is_some_and(|alive| !alive.contains(worker));
            let lost = lost || shard.claimed_by.as_ref().is_some_and(is_dead);
            let idle = lost || shard.claimed_until.is_none_or(|until| until <= now);
            if shard.finished_at.is_none() && idle {
                wakes.push(Wake { job: run.job.clone(), run: Some(run.id), slot: run.slot, shard: Some(shard.shard) });
            }
        }
    }
    office.store.wake(&wakes).await?;
    Ok(wakes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::open_slot;
    use crate::testing::{Bench, Books, WORKER, at, named};

    #[test]
    fn shards_are_of_whole_batches() {
        for (accounts, width) in [
            (0, 128),
            (32 * 128, 128),
            (32 * 200, 200),
            (32 * 256, 256),
            (32 * 257, 512),
            (10_000, 512),
            (33_333, 1_280),
            (32 * 4_095, 4_096),
            (1_000_000, 4_096),
        ] {
            assert_eq!(width_shared(accounts), width, "{accounts}");
        }
    }

    const JOB: &str = "bill_instances";
    const MIDNIGHT: &str = "2026-03-03T00:00:00Z";

    /// Two daily customers at noon before [`MIDNIGHT`], and one whose wallet will not last.
    async fn customers() -> Bench {
        let bench = Bench::at("2026-03-02T12:00:00Z").await;
        for (name, amount) in [("ann", 100), ("bob", 100), ("poor", 14)] {
            bench.customer(name, "daily", amount).await;
        }
        bench.run(JOB).await;
        bench.advance(MIDNIGHT);
        bench
    }

    #[tokio::test]
    async fn a_slot_opens_once() {
        let bench = customers().await;
        let (job, other) = (named(JOB), bench.another_office().await);
        let (one, another) =
            tokio::join!(open_slot(&bench.office, job, bench.now()), open_slot(&other, job, bench.now()));
        let opened: Vec<Run> = [one, another].into_iter().filter_map(|run| run.expect("no fault")).collect();
        let [run] = opened.as_slice() else { panic!("{opened:?}") };
        assert_eq!((run.slot, run.total, run.asked_by.as_str()), (Some(at(MIDNIGHT)), 3, "schedule"));
        bench.advance("2026-03-03T23:59:59Z");
        assert_eq!(open_slot(&bench.office, job, bench.now()).await.expect("no fault"), None);
        // Asked for by hand, there may be as many as wanted.
        for _ in 0..2 {
            let order = RunOrder::by("admin", bench.now());
            let run = open_run(&bench.office, job, &order, bench.now()).await.expect("no fault");
            assert!(run.is_some_and(|run| run.slot.is_none()));
        }
    }

    #[tokio::test]
    async fn missed_slots_are_covered_by_the_newest() {
        let bench = customers().await;
        bench.advance("2026-03-06T15:00:00Z");
        let run = open_slot(&bench.office, named(JOB), bench.now()).await.expect("no fault").expect("a run");
        assert_eq!(run.slot, Some(at("2026-03-06T00:00:00Z")));
        work_run(&bench.office, named(JOB), &run, WORKER).await.expect("worked off");
        let mut covered: Vec<Timestamp> = Vec::new();
        for run in bench.office.store.runs(Some(JOB), 10).await.expect("runs") {
            assert_eq!(run.state, RunState::Done);
            covered.extend(run.covered_by.and(run.slot));
        }
        covered.sort();
        assert_eq!(covered, ["2026-03-03T00:00:00Z", "2026-03-04T00:00:00Z", "2026-03-05T00:00:00Z"].map(at));
        // Each midnight is billed at its own second all the same.
        let charges = bench.books().await.ledger.into_iter().filter(|row| row.account == "ann" && row.period.is_some());
        let seconds: Vec<Timestamp> = charges.map(|row| row.effective_at).skip(1).collect();
        assert_eq!(seconds, [3, 4, 5, 6].map(|day| at("2026-02-28T00:00:00Z").plus_days(day)));
    }

    #[tokio::test]
    async fn a_sweep_opens_when_something_is_due_and_none_is_under_way() {
        let bench = Bench::at("2026-01-31T12:00:00Z").await;
        bench.customer("ann", "term", 100).await;
        let job = named("renew_services");
        assert_eq!(open_sweep(&bench.office, job, bench.now()).await.expect("no fault"), None);
        bench.advance("2026-02-28T12:00:00Z");
        let run = open_sweep(&bench.office, job, bench.now()).await.expect("no fault").expect("a run");
        assert_eq!(open_sweep(&bench.office, job, bench.now()).await.expect("no fault"), None);
        work_run(&bench.office, job, &run, WORKER).await.expect("worked off");
        assert_eq!(open_sweep(&bench.office, job, bench.now()).await.expect("no fault"), None);
    }

    /// A run whose wakes went lost, and its worker with them, is found by whoever looks next.
    #[tokio::test]
    async fn a_lost_wake_is_found_again() {
        let bench = customers().await;
        let run = open_slot(&bench.office, named(JOB), bench.now()).await.expect("no fault").expect("a run");
        let store = &bench.office.store;
        assert_eq!(rewake(&bench.office, None, bench.now()).await.expect("woken"), 1);
        // While a worker has claimed it, nobody is woken; after its claim ran out, somebody is.
        let until = bench.now().plus_secs(60);
        store.shard_claim(run.id, 0, "gone", bench.now(), until).await.expect("claimed").expect("a shard");
        assert_eq!(rewake(&bench.office, None, bench.now()).await.expect("woken"), 0);
        assert_eq!(rewake(&bench.office, Some("gone"), bench.now()).await.expect("woken"), 1);
        let work = work_shard(&bench.office, named(JOB), run.id, 0, WORKER).await.expect("no fault");
        assert_eq!((work.end, work.tally.done), (ShardEnd::NotOurs, 0));
        bench.advance(&until.to_string());
        assert_eq!(rewake(&bench.office, None, bench.now()).await.expect("woken"), 1);
        let work = work_shard(&bench.office, named(JOB), run.id, 0, WORKER).await.expect("no fault");
        assert_eq!((work.end, work.tally.done), (ShardEnd::RunDone, 3));
        assert_eq!(rewake(&bench.office, None, bench.now()).await.expect("woken"), 0);
        let run = store.run(run.id).await.expect("runs").expect("the run");
        assert_eq!((run.state, run.total, run.done), (RunState::Done, 3, 3));
    }

    /// A sweep that lost its wakes doesn't hold up what is due: it is worked off itself.
    #[tokio::test]
    async fn what_is_due_and_was_never_woken_is_still_due() {
        let bench = Bench::at("2026-01-31T12:00:00Z").await;
        let ann = bench.customer("ann", "term", 100).await;
        bench.advance("2026-02-28T12:00:00Z");
        let job = named("renew_services");
        open_sweep(&bench.office, job, bench.now()).await.expect("no fault").expect("a run");
        bench.give_up_runs().await;
        bench.advance("2026-02-28T12:01:00Z");
        assert_eq!(bench.due("renew_services").await, [ann]);
        assert_eq!(bench.run("renew_services").await.expect("a run").done, 1);
    }

    async fn billed(bench: &Bench) -> Books {
        assert_eq!(bench.due(JOB).await, []);
        bench.verified().await;
        bench.books().await
    }

    #[tokio::test]
    async fn two_offices_on_one_shard_leave_the_books_of_one() {
        let calm = customers().await;
        calm.run(JOB).await;
        let expected = billed(&calm).await;

        // At once: the shard is one's.
        let bench = customers().await;
        let (job, other) = (named(JOB), bench.another_office().await);
        let run = open_slot(&bench.office, job, bench.now()).await.expect("no fault").expect("a run").id;
        let (one, another) =
            tokio::join!(work_shard(&bench.office, job, run, 0, "one"), work_shard(&other, job, run, 0, "other"));
        let mut ends = [one, another].map(|work| work.expect("no fault").end);
        ends.sort_by_key(|end| *end == ShardEnd::RunDone);
        assert_eq!(ends, [ShardEnd::NotOurs, ShardEnd::RunDone]);
        assert_eq!(billed(&bench).await, expected);

        // One after the other's claim ran out: what the first decided meanwhile is refused.
        let bench = customers().await;
        let other = bench.another_office().await;
        let run = open_slot(&bench.office, job, bench.now()).await.expect("no fault").expect("a run").id;
        let until = bench.now().plus_secs(CLAIM_SECS);
        bench.office.store.shard_claim(run, 0, "one", bench.now(), until).await.expect("claimed").expect("a shard");
        let slow = bench.office.decide(&bench.all().await, bench.now()).await.expect("decided");
        bench.advance(&until.to_string());
        let work = work_shard(&other, job, run, 0, "other").await.expect("no fault");
        assert_eq!((work.end, work.tally.done), (ShardEnd::RunDone, 3));
        let (tally, stale) = bench.office.commit(slow, None).await.expect("committed");
        assert_eq!((tally.done, stale.len()), (0, 3));
        assert_eq!(billed(&bench).await, expected);
    }

    /// Wherever a batch is cut off, nothing of it is written, and the next worker leaves the same books.
    #[tokio::test]
    async fn a_batch_that_is_cut_off_is_done_again_whole() {
        let calm = customers().await;
        calm.run(JOB).await;
        let expected = billed(&calm).await;
        let mut cuts = 0;
        for statements in 0.. {
            let bench = customers().await;
            let before = bench.books().await;
            let run = open_slot(&bench.office, named(JOB), bench.now()).await.expect("no fault").expect("a run");
            bench.office.store.cut_after(statements);
            match work_run(&bench.office, named(JOB), &run, "cut").await {
                Ok(_) => break,
                Err(JobError::Store(StoreError::CutOff)) => cuts += 1,
                Err(other) => panic!("{other}"),
            }
            assert_eq!(bench.books().await, before);
            bench.advance("2026-03-03T00:01:00Z");
            let tally = work_run(&bench.office, named(JOB), &run, WORKER).await.expect("worked off");
            assert_eq!(tally.done, 3);
            assert_eq!(billed(&bench).await, expected);
        }
        assert!(cuts > 5, "{cuts}");
    }
}
