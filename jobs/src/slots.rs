//! Calendar slots: which were missed, what their runs would do, and which accounts wait until they are open.

use std::str::FromStr;

use cron::Schedule;
use rules::{DueKind, Timestamp};
use store::{JobControl, NewRun, Run, Store};

use crate::JOBS;
use crate::error::JobError;
use crate::hold::COMPARED;
use crate::job::{Registered, Wakes};
use crate::office::Office;
use crate::preview::{Preview, preview};
use crate::runs::{RunOrder, shards_of_all};

/// Who asks for what comes by itself.
pub const SCHEDULE: &str = "schedule";

/// The first slot of a job's cron line after `after`.
pub fn next_slot(job: &Registered, after: Timestamp) -> Option<Timestamp> {
    let schedule = Schedule::from_str(job.cron).ok()?;
    let slot = schedule.after(&after.civil()).next()?;
    Some(Timestamp::from_secs(slot.timestamp()))
}

/// Slots of a job's cron line after `after` up to `now`, the oldest first.
fn due_slots(job: &Registered, after: Timestamp, now: Timestamp) -> Vec<Timestamp> {
    let Ok(schedule) = Schedule::from_str(job.cron) else { return Vec::new() };
    let later = schedule.after_owned(after.civil());
    let seconds = later.map(|slot| Timestamp::from_secs(slot.timestamp()));
    seconds.take_while(|slot| *slot <= now).collect()
}

fn control_of<'a>(controls: &'a [JobControl], job: &Registered) -> Option<&'a JobControl> {
    controls.iter().find(|control| control.job == job.name)
}

/// The slots that a calendar job has not run: all since the last one, or the newest for a new job. None while all
/// of them are older than its schedule or its un-pausing: the next one's run covers them.
async fn missed_slots(
    store: &Store,
    job: &Registered,
    control: Option<&JobControl>,
    now: Timestamp,
) -> Result<Vec<Timestamp>, JobError> {
    let mut slots = match store.last_slot(job.name).await? {
        // Before its schedule was edited other slots were counted, which are not missed.
        Some(last) => due_slots(job, control.map_or(last, |control| last.max(control.cron_since)), now),
        // A new job starts with its newest slot: it settles everything older anyway.
        None => due_slots(job, now.plus_secs(-32 * rules::DAY), now).pop().into_iter().collect(),
    };
    if slots.last() <= control.map(|control| &control.slots_after) {
        slots.clear();
    }
    Ok(slots)
}

/// A slot that is to be opened, with what its run would do.
struct Ahead {
    job: &'static Registered,
    slot: Timestamp,
    covered: Vec<Timestamp>,
    foreseen: Foreseen,
}

