//! Doing an action: every check in the order of the refusals, then what it moves and tells.

use crate::account::{Standing, SuspendReason};
use crate::actions::correct::Signed;
use crate::actions::{Action, Refusal};
use crate::changes::{EventKind, TransferKind};
use crate::desk::{Desk, Details, Halt};
use crate::money::Micros;
use crate::service::StopReason;
use crate::time::Timestamp;

/// Refuses with `refusal` unless `condition` holds.
pub fn require(condition: bool, refusal: Refusal) -> Result<(), Halt> {
    if condition { Ok(()) } else { Err(Halt::Refused(refusal)) }
}

impl Desk<'_> {
    /// Does `action` at `now`, up to which the account is settled. A refusal has moved nothing.
    pub fn perform(&mut self, action: &Action, now: Timestamp) -> Result<(), Halt> {
        match action {
            Action::SaveCard { card, authorised } => self.save_card(card, *authorised, now),
            Action::RemoveCard => self.remove_card(),
            Action::StartDeposit { amount } => self.start_deposit(*amount),
            Action::Adjust { amount, author, reason } => self.adjust(*amount, author, reason, now),
            Action::CreateService { service, plan, quantities, options } => {
                self.create_service(action, service, plan, quantities, options, now)
            }
            Action::Enable { service } => self.enable(service, now),
            Action::Disable { service } => self.disable(service, now),
            Action::Change { service, change, confirm_data_loss } => {
                self.change(action, service, change, *confirm_data_loss, now)
            }
            Action::Extend { service } => self.extend(service, now),
            Action::Cancel { service, when } => self.cancel(service, *when, now),
            Action::Uncancel { service } => self.uncancel(service, now),
            Action::Removed { service } => self.removed(service, now),
            Action::Usage { service, component, quantity } => self.report_usage(service, component, *quantity, now),
            Action::SuspendAccount { reason } => self.suspend_account(*reason, now),
            Action::RestoreAccount => self.restore_account(now),
            Action::CloseAccount { rest } => self.close(*rest, now),
            Action::Void { service, author, reason } => self.void(service, &Signed { author, reason }, now),
            Action::CreditInvoice { invoice, author, reason, reissue } => {
                self.credit_invoice(*invoice, &Signed { author, reason }, reissue.as_ref(), now)
            }
            Action::WriteOffInvoice { invoice, author, reason } => {
                self.write_off_invoice(*invoice, &Signed { author, reason }, now)
            }
        }
    }

    pub fn require_open(&self) -> Result<(), Halt> {
        require(self.account.standing != Standing::Closed, Refusal::NotAllowed)
    }

    /// Neither closed nor suspended.
    pub fn require_active(&self) -> Result<(), Halt> {
        require(self.account.standing == Standing::Active, Refusal::NotAllowed)
    }

    /// A new card is charged for every open invoice, as a try of this second (rule 6.8).
    fn save_card(&mut self, card: &str, authorised: bool, now: Timestamp) -> Result<(), Halt> {
        self.require_open()?;
        self.account.card = Some(card.to_owned());
        self.account.verified |= authorised;
        for index in 0..self.account.invoices.len() {
            let invoice = &mut self.account.invoices[index];
            if invoice.paid_at.is_none() {
                invoice.tries.new_card_at = Some(now);
                let number = invoice.number;
                self.touch_invoice(number);
            }
        }
        Ok(())
    }

    fn remove_card(&mut self) -> Result<(), Halt> {
        self.require_open()?;
        self.account.card = None;
        Ok(())
    }

    /// At least the minimum, or exactly what is open (rule 3.2).
    fn start_deposit(&mut self, amount: Micros) -> Result<(), Halt> {
        self.require_open()?;
        let enough = amount >= self.cx.policy.minimum_deposit || amount == self.account.open_total()?;
        require(enough && amount.is_positive(), Refusal::BelowMinimum)
    }

    /// An admin's charge, which the wallet must cover, or a bonus (rule 3.5).
    fn adjust(&mut self, amount: Micros, author: &str, reason: &str, now: Timestamp) -> Result<(), Halt> {
        self.require_open()?;
        let details =
            Details { author: Some(author.to_owned()), reason: Some(reason.to_owned()), ..Details::default() };
        if amount.is_negative() {
            require(self.account.wallet >= amount.abs(), Refusal::InsufficientFunds)?;
            self.book(now, TransferKind::Charge, amount.abs(), details)?;
        } else {
            self.book(now, TransferKind::Bonus, amount, details)?;
            self.pay_open_invoices(now)?;
        }
        Ok(())
    }

    fn suspend_account(&mut self, reason: SuspendReason, now: Timestamp) -> Result<(), Halt> {
        self.require_open()?;
        match self.account.standing {
            Standing::Active => self.suspend(reason, now),
            // Only the reason changes: paying no longer restores it (rule 9.2).
            Standing::Suspended(SuspendReason::Unpaid) => self.suspend_for(reason, now),
            Standing::Suspended(_) | Standing::Closed => return Err(Halt::Refused(Refusal::InvalidState)),
        }
        Ok(())
    }

    fn suspend_for(&mut self, reason: SuspendReason, now: Timestamp) {
        self.account.standing = Standing::Suspended(reason);
        self.tell_of_account(now, EventKind::AccountSuspended(StopReason::from(reason)));
    }

    fn restore_account(&mut self, now: Timestamp) -> Result<(), Halt> {
        self.require_open()?;
        match self.account.standing {
            Standing::Suspended(SuspendReason::Unpaid) => return Err(Halt::Refused(Refusal::UnsettledDebt)),
            Standing::Suspended(_) if self.account.has_overdue() => self.suspend_for(SuspendReason::Unpaid, now),
            Standing::Suspended(_) => self.restore(now),
            Standing::Active | Standing::Closed => return Err(Halt::Refused(Refusal::InvalidState)),
        }
        Ok(())
    }
}
