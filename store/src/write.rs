//! The rows that a batch of decisions writes: for each table one multi-row statement in a few sizes.

use std::collections::BTreeMap;

use rules::{
    AccountId, Buyer, CreditNote, Event, Intent, Invoice, InvoiceNumber, Line, Period, Reissue, Service, Timestamp,
    Transfer,
};
use serde::Serialize;

use crate::accounts::standing_names;
use crate::commit::{Commit, Stamp};
use crate::due::daily_due;
use crate::past::BUYER_KEYS;
use crate::service_row::StateColumns;
use crate::sql::Work;
use crate::{Result, StoreError};

/// Something of an account, with what of it is stored as JSON.
pub struct Of<'a, T> {
    pub account: AccountId,
    pub what: &'a T,
}

pub fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Driver(sqlx::Error::Encode(error.into())))
}

/// Each row beside what of it is stored as JSON.
fn beside<'a, T, J: Serialize + 'a>(rows: &'a [T], of: impl Fn(&'a T) -> &'a J) -> Result<Vec<(&'a T, String)>> {
    rows.iter().map(|row| Ok((row, json(of(row))?))).collect()
}

/// Writes the accounts as they become, if nobody moved them since they were read.
pub async fn accounts(work: &mut Work<'_>, commits: &[&Commit]) -> Result<()> {
    let mut rows = Vec::with_capacity(commits.len());
    for commit in commits {
        let account = &commit.changes.account;
        rows.push((account, account.waiting.as_ref().map(json).transpose()?, daily_due(&commit.due)));
    }
    let head = "update accounts set version = accounts.version + 1, settled_at = v.column3, state = v.column4,
        suspended_for = v.column5, verified = v.column6, card = v.column7, resume_on_deposit = v.column8,
        wallet = v.column9, brought_in = v.column10, trial_ends_at = v.column11, trial_ended = v.column12,
        trial_traffic_used = v.column13, trial_traffic_cost = v.column14, trial_traffic_charged = v.column15,
        trial_traffic_due_after = v.column16, daily_paid_until = v.column17, invoiced_until = v.column18,
        next_transfer = v.column19, next_event = v.column20, next_service = v.column21, next_invoice = v.column22,
        next_charge = v.column23, waiting = v.column24, daily_due_at = v.column25
        from (";
    let tail = ") as v where accounts.id = v.column1 and accounts.version = v.column2";
    let written = work
        .values(
            head,
            &rows,
            |cells, (account, waiting, daily_due)| {
                let (state, suspended_for) = standing_names(account.standing);
                let trial = account.trial.as_ref();
                cells
                    .push_bind(account.id.0)
                    .push_bind(account.version)
                    .push_bind(account.settled_at.secs())
                    .push_bind(state)
                    .push_bind(suspended_for)
                    .push_bind(account.verified)
                    .push_bind(account.card.as_deref())
                    .push_bind(account.resume_on_deposit)
                    .push_bind(account.wallet.get())
                    .push_bind(account.brought_in.get())
                    .push_bind(trial.map(|trial| trial.ends_at.secs()))
                    .push_bind(trial.map(|trial| trial.ended))
                    .push_bind(trial.map(|trial| trial.traffic_used.get()))
                    .push_bind(trial.map(|trial| trial.traffic_cost.pico().to_string()))
                    .push_bind(trial.map(|trial| trial.traffic_charged.get()))
                    .push_bind(trial.map(|trial| trial.traffic_due_after.secs()))
                    .push_bind(account.daily_paid_until.secs())
                    .push_bind(account.invoiced_until.secs())
                    .push_bind(account.next.transfer)
                    .push_bind(account.next.event)
                    .push_bind(account.next.service)
                    .push_bind(account.next.invoice)
                    .push_bind(account.next.charge)
                    .push_bind(waiting.as_deref())
                    .push_bind(daily_due.map(Timestamp::secs));
            },
            tail,
        )
        .await?;
    all_written(written, rows.len(), "account_version")
}

/// Writes services that were created or changed; `finished` says that time alone moves them no more.
pub async fn services(work: &mut Work<'_>, services: &[(Of<'_, Service>, bool)]) -> Result<()> {
    let mut rows = Vec::with_capacity(services.len());
    for (of, finished) in services {
        let service = of.what;
        let meter = service.server().map(|server| json(&server.meter)).transpose()?;
        rows.push((of, finished, json(&service.order.quantities)?, json(&service.order.options)?, meter));
    }
    let head = "insert into services (account_id, number, name, created_at, plan, quantities, options, mode, state,
        reason, stopped_at, paid_from, paid_to, term_months, anchor, ends_with_period, stage, billable_from, meter,
        finished) ";
    let tail = " on conflict (account_id, number) do update set plan = excluded.plan,
        quantities = excluded.quantities, options = excluded.options, state = excluded.state,
        reason = excluded.reason, stopped_at = excluded.stopped_at, paid_from = excluded.paid_from,
        paid_to = excluded.paid_to, ends_with_period = excluded.ends_with_period, stage = excluded.stage,
        billable_from = excluded.billable_from, meter = excluded.meter, finished = excluded.finished";
    work.values(
        head,
        &rows,
        |cells, (of, finished, quantities, options, meter)| {
            let service = of.what;
            let state = StateColumns::of(&service.kind);
            cells
                .push_bind(of.account.0)
                .push_bind(service.number)
                .push_bind(&service.name)
                .push_bind(service.created_at.secs())
                .push_bind(&service.order.plan)
                .push_bind(quantities)
                .push_bind(options)
                .push_bind(service.mode().name())
                .push_bind(state.state)
                .push_bind(state.reason.map(rules::StopReason::name))
                .push_bind(state.stopped_at.map(Timestamp::secs))
                .push_bind(state.paid.map(|paid| paid.from.secs()))
                .push_bind(state.paid.map(|paid| paid.to.secs()))
                .push_bind(state.term_months.map(i64::from))
                .push_bind(state.anchor.map(Timestamp::secs))
                .push_bind(state.ends_with_period)
                .push_bind(state.stage)
                .push_bind(service.server().map(|server| server.billable_from.secs()))
                .push_bind(meter.as_deref())
                .push_bind(**finished);
        },
        tail,
    )
    .await?;
    Ok(())
}