/// Opens the runs of the newest missed slots of calendar jobs, together; older ones are recorded as covered by them.
/// What each would do is counted before any begins: beyond the band it is held. While one of its runs is held or it
/// is paused, a job opens none.
pub async fn open_slots(office: &Office, jobs: &[&'static Registered], now: Timestamp) -> Result<Vec<Run>, JobError> {
    let controls = office.store.job_controls().await?;
    let holds = office.store.holds().await?;
    let mut ahead = Vec::new();
    for job in jobs {
        let control = control_of(&controls, job);
        let waits = holds.iter().any(|hold| hold.job == job.name) || control.is_some_and(JobControl::is_paused);
        if job.wakes == Wakes::Calendar && !waits {
            ahead.extend(look_ahead(office, job, control, now).await?);
        }
    }
    if ahead.is_empty() {
        return Ok(Vec::new());
    }
    let shards = shards_of_all(office).await?;
    let new: Vec<NewRun<'_>> = ahead
        .iter()
        .map(|ahead| NewRun {
            preview: ahead.foreseen.preview.as_deref(),
            held_for: ahead.foreseen.held_for.as_deref(),
            total: ahead.foreseen.total,
            shards: &shards,
            ..RunOrder { slot: Some(ahead.slot), covered: &ahead.covered, ..RunOrder::by(SCHEDULE, now) }
                .of(ahead.job, now)
        })
        .collect();
    Ok(office.store.runs_open(&new).await?)
}

/// The same of one job.
pub async fn open_slot(office: &Office, job: &'static Registered, now: Timestamp) -> Result<Option<Run>, JobError> {
    Ok(open_slots(office, &[job], now).await?.pop())
}

async fn look_ahead(
    office: &Office,
    job: &'static Registered,
    control: Option<&JobControl>,
    now: Timestamp,
) -> Result<Option<Ahead>, JobError> {
    let mut covered = missed_slots(&office.store, job, control, now).await?;
    let Some(slot) = covered.pop() else { return Ok(None) };
    let foreseen = foresee(office, job, covered.len() + 1, now).await?;
    Ok(Some(Ahead { job, slot, covered, foreseen }))
}

/// What a run on all accounts would do.
pub struct Foreseen {
    pub total: u64,
    pub preview: Option<String>,
    /// Why it waits for an admin, if it is beyond the band.
    pub held_for: Option<String>,
}

/// Looks ahead at a run that settles so many slots up to `until`.
pub async fn foresee(office: &Office, job: &Registered, slots: usize, until: Timestamp) -> Result<Foreseen, JobError> {
    let Some(band) = office.band().filter(|_| job.due_kind.is_some()) else {
        return Ok(Foreseen { total: (job.due_count)(office, until).await?, preview: None, held_for: None });
    };
    let slots = u32::try_from(slots).unwrap_or(u32::MAX);
    let preview = Preview { slots, ..preview(office, job, None, until, |_| {}).await? };
    let held_for = band.beyond(&preview, &office.store.runs_to_compare(job.name, COMPARED).await?);
    Ok(Foreseen { total: preview.accounts, preview: Some(serde_json::json!(preview).to_string()), held_for })
}

/// How many slots of a job a run at `until` makes up for, with those that count no more by themselves.
pub async fn slots_behind(office: &Office, job: &Registered, until: Timestamp) -> Result<usize, JobError> {
    let last = office.store.last_slot(job.name).await?;
    Ok(last.map_or(1, |last| due_slots(job, last, until).len()).max(1))
}

/// Lets a held run go on, with the slots that passed since; none if it is not held any more.
pub async fn release(office: &Office, run: &Run, by: &str, now: Timestamp) -> Result<Option<Run>, JobError> {
    let controls = office.store.job_controls().await?;
    let passed = match crate::job(&run.job) {
        Some(job) => missed_slots(&office.store, job, control_of(&controls, job), now).await?,
        None => Vec::new(),
    };
    let released = office.store.run_release(run.id, by, &passed, now).await?;
    office.reload().await?;
    Ok(released)
}

/// A job that may be held, and its first slot without a run: from that second on, accounts with its work due wait
/// until it is open, for it may be held.
#[derive(Clone, Copy, Debug)]
pub struct Unopened {
    pub job: &'static str,
    pub kind: DueKind,
    pub slot: Timestamp,
}

impl Unopened {
    pub fn is_waited_for(&self, until: Timestamp) -> bool {
        self.slot <= until
    }
}

/// Of each calendar job that ever ran: a new one's first run has nothing to be compared with.
pub async fn unopened(store: &Store) -> Result<Vec<Unopened>, JobError> {
    let controls = store.job_controls().await?;
    let mut unopened = Vec::new();
    for job in JOBS.iter().filter(|job| job.wakes == Wakes::Calendar) {
        let (Some(kind), Some(last)) = (job.due_kind, store.last_slot(job.name).await?) else { continue };
        let control = control_of(&controls, job);
        let since = control.map_or(last, |control| last.max(control.cron_since).max(control.slots_after));
        unopened.extend(next_slot(job, since).map(|slot| Unopened { job: job.name, kind, slot }));
    }
    Ok(unopened)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, named};

    #[test]
    fn slots_are_those_of_the_cron_line() {
        let slots = |name: &str, after: &str, now: &str| -> Vec<String> {
            due_slots(named(name), at(after), at(now)).iter().map(ToString::to_string).collect()
        };
        let midnights = slots("bill_instances", "2028-02-28T00:00:00Z", "2028-03-01T00:00:00Z");
        assert_eq!(midnights, ["2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"]);
        assert_eq!(slots("bill_instances", "2028-02-28T00:00:00Z", "2028-02-28T23:59:59Z"), [""; 0]);
        let firsts = slots("issue_invoices", "2026-12-31T23:59:59Z", "2027-02-01T00:00:00Z");
        assert_eq!(firsts, ["2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z"]);
        assert_eq!(next_slot(named("collect_payments"), at("2026-03-02T12:05:00Z")), Some(at("2026-03-02T12:10:00Z")));
        assert_eq!(next_slot(named("verify_books"), at("2026-03-02T04:00:00Z")), Some(at("2026-03-03T04:00:00Z")));
    }
}
