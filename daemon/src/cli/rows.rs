//! Entries, events, invoices and services as they stand in tables and in JSON, each with its reference.

use rules::{Account, Currency, DocumentPolicy, InvoiceStanding, Micros, Period, Timestamp};
use serde::Serialize;
use serde_json::Value;
use store::{AccountRow, EventRow, InvoiceRow, LedgerRow, RefusalRow, ServiceRow};

use crate::cli::printed::{self, Names, named};
use crate::cli::reference;
use crate::tables::{or_dash, table};
use crate::view::{AccountSummary, AccountView, EntryView, EventView, InvoiceView, RefusalView, ServiceView};

/// Cuts a list that has one more than asked for; the last one that stays then.
pub fn behind<T>(rows: &mut Vec<T>, limit: u32) -> Option<&T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if rows.len() <= limit {
        return None;
    }
    rows.truncate(limit);
    rows.last()
}

/// Lists end with how to go on.
pub fn more(next: Option<&str>) -> String {
    next.map_or_else(String::new, |next| format!("\nThere is more: go on with --after {next}"))
}

pub fn written(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

/// In whole minor units where it is one, else in full.
pub fn money(amount: Micros, currency: Currency) -> String {
    if amount.is_whole_minor(currency) { amount.in_minor(currency) } else { amount.to_string() }
}

pub fn with_currency(amount: Micros, currency: Currency) -> String {
    format!("{} {currency}", money(amount, currency))
}

fn ends(period: Option<Period>) -> (Option<String>, Option<String>) {
    (written(period.map(|period| period.from)), written(period.map(|period| period.to)))
}

/// As JSON; what is written so has texts for keys.
pub fn json<T: Serialize>(view: &T) -> Value {
    serde_json::to_value(view).unwrap_or_default()
}

pub fn entry_json(row: &LedgerRow) -> Value {
    json(&EntryView::of(row))
}

/// What an entry is about: a service, an invoice, or who decided it and why.
fn about(row: &LedgerRow, names: &Names) -> String {
    let by_hand = row.author.as_ref().map(|author| format!("{author}: {}", or_dash(row.reason.as_deref())));
    let invoice = row.invoice.map(|number| named(&row.account, number, names));
    row.service.clone().or(invoice).or(by_hand).unwrap_or_else(|| "-".to_owned())
}

/// Entries; with balances, of the wallet behind each of them, and the printed numbers of their invoices.
pub fn entries_table(rows: &[LedgerRow], balances: Option<&[Micros]>, names: &Names) -> String {
    let mut head = vec!["entry", "at", "what", "about", "from", "to", "amount"];
    head.extend(balances.map(|_| "balance"));
    let mut table = table(&head, &[6, 7]);
    for (index, row) in rows.iter().enumerate() {
        let (from, to) = ends(row.period);
        let amount = row.wallet_amount().unwrap_or(row.amount);
        let mut cells = vec![
            reference::entry(&row.account, row.number),
            row.effective_at.to_string(),
            row.kind.name().to_owned(),
            about(row, names),
            from.unwrap_or_else(|| "-".to_owned()),
            to.unwrap_or_else(|| "-".to_owned()),
            amount.to_string(),
        ];
        cells.extend(balances.and_then(|balances| balances.get(index)).map(Micros::to_string));
        table.add_row(cells);
    }
    table.to_string()
}

pub fn event_json(row: &EventRow) -> Value {
    json(&EventView::of(row))
}

pub fn events_table(rows: &[EventRow]) -> String {
    let mut table = table(&["event", "at", "what happened", "to", "reason"], &[]);
    for row in rows {
        let invoice = row.invoice.map(|number| reference::invoice(&row.account, number));
        table.add_row([
            reference::event(&row.account, row.number).as_str(),
            &row.at.to_string(),
            &row.kind,
            row.service.as_deref().or(invoice.as_deref()).unwrap_or(&row.account),
            or_dash(row.reason.map(rules::StopReason::name)),
        ]);
    }
    table.to_string()
}

pub fn refusal_json(row: &RefusalRow) -> Value {
    json(&RefusalView::of(row))
}

/// As in `Refused at 2026-11-22T10:00:00Z: enable of web-1 by cli:ann (invalid_state); why: bursar explain ann/r3`.
pub fn refusal_line(row: &RefusalRow) -> String {
    let of = row.service.as_ref().map_or_else(String::new, |service| format!(" of {service}"));
    let (name, RefusalRow { at, action, code, author, .. }) = (reference::refusal(&row.account, row.number), row);
    format!("Refused at {at}: {action}{of} by {author} ({code}); why: bursar explain {name}")
}

pub const fn invoice_state(row: &InvoiceRow) -> &'static str {
    let standing = match (row.paid_at.is_some(), row.overdue) {
        _ if row.credited_at.is_some() => InvoiceStanding::Credited,
        (true, _) if row.written_off.is_positive() => InvoiceStanding::WrittenOff,
        (true, _) => InvoiceStanding::Paid,
        (false, true) => InvoiceStanding::Overdue,
        (false, false) => InvoiceStanding::Open,
    };
    standing.name()
}

