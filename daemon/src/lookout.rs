//! What an admin is to know of the jobs, asked of the books once: `doctor`, the status line and the metrics tell it.

use ::jobs::{JOBS, Registered, Wakes, next_slot};
use rules::{DueKind, Timestamp};
use store::{Backlog, Hold, JobControl, Pause, Run, RunState, Shard, Store, StoreError};

/// What waits for longer than this is overdue.
const LATE_SECS: i64 = 600;

/// The jobs as they stand at a second.
pub struct Lookout {
    pub jobs: Vec<JobState>,
    pub holds: Vec<Hold>,
    pub unfinished: Vec<Unfinished>,
    now: Timestamp,
}

/// One job.
pub struct JobState {
    pub job: &'static Registered,
    pub pause: Option<Pause>,
    /// The newest run that ended, if it failed.
    pub failed: Option<Run>,
    pub last_success: Option<Timestamp>,
    /// A slot that should have a run by now and has none.
    pub missing_slot: Option<Timestamp>,
}

/// A run that is still to do.
pub struct Unfinished {
    pub run: Run,
    pub done: u64,
    /// Since when nobody works on it.
    pub since: Timestamp,
    is_paused: bool,
}

impl Lookout {
    pub async fn look(store: &Store, now: Timestamp) -> Result<Self, StoreError> {
        let controls = store.job_controls().await?;
        let mut jobs = Vec::new();
        for job in &JOBS {
            jobs.push(job_state(store, job, control_of(&controls, job.name), now).await?);
        }
        let mut unfinished = Vec::new();
        for run in store.runs_unfinished().await? {
            let shards = store.shards(run.id).await?;
            unfinished.push(Unfinished::of(run, &shards, &controls, now));
        }
        Ok(Self { jobs, holds: store.holds().await?, unfinished, now })
    }

    /// Runs on which nobody works, though they are not held nor their jobs paused.
    pub fn unattended(&self) -> impl Iterator<Item = &Unfinished> {
        self.unfinished.iter().filter(|unfinished| unfinished.is_unattended(self.now))
    }

    /// How many slots and runs are overdue.
    pub fn overdue(&self) -> usize {
        self.unattended().count() + self.jobs.iter().filter(|state| state.missing_slot.is_some()).count()
    }

    /// Whether accounts with something of this kind due wait for an admin: for a release, or for a job's return.
    pub fn keeps_back(&self, kind: DueKind) -> bool {
        self.holds.iter().any(|hold| hold.kind == Some(kind))
            || self.jobs.iter().any(|state| state.pause.is_some() && state.job.due_kind == Some(kind))
    }

    /// What of a kind the runs of its jobs have still to do, since their slots.
    pub fn backlog(&self, kind: DueKind) -> Backlog {
        let of_kind = |job: &str| JOBS.iter().any(|known| known.name == job && known.due_kind == Some(kind));
        let runs = self.unfinished.iter().filter(|unfinished| of_kind(&unfinished.run.job)).map(|unfinished| {
            let Unfinished { run, done, .. } = unfinished;
            Backlog { count: run.total.saturating_sub(*done), oldest: Some(run.slot.unwrap_or(run.starts_at)) }
        });
        let begun = runs.filter(|backlog| backlog.oldest <= Some(self.now));
        let missing = self.jobs.iter().filter(|state| state.job.due_kind == Some(kind));
        let missing =
            missing.filter_map(|state| state.missing_slot).map(|slot| Backlog { count: 0, oldest: Some(slot) });
        begun.chain(missing).fold(Backlog::default(), Backlog::with)
    }
}

async fn job_state(
    store: &Store,
    job: &'static Registered,
    control: Option<&JobControl>,
    now: Timestamp,
) -> Result<JobState, StoreError> {
    let pause = control.and_then(|control| control.pause.clone());
    let ended = store.newest_ended(job.name).await?;
    let (failed, last_success) = match ended {
        Some(run) if run.state == RunState::Failed => (Some(run), store.last_success(job.name).await?),
        ended => (None, ended.and_then(|run| run.finished_at)),
    };
    let missing_slot = match job.wakes {
        Wakes::Calendar if pause.is_none() => missing_slot(job, store.last_slot(job.name).await?, control, now),
        _ => None,
    };
    Ok(JobState { job, pause, failed, last_success, missing_slot })
}

fn control_of<'a>(controls: &'a [JobControl], job: &str) -> Option<&'a JobControl> {
    controls.iter().find(|control| control.job == job)
}

impl Unfinished {
    fn of(run: Run, shards: &[Shard], controls: &[JobControl], now: Timestamp) -> Self {
        let control = control_of(controls, &run.job);
        let resumed = control.map(|control| control.slots_after).filter(|at| *at <= now);
        let since = last_worked_on(&run, shards).max(resumed.unwrap_or(run.opened_at));
        let is_paused = control.is_some_and(JobControl::is_paused);
        Self { done: shards.iter().map(|shard| shard.done).sum(), since, is_paused, run }
    }

