//! When to look: opens the runs of slots that came and of sweeps that find something due, wakes shards that
//! nobody works on, tries parked accounts again, and tells the books that somebody is alive.
//!
//! Between two slots nothing is asked of the database: each job's next slot is kept in memory. A slot that
//! could not be opened stays the next one, so that the next tick tries again.

use rules::{Outage, Timestamp};
use store::{Run, Store};

use crate::JOBS;
use crate::error::JobError;
use crate::job::{Job, Registered, Wakes};
use crate::office::Office;
use crate::runs::{BATCH_ACCOUNTS, is_paused, open_sweep, rewake};
use crate::slots::{next_slot, open_slots};

/// Nobody alive for so long is an outage (rule 11.8).
const OUTAGE_SECS: i64 = 12 * rules::HOUR;

const BEAT_SECS: i64 = 30;
const REWAKE_SECS: i64 = 60;

/// Where other daemons may die, what they were at is looked after more often.
const TAKE_OVER_SECS: i64 = 2;

/// One daemon tries parked accounts; if it dies at that, they are tried again after this.
const PARKED_CLAIM_SECS: i64 = 120;

const COLLECTION: &str = crate::collect_payments::CollectPayments::NAME;

/// What is next, of each job.
#[derive(Debug)]
pub struct Scheduler {
    /// Whose claims on shards are an earlier life's, which ended.
    worker: String,
    jobs: Vec<Next>,
    beat_at: Timestamp,
    rewake_at: Timestamp,
    take_over_at: Timestamp,
    first: bool,
    last: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Next {
    at: Timestamp,
    nudged: bool,
}

/// What a tick did.
#[derive(Debug, Default)]
pub struct Ticked {
    /// Some of them may be held.
    pub opened: Vec<Run>,
    /// Shards that were woken because nobody worked on them.
    pub woken: usize,
    /// Parked accounts whose next try came.
    pub retried: usize,
    pub outage: Option<Outage>,
    /// What went wrong, and with what; the next tick tries it again.
    pub problems: Vec<(&'static str, JobError)>,
}

impl Scheduler {
    /// A start: every slot may have been missed, and every shard of `worker` lost its worker.
    pub fn new(worker: &str, now: Timestamp) -> Self {
        let jobs = vec![Next { at: now, nudged: false }; JOBS.len()];
        Self {
            worker: worker.to_owned(),
            jobs,
            beat_at: now,
            rewake_at: now,
            take_over_at: now,
            first: true,
            last: now,
        }
    }

    /// Money waits for a card's answer: collection runs at the next tick, without waiting for its slot.
    pub fn nudge(&mut self) {
        for (job, next) in JOBS.iter().zip(&mut self.jobs) {
            next.nudged |= job.name == COLLECTION;
        }
    }

    /// Work failed: what this life claimed is looked at again at `at`, not only when the claims run out.
    pub fn rewake_at(&mut self, at: Timestamp) {
        self.rewake_at = self.rewake_at.min(at);
        self.first = true;
    }

    /// The second before which a tick finds nothing to do, unless it is nudged.
    pub fn next(&self) -> Timestamp {
        let slots = self.jobs.iter().map(|next| next.at);
        slots.chain([self.beat_at, self.rewake_at]).min().unwrap_or(Timestamp::BEGINNING)
    }

    /// Does what came by `now`. Called each second, it mostly finds nothing and asks nobody.
    pub async fn tick(&mut self, office: &Office, now: Timestamp) -> Ticked {
        let mut ticked = Ticked::default();
        if now < self.last {
            // The clock was set back: slots that were counted from its old time would come too late.
            *self = Self { first: false, ..Self::new(&self.worker, now) };
        }
        self.last = now;
        // First: a silence must be known before anything in it is settled.
        if self.beat_at <= now {
            match beat(office, now).await {
                Ok(outage) => {
                    ticked.outage = outage;
                    self.beat_at = now.plus_secs(BEAT_SECS);
                }
                Err(error) => {
                    ticked.problems.push(("heartbeat", error));
                    return ticked;
                }
            }
        }
        let look_again = self.rewake_at <= now;
        if look_again && let Err(error) = office.reload().await {
            ticked.problems.push(("reference", error));
        }
        // Slots before anything else that settles: their runs may be held.
        match self.open_calendar(office, look_again, now).await {
            Ok(opened) => ticked.opened = opened,
            Err(error) => ticked.problems.push(("slots", error)),
        }
        if look_again {
            match self.rewake(office, now).await {
                Ok(woken) => ticked.woken = woken,
                Err(error) => ticked.problems.push(("rewake", error)),
            }
            match retry_parked(office, now).await {
                Ok(retried) => ticked.retried = retried,
                Err(error) => ticked.problems.push(("parked", error)),
            }
        }
        if self.take_over_at <= now {
            match take_over(office, now).await {
                Ok(woken) => ticked.woken += woken,
                Err(error) => ticked.problems.push(("take over", error)),
            }
            self.take_over_at = now.plus_secs(TAKE_OVER_SECS);
        }
        for (job, next) in JOBS.iter().zip(&mut self.jobs) {
            if job.wakes == Wakes::Sweep && (next.at <= now || next.nudged) {
                match sweep(office, job, next, now).await {
                    Ok(run) => ticked.opened.extend(run),
                    Err(error) => ticked.problems.push((job.name, error)),
                }
            }
        }
        ticked
    }