/// Writes invoices that were issued, with what they are issued anew of, or paid, credited or written off; the
/// database refuses to change what was issued. New ones say of their `buyers` what is known of them now; without
/// buyers they were issued elsewhere.
pub async fn invoices(
    work: &mut Work<'_>,
    invoices: &[(Of<'_, Invoice>, Option<&Reissue>)],
    buyers: Option<&BTreeMap<AccountId, String>>,
    stamp: Stamp,
) -> Result<()> {
    let mut rows = Vec::with_capacity(invoices.len());
    for (of, reissue) in invoices {
        let corrected = reissue.map(|reissue| json(&reissue.buyer)).transpose()?;
        let buyer = buyers.and_then(|buyers| buyers.get(&of.account));
        rows.push((of, reissue, corrected.or_else(|| buyer.cloned())));
    }
    let head = "insert into invoices (account_id, number, issued_at, recorded_at, total, paid, credited, written_off,
        paid_at, credited_at, overdue, tries_made, first_try_due, first_failed_at, tries_done_until, new_card_at,
        reissues, reissue, buyer, brought_in) ";
    // `total` is written again so that a changed one is refused, not ignored.
    let tail = " on conflict (account_id, number) do update set issued_at = excluded.issued_at,
        total = excluded.total, paid = excluded.paid, credited = excluded.credited,
        written_off = excluded.written_off, paid_at = excluded.paid_at, credited_at = excluded.credited_at,
        overdue = excluded.overdue, tries_made = excluded.tries_made, first_try_due = excluded.first_try_due,
        first_failed_at = excluded.first_failed_at, tries_done_until = excluded.tries_done_until,
        new_card_at = excluded.new_card_at";
    work.values(
        head,
        &rows,
        |cells, (of, reissue, buyer)| {
            let (invoice, tries) = (of.what, &of.what.tries);
            cells
                .push_bind(of.account.0)
                .push_bind(invoice.number)
                .push_bind(invoice.issued_at.secs())
                .push_bind(stamp.recorded_at.secs())
                .push_bind(invoice.total.get())
                .push_bind(invoice.paid.get())
                .push_bind(invoice.credited.get())
                .push_bind(invoice.written_off.get())
                .push_bind(invoice.paid_at.map(Timestamp::secs))
                .push_bind(invoice.credited_at.map(Timestamp::secs))
                .push_bind(invoice.overdue)
                .push_bind(i64::from(tries.made))
                .push_bind(tries.first_is_due)
                .push_bind(tries.first_failed_at.map(Timestamp::secs))
                .push_bind(tries.done_until.secs())
                .push_bind(tries.new_card_at.map(Timestamp::secs))
                .push_bind(reissue.map(|reissue| reissue.of))
                .push_bind(reissue.map_or(0, |reissue| i64::from(reissue.times)))
                .push_bind(buyer.as_deref())
                .push_bind(buyers.is_none());
        },
        tail,
    )
    .await?;
    Ok(())
}

/// What an invoice issued anew says of its buyer is so for invoices to come as well (rule 9.6).
pub async fn buyers(work: &mut Work<'_>, rows: &[Of<'_, Buyer>]) -> Result<()> {
    let head = "insert into account_details (account_id, email, person, address, company, tax_id) ";
    let tail = " on conflict (account_id) do update set email = excluded.email, person = excluded.person,
        address = excluded.address, company = excluded.company, tax_id = excluded.tax_id";
    work.values(
        head,
        rows,
        |cells, of| {
            cells.push_bind(of.account.0);
            for key in BUYER_KEYS {
                cells.push_bind(of.what.get(key).map(String::as_str));
            }
        },
        tail,
    )
    .await?;
    Ok(())
}

