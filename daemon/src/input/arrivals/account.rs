//! The lines of accounts, their wallets and their open invoices.

use std::collections::BTreeMap;

use rules::{Arrival, ArrivingInvoice, ArrivingTrial, Micros, Quantity};

use super::{Arrivals, Imported, Printed, SUSPENSIONS, not_after};
use crate::input::reader::{Table, Value};
use crate::input::words;

/// Who the customer is.
const DETAILS: [&str; 9] =
    ["email", "person", "company", "address", "tax_id", "language", "provider", "provider_customer", "payment_method"];
const ACCOUNT_KEYS: [&str; 8] = [
    "kind",
    "name",
    "currency",
    "opened_at",
    "suspended_for",
    "resume_on_deposit",
    "trial_ends_at",
    "trial_traffic_used",
];
/// What somebody may write who wants to bring in a closed account.
const CLOSED_KEYS: [&str; 3] = ["closed", "closed_at", "state"];
const WALLET_KEYS: &[&str] = &["kind", "account", "balance"];
const INVOICE_KEYS: &[&str] = &["kind", "account", "series", "number", "issued_at", "total", "open", "overdue"];

const LONGEST_TEXT: usize = 500;

impl Arrivals {
    pub(super) fn account(&mut self, table: &Table<'_>) -> Option<Imported> {
        let name = table.need("name", words::name);
        self.broken.clone_from(&name);
        if let Some(key) = CLOSED_KEYS.iter().find(|key| table.get(key).is_some()) {
            return table.value().fail(format!(
                "{key}: accounts that are closed stay in the old books: leave the line out; an account that is open \
                 has no such key"
            ));
        }
        table.only(&[&ACCOUNT_KEYS[..], &DETAILS[..]].concat());
        let at = self.terms.at;
        let currency = table.or("currency", self.terms.policy.currency, words::currency);
        let opened_at = table.need("opened_at", |value| not_after(value, at));
        let suspended_for = table.maybe("suspended_for", words::one_of(&SUSPENSIONS));
        let resume_on_deposit = table.or("resume_on_deposit", false, words::flag);
        let trial = trial(table);
        let mut details = BTreeMap::new();
        for key in DETAILS {
            if let Some(text) = table.maybe(key, text)? {
                details.insert(key, text);
            }
        }
        let name = name?;
        if self.names.came_before(&["account", &name]) {
            table.value().note(format!("account `{name}` stands in this file already"));
        }
        let arrival = Arrival {
            name,
            currency: currency?,
            opened_at: opened_at?,
            suspended_for: suspended_for?,
            resume_on_deposit: resume_on_deposit?,
            trial: trial?,
            wallet: Micros::ZERO,
            services: Vec::new(),
            invoices: Vec::new(),
        };
        self.broken = None;
        let (line, service_lines, invoices) = (self.line, Vec::new(), Vec::new());
        Some(Imported { line, arrival, wallet_line: None, service_lines, details, invoices })
    }

    /// The account that this line is of: the last one. Of one that is wrong itself nothing more is told.
    pub(super) fn owner(&mut self, table: &Table<'_>) -> Option<&mut Imported> {
        let name = table.need("account", words::name)?;
        if self.open.as_ref().is_some_and(|open| open.arrival.name == name) {
            return self.open.as_mut();
        }
        if self.broken.as_ref() != Some(&name) {
            table.value().note(format!("the lines of account `{name}` stand directly behind its own"));
        }
        None
    }

    pub(super) fn wallet(&mut self, table: &Table<'_>) -> Option<()> {
        table.only(WALLET_KEYS);
        let balance = table.need("balance", words::balance);
        let line = self.line;
        let owner = self.owner(table)?;
        if let Some(first) = owner.wallet_line.replace(line) {
            table.value().note(format!("the account's wallet stands in this file already, on line {first}"));
        }
        owner.arrival.wallet = balance?;
        Some(())
    }

    pub(super) fn invoice(&mut self, table: &Table<'_>) -> Option<()> {
        table.only(INVOICE_KEYS);
        let at = self.terms.at;
        let owner = self.owner(table)?;
        let (opened_at, currency) = (owner.arrival.opened_at, owner.arrival.currency);
        let series = table.or("series", String::new(), text);
        let number = table.need("number", text);
        let issued_at = table.need("issued_at", |value| {
            let issued_at = not_after(value, at)?;
            if issued_at < opened_at {
                return value.refuse("it is not before the account's `opened_at`");
            }
            Some(issued_at)
        });
        let minor = |value: &Value<'_>| {
            let amount = words::positive_amount(value)?;
            let whole = amount.is_whole_minor(currency);
            if whole { Some(amount) } else { value.refuse("an invoice's amount is in whole minor units") }
        };
        let (total, open) = (table.need("total", minor), table.need("open", minor));
        let overdue = table.or("overdue", false, words::flag);
        let (series, number, issued_at, total, open) = (series?, number?, issued_at?, total?, open?);
        if open > total {
            return table.value().fail(format!(
                "open: {}: what is still to pay is at most the total, {}",
                open.in_minor(currency),
                total.in_minor(currency)
            ));
        }
        if owner.arrival.invoices.last().is_some_and(|last| last.issued_at > issued_at) {
            table.value().note("issued_at: the invoices of an account stand in the order of their issue");
        }
        owner.arrival.invoices.push(ArrivingInvoice { issued_at, open, overdue: overdue? });
        owner.invoices.push(Printed { series: series.clone(), number: number.clone(), total });
        if self.names.came_before(&["invoice", &series, &number]) {
            table.value().note(format!("number: `{number}` of series `{series}` stands in this file already"));
        }
        Some(())
    }
}

fn trial(table: &Table<'_>) -> Option<Option<ArrivingTrial>> {
    let ends_at = table.maybe("trial_ends_at", words::time)?;
    let traffic_used = table.maybe("trial_traffic_used", words::quantity)?;
    match (ends_at, traffic_used) {
        (Some(ends_at), used) => Some(Some(ArrivingTrial { ends_at, traffic_used: used.unwrap_or(Quantity::ZERO) })),
        (None, None) => Some(None),
        (None, Some(_)) => {
            table.value().fail("trial_traffic_used: it is of an account in its trial: give `trial_ends_at`, or neither")
        }
    }
}

fn text(value: &Value<'_>) -> Option<String> {
    let text = words::text(value)?;
    let is_plain = !text.trim().is_empty() && !text.chars().any(|each| each.is_control() && each != '\n');
    match is_plain && text.chars().count() <= LONGEST_TEXT {
        true => Some(text),
        false => {
            value.refuse(&format!("it is text of 1 to {LONGEST_TEXT} characters, none of them a control character"))
        }
    }
}
