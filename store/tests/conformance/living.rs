//! Books that the rules themselves wrote: what they decide must pass the schema, and verify finds no fault.

use std::collections::{BTreeMap, BTreeSet};

use rules::{
    Account, AccountId, Action, Answer, Buyer, CancelWhen, Component, Context, Mode, NewAccount, OrderChange, Outage,
    Plan, Policy, PriceBook, Progress, Quantity, ReceiptKind, SuspendReason, Tier, Timestamp, act, due_seconds,
    open_account, settle,
};
use store::{Commit, NewReceipt, Outcome, Scope, Violation};

use crate::books::{Books, STAMP, units};

/// Accounts that live through months, with a card that answers as it is told to.
pub struct Life {
    pub books: Books,
    prices: PriceBook,
    policy: Policy,
    outages: Vec<Outage>,
    card: Answer,
    payments: i64,
}

pub fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time as written")
}

fn component(included: i64, cents: i64, metered: bool) -> Component {
    let tiers = vec![Tier { up_to: None, unit_price: rules::Micros::new(cents * 10_000) }];
    Component { included: units(included), tiers, metered, shrink_erases: false }
}

pub fn plan(mode: Mode, cents: i64, components: &[(&str, Component)]) -> Plan {
    Plan {
        mode,
        price: rules::Micros::new(cents * 10_000),
        currency: None,
        term_months: 1,
        components: components.iter().map(|(name, component)| ((*name).to_owned(), component.clone())).collect(),
        options: BTreeMap::new(),
        private: false,
    }
}

impl Life {
    pub async fn new() -> Self {
        let mut prices = PriceBook::default();
        let list = [
            ("dms".to_owned(), plan(Mode::Daily, 240, &[("cpe", component(100, 1, false))])),
            ("vps".to_owned(), plan(Mode::Term, 600, &[("disk_gb", component(20, 5, false))])),
            ("cloud".to_owned(), plan(Mode::Monthly, 1200, &[("traffic_gb", component(100, 1, true))])),
            ("cloud-h".to_owned(), plan(Mode::Hourly, 2, &[])),
        ];
        let (books, policy) = (Books::new().await, Policy::default());
        let (list, since) = (rules::PriceList::from(list), Timestamp::BEGINNING);
        books.store.price_list_insert(&list, since, "admin", at("2026-01-01T00:00:00Z")).await.expect("a list");
        prices.lay(since, list).expect("a list");
        Self { books, prices, policy, outages: Vec::new(), card: Answer::Succeeded, payments: 0 }
    }

