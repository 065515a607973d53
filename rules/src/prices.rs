//! Plans, price lists and the price book that lays each list over the older ones (rule 2).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::money::{Currency, Micros, Price, Quantity};
use crate::time::Timestamp;

/// How a plan's services are paid for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Daily,
    Term,
    Monthly,
    Hourly,
}

impl Mode {
    pub const ALL: [Self; 4] = [Self::Daily, Self::Term, Self::Monthly, Self::Hourly];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Term => "term",
            Self::Monthly => "monthly",
            Self::Hourly => "hourly",
        }
    }

    /// Monthly and hourly plans run servers, which are invoiced; the others are prepaid.
    pub const fn is_server(self) -> bool {
        matches!(self, Self::Monthly | Self::Hourly)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One step of a graduated price; the last has no end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tier {
    /// Counted from the first unit above `included`.
    pub up_to: Option<Quantity>,
    pub unit_price: Micros,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Component {
    pub included: Quantity,
    /// One tier without an end is a plain unit price.
    pub tiers: Vec<Tier>,
    pub metered: bool,
    pub shrink_erases: bool,
}

impl Component {
    /// The price of a configured or used quantity: what is above `included`, through the tiers.
    pub fn price_of(&self, quantity: Quantity) -> Price {
        self.price_of_units(Quantity::ZERO, self.above_included(quantity))
    }

    /// The price of the units from `from` to `to`, counted from the first priced unit.
    pub fn price_of_units(&self, from: Quantity, to: Quantity) -> Price {
        self.steps(from, to).map(|(units, unit_price)| Price::times(units, unit_price)).sum()
    }

    /// How many of the units from `from` to `to` fall into each tier, with what one costs there.
    fn steps(&self, from: Quantity, to: Quantity) -> impl Iterator<Item = (Quantity, Micros)> {
        let mut start = from;
        self.tiers.iter().map(move |tier| {
            let end = tier.up_to.map_or(to, |up_to| up_to.min(to)).max(start);
            let units = Micros::new(end.get() - start.get());
            start = end;
            (units, tier.unit_price)
        })
    }

    /// The units of a quantity that are priced.
    fn above_included(&self, quantity: Quantity) -> Quantity {
        Micros::new(quantity.get().saturating_sub(self.included.get()).max(0))
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub mode: Mode,
    /// For a day, a term, a month or an hour.
    pub price: Micros,
    /// A plan that names one serves accounts of that currency alone (rule 1.1).
    pub currency: Option<Currency>,
    /// Months of a term; 1 for the other modes.
    pub term_months: u32,
    pub components: BTreeMap<String, Component>,
    pub options: BTreeMap<String, Micros>,
    /// One customer's own: no published list names it, and who has no service of it doesn't find it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private: bool,
}

impl Plan {
    /// A component whose quantity is configured, not reported.
    pub fn settable(&self, component: &str) -> Option<&Component> {
        self.components.get(component).filter(|component| !component.metered)
    }

    pub fn metered(&self, component: &str) -> Option<&Component> {
        self.components.get(component).filter(|component| component.metered)
    }

    /// Whether a service can change between the two (rule 4.5).
    pub fn exchangeable_with(&self, other: &Self) -> bool {
        self.mode == other.mode && self.term_months == other.term_months
    }
}

/// A price list as it is published: the plans it names, whole.
pub type PriceList = BTreeMap<String, Plan>;

/// What a service is configured as: all that its price depends on, beside the list.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Order {
    pub plan: String,
    /// A component that is not here has its included quantity.
    pub quantities: BTreeMap<String, Quantity>,
    pub options: BTreeSet<String>,
}

/// One summand of a price.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PricePart<'a> {
    /// Of the component or option; none of the plan's own price.
    pub name: Option<&'a str>,
    /// Units that are priced, of a component.
    pub units: Option<Quantity>,
    pub unit_price: Micros,
}

impl PricePart<'_> {
    pub fn price(&self) -> Price {
        self.units.map_or(Price::of(self.unit_price), |units| Price::times(units, self.unit_price))
    }
}

/// Why a list cannot be laid over the older ones.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("plan `{plan}`: {problem}")]
pub struct ListConflict {
    pub plan: String,
    pub problem: String,
}

/// What no price list has a price for: nothing is given away because of that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unpriced {
    pub plan: String,
    /// Of the component or option that the plan lacks; none where the plan itself is unknown.
    pub name: Option<String>,
}

impl Unpriced {
    fn without(versions: &[Version], plan: &str, name: &str) -> Self {
        Self { plan: plan.to_owned(), name: (!versions.is_empty()).then(|| name.to_owned()) }
    }
}

