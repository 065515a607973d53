//! Suspending an account with its services, and restoring it (rule 9.2).

use crate::account::{Standing, SuspendReason};
use crate::changes::EventKind;
use crate::desk::Desk;
use crate::service::{DailyState, Kind, ServerState, Stage, StopReason, TermState};
use crate::time::Timestamp;

impl Desk<'_> {
    /// Suspends an active account and stops what runs; what was stopped already stays as it is.
    pub fn suspend(&mut self, reason: SuspendReason, at: Timestamp) {
        self.account.standing = Standing::Suspended(reason);
        let reason = StopReason::from(reason);
        self.tell_of_account(at, EventKind::AccountSuspended(reason));
        for index in 0..self.account.services.len() {
            match &mut self.account.services[index].kind {
                Kind::Daily(daily) if daily.state == DailyState::Enabled => self.disable_instance(index, reason, at),
                Kind::Term(term) => {
                    let TermState::Active { ends_with_period } = term.state else { continue };
                    term.state = TermState::Suspended { reason, stage: Stage::Paid { ends_with_period } };
                    self.tell_of_service(at, EventKind::ServiceSuspended(reason), index);
                }
                Kind::Server(server) if server.state == ServerState::Active => {
                    server.state = ServerState::Suspended { reason };
                    self.tell_of_service(at, EventKind::ServiceSuspended(reason), index);
                }
                Kind::Daily(_) | Kind::Server(_) => {}
            }
        }
    }

    /// Restores the account and what its suspension had stopped, as far as that costs nothing.
    pub fn restore(&mut self, at: Timestamp) {
        self.account.standing = Standing::Active;
        self.tell_of_account(at, EventKind::AccountRestored);
        for index in 0..self.account.services.len() {
            match &mut self.account.services[index].kind {
                Kind::Daily(daily) => {
                    let DailyState::Disabled { reason, .. } = daily.state else { continue };
                    if reason.is_accounts() && daily.paid.contains(at) {
                        self.enable_instance(index, at);
                    }
                }
                Kind::Term(term) => {
                    let TermState::Suspended { reason, stage: Stage::Paid { ends_with_period } } = term.state else {
                        continue;
                    };
                    if reason.is_accounts() {
                        term.state = TermState::Active { ends_with_period };
                        self.tell_of_service(at, EventKind::ServiceResumed, index);
                    }
                }
                Kind::Server(server) => {
                    if let ServerState::Suspended { .. } = server.state {
                        server.state = ServerState::Active;
                        self.tell_of_service(at, EventKind::ServiceResumed, index);
                    }
                }
            }
        }
    }

    /// Enables an instance whose paid period runs; it follows the account's midnights again.
    pub fn enable_instance(&mut self, index: usize, at: Timestamp) {
        if let Kind::Daily(daily) = &mut self.account.services[index].kind {
            daily.state = DailyState::Enabled;
        }
        self.account.daily_paid_until = at.next_midnight();
        self.tell_of_service(at, EventKind::ServiceEnabled, index);
    }

    /// Restores an account suspended for `unpaid` once nothing overdue is left (rule 6.9).
    pub fn restore_if_paid(&mut self, at: Timestamp) {
        let unpaid = self.account.standing == Standing::Suspended(SuspendReason::Unpaid);
        if unpaid && !self.account.has_overdue() {
            self.restore(at);
        }
    }
}
