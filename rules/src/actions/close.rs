//! Closing an account (rule 9.3).

use crate::account::Standing;
use crate::actions::perform::require;
use crate::actions::{Refusal, Rest};
use crate::changes::{EventKind, TransferKind};
use crate::desk::{Desk, Details, Halt, Unsettleable};
use crate::money::{Micros, Price, round_to_minor};
use crate::time::Timestamp;

impl Desk<'_> {
    pub fn close(&mut self, rest: Option<Rest>, now: Timestamp) -> Result<(), Halt> {
        self.require_open()?;
        require(!self.account.services.iter().any(|service| service.is_living()), Refusal::StillInUse)?;
        // One that this very decision paid is still on the desk.
        let open = self.account.invoices.iter().any(|invoice| invoice.paid_at.is_none());
        let owes = self.account.wallet.is_negative() || open || self.awaits_lines(now)?;
        require(!owes, Refusal::UnsettledDebt)?;
        require(rest.is_some() || self.account.wallet.is_zero(), Refusal::NeedsConfirmation)?;
        if rest == Some(Rest::Refund) {
            // No more than came from outside, in whole minor units (rule 3.4).
            let refund = self.account.wallet.min(self.account.brought_in).floor_to_minor(self.account.currency);
            self.book(now, TransferKind::RefundApproved, refund, Details::default())?;
            self.book(now, TransferKind::RefundSent, refund, Details::default())?;
        }
        self.book(now, TransferKind::Waiver, self.account.wallet, Details::default())?;
        self.account.standing = Standing::Closed;
        self.tell_of_account(now, EventKind::AccountClosed);
        Ok(())
    }

    /// Whether a line waits for the next invoice.
    fn awaits_lines(&self, now: Timestamp) -> Result<bool, Unsettleable> {
        for (index, service) in self.account.services.iter().enumerate() {
            let traffic = service.server().map_or(Price::ZERO, |server| server.meter.trial_traffic.cost);
            let traffic = round_to_minor(&traffic.exact(), self.account.currency)?;
            if traffic > Micros::ZERO || !self.lines_waiting(index, now.next_month_start())?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