    fn is_unattended(&self, now: Timestamp) -> bool {
        self.run.state != RunState::Held && !self.is_paused && now.secs() - self.since.secs() > LATE_SECS
    }
}

/// Up to when a worker has claimed a part of it, or since when it waits for one.
fn last_worked_on(run: &Run, shards: &[Shard]) -> Timestamp {
    let claims = shards.iter().flat_map(|shard| [shard.claimed_until, shard.finished_at]);
    let waits = [Some(run.opened_at), Some(run.starts_at), run.released_at, run.started_at];
    claims.chain(waits).flatten().max().unwrap_or(run.opened_at)
}

/// The first slot of a job that came some time ago and has no run. Up to when it was resumed, or its schedule edited,
/// no slot opens one.
fn missing_slot(
    job: &Registered,
    newest: Option<Timestamp>,
    control: Option<&JobControl>,
    now: Timestamp,
) -> Option<Timestamp> {
    let after = control.map(|control| control.slots_after).into_iter().chain(newest).max().filter(|_| newest.is_some());
    let slot = after.and_then(|after| next_slot(job, after));
    slot.filter(|slot| now.secs() - slot.secs() > LATE_SECS)
}

#[cfg(test)]
pub mod tests {
    use ::jobs::{Clock, Office};
    use rules::AccountId;
    use store::NewRun;

    use super::*;

    /// A run of one account, which no worker knows of.
    pub fn run_of_nobody(now: Timestamp) -> NewRun<'static> {
        NewRun {
            job: "bill_instances",
            due_kind: None,
            slot: None,
            asked_by: "test",
            starts_at: now,
            retry_of: None,
            one_at_a_time: false,
            covered: &[],
            preview: None,
            held_for: None,
            shards: &[(AccountId(1), AccountId(1))],
            total: 1,
            now,
        }
    }

    #[tokio::test]
    async fn a_run_without_workers_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("books.db").display());
        let at = |secs| Timestamp::from_secs(1_800_000_000 + secs);
        let store = store::Store::open(&url, store::Opening::scratch(at(0))).await.expect("books");
        let cards = std::sync::Arc::new(providers::NoCards);
        let office = Office::open(store, Clock::system(), rules::Policy::default(), cards).await.expect("an office");
        let run = office.store.run_open(&run_of_nobody(at(0))).await.expect("asked").expect("a run").id;
        let found = async |now: i64| {
            let lookout = Lookout::look(&office.store, at(now)).await.expect("looked");
            lookout.unattended().next().map(|found| (found.run.id, found.done))
        };
        assert_eq!(found(600).await, None);
        assert_eq!(found(601).await, Some((run, 0)));
        // A claim that stands is somebody's; one that is over is nobody's.
        office.store.shard_claim(run, 0, "w", at(700), at(1000)).await.expect("asked").expect("claimed");
        assert_eq!((found(1600).await, found(1601).await.is_some()), (None, true));
        let (store, job) = (&office.store, "bill_instances");
        ::jobs::enrol(store, at(0)).await.expect("enrolled");
        assert!(store.job_pause(job, "ann", "test", at(0)).await.expect("asked"));
        assert_eq!(found(9000).await, None, "it waits for its job");
        assert!(store.job_resume(job, at(8500)).await.expect("asked"));
        assert_eq!(found(9000).await, None, "it is back at work");
        assert!(found(9101).await.is_some());
    }

    #[test]
    fn a_resumed_job_misses_no_slot_of_its_pause() {
        let at = |text: &str| Timestamp::parse(text).expect("a time");
        let job = ::jobs::job("bill_instances").expect("a job");
        let newest = Some(at("2026-03-02T00:00:00Z"));
        let control = |slots_after| JobControl {
            due_kind: None,
            job: job.name.to_owned(),
            cron: job.cron.to_owned(),
            cron_since: Timestamp::BEGINNING,
            slots_after,
            pause: None,
        };
        let never = control(Timestamp::BEGINNING);
        let missing = |control: &JobControl, now: &str| missing_slot(job, newest, Some(control), at(now));
        assert_eq!(missing(&never, "2026-03-03T00:10:00Z"), None);
        assert_eq!(missing(&never, "2026-03-03T00:10:01Z"), Some(at("2026-03-03T00:00:00Z")));
        let resumed = control(at("2026-03-04T09:00:00Z"));
        assert_eq!(missing(&resumed, "2026-03-04T12:00:00Z"), None);
        assert_eq!(missing(&resumed, "2026-03-05T00:11:00Z"), Some(at("2026-03-05T00:00:00Z")));
        assert_eq!(missing_slot(job, None, Some(&never), at("2026-03-03T00:11:00Z")), None, "it never ran");
    }
}
