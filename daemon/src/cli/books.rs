//! The books that a command works on, beside the daemon that serves them.

use std::borrow::Cow;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jobs::{Clock, Jump, Office};
use providers::NoCards;
use rules::{AccountId, Policy, Timestamp};
use store::{Address, Opening, Store};

use crate::cli::given;
use crate::input::{BadInput, Config, database_address};
use crate::serve::QUEUE;

/// Read where neither `--config` nor `--database-url` is given, if it is there.
pub const SHIPPED_CONFIG: &str = "/etc/bursar/bursar.toml";

/// A daemon that is alive says so each half minute.
pub const ALIVE_SECS: i64 = 120;

/// The rules refuse what was asked for: nothing moved. Exit status 3.
#[derive(Debug, thiserror::Error)]
#[error("refused: {code}: {why}")]
pub struct Refused {
    /// The rules' name of it, or what else stands against it.
    pub code: &'static str,
    /// Why here, and what to do about it.
    pub why: String,
}

/// It could be done, but not now: nothing moved. Exit status 4.
#[derive(Debug, thiserror::Error)]
#[error("not now: {0}")]
pub struct NotNow(pub String);

#[derive(clap::Args)]
pub struct Books {
    /// The daemon's configuration: where the books are
    ///
    /// The rules' numbers are those that the daemon has read, whatever this file says by now. Without it and
    /// without --database-url, /etc/bursar/bursar.toml.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Instead of the configuration's `database`: sqlite:PATH or postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "URL", global = true)]
    database_url: Option<String>,
}

impl Books {
    /// A command of the program on the same books, to be typed into a shell.
    pub fn command(&self, words: &[&str]) -> String {
        let options = [
            ("--config", self.config.as_ref().map(|file| file.display().to_string())),
            ("--database-url", self.database_url.clone()),
        ];
        let given = options.into_iter().filter_map(|(option, value)| Some(format!(" {option} {}", quoted(&value?))));
        let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        format!("bursar {}{}", words.join(" "), given.collect::<String>())
    }

    /// The configuration's file, if it is one.
    pub fn file(&self) -> Option<PathBuf> {
        let shipped = || Some(PathBuf::from(SHIPPED_CONFIG)).filter(|path| path.exists());
        self.config.clone().or_else(|| if self.database_url.is_none() { shipped() } else { None })
    }

    /// The configuration, with the database that this command is for.
    pub fn configuration(&self) -> anyhow::Result<Config> {
        let mut config = match self.file() {
            Some(file) => Config::read(&file)?,
            None => Config::default(),
        };
        if let Some(url) = &self.database_url {
            database_address(url)?;
            config.database = url.clone();
        }
        Ok(config)
    }

    /// The store alone: to read in. A standby will do.
    pub async fn store(&self) -> anyhow::Result<Store> {
        open(&self.configuration()?, Opening::reading()).await
    }

    /// The store alone: to change in it what no account is settled by.
    pub async fn store_for_changes(&self) -> anyhow::Result<Store> {
        let store = open(&self.configuration()?, Opening::beside()).await?;
        store.refuse_changes().await?;
        given::noting(&store)
    }

    /// The store of books that may be a copy, to raise its fence or take it down.
    pub async fn store_at_the_fence(&self) -> anyhow::Result<Store> {
        given::noting(&open(&self.configuration()?, Opening::beside()).await?)
    }

    /// The office over the store: to decide in, without writing.
    pub async fn office(&self) -> anyhow::Result<Office> {
        self.office_over(self.store().await?).await
    }

    async fn office_over(&self, store: Store) -> anyhow::Result<Office> {
        let config = self.configuration()?;
        Ok(Office::open(store, Clock::system(), config.policy, Arc::new(NoCards)).await?.with_band(config.band))
    }

    /// The rules' numbers: those of the books, or the configuration's where no daemon has served them yet.
    pub async fn policy(&self, store: &Store) -> anyhow::Result<Policy> {
        match store.policy().await? {
            Some(policy) => Ok(policy),
            None => Ok(self.configuration()?.policy),
        }
    }

    /// The office, to change something in. That needs a daemon that is alive: one that starts after a long
    /// silence must record it before anything in it is settled (rule 11.8).
    pub async fn office_for_changes(&self) -> anyhow::Result<Office> {
        let office = self.office_over(self.store_for_changes().await?).await?;
        refuse_doubted_clock(&office.store).await?;
        refuse_silent(&office, office.store.last_alive().await?)?;
        Ok(office)
    }

