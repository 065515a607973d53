//! The lines of plans and services.

use std::collections::BTreeMap;

use rules::{ArrivingService, Misfit, Mode, Order, Plan, PriceList, Timestamp};

use super::{Arrivals, not_after};
use crate::input::reader::Table;
use crate::input::{prices, words};

const PLAN_KEYS: &[&str] = &["kind", "plan"];
const SERVICE_KEYS: &[&str] = &[
    "kind",
    "account",
    "name",
    "plan",
    "quantities",
    "options",
    "created_at",
    "paid_until",
    "stopped_for",
    "anchor",
    "ends_with_period",
    "covered",
];

impl Arrivals {
    pub(super) fn plan(&mut self, table: &Table<'_>) -> Option<()> {
        table.only(PLAN_KEYS);
        let (id, plan) = table.need("plan", prices::plan)?;
        let own: PriceList = [(id.clone(), Plan { private: true, ..plan })].into();
        if self.plans.contains_key(&id) {
            return table.value().fail(format!("plan `{id}` stands in this file already"));
        }
        let book = &mut self.terms.book;
        if !book.has_same(&own) && book.lay(Timestamp::BEGINNING, own.clone()).is_err() {
            return table.value().fail(format!("plan `{id}` is published already: give it another id"));
        }
        self.plans.extend(own);
        Some(())
    }

    pub(super) fn service(&mut self, table: &Table<'_>) -> Option<()> {
        table.only(SERVICE_KEYS);
        let at = self.terms.at;
        let opened_at = self.owner(table)?.arrival.opened_at;
        let name = table.need("name", words::name);
        let order = self.order(table);
        let created_at = table.need("created_at", |value| {
            let created_at = not_after(value, at)?;
            if created_at < opened_at {
                return value.refuse("it is not before the account's `opened_at`");
            }
            Some(created_at)
        });
        let paid_until = table.need("paid_until", words::time);
        let stopped = table.maybe("stopped_for", words::one_of(&super::STOPS));
        let ends_with_period = table.or("ends_with_period", false, words::flag);
        let covered = table.or("covered", false, words::flag);
        let anchor = table.maybe("anchor", words::time);
        let (name, (order, mode, months), created_at) = (name?, order?, created_at?);
        if self.names.came_before(&["service", &name]) {
            table.value().note(format!("service `{name}` stands in this file already"));
        }
        let anchor = anchor?;
        if anchor.is_some() && mode != Mode::Term {
            note_misfit(table, &Misfit { key: "anchor", problem: format!("only terms have one, and this is {mode}") });
        }
        let service = ArrivingService {
            name,
            created_at,
            order,
            mode,
            months,
            stopped: stopped?,
            ends_with_period: ends_with_period?,
            covered: covered?,
            paid_until: paid_until?,
            anchor: anchor.unwrap_or(created_at),
        };
        let (owner, line) = (self.open.as_mut()?, self.line);
        match owner.arrival.fits_service(&service, &self.terms.context(), at) {
            Ok(()) => {}
            Err(misfit) => note_misfit(table, &misfit),
        }
        owner.arrival.services.push(service);
        owner.service_lines.push(line);
        Some(())
    }

    /// What is ordered, with its plan's mode and months: as it could be ordered today.
    fn order(&self, table: &Table<'_>) -> Option<(Order, Mode, u32)> {
        let currency = self.open.as_ref()?.arrival.currency;
        let id = table.need("plan", words::name);
        let quantities = table.or("quantities", BTreeMap::new(), words::quantities);
        let options = table.or("options", Default::default(), words::options);
        let order = Order { plan: id?, quantities: quantities?, options: options? };
        let Some(plan) = self.terms.book.in_force(&order.plan, self.terms.at, currency) else {
            return table.need("plan", |value| {
                value.refuse(&format!(
                    "no plan in force serves an account in {currency}: publish it by a price list, or give it as a \
                     line of its own if it is this customer's alone"
                ))
            });
        };
        if let Some(name) = order.quantities.keys().find(|name| plan.settable(name).is_none()) {
            let why = if plan.metered(name).is_some() { "is metered: its use is reported" } else { "is none of it" };
            return table.value().fail(format!("quantities: component `{name}` of plan `{}` {why}", order.plan));
        }
        if let Some(name) = order.options.iter().find(|name| !plan.options.contains_key(*name)) {
            return table.value().fail(format!("options: plan `{}` has no option `{name}`", order.plan));
        }
        let (mode, months) = (plan.mode, plan.term_months);
        Some((order, mode, months))
    }
}

/// Notes what no history leads to at its key, or at the line where the key is missing.
fn note_misfit(table: &Table<'_>, misfit: &Misfit) {
    match table.get(misfit.key) {
        Some(value) => value.refuse(&misfit.problem).unwrap_or_default(),
        None => table.value().note(misfit.to_string()),
    }
}
