//! The lines of accounts, their wallets and their open invoices.

use std::collections::BTreeMap;

use rules::{Arrival, ArrivingInvoice, ArrivingTrial, Micros, Quantity, Timestamp};
use store::DETAILS;

use super::{Arrivals, Imported, Printed, SUSPENSIONS, not_after};
use crate::input::reader::{Table, Value};
use crate::input::{customer, words};

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

/// What stands on an account and is of no use without its provider.
const OF_PROVIDER: [&str; 2] = ["payment_method", "provider_customer"];

/// A host may have given somebody more of a trial than everybody gets, but not years.
const TRIAL_MARGIN_DAYS: u32 = 90;

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
        let trial = trial(table, opened_at, self.terms.policy.trial.days);
        let details = self.details(table);
        let name = name?;
        if self.names.came_before(&["account", &name]) {
            table.value().note(format!("account `{name}` stands in this file already"));
        }
        let details = details?;
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

    /// Who the customer is; each one that is wrong is told.
    fn details(&mut self, table: &Table<'_>) -> Option<BTreeMap<&'static str, String>> {
        let (mut details, mut all_good) = (BTreeMap::new(), true);
        for key in DETAILS {
            match table.maybe(key, |value| detail(key, value)) {
                Some(text) => details.extend(text.map(|text| (key, text))),
                None => all_good = false,
            }
        }
        if let Some(key) = OF_PROVIDER.iter().find(|key| details.contains_key(*key) && table.get("provider").is_none())
        {
            return table.value().fail(format!("{key}: it is a provider's: say which one, as `provider`"));
        }
        if let Some((provider, method)) = details.get("provider").zip(details.get("payment_method"))
            && self.names.came_before(&["payment_method", provider, method])
        {
            let message = format!("payment_method: `{method}` of {provider} stands in this file already");
            return table.value().fail(message);
        }
        all_good.then_some(details)
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
        let (at, line) = (self.terms.at, self.line);
        let owner = self.owner(table)?;
        let (opened_at, currency) = (owner.arrival.opened_at, owner.arrival.currency);
        let series = table.or("series", String::new(), words::series);
        let number = table.need("number", words::series);
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
        owner.invoices.push(Printed { line, series: series.clone(), number: number.clone(), total });
        if self.names.came_before(&["invoice", &series, &number]) {
            table.value().note(format!("number: `{number}` of series `{series}` stands in this file already"));
        }
        Some(())
    }
}

fn detail(key: &str, value: &Value<'_>) -> Option<String> {
    let text = words::text(value)?;
    match customer::refusal(key, &text) {
        None => Some(text),
        Some(why) => value.refuse(&why),
    }
}

fn trial(table: &Table<'_>, opened_at: Option<Timestamp>, days: u32) -> Option<Option<ArrivingTrial>> {
    let longest = opened_at.map(|opened_at| opened_at.midnight().plus_days(days + 1 + TRIAL_MARGIN_DAYS));
    let ends_at = table.maybe("trial_ends_at", |value| {
        let ends_at = words::time(value)?;
        match longest.filter(|longest| ends_at > *longest) {
            None => Some(ends_at),
            Some(longest) => value.refuse(&format!(
                "a trial lasts {days} days behind the day of `opened_at`, and with all that was given on top ends by \
                 {longest}"
            )),
        }
    })?;
    let traffic_used = table.maybe("trial_traffic_used", words::quantity)?;
    match (ends_at, traffic_used) {
        (Some(ends_at), used) => Some(Some(ArrivingTrial { ends_at, traffic_used: used.unwrap_or(Quantity::ZERO) })),
        (None, None) => Some(None),
        (None, Some(_)) => {
            table.value().fail("trial_traffic_used: it is of an account in its trial: give `trial_ends_at`, or neither")
        }
    }
}
