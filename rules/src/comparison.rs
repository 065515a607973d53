//! What a new price list would change, and for whom: every living service priced under two books.

use std::collections::{BTreeMap, HashMap};

use crate::basis::HOURS_OF_MONTH;
use crate::money::{Currency, Exact, Micros, OutOfRange, Price, round_to_micros};
use crate::prices::{Mode, Order, PriceBook};
use crate::service::{Kind, Service};
use crate::time::Timestamp;

/// What the services of one plan and currency come to for one period of the plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlanDifference {
    pub mode: Mode,
    /// Of its term; 1 for the other modes.
    pub months: u32,
    pub services: u64,
    /// Of the services, those that only the new book has a price for: they come from nothing.
    pub unpriced_until_now: u64,
    pub old: Price,
    pub new: Price,
}

/// What an account pays more, read as a month of each of its services: a day counts 365/12 times, an hour 730.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountDifference {
    pub account: String,
    pub currency: Currency,
    /// Services whose price changes.
    pub services: u64,
    pub old: Micros,
    pub new: Micros,
}

#[derive(Default)]
struct Monthly {
    services: u64,
    old: Exact,
    new: Exact,
}

/// Services are added one by one; what is kept grows with the orders and with the accounts that see a difference.
pub struct Comparison<'a> {
    unpriced: u64,
    old: &'a PriceBook,
    new: &'a PriceBook,
    at: Timestamp,
    known: HashMap<Order, (Option<Price>, Price)>,
    plans: BTreeMap<(String, &'static str), PlanDifference>,
    accounts: BTreeMap<String, (Currency, Monthly)>,
}

impl<'a> Comparison<'a> {
    /// Compares what begins at `at`.
    pub fn new(old: &'a PriceBook, new: &'a PriceBook, at: Timestamp) -> Self {
        Self { unpriced: 0, old, new, at, known: HashMap::new(), plans: BTreeMap::new(), accounts: BTreeMap::new() }
    }

    /// Takes in a service, if it still runs or could run again.
    pub fn add(&mut self, account: &str, currency: Currency, service: &Service) {
        if !service.is_living() {
            return;
        }
        let (old, new) = match self.known.get(&service.order) {
            Some(prices) => *prices,
            None => {
                let order = &service.order;
                let Ok(new) = self.new.price(order, self.at) else {
                    self.unpriced += 1;
                    return;
                };
                let prices = (self.old.price(order, self.at).ok(), new);
                self.known.insert(order.clone(), prices);
                prices
            }
        };
        let mode = service.mode();
        let months = if let Kind::Term(term) = &service.kind { term.months } else { 1 };
        let (is_new, old) = (old.is_none(), old.unwrap_or(Price::ZERO));
        let none =
            PlanDifference { mode, months, services: 0, unpriced_until_now: 0, old: Price::ZERO, new: Price::ZERO };
        let plan = self.plans.entry((service.order.plan.clone(), currency.code())).or_insert(none);
        plan.services += 1;
        plan.unpriced_until_now += u64::from(is_new);
        plan.old = plan.old + old;
        plan.new = plan.new + new;
        if old != new {
            if !self.accounts.contains_key(account) {
                self.accounts.insert(account.to_owned(), (currency, Monthly::default()));
            }
            if let Some((_, sums)) = self.accounts.get_mut(account) {
                sums.services += 1;
                sums.old += a_month(old, mode, months);
                sums.new += a_month(new, mode, months);
            }
        }
    }

    /// Services that the new book has no price for either: they are compared with nothing.
    pub const fn unpriced(&self) -> u64 {
        self.unpriced
    }

    /// By plan and the code of the currency.
    pub fn plans(&self) -> &BTreeMap<(String, &'static str), PlanDifference> {
        &self.plans
    }

