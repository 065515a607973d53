//! `bursar serve`: the daemon. It opens runs when their time comes and works them off, until it is told to stop.

pub mod health;
pub mod listener;
pub mod lock;
pub mod logging;
mod notify;
mod reach;
pub mod reload;
mod seldom;
mod signals;
mod status;
mod tend;
#[cfg(test)]
mod tests;
mod watchdog;
mod workers;

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::{self, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jobs::{Clock, ClockWatch, JobError, Office, Scheduler, Stopwatch, Ticked};
use providers::Cards;
use rules::Timestamp;
use store::{Address, Opening, Store, StoreError};
use tokio::task::JoinHandle;

use crate::http::{self, Face};
use crate::input::{Config, read_price_lists};
use crate::metrics::{Metrics, Requests};
use crate::serve::health::Health;
use crate::serve::lock::Lock;
use crate::serve::logging::Logging;
use crate::serve::notify::Notify;
use crate::serve::reach::Reach;
use crate::serve::reload::{Hangups, Reload, Source};
use crate::serve::seldom::Seldom;
use crate::serve::watchdog::{RoundCount, Watched};
use crate::serve::workers::Desk;

/// The queue of the wakes in the books' own file.
pub const QUEUE: &str = "bursar";

/// Who claims shards in a file. It stays the same from start to start, so that a restarted daemon takes up at once
/// what it was at; that there is only one of that name sees the lock to.
const WORKER: &str = "serve";

/// What of a daemon's work this one does. Of many over one database some may only answer, and some only work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Role {
    /// Everything
    #[default]
    All,
    /// Answers requests, runs no jobs
    Http,
    /// Runs jobs, and answers health checks alone
    Worker,
}

impl Role {
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Http => "http",
            Self::Worker => "worker",
        }
    }
}

const TICK: Duration = Duration::from_secs(1);

/// How often the books are asked whether they are still this program's to work in. Each commit asks for itself.
const ASK: Duration = Duration::from_secs(5);

/// The queue is purged as often as its wakes are kept, and daily at least; again after this when that fails.
const PURGE_AGAIN_SECS: i64 = 60;

/// What is at work when the stop comes may end within this; a batch takes a fraction of it. Systemd waits longer.
const DRAIN: Duration = Duration::from_secs(20);

/// What the daemon's process has beside its configuration.
#[derive(Default)]
pub struct Process {
    pub source: Source,
    /// None where somebody else sees to the log.
    pub logging: Option<Logging>,
    /// The socket that it was started with.
    pub listener: Option<net::TcpListener>,
}

/// Runs the daemon until SIGTERM or SIGINT; a second one ends it where it stands. SIGHUP has it read its
/// configuration anew.
pub async fn serve(
    config: Config,
    process: Process,
    role: Role,
    clock: Clock,
    cards: Arc<dyn Cards>,
) -> anyhow::Result<()> {
    let (signals, hangups) = (signals::Signals::new()?, Hangups::new()?);
    let Process { source, logging, listener } = process;
    let server = Server::start_on(&config, role, clock, cards, listener).await?;
    let (office, notify) = (server.office().clone(), server.notify.clone());
    let reload = Reload::new(config, source, logging, office.clone());
    let mut beside =
        vec![tokio::spawn(signals.ask(office.stop.clone())), tokio::spawn(hangups.obey(reload, notify.clone()))];
    if Notify::is_heard() {
        beside.push(tokio::spawn(status::tell(server.health.clone(), notify.clone())));
    }
    if let Some(patience) = sd_notify::watchdog_enabled() {
        beside.push(tokio::spawn(watchdog::tell(patience / 2, server.watched(), notify)));
    }
    let done = server.run().await;
    beside.iter().for_each(JoinHandle::abort);
    done
}

