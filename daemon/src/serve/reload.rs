//! SIGHUP: the configuration is read anew, whole. A good one holds from then on as far as a running daemon can change;
//! a bad one changes nothing. The scheduler and the workers go on meanwhile.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use jobs::Office;
use rules::Policy;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::input::{Config, Problems, database_address};
use crate::serve::logging::Logging;
use crate::serve::notify::Notify;

/// Numbers that are in the books but not followed yet are followed up after this.
const AGAIN: Duration = Duration::from_secs(1);

/// Where the configuration is read from, at the start and at each reload.
#[derive(Default)]
pub struct Source {
    pub file: Option<PathBuf>,
    /// What the command line says instead.
    pub database_url: Option<String>,
    pub listen: Option<SocketAddr>,
    pub metrics_listen: Option<SocketAddr>,
}

impl Source {
    pub fn read(&self) -> anyhow::Result<Config> {
        let mut config = match &self.file {
            // With what is wrong with the price lists, too: all of it is told at once.
            Some(file) => Config::read(file).map_err(|only| Config::read_whole(file).err().unwrap_or(only))?,
            None => Config::default(),
        };
        if let Some(url) = &self.database_url {
            database_address(url)?;
            config.database.clone_from(url);
        }
        config.listen = self.listen.unwrap_or(config.listen);
        config.metrics_listen = self.metrics_listen.or(config.metrics_listen);
        Ok(config)
    }
}

/// What a reload came to.
#[derive(Debug)]
pub struct Reloaded {
    /// Keys that hold anew.
    pub taken: Vec<&'static str>,
    /// Keys that differ and wait for a restart.
    pub left: Vec<&'static str>,
}

impl Reloaded {
    /// What there is to do about it, if anything.
    fn note(&self) -> Option<String> {
        (!self.left.is_empty()).then(|| format!("changed, but only a restart takes it: {}", self.left.join(", ")))
    }
}

/// The configuration that holds, and those who go by it.
pub struct Reload {
    config: Config,
    source: Source,
    logging: Option<Logging>,
    office: Office,
    /// Numbers that hold, though what falls due by them is not told whole.
    unfollowed: Option<Policy>,
}

impl Reload {
    pub fn new(config: Config, source: Source, logging: Option<Logging>, office: Office) -> Self {
        Self { config, source, logging, office, unfollowed: None }
    }

    /// Reads the configuration anew and has it hold; if that cannot be done, all stays as it was.
    pub async fn reload(&mut self) -> anyhow::Result<Reloaded> {
        let new = self.source.read()?;
        let loaded = super::load_price_lists(&self.office.store, &new, self.office.clock.now()).await?;
        if !loaded && new.price_files != self.config.price_files {
            tracing::warn!("`prices.files` is for a new database: publish a list by `bursar prices apply`");
        }
        self.adopt(&new.policy).await?;
        // From here on nothing can fail.
        if let Some(logging) = &self.logging {
            logging.change(&new.log)?;
        }
        self.office.set_band(new.band);
        let old = std::mem::replace(&mut self.config, new);
        Ok(self.compare_and_keep(old))
    }

    /// The rules' numbers are the books': once they are in there they hold, and what falls due by them is followed up.
    async fn adopt(&mut self, numbers: &Policy) -> anyhow::Result<()> {
        let Err(error) = self.office.adopt(numbers).await else {
            self.unfollowed = None;
            return Ok(());
        };
        if !self.hold(numbers).await {
            return Err(error.into());
        }
        tracing::warn!(%error, "the numbers hold; what falls due by them is told as soon as the database lets it");
        self.unfollowed = Some(numbers.clone());
        Ok(())
    }

    /// Whether these are the numbers of the books: as soon as they can be asked.
    async fn hold(&self, numbers: &Policy) -> bool {
        loop {
            match self.office.store.policy().await {
                Ok(found) => return found.as_ref() == Some(numbers),
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    /// Goes on with numbers that hold and were not followed whole; others may have come since. Returns when there are
    /// none of that kind.
    pub async fn follow_up(&mut self) {
        while let Some(numbers) = self.unfollowed.clone() {
            tokio::time::sleep(AGAIN).await;
            if !self.hold(&numbers).await || self.office.adopt(&numbers).await.is_ok() {
                self.unfollowed = None;
            }
        }
    }

    /// Tells what differs, and keeps the old of what only a start can change.
    fn compare_and_keep(&mut self, old: Config) -> Reloaded {
        let new = &mut self.config;
        let (mut taken, mut left) = (Vec::new(), Vec::new());
        // All of them by name: a new key finds its place here, or this does not compile.
        let Config {
            database,
            database_password_file,
            queue,
            queue_password_file,
            listen,
            metrics_listen,
            trusted_proxies,
            log,
            policy,
            band,
            price_files: _,
        } = old;
        let documents_differ = policy.documents != new.policy.documents;
        let billing_differs = Policy { documents: new.policy.documents.clone(), ..policy } != new.policy;
        taken.extend((log != new.log).then_some("log"));
        taken.extend(billing_differs.then_some("billing"));
        taken.extend(documents_differ.then_some("documents"));
        taken.extend((band != new.band).then_some("hold"));
        left.extend((database != new.database).then_some("database"));
        left.extend((queue != new.queue).then_some("queue"));
        left.extend((listen != new.listen).then_some("listen"));
        left.extend((metrics_listen != new.metrics_listen).then_some("metrics_listen"));
        left.extend((trusted_proxies != new.trusted_proxies).then_some("trusted_proxies"));
        (new.trusted_proxies, new.metrics_listen) = (trusted_proxies, metrics_listen);
        (new.database, new.database_password_file) = (database, database_password_file);
        (new.queue, new.queue_password_file, new.listen) = (queue, queue_password_file, listen);
        Reloaded { taken, left }
    }
}

/// SIGHUP, which from here on does not end the process.
pub struct Hangups(Signal);

impl Hangups {
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(signal(SignalKind::hangup()).context("cannot listen to SIGHUP")?))
    }

    /// Reloads at each, one after the other.
    pub async fn obey(mut self, mut reload: Reload, notify: Notify) {
        loop {
            tokio::select! {
                Some(()) = self.0.recv() => {}
                () = reload.follow_up(), if reload.unfollowed.is_some() => continue,
                else => return,
            }
            notify.reloading();
            let note = match reload.reload().await {
                Ok(reloaded) => {
                    tracing::info!(changed = reloaded.taken.join(", "), "the configuration was read anew and holds");
                    let note = reloaded.note();
                    if let Some(note) = &note {
                        tracing::warn!("{note}");
                    }
                    note
                }
                Err(error) => Some(refused(&error)),
            };
            notify.reloaded(note);
        }
    }
}

/// Says why all stays as it was.
fn refused(error: &anyhow::Error) -> String {
    const STAYS: &str = "the new configuration was refused, the one before holds";
    match error.downcast_ref::<Problems>() {
        None => {
            tracing::error!("{STAYS}: {error:#}");
            format!("{STAYS}: {error:#}")
        }
        Some(problems) => {
            for problem in problems.as_slice() {
                tracing::error!("{problem}");
            }
            tracing::error!("{STAYS}");
            format!("{STAYS}: {}", problems.headline())
        }
    }
}
