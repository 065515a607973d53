//! What customers and admins did and when it counted; and the same on a host that nothing disturbs.

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use jobs::{Acted, Clock, Office};
use providers::{CardCharge, Cards, Unreachable};
use rules::{
    AccountId, Action, Answer, Component, Micros, Mode, NewAccount, Outage, Plan, Policy, PriceList, ReceiptKind, Tier,
    Timestamp,
};
use store::{NewReceipt, Opening, Store};
use tempfile::TempDir;

use crate::support::dice::mixed;

pub const AUTHOR: &str = "walk";

const FILE: &str = "books.db";

/// The queue that wakes go to; nobody takes them, for each tick looks at all runs.
const QUEUE: &str = "walk";

#[derive(Clone, Debug)]
pub enum Verb {
    Act(AccountId, Action, Acted),
    Receive(AccountId, ReceiptKind, Micros),
    /// A list that takes effect later.
    Publish(PriceList, Timestamp),
    Outage(Outage),
}

/// What happened, and the second at which it counts.
#[derive(Clone, Debug)]
pub struct Entry {
    pub at: Timestamp,
    pub verb: Verb,
}

/// Cards of which a charge's key fixes how it ends.
#[derive(Debug)]
pub struct FixedCards;

impl Cards for FixedCards {
    fn charge<'a>(
        &'a self,
        charge: &'a CardCharge,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, Unreachable>> + Send + 'a>> {
        let answer = match mixed(&format!("{} {}", charge.card, charge.key)) % 8 {
            0..=3 => Answer::Succeeded,
            4..=6 => Answer::Failed,
            _ => Answer::Pending,
        };
        Box::pin(async move { Ok(answer) })
    }

    fn authorise<'a>(&'a self, _: &'a str) -> Pin<Box<dyn Future<Output = Result<bool, Unreachable>> + Send + 'a>> {
        Box::pin(async { Ok(true) })
    }
}

/// A database with its schema and nothing in it, to be copied.
pub struct Template(Vec<u8>);

impl Template {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open_store(&folder, Timestamp::BEGINNING).await;
        store.close().await;
        Self(fs::read(folder.path().join(FILE)).expect("a database"))
    }
}

/// Books in a folder of their own.
pub struct Books {
    pub store: Store,
    folder: TempDir,
}

impl Books {
    /// Price lists and three accounts: one that prepays, one with a card, one in its trial.
    pub async fn new(template: &Template, now: Timestamp) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(FILE), &template.0).expect("written");
        let store = open_store(&folder, now).await;
        store.price_list_insert(&prices(100), Timestamp::BEGINNING, AUTHOR, now).await.expect("a list");
        let office = open_office(&store, now).await;
        for (name, trial, resume_on_deposit, card) in
            [("prepays", false, true, false), ("has-a-card", false, false, true), ("tries", true, false, true)]
        {
            let card = card.then(|| (format!("{name}-0"), true));
            let new = NewAccount { name: name.to_owned(), currency: None, trial, resume_on_deposit, card };
            office.open_account(new, now).await.expect("an account");
        }
        Self { store, folder }
    }

    /// As a daemon that starts again does.
    pub async fn open_again(&mut self, now: Timestamp) {
        self.store.close().await;
        self.store = open_store(&self.folder, now).await;
    }
}

async fn open_store(folder: &TempDir, now: Timestamp) -> Store {
    let url = format!("sqlite:{}", folder.path().join(FILE).display());
    let store = Store::open(&url, Opening::scratch(now).with_queue(QUEUE)).await.expect("a store");
    store.queue_setup().await.expect("a queue");
    store
}

pub async fn open_office(store: &Store, now: Timestamp) -> Office {
    office_on(store, Clock::simulated(now)).await
}

pub async fn office_on(store: &Store, clock: Clock) -> Office {
    Office::open(store.clone(), clock, Policy::default(), Arc::new(FixedCards)).await.expect("an office")
}

pub async fn all_accounts(store: &Store) -> Vec<AccountId> {
    store.account_ids(AccountId(0), AccountId(i64::MAX), u32::MAX).await.expect("accounts")
}

/// Keeps the proof of a payment, and takes it in.
pub async fn receive(office: &Office, number: usize, to: AccountId, kind: ReceiptKind, amount: Micros, at: Timestamp) {
    let payment = format!("entry-{number}");
    let receipt = NewReceipt { account: to, provider: AUTHOR, payment: &payment, kind, amount, provider_at: None };
    assert!(office.store.receipt_insert(&receipt, at).await.expect("a receipt"));
}

/// The same history on a machine that is right and never stops, settled only where something happens.
pub async fn play_undisturbed(template: &Template, history: &[Entry], start: Timestamp, end: Timestamp) -> Books {
    let books = Books::new(template, start).await;
    let office = open_office(&books.store, start).await;
    for (number, Entry { at, verb }) in history.iter().enumerate() {
        office.clock.advance_to(*at);
        match verb {
            Verb::Act(account, action, acted) => {
                let played = office.act(*account, action, *at).await.expect("no fault");
                assert_eq!(played, *acted, "entry {number}: {action:?} at {at}");
            }
            Verb::Receive(to, kind, amount) => {
                receive(&office, number, *to, *kind, *amount, *at).await;
                office.settle_and_collect(&[*to], *at).await.expect("settled");
            }
            Verb::Publish(list, since) => {
                books.store.price_list_insert(list, *since, AUTHOR, *at).await.expect("a list");
                office.reload().await.expect("read");
            }
            Verb::Outage(outage) => {
                books.store.outage_insert(*outage, *at).await.expect("an outage");
                office.reload().await.expect("read");
            }
        }
    }
    office.clock.advance_to(end);
    office.settle_and_collect(&all_accounts(&books.store).await, end).await.expect("settled");
    books
}

/// The plans at so many hundredths of their prices.
pub fn prices(hundredths: i64) -> PriceList {
    let scaled = |micros: i64| Micros::new(micros * hundredths / 100);
    let traffic = Component {
        included: Micros::new(50_000_000),
        tiers: vec![Tier { up_to: None, unit_price: scaled(50_000) }],
        metered: true,
        shrink_erases: false,
    };
    let plan = |mode: Mode, price: i64, term_months: u32, metered: bool| {
        let components = metered.then(|| ("traffic_gb".to_owned(), traffic.clone()));
        Plan {
            mode,
            price: scaled(price),
            currency: None,
            term_months,
            components: components.into_iter().collect(),
            options: BTreeMap::from([("backup".to_owned(), scaled(1_330_000))]),
            private: false,
        }
    };
    [
        ("day", plan(Mode::Daily, 2_400_000, 1, false)),
        ("day-large", plan(Mode::Daily, 7_770_001, 1, false)),
        ("term", plan(Mode::Term, 9_990_000, 1, false)),
        ("term-large", plan(Mode::Term, 31_000_000, 1, false)),
        ("cloud", plan(Mode::Monthly, 12_000_000, 1, true)),
        ("cloud-large", plan(Mode::Monthly, 150_000_000, 1, true)),
        ("hour", plan(Mode::Hourly, 18_000, 1, true)),
        ("hour-large", plan(Mode::Hourly, 250_000, 1, true)),
    ]
    .into_iter()
    .map(|(name, plan)| (name.to_owned(), plan))
    .collect()
}
