//! A small pure driver of the rules: books in memory, written as a store writes them (only what the changes name),
//! and cards that answer by a script.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rules::{
    Account, Action, Answer, Buyer, CancelWhen, Changes, Component, Context, CreditNote, Currency, Event, Intent,
    Invoice, InvoiceNumber, Line, Micros, Mode, NewAccount, Order, OrderChange, Outage, Past, Plan, Policy, PriceBook,
    PriceList, Progress, Receipt, ReceiptKind, Refusal, Reissue, Service, ServiceNumber, Tier, Timestamp, Transfer,
    TransferKind, Unsettleable,
};

/// How charges of saved cards end.
#[derive(Clone, Debug)]
pub enum Cards {
    Always(Answer),
    /// One after the other; then no more answers.
    Queued(VecDeque<Answer>),
    /// By the charge's key alone, so that nothing depends on when they are asked: six in ten succeed, one is
    /// pending.
    ByKey(u64),
}

/// All that holds for every account.
#[derive(Clone, Debug)]
pub struct World {
    pub policy: Policy,
    pub prices: PriceBook,
    pub outages: Vec<Outage>,
    pub cards: Cards,
}

/// A service's row: finished ones are not loaded any more.
#[derive(Clone, PartialEq, Debug)]
pub struct ServiceRow {
    pub service: Service,
    pub finished: bool,
}

/// One account's books.
#[derive(Clone, PartialEq, Debug)]
pub struct Books {
    /// Its lists are kept beside it, as tables.
    account: Account,
    pub services: BTreeMap<ServiceNumber, ServiceRow>,
    pub invoices: BTreeMap<InvoiceNumber, Invoice>,
    intents: Vec<Intent>,
    receipts: Vec<Receipt>,
    receipts_taken: i64,
    pub transfers: Vec<Transfer>,
    pub events: Vec<Event>,
    pub lines: Vec<(InvoiceNumber, Line)>,
    pub credit_notes: Vec<CreditNote>,
    pub reissues: Vec<Reissue>,
    pub charges: Vec<(Intent, Answer)>,
    /// Charges without an answer that turned out to have succeeded.
    pub late: BTreeSet<String>,
}

/// How an action ended; none while a card's answer is awaited.
pub type Acted = Result<Option<Result<(), Refusal>>, Unsettleable>;

impl World {
    pub fn new(list: PriceList) -> Self {
        let mut prices = PriceBook::default();
        prices.lay(Timestamp::BEGINNING, list).expect("the first list has nothing to keep");
        Self { policy: Policy::default(), prices, outages: Vec::new(), cards: Cards::Always(Answer::Succeeded) }
    }