/// A daemon that is ready to run.
pub struct Server {
    config: Config,
    office: Office,
    desk: Arc<Desk>,
    health: Arc<Health>,
    reach: Arc<Reach>,
    /// None while a fence stands around the books, which are only read.
    watch: Option<ClockWatch>,
    http: JoinHandle<()>,
    /// None where nobody is to be told how it does.
    metrics: Option<JoinHandle<()>>,
    /// None of one that answers health checks alone.
    face: Option<Arc<Face>>,
    address: SocketAddr,
    worker: String,
    role: Role,
    notify: Notify,
    rounds: RoundCount,
    /// Since the books were asked.
    asked: Option<Stopwatch>,
    /// Of a file, which one daemon serves.
    _lock: Option<Lock>,
}

impl Server {
    /// Locks and opens the books, migrates them, and records the silence before this start, if it was one.
    pub async fn start(config: &Config, role: Role, clock: Clock, cards: Arc<dyn Cards>) -> anyhow::Result<Self> {
        Self::start_on(config, role, clock, cards, None).await
    }

    /// The same on a socket that is there already, if one is.
    async fn start_on(
        config: &Config,
        role: Role,
        clock: Clock,
        cards: Arc<dyn Cards>,
        listener: Option<net::TcpListener>,
    ) -> anyhow::Result<Self> {
        let now = clock.now();
        let address = Address::parse(&config.database)?;
        let worker = worker_name(&address);
        tracing::info!(version = env!("CARGO_PKG_VERSION"), database = %address, worker, clock = %now, "starting");
        let lock = address.file().map(Lock::take).transpose()?;
        let opening = Opening::serving(now).with_queue(QUEUE).with_redis(config.queue.as_deref()).named(&worker);
        let store = Store::open(&config.database, opening).await?;
        let watch = match store.come_home(now, &worker).await? {
            None => Some(begin(&store, &clock, config, role, &worker).await?),
            Some(fence) => {
                tracing::error!(reason = fence.reason, "{}", StoreError::Fenced { taken_at: fence.taken_at });
                None
            }
        };
        let office = Office::open(store, clock, config.policy.clone(), cards).await?.with_band(config.band);
        if watch.is_some() {
            adopt(&office, config).await?;
        }
        let health = Arc::new(Health::new(office.clone(), role));
        let listener = listener::listen(config.listen, listener).await?;
        let address = listener.local_addr()?;
        let face = match role {
            Role::Worker => None,
            Role::All | Role::Http => Some(Face::open(office.clone(), config.trusted_proxies.clone()).await?),
        };
        let mut router = health::router(health.clone());
        if let Some(face) = &face {
            router = http::router(face).merge(router);
        }
        let requests = Arc::new(Requests::default());
        let http = tokio::spawn(http::serve(listener, requests.clone().counting(router)));
        let metrics = match config.metrics_listen {
            Some(address) => {
                let listener = listener::listen_for_scrapes(address).await?;
                let router = Metrics::of(health.clone(), requests).router();
                Some(tokio::spawn(http::serve(listener, router)))
            }
            None => None,
        };
        let reach = Arc::new(Reach::default());
        let desk = Arc::new(Desk::new(&worker, office.clone(), health.clone(), reach.clone()));
        tracing::info!(listen = %address, "started");
        let (notify, rounds, asked) = (Notify::default(), RoundCount::default(), None);
        let config = config.clone();
        Ok(Self {
            config,
            office,
            desk,
            health,
            reach,
            watch,
            http,
            metrics,
            face,
            address,
            worker,
            role,
            notify,
            rounds,
            asked,
            _lock: lock,
        })
    }

    /// What the watchdog is to see move.
    fn watched(&self) -> Watched {
        let desk = Some(self.desk.clone()).filter(|_| self.role != Role::Http);
        Watched::new(self.office.store.clone(), self.rounds.clone(), desk)
    }

    pub fn office(&self) -> &Office {
        &self.office
    }

