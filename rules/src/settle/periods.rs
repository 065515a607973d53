//! Midnights of daily instances and renewals of term services: one rank, by (created_at, name) (rules 4.2, 5.2).

use crate::account::Account;
use crate::basis::Basis;
use crate::changes::{EventKind, TransferKind};
use crate::desk::{Desk, Details, Halt};
use crate::service::{DailyState, Kind, Stage, StopReason, Term, TermState};
use crate::time::{Period, Timestamp};

pub fn next_daily(account: &Account) -> Option<Timestamp> {
    let enabled = |kind: &Kind| matches!(kind, Kind::Daily(daily) if daily.state == DailyState::Enabled);
    account.services.iter().any(|service| enabled(&service.kind)).then_some(account.daily_paid_until)
}

pub fn next_term_end(account: &Account) -> Option<Timestamp> {
    account.services.iter().filter_map(|service| next_term(&service.kind)).min()
}

/// The end of a term that still runs, paid, whether the service is stopped meanwhile or not.
pub fn next_term(kind: &Kind) -> Option<Timestamp> {
    match kind {
        Kind::Term(Term {
            paid,
            state: TermState::Active { .. } | TermState::Suspended { stage: Stage::Paid { .. }, .. },
            ..
        }) => Some(paid.to),
        _ => None,
    }
}

impl Desk<'_> {
    pub fn renew_periods(&mut self, at: Timestamp) -> Result<(), Halt> {
        let midnight = next_daily(&self.account).is_some_and(|due| due <= at);
        for index in 0..self.account.services.len() {
            match &self.account.services[index].kind {
                Kind::Daily(daily) if midnight && daily.state == DailyState::Enabled => self.bill_day(index, at)?,
                Kind::Term(_) if next_term(&self.account.services[index].kind).is_some_and(|due| due <= at) => {
                    self.renew_term(index, at)?;
                }
                _ => {}
            }
        }
        if midnight {
            // Last: until here it says until when those were paid that are now disabled.
            self.account.daily_paid_until = at.next_midnight();
        }
        Ok(())
    }

    /// Charges an enabled instance the day that begins at midnight `at`, or disables it (rule 4.2).
    fn bill_day(&mut self, index: usize, at: Timestamp) -> Result<(), Halt> {
        let service = &self.account.services[index];
        let priced = self.priced(&service.order, at)?;
        match self.covered(&priced.price.exact()) {
            Some(amount) => {
                let day = Period::day_of(at);
                let details = Details {
                    service: Some(service.number),
                    period: Some(day),
                    basis: Some(Basis::Share { of: priced, part: day, whole: day }),
                    ..Details::default()
                };
                self.book(at, TransferKind::Period, amount, details)?;
            }
            None => self.disable_instance(index, StopReason::InsufficientFunds, at),
        }
        Ok(())
    }

    pub fn disable_instance(&mut self, index: usize, reason: StopReason, at: Timestamp) {
        self.stop_instance(index, DailyState::Disabled { reason, at });
        self.tell_of_service(at, EventKind::ServiceDisabled(reason), index);
    }

    /// Leaves the account's midnights: from now on the instance's own row says until when it is paid.
    pub fn stop_instance(&mut self, index: usize, state: DailyState) {
        let paid_until = self.account.daily_paid_until;
        if let Kind::Daily(daily) = &mut self.account.services[index].kind {
            if daily.state == DailyState::Enabled && paid_until > daily.paid.to {
                daily.paid = Period::day_of(paid_until.plus_secs(-1));
            }
            daily.state = state;
        }
        self.touch(index);
    }

    /// A paid term ended: the next one, or none (rule 5.2).
    fn renew_term(&mut self, index: usize, at: Timestamp) -> Result<(), Halt> {
        let Kind::Term(term) = &self.account.services[index].kind else { return Ok(()) };
        match term.state {
            TermState::Active { ends_with_period: true }
            | TermState::Suspended { stage: Stage::Paid { ends_with_period: true }, .. } => {
                self.set_term_state(index, TermState::Cancelled);
                self.tell_of_service(at, EventKind::ServiceCancelled, index);
            }
            // Stopped by the account's suspension already: its reason stays, and nothing new is told (rule 9.2).
            TermState::Suspended { reason, .. } => {
                self.set_term_state(index, TermState::Suspended { reason, stage: Stage::Retention });
            }
            TermState::Active { .. } => {
                if self.charge_term(index, at, at)? {
                    self.tell_of_service(at, EventKind::ServiceRenewed, index);
                } else {
                    let reason = StopReason::InsufficientFunds;
                    self.set_term_state(index, TermState::Suspended { reason, stage: Stage::Retention });
                    self.tell_of_service(at, EventKind::ServiceSuspended(reason), index);
                }
            }
            TermState::Cancelled | TermState::RemovalQueued | TermState::Removed => {}
        }
        Ok(())
    }

    /// Charges the term that contains `within`, if the wallet covers it; the service is active then.
    pub fn charge_term(&mut self, index: usize, within: Timestamp, at: Timestamp) -> Result<bool, Halt> {
        let service = &self.account.services[index];
        let Kind::Term(term) = &service.kind else { return Ok(false) };
        let period = term.term_at(within);
        let priced = self.priced(&service.order, period.from)?;
        let Some(amount) = self.covered(&priced.price.exact()) else { return Ok(false) };
        let details = Details {
            service: Some(service.number),
            period: Some(period),
            basis: Some(Basis::Share { of: priced, part: period, whole: period }),
            ..Details::default()
        };
        self.book(at, TransferKind::Period, amount, details)?;
        if let Kind::Term(term) = &mut self.account.services[index].kind {
            term.paid = period;
        }
        self.set_term_state(index, TermState::Active { ends_with_period: false });
        Ok(true)
    }

    pub fn set_term_state(&mut self, index: usize, state: TermState) {
        if let Kind::Term(term) = &mut self.account.services[index].kind {
            term.state = state;
        }
        self.touch(index);
    }
}