    fn context(&self) -> Context<'_> {
        Context { prices: &self.prices, policy: &self.policy, outages: &self.outages }
    }

    async fn open(&self, name: &str, trial: bool, card: bool, now: &str) -> AccountId {
        let card = card.then(|| ("pm_1".to_owned(), true));
        let new = NewAccount { name: name.into(), currency: None, trial, resume_on_deposit: true, card };
        let account = open_account(new, &self.policy, at(now));
        let due = due_seconds(&account, &self.context());
        self.books.store.account_insert(&account, &due, at(now)).await.expect("open")
    }

    /// Settles, or acts, through all answers that the card has to give.
    async fn go(&self, id: AccountId, action: Option<&Action>, now: Timestamp) {
        let mut action = action;
        loop {
            let account = self.books.load_with(id, action.map_or(Scope::Unfinished, Scope::For)).await;
            let waits = account.waiting.is_some();
            let changes = match action {
                Some(action) if !waits => act(account, &self.context(), action, now).expect("settleable"),
                _ => settle(account, &self.context(), now).expect("settleable"),
            };
            if let Some(outcome) = changes.outcome {
                outcome.expect("not refused");
                action = None;
            }
            let progress = changes.progress;
            self.commit(changes).await;
            match progress {
                Progress::AwaitsAnswer => self.answer().await,
                Progress::Settled if action.is_none() => break,
                Progress::Settled => {}
            }
        }
    }

    async fn commit(&self, changes: rules::Changes) {
        let due = due_seconds(&changes.account, &self.context());
        let stamp = store::Stamp { revision: self.books.store.revision().await.expect("a revision"), ..STAMP };
        let outcomes = self.books.store.commit(&[Commit { changes, due }], stamp, None).await.expect("commit");
        assert_eq!(outcomes, [Outcome::Written]);
    }

    async fn answer(&self) {
        for open in self.books.store.intents_open(10).await.expect("open") {
            let at = open.intent.due_at;
            self.books.store.intent_answer(open.account, &open.intent.key, self.card, at).await.expect("answer");
        }
    }

    pub async fn act(&self, id: AccountId, now: &str, action: Action) {
        self.go(id, Some(&action), at(now)).await;
    }

    async fn settle(&self, id: AccountId, until: &str) -> Account {
        self.go(id, None, at(until)).await;
        self.books.load(id).await
    }

    async fn pay(&mut self, id: AccountId, now: &str, kind: ReceiptKind, whole: i64) {
        self.payments += 1;
        let payment = format!("pi_{}", self.payments);
        let (provider, amount) = ("stripe", units(whole));
        let receipt = NewReceipt { account: id, provider, payment: &payment, kind, amount, provider_at: None };
        assert!(self.books.store.receipt_insert(&receipt, at(now)).await.expect("receipt"));
        self.settle(id, now).await;
    }

    async fn create(&self, id: AccountId, now: &str, service: &str, plan: &str) {
        let (quantities, options) = (BTreeMap::new(), BTreeSet::new());
        self.act(id, now, Action::CreateService { service: service.into(), plan: plan.into(), quantities, options })
            .await;
    }

    async fn change(&self, id: AccountId, now: &str, service: &str, component: &str, quantity: i64) {
        let quantities: BTreeMap<String, Quantity> = [(component.to_owned(), units(quantity))].into();
        let change = OrderChange { quantities: Some(quantities), ..OrderChange::default() };
        self.act(id, now, Action::Change { service: service.into(), change, confirm_data_loss: true }).await;
    }

    pub async fn faults_of(&self, books: &Books, account: Option<AccountId>) -> Vec<Violation> {
        books.store.verify(account, &self.policy).await.expect("verify")
    }

    pub async fn faults(&self) -> Vec<Violation> {
        self.faults_of(&self.books, None).await
    }
}

/// Two accounts and half a year: stops, gaps, changes, invoices paid by wallet and card, disputes, a trial.
pub async fn half_a_year() -> Life {
    let mut life = Life::new().await;
    let ann = life.open("ann", false, false, "2026-01-05T10:00:00Z").await;
    life.pay(ann, "2026-01-05T10:01:00Z", ReceiptKind::Deposit, 40).await;
    life.create(ann, "2026-01-05T10:02:00Z", "s1", "dms").await;
    life.change(ann, "2026-01-06T12:00:00Z", "s1", "cpe", 300).await;
    life.change(ann, "2026-01-06T18:00:00Z", "s1", "cpe", 100).await;
    life.act(ann, "2026-01-08T07:00:00Z", Action::Disable { service: "s1".into() }).await;
    life.act(ann, "2026-01-11T07:00:00Z", Action::Enable { service: "s1".into() }).await;
    life.create(ann, "2026-01-12T07:00:00Z", "t1", "vps").await;
    life.change(ann, "2026-01-13T07:00:00Z", "t1", "disk_gb", 50).await;
    // The money ends, both stop; a deposit resumes them.
    life.settle(ann, "2026-02-13T00:00:00Z").await;
    life.pay(ann, "2026-02-13T09:30:00Z", ReceiptKind::Deposit, 60).await;
    life.create(ann, "2026-02-14T00:00:00Z", "m1", "cloud").await;
    life.act(
        ann,
        "2026-02-20T00:00:00Z",
        Action::Usage { service: "m1".into(), component: "traffic_gb".into(), quantity: units(700) },
    )
    .await;
    life.act(ann, "2026-03-02T00:00:00Z", Action::SuspendAccount { reason: SuspendReason::Admin }).await;
    life.act(ann, "2026-03-04T00:00:00Z", Action::RestoreAccount).await;
    life.pay(ann, "2026-03-05T00:00:00Z", ReceiptKind::Dispute, 60).await;
    let (author, reason) = ("admin".to_owned(), "sorry".to_owned());
    life.act(ann, "2026-03-06T00:00:00Z", Action::Adjust { amount: units(5), author, reason }).await;
    life.settle(ann, "2026-07-01T00:00:00Z").await;

    let bob = life.open("bob", true, true, "2026-01-20T10:00:00Z").await;
    life.create(bob, "2026-01-20T11:00:00Z", "h1", "cloud-h").await;
    life.create(bob, "2026-01-21T11:00:00Z", "m2", "cloud").await;
    life.settle(bob, "2026-03-31T00:00:00Z").await;
    life.card = Answer::Failed;
    life.settle(bob, "2026-04-03T00:00:00Z").await;
    life.card = Answer::Pending;
    life.act(bob, "2026-04-04T01:00:00Z", Action::Cancel { service: "h1".into(), when: CancelWhen::Now }).await;
    life.settle(bob, "2026-04-08T00:00:01Z").await;
    let pending = life.books.load(bob).await;
    assert!(pending.standing.is_suspended(), "{pending:?}");
    life.card = Answer::Succeeded;
    life.act(bob, "2026-04-20T00:00:00Z", Action::SaveCard { card: "pm_2".into(), authorised: true }).await;
    life.settle(bob, "2026-07-01T00:00:00Z").await;

    // One whose services still run.
    let cid = life.open("cid", false, false, "2026-06-20T10:00:00Z").await;
    life.pay(cid, "2026-06-20T10:01:00Z", ReceiptKind::Deposit, 100).await;
    life.create(cid, "2026-06-21T08:00:00Z", "s3", "dms").await;
    life.create(cid, "2026-06-22T08:00:00Z", "t3", "vps").await;
    life.settle(cid, "2026-07-01T00:00:00Z").await;

    corrected(&mut life).await;
    life
}