impl fmt::Display for Unpriced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            None => write!(f, "plan `{}` is in no price list", self.plan),
            Some(name) => write!(f, "plan `{}` has no `{name}` in any price list", self.plan),
        }
    }
}

impl std::error::Error for Unpriced {}

/// All price lists in the order in which they take effect.
#[derive(Clone, Default, Debug)]
pub struct PriceBook {
    plans: BTreeMap<String, Vec<Version>>,
}

#[derive(Clone, Debug)]
struct Version {
    since: Timestamp,
    plan: Plan,
}

impl PriceBook {
    /// Lays a list over the older ones from `since` on, which no older list may follow (rule 2.2).
    pub fn lay(&mut self, since: Timestamp, list: PriceList) -> Result<(), Vec<ListConflict>> {
        let conflicts: Vec<ListConflict> = list
            .iter()
            .filter_map(|(id, plan)| Some((id, self.plans.get(id)?.last()?, plan)))
            .flat_map(|(id, older, plan)| conflicts(id, &older.plan, plan))
            .collect();
        if !conflicts.is_empty() {
            return Err(conflicts);
        }
        for (id, plan) in list {
            let versions = self.plans.entry(id).or_default();
            // Two lists of one second are one version.
            if versions.last().is_some_and(|last| last.since == since) {
                versions.pop();
            }
            versions.push(Version { since, plan });
        }
        Ok(())
    }

    /// The plan in force at `at` that serves accounts of `currency`.
    pub fn in_force(&self, plan: &str, at: Timestamp, currency: Currency) -> Option<&Plan> {
        let plan = version_at(self.plans.get(plan)?, at)?;
        plan.currency.is_none_or(|own| own == currency).then_some(plan)
    }

    /// The plans in force at `at` that anybody can order, by name.
    pub fn on_sale(&self, at: Timestamp) -> impl Iterator<Item = (&str, &Plan)> {
        self.plans.iter().filter_map(move |(id, versions)| {
            let plan = version_at(versions, at)?;
            (!plan.private).then_some((id.as_str(), plan))
        })
    }

    /// Whether some version has the plan of `order`, each of its components and each of its options.
    pub fn knows(&self, order: &Order) -> bool {
        let versions = self.plans.get(&order.plan).map_or(&[][..], Vec::as_slice);
        let has =
            |known: fn(&Plan, &str) -> bool, name: &str| versions.iter().any(|version| known(&version.plan, name));
        !versions.is_empty()
            && order.quantities.keys().all(|name| has(|plan, name| plan.components.contains_key(name), name))
            && order.options.iter().all(|name| has(|plan, name| plan.options.contains_key(name), name))
    }

    /// Whether each plan of `list` is in force from the beginning as it stands there.
    pub fn has_same(&self, list: &PriceList) -> bool {
        list.iter().all(|(id, plan)| {
            let first = self.plans.get(id).and_then(|versions| versions.first());
            first.is_some_and(|first| first.since == Timestamp::BEGINNING && first.plan == *plan)
        })
    }

    /// Since when the version that prices `plan` at `at` is in force.
    pub fn version_of(&self, plan: &str, at: Timestamp) -> Timestamp {
        self.versions_from(plan, at).first().map_or(Timestamp::BEGINNING, |version| version.since)
    }

    /// The price of `order` for one period that starts at `at` (rule 2.3).
    pub fn price(&self, order: &Order, at: Timestamp) -> Result<Price, Unpriced> {
        let versions = self.versions_from(&order.plan, at);
        let mut price = Price::of(base_of(versions, &order.plan)?);
        for (name, quantity) in &order.quantities {
            price = price + component_of(versions, &order.plan, name)?.price_of(*quantity);
        }
        for name in &order.options {
            price = price + Price::of(option_of(versions, &order.plan, name)?);
        }
        Ok(price)
    }

    /// What [`Self::price`] adds up, without what costs nothing: the plan, each step of each component, options.
    pub fn parts<'a>(&'a self, order: &'a Order, at: Timestamp) -> Result<Vec<PricePart<'a>>, Unpriced> {
        let versions = self.versions_from(&order.plan, at);
        let mut parts = vec![PricePart { name: None, units: None, unit_price: base_of(versions, &order.plan)? }];
        for (name, quantity) in &order.quantities {
            let component = component_of(versions, &order.plan, name)?;
            let steps = component.steps(Quantity::ZERO, component.above_included(*quantity));
            parts.extend(steps.map(|(units, unit_price)| PricePart {
                name: Some(name),
                units: Some(units),
                unit_price,
            }));
        }
        for name in &order.options {
            let unit_price = option_of(versions, &order.plan, name)?;
            parts.push(PricePart { name: Some(name), units: None, unit_price });
        }
        parts.retain(|part| part.name.is_none() || part.price() != Price::ZERO);
        Ok(parts)
    }