    pub fn context(&self) -> Context<'_> {
        Context { prices: &self.prices, policy: &self.policy, outages: &self.outages }
    }

    pub fn open(&self, new: NewAccount, now: Timestamp) -> Books {
        Books {
            account: rules::open_account(new, &self.policy, now),
            services: BTreeMap::new(),
            invoices: BTreeMap::new(),
            intents: Vec::new(),
            receipts: Vec::new(),
            receipts_taken: 0,
            transfers: Vec::new(),
            events: Vec::new(),
            lines: Vec::new(),
            credit_notes: Vec::new(),
            reissues: Vec::new(),
            charges: Vec::new(),
            late: BTreeSet::new(),
        }
    }

    /// Settles once, without answering anything.
    pub fn settle_once(&self, books: &mut Books, until: Timestamp) -> Result<Progress, Unsettleable> {
        let account = books.load(None);
        let changes = rules::settle(account.clone(), &self.context(), until)?;
        Ok(books.apply(&account, changes))
    }

    /// Settles as far as the cards answer.
    pub fn settle(&mut self, books: &mut Books, until: Timestamp) -> Result<Progress, Unsettleable> {
        while self.settle_once(books, until)? == Progress::AwaitsAnswer {
            if !self.answer(books) {
                return Ok(Progress::AwaitsAnswer);
            }
        }
        Ok(Progress::Settled)
    }

    /// Answers the charges that wait, as the script says; whether it had anything to say.
    pub fn answer(&mut self, books: &mut Books) -> bool {
        let mut any = false;
        for intent in books.intents.iter_mut().filter(|intent| intent.answer.is_none()) {
            intent.answer = match &mut self.cards {
                Cards::Always(answer) => Some(*answer),
                Cards::Queued(answers) => answers.pop_front(),
                Cards::ByKey(seed) => Some(match mixed(*seed, &intent.key) % 10 {
                    0..=5 => Answer::Succeeded,
                    6 => Answer::Pending,
                    _ => Answer::Failed,
                }),
            };
            any |= intent.answer.is_some();
        }
        any
    }

    /// Does an action, and settles on with the cards' answers. A refused one moves nothing but the settled second.
    pub fn act(&mut self, books: &mut Books, action: &Action, now: Timestamp) -> Acted {
        let (mut other, mut calm) = (self.clone(), books.without_history());
        let acted = self.do_act(books, action, now)?;
        if let Some(Err(refusal)) = acted {
            other.settle(&mut calm, now)?;
            let calm = calm.without_history();
            let mut left = books.without_history();
            // A charge that the card refused has used up its key.
            left.account.next.charge = calm.account.next.charge;
            assert_eq!(left, calm, "{action:?} was refused ({refusal}) and moved something");
        }
        Ok(acted)
    }

    fn do_act(&mut self, books: &mut Books, action: &Action, now: Timestamp) -> Acted {
        let mut begun = false;
        loop {
            let account = books.load(Some(action));
            let waited = waiting_key(&account);
            let changes = match begun {
                true => rules::settle(account.clone(), &self.context(), now)?,
                false => rules::act(account.clone(), &self.context(), action, now)?,
            };
            let waits = waiting_key(&changes.account);
            begun |= waits.is_some() && waits != waited;
            let outcome = changes.outcome;
            let progress = books.apply(&account, changes);
            if outcome.is_some() {
                if progress == Progress::AwaitsAnswer && self.answer(books) {
                    self.settle(books, now)?;
                }
                return Ok(outcome);
            }
            if !self.answer(books) {
                return Ok(None);
            }
        }
    }
}

fn waiting_key(account: &Account) -> Option<String> {
    account.waiting.as_ref().map(|waiting| waiting.key.clone())
}

