//! What the jobs' tests stand on: an office over an SQLite file of its own, on a clock that stands, with cards
//! that answer as they are told.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use providers::{CardCharge, CardScript, Cards, ScriptedCards, Unreachable};
use rules::{
    Account, AccountId, Action, Answer, Micros, Mode, NewAccount, Plan, Policy, PriceList, ReceiptKind, Timestamp,
};
use store::{EventRow, InvoiceRow, LedgerRow, NewReceipt, Opening, RunEnd, Store};
use tempfile::TempDir;

use crate::job::{Registered, Wakes};
use crate::tally::Tally;
use crate::{Clock, Office, RunOrder, job, open_run, open_slot, open_sweep, work_run};

pub const WORKER: &str = "test";

pub fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time")
}

/// Whole units of the currency.
pub const fn units(amount: i64) -> Micros {
    Micros::new(amount * 1_000_000)
}

/// Scripted cards that count who asked for what, and may fall silent.
#[derive(Debug, Default)]
pub struct TestCards {
    scripted: ScriptedCards,
    asked: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    silent: bool,
    keys: Vec<String>,
    taken: BTreeMap<String, Micros>,
}

impl TestCards {
    pub fn script(&self, card: &str, script: CardScript) {
        self.scripted.script(card, script);
    }

    pub fn fall_silent(&self, silent: bool) {
        self.asked.lock().expect("a lock").silent = silent;
    }

    /// The keys of all charges that were asked for, in that order.
    pub fn keys(&self) -> Vec<String> {
        self.asked.lock().expect("a lock").keys.clone()
    }

    /// What the cards have paid in all: a key pays once, however often it is asked for.
    pub fn taken(&self) -> Micros {
        Micros::new(self.asked.lock().expect("a lock").taken.values().map(|amount| amount.get()).sum())
    }
}

impl Cards for TestCards {
    fn charge<'a>(
        &'a self,
        charge: &'a CardCharge,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, Unreachable>> + Send + 'a>> {
        Box::pin(async move {
            {
                let mut asked = self.asked.lock().expect("a lock");
                asked.keys.push(charge.key.clone());
                if asked.silent {
                    return Err(Unreachable("it is silent".to_owned()));
                }
            }
            let answer = self.scripted.charge(charge).await?;
            if answer == Answer::Succeeded {
                self.asked.lock().expect("a lock").taken.insert(charge.key.clone(), charge.amount);
            }
            Ok(answer)
        })
    }

    fn authorise<'a>(&'a self, card: &'a str) -> Pin<Box<dyn Future<Output = Result<bool, Unreachable>> + Send + 'a>> {
        self.scripted.authorise(card)
    }
}

/// The books as people read them, without how far they are settled, and when and by which run they were written.
#[derive(Clone, PartialEq, Debug)]
pub struct Books {
    pub accounts: Vec<Account>,
    pub ledger: Vec<LedgerRow>,
    pub invoices: Vec<InvoiceRow>,
    pub events: Vec<EventRow>,
}

pub struct Bench {
    pub office: Office,
    pub cards: Arc<TestCards>,
    folder: TempDir,
}

fn plan(mode: Mode, price: Micros) -> Plan {
    let (components, options) = (BTreeMap::new(), BTreeMap::new());
    Plan { mode, price, currency: None, term_months: 1, components, options, private: false }
}

/// Each mode at 10.00 under its own name, `large` above a trial's cover, and `vast`, whose first invoice is beyond
/// the ledger's range.
fn plans() -> PriceList {
    let of_modes = Mode::ALL.into_iter().map(|mode| (mode.name().to_owned(), plan(mode, units(10))));
    let large = ("large".to_owned(), plan(Mode::Monthly, units(131)));
    let vast = ("vast".to_owned(), plan(Mode::Monthly, Micros::new(i64::MAX)));
    of_modes.chain([large, vast]).collect()
}

/// The plan of that name.
pub fn plan_of(name: &str) -> Plan {
    plans().remove(name).expect("a plan")
}

impl Bench {
    /// A new file with nothing but price lists in it.
    pub async fn at(start: &str) -> Self {
        let (start, folder) = (at(start), tempfile::tempdir().expect("a folder"));
        let url = format!("sqlite:{}", folder.path().join("books.db").display());
        let store = Store::open(&url, Opening::scratch(start).with_queue("test")).await.expect("a store");
        store.queue_setup().await.expect("a queue");
        store.price_list_insert(&plans(), Timestamp::BEGINNING, "test", start).await.expect("a list");
        let cards = Arc::new(TestCards::default());
        let office = Office::open(store, Clock::simulated(start), Policy::default(), cards.clone()).await;
        Self { office: office.expect("an office"), cards, folder }
    }

    /// Another daemon over the same file, on the same clock, asking the same cards.
    pub async fn another_office(&self) -> Office {
        let url = format!("sqlite:{}", self.folder.path().join("books.db").display());
        let opening = Opening::scratch(self.now()).with_queue("test");
        let store = Store::open(&url, opening).await.expect("a store");
        let office = Office::open(store, self.office.clock.clone(), Policy::default(), self.cards.clone()).await;
        office.expect("an office")
    }

    pub fn now(&self) -> Timestamp {
        self.office.clock.now()
    }

    pub fn advance(&self, to: &str) {
        self.office.clock.advance_to(at(to));
    }

    /// An account with a card that pays, under its name, and so much in its wallet.
    pub async fn open(&self, name: &str, amount: i64) -> AccountId {
        self.open_with(name, amount, false).await
    }