pub async fn credit_notes(work: &mut Work<'_>, rows: &[Of<'_, CreditNote>], stamp: Stamp) -> Result<()> {
    let columns = "account_id, invoice, issued_at, recorded_at, total, author, reason";
    work.insert("credit_notes", columns, rows, |cells, of| {
        let note = of.what;
        cells
            .push_bind(of.account.0)
            .push_bind(note.invoice)
            .push_bind(note.issued_at.secs())
            .push_bind(stamp.recorded_at.secs())
            .push_bind(note.total.get())
            .push_bind(&note.author)
            .push_bind(&note.reason);
    })
    .await
}

/// A line with its invoice and its place on it.
pub struct PlacedLine<'a> {
    pub account: AccountId,
    pub invoice: InvoiceNumber,
    pub position: i64,
    /// How often it was issued anew.
    pub reissue: u32,
    pub line: &'a Line,
}

/// What of a period lies in closed months, the last of which ends at `open_from`, is earned from there on.
fn earned_from(period: Period, open_from: Option<Timestamp>) -> Option<i64> {
    open_from.filter(|open_from| period.from < *open_from).map(Timestamp::secs)
}

pub async fn lines(work: &mut Work<'_>, lines: &[PlacedLine<'_>], open_from: Option<Timestamp>) -> Result<()> {
    let rows = beside(lines, |placed| &placed.line.basis)?;
    let columns = "account_id, invoice, position, service, kind, period_from, period_to,
        amount, basis, reissue, earned_from";
    work.insert("invoice_lines", columns, &rows, |cells, (placed, basis)| {
        let line = placed.line;
        cells
            .push_bind(placed.account.0)
            .push_bind(placed.invoice)
            .push_bind(placed.position)
            .push_bind(line.service)
            .push_bind(line.kind.name())
            .push_bind(line.period.from.secs())
            .push_bind(line.period.to.secs())
            .push_bind(line.amount.get())
            .push_bind(basis)
            .push_bind(i64::from(placed.reissue))
            .push_bind(earned_from(line.period, open_from));
    })
    .await
}

