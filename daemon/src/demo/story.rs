//! A timeline in the making: who signs up when, orders what, pays how much.

use std::collections::{BTreeMap, BTreeSet};

use rules::{
    Action, Currency, DAY, Micros, Order, OrderChange, Policy, Price, PriceBook, PriceList, Quantity, Timestamp,
};

use crate::demo::dice::Dice;
use crate::input::{Entry, Scenario, ScriptedCard, Verb, Whose};

/// How long before last month's first day the first customers sign up.
const LEAD_DAYS: i64 = 10;

/// When on a day people do things: a handful of seconds, so that much happens at each of them.
const HOURS_OF_DAY: [i64; 6] = [7_620, 24_300, 32_705, 48_600, 63_910, 77_405];

pub struct Story {
    pub dice: Dice,
    pub start: Timestamp,
    pub tonight: Timestamp,
    book: PriceBook,
    plans: PriceList,
    entries: Vec<Entry>,
}

impl Story {
    pub fn new(plans: PriceList, tonight: Timestamp, seed: u64) -> anyhow::Result<Self> {
        let start = Months::before(tonight).last.plus_secs(-LEAD_DAYS * DAY);
        let mut book = PriceBook::default();
        let laid = book.lay(Timestamp::BEGINNING, plans.clone());
        laid.map_err(|conflicts| anyhow::anyhow!("the example price lists: {conflicts:?}"))?;
        Ok(Self { dice: Dice::new(seed), start, tonight, book, plans, entries: Vec::new() })
    }

    /// The story in the order of time, until just before the midnight.
    pub fn finish(mut self) -> Scenario {
        let until = self.tonight.plus_secs(-60);
        self.entries.retain(|entry| entry.at <= until);
        self.entries.sort_by_key(|entry| entry.at);
        Scenario { policy: Policy::default(), plans: self.plans, timeline: self.entries, until }
    }

    /// A second of some day from `days` after the start on, at most `within` days later.
    pub fn someday(&mut self, days: i64, within: i64) -> Timestamp {
        let day = days + self.dice.below(within);
        self.hour(self.start.plus_secs(day * DAY))
    }

    /// Some hour of the day that contains `at`.
    pub fn hour(&mut self, at: Timestamp) -> Timestamp {
        let index = usize::try_from(self.dice.below(6)).unwrap_or_default();
        at.midnight().plus_secs(HOURS_OF_DAY.get(index).copied().unwrap_or_default())
    }

    /// Whole days from the start to tonight.
    pub fn days(&self) -> i64 {
        (self.tonight.secs() - self.start.secs()) / DAY
    }

    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let index = usize::try_from(self.dice.below(choices.len() as i64)).unwrap_or_default();
        &choices[index]
    }

    pub fn open(&mut self, at: Timestamp, account: &str, customer: Customer) {
        let Customer { currency, trial, resume_on_deposit, card } = customer;
        let card = card.then_some(ScriptedCard::Succeeds);
        let account = account.to_owned();
        self.enter(at, Verb::OpenAccount { account, currency, trial, resume_on_deposit, card });
    }

    /// At least the smallest deposit, and in whole units of money.
    pub fn deposit(&mut self, at: Timestamp, account: &str, amount: Micros) {
        const UNIT: i64 = 1_000_000;
        let whole = (amount.get() + UNIT - 1) / UNIT * UNIT;
        let amount = Micros::new(whole).max(Policy::default().minimum_deposit);
        self.enter(at, Verb::Deposit { account: account.to_owned(), amount });
    }

    pub fn order(&mut self, at: Timestamp, account: &str, service: &str, order: &Order) {
        let Order { plan, quantities, options } = order.clone();
        let action = Action::CreateService { service: service.to_owned(), plan, quantities, options };
        self.enter(at, Verb::Act { whose: Whose::Account(account.to_owned()), action });
    }

    pub fn change(&mut self, at: Timestamp, service: &str, component: &str, quantity: i64) {
        let quantities = Some([(component.to_owned(), units(quantity))].into());
        let change = OrderChange { plan: None, quantities, options: None };
        let action = Action::Change { service: service.to_owned(), change, confirm_data_loss: true };
        self.act(at, service, action);
    }

    pub fn act(&mut self, at: Timestamp, service: &str, action: Action) {
        self.enter(at, Verb::Act { whose: Whose::Service(service.to_owned()), action });
    }

    pub fn enter(&mut self, at: Timestamp, verb: Verb) {
        self.entries.push(Entry { at, verb });
    }

    /// The price of one period, rounded up to the micro-unit.
    pub fn price(&self, order: &Order) -> Micros {
        const PICO_PER_MICRO: i128 = 1_000_000;
        let pico = self.book.price(order, self.start).unwrap_or(Price::ZERO).pico();
        Micros::new(i64::try_from((pico + PICO_PER_MICRO - 1) / PICO_PER_MICRO).unwrap_or(i64::MAX))
    }
}

/// How somebody signs up.
#[derive(Clone, Copy, Default)]
pub struct Customer {
    pub currency: Option<Currency>,
    pub trial: bool,
    pub resume_on_deposit: bool,
    pub card: bool,
}

/// The month that ends with, or contains, the evening before a midnight, and the one before it.
#[derive(Clone, Copy)]
pub struct Months {
    pub last: Timestamp,
    pub this: Timestamp,
}

impl Months {
    pub fn before(midnight: Timestamp) -> Self {
        let this = midnight.plus_secs(-1).month_start();
        Self { last: this.plus_secs(-1).month_start(), this }
    }
}

pub const fn units(whole: i64) -> Quantity {
    Micros::new(whole * 1_000_000)
}

pub fn order(plan: &str, quantities: &[(&str, i64)], options: &[&str]) -> Order {
    let quantities: BTreeMap<_, _> = quantities.iter().map(|(id, count)| ((*id).to_owned(), units(*count))).collect();
    let options: BTreeSet<_> = options.iter().map(|id| (*id).to_owned()).collect();
    Order { plan: plan.to_owned(), quantities, options }
}