    pub async fn open_in_trial(&self, name: &str) -> AccountId {
        self.open_with(name, 0, true).await
    }

    async fn open_with(&self, name: &str, amount: i64, trial: bool) -> AccountId {
        self.cards.script(name, CardScript::Succeeds);
        let card = Some((name.to_owned(), true));
        let new = NewAccount { name: name.to_owned(), currency: None, trial, resume_on_deposit: false, card };
        let id = self.office.open_account(new, self.now()).await.expect("an account");
        if amount > 0 {
            let (author, reason) = ("test".to_owned(), "test".to_owned());
            self.act(id, Action::Adjust { amount: units(amount), author, reason }).await;
        }
        id
    }

    /// An account with so much in its wallet, and a service of a plan.
    pub async fn customer(&self, name: &str, plan: &str, amount: i64) -> AccountId {
        let id = self.open(name, amount).await;
        self.create(id, &format!("{name}-1"), plan).await;
        id
    }

    pub async fn act(&self, id: AccountId, action: Action) {
        self.office.act(id, &action, self.now()).await.expect("no fault").expect("allowed");
    }

    pub async fn create(&self, id: AccountId, service: &str, plan: &str) {
        self.act(id, create(service, plan)).await;
    }

    /// Money is proved at this second; the books don't know of it yet.
    pub async fn receive(&self, id: AccountId, payment: &str, amount: i64) {
        let (kind, amount) = (ReceiptKind::Deposit, units(amount));
        let receipt = NewReceipt { account: id, provider: "test", payment, kind, amount, provider_at: None };
        self.office.store.receipt_insert(&receipt, self.now()).await.expect("a receipt");
    }

    pub async fn all(&self) -> Vec<AccountId> {
        let range = self.office.store.account_ids_range().await.expect("a range");
        let Some((_, last)) = range else { return Vec::new() };
        self.office.store.account_ids(AccountId(0), last, u32::MAX).await.expect("ids")
    }

    /// The accounts that concern a job now.
    pub async fn due(&self, name: &str) -> Vec<AccountId> {
        let (job, all) = (named(name), AccountId(i64::MAX));
        (job.due)(&self.office, self.now(), AccountId(0), all, u32::MAX).await.expect("due")
    }

    /// Runs a job as its wake at this second does; none if there was nothing to open.
    pub async fn run(&self, name: &str) -> Option<Tally> {
        let job = named(name);
        let run = match job.wakes {
            Wakes::Calendar => open_slot(&self.office, job, self.now()).await,
            Wakes::Sweep => open_sweep(&self.office, job, self.now()).await,
        };
        let run = run.expect("opened")?;
        Some(work_run(&self.office, job, &run, WORKER).await.expect("worked off"))
    }

    /// Runs a job once more, by its wake, by an admin, and as if it were told of every account.
    pub async fn run_again(&self, name: &str) {
        let job = named(name);
        self.run(name).await;
        let run = open_run(&self.office, job, &RunOrder::by("admin", self.now()), self.now())
            .await
            .expect("opened")
            .expect("a run");
        work_run(&self.office, job, &run, WORKER).await.expect("worked off");
        (job.work)(&self.office, &self.all().await, self.now(), None).await.expect("worked off");
    }

    pub async fn books(&self) -> Books {
        let store = &self.office.store;
        let mut books = Books {
            accounts: store.accounts_by_name("", 500).await.expect("accounts"),
            ledger: store.ledger(None).await.expect("a ledger"),
            invoices: store.invoices(None).await.expect("invoices"),
            events: store.events(None).await.expect("events"),
        };
        for account in &mut books.accounts {
            (account.version, account.settled_at) = (0, Timestamp::BEGINNING);
        }
        for row in &mut books.ledger {
            (row.recorded_at, row.run) = (row.effective_at, None);
        }
        for invoice in &mut books.invoices {
            invoice.recorded_at = invoice.issued_at;
        }
        for event in &mut books.events {
            event.recorded_at = event.at;
        }
        books
    }

    pub async fn wallet(&self, name: &str) -> Micros {
        let books = self.books().await;
        books.accounts.iter().find(|account| account.name == name).expect("an account").wallet
    }

    pub async fn verified(&self) {
        assert_eq!(self.office.store.verify(None, &self.office.policy()).await.expect("verified"), []);
    }

    /// Marks all that is under way as failed, so that nobody takes it up.
    pub async fn give_up_runs(&self) {
        for run in self.office.store.runs_unfinished().await.expect("runs") {
            self.office.store.run_finish(run.id, RunEnd::Failed("given up"), self.now()).await.expect("finished");
        }
    }
}

pub fn named(name: &str) -> &'static Registered {
    job(name).expect("a job")
}

pub fn create(service: &str, plan: &str) -> Action {
    let (quantities, options) = (BTreeMap::new(), BTreeSet::new());
    Action::CreateService { service: service.to_owned(), plan: plan.to_owned(), quantities, options }
}

pub fn change_plan(service: &str, plan: &str) -> Action {
    let change = rules::OrderChange { plan: Some(plan.to_owned()), ..rules::OrderChange::default() };
    Action::Change { service: service.to_owned(), change, confirm_data_loss: false }
}

/// Counts of what a run did, by name.
pub fn counts(tally: &Tally) -> Vec<(&str, i64)> {
    tally.counts.iter().map(|(what, count)| (what.as_str(), *count)).collect()
}