    /// A component as the version of `at` has it, or the first later one that does.
    pub fn component(&self, plan: &str, component: &str, at: Timestamp) -> Result<&Component, Unpriced> {
        component_of(self.versions_from(plan, at), plan, component)
    }

    /// The seconds in `(after, until)` at which a new version of `plan` takes effect.
    pub fn changes_within(&self, plan: &str, after: Timestamp, until: Timestamp) -> impl Iterator<Item = Timestamp> {
        let versions = self.plans.get(plan).map_or(&[][..], Vec::as_slice);
        versions.iter().map(|version| version.since).filter(move |since| after < *since && *since < until)
    }

    /// The version of `at` and those after it; what it lacks is read from them (rule 2.3).
    fn versions_from(&self, plan: &str, at: Timestamp) -> &[Version] {
        let versions = self.plans.get(plan).map_or(&[][..], Vec::as_slice);
        let known = versions.partition_point(|version| version.since <= at);
        versions.get(known.saturating_sub(1)..).unwrap_or_default()
    }
}

/// The version in force at `at`, if one is.
fn version_at(versions: &[Version], at: Timestamp) -> Option<&Plan> {
    let known = versions.partition_point(|version| version.since <= at);
    Some(&versions.get(known.checked_sub(1)?)?.plan)
}

fn base_of(versions: &[Version], plan: &str) -> Result<Micros, Unpriced> {
    let first = versions.first().ok_or_else(|| Unpriced { plan: plan.to_owned(), name: None })?;
    Ok(first.plan.price)
}

fn component_of<'v>(versions: &'v [Version], plan: &str, name: &str) -> Result<&'v Component, Unpriced> {
    let found = versions.iter().find_map(|version| version.plan.components.get(name));
    found.ok_or_else(|| Unpriced::without(versions, plan, name))
}

fn option_of(versions: &[Version], plan: &str, name: &str) -> Result<Micros, Unpriced> {
    let found = versions.iter().find_map(|version| version.plan.options.get(name));
    found.copied().ok_or_else(|| Unpriced::without(versions, plan, name))
}

