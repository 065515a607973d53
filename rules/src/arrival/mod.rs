//! An account that was billed elsewhere until now: how it stands when it is brought in.
//!
//! What it had in its wallet and owes comes from the ledger's opening account. A period that was paid before is
//! in the ledger as one of nothing, so that it is never charged again and none behind it is left out (rule 11.4).

mod misfit;

use crate::account::{Account, AccountId, Past, Sequences, Standing, SuspendReason, Trial};
use crate::basis::Basis;
use crate::changes::{Changes, Progress, TransferKind};
use crate::desk::{Context, Desk, Details, Unsettleable};
use crate::invoice::{Invoice, Tries};
use crate::money::{Currency, Micros, OutOfRange, Price, Quantity};
use crate::prices::{Mode, Order, Unpriced};
use crate::service::{
    Daily, DailyState, Kind, Meter, Server, ServerState, Service, Stage, StopReason, Term, TermState,
};
use crate::time::{DAY, Period, Timestamp};

pub use misfit::Misfit;

/// How an account stands at the second of its import; all of it checked by whoever read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    pub name: String,
    pub currency: Currency,
    pub opened_at: Timestamp,
    pub suspended_for: Option<SuspendReason>,
    pub resume_on_deposit: bool,
    /// Of an account in its trial.
    pub trial: Option<ArrivingTrial>,
    pub wallet: Micros,
    pub services: Vec<ArrivingService>,
    /// By issue.
    pub invoices: Vec<ArrivingInvoice>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArrivingTrial {
    pub ends_at: Timestamp,
    /// What of it was above the allowance was charged elsewhere.
    pub traffic_used: Quantity,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArrivingService {
    pub name: String,
    pub created_at: Timestamp,
    pub order: Order,
    pub mode: Mode,
    pub months: u32,
    /// None while it runs.
    pub stopped: Option<StopReason>,
    /// Of a term service that is cancelled for its period's end.
    pub ends_with_period: bool,
    /// Of the server that has the trial's cover.
    pub covered: bool,
    /// Until when it is paid or billed: a midnight, the end of a term, a second of the month, or the trial's end.
    pub paid_until: Timestamp,
    /// The start of a term service's first term.
    pub anchor: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArrivingInvoice {
    pub issued_at: Timestamp,
    /// What is still to pay: what was paid elsewhere is in the old books.
    pub open: Micros,
    pub overdue: bool,
}

/// Brings an account in at `now`. It is settled to then, or to right before what was due earlier and is not done.
/// What its wallet holds pays its open invoices at once (rule 6.9).
pub fn bring_in(arrival: Arrival, cx: &Context<'_>, now: Timestamp) -> Result<Changes, Unsettleable> {
    let mut desk = Desk::new(opened(&arrival, now), *cx);
    let Arrival { wallet, services, invoices, .. } = arrival;
    for (number, arriving) in (0..).zip(services) {
        let service = service(number, arriving, now);
        desk.account.next.service = number + 1;
        let index = desk.account.services.partition_point(|other| other.rank() < service.rank());
        desk.account.services.insert(index, service);
    }
    let enabled = |kind: &Kind| match kind {
        Kind::Daily(daily) => Some(daily.paid.to).filter(|_| daily.state == DailyState::Enabled),
        Kind::Term(_) | Kind::Server(_) => None,
    };
    let paid_until = desk.account.services.iter().filter_map(|service| enabled(&service.kind)).max();
    desk.account.daily_paid_until = paid_until.unwrap_or(now);
    for (number, arriving) in (0..).zip(&invoices) {
        desk.account.next.invoice = number + 1;
        desk.account.invoices.push(invoice(number, arriving, now));
    }
    let due = crate::settle::next(&desk.account, cx).filter(|due| *due <= now);
    desk.account.settled_at = due.map_or(now, |due| due.plus_secs(-1));
    let at = desk.account.settled_at;
    // Issued after what is still to be done: its turn comes at its own second.
    for invoice in desk.account.invoices.iter_mut().filter(|invoice| invoice.issued_at > at) {
        invoice.tries.first_is_due = true;
    }
    book_invoices(&mut desk, at)?;
    for index in 0..desk.account.services.len() {
        bring_in_period(&mut desk, index, at, now)?;
    }
    // The wallet last: not even a period of nothing stands behind a debt (rule 3.1).
    match wallet.is_negative() {
        true => desk.book(at, TransferKind::DebtBroughtIn, wallet.abs(), Details::default())?,
        false => desk.book(at, TransferKind::BroughtIn, wallet, Details::default())?,
    }
    desk.pay_open_invoices(at)?;
    Ok(desk.into_changes(Progress::Settled))
}

fn opened(arrival: &Arrival, now: Timestamp) -> Account {
    let trial = arrival.trial.map(|trial| Trial {
        ends_at: trial.ends_at,
        ended: false,
        traffic_used: trial.traffic_used,
        traffic_cost: Price::ZERO,
        traffic_charged: Micros::ZERO,
        traffic_due_after: now,
    });
    Account {
        id: AccountId(0),
        name: arrival.name.clone(),
        currency: arrival.currency,
        opened_at: arrival.opened_at,
        version: 0,
        settled_at: now,
        standing: arrival.suspended_for.map_or(Standing::Active, Standing::Suspended),
        verified: true,
        card: None,
        resume_on_deposit: arrival.resume_on_deposit,
        wallet: Micros::ZERO,
        brought_in: Micros::ZERO,
        trial,
        daily_paid_until: now,
        // The invoice of this month is the old books'.
        invoiced_until: now.month_start(),
        next: Sequences::default(),
        waiting: None,
        services: Vec::new(),
        invoices: Vec::new(),
        intents: Vec::new(),
        receipts: Vec::new(),
        past: Past::default(),
    }
}

fn service(number: i64, arriving: ArrivingService, now: Timestamp) -> Service {
    let ArrivingService { mode, stopped, ends_with_period, paid_until, anchor, .. } = arriving;
    let (name, created_at, order, months) = (arriving.name, arriving.created_at, arriving.order, arriving.months);
    let kind = match mode {
        Mode::Daily => {
            // For want of funds it stopped at the midnight that it couldn't pay; of others the second is not known.
            let disabled = |reason| {
                let at = if reason == StopReason::InsufficientFunds { paid_until } else { now };
                DailyState::Disabled { reason, at }
            };
            let state = stopped.map_or(DailyState::Enabled, disabled);
            let paid = Period::new(created_at.max(paid_until.plus_secs(-DAY)), paid_until);
            Kind::Daily(Daily { state, paid })
        }
        Mode::Term => {
            let paid = last_term(anchor, months, paid_until);
            let state = match stopped {
                None => TermState::Active { ends_with_period },
                Some(reason) if paid_until > now => {
                    TermState::Suspended { reason, stage: Stage::Paid { ends_with_period } }
                }
                Some(reason) => TermState::Suspended { reason, stage: Stage::Retention },
            };
            Kind::Term(Term { months, anchor, paid, state })
        }
        Mode::Monthly | Mode::Hourly => {
            let meter = Meter { covered: arriving.covered, ..Meter::default() };
            let state = stopped.map_or(ServerState::Active, |reason| ServerState::Suspended { reason });
            Kind::Server(Box::new(Server { mode, state, billable_from: paid_until, meter }))
        }
    };
    Service { number, name, created_at, order, kind }
}

/// The term that ends at `until`; none of the anchor's terms may.
fn term_until(anchor: Timestamp, months: u32, until: Timestamp) -> Option<Period> {
    let start = |index: u32| anchor.plus_months(index * months);
    let mut index = 0;
    while start(index + 1) < until {
        index += 1;
    }
    let term = Period::new(start(index), start(index + 1));
    (term.to == until).then_some(term)
}

fn last_term(anchor: Timestamp, months: u32, until: Timestamp) -> Period {
    term_until(anchor, months, until).unwrap_or(Period::new(anchor.min(until), until))
}

fn invoice(number: i64, arriving: &ArrivingInvoice, now: Timestamp) -> Invoice {
    let ArrivingInvoice { issued_at, open, overdue } = *arriving;
    // No card comes with it: the next try is that of a new one. Past its grace it is overdue behind the arrival, when
    // the wallet has paid what it can.
    let done_until = now.plus_secs(1);
    let tries = Tries { made: 0, first_is_due: false, first_failed_at: None, done_until, new_card_at: None };
    Invoice {
        number,
        issued_at,
        total: open,
        paid: Micros::ZERO,
        credited: Micros::ZERO,
        written_off: Micros::ZERO,
        paid_at: None,
        credited_at: None,
        overdue,
        tries,
    }
}

fn book_invoices(desk: &mut Desk<'_>, at: Timestamp) -> Result<(), OutOfRange> {
    for index in 0..desk.account.invoices.len() {
        let (number, open) = (desk.account.invoices[index].number, desk.account.invoices[index].total);
        let details = Details { invoice: Some(number), ..Details::default() };
        desk.book(at, TransferKind::InvoiceBroughtIn, open, details)?;
        desk.touch_invoice(number);
    }
    Ok(())
}

/// What was paid is booked as a period of nothing; what of this month was not billed begins to be.
fn bring_in_period(desk: &mut Desk<'_>, index: usize, at: Timestamp, now: Timestamp) -> Result<(), Unsettleable> {
    let number = desk.touch(index);
    let service = &desk.account.services[index];
    let paid = match &service.kind {
        Kind::Daily(daily) => daily.paid,
        Kind::Term(term) => term.paid,
        Kind::Server(_) if desk.account.trial.is_some() => {
            return Ok(begin_in_trial(desk, index, now)?);
        }
        Kind::Server(server) => return begin_server(desk, index, server.mode, server.billable_from),
    };
    let details = Details {
        service: Some(number),
        period: Some(paid),
        basis: Some(Basis::PaidBefore { period: paid }),
        ..Details::default()
    };
    Ok(desk.book(at, TransferKind::Period, Micros::ZERO, details)?)
}

/// A month that was billed whole has its price as the level for upgrades; else it goes on from where it stopped.
fn begin_server(desk: &mut Desk<'_>, index: usize, mode: Mode, billed_until: Timestamp) -> Result<(), Unsettleable> {
    let month_end = desk.account.invoiced_until.next_month_start();
    if mode == Mode::Hourly || billed_until < month_end {
        return desk.begin_billing(index, billed_until);
    }
    let service = &desk.account.services[index];
    let month_priced_at = service.created_at.max(desk.account.invoiced_until);
    let level = desk.priced(&service.order, month_priced_at)?.price;
    if let Some(server) = desk.account.services[index].server_mut() {
        server.meter.level = level;
    }
    Ok(())
}

/// Overage is measured from now on. What was charged for it elsewhere is in the wallet, so that none of it is new.
fn begin_in_trial(desk: &mut Desk<'_>, index: usize, now: Timestamp) -> Result<(), Unpriced> {
    let service = &desk.account.services[index];
    let charged = desk.overage_of(service, &service.order, now)?;
    if let Some(server) = desk.account.services[index].server_mut() {
        server.meter.overage_charged = charged;
        server.meter.measured_since = Some(now);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
