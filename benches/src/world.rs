//! The host that the benchmarks bill: plans, accounts and services, all alike from round to round.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jobs::{Clock, Office};
use providers::ScriptedCards;
use rules::{
    Account, AccountId, Action, Changes, Component, Micros, Mode, NewAccount, Plan, Policy, PriceList, Progress, Tier,
    Timestamp, due_seconds,
};
use store::{Commit, Opening, Stamp, Store};

const BOOKS: &str = "books.db";

/// Accounts of one commit.
const BATCH: usize = 200;

pub fn plans() -> PriceList {
    let plan = |mode, cents: i64| Plan {
        mode,
        price: Micros::new(cents * 10_000),
        currency: None,
        term_months: 1,
        components: BTreeMap::new(),
        options: BTreeMap::new(),
        private: false,
    };
    let mut daily = plan(Mode::Daily, 240);
    let tiers = vec![Tier { up_to: None, unit_price: Micros::new(10_000) }];
    let included = Micros::new(100_000_000);
    daily.components.insert("cpe".into(), Component { included, tiers, metered: false, shrink_erases: false });
    [
        ("daily".to_owned(), daily),
        ("term".to_owned(), plan(Mode::Term, 600)),
        ("monthly".to_owned(), plan(Mode::Monthly, 1200)),
        ("hourly".to_owned(), plan(Mode::Hourly, 2)),
    ]
    .into()
}

/// A bonus that lasts for years.
pub fn fund() -> Action {
    Action::Adjust { amount: Micros::new(900_000_000_000), author: "bench".into(), reason: "funds".into() }
}

pub fn create(service: String, plan: &str) -> Action {
    let quantities = match plan {
        "daily" => [("cpe".to_owned(), Micros::new(250_000_000))].into(),
        _ => BTreeMap::new(),
    };
    Action::CreateService { service, plan: plan.to_owned(), quantities, options: BTreeSet::new() }
}

/// An office over a file.
pub struct World {
    pub office: Office,
    path: PathBuf,
    /// Where the file is thrown away with it.
    _folder: Option<tempfile::TempDir>,
}

impl World {
    /// New books, thrown away behind it.
    pub async fn new(start: Timestamp, opening: Opening) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let world = Self::in_folder(folder.path(), start, opening).await?;
        Ok(Self { _folder: Some(folder), ..world })
    }

    /// The books of a folder, with their prices if they are new.
    pub async fn in_folder(folder: &Path, start: Timestamp, opening: Opening) -> anyhow::Result<Self> {
        let path = folder.join(BOOKS);
        let store = Store::open(&format!("sqlite:{}", path.display()), opening).await?;
        if store.price_lists().await?.is_empty() {
            store.price_list_insert(&plans(), Timestamp::BEGINNING, "bench", start).await?;
        }
        let cards = Arc::new(ScriptedCards::default());
        let office = Office::open(store, Clock::simulated(start), Policy::default(), cards).await?;
        Ok(Self { office, path, _folder: None })
    }

    /// The file of the books.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub async fn open(&self, names: impl Iterator<Item = String>, at: Timestamp) -> anyhow::Result<Vec<AccountId>> {
        let mut ids = Vec::new();
        for name in names {
            let new = NewAccount { name, currency: None, trial: false, resume_on_deposit: false, card: None };
            ids.push(self.office.open_account(new, at).await?);
        }
        Ok(ids)
    }

    /// Does one action on each of many accounts, in batches.
    pub async fn act_on_all(
        &self,
        accounts: &mut [Account],
        at: Timestamp,
        action: impl Fn(&Account) -> Action,
    ) -> anyhow::Result<()> {
        for batch in accounts.chunks_mut(BATCH) {
            let decided: Vec<Changes> = self.office.with_context(|cx| {
                batch
                    .iter()
                    .map(|account| rules::act(account.clone(), cx, &action(account), at))
                    .collect::<Result<_, _>>()
            })?;
            self.write(batch, decided, at).await?;
        }
        Ok(())
    }

    /// Settles many accounts, in batches.
    pub async fn settle_all(&self, accounts: &mut [Account], until: Timestamp) -> anyhow::Result<()> {
        for batch in accounts.chunks_mut(BATCH) {
            let decided: Vec<Changes> = self.office.with_context(|cx| {
                batch.iter().map(|account| rules::settle(account.clone(), cx, until)).collect::<Result<_, _>>()
            })?;
            anyhow::ensure!(decided.iter().all(|changes| changes.progress == Progress::Settled), "a card is asked for");
            self.write(batch, decided, until).await?;
        }
        Ok(())
    }

    async fn write(&self, batch: &mut [Account], decided: Vec<Changes>, at: Timestamp) -> anyhow::Result<()> {
        for (account, changes) in batch.iter_mut().zip(&decided) {
            anyhow::ensure!(changes.outcome.is_none_or(|outcome| outcome.is_ok()), "an action was refused");
            *account = changes.account.clone();
            // What the commit makes of it.
            account.version += 1;
            account.services.retain(|service| !service.is_finished(changes.account.invoiced_until));
        }
        let revision = self.office.revision();
        let commits: Vec<Commit> = self.office.with_context(|cx| {
            decided.into_iter().map(|changes| Commit { due: due_seconds(&changes.account, cx), changes }).collect()
        });
        self.office.store.commit(&commits, Stamp { recorded_at: at, run: None, revision }, None).await?;
        Ok(())
    }
}
