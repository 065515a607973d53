//! What should have been done by now and was not.

use ::jobs::{JOBS, Registered, Wakes, next_slot};
use rules::Timestamp;
use store::{JobControl, Run, RunState, Shard, Store, StoreError};

/// What waits for longer than this is overdue.
const LATE_SECS: i64 = 600;

/// A run on which nobody works, though it is not held nor its job paused.
pub struct Unattended {
    pub run: Run,
    pub since: Timestamp,
    pub done: u64,
}

/// How many slots and runs are overdue.
pub async fn count(store: &Store, controls: &[JobControl], now: Timestamp) -> Result<usize, StoreError> {
    let mut count = unattended(store, controls, now).await?.len();
    for job in &JOBS {
        let control = controls.iter().find(|control| control.job == job.name);
        if control.is_none_or(|control| control.pause.is_none()) {
            let newest = store.slots(job.name, 1).await?.pop().and_then(|run| run.slot);
            count += usize::from(missing_slot(job, newest, control, now).is_some());
        }
    }
    Ok(count)
}

pub async fn unattended(store: &Store, controls: &[JobControl], now: Timestamp) -> Result<Vec<Unattended>, StoreError> {
    let is_paused = |job: &str| controls.iter().any(|control| control.job == job && control.pause.is_some());
    let mut found = Vec::new();
    for run in store.runs_unfinished().await? {
        if run.state == RunState::Held || is_paused(&run.job) {
            continue;
        }
        let resumed = controls.iter().find(|control| control.job == run.job).map(|control| control.slots_after);
        let shards = store.shards(run.id).await?;
        let since = last_worked_on(&run, &shards).max(resumed.filter(|at| *at <= now).unwrap_or(run.opened_at));
        if now.secs() - since.secs() > LATE_SECS {
            found.push(Unattended { run, since, done: shards.iter().map(|shard| shard.done).sum() });
        }
    }
    Ok(found)
}

/// Up to when a worker has claimed a part of it, or since when it waits for one.
fn last_worked_on(run: &Run, shards: &[Shard]) -> Timestamp {
    let claims = shards.iter().flat_map(|shard| [shard.claimed_until, shard.finished_at]);
    let waits = [Some(run.opened_at), Some(run.starts_at), run.released_at, run.started_at];
    claims.chain(waits).flatten().max().unwrap_or(run.opened_at)
}

/// The first slot of a job that came some time ago and has no run. Up to when it was resumed, or its schedule edited,
/// no slot opens one.
pub fn missing_slot(
    job: &Registered,
    newest: Option<Timestamp>,
    control: Option<&JobControl>,
    now: Timestamp,
) -> Option<Timestamp> {
    let after = control.map(|control| control.slots_after).into_iter().chain(newest).max().filter(|_| newest.is_some());
    let slot = after.filter(|_| job.wakes == Wakes::Calendar).and_then(|after| next_slot(job, after));
    slot.filter(|slot| now.secs() - slot.secs() > LATE_SECS)
}

#[cfg(test)]
mod tests {
    use ::jobs::{Clock, Office};

    use super::*;

    #[tokio::test]
    async fn a_run_without_workers_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("books.db").display());
        let at = |secs| Timestamp::from_secs(1_800_000_000 + secs);
        let store = store::Store::open(&url, store::Opening::scratch(at(0))).await.expect("books");
        let cards = std::sync::Arc::new(providers::NoCards);
        let office = Office::open(store, Clock::system(), rules::Policy::default(), cards).await.expect("an office");
        let account = rules::AccountId(1);
        let new = store::NewRun {
            job: "bill_instances",
            due_kind: None,
            slot: None,
            asked_by: "test",
            starts_at: at(0),
            retry_of: None,
            one_at_a_time: false,
            covered: &[],
            preview: None,
            held_for: None,
            shards: &[(account, account)],
            total: 1,
            now: at(0),
        };
        let run = office.store.run_open(&new).await.expect("asked").expect("a run").id;
        let found = async |now: i64, controls: &[JobControl]| {
            let found = unattended(&office.store, controls, at(now)).await.expect("looked").pop();
            found.map(|found| (found.run.id, found.done))
        };
        assert_eq!(found(600, &[]).await, None);
        assert_eq!(found(601, &[]).await, Some((run, 0)));
        // A claim that stands is somebody's; one that is over is nobody's.
        office.store.shard_claim(run, 0, "w", at(700), at(1000)).await.expect("asked").expect("claimed");
        assert_eq!((found(1600, &[]).await, found(1601, &[]).await.is_some()), (None, true));
        let mut control = JobControl {
            due_kind: None,
            job: "bill_instances".to_owned(),
            cron: String::new(),
            cron_since: at(0),
            slots_after: at(0),
            pause: Some(store::Pause { at: at(0), by: "ann".to_owned(), reason: "test".to_owned() }),
        };
        assert_eq!(found(9000, std::slice::from_ref(&control)).await, None, "it waits for its job");
        (control.pause, control.slots_after) = (None, at(8500));
        assert_eq!(found(9000, std::slice::from_ref(&control)).await, None, "it is back at work");
        assert!(found(9101, &[control]).await.is_some());
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
