//! Settlement: everything that is due, at its own second and in its order (rule 11).
//!
//! Each part says when it is due next and works off one second. What is due follows from the account's
//! state alone, so that settling on the way, or after an answer, goes on where it stopped.

mod collection;
mod invoicing;
mod periods;
mod receipts;
mod retention;
mod suspension;
mod trial;

use crate::account::{Account, Standing};
use crate::desk::{Context, Desk, Halt, Unsettleable};
use crate::due::DueKind;
use crate::time::Timestamp;

pub use retention::retention_end;
pub use trial::{TRAFFIC_CHARGE_MIN, cover, worth};

/// The next second at which something of `kind` is due; nothing is on a closed account (rule 9.3).
pub fn next_of(account: &Account, cx: &Context<'_>, kind: DueKind) -> Option<Timestamp> {
    if account.standing == Standing::Closed {
        return None;
    }
    match kind {
        DueKind::Daily => periods::next_daily(account),
        DueKind::Term => periods::next_term_end(account),
        DueKind::Retention => retention::next(account, cx),
        DueKind::Invoice => invoicing::next(account),
        DueKind::Collection => collection::next(account, cx),
        DueKind::Trial => trial::next(account, cx),
    }
}

/// The next second at which anything is due.
pub fn next(account: &Account, cx: &Context<'_>) -> Option<Timestamp> {
    DueKind::ALL.into_iter().filter_map(|kind| next_of(account, cx, kind)).min()
}

impl Desk<'_> {
    /// Does what is due and takes in what came, up to `until`, or up to a card that must answer first.
    pub fn settle(&mut self, until: Timestamp) -> Result<(), Halt> {
        self.finish_waiting_action()?;
        loop {
            let due = next(&self.account, &self.cx).filter(|at| *at <= until);
            let received = self.next_receipt().filter(|at| *at <= until);
            match (due, received) {
                (Some(due), received) if received.is_none_or(|received| due <= received) => {
                    // By shorter numbers than before it may be behind what is settled, which never goes back.
                    self.work_off(due.max(self.account.settled_at))?;
                }
                (_, Some(received)) => self.take_in_receipt(received)?,
                (_, None) => break,
            }
        }
        self.account.settled_at = self.account.settled_at.max(until);
        Ok(())
    }

    /// Everything due at one second, by rank (rule 11.2).
    fn work_off(&mut self, at: Timestamp) -> Result<(), Halt> {
        self.end_trial(at)?;
        self.renew_periods(at)?;
        self.end_retention(at);
        self.issue_invoice(at)?;
        self.collect(at)?;
        self.mark_overdue(at);
        self.account.settled_at = self.account.settled_at.max(at);
        match next(&self.account, &self.cx) {
            Some(still) if still <= at => Err(Halt::Unsettleable(Unsettleable::NoHeadway(at))),
            _ => Ok(()),
        }
    }

    /// Goes on with the action that waited for a card, at the second at which it was decided.
    fn finish_waiting_action(&mut self) -> Result<(), Halt> {
        let Some(waiting) = &self.account.waiting else { return Ok(()) };
        let answered = self.account.intents.iter().any(|intent| intent.key == waiting.key && intent.answer.is_some());
        if !answered {
            return Err(Halt::AwaitsAnswer);
        }
        let Some(waiting) = self.account.waiting.take() else { return Ok(()) };
        self.finishing = Some(waiting.key);
        let done = self.perform(&waiting.action, waiting.at);
        self.finishing = None;
        match done {
            Ok(()) => self.outcome = Some(Ok(())),
            Err(Halt::Refused(refusal)) => self.outcome = Some(Err(refusal)),
            Err(halt) => return Err(halt),
        }
        Ok(())
    }
}
