//! `bursar simulate`: a scenario through the real engine, on a clock of its own.

mod disturb;
mod outcome;
mod play;
mod tables;

use std::path::Path;

use anyhow::Context as _;
use rules::Timestamp;
use store::{Address, Opening, Store, StoreError};

pub use outcome::Outcome;
pub use play::{Player, Refused};
pub use tables::print_tables;

use crate::input::{BadInput, Scenario, database_address};
use crate::serve::lock::Lock;

/// Plays a scenario on a throwaway file, or on the empty database at `database_url`.
pub async fn simulate(
    scenario: &Scenario,
    seed: Option<u64>,
    database_url: Option<&str>,
    progress: impl FnMut(Timestamp),
) -> anyhow::Result<Outcome> {
    let start = scenario.timeline.first().map_or(scenario.until, |entry| entry.at);
    // No daemon begins to serve what is being played.
    let address = database_url.map(database_address).transpose()?;
    let _lock = address.as_ref().and_then(Address::file).map(Lock::take).transpose()?;
    let (store, _scratch) = match database_url {
        Some(url) => (open_empty(url, start).await?, None),
        None => {
            let scratch = tempfile::tempdir().context("cannot make a folder for the throwaway database")?;
            let url = format!("sqlite:{}", scratch.path().join("books.db").display());
            (Store::open(&url, Opening::scratch(start)).await?, Some(scratch))
        }
    };
    let player = Player::new(scenario, store.clone(), seed).await?;
    let (office, refused) = player.play(progress).await?;
    // The daemon puts such an account aside and goes on; a rehearsal without it would rehearse something else.
    if let Some(parked) = store.parked().await?.first() {
        anyhow::bail!("account `{}` cannot be settled: {}", parked.name, parked.error);
    }
    let outcome = Outcome::read(&office, refused).await?;
    let violations = store.verify(None, &scenario.policy).await?;
    anyhow::ensure!(violations.is_empty(), "the books do not verify: {}", violations[0]);
    store.close().await;
    Ok(outcome)
}

async fn open_empty(url: &str, start: Timestamp) -> anyhow::Result<Store> {
    let is_new = |file: &Path| file.metadata().is_ok_and(|file| file.len() == 0);
    if !database_address(url)?.file().is_some_and(is_new) {
        check_empty(url).await?;
    }
    Ok(Store::open(url, Opening::serving(start)).await?)
}

/// Looks into a database as it is: what is refused must stay so.
async fn check_empty(url: &str) -> anyhow::Result<()> {
    let refused = |why: String| BadInput(format!("--database-url {url}: the database must be empty: {why}"));
    let store = match Store::open(url, Opening::beside()).await {
        Ok(store) => store,
        // A server's database that nothing was ever made in.
        Err(StoreError::SchemaTooOld { found: 0, .. }) => return Ok(()),
        Err(
            error @ (StoreError::NotADatabase { .. }
            | StoreError::SchemaTooNew { .. }
            | StoreError::SchemaTooOld { .. }),
        ) => return Err(refused(error.to_string()).into()),
        Err(error) => return Err(error.into()),
    };
    let empty = store.is_empty().await;
    store.close().await;
    match empty? {
        true => Ok(()),
        false => Err(refused("there are books in it".to_owned()).into()),
    }
}