    /// Where the health checks answer.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs until the office's stop is asked for, and closes the books.
    pub async fn run(mut self) -> anyhow::Result<()> {
        if self.watch.is_none() {
            let lifted = self.stand_by().await;
            if !matches!(lifted, Ok(true)) {
                self.notify.stopping();
                self.http.abort();
                self.office.store.close().await;
                return lifted.map(drop);
            }
        }
        let tending = tokio::spawn(tend::tend(self.office.clone(), self.face.clone(), self.reach.clone()));
        if self.role == Role::Http {
            let ended = self.only_watch().await;
            self.notify.stopping();
            tending.abort();
            self.answer_no_more();
            self.office.store.close().await;
            return ended;
        }
        let feeling = tokio::spawn(self.reach.clone().feel(self.office.store.clone()));
        let workers = tokio::spawn(workers::supervise(self.desk.clone()));
        let ended = self.schedule().await;
        self.notify.stopping();
        tracing::info!("draining");
        let stop_began = Stopwatch::start();
        if tokio::time::timeout(DRAIN, workers).await.is_err() {
            tracing::warn!("what was at work did not end in time: it rolls back and is found due at the next start");
        }
        feeling.abort();
        tending.abort();
        self.answer_no_more();
        if tokio::time::timeout(TICK, self.close()).await.is_err() {
            tracing::warn!("the database was too busy to be closed: its log is read at the next start");
        }
        tracing::info!(took_ms = stop_began.elapsed().as_millis(), "stopped");
        ended
    }

