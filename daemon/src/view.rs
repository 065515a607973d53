//! Accounts, services, entries, events and invoices as they are written in JSON, by commands and over HTTP.
//! Amounts are decimal strings, times are UTC in whole seconds, and all keys are always there.

use std::collections::{BTreeMap, BTreeSet};

use rules::{Account, DocumentPolicy, Micros, StopReason, SuspendReason};
use serde::Serialize;
use store::{AccountRow, EventRow, InvoiceRow, LedgerRow, LineRow, RefusalRow, ServiceRow};
use utoipa::ToSchema;

use crate::cli::printed;
use crate::cli::reference;
use crate::cli::rows::{ends_with_period, invoice_state, open_total, to_pay, written};

/// An account and its wallet, in a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct AccountSummary {
    /// How it is asked for over HTTP
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "acc_0k4v9c2m6t8x1b3n5q7r9s2d4f")]
    pub id: Option<String>,
    /// Its name, given at its opening
    #[schema(example = "ann")]
    pub account: String,
    /// active, suspended or closed
    #[schema(example = "active")]
    pub state: &'static str,
    /// Why it is suspended: unpaid, fraud or admin
    pub reason: Option<&'static str>,
    #[schema(example = "USD")]
    pub currency: &'static str,
    /// In units of the currency, with six decimals; below zero it is a debt
    #[schema(example = "47.439444")]
    pub wallet: String,
    /// What is still to pay of its invoices
    #[schema(example = "0.000000")]
    pub open_invoices: String,
    /// Up to when everything that fell due is booked
    #[schema(example = "2026-01-05T10:02:00Z")]
    pub as_of: String,
}

/// An account and its wallet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct AccountView {
    #[serde(flatten)]
    pub summary: AccountSummary,
    pub verified: bool,
    pub card_saved: bool,
    /// A deposit resumes what was stopped for want of money
    pub resume_on_deposit: bool,
    pub trial_ends_at: Option<String>,
    #[schema(example = "2026-01-05T10:00:00Z")]
    pub opened_at: String,
}

impl AccountView {
    pub fn of(account: &Account) -> Self {
        let summary = AccountSummary {
            id: None,
            account: account.name.clone(),
            state: account.standing.name(),
            reason: account.standing.reason().map(SuspendReason::name),
            currency: account.currency.code(),
            wallet: account.wallet.to_string(),
            open_invoices: open_total(account).to_string(),
            as_of: account.settled_at.to_string(),
        };
        Self {
            summary,
            verified: account.verified,
            card_saved: account.card.is_some(),
            resume_on_deposit: account.resume_on_deposit,
            trial_ends_at: written(account.trial.as_ref().map(|trial| trial.ends_at)),
            opened_at: account.opened_at.to_string(),
        }
    }
}

impl AccountSummary {
    pub fn of(row: &AccountRow) -> Self {
        Self {
            id: None,
            account: row.name.clone(),
            state: row.standing.name(),
            reason: row.standing.reason().map(SuspendReason::name),
            currency: row.currency.code(),
            wallet: row.wallet.to_string(),
            open_invoices: row.open.to_string(),
            as_of: row.settled_at.to_string(),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct ServiceView {
    /// How it is asked for over HTTP
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "svc_0k4v9c2m6t8x1b3n5q7r9s2d4f")]
    pub id: Option<String>,
    #[schema(example = "web-1")]
    pub service: String,
    #[schema(example = "ann")]
    pub account: String,
    /// daily, term, monthly or hourly
    #[schema(example = "daily")]
    pub mode: &'static str,
    #[schema(example = "dms")]
    pub plan: String,
    /// By component
    pub quantities: BTreeMap<String, String>,
    pub options: BTreeSet<String>,
    #[schema(example = "enabled")]
    pub state: &'static str,
    /// Why it is disabled or suspended
    pub reason: Option<&'static str>,
    pub created_at: String,
    /// The end of the last paid period, of daily and term services
    pub paid_until: Option<String>,
    /// It was cancelled for the end of what is paid
    pub ends_with_period: bool,
    /// Up to when everything that fell due is booked
    pub as_of: String,
}

impl ServiceView {
    pub fn of(row: &ServiceRow) -> Self {
        let service = &row.service;
        let quantities = service.order.quantities.iter().map(|(name, count)| (name.clone(), count.to_string()));
        Self {
            id: None,
            service: service.name.clone(),
            account: row.account.clone(),
            mode: service.mode().name(),
            plan: service.order.plan.clone(),
            quantities: quantities.collect(),
            options: service.order.options.clone(),
            state: service.state(),
            reason: service.stop_reason().map(StopReason::name),
            created_at: service.created_at.to_string(),
            paid_until: written(service.paid_until(row.daily_paid_until)),
            ends_with_period: ends_with_period(service),
            as_of: row.settled_at.to_string(),
        }
    }
}

/// A booking in the ledger.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct EntryView {
    /// What it is asked about by
    #[serde(rename = "ref")]
    #[schema(example = "ann/t12")]
    pub reference: String,
    pub account: String,
    #[schema(example = "period")]
    pub kind: &'static str,
    /// Without a sign
    #[schema(example = "2.560556")]
    pub amount: String,
    /// As the wallet sees it; null where it passed the wallet by
    #[schema(example = "-2.560556")]
    pub wallet_amount: Option<String>,
    pub currency: &'static str,
    /// When it counts
    pub effective_at: String,
    /// When it was written
    pub recorded_at: String,
    pub service: Option<String>,
    pub invoice: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    /// Who decided it, of what people did; null for customers
    pub author: Option<String>,
    /// Why; null for customers
    pub reason: Option<String>,
    /// The run that booked it; null for customers
    pub run: Option<i64>,
}

