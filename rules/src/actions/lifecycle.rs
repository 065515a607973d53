//! Enabling, disabling, extending, cancelling, and what the control plane reports.

use crate::account::Standing;
use crate::actions::perform::require;
use crate::actions::{CancelWhen, Refusal};
use crate::basis::Basis;
use crate::changes::{EventKind, TransferKind};
use crate::desk::{Desk, Details, Halt};
use crate::money::{Micros, Price, Quantity};
use crate::prices::Mode;
use crate::service::{DailyState, Kind, ServerState, Stage, StopReason, TermState, Usage};
use crate::time::{Period, Timestamp};

impl Desk<'_> {
    pub fn find(&self, name: &str) -> Result<usize, Halt> {
        let index = self.account.services.iter().position(|service| service.name == name);
        index.ok_or(Halt::Refused(Refusal::NotFound))
    }

    fn daily_state(&self, index: usize) -> Result<DailyState, Halt> {
        match &self.account.services[index].kind {
            Kind::Daily(daily) => Ok(daily.state),
            Kind::Term(_) | Kind::Server(_) => Err(Halt::Refused(Refusal::NotAllowed)),
        }
    }

    fn term_state(&self, index: usize) -> Option<TermState> {
        match &self.account.services[index].kind {
            Kind::Term(term) => Some(term.state),
            Kind::Daily(_) | Kind::Server(_) => None,
        }
    }

    /// Free inside a paid period (rule 4.4), else for the rest of the day (rule 4.1).
    pub fn enable(&mut self, name: &str, now: Timestamp) -> Result<(), Halt> {
        let index = self.find(name)?;
        self.require_active()?;
        let state = self.daily_state(index)?;
        require(matches!(state, DailyState::Disabled { .. }), Refusal::InvalidState)?;
        require(!self.began_and_was_voided(index, now), Refusal::InvalidState)?;
        let enabled = self.pay_and_enable(index, now)?;
        require(enabled, Refusal::InsufficientFunds)
    }

    /// Enables a disabled instance, if the wallet covers what that costs.
    pub fn pay_and_enable(&mut self, index: usize, now: Timestamp) -> Result<bool, Halt> {
        let service = &self.account.services[index];
        let Kind::Daily(daily) = &service.kind else { return Ok(false) };
        if now >= daily.paid.to {
            let part = Period::new(now, now.next_midnight());
            let of = self.priced(&service.order, now)?;
            let basis = Basis::Share { of, part, whole: Period::day_of(now) };
            let Some(amount) = self.covered(&basis.exact()) else { return Ok(false) };
            let details =
                Details { service: Some(service.number), period: Some(part), basis: Some(basis), ..Details::default() };
            self.book(now, TransferKind::Period, amount, details)?;
            if let Kind::Daily(daily) = &mut self.account.services[index].kind {
                daily.paid = part;
            }
        }
        self.enable_instance(index, now);
        Ok(true)
    }

    pub fn disable(&mut self, name: &str, now: Timestamp) -> Result<(), Halt> {
        let index = self.find(name)?;
        self.require_open()?;
        let state = self.daily_state(index)?;
        require(state == DailyState::Enabled, Refusal::InvalidState)?;
        self.disable_instance(index, StopReason::Customer, now);
        Ok(())
    }

    /// Pays a suspended service's next term while its retention runs (rule 5.3).
    pub fn extend(&mut self, name: &str, now: Timestamp) -> Result<(), Halt> {
        let index = self.find(name)?;
        self.require_active()?;
        let state = self.term_state(index).ok_or(Halt::Refused(Refusal::NotAllowed))?;
        match state {
            TermState::RemovalQueued | TermState::Removed => return Err(Halt::Refused(Refusal::RecoveryClosed)),
            TermState::Active { .. } | TermState::Cancelled => return Err(Halt::Refused(Refusal::InvalidState)),
            TermState::Suspended { .. } => {}
        }
        let extended = self.extend_term(index, now)?;
        require(extended, Refusal::InsufficientFunds)
    }

    pub fn extend_term(&mut self, index: usize, now: Timestamp) -> Result<bool, Halt> {
        let extended = self.charge_term(index, now, now)?;
        if extended {
            self.tell_of_service(now, EventKind::ServiceResumed, index);
        }
        Ok(extended)
    }

    pub fn cancel(&mut self, name: &str, when: CancelWhen, now: Timestamp) -> Result<(), Halt> {
        let index = self.find(name)?;
        self.require_open()?;
        if when == CancelWhen::PeriodEnd {
            return self.cancel_at_period_end(index, now);
        }
        require(self.account.services[index].is_living(), Refusal::InvalidState)?;
        match &self.account.services[index].kind {
            Kind::Daily(_) => {
                self.stop_instance(index, DailyState::Deleted);
                self.tell_of_service(now, EventKind::ServiceDeleted, index);
            }
            Kind::Term(_) => {
                self.set_term_state(index, TermState::Cancelled);
                self.tell_of_service(now, EventKind::ServiceCancelled, index);
            }
            Kind::Server(_) => self.terminate(index, now)?,
        }
        Ok(())
    }

    fn cancel_at_period_end(&mut self, index: usize, now: Timestamp) -> Result<(), Halt> {
        let ends_with_period = true;
        let state = match self.term_state(index).ok_or(Halt::Refused(Refusal::NotAllowed))? {
            TermState::Active { ends_with_period: false } => TermState::Active { ends_with_period },
            TermState::Suspended { reason, stage: Stage::Paid { ends_with_period: false } } => {
                TermState::Suspended { reason, stage: Stage::Paid { ends_with_period } }
            }
            _ => return Err(Halt::Refused(Refusal::InvalidState)),
        };
        self.set_term_state(index, state);
        self.tell_of_service(now, EventKind::ServiceChanged, index);
        Ok(())
    }

    /// What it ran up waits for its last invoice (rules 6.3, 6.5, 7.3).
    fn terminate(&mut self, index: usize, now: Timestamp) -> Result<(), Halt> {
        if let Some(server) = self.account.services[index].server_mut() {
            server.state = ServerState::Terminated { at: now };
        }
        if self.account.trial_end(now).is_some() {
            self.bill_overage(index, now)?;
        } else {
            self.close_stretch(index, now)?;
        }
        self.tell_of_service(now, EventKind::ServiceTerminated, index);
        Ok(())
    }

    pub fn uncancel(&mut self, name: &str, now: Timestamp) -> Result<(), Halt> {
        let index = self.find(name)?;
        self.require_active()?;
        let state = self.term_state(index).ok_or(Halt::Refused(Refusal::NotAllowed))?;
        require(state == TermState::Active { ends_with_period: true }, Refusal::InvalidState)?;
        self.set_term_state(index, TermState::Active { ends_with_period: false });
        self.tell_of_service(now, EventKind::ServiceChanged, index);
        Ok(())
    }

    /// Taken on a closed account too (rule 9.3).
    pub fn removed(&mut self, name: &str, now: Timestamp) -> Result<(), Halt> {
        let index = self.find(name)?;
        let state = self.term_state(index).ok_or(Halt::Refused(Refusal::NotAllowed))?;
        require(state == TermState::RemovalQueued, Refusal::InvalidState)?;
        self.set_term_state(index, TermState::Removed);
        self.tell_of_service(now, EventKind::ServiceRemoved, index);
        Ok(())
    }

    /// Counts a report to the month of its second, or to the trial's allowance (rules 6.6, 7.4).
    pub fn report_usage(&mut self, name: &str, component: &str, used: Quantity, now: Timestamp) -> Result<(), Halt> {
        let index = self.find(name)?;
        let service = &self.account.services[index];
        let plan = self.cx.prices.in_force(&service.order.plan, now, self.account.currency);
        let metered = plan.and_then(|plan| plan.metered(component));
        require(metered.is_some(), Refusal::NotFound)?;
        require(self.account.standing != Standing::Closed, Refusal::NotAllowed)?;
        let plan = service.order.plan.clone();
        let Some(server) = service.server() else { return Err(Halt::Refused(Refusal::NotAllowed)) };
        if let ServerState::Terminated { at } = server.state {
            require(now < at.next_month_start(), Refusal::InvalidState)?;
        }
        if self.account.trial_end(now).is_some() {
            if component == self.cx.policy.trial.traffic_component {
                self.report_trial_traffic(index, component, used, now)?;
            }
            return Ok(());
        }
        let Some(server) = self.account.services[index].server_mut() else { return Ok(()) };
        let usage = server.meter.usage.entry(component.to_owned());
        let usage = usage.or_insert_with(|| Usage { used: Quantity::ZERO, plan: plan.clone() });
        usage.used = usage.used.checked_add(used)?;
        usage.plan = plan;
        self.touch(index);
        Ok(())
    }

    /// What is above the allowance costs the reporting server's price, through its tiers from the first on.
    fn report_trial_traffic(&mut self, index: usize, name: &str, used: Quantity, now: Timestamp) -> Result<(), Halt> {
        let service = &self.account.services[index];
        let (Some(server), Some(trial)) = (service.server(), &self.account.trial) else { return Ok(()) };
        let included = self.cx.policy.trial.traffic_included;
        let above = |total: Quantity| Micros::new(total.get().saturating_sub(included.get()).max(0));
        let total = trial.traffic_used.checked_add(used)?;
        let units = above(total).checked_sub(above(trial.traffic_used))?;
        let at = if server.mode == Mode::Monthly { service.created_at } else { now };
        let component = self.cx.prices.component(&service.order.plan, name, at)?;
        let counted = server.meter.trial_traffic.units;
        let counts = counted.checked_add(units)?;
        let cost = component.price_of_units(counted, counts);
        let Some(server) = self.account.services[index].server_mut() else { return Ok(()) };
        server.meter.trial_traffic.units = counts;
        server.meter.trial_traffic.cost = server.meter.trial_traffic.cost + cost;
        self.touch(index);
        let Some(trial) = &mut self.account.trial else { return Ok(()) };
        let due = |trial: &crate::account::Trial| {
            trial.traffic_cost - Price::of(trial.traffic_charged) >= Price::of(crate::settle::TRAFFIC_CHARGE_MIN)
        };
        let was_due = due(trial);
        trial.traffic_used = total;
        trial.traffic_cost = trial.traffic_cost + cost;
        if !was_due && due(trial) {
            trial.traffic_due_after = now;
        }
        Ok(())
    }
}