/// FNV-1a: the same on every machine.
pub fn mixed(seed: u64, text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = text.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, step);
    (hash ^ (hash >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 17
}

impl Books {
    /// The account with all that is loaded for an action, or to settle.
    fn load(&self, action: Option<&Action>) -> Account {
        let name = action.and_then(Action::service);
        let wanted = |row: &&ServiceRow| !row.finished || name == Some(row.service.name.as_str());
        let mut services: Vec<Service> = self.services.values().filter(wanted).map(|row| row.service.clone()).collect();
        services.sort_by(|a, b| a.rank().cmp(&b.rank()));
        let number = action.and_then(Action::invoice);
        let open = |invoice: &&Invoice| invoice.paid_at.is_none() || number == Some(invoice.number);
        let invoices = self.invoices.values().filter(open).cloned().collect();
        let (intents, receipts) = (self.intents.clone(), self.receipts.clone());
        let past = action.map(|action| self.past(action)).unwrap_or_default();
        Account { services, invoices, intents, receipts, past, ..self.account.clone() }
    }

    /// What an action takes back.
    fn past(&self, action: &Action) -> Past {
        let mut past = Past::default();
        if let Action::Void { service, .. } = action {
            let row = self.services.values().find(|row| row.service.name == *service);
            let number = row.map(|row| row.service.number);
            let own = self.transfers.iter().filter(|transfer| number.is_some() && transfer.service == number);
            let last = own.clone().filter(|transfer| transfer.kind == TransferKind::Period).map(|charge| charge.number);
            let first = last.max().unwrap_or(i64::MAX);
            past.charges = own.filter(|transfer| transfer.number >= first).cloned().collect();
        }
        if let Some(number) = action.invoice() {
            let own = self.lines.iter().filter(|(invoice, _)| *invoice == number);
            past.lines = own.map(|(_, line)| line.clone()).collect();
            let issued = self.reissues.iter().find(|reissue| reissue.number == number);
            past.reissued = issued.map_or(0, |issued| issued.times);
            past.buyer = self.reissues.last().map_or_else(Buyer::new, |last| last.buyer.clone());
            let by_card =
                |paid: &&Transfer| paid.kind == TransferKind::InvoicePaidByCard && paid.invoice == Some(number);
            past.paid_by_card = Micros::new(self.transfers.iter().filter(by_card).map(|paid| paid.amount.get()).sum());
        }
        past
    }

    /// How often the lines of an invoice were issued before.
    pub fn reissued(&self, number: InvoiceNumber) -> u32 {
        self.reissues.iter().find(|reissue| reissue.number == number).map_or(0, |reissue| reissue.times)
    }

    /// The account with all its services, finished ones too, and its open invoices.
    pub fn account(&self) -> Account {
        let mut account = self.load(None);
        account.services = self.services.values().map(|row| row.service.clone()).collect();
        account.services.sort_by(|a, b| a.rank().cmp(&b.rank()));
        account
    }

    pub fn wallet(&self) -> Micros {
        self.account.wallet
    }

    /// Money comes, or is taken back, and waits to be settled.
    pub fn receive(&mut self, kind: ReceiptKind, amount: Micros, at: Timestamp) {
        self.receipts_taken += 1;
        let (id, provider) = (self.receipts_taken, "test".to_owned());
        self.receipts.push(Receipt { id, provider, kind, amount, received_at: at });
    }

    /// Every second charge without an answer turns out to have succeeded.
    pub fn succeed_late(&mut self, at: Timestamp) {
        let pending = self.charges.iter().filter(|(_, answer)| *answer == Answer::Pending);
        let news: Vec<Intent> = pending
            .map(|(intent, _)| intent.clone())
            .filter(|intent| mixed(7, &intent.key).is_multiple_of(2))
            .collect();
        for intent in news {
            if self.late.insert(intent.key) {
                self.receive(ReceiptKind::LateCardSuccess, intent.amount, at);
            }
        }
    }

    fn without_history(&self) -> Self {
        Self {
            account: self.account.clone(),
            services: self.services.clone(),
            invoices: self.invoices.clone(),
            intents: self.intents.clone(),
            receipts: self.receipts.clone(),
            receipts_taken: self.receipts_taken,
            transfers: Vec::new(),
            events: Vec::new(),
            lines: Vec::new(),
            credit_notes: Vec::new(),
            reissues: Vec::new(),
            charges: Vec::new(),
            late: self.late.clone(),
        }
    }

    /// Writes what the changes name and nothing else, and checks that this was all that changed.
    fn apply(&mut self, before: &Account, changes: Changes) -> Progress {
        let Changes { account, transfers, events, lines, services, invoices, new_intents, used_intents, .. } = changes;
        assert_eq!(account.past, Past::default(), "what was loaded for one action stays with it");
        let mut wallet = before.wallet;
        for transfer in &transfers {
            assert!(
                self.transfers.last().is_none_or(|last| last.number + 1 == transfer.number),
                "a gap in the numbers"
            );
            wallet = wallet.checked_add(signed_amount(transfer)).expect("a wallet");
            self.transfers.push(transfer.clone());
        }
        assert_eq!(wallet, account.wallet, "the wallet is the sum of its entries");
        assert_eq!(account.next.transfer - before.next.transfer, signed(transfers.len()));
        assert_eq!(account.next.event - before.next.event, signed(events.len()));
        assert!(account.settled_at >= before.settled_at, "the settled second goes back");
        self.events.extend(events);
        self.lines.extend(lines);
        self.credit_notes.extend(changes.credit_notes);
        self.reissues.extend(changes.reissues);
        for number in services {
            let service = account.service_by_number(number).expect("a written service is there").clone();
            let finished = service.is_finished(account.invoiced_until);
            self.services.insert(number, ServiceRow { service, finished });
        }
        for invoice in invoices {
            self.invoices.insert(invoice.number, invoice);
        }
        self.intents.extend(new_intents);
        for (key, answer) in used_intents {
            let index = self.intents.iter().position(|intent| intent.key == key).expect("a used intent is there");
            let intent = self.intents.remove(index);
            assert_eq!(intent.answer, Some(answer));
            assert!(self.charges.iter().all(|(charge, _)| charge.key != key), "{key} is charged twice");
            self.charges.push((intent, answer));
        }
        self.receipts.retain(|receipt| !changes.used_receipts.iter().any(|(id, _)| *id == receipt.id));
        let loaded: BTreeSet<&str> = account.services.iter().map(|service| service.name.as_str()).collect();
        let lists = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        self.account = account.clone();
        (self.account.services, self.account.invoices, self.account.intents, self.account.receipts) = lists;
        let mut written = self.account();
        written.services.retain(|service| loaded.contains(service.name.as_str()));
        assert_eq!(written, account, "the changes do not name all that changed");
        changes.progress
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).expect("a count")
}

/// What a transfer does to the wallet.
pub fn signed_amount(transfer: &Transfer) -> Micros {
    Micros::new(transfer.kind.wallet_sign() * transfer.amount.get())
}

// Short ways to write things down.

pub fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time as in 2026-01-05T10:00:00Z")
}