impl EntryView {
    pub fn of(row: &LedgerRow) -> Self {
        Self {
            reference: reference::entry(&row.account, row.number),
            account: row.account.clone(),
            kind: row.kind.name(),
            amount: row.amount.to_string(),
            wallet_amount: row.wallet_amount().map(|amount| amount.to_string()),
            currency: row.currency.code(),
            effective_at: row.effective_at.to_string(),
            recorded_at: row.recorded_at.to_string(),
            service: row.service.clone(),
            invoice: row.invoice.map(|number| reference::invoice(&row.account, number)),
            from: written(row.period.map(|period| period.from)),
            to: written(row.period.map(|period| period.to)),
            author: row.author.clone(),
            reason: row.reason.clone(),
            run: row.run.map(|run| run.0),
        }
    }

    /// Without what is nobody's business outside.
    #[must_use]
    pub fn for_customers(self) -> Self {
        Self { author: None, reason: None, run: None, ..self }
    }
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct EventView {
    #[serde(rename = "ref")]
    #[schema(example = "ann/e7")]
    pub reference: String,
    pub account: String,
    #[schema(example = "service.disabled")]
    pub kind: String,
    pub reason: Option<&'static str>,
    pub at: String,
    pub recorded_at: String,
    pub service: Option<String>,
    pub invoice: Option<String>,
}

impl EventView {
    pub fn of(row: &EventRow) -> Self {
        Self {
            reference: reference::event(&row.account, row.number),
            account: row.account.clone(),
            kind: row.kind.clone(),
            reason: row.reason.map(StopReason::name),
            at: row.at.to_string(),
            recorded_at: row.recorded_at.to_string(),
            service: row.service.clone(),
            invoice: row.invoice.map(|number| reference::invoice(&row.account, number)),
        }
    }
}

/// What was asked for and refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct RefusalView {
    #[serde(rename = "ref")]
    #[schema(example = "ann/r3")]
    pub reference: String,
    pub at: String,
    pub action: String,
    pub service: Option<String>,
    #[schema(example = "insufficient_funds")]
    pub code: String,
    pub why: String,
    pub author: String,
    /// How the account and the service stood
    pub stood: BTreeMap<String, String>,
}

impl RefusalView {
    pub fn of(row: &RefusalRow) -> Self {
        Self {
            reference: reference::refusal(&row.account, row.number),
            at: row.at.to_string(),
            action: row.action.clone(),
            service: row.service.clone(),
            code: row.code.clone(),
            why: row.why.clone(),
            author: row.author.clone(),
            stood: row.stood.clone(),
        }
    }
}