/// What a newer plan changes though it must keep it (rule 2.2).
fn conflicts(id: &str, older: &Plan, newer: &Plan) -> Vec<ListConflict> {
    let mut problems = Vec::new();
    if older.private {
        problems.push("is one customer's own: no published list names it".to_owned());
    }
    if newer.mode != older.mode {
        problems.push(format!("keeps its mode `{}`, this list says `{}`", older.mode, newer.mode));
    }
    if newer.term_months != older.term_months {
        problems.push(format!("keeps its term_months {}, this list says {}", older.term_months, newer.term_months));
    }
    if newer.currency != older.currency {
        let name = |currency: Option<Currency>| currency.map_or("none", Currency::code);
        let (was, is) = (name(older.currency), name(newer.currency));
        problems.push(format!("keeps its currency ({was}), this list says {is}"));
    }
    for (name, component) in &older.components {
        match newer.components.get(name) {
            None => problems.push(format!("must not lose its component `{name}`")),
            Some(new) => {
                if new.metered != component.metered {
                    problems.push(format!("component `{name}` keeps metered = {}", component.metered));
                }
                if new.shrink_erases != component.shrink_erases {
                    problems.push(format!("component `{name}` keeps shrink_erases = {}", component.shrink_erases));
                }
            }
        }
    }
    let lost_options = older.options.keys().filter(|name| !newer.options.contains_key(*name));
    problems.extend(lost_options.map(|name| format!("must not lose its option `{name}`")));
    problems.into_iter().map(|problem| ListConflict { plan: id.to_owned(), problem }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(whole: i64) -> Micros {
        Micros::new(whole * 1_000_000)
    }

    fn component(included: i64, tiers: &[(Option<i64>, i64)]) -> Component {
        let tiers = tiers
            .iter()
            .map(|(up_to, cents)| Tier { up_to: up_to.map(units), unit_price: Micros::new(cents * 10_000) })
            .collect();
        Component { included: units(included), tiers, metered: false, shrink_erases: false }
    }

    fn plan(cents: i64) -> Plan {
        Plan {
            mode: Mode::Daily,
            price: Micros::new(cents * 10_000),
            currency: None,
            term_months: 1,
            components: BTreeMap::new(),
            options: BTreeMap::new(),
            private: false,
        }
    }

    #[test]
    fn tiers_count_what_is_above_included() {
        let graduated = component(10, &[(Some(100), 10), (Some(200), 5), (None, 1)]);
        for (quantity, cents) in [(0, 0), (10, 0), (11, 10), (110, 1000), (111, 1005), (210, 1500), (310, 1600)] {
            assert_eq!(graduated.price_of(units(quantity)), Price::of(Micros::new(cents * 10_000)), "{quantity}");
        }
        let split = graduated.price_of_units(units(0), units(150)) + graduated.price_of_units(units(150), units(300));
        assert_eq!(split, graduated.price_of_units(units(0), units(300)));
        // Within one tier, across two, none, and backwards.
        for (from, to, cents) in [(20, 30, 100), (90, 110, 150), (250, 260, 10), (150, 150, 0), (30, 20, 0)] {
            let price = graduated.price_of_units(units(from), units(to));
            assert_eq!(price, Price::of(Micros::new(cents * 10_000)), "{from} to {to}");
        }
    }

    #[test]
    fn a_list_prices_what_begins_at_its_second_and_lends_what_came_later() {
        let mut book = PriceBook::default();
        let usd = Currency::parse("USD").expect("USD");
        book.lay(Timestamp::BEGINNING, [("a".into(), plan(100))].into()).expect("first");
        let mut richer = plan(200);
        richer.components.insert("disk".into(), component(0, &[(None, 50)]));
        book.lay(Timestamp::from_secs(1000), [("a".into(), richer), ("b".into(), plan(700))].into()).expect("second");
        let mut order = Order { plan: "a".into(), quantities: BTreeMap::new(), options: BTreeSet::new() };
        let price = |order: &Order, at: i64| book.price(order, Timestamp::from_secs(at));
        assert_eq!(price(&order, 999), Ok(Price::of(Micros::new(1_000_000))));
        assert_eq!(price(&order, 1000), Ok(Price::of(Micros::new(2_000_000))));
        order.quantities.insert("disk".into(), units(2));
        assert_eq!(price(&order, 0), Ok(Price::of(Micros::new(2_000_000))));
        assert!(book.in_force("b", Timestamp::from_secs(999), usd).is_none());
        order = Order { plan: "b".into(), quantities: BTreeMap::new(), options: BTreeSet::new() };
        assert_eq!(price(&order, 0), Ok(Price::of(Micros::new(7_000_000))));
    }

    #[test]
    fn what_no_list_has_is_not_free() {
        let mut book = PriceBook::default();
        book.lay(Timestamp::BEGINNING, [("a".into(), plan(100))].into()).expect("a list");
        let order = |plan: &str, quantity: Option<&str>, option: Option<&str>| Order {
            plan: plan.into(),
            quantities: quantity.map(|name| (name.to_owned(), units(1))).into_iter().collect(),
            options: option.map(str::to_owned).into_iter().collect(),
        };
        for (order, told) in [
            (order("b", None, None), "plan `b` is in no price list"),
            (order("b", Some("disk"), None), "plan `b` is in no price list"),
            (order("a", Some("disk"), None), "plan `a` has no `disk` in any price list"),
            (order("a", None, Some("backup")), "plan `a` has no `backup` in any price list"),
        ] {
            let at = Timestamp::from_secs(0);
            assert_eq!(book.price(&order, at).map_err(|error| error.to_string()), Err(told.to_owned()));
            assert_eq!(book.parts(&order, at).map_err(|error| error.to_string()), Err(told.to_owned()));
            assert!(!book.knows(&order));
        }
        assert!(book.component("a", "disk", Timestamp::from_secs(0)).is_err());
    }

    #[test]
    fn a_list_keeps_mode_flags_components_and_options() {
        let mut book = PriceBook::default();
        let mut first = plan(100);
        first.components.insert("disk".into(), component(0, &[(None, 50)]));
        first.options.insert("backup".into(), units(1));
        book.lay(Timestamp::BEGINNING, [("a".into(), first)].into()).expect("first");
        let mut second = plan(100);
        second.mode = Mode::Hourly;
        let conflicts = book.lay(Timestamp::from_secs(0), [("a".into(), second)].into()).expect_err("loses much");
        let problems: Vec<&str> = conflicts.iter().map(|conflict| conflict.problem.as_str()).collect();
        assert_eq!(
            problems,
            [
                "keeps its mode `daily`, this list says `hourly`",
                "must not lose its component `disk`",
                "must not lose its option `backup`"
            ]
        );
    }
}
