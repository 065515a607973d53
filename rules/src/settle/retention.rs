//! Suspended term services whose retention ends are queued for removal (rule 5.4).

use crate::account::Account;
use crate::changes::EventKind;
use crate::desk::{Context, Desk};
use crate::policy::grace_after_outages;
use crate::service::{Kind, Stage, Term, TermState};
use crate::time::Timestamp;

/// When the retention of a service ends, while it is in it (rules 5.2, 11.8).
pub fn retention_end(kind: &Kind, cx: &Context<'_>) -> Option<Timestamp> {
    match kind {
        Kind::Term(Term { paid, state: TermState::Suspended { stage: Stage::Retention, .. }, .. }) => {
            let ends = paid.to.plus_days(cx.policy.retention_days);
            Some(grace_after_outages(paid.to, ends, cx.outages, cx.policy.outage_grace_hours))
        }
        _ => None,
    }
}

pub fn next(account: &Account, cx: &Context<'_>) -> Option<Timestamp> {
    account.services.iter().filter_map(|service| retention_end(&service.kind, cx)).min()
}

impl Desk<'_> {
    pub fn end_retention(&mut self, at: Timestamp) {
        for index in 0..self.account.services.len() {
            if retention_end(&self.account.services[index].kind, &self.cx).is_some_and(|ends| ends <= at) {
                self.set_term_state(index, TermState::RemovalQueued);
                self.tell_of_service(at, EventKind::ServiceRemovalQueued, index);
            }
        }
    }
}