    /// Answers who asks and changes nothing, until the fence is taken down and all begins; false if the stop is first.
    async fn stand_by(&mut self) -> anyhow::Result<bool> {
        let stop = self.office.stop.clone();
        self.notify.ready();
        while !stop.is_asked() {
            match self.office.store.refuse_changes().await {
                Ok(()) => {
                    tracing::warn!("the fence is down: these books go on");
                    let Self { office, config, role, worker, .. } = self;
                    self.watch = Some(begin(&office.store, &office.clock, config, *role, worker).await?);
                    if let Some(face) = &self.face {
                        face.keep_secret().await?;
                    }
                    self.office.reload().await?;
                    adopt(&self.office, &self.config).await?;
                    return Ok(true);
                }
                Err(error @ StoreError::SchemaTooNew { .. }) => return Err(error.into()),
                Err(StoreError::Fenced { .. }) => {}
                Err(error) => tracing::warn!(%error, "cannot see whether the fence still stands"),
            }
            self.rounds.fetch_add(1, Ordering::SeqCst);
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                () = stop.asked() => {}
            }
        }
        Ok(false)
    }

    fn answer_no_more(&self) {
        self.http.abort();
        self.metrics.iter().for_each(JoinHandle::abort);
    }

    /// Says for the last time that somebody is alive, unless the clock is in doubt.
    async fn close(&self) {
        if let Ok(now) = self.office.clock.trusted()
            && let Err(error) = jobs::end_silence(&self.office.store, now).await
        {
            tracing::warn!(%error, "the last heartbeat could not be written");
        }
        self.office.store.close().await;
    }

    /// Ticks each second, and at once when money waits for a card, until the stop or until a newer program has
    /// migrated the books.
    async fn schedule(&mut self) -> anyhow::Result<()> {
        let (stop, desk, reach) = (self.office.stop.clone(), self.desk.clone(), self.reach.clone());
        let mut rounds = Rounds::new(&self.worker, self.office.clock.now());
        while !stop.is_asked() {
            if reach.has_books() {
                tokio::select! {
                    went = self.round(&mut rounds) => went?,
                    // As if it were cut off: what it was at is looked for again.
                    () = reach.books_lost() => {}
                }
            }
            self.rounds.fetch_add(1, Ordering::SeqCst);
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                () = desk.nudged() => rounds.scheduler.nudge(),
                () = stop.asked() => {}
            }
        }
        Ok(())
    }

    async fn round(&mut self, rounds: &mut Rounds) -> anyhow::Result<()> {
        rounds.rewake_in = self.desk.rewake_in().or(rounds.rewake_in);
        match self.look(rounds.rewake_in.is_some()).await? {
            Ok(now) => {
                self.desk.let_go().await;
                if let Some(secs) = rounds.rewake_in.take() {
                    rounds.scheduler.rewake_at(now.plus_secs(secs));
                }
                let ticked = rounds.scheduler.tick(&self.office, now).await;
                note(&ticked, &mut rounds.told);
                if rounds.purge_at <= now {
                    rounds.purge_at = now.plus_secs(self.purge(now).await);
                }
                self.health.ticked(&ticked.problems);
            }
            Err((what, error)) => self.doubt(what, error),
        }
        if !rounds.was_ready && self.health.is_ready().await {
            rounds.was_ready = true;
            tracing::info!(next = %rounds.scheduler.next(), "ready");
            self.notify.ready();
        }
        Ok(())
    }

    /// Runs no jobs; that its clock is right again is for it to say.
    async fn only_watch(&mut self) -> anyhow::Result<()> {
        let stop = self.office.stop.clone();
        while !stop.is_asked() {
            match self.look(false).await? {
                Ok(_) => self.health.ticked(&[]),
                Err((what, error)) => self.doubt(what, error),
            }
            if !self.notify.is_ready() && self.health.is_ready().await {
                self.notify.ready();
            }
            self.rounds.fetch_add(1, Ordering::SeqCst);
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                () = stop.asked() => {}
            }
        }
        Ok(())
    }

    /// The time to work by, if there is something to work in; `again` asks the books whatever they said a moment ago.
    /// A program that a newer one has left behind ends.
    async fn look(&mut self, again: bool) -> anyhow::Result<Result<Timestamp, (&'static str, JobError)>> {
        if again || self.asked.as_ref().is_none_or(|asked| asked.elapsed() >= ASK) {
            match self.office.store.refuse_changes().await {
                Ok(()) => self.asked = Some(Stopwatch::start()),
                Err(error @ StoreError::SchemaTooNew { .. }) => {
                    self.office.stop.ask();
                    return Err(error.into());
                }
                Err(error) => {
                    self.asked = None;
                    return Ok(Err(("database", error.into())));
                }
            }
        }
        match &mut self.watch {
            Some(watch) => {
                Ok(watch.look(&self.office.store, &self.office.clock).await.map_err(|error| ("clock", error)))
            }
            // No fence stands any more where rounds are made.
            None => Ok(Ok(self.office.clock.now())),
        }
    }

    /// While the clock or the database is in doubt nothing is done, and whoever asks is told why.
    fn doubt(&self, what: &'static str, error: JobError) {
        let problems = [(what, error)];
        if !self.health.has_problems() {
            tracing::error!("{}", problems[0].1);
        }
        self.health.ticked(&problems);
    }

    /// Purges the queue; after how many seconds it is to be done again.
    async fn purge(&self, now: Timestamp) -> i64 {
        let kept_secs = self.office.store.wakes_kept_secs();
        match self.office.store.wakes_purge(now, kept_secs).await {
            Ok(purged) => {
                tracing::debug!(purged, "forgot wakes that were done");
                kept_secs.min(rules::DAY)
            }
            Err(error) => {
                tracing::warn!(%error, "cannot purge the queue");
                PURGE_AGAIN_SECS
            }
        }
    }
}

/// What a start changes in the books. The silence before it is known before anything is settled, by a clock that is
/// believed.
async fn begin(store: &Store, clock: &Clock, config: &Config, role: Role, worker: &str) -> anyhow::Result<ClockWatch> {
    store.queue_setup().await?;
    load_price_lists(store, config, clock.now()).await?;
    let mut watch = ClockWatch::start(store, clock, worker).await?;
    match watch.look(store, clock).await {
        Ok(now) => {
            for job in jobs::enrol(store, now).await? {
                tracing::info!(job, "its schedule was edited: it counts from now on");
            }
            // One that runs no jobs is no life of theirs.
            if role != Role::Http
                && let Some(outage) = jobs::end_silence(store, now).await?
            {
                tracing::warn!(from = %outage.from, to = %outage.to, "nobody was alive: recorded as an outage");
            }
        }
        Err(JobError::Clock(jump)) => tracing::error!("{jump}"),
        Err(error) => return Err(error.into()),
    }
    Ok(watch)
}

