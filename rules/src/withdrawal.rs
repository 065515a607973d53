//! Whether a published price list can be taken back: nothing may have been charged by it.

use std::collections::BTreeSet;

use crate::basis::{Basis, Priced};
use crate::money::Quantity;
use crate::prices::{Order, PriceBook, PriceList};
use crate::service::{Service, TrialTraffic};
use crate::time::Timestamp;

/// A published list beside the book with it and the book without it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    pub since: Timestamp,
    pub list: &'a PriceList,
    pub with: &'a PriceBook,
    pub without: &'a PriceBook,
}

impl Candidate<'_> {
    /// Whether an amount of a service that is of `plan` now, for what began at `from`, was computed with the list.
    pub fn priced(&self, basis: &Basis, plan: &str, from: Timestamp) -> bool {
        if let Some(of) = basis.priced() {
            return self.is_of(of);
        }
        match basis {
            Basis::Usage { plan, component, .. } => self.prices(plan, from) || self.alone_has(plan, component),
            // These don't say by which plan: by the one that it has, as far as anybody knows.
            Basis::NewOverage { .. } | Basis::TrialTraffic { .. } => self.list.contains_key(plan),
            _ => false,
        }
    }

    /// What of a service would lose its price, or was priced already and waits for its invoice.
    pub fn holds(&self, service: &Service) -> Option<&'static str> {
        let Order { plan, .. } = &service.order;
        if !self.without.knows(&service.order) {
            return Some("is ordered as only this list has it");
        }
        let meter = &service.server()?.meter;
        let pending = meter.pending.iter().any(|line| self.priced(&line.basis, plan, line.period.from));
        let measured = meter.stretches.iter().any(|stretch| self.prices(&stretch.order.plan, stretch.period.from));
        let traffic = meter.trial_traffic != TrialTraffic::default() && self.list.contains_key(plan);
        let used = meter.usage.iter().any(|(component, usage)| self.alone_has(&usage.plan, component));
        (pending || measured || traffic || used).then_some("has lines priced by it that wait for their invoice")
    }

    /// Whether no other list has this component of a plan.
    fn alone_has(&self, plan: &str, component: &str) -> bool {
        let quantities = [(component.to_owned(), Quantity::ZERO)].into();
        let order = Order { plan: plan.to_owned(), quantities, options: BTreeSet::new() };
        self.list.contains_key(plan) && !self.without.knows(&order)
    }

    fn is_of(&self, priced: &Priced) -> bool {
        let of_version = priced.list.unwrap_or(Timestamp::BEGINNING) == self.since;
        self.list.contains_key(&priced.order.plan) && (of_version || !self.without.knows(&priced.order))
    }

    fn prices(&self, plan: &str, at: Timestamp) -> bool {
        self.list.contains_key(plan) && self.with.version_of(plan, at) == self.since
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::money::{Micros, Price};
    use crate::prices::{Mode, Plan};
    use crate::time::Period;

    fn plan(price: i64, options: &[&str]) -> Plan {
        Plan {
            mode: Mode::Daily,
            price: Micros::new(price),
            currency: None,
            term_months: 1,
            components: BTreeMap::new(),
            options: options.iter().map(|name| ((*name).to_owned(), Micros::new(1))).collect(),
            private: false,
        }
    }

    #[test]
    fn an_amount_names_its_list() {
        let at = Timestamp::from_secs(86_400);
        let older = PriceList::from([("a".to_owned(), plan(1, &[]))]);
        let list = PriceList::from([("a".to_owned(), plan(2, &["backup"]))]);
        let mut without = PriceBook::default();
        without.lay(Timestamp::BEGINNING, older).expect("a list");
        let mut with = without.clone();
        with.lay(at, list.clone()).expect("a list");
        let candidate = Candidate { since: at, list: &list, with: &with, without: &without };
        let whole = Period::day_of(at);
        let basis = |options: &[&str], list: Option<Timestamp>| {
            let options: BTreeSet<String> = options.iter().map(|name| (*name).to_owned()).collect();
            let order = Order { plan: "a".to_owned(), quantities: BTreeMap::new(), options };
            Basis::Share { of: Priced { order, list, price: Price::ZERO }, part: whole, whole }
        };
        for (basis, priced) in [
            (basis(&[], Some(at)), true),
            (basis(&[], None), false),
            // An older version reads what it lacks from this list.
            (basis(&["backup"], None), true),
        ] {
            assert_eq!(candidate.priced(&basis, "a", at), priced, "{basis:?}");
        }
    }
}
