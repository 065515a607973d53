//! Creating a service (rules 4.1, 5.1, 6.1, 7.2).

use std::collections::{BTreeMap, BTreeSet};

use crate::actions::perform::require;
use crate::actions::{Action, Refusal};
use crate::basis::Basis;
use crate::changes::{EventKind, TransferKind};
use crate::desk::{Desk, Details, Halt};
use crate::money::Quantity;
use crate::prices::{Mode, Order, Plan, Unpriced};
use crate::service::{Daily, DailyState, Kind, Meter, Server, ServerState, Service, Term, TermState};
use crate::time::{Period, Timestamp};

impl Desk<'_> {
    pub fn create_service(
        &mut self,
        action: &Action,
        name: &str,
        plan: &str,
        quantities: &BTreeMap<String, Quantity>,
        options: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<(), Halt> {
        let order = Order { plan: plan.to_owned(), quantities: quantities.clone(), options: options.clone() };
        let plan = self.orderable(&order, Some(quantities), Some(options), now)?.clone();
        self.require_active()?;
        require(self.account.verified, Refusal::NotAllowed)?;
        let (kind, paid) = self.new_kind(&plan, &order, now)?;
        let number = self.account.next.service;
        let service = Service { number, name: name.to_owned(), created_at: now, order, kind };
        match paid {
            Some(paid) => self.charge_first_period(&service, paid, now)?,
            None => self.charge_new_overage(action, &service, now)?,
        }
        self.account.next.service += 1;
        let index = self.account.services.partition_point(|other| other.rank() < service.rank());
        let daily = plan.mode == Mode::Daily;
        self.account.services.insert(index, service);
        if daily {
            self.account.daily_paid_until = now.next_midnight();
        }
        if plan.mode.is_server() {
            self.begin_server(index, now)?;
        }
        self.tell_of_service(now, EventKind::ServiceCreated, index);
        self.pay_open_invoices(now)?;
        Ok(())
    }

    /// The plan of `order`, if it is in force for the account and has the components and options asked for.
    pub fn orderable(
        &self,
        order: &Order,
        quantities: Option<&BTreeMap<String, Quantity>>,
        options: Option<&BTreeSet<String>>,
        now: Timestamp,
    ) -> Result<&Plan, Halt> {
        let plan = self.cx.prices.in_force(&order.plan, now, self.account.currency);
        let mut own = self.account.services.iter();
        let finds = |plan: &&Plan| !plan.private || own.any(|service| service.order.plan == order.plan);
        let plan = plan.filter(finds).ok_or(Halt::Refused(Refusal::NotFound))?;
        let settable = quantities.is_none_or(|given| given.keys().all(|name| plan.settable(name).is_some()));
        let offered = options.is_none_or(|given| given.iter().all(|name| plan.options.contains_key(name)));
        require(settable && offered, Refusal::NotFound)?;
        Ok(plan)
    }

    /// The new service's state, and the period to pay for at once of a prepaid one.
    fn new_kind(&self, plan: &Plan, order: &Order, now: Timestamp) -> Result<(Kind, Option<Period>), Unpriced> {
        Ok(match plan.mode {
            Mode::Daily => {
                let paid = Period::new(now, now.next_midnight());
                (Kind::Daily(Daily { state: DailyState::Enabled, paid }), Some(paid))
            }
            Mode::Term => {
                let paid = Period::new(now, now.plus_months(plan.term_months));
                let state = TermState::Active { ends_with_period: false };
                (Kind::Term(Term { months: plan.term_months, anchor: now, paid, state }), Some(paid))
            }
            Mode::Monthly | Mode::Hourly => {
                let trial_end = self.account.trial_end(now);
                let cover_taken = || {
                    let mut servers = self.account.services.iter().filter_map(Service::server);
                    servers.any(|server| server.is_living() && server.meter.covered)
                };
                let covered = trial_end.is_some() && !cover_taken();
                let worth = crate::settle::worth(plan.mode, self.cx.prices.price(order, now)?);
                let overage_charged =
                    if trial_end.is_some() { self.overage_worth(worth, covered) } else { Default::default() };
                let meter = Meter { covered, overage_charged, ..Meter::default() };
                let billable_from = trial_end.unwrap_or(now);
                let server = Server { mode: plan.mode, state: ServerState::Active, billable_from, meter };
                (Kind::Server(Box::new(server)), None)
            }
        })
    }

    fn charge_first_period(&mut self, service: &Service, paid: Period, now: Timestamp) -> Result<(), Halt> {
        let whole = if service.mode() == Mode::Daily { Period::day_of(now) } else { paid };
        let basis = Basis::Share { of: self.priced(&service.order, now)?, part: paid, whole };
        let amount = self.covered(&basis.exact()).ok_or(Halt::Refused(Refusal::InsufficientFunds))?;
        let details =
            Details { service: Some(service.number), period: Some(paid), basis: Some(basis), ..Details::default() };
        Ok(self.book(now, TransferKind::Period, amount, details)?)
    }

    /// A server is billable at once, or measured for the trial's overage until its end.
    fn begin_server(&mut self, index: usize, now: Timestamp) -> Result<(), Halt> {
        let waiting = self.account.services.iter().enumerate().any(|(other, service)| {
            other != index && service.server().is_some() && !service.is_finished(self.account.invoiced_until)
        });
        if !waiting {
            self.account.invoiced_until = self.account.invoiced_until.max(now);
        }
        if self.account.trial_end(now).is_none() {
            return Ok(self.begin_billing(index, now)?);
        }
        if let Some(server) = self.account.services[index].server_mut() {
            server.meter.measured_since = Some(now);
        }
        Ok(())
    }
}
