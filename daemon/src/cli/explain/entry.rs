//! Why an entry is in the ledger.

use rules::{ReceiptKind, TransferKind};
use store::LedgerRow;

use super::{Asked, Explained};
use crate::cli::reference;
use crate::cli::rows::with_currency;
use crate::tables::or_dash;

impl Asked<'_> {
    pub async fn entry(&self, number: i64) -> anyhow::Result<Option<Explained>> {
        let Some(row) = self.store.transfer(self.id, number).await? else { return Ok(None) };
        let why = self.why_entry(&row).await?;
        let invoice = row.invoice.map(|number| self.invoice_reference(number));
        let related = [invoice, row.corrects.map(|number| reference::entry(self.account, number))];
        Ok(Some(Explained {
            why,
            amount: Some((row.amount, row.currency)),
            basis: row.basis,
            effective_at: row.effective_at,
            recorded_at: row.recorded_at,
            run: row.run,
            related: related.into_iter().flatten().collect(),
        }))
    }

    async fn why_entry(&self, row: &LedgerRow) -> anyhow::Result<String> {
        let amount = with_currency(row.amount, row.currency);
        let service = or_dash(row.service.as_deref());
        let invoice = row.invoice.map_or_else(|| "an invoice".to_owned(), |number| self.invoice_reference(number));
        let period = row.period.map_or_else(String::new, |period| format!(" from {} to {}", period.from, period.to));
        let (author, reason) = match self.is_customer {
            true => ("support", "ask support for more"),
            false => (or_dash(row.author.as_deref()), or_dash(row.reason.as_deref())),
        };
        Ok(match row.kind {
            TransferKind::Deposit => self.received(row, ReceiptKind::Deposit, "was deposited").await?,
            TransferKind::Dispute => self.received(row, ReceiptKind::Dispute, "was taken back").await?,
            TransferKind::CardCredit => match row.service {
                Some(_) => format!("{amount} was charged to the saved card for {service}, above the trial's cover."),
                None => format!("{amount} was paid by the saved card into the wallet."),
            },
            TransferKind::Period => format!("{amount} was charged for {service}{period}."),
            TransferKind::Upgrade => format!("{service} was changed, and what that costs{period} is {amount}."),
            TransferKind::Downgrade => format!("{service} was changed, and what that saves{period} is {amount}."),
            TransferKind::Charge => format!("{author} charged {amount}: {reason}."),
            TransferKind::Bonus => format!("{author} gave a bonus of {amount}: {reason}."),
            TransferKind::InvoiceIssued => format!("Invoice {invoice} was issued over {amount}, the sum of its lines."),
            TransferKind::InvoicePaidByWallet => {
                format!("The wallet paid {amount} of {invoice}: it pays what is open before anything else.")
            }
            TransferKind::InvoicePaidByCard => format!("The saved card paid {amount} of {invoice}."),
            TransferKind::RefundApproved => {
                format!("{amount} of what came from outside is refunded, as the account was closed.")
            }
            TransferKind::RefundSent => format!("{amount} went back to where it came from."),
            TransferKind::Reversal => format!(
                "{author} took back what {service} cost{period}, {amount}, which {} began: {reason}.",
                row.corrects.map_or_else(|| "a charge".to_owned(), |number| reference::entry(self.account, number))
            ),
            TransferKind::InvoiceCredited => format!("{author} credited {invoice} whole, {amount}: {reason}."),
            TransferKind::BroughtInCredited => format!(
                "{author} credited {invoice}, which was issued before the account was brought in, with {amount} of it \
                open then: {reason}."
            ),
            TransferKind::PaymentReturned => {
                format!("What the wallet paid of {invoice}, {amount}, came back as {author} credited it: {reason}.")
            }
            TransferKind::CardPaymentReturned => format!(
                "What the saved card paid of {invoice}, {amount}, came into the wallet as {author} credited it: \
                {reason}."
            ),
            TransferKind::WriteOff => format!("{author} gave up what was open of {invoice}, {amount}: {reason}."),
            TransferKind::Waiver => format!("{amount} was left in the wallet when the account was closed, and waived."),
            TransferKind::BroughtIn => format!("{amount} was in the wallet when the account was brought in."),
            TransferKind::DebtBroughtIn => format!("{amount} was owed when the account was brought in."),
            TransferKind::InvoiceBroughtIn => {
                format!("{amount} was still to pay of {invoice}, which was issued before the account was brought in.")
            }
        })
    }

    /// The payment that the money came with.
    async fn received(&self, row: &LedgerRow, kind: ReceiptKind, what: &str) -> anyhow::Result<String> {
        let amount = with_currency(row.amount, row.currency);
        let receipts = self.store.receipts_at(self.id, kind, row.amount, row.effective_at).await?;
        // Several of one second and amount are the same to the books.
        let of = receipts.iter().map(|receipt| {
            format!("{} payment `{}`, proved at {}", receipt.provider, receipt.payment, receipt.received_at)
        });
        Ok(match of.collect::<Vec<_>>().join("; or ") {
            none if none.is_empty() => format!("{amount} {what}."),
            payments => format!("{amount} {what}: {payments}."),
        })
    }
}