    /// The office, to change price lists in: without accounts that needs no daemon, for nothing is settled.
    pub async fn office_for_prices(&self) -> anyhow::Result<Office> {
        let office = self.office_over(self.store_for_changes().await?).await?;
        if office.store.account_ids_range().await?.is_some() {
            refuse_doubted_clock(&office.store).await?;
            refuse_silent(&office, office.store.last_alive().await?)?;
        }
        Ok(office)
    }

    /// The office, to bring accounts in. That needs a daemon that is alive, or books that never had one: nothing in
    /// them waits for its silence to be recorded.
    pub async fn office_for_arrivals(&self) -> anyhow::Result<Office> {
        let office = self.office_over(self.store_for_changes().await?).await?;
        refuse_doubted_clock(&office.store).await?;
        match office.store.last_alive().await? {
            None => {}
            last => refuse_silent(&office, last)?,
        }
        Ok(office)
    }
}

/// A word as a shell takes it for one and nothing else.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:=@%+,".contains(letter);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")).into(),
    }
}

/// Whoever starts after a long silence must record it before anything is settled (rule 11.8): until then nothing is
/// changed.
pub async fn refuse_silence(office: &Office) -> anyhow::Result<()> {
    Ok(refuse_silent(office, office.store.last_alive().await?)?)
}

pub fn refuse_silent(office: &Office, last_alive: Option<Timestamp>) -> Result<(), NotNow> {
    let now = office.clock.now();
    match last_alive {
        Some(last) if (-ALIVE_SECS..=ALIVE_SECS).contains(&(now.secs() - last.secs())) => Ok(()),
        last => {
            let since = last.map_or_else(String::new, |last| format!(" since {last}"));
            Err(NotNow(format!("no daemon has been alive on these books{since}; start `bursar serve`, then again")))
        }
    }
}

async fn open(config: &Config, opening: Opening) -> anyhow::Result<Store> {
    if let Some(file) = Address::parse(&config.database)?.file() {
        refuse_anothers(file)?;
    }
    let opening = opening.with_queue(QUEUE).with_redis(config.queue.as_deref());
    Ok(Store::open(&config.database, opening).await?)
}

/// While a daemon doubts its clock, nothing is changed by anybody's.
pub async fn refuse_doubted_clock(store: &Store) -> anyhow::Result<()> {
    match store.clock_doubts().await?.first() {
        None => Ok(()),
        Some(doubt) => {
            let jump = Jump { observed: doubt.observed_at, expected: doubt.expected_at };
            Err(NotNow(jump.to_string()).into())
        }
    }
}

/// Files that one user makes beside a database lock out the other one, who may be the daemon.
fn refuse_anothers(database: &Path) -> anyhow::Result<()> {
    let (Ok(file), Ok(own)) = (fs::metadata(database), fs::metadata("/proc/self")) else { return Ok(()) };
    if file.uid() == own.uid() {
        return Ok(());
    }
    anyhow::bail!(
        "{} belongs to user {}, and you are user {}: run this as its owner, like `runuser -u bursar -- bursar …`",
        database.display(),
        file.uid(),
        own.uid()
    )
}

/// The account of that name.
pub async fn account(store: &Store, name: &str) -> anyhow::Result<AccountId> {
    let found = store.account_id(name).await?;
    found.ok_or_else(|| {
        BadInput(format!("account `{name}`: there is no such account; see `bursar accounts list`")).into()
    })
}

/// The account that has the service of that name.
pub async fn owner(store: &Store, service: &str) -> anyhow::Result<AccountId> {
    let found = store.service_owner(service).await?;
    found.ok_or_else(|| {
        BadInput(format!("service `{service}`: there is no such service; see `bursar services list`")).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_for_the_same_books_and_for_a_shell() {
        let mut books = Books { config: None, database_url: None };
        assert_eq!(books.command(&["import", "move.jsonl"]), "bursar import move.jsonl");
        books.config = Some(PathBuf::from("my books.toml"));
        books.database_url = Some("sqlite:b.db".to_owned());
        assert_eq!(
            books.command(&["import", "it's $(here); a.jsonl"]),
            r"bursar import 'it'\''s $(here); a.jsonl' --config 'my books.toml' --database-url sqlite:b.db"
        );
    }
}