    /// Opens what slots came, also of jobs that had to wait for a release, all of them together.
    async fn open_calendar(&mut self, office: &Office, all: bool, now: Timestamp) -> Result<Vec<Run>, JobError> {
        let mut jobs: Vec<&'static Registered> = Vec::new();
        for (job, next) in JOBS.iter().zip(&self.jobs) {
            if job.wakes == Wakes::Calendar && (all || next.at <= now) {
                jobs.push(job);
            }
        }
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let opened = open_slots(office, &jobs, now).await?;
        for (job, next) in JOBS.iter().zip(&mut self.jobs) {
            if job.wakes == Wakes::Calendar {
                next.at = after(job, now);
            }
        }
        Ok(opened)
    }

    async fn rewake(&mut self, office: &Office, now: Timestamp) -> Result<usize, JobError> {
        let mut woken = 0;
        // While wakes wait in the queue, more of them would help nobody. At a start they may be locked by a
        // worker that is gone.
        if self.first || office.store.wakes_waiting().await? == 0 {
            woken = rewake(office, self.first.then_some(self.worker.as_str()), now).await?;
        }
        self.first = false;
        self.rewake_at = now.plus_secs(REWAKE_SECS);
        Ok(woken)
    }
}

/// Wakes the shards of daemons that died, where there are others.
async fn take_over(office: &Office, now: Timestamp) -> Result<usize, JobError> {
    let store = &office.store;
    if !store.is_shared() || store.runs_unfinished().await?.is_empty() || store.wakes_waiting().await? > 0 {
        return Ok(0);
    }
    rewake(office, None, now).await
}

fn after(job: &Registered, now: Timestamp) -> Timestamp {
    next_slot(job, now).unwrap_or(Timestamp::from_secs(i64::MAX))
}

async fn sweep(office: &Office, job: &Registered, next: &mut Next, now: Timestamp) -> Result<Option<Run>, JobError> {
    let run = open_sweep(office, job, now).await?;
    // A run that is under way may have passed by what the nudge was for: it stays until that run is done.
    next.nudged = next.nudged && run.is_none() && under_way(office, job).await?;
    next.at = after(job, now);
    Ok(run)
}

/// Tries parked accounts again: the slot of the job that parked them may be a month away. It is collection's work.
async fn retry_parked(office: &Office, now: Timestamp) -> Result<usize, JobError> {
    if is_paused(office, COLLECTION).await? {
        return Ok(0);
    }
    let (until, most) = (now.plus_secs(PARKED_CLAIM_SECS), u32::try_from(BATCH_ACCOUNTS).unwrap_or(u32::MAX));
    let accounts = office.store.parked_claim(now, until, most).await?;
    if !accounts.is_empty() {
        office.settle_and_collect(&accounts, now).await?;
    }
    Ok(accounts.len())
}

async fn under_way(office: &Office, job: &Registered) -> Result<bool, JobError> {
    Ok(office.store.runs_unfinished().await?.iter().any(|run| run.job == job.name))
}

/// Says that somebody is alive. If nobody was for long, the outage is recorded, and the office knows of it.
async fn beat(office: &Office, now: Timestamp) -> Result<Option<Outage>, JobError> {
    let outage = end_silence(&office.store, now).await?;
    if outage.is_some() {
        office.reload().await?;
    }
    Ok(outage)
}

/// Records the outage that ends now, if there is one, together with that somebody is alive.
pub async fn end_silence(store: &Store, now: Timestamp) -> Result<Option<Outage>, JobError> {
    let is_long = |since: &Timestamp| now.secs() - since.secs() >= OUTAGE_SECS;
    let Some(beat) = store.last_alive().await?.filter(is_long) else {
        store.heartbeat(now).await?;
        return Ok(None);
    };
    // Whoever settled something after the last heartbeat was alive: what is done lies in no outage.
    let settled = store.settled_until().await?.map(|settled| settled.plus_secs(1));
    let outage = settled.into_iter().chain([beat]).max().filter(is_long).map(|since| Outage::new(since, now));
    match outage {
        Some(outage) => store.outage_end(outage, now).await?,
        None => store.heartbeat(now).await?,
    }
    Ok(outage)
}