    /// The accounts that see a difference, those that pay most more first.
    pub fn accounts(&self) -> Result<Vec<AccountDifference>, OutOfRange> {
        let mut accounts: Vec<AccountDifference> = Vec::with_capacity(self.accounts.len());
        for (account, (currency, sums)) in &self.accounts {
            let (old, new) = (round_to_micros(&sums.old)?, round_to_micros(&sums.new)?);
            let (account, currency) = (account.clone(), *currency);
            accounts.push(AccountDifference { account, currency, services: sums.services, old, new });
        }
        accounts.sort_by_key(|account| account.old.get().saturating_sub(account.new.get()));
        Ok(accounts)
    }
}

fn a_month(price: Price, mode: Mode, months: u32) -> Exact {
    let (times, by) = match mode {
        Mode::Daily => (365, 12),
        Mode::Hourly => (HOURS_OF_MONTH, 1),
        Mode::Monthly | Mode::Term => (1, i64::from(months)),
    };
    price.exact() * Exact::new(times.into(), by.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prices::Plan;
    use crate::service::{Daily, DailyState};
    use crate::time::Period;

    fn book(price: i64) -> PriceBook {
        let plan = Plan {
            mode: Mode::Daily,
            price: Micros::new(price),
            currency: None,
            term_months: 1,
            components: BTreeMap::new(),
            options: BTreeMap::new(),
            private: false,
        };
        let mut book = PriceBook::default();
        book.lay(Timestamp::BEGINNING, [("dms".to_owned(), plan)].into()).expect("a list");
        book
    }

    fn service(state: DailyState) -> Service {
        let at = Timestamp::from_secs(0);
        let order = Order { plan: "dms".to_owned(), quantities: BTreeMap::new(), options: Default::default() };
        let kind = Kind::Daily(Daily { state, paid: Period::new(at, at.next_midnight()) });
        Service { number: 0, name: "s".to_owned(), created_at: at, order, kind }
    }

    #[test]
    fn living_services_are_summed_by_plan_and_by_account() {
        let (old, new) = (book(1_200_000), book(2_400_000));
        let mut compared = Comparison::new(&old, &new, Timestamp::from_secs(0));
        for (account, state) in
            [("ann", DailyState::Enabled), ("bob", DailyState::Enabled), ("bob", DailyState::Enabled)]
        {
            compared.add(account, Currency::USD, &service(state));
        }
        compared.add("cid", Currency::USD, &service(DailyState::Deleted));
        let mut unknown = service(DailyState::Enabled);
        unknown.order.plan = "gone".to_owned();
        compared.add("dan", Currency::USD, &unknown);
        assert_eq!(compared.unpriced(), 1);
        let plan = compared.plans()[&("dms".to_owned(), "USD")];
        assert_eq!((plan.services, plan.old.to_string(), plan.new.to_string()), (3, "3.60".into(), "7.20".into()));
        let accounts = compared.accounts().expect("in range");
        let more: Vec<(&str, i64)> =
            accounts.iter().map(|one| (one.account.as_str(), one.new.get() - one.old.get())).collect();
        assert_eq!(more, [("bob", 73_000_000), ("ann", 36_500_000)]);
        assert!(Comparison::new(&old, &old, Timestamp::from_secs(0)).accounts().expect("in range").is_empty());
    }

    #[test]
    fn what_no_list_priced_until_now_comes_from_nothing() {
        let (old, new) = (PriceBook::default(), book(1_200_000));
        let mut compared = Comparison::new(&old, &new, Timestamp::from_secs(0));
        compared.add("ann", Currency::USD, &service(DailyState::Enabled));
        let plan = compared.plans()[&("dms".to_owned(), "USD")];
        assert_eq!((plan.services, plan.unpriced_until_now, compared.unpriced()), (1, 1, 0));
        assert_eq!((plan.old, plan.new.to_string()), (Price::ZERO, "1.20".into()));
        let accounts = compared.accounts().expect("in range");
        assert_eq!((accounts[0].old.get(), accounts[0].new.get()), (0, 36_500_000));
    }
}