/// Has the configuration's numbers be those of the books.
async fn adopt(office: &Office, config: &Config) -> anyhow::Result<()> {
    if *office.policy() != config.policy {
        tracing::warn!("the configuration's numbers are others than before: they hold from now on");
    }
    Ok(office.adopt(&config.policy).await?)
}

/// What the scheduler's rounds keep from one to the next.
struct Rounds {
    scheduler: Scheduler,
    purge_at: Timestamp,
    was_ready: bool,
    /// Work failed: it is looked at again after so long.
    rewake_in: Option<i64>,
    told: Seldom,
}

impl Rounds {
    fn new(worker: &str, now: Timestamp) -> Self {
        let scheduler = Scheduler::new(worker, now);
        let purge_at = scheduler.next();
        Self { scheduler, purge_at, was_ready: false, rewake_in: None, told: Seldom::default() }
    }
}

/// Where many daemons serve, each life has a name of its own.
fn worker_name(database: &Address) -> String {
    match database.file() {
        Some(_) => WORKER.to_owned(),
        None => {
            let host = rustix::system::uname();
            let host: String = host.nodename().to_string_lossy().chars().take(30).collect();
            // Also where machines share a name and processes a number, as in containers.
            let chance = RandomState::new().build_hasher().finish();
            format!("bursar@{host}-{}-{chance:016x}", std::process::id())
        }
    }
}

fn note(ticked: &Ticked, told: &mut Seldom) {
    if let Some(outage) = ticked.outage {
        tracing::warn!(from = %outage.from, to = %outage.to, "nobody was awake: recorded as an outage");
    }
    for run in &ticked.opened {
        let slot = run.slot.map(tracing::field::display);
        if let Some(reason) = &run.held_for {
            let (job, run) = (&run.job, run.id.0);
            tracing::error!(job, run, slot, reason, "run held: see `bursar runs show`, then `bursar runs release`");
            continue;
        }
        tracing::info!(job = run.job, run = run.id.0, slot, total = run.total, "run opened");
    }
    if ticked.woken > 0 {
        tracing::info!(shards = ticked.woken, "woke shards that nobody worked on");
    }
    if ticked.retried > 0 {
        tracing::info!(accounts = ticked.retried, "tried parked accounts again");
    }
    // One cause keeps many from looking: it is told once, with whom.
    let mut causes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (what, error) in &ticked.problems {
        if told.is_time_for(what) {
            causes.entry(error.to_string()).or_default().push(what);
        }
    }
    for (error, jobs) in causes {
        tracing::error!(jobs = jobs.join(", "), error, "cannot look what is due; trying again");
    }
}

/// A new database begins with the price lists of the configuration; whether it does now.
async fn load_price_lists(store: &Store, config: &Config, now: Timestamp) -> anyhow::Result<bool> {
    if !store.price_lists().await?.is_empty() {
        return Ok(false);
    }
    if config.price_files.is_empty() {
        tracing::warn!("there is no price list: nothing can be sold. Name some in `prices.files`");
        return Ok(false);
    }
    let files = read_price_lists(&config.price_files)?;
    let lists: Vec<_> = files.iter().map(|file| (&file.plans, file.since())).collect();
    if !store.price_lists_begin(&lists, "config", now).await? {
        return Ok(false);
    }
    for file in &files {
        let path = Path::new(&file.path).display();
        tracing::info!(file = %path, plans = file.plans.len(), "price list loaded");
    }
    Ok(true)
}