pub fn micros(text: &str) -> Micros {
    rules::parse_decimal(text, 13, true).expect("a decimal")
}

pub fn plan(mode: Mode, price: &str) -> Plan {
    Plan {
        mode,
        price: micros(price),
        currency: None,
        term_months: 1,
        components: BTreeMap::new(),
        options: BTreeMap::new(),
        private: false,
    }
}

pub fn component(included: &str, unit_price: &str) -> Component {
    let tiers = vec![Tier { up_to: None, unit_price: micros(unit_price) }];
    Component { included: micros(included), tiers, metered: false, shrink_erases: false }
}

pub fn list(plans: impl IntoIterator<Item = (&'static str, Plan)>) -> PriceList {
    plans.into_iter().map(|(name, plan)| (name.to_owned(), plan)).collect()
}

pub fn account(name: &str) -> NewAccount {
    NewAccount { name: name.to_owned(), currency: None, trial: false, resume_on_deposit: false, card: None }
}

pub fn in_currency(name: &str, code: &str) -> NewAccount {
    NewAccount { currency: Currency::parse(code), ..account(name) }
}

pub fn with_card(name: &str) -> NewAccount {
    NewAccount { card: Some((name.to_owned(), true)), ..account(name) }
}

pub fn in_trial(name: &str) -> NewAccount {
    NewAccount { trial: true, ..with_card(name) }
}

pub fn order(plan: &str) -> Order {
    Order { plan: plan.to_owned(), quantities: BTreeMap::new(), options: BTreeSet::new() }
}

pub fn adjust(amount: &str) -> Action {
    Action::Adjust { amount: micros(amount), author: "admin".to_owned(), reason: "test".to_owned() }
}

pub fn create(service: &str, plan: &str) -> Action {
    let (service, plan) = (service.to_owned(), plan.to_owned());
    Action::CreateService { service, plan, quantities: BTreeMap::new(), options: BTreeSet::new() }
}

pub fn change_plan(service: &str, plan: &str) -> Action {
    let change = OrderChange { plan: Some(plan.to_owned()), ..OrderChange::default() };
    Action::Change { service: service.to_owned(), change, confirm_data_loss: false }
}

pub fn set_quantity(service: &str, component: &str, quantity: &str) -> Action {
    let quantities = Some([(component.to_owned(), micros(quantity))].into());
    let change = OrderChange { quantities, ..OrderChange::default() };
    Action::Change { service: service.to_owned(), change, confirm_data_loss: false }
}

pub fn enable(service: &str) -> Action {
    Action::Enable { service: service.to_owned() }
}

pub fn disable(service: &str) -> Action {
    Action::Disable { service: service.to_owned() }
}

pub fn extend(service: &str) -> Action {
    Action::Extend { service: service.to_owned() }
}

pub fn cancel(service: &str, when: CancelWhen) -> Action {
    Action::Cancel { service: service.to_owned(), when }
}

pub fn void(service: &str) -> Action {
    let (author, reason) = ("admin".to_owned(), "test".to_owned());
    Action::Void { service: service.to_owned(), author, reason }
}

pub fn credit(invoice: InvoiceNumber, reissue: Option<&[(&str, &str)]>) -> Action {
    let (author, reason) = ("admin".to_owned(), "test".to_owned());
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    Action::CreditInvoice { invoice, author, reason, reissue: reissue.map(pairs) }
}

pub fn write_off(invoice: InvoiceNumber) -> Action {
    let (author, reason) = ("admin".to_owned(), "test".to_owned());
    Action::WriteOffInvoice { invoice, author, reason }
}

pub fn usage(service: &str, component: &str, quantity: &str) -> Action {
    let (service, component) = (service.to_owned(), component.to_owned());
    Action::Usage { service, component, quantity: micros(quantity) }
}

pub fn kinds(books: &Books) -> Vec<TransferKind> {
    books.transfers.iter().map(|transfer| transfer.kind).collect()
}
