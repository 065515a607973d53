//! The workers: they take wakes from the queue and work off the shards that these point to.
//!
//! A wake only says where to look. So one that cannot be read is dropped, one that comes twice finds nothing,
//! and after an error the work waits for the next wake: what is due stays due.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use apalis::prelude::*;
use jobs::{JobError, Office, Registered, ShardEnd, ShardWork, Stopwatch, shards_at_once};
use store::{RunId, Wake, Wakes};
use tokio::sync::Notify;
use tracing::Instrument as _;

use crate::serve::health::Health;
use crate::serve::reach::Reach;
use crate::serve::seldom::Seldom;

/// How often the queue is looked into.
const POLL: Duration = Duration::from_millis(300);

/// Waited after a worker that ended by itself: an error of the queue ends one, and the next look may go well.
const AGAIN: Duration = Duration::from_secs(1);

/// A worker that lived so long was well: its end is told as the first of its kind.
const WAS_WELL: Duration = Duration::from_secs(60);

/// What failed is tried again after this.
const AFTER_FAILURE_SECS: i64 = 1;

/// Waited after a failure: all that comes next may fail just so, and the wakes would be gone in no time.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// A worker that goes on ending soon loses wakes each time: they are pushed again, but not each time.
const REWAKE_MAX_SECS: i64 = 5;

/// Wakes that wait for so long while nobody works: the worker polls no more, though it did not end.
const STALL: Duration = Duration::from_secs(60);

/// What the workers of this process share.
pub struct Desk {
    /// Who claims shards.
    worker: String,
    office: Office,
    nudge: Notify,
    /// Two wakes for the same shard must not work on it side by side: both would claim it under one name.
    in_hand: Mutex<HashSet<(RunId, u32)>>,
    /// A shard was put back.
    put_back: Notify,
    health: Arc<Health>,
    reach: Arc<Reach>,
    /// Shards whose work ended early, and which this daemon still claims.
    left: Mutex<HashSet<(RunId, u32)>>,
    /// Shards wait to be woken again, after so many seconds.
    rewake_in: Mutex<Option<i64>>,
    /// Apart from the process: apalis knows workers by name, and a name again too early is refused.
    started: AtomicU64,
    /// Wakes that were taken from the queue.
    taken: AtomicU64,
}

impl Desk {
    pub fn new(worker: &str, office: Office, health: Arc<Health>, reach: Arc<Reach>) -> Self {
        let (started, taken) = (AtomicU64::new(0), AtomicU64::new(0));
        let (nudge, put_back) = (Notify::new(), Notify::new());
        let (in_hand, left, rewake_in) = (Mutex::default(), Mutex::default(), Mutex::default());
        let worker = worker.to_owned();
        Self { worker, office, nudge, in_hand, put_back, health, reach, left, rewake_in, started, taken }
    }

