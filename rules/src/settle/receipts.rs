//! Money that came: each receipt counts from the second of its proof (rules 3.2, 3.3, 10.1, 11.6).

use crate::account::Standing;
use crate::changes::TransferKind;
use crate::desk::{Desk, Details, Halt};
use crate::receipt::ReceiptKind;
use crate::service::{DailyState, Kind, StopReason};
use crate::settle::retention_end;
use crate::time::Timestamp;

impl Desk<'_> {
    /// When the next receipt counts: at its proof's second, never before the settled one.
    pub fn next_receipt(&self) -> Option<Timestamp> {
        self.account.receipts.first().map(|receipt| receipt.received_at.max(self.account.settled_at))
    }

    pub fn take_in_receipt(&mut self, at: Timestamp) -> Result<(), Halt> {
        let receipt = self.account.receipts.remove(0);
        self.use_receipt(receipt.id, at);
        self.account.settled_at = at;
        let kind = match receipt.kind {
            ReceiptKind::Deposit => TransferKind::Deposit,
            ReceiptKind::Dispute => TransferKind::Dispute,
            ReceiptKind::LateCardSuccess => TransferKind::CardCredit,
        };
        self.book(at, kind, receipt.amount, Details::default())?;
        if receipt.kind != ReceiptKind::Dispute {
            self.pay_open_invoices(at)?;
        }
        if receipt.kind == ReceiptKind::Deposit && self.account.resume_on_deposit {
            self.resume_stopped(at)?;
        }
        Ok(())
    }

    /// Resumes what the wallet covers whole: term services by the end of their retention, then daily
    /// instances by when they were disabled (rule 10.1).
    fn resume_stopped(&mut self, at: Timestamp) -> Result<(), Halt> {
        if self.account.standing != Standing::Active {
            return Ok(());
        }
        let mut terms = Vec::new();
        let mut instances = Vec::new();
        for (index, service) in self.account.services.iter().enumerate() {
            if let Some(ends) = retention_end(&service.kind, &self.cx) {
                terms.push((ends, service.name.clone(), index));
            }
            if let Kind::Daily(daily) = &service.kind
                && let DailyState::Disabled { reason: StopReason::InsufficientFunds, at } = daily.state
            {
                instances.push((at, service.name.clone(), index));
            }
        }
        terms.sort();
        instances.sort();
        for (_, _, index) in terms {
            self.extend_term(index, at)?;
        }
        for (_, _, index) in instances {
            self.pay_and_enable(index, at)?;
        }
        Ok(())
    }
}
