//! Collecting invoices: the wallet, the card and its retries, and what becomes overdue (rules 6.8, 6.9, 11.8).

use crate::account::{Account, Standing, SuspendReason};
use crate::changes::{EventKind, TransferKind};
use crate::charge::{Answer, Purpose};
use crate::desk::{Context, Desk, Details, Halt};
use crate::invoice::Invoice;
use crate::money::{Micros, OutOfRange};
use crate::policy::{grace_after_outages, try_after_outages};
use crate::time::Timestamp;

pub fn next(account: &Account, cx: &Context<'_>) -> Option<Timestamp> {
    let open = account.invoices.iter().filter(|invoice| invoice.paid_at.is_none());
    open.flat_map(|invoice| [next_try(invoice, cx), overdue_at(invoice, cx)]).flatten().min()
}

/// The next second at which the card is to be tried: at issue, at its retries, or for a new card. Those
/// that fall into an outage are one try at its end.
fn next_try(invoice: &Invoice, cx: &Context<'_>) -> Option<Timestamp> {
    let tries = &invoice.tries;
    let first = tries.first_is_due.then(|| try_after_outages(invoice.issued_at, cx.outages));
    let retries = tries.first_failed_at.and_then(|failed_at| {
        let seconds = cx.policy.retry_days.iter().map(|days| try_after_outages(failed_at.plus_days(*days), cx.outages));
        seconds.filter(|at| *at > tries.done_until).min()
    });
    [first, retries, tries.new_card_at].into_iter().flatten().min()
}

/// One that was brought in is overdue here no sooner than behind its arrival: what it was before is the old books'.
fn overdue_at(invoice: &Invoice, cx: &Context<'_>) -> Option<Timestamp> {
    let ends = invoice.issued_at.plus_days(cx.policy.grace_days);
    let spared = grace_after_outages(invoice.issued_at, ends, cx.outages, cx.policy.outage_grace_hours);
    (!invoice.overdue).then_some(spared.max(invoice.tries.done_until))
}

impl Desk<'_> {
    /// The card tries due at `at`: those at issue first, then dunning; invoices among themselves by issue.
    pub fn collect(&mut self, at: Timestamp) -> Result<(), Halt> {
        for at_issue in [true, false] {
            for index in 0..self.account.invoices.len() {
                let invoice = &self.account.invoices[index];
                let due = invoice.paid_at.is_none() && next_try(invoice, &self.cx).is_some_and(|due| due <= at);
                if due && (invoice.issued_at == at) == at_issue {
                    let new_card = invoice.tries.new_card_at.is_some();
                    // One of ours took what the wallet had when it was written; one brought in does so here.
                    if invoice.tries.first_is_due {
                        self.pay_from_wallet(index, at)?;
                    }
                    if self.account.invoices[index].paid_at.is_none() {
                        self.try_card(index, at)?;
                    }
                    // A new card pays all it can before that restores anything.
                    if !new_card {
                        self.restore_if_paid(at);
                    }
                }
            }
        }
        self.restore_if_paid(at);
        Ok(())
    }

    /// Charges the saved card for what is open of an invoice; without a card the try is skipped.
    fn try_card(&mut self, index: usize, at: Timestamp) -> Result<(), Halt> {
        let invoice = &self.account.invoices[index];
        let number = invoice.number;
        let mut answer = None;
        if self.account.card.is_some() {
            let attempt = invoice.tries.made + 1;
            let key = format!("{}/invoice/{number}/{attempt}", self.account.id.0);
            let amount = invoice.to_pay();
            let answered = self.ask_card(key, Purpose::Invoice { number, attempt }, amount, at)?;
            answer = Some((answered, amount));
        }
        let tries = &mut self.account.invoices[index].tries;
        tries.first_is_due = false;
        tries.new_card_at = None;
        tries.done_until = tries.done_until.max(at);
        tries.made += u32::from(answer.is_some());
        if let Some((Answer::Failed, _)) = answer {
            tries.first_failed_at.get_or_insert(at);
        }
        self.touch_invoice(number);
        match answer {
            Some((Answer::Succeeded, amount)) => {
                self.pay_invoice(index, TransferKind::InvoicePaidByCard, amount, at)?
            }
            Some((Answer::Failed, _)) => self.tell(at, EventKind::PaymentFailed, None, Some(number)),
            Some((Answer::Pending, _)) | None => {}
        }
        Ok(())
    }

    /// Pays open invoices from the wallet, oldest first, in part where it doesn't reach (rule 6.9). One that was
    /// brought in may have been issued later.
    pub fn pay_open_invoices(&mut self, at: Timestamp) -> Result<(), OutOfRange> {
        for index in 0..self.account.invoices.len() {
            if self.account.invoices[index].issued_at <= at {
                self.pay_from_wallet(index, at)?;
            }
        }
        self.restore_if_paid(at);
        Ok(())
    }

    fn pay_from_wallet(&mut self, index: usize, at: Timestamp) -> Result<(), OutOfRange> {
        let available = self.account.wallet.floor_to_minor(self.account.currency);
        let amount = available.min(self.account.invoices[index].to_pay());
        if amount.is_positive() {
            self.pay_invoice(index, TransferKind::InvoicePaidByWallet, amount, at)?;
        }
        Ok(())
    }

    /// Books a payment of an invoice, which is paid once nothing is left to pay.
    pub fn pay_invoice(
        &mut self,
        index: usize,
        kind: TransferKind,
        amount: Micros,
        at: Timestamp,
    ) -> Result<(), OutOfRange> {
        let number = self.account.invoices[index].number;
        self.book(at, kind, amount, Details { invoice: Some(number), ..Details::default() })?;
        let invoice = &mut self.account.invoices[index];
        invoice.paid = invoice.paid.checked_add(amount)?;
        if invoice.to_pay().is_zero() {
            invoice.paid_at = Some(at);
            self.tell(at, EventKind::InvoicePaid, None, Some(number));
        }
        self.touch_invoice(number);
        Ok(())
    }

    /// Invoices open for too long suspend the account; one suspended already keeps its reason (rule 6.8).
    pub fn mark_overdue(&mut self, at: Timestamp) {
        for index in 0..self.account.invoices.len() {
            let invoice = &mut self.account.invoices[index];
            if invoice.paid_at.is_some() || overdue_at(invoice, &self.cx).is_none_or(|due| due > at) {
                continue;
            }
            invoice.overdue = true;
            let number = invoice.number;
            self.touch_invoice(number);
            self.tell(at, EventKind::InvoiceOverdue, None, Some(number));
            if self.account.standing == Standing::Active {
                self.suspend(SuspendReason::Unpaid, at);
            }
        }
    }
}