pub fn to_pay(row: &InvoiceRow) -> Micros {
    Micros::new(row.total.get() - row.paid.get() - row.credited.get() - row.written_off.get())
}

pub fn invoice_json(row: &InvoiceRow, documents: &DocumentPolicy) -> Value {
    json(&InvoiceView::of(row, documents))
}

pub fn invoices_table(rows: &[InvoiceRow], documents: &DocumentPolicy) -> String {
    let mut head = vec!["invoice", "number", "issued at", "state", "paid at", "total", "to pay", "", "credit note"];
    let came = rows.iter().any(|row| row.printed_total.is_some());
    head.extend(came.then_some("printed total"));
    let mut table = table(&head, &[5, 6, 9]);
    for row in rows {
        let in_minor = |amount: Micros| amount.in_minor(row.currency);
        let mut cells = vec![
            reference::invoice(&row.account, row.number),
            or_dash(printed::number(row, documents).as_deref()).to_owned(),
            row.issued_at.to_string(),
            invoice_state(row).to_owned(),
            or_dash(written(row.paid_at).as_deref()).to_owned(),
            in_minor(row.total),
            in_minor(to_pay(row)),
            row.currency.code().to_owned(),
            or_dash(printed::credit_note(row, documents).as_deref()).to_owned(),
        ];
        cells.extend(came.then(|| or_dash(row.printed_total.map(in_minor).as_deref()).to_owned()));
        table.add_row(cells);
    }
    table.to_string()
}

pub fn service_json(row: &ServiceRow) -> Value {
    json(&ServiceView::of(row))
}

pub fn services_table(rows: &[ServiceRow]) -> String {
    let mut table = table(&["service", "account", "mode", "plan", "state", "reason", "paid until"], &[]);
    for row in rows {
        let service = &row.service;
        table.add_row([
            service.name.as_str(),
            &row.account,
            service.mode().name(),
            &service.order.plan,
            service.state(),
            or_dash(service.stop_reason().map(rules::StopReason::name)),
            or_dash(written(service.paid_until(row.daily_paid_until)).as_deref()),
        ]);
    }
    table.to_string()
}

/// As in `Service web-1 (acs-small, cpe 250, vpn-access): enabled, paid until 2026-11-23T00:00:00Z`.
pub fn service_line(row: &ServiceRow) -> String {
    let service = &row.service;
    let quantities = service.order.quantities.iter().map(|(name, count)| format!(", {name} {}", plain(*count)));
    let options = service.order.options.iter().map(|name| format!(", {name}"));
    let order: String = quantities.chain(options).collect();
    let reason = service.stop_reason().map_or_else(String::new, |reason| format!(" for {}", reason.name()));
    let paid =
        written(service.paid_until(row.daily_paid_until)).map_or_else(String::new, |at| format!(", paid until {at}"));
    let ends = if ends_with_period(service) { ", and ends then" } else { "" };
    format!("Service {} ({}{order}): {}{reason}{paid}{ends}", service.name, service.order.plan, service.state())
}

/// Without the zeros behind its last decimal.
pub fn plain(quantity: Micros) -> String {
    let text = quantity.to_string();
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub const fn ends_with_period(service: &rules::Service) -> bool {
    use rules::{Kind, Stage, Term, TermState};
    match &service.kind {
        Kind::Term(Term {
            state:
                TermState::Active { ends_with_period }
                | TermState::Suspended { stage: Stage::Paid { ends_with_period }, .. },
            ..
        }) => *ends_with_period,
        Kind::Daily(_) | Kind::Term(_) | Kind::Server(_) => false,
    }
}

pub fn account_json(account: &Account) -> Value {
    json(&AccountView::of(account))
}

pub fn open_total(account: &Account) -> Micros {
    account.open_total().unwrap_or(Micros::new(i64::MAX))
}

/// As in `Account ann: active, wallet 12.50 USD, open invoices 0.00 USD (as of 2026-11-22T10:00:00Z)`.
pub fn account_line(account: &Account) -> String {
    let reason = account.standing.reason().map_or_else(String::new, |reason| format!(" for {}", reason.name()));
    let wallet = with_currency(account.wallet, account.currency);
    let open = with_currency(open_total(account), account.currency);
    let (name, state, as_of) = (&account.name, account.standing.name(), account.settled_at);
    format!("Account {name}: {state}{reason}, wallet {wallet}, open invoices {open} (as of {as_of})")
}

pub fn account_row_json(row: &AccountRow) -> Value {
    json(&AccountSummary::of(row))
}

pub fn accounts_table(rows: &[AccountRow]) -> String {
    let mut table = table(&["account", "state", "reason", "wallet", "open invoices", "", "as of"], &[3, 4]);
    for row in rows {
        table.add_row([
            row.name.as_str(),
            row.standing.name(),
            or_dash(row.standing.reason().map(rules::SuspendReason::name)),
            &row.wallet.to_string(),
            &row.open.in_minor(row.currency),
            row.currency.code(),
            &row.settled_at.to_string(),
        ]);
    }
    table.to_string()
}
