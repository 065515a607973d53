//! Documents by their printed numbers, like INV-000042, and invoices named by one.

use std::collections::BTreeMap;

use rules::{AccountId, DocumentPolicy};
use store::{InvoiceRow, Store};

use crate::cli::books;
use crate::cli::reference::{self, Reference, Referred};
use crate::input::BadInput;

/// An invoice's number as it is printed: ours once it has one, or the one that it came with.
pub fn number(row: &InvoiceRow, documents: &DocumentPolicy) -> Option<String> {
    let ours = row.public.as_ref().map(|(series, number)| documents.printed(series, *number));
    ours.or_else(|| row.printed.clone())
}

/// That of the credit note over it.
pub fn credit_note(row: &InvoiceRow, documents: &DocumentPolicy) -> Option<String> {
    row.credit_note.as_ref().map(|(series, number)| documents.printed(series, *number))
}

/// Of an invoice that was issued elsewhere, what its paper says and what of that is ours to move.
pub fn elsewhere(row: &InvoiceRow) -> Option<String> {
    let [printed, open] = [row.printed_total?, row.total].map(|amount| amount.in_minor(row.currency));
    let currency = row.currency;
    Some(format!(
        "Issued elsewhere over {printed} {currency}; its total here is what was still open, {open} {currency}."
    ))
}

/// Printed numbers of an account's invoices, by their number there.
pub type Names = BTreeMap<i64, String>;

/// As in `INV-000042 (ann/i3)`, for tables.
pub fn named(account: &str, invoice: i64, names: &Names) -> String {
    let reference = reference::invoice(account, invoice);
    names.get(&invoice).map_or_else(|| reference.clone(), |name| format!("{name} ({reference})"))
}

pub async fn names(
    store: &Store,
    account: AccountId,
    invoices: &[i64],
    documents: &DocumentPolicy,
) -> anyhow::Result<Names> {
    let rows = store.invoices_numbered(account, invoices).await?;
    Ok(rows.iter().filter_map(|row| Some((row.number, number(row, documents)?))).collect())
}

/// The invoice that a text names: by its reference, or by its printed number or that of its credit note.
pub async fn find(store: &Store, text: &str) -> anyhow::Result<(AccountId, Reference)> {
    if let Ok(reference) = text.parse::<Reference>() {
        let id = books::account(store, &reference.account).await?;
        return Ok((id, reference));
    }
    let mut found = store.invoices_printed(text).await?;
    match (found.pop(), found.is_empty()) {
        (Some((id, account, number)), true) => Ok((id, Reference { account, to: Referred::Invoice(number) })),
        (Some(_), false) => {
            Err(BadInput(format!("invoice `{text}`: several have this number; give a reference, like ann/i3")).into())
        }
        (None, _) => Err(BadInput(format!(
            "invoice `{text}`: there is none; it is named by its reference, like ann/i3, or its printed number; see \
            `bursar invoices list`"
        ))
        .into()),
    }
}