    /// After how many seconds shards are to be woken again, if work ended early since this was asked last.
    pub fn rewake_in(&self) -> Option<i64> {
        self.rewake_in.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Lets go of shards whose work ended early: any daemon may be woken for them.
    pub async fn let_go(&self) {
        for (run, shard) in self.left(|left| left.clone()) {
            // Unless it came back to this one meanwhile.
            if !self.hands(|hands| hands.contains(&(run, shard)))
                && let Err(error) = self.office.store.shard_release(run, shard, &self.worker).await
            {
                tracing::debug!(%error, "a shard cannot be let go of yet");
                return;
            }
            // Only now: whoever is cut off before this does it again.
            self.left(|left| left.remove(&(run, shard)));
        }
    }

    fn left<T>(&self, with: impl FnOnce(&mut HashSet<(RunId, u32)>) -> T) -> T {
        with(&mut self.left.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Work ended early, or wakes were lost with the worker that had taken them.
    fn ask_to_rewake(&self, secs: i64) {
        let mut asked = self.rewake_in.lock().unwrap_or_else(PoisonError::into_inner);
        *asked = Some(asked.map_or(secs, |sooner| sooner.min(secs)));
    }

    /// Returns when work was done after which money waits for a card.
    pub async fn nudged(&self) {
        self.nudge.notified().await;
    }

    /// How many wakes were taken from the queue.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }

    /// Whether nothing is worked on.
    pub fn is_idle(&self) -> bool {
        self.hands(|hands| hands.is_empty())
    }

    fn worker_name(&self) -> String {
        let nth = self.started.fetch_add(1, Ordering::SeqCst);
        format!("{}-{}-{}-{nth}", self.worker, std::process::id(), self.office.clock.now().secs())
    }

    fn hands<T>(&self, with: impl FnOnce(&mut HashSet<(RunId, u32)>) -> T) -> T {
        with(&mut self.in_hand.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take_in_hand(&self, shard: (RunId, u32)) -> Option<InHand<'_>> {
        self.hands(|hands| hands.insert(shard)).then(|| InHand { desk: self, shard })
    }

    /// Returns when a stop was asked for and nothing is worked on any more.
    async fn drained(&self) {
        self.office.stop.asked().await;
        while !self.hands(|hands| hands.is_empty()) {
            self.put_back.notified().await;
        }
    }

    /// Works off what a wake points to.
    async fn work(&self, job: &Registered, run: RunId, shard: u32) -> Result<(), JobError> {
        let Some(_in_hand) = self.take_in_hand((run, shard)) else { return Ok(()) };
        // After it is in hand: who waits for empty hands must not overlook it.
        if self.office.stop.is_asked() {
            return Ok(());
        }
        // A price list may have been published, or an outage recorded, since the last wake.
        self.office.reload().await?;
        let ShardWork { tally, end } = jobs::work_shard(&self.office, job, run, shard, &self.worker).await?;
        if !tally.awaiting.is_empty() {
            self.nudge.notify_one();
        }
        if end == ShardEnd::RunDone {
            self.note_done(job, run).await?;
        }
        Ok(())
    }

    async fn note_done(&self, job: &Registered, run: RunId) -> Result<(), JobError> {
        if let Some(run) = self.office.store.run(run).await? {
            let took = run.finished_at.zip(run.started_at).map_or(0, |(to, from)| to.secs() - from.secs());
            let took = Duration::from_secs(u64::try_from(took).unwrap_or_default());
            self.office.meter.runs.observe(job.name, took);
            let slot = run.slot.map(tracing::field::display);
            let (counts, moved) = (&run.counts, &run.moved);
            tracing::info!(job = run.job, run = run.id.0, slot, done = run.done, ?counts, ?moved, "run finished");
        }
        Ok(())
    }
}

/// Puts a shard back however its work ended.
struct InHand<'a> {
    desk: &'a Desk,
    shard: (RunId, u32),
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.desk.hands(|hands| hands.remove(&self.shard));
        self.desk.put_back.notify_one();
    }
}

/// Keeps a worker alive until the stop: any error of the queue ends one for good. What it had taken is looked for in
/// the books once there is another.
pub async fn supervise(desk: Arc<Desk>) {
    let health = desk.health.clone();
    let (mut told, mut ended_early) = (Seldom::default(), 0);
    loop {
        tokio::select! {
            () = desk.reach.all_there() => {}
            () = desk.drained() => return,
        }
        let (lived, rewake_in) = (Stopwatch::start(), (ended_early - 1).clamp(0, REWAKE_MAX_SECS));
        let ended = tokio::select! {
            ended = run_worker(desk.clone(), health.clone(), rewake_in) => ended.map_err(|error| error.to_string()),
            () = stalled(&desk) => Err("it takes no wakes, though some wait".to_owned()),
            () = desk.reach.any_lost() => {
                health.workers_run(false);
                continue;
            }
            () = desk.drained() => return,
        };
        health.workers_run(false);
        let was_well = lived.elapsed() >= WAS_WELL;
        ended_early = if was_well { 0 } else { ended_early + 1 };
        if was_well {
            told.all_is_over();
        }
        if told.is_time_for("worker") {
            let reason = ended.err().unwrap_or_else(|| "by itself".to_owned());
            tracing::error!(reason, "the queue's worker ended; starting another");
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = desk.drained() => return,
        }
    }
}

/// A worker over one of the queues, whose types differ.
macro_rules! worker {
    ($wakes:expr, $desk:expr, $health:expr, $rewake_in:expr) => {{
        let begun = $desk.clone();
        let at_once = shards_at_once(&begun.office.store);
        WorkerBuilder::new($desk.worker_name().as_str())
            .backend($wakes)
            .data($desk)
            .concurrency(at_once)
            .on_event(move |_, event| match event {
                Event::Start => {
                    $health.workers_run(true);
                    begun.ask_to_rewake($rewake_in);
                }
                Event::Error(error) => tracing::debug!(%error, "the queue's worker failed"),
                _ => {}
            })
            .build(take)
    }};
}

/// Returns when wakes wait and nobody takes them.
async fn stalled(desk: &Desk) {
    let mut taken = None;
    loop {
        tokio::time::sleep(STALL).await;
        let now = Some(desk.taken.load(Ordering::SeqCst));
        let idle = now == taken && desk.hands(|hands| hands.is_empty());
        if idle && desk.office.store.wakes_waiting().await.is_ok_and(|waiting| waiting > 0) {
            return;
        }
        taken = now;
    }
}

async fn run_worker(desk: Arc<Desk>, health: Arc<Health>, rewake_in: i64) -> Result<(), WorkerError> {
    // Never `run_until`: told to stop, a worker polls the queue no more, and a fetch that it left half done keeps the
    // one connection that writes from the work it then waits for.
    match desk.office.store.wakes() {
        None => std::future::pending().await,
        Some(Wakes::Sqlite(wakes)) => worker!(wakes.poll_with_interval(POLL), desk, health, rewake_in).run().await,
        Some(Wakes::Postgres(wakes)) => worker!(wakes, desk, health, rewake_in).run().await,
        Some(Wakes::Redis(wakes)) => worker!(wakes.poll_with_interval(POLL), desk, health, rewake_in).run().await,
    }
}

/// Takes a wake. It always ends well: a task that failed would come again at once, and again.
async fn take(payload: serde_json::Value, desk: Data<Arc<Desk>>) -> Result<(), BoxDynError> {
    desk.taken.fetch_add(1, Ordering::SeqCst);
    let Ok(wake) = serde_json::from_value::<Wake>(payload.clone()) else {
        tracing::warn!(%payload, "a wake that this program cannot read is dropped");
        return Ok(());
    };
    let (Some(job), Some(run), Some(shard)) = (jobs::job(&wake.job), wake.run, wake.shard) else {
        tracing::warn!(job = wake.job, "a wake for no job or shard of this program is dropped");
        return Ok(());
    };
    let (desk, kept) = (Arc::clone(&desk), Arc::clone(&desk));
    // In a task of its own, so that a panic ends there, and a worker that is given up does not take it along.
    let work = async move {
        tokio::select! {
            worked = desk.work(job, run, shard) => worked,
            // As if it were cut off: what is not committed is due again. That they are lost is told once for all.
            () = desk.reach.books_lost() => {
                desk.left(|left| left.insert((run, shard)));
                Ok(())
            }
        }
    };
    // Whatever is logged meanwhile says of which run it is.
    let span = tracing::error_span!("run", job = job.name, run = run.0, shard);
    let failure = match tokio::spawn(work.instrument(span)).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(panic) => Some(panic.to_string()),
    };
    if let Some(error) = &failure {
        kept.office.meter.failed(job.name);
        tracing::error!(job = job.name, run = run.0, shard, error, "work stopped; it is due again");
        kept.left(|left| left.insert((run, shard)));
        kept.ask_to_rewake(AFTER_FAILURE_SECS);
        tokio::time::sleep(AFTER_FAILURE).await;
    }
    kept.health.worked(failure.map(|error| format!("{}: {error}", job.name)));
    Ok(())
}