/// One whom an admin gave back periods and invoices.
async fn corrected(life: &mut Life) {
    let dan = life.open("dan", false, false, "2026-03-10T10:00:00Z").await;
    let (author, reason) = ("admin".to_owned(), "our fault".to_owned());
    let void = |service: &str| Action::Void { service: service.into(), author: author.clone(), reason: reason.clone() };
    let credit = |invoice: i64, reissue: Option<Buyer>| {
        let (author, reason) = (author.clone(), reason.clone());
        Action::CreditInvoice { invoice, author, reason, reissue }
    };
    life.pay(dan, "2026-03-10T10:01:00Z", ReceiptKind::Deposit, 30).await;
    life.create(dan, "2026-03-10T11:00:00Z", "s4", "dms").await;
    life.create(dan, "2026-03-10T12:00:00Z", "t4", "vps").await;
    life.create(dan, "2026-03-11T12:00:00Z", "m4", "cloud").await;
    life.change(dan, "2026-03-11T13:00:00Z", "s4", "cpe", 300).await;
    life.change(dan, "2026-03-11T14:00:00Z", "s4", "cpe", 200).await;
    life.act(dan, "2026-03-11T15:00:00Z", void("s4")).await;
    life.act(dan, "2026-03-11T18:00:00Z", Action::Enable { service: "s4".into() }).await;
    life.act(dan, "2026-03-12T00:00:00Z", void("s4")).await;
    life.act(dan, "2026-03-13T00:00:00Z", void("t4")).await;
    // Paid, credited and issued anew twice; then partly paid and given up.
    let buyer = || Some(Buyer::from([("company".to_owned(), "Dan AG".to_owned())]));
    life.act(dan, "2026-04-02T00:00:00Z", credit(0, buyer())).await;
    life.act(dan, "2026-04-03T00:00:00Z", credit(1, buyer())).await;
    life.settle(dan, "2026-06-02T00:00:00Z").await;
    let owed = life.books.load(dan).await;
    assert!(!owed.invoices.is_empty(), "{owed:?}");
    let (author, reason) = (author.clone(), "gone".to_owned());
    let invoice = owed.invoices[0].number;
    life.act(dan, "2026-06-10T00:00:00Z", Action::WriteOffInvoice { invoice, author, reason }).await;
    life.settle(dan, "2026-07-01T00:00:00Z").await;
}
