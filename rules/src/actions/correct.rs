//! What an admin takes back: a service's current period (rule 3.6), an invoice (rules 6.12, 6.13).

use crate::actions::Refusal;
use crate::actions::perform::require;
use crate::basis::Basis;
use crate::changes::{EventKind, Transfer, TransferKind};
use crate::desk::{Desk, Details, Halt};
use crate::invoice::{Buyer, CreditNote, InvoiceNumber, Reissue};
use crate::money::{Micros, OutOfRange};
use crate::service::{DailyState, Kind, StopReason, TermState};
use crate::time::{Period, Timestamp};

/// Who corrects something, and why.
pub struct Signed<'a> {
    pub author: &'a str,
    pub reason: &'a str,
}

impl Signed<'_> {
    fn details(&self) -> Details {
        Details { author: Some(self.author.to_owned()), reason: Some(self.reason.to_owned()), ..Details::default() }
    }
}

impl Desk<'_> {
    /// Takes the current period back, with all that was charged and credited for it; the service stops.
    pub fn void(&mut self, name: &str, signed: &Signed<'_>, now: Timestamp) -> Result<(), Halt> {
        let index = self.find(name)?;
        self.require_open()?;
        let paid = self.paid_period(index).ok_or(Halt::Refused(Refusal::NotAllowed))?;
        require(paid.contains(now), Refusal::InvalidState)?;
        let service = self.account.services[index].number;
        let (charge, net) = net_of(&self.charges_of(service), paid)?.ok_or(Halt::Refused(Refusal::InvalidState))?;
        require(!matches!(charge.basis, Some(Basis::PaidBefore { .. })), Refusal::NotAllowed)?;
        let charge = charge.number;
        let details =
            Details { service: Some(service), period: Some(paid), corrects: Some(charge), ..signed.details() };
        // Rounding may have given back a micro-unit more than was charged: that is not taken back.
        self.book(now, TransferKind::Reversal, net.max(Micros::ZERO), details)?;
        self.stop_voided(index, Period::new(paid.from, now), now);
        Ok(self.pay_open_invoices(now)?)
    }

    /// What is paid of a daily or term service; none of a server, whose invoices are corrected instead.
    fn paid_period(&self, index: usize) -> Option<Period> {
        match &self.account.services[index].kind {
            Kind::Daily(daily) => Some(daily.paid_period(self.account.daily_paid_until)),
            Kind::Term(term) => Some(term.paid),
            Kind::Server(_) => None,
        }
    }

    /// Nothing is paid any more; what runs stops, what was stopped or ended before stays as it is.
    fn stop_voided(&mut self, index: usize, left: Period, now: Timestamp) {
        let enabled =
            matches!(&self.account.services[index].kind, Kind::Daily(daily) if daily.state == DailyState::Enabled);
        if enabled {
            self.disable_instance(index, StopReason::Customer, now);
        }
        let mut ends = false;
        match &mut self.account.services[index].kind {
            Kind::Daily(daily) => daily.paid = left,
            Kind::Term(term) => {
                term.paid = left;
                ends = matches!(term.state, TermState::Active { .. } | TermState::Suspended { .. });
            }
            Kind::Server(_) => {}
        }
        self.touch(index);
        if ends {
            self.set_term_state(index, TermState::Cancelled);
            self.tell_of_service(now, EventKind::ServiceCancelled, index);
        }
    }

    /// Whether a period of the instance began and was taken back at this very second: another one that begins
    /// here would be charged as the same one.
    pub fn began_and_was_voided(&self, index: usize, now: Timestamp) -> bool {
        let Kind::Daily(daily) = &self.account.services[index].kind else { return false };
        daily.paid.is_empty() && daily.paid.from == now
    }

    /// Takes an invoice back whole: what was paid of it goes to the wallet, what is open is no longer owed.
    pub fn credit_invoice(
        &mut self,
        number: InvoiceNumber,
        signed: &Signed<'_>,
        reissue: Option<&Buyer>,
        now: Timestamp,
    ) -> Result<(), Halt> {
        let index = self.find_invoice(number)?;
        self.require_open()?;
        let invoice = self.account.invoices[index].clone();
        // One that was issued elsewhere has no lines here, and was never in our sales.
        let is_ours = !self.lines_of(number).is_empty();
        require(is_ours || reissue.is_none(), Refusal::NotAllowed)?;
        require(invoice.credited_at.is_none() && invoice.written_off.is_zero(), Refusal::InvalidState)?;
        let of_invoice = || Details { invoice: Some(number), ..signed.details() };
        let credited = if is_ours { TransferKind::InvoiceCredited } else { TransferKind::BroughtInCredited };
        self.book(now, credited, invoice.total, of_invoice())?;
        let by_card = self.paid_by_card(number)?;
        self.book(now, TransferKind::PaymentReturned, invoice.paid.checked_sub(by_card)?, of_invoice())?;
        self.book(now, TransferKind::CardPaymentReturned, by_card, of_invoice())?;
        self.write_credit_note(CreditNote {
            invoice: number,
            issued_at: now,
            total: invoice.total,
            author: signed.author.to_owned(),
            reason: signed.reason.to_owned(),
        });
        let credited = &mut self.account.invoices[index];
        credited.credited = invoice.to_pay();
        credited.credited_at = Some(now);
        credited.paid_at.get_or_insert(now);
        self.touch_invoice(number);
        self.tell(now, EventKind::InvoiceCredited, None, Some(number));
        // Older ones first (rule 6.9), then the one that takes this one's place.
        self.pay_open_invoices(now)?;
        match reissue {
            Some(corrected) => Ok(self.reissue_invoice(number, corrected, now)?),
            None => Ok(()),
        }
    }

    /// Issues the lines of a credited invoice anew, for the same buyer but for what is corrected.
    fn reissue_invoice(&mut self, of: InvoiceNumber, corrected: &Buyer, now: Timestamp) -> Result<(), OutOfRange> {
        let lines = self.lines_of(of);
        let past = &self.account.past;
        let (times, mut buyer) = (past.reissued + 1, past.buyer.clone());
        buyer.extend(corrected.clone());
        let number = self.account.next.invoice;
        self.write_reissue(Reissue { number, of, times, buyer });
        self.write_invoice(now, lines)
    }

    /// Gives up what is open of an invoice.
    pub fn write_off_invoice(
        &mut self,
        number: InvoiceNumber,
        signed: &Signed<'_>,
        now: Timestamp,
    ) -> Result<(), Halt> {
        let index = self.find_invoice(number)?;
        self.require_open()?;
        let open = self.account.invoices[index].to_pay();
        require(open.is_positive(), Refusal::InvalidState)?;
        self.book(now, TransferKind::WriteOff, open, Details { invoice: Some(number), ..signed.details() })?;
        let invoice = &mut self.account.invoices[index];
        invoice.written_off = open;
        invoice.paid_at = Some(now);
        self.touch_invoice(number);
        self.tell(now, EventKind::InvoiceWrittenOff, None, Some(number));
        self.restore_if_paid(now);
        Ok(())
    }

    fn find_invoice(&self, number: InvoiceNumber) -> Result<usize, Halt> {
        let index = self.account.invoices.iter().position(|invoice| invoice.number == number);
        index.ok_or(Halt::Refused(Refusal::NotFound))
    }
}

/// The charge of a period, and what it came to with all that was charged and credited since; none if the period
/// was never charged here.
fn net_of<'t>(charges: &[&'t Transfer], paid: Period) -> Result<Option<(&'t Transfer, Micros)>, OutOfRange> {
    let charged = |transfer: &&&Transfer| transfer.kind == TransferKind::Period && transfer.period == Some(paid);
    let Some(first) = charges.iter().filter(charged).max_by_key(|charge| charge.number) else { return Ok(None) };
    let mut net = Micros::ZERO;
    for transfer in charges.iter().filter(|transfer| transfer.number >= first.number) {
        net = match transfer.kind {
            TransferKind::Period | TransferKind::Upgrade => net.checked_add(transfer.amount)?,
            TransferKind::Downgrade => net.checked_sub(transfer.amount)?,
            _ => net,
        };
    }
    Ok(Some((*first, net)))
}