/// Books the transfers, in the currency of their account.
pub async fn transfers(
    work: &mut Work<'_>,
    transfers: &[(Of<'_, Transfer>, &str)],
    open_from: Option<Timestamp>,
    stamp: Stamp,
) -> Result<()> {
    let mut rows = Vec::with_capacity(transfers.len());
    for (of, currency) in transfers {
        rows.push((of, *currency, of.what.basis.as_ref().map(json).transpose()?));
    }
    let columns = "account_id, number, kind, debit, credit, currency, amount, effective_at,
        recorded_at, service, invoice, period_from, period_to, basis, run_id, author, reason, corrects,
        earned_from";
    work.insert("transfers", columns, &rows, |cells, (of, currency, basis)| {
        let transfer = of.what;
        let (debit, credit) = transfer.kind.posting();
        cells
            .push_bind(of.account.0)
            .push_bind(transfer.number)
            .push_bind(transfer.kind.name())
            .push_bind(debit.name())
            .push_bind(credit.name())
            .push_bind(*currency)
            .push_bind(transfer.amount.get())
            .push_bind(transfer.effective_at.secs())
            .push_bind(stamp.recorded_at.secs())
            .push_bind(transfer.service)
            .push_bind(transfer.invoice)
            .push_bind(transfer.period.map(|period| period.from.secs()))
            .push_bind(transfer.period.map(|period| period.to.secs()))
            .push_bind(basis.as_deref())
            .push_bind(stamp.run.map(|run| run.0))
            .push_bind(transfer.author.as_deref())
            .push_bind(transfer.reason.as_deref())
            .push_bind(transfer.corrects)
            .push_bind(transfer.period.and_then(|period| earned_from(period, open_from)));
    })
    .await
}

pub async fn events(work: &mut Work<'_>, rows: &[Of<'_, Event>], stamp: Stamp) -> Result<()> {
    let columns = "account_id, number, at, recorded_at, kind, reason, service, invoice";
    work.insert("events", columns, rows, |cells, of| {
        let event = of.what;
        cells
            .push_bind(of.account.0)
            .push_bind(event.number)
            .push_bind(event.at.secs())
            .push_bind(stamp.recorded_at.secs())
            .push_bind(event.kind.name())
            .push_bind(event.kind.reason().map(rules::StopReason::name))
            .push_bind(event.service)
            .push_bind(event.invoice);
    })
    .await
}

/// Writes charges to ask a card for: before anybody is called.
pub async fn intents(work: &mut Work<'_>, intents: &[Of<'_, Intent>], stamp: Stamp) -> Result<()> {
    let rows = beside(intents, |of| &of.what.purpose)?;
    let columns = "account_id, key, purpose, card, amount, due_at, recorded_at";
    work.insert("intents", columns, &rows, |cells, (of, purpose)| {
        let intent = of.what;
        cells
            .push_bind(of.account.0)
            .push_bind(&intent.key)
            .push_bind(purpose)
            .push_bind(&intent.card)
            .push_bind(intent.amount.get())
            .push_bind(intent.due_at.secs())
            .push_bind(stamp.recorded_at.secs());
    })
    .await
}

/// Every row that a decision read must be as it was read.
pub fn all_written(written: u64, wanted: usize, name: &str) -> Result<()> {
    if u64::try_from(wanted).is_ok_and(|wanted| wanted == written) {
        return Ok(());
    }
    Err(StoreError::Constraint { name: name.to_owned() })
}
