//! The trial: what its end brings, and the traffic charged on the way (rule 7).

use crate::account::Account;
use crate::basis::{Basis, HOURS_OF_MONTH};
use crate::changes::{EventKind, TransferKind};
use crate::charge::{Answer, Purpose};
use crate::desk::{Context, Desk, Details, Halt, Unsettleable};
use crate::invoice::LineKind;
use crate::money::{Micros, OutOfRange, Price, round_to_minor};
use crate::policy::try_after_outages;
use crate::prices::Mode;
use crate::service::Server;
use crate::time::{Period, Timestamp};

/// Traffic is charged at midnight once this much of it is uncharged.
pub const TRAFFIC_CHARGE_MIN: Micros = Micros::new(1_000_000);

/// The trial's end, or a midnight before it at which traffic is charged.
pub fn next(account: &Account, cx: &Context<'_>) -> Option<Timestamp> {
    let trial = account.trial.as_ref().filter(|trial| !trial.ended)?;
    let uncharged = trial.traffic_cost - Price::of(trial.traffic_charged);
    let midnight = trial.traffic_due_after.next_midnight();
    let charged_at = try_after_outages(midnight, cx.outages);
    let charges = uncharged >= Price::of(TRAFFIC_CHARGE_MIN) && midnight < trial.ends_at;
    Some(if charges { charged_at.min(trial.ends_at) } else { trial.ends_at })
}

/// What a server is worth a month (rule 7.2).
pub fn worth(mode: Mode, price: Price) -> Price {
    match mode {
        Mode::Hourly => Price::from_pico(price.pico().saturating_mul(i128::from(HOURS_OF_MONTH))),
        Mode::Monthly | Mode::Daily | Mode::Term => price,
    }
}

/// What of a server's worth the trial bears.
pub fn cover(covered: bool, cx: &Context<'_>) -> Price {
    if covered { Price::of(cx.policy.trial.server_worth) } else { Price::ZERO }
}

impl Desk<'_> {
    /// Charges trial traffic if that is due at `at`, and ends the trial at its end.
    pub fn end_trial(&mut self, at: Timestamp) -> Result<(), Halt> {
        if next(&self.account, &self.cx).is_none_or(|due| due > at) {
            return Ok(());
        }
        let Some(ends_at) = self.account.trial.as_ref().map(|trial| trial.ends_at) else { return Ok(()) };
        // What an outage swallowed to the trial's end is only invoiced (rule 11.8).
        if try_after_outages(at, self.cx.outages) == at {
            self.charge_traffic(at)?;
        }
        if at < ends_at {
            return Ok(());
        }
        if let Some(trial) = &mut self.account.trial {
            trial.ended = true;
        }
        for index in 0..self.account.services.len() {
            self.bill_from_trial_end(index, at)?;
        }
        self.tell_of_account(at, EventKind::TrialEnded);
        Ok(())
    }

    fn charge_traffic(&mut self, at: Timestamp) -> Result<(), Halt> {
        let Some(trial) = &self.account.trial else { return Ok(()) };
        let uncharged = trial.traffic_cost - Price::of(trial.traffic_charged);
        let amount = round_to_minor(&uncharged.exact(), self.account.currency)?;
        let mut answer = None;
        if amount.is_positive() && self.account.card.is_some() {
            let key = format!("{}/traffic/{}", self.account.id.0, at.secs());
            answer = Some(self.ask_card(key, Purpose::Traffic { at }, amount, at)?);
        }
        if let Some(trial) = &mut self.account.trial {
            trial.traffic_due_after = at;
            // An unknown outcome is not tried again: if it succeeded after all, its money is still to come.
            if matches!(answer, Some(Answer::Succeeded | Answer::Pending)) {
                trial.traffic_charged = trial.traffic_charged.checked_add(amount)?;
            }
        }
        match answer {
            Some(Answer::Succeeded) => {
                self.book(at, TransferKind::CardCredit, amount, Details::default())?;
                self.pay_open_invoices(at)?;
            }
            Some(Answer::Failed) => self.tell_of_account(at, EventKind::PaymentFailed),
            Some(Answer::Pending) | None => {}
        }
        Ok(())
    }

    /// The trial's overage becomes lines of the first invoice; a living server is billable from now on.
    fn bill_from_trial_end(&mut self, index: usize, at: Timestamp) -> Result<(), Unsettleable> {
        let Some(server) = self.account.services[index].server() else { return Ok(()) };
        let living = server.is_living();
        self.bill_overage(index, at)?;
        self.bill_trial_traffic(index, at)?;
        if living {
            self.begin_billing(index, at)?;
        }
        Ok(())
    }

    /// A line for each stretch before `at`, the trial's end or the server's (rule 7.3).
    pub fn bill_overage(&mut self, index: usize, at: Timestamp) -> Result<(), Unsettleable> {
        self.close_stretch(index, at)?;
        let service = &self.account.services[index];
        let Some(server) = service.server() else { return Ok(()) };
        let cover = cover(server.meter.covered, &self.cx);
        let mut lines = Vec::new();
        for stretch in &server.meter.stretches {
            let basis = Basis::Overage {
                worth: worth(server.mode, stretch.price),
                of: self.priced_stretch(stretch)?,
                cover,
                hourly: server.mode == Mode::Hourly,
                part: stretch.period,
            };
            lines.push(self.line(service.number, LineKind::TrialOverage, stretch.period, basis)?);
        }
        let Some(server) = self.account.services[index].server_mut() else { return Ok(()) };
        server.meter.stretches.clear();
        server.meter.measured_since = None;
        server.meter.pending.extend(lines);
        self.touch(index);
        Ok(())
    }

    /// One line for the traffic above the allowance, from the server's creation to the trial's end (rule 7.4).
    fn bill_trial_traffic(&mut self, index: usize, at: Timestamp) -> Result<(), OutOfRange> {
        let service = &self.account.services[index];
        let Some(server) = service.server() else { return Ok(()) };
        let traffic = server.meter.trial_traffic;
        let basis = Basis::TrialTraffic { units: traffic.units, price: traffic.cost };
        let period = Period::new(service.created_at, at);
        let line = self.line(service.number, LineKind::TrialOverage, period, basis)?;
        let Some(server) = self.account.services[index].server_mut() else { return Ok(()) };
        server.meter.trial_traffic = Default::default();
        if line.amount.is_positive() {
            server.meter.pending.push(line);
        }
        Ok(())
    }

    /// A server becomes billable at `at`: a monthly one owes the rest of the month (rule 6.3), an hourly one
    /// is measured from now on.
    pub fn begin_billing(&mut self, index: usize, at: Timestamp) -> Result<(), Unsettleable> {
        let service = &self.account.services[index];
        let number = service.number;
        let priced = self.priced(&service.order, at)?;
        let level = priced.price;
        let rest = Period::new(at, at.next_month_start());
        let line = self.line(number, LineKind::Prorated, rest, Basis::Months { of: priced, part: rest })?;
        let Some(server) = self.account.services[index].server_mut() else { return Ok(()) };
        Self::start_meter(server, at, level, line);
        self.touch(index);
        Ok(())
    }

    fn start_meter(server: &mut Server, at: Timestamp, level: Price, line: crate::invoice::Line) {
        match server.mode {
            Mode::Hourly => server.meter.measured_since = Some(at),
            Mode::Monthly | Mode::Daily | Mode::Term => {
                server.meter.level = level;
                server.meter.pending.push(line);
            }
        }
    }
}
