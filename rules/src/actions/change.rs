//! Changing a service's plan, quantities and options (rules 4.5, 5.5, 5.6, 6.4, 7.3).

use crate::actions::perform::require;
use crate::actions::{Action, OrderChange, Refusal};
use crate::basis::Basis;
use crate::changes::{EventKind, TransferKind};
use crate::desk::{Desk, Details, Halt};
use crate::invoice::LineKind;
use crate::money::{Quantity, round_to_micros};
use crate::prices::{Mode, Order, Plan};
use crate::service::{DailyState, Kind, Service, TermState};
use crate::time::{Period, Timestamp};

impl Desk<'_> {
    pub fn change(
        &mut self,
        action: &Action,
        name: &str,
        change: &OrderChange,
        confirm_data_loss: bool,
        now: Timestamp,
    ) -> Result<(), Halt> {
        let index = self.find(name)?;
        let service = self.account.services[index].clone();
        let order = self.changed_order(&service.order, change, now)?;
        self.require_active()?;
        let old_plan = self.plan_in_force(&service.order.plan, now)?;
        let new_plan = self.plan_in_force(&order.plan, now)?;
        require(old_plan.exchangeable_with(new_plan), Refusal::NotAllowed)?;
        require(is_changeable(&service), Refusal::InvalidState)?;
        let erases = erases_data(old_plan, &service.order, new_plan, &order);
        require(!erases || confirm_data_loss, Refusal::NeedsConfirmation)?;
        match &service.kind {
            Kind::Daily(_) | Kind::Term(_) => self.charge_difference(&service, &order, now)?,
            Kind::Server(_) if self.account.trial_end(now).is_some() => {
                self.raise_overage(action, index, &order, now)?;
            }
            Kind::Server(_) => self.raise_level(index, &order, now)?,
        }
        self.account.services[index].order = order;
        self.tell_of_service(now, EventKind::ServiceChanged, index);
        Ok(self.pay_open_invoices(now)?)
    }

    /// What is given replaces the old one whole; the rest is kept as far as the plan has it.
    fn changed_order(&self, old: &Order, change: &OrderChange, now: Timestamp) -> Result<Order, Halt> {
        let plan = change.plan.as_ref().unwrap_or(&old.plan).clone();
        let mut order = Order { plan, quantities: old.quantities.clone(), options: old.options.clone() };
        let plan = self.orderable(&order, change.quantities.as_ref(), change.options.as_ref(), now)?;
        match &change.quantities {
            Some(given) => order.quantities = given.clone(),
            None => order.quantities.retain(|name, _| plan.settable(name).is_some()),
        }
        match &change.options {
            Some(given) => order.options = given.clone(),
            None => order.options.retain(|name| plan.options.contains_key(name)),
        }
        Ok(order)
    }

    fn plan_in_force(&self, plan: &str, now: Timestamp) -> Result<&Plan, Halt> {
        let plan = self.cx.prices.in_force(plan, now, self.account.currency);
        plan.ok_or(Halt::Refused(Refusal::NotFound))
    }

    /// Charges or credits the difference for the rest of the paid period, at the prices it began with.
    fn charge_difference(&mut self, service: &Service, order: &Order, now: Timestamp) -> Result<(), Halt> {
        let (paid, whole) = match &service.kind {
            Kind::Daily(daily) => {
                let paid = daily.paid_period(self.account.daily_paid_until);
                (paid, Period::day_of(paid.from))
            }
            Kind::Term(term) => (term.paid, term.paid),
            Kind::Server(_) => return Ok(()),
        };
        if now >= paid.to {
            return Ok(());
        }
        let old = self.cx.prices.price(&service.order, paid.from)?;
        let part = Period::new(now, paid.to);
        let basis = Basis::Change { old, new: self.priced(order, paid.from)?, part, whole };
        let exact = basis.exact();
        let raises = exact > Quantity::ZERO.exact();
        // A rise beyond the ledger's range is beyond the wallet as well.
        let amount = round_to_micros(&exact)
            .map_err(|error| if raises { Halt::Refused(Refusal::InsufficientFunds) } else { Halt::from(error) })?;
        let details =
            Details { service: Some(service.number), period: Some(part), basis: Some(basis), ..Details::default() };
        if raises {
            require(self.account.wallet >= amount, Refusal::InsufficientFunds)?;
            self.book(now, TransferKind::Upgrade, amount, details)?;
        } else {
            self.book(now, TransferKind::Downgrade, amount.abs(), details)?;
        }
        Ok(())
    }

    /// In a trial: new overage is charged first, and a new stretch begins (rule 7.3).
    fn raise_overage(&mut self, action: &Action, index: usize, order: &Order, now: Timestamp) -> Result<(), Halt> {
        let service = self.account.services[index].clone();
        let charged = service.server().map_or_else(Default::default, |server| server.meter.overage_charged);
        let overage = self.overage_of(&service, order, now)?;
        self.charge_overage(action, &service, charged, overage, now)?;
        self.close_stretch(index, now)?;
        if let Some(server) = self.account.services[index].server_mut() {
            server.meter.overage_charged = charged.max(overage);
        }
        Ok(())
    }

    /// An upgrade above the month's level is a line of the next invoice (rule 6.4); an hourly server begins
    /// a new stretch (rule 6.5).
    fn raise_level(&mut self, index: usize, order: &Order, now: Timestamp) -> Result<(), Halt> {
        self.close_stretch(index, now)?;
        let service = &self.account.services[index];
        let Some(server) = service.server() else { return Ok(()) };
        if server.mode == Mode::Hourly {
            return Ok(());
        }
        let priced_at = service.billed_since(now).max(now.month_start());
        let new = self.priced(order, priced_at)?;
        let level = server.meter.level;
        if new.price <= level {
            return Ok(());
        }
        let (number, price) = (service.number, new.price);
        let rest = Period::new(now, now.next_month_start());
        let line = self.line(number, LineKind::Upgrade, rest, Basis::Upgrade { level, new, part: rest })?;
        if let Some(server) = self.account.services[index].server_mut() {
            server.meter.level = price;
            if line.amount.is_positive() {
                server.meter.pending.push(line);
            }
        }
        Ok(())
    }
}

fn is_changeable(service: &Service) -> bool {
    match &service.kind {
        Kind::Daily(daily) => daily.state != DailyState::Deleted,
        Kind::Term(term) => matches!(term.state, TermState::Active { .. }),
        Kind::Server(server) => server.is_living(),
    }
}

/// Whether the change lowers a quantity whose lowering destroys data; one that the new plan has no
/// component for is lowered to nothing (rule 5.6).
fn erases_data(old_plan: &Plan, old: &Order, new_plan: &Plan, new: &Order) -> bool {
    old_plan.components.iter().any(|(name, component)| {
        let target = new_plan.settable(name);
        let erasing = component.shrink_erases || target.is_some_and(|target| target.shrink_erases);
        let was = old.quantities.get(name).copied().unwrap_or(component.included);
        let becomes =
            target.map_or(Quantity::ZERO, |target| new.quantities.get(name).copied().unwrap_or(target.included));
        erasing && !component.metered && becomes < was
    })
}