/// An invoice, in minor units of its currency.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct InvoiceView {
    /// How it is asked for over HTTP
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "inv_0k4v9c2m6t8x1b3n5q7r9s2d4f")]
    pub id: Option<String>,
    #[serde(rename = "ref")]
    #[schema(example = "ann/i3")]
    pub reference: String,
    pub account: String,
    /// Its number within the account
    pub number: i64,
    /// Its public number, once it has one
    #[schema(example = "INV-000042")]
    pub printed: Option<String>,
    /// That of the credit note over it
    pub credit_note: Option<String>,
    /// open, overdue, paid, credited or written_off
    #[schema(example = "open")]
    pub state: &'static str,
    pub currency: &'static str,
    pub issued_at: String,
    pub recorded_at: String,
    #[schema(example = "12.00")]
    pub total: String,
    /// What stood on one that was issued elsewhere
    pub printed_total: Option<String>,
    pub paid: String,
    pub to_pay: String,
    pub credited: String,
    pub written_off: String,
    pub paid_at: Option<String>,
    pub credited_at: Option<String>,
    pub series: Option<String>,
    pub public_number: Option<i64>,
    pub credit_note_series: Option<String>,
    pub credit_note_number: Option<i64>,
    /// The credited invoice whose place it takes
    pub reissues: Option<String>,
    /// Who is billed, as the invoice says it
    pub buyer: BTreeMap<String, String>,
}

impl InvoiceView {
    pub fn of(row: &InvoiceRow, documents: &DocumentPolicy) -> Self {
        let in_minor = |amount: Micros| amount.in_minor(row.currency);
        let (public, credit_note) = (row.public.as_ref(), row.credit_note.as_ref());
        Self {
            id: None,
            reference: reference::invoice(&row.account, row.number),
            account: row.account.clone(),
            number: row.number,
            printed: printed::number(row, documents),
            credit_note: printed::credit_note(row, documents),
            state: invoice_state(row),
            currency: row.currency.code(),
            issued_at: row.issued_at.to_string(),
            recorded_at: row.recorded_at.to_string(),
            total: in_minor(row.total),
            printed_total: row.printed_total.map(in_minor),
            paid: in_minor(row.paid),
            to_pay: in_minor(to_pay(row)),
            credited: in_minor(row.credited),
            written_off: in_minor(row.written_off),
            paid_at: written(row.paid_at),
            credited_at: written(row.credited_at),
            series: public.map(|(series, _)| series.clone()),
            public_number: public.map(|(_, number)| *number),
            credit_note_series: credit_note.map(|(series, _)| series.clone()),
            credit_note_number: credit_note.map(|(_, number)| *number),
            reissues: row.reissues.map(|number| reference::invoice(&row.account, number)),
            buyer: row.buyer.iter().map(|(key, text)| (key.to_string(), text.clone())).collect(),
        }
    }
}

/// A line of an invoice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct LineView {
    #[serde(rename = "ref")]
    #[schema(example = "ann/i3/1")]
    pub reference: String,
    pub service: String,
    #[schema(example = "month")]
    pub kind: &'static str,
    pub from: String,
    pub to: String,
    #[schema(example = "12.00")]
    pub amount: String,
}

impl LineView {
    pub fn of(invoice: &InvoiceRow, line: &LineRow) -> Self {
        Self {
            reference: reference::line(&invoice.account, invoice.number, line.position),
            service: line.service.clone(),
            kind: line.kind.name(),
            from: line.period.from.to_string(),
            to: line.period.to.to_string(),
            amount: line.amount.in_minor(invoice.currency),
        }
    }
}

/// What an action brought about, or would.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct ChangeView {
    /// Nothing is written
    pub preview: bool,
    pub account: AccountView,
    pub service: Option<ServiceView>,
    /// What is new in the ledger, also of what fell due meanwhile
    pub entries: Vec<EntryView>,
    pub events: Vec<EventView>,
    /// What the saved card would be asked for first, of a preview
    pub card_charges: Vec<String>,
}

impl ChangeView {
    /// Without what is nobody's business outside.
    #[must_use]
    pub fn for_customers(self) -> Self {
        Self { entries: self.entries.into_iter().map(EntryView::for_customers).collect(), ..self }
    }
}

/// Money that came.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct DepositView {
    /// What tells it from every other payment
    pub reference: String,
    #[schema(example = "50.000000")]
    pub amount: String,
    /// It was registered before, and is booked once
    pub known_already: bool,
    /// From when it counts; null until it is in the books
    pub booked_at: Option<String>,
    #[serde(flatten)]
    pub change: ChangeView,
}
