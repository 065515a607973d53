//! An account that was billed elsewhere until now: how it stands when it is brought in.
//!
//! What it had in its wallet and owes comes from the ledger's opening account. A period that was paid before is
//! in the ledger as one of nothing, so that it is never charged again and none behind it is left out (rule 11.4).

use crate::account::{Account, AccountId, Past, Sequences, Standing, SuspendReason};
use crate::basis::Basis;
use crate::changes::{Changes, Progress, TransferKind};
use crate::desk::{Context, Desk, Details};
use crate::invoice::{Invoice, Tries};
use crate::money::{Currency, Micros, OutOfRange};
use crate::prices::{Mode, Order};
use crate::service::{
    Daily, DailyState, Kind, Meter, Server, ServerState, Service, Stage, StopReason, Term, TermState,
};
use crate::time::{DAY, Period, Timestamp};

/// How an account stands at the second of its import; all of it checked by whoever read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    pub name: String,
    pub currency: Currency,
    pub opened_at: Timestamp,
    pub suspended_for: Option<SuspendReason>,
    pub resume_on_deposit: bool,
    pub wallet: Micros,
    pub services: Vec<ArrivingService>,
    /// By issue.
    pub invoices: Vec<ArrivingInvoice>,
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
    /// Until when it is paid or billed: a midnight, the end of a term, or a second of the month.
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
pub fn bring_in(arrival: Arrival, cx: &Context<'_>, now: Timestamp) -> Result<Changes, OutOfRange> {
    let standing = arrival.suspended_for.map_or(Standing::Active, Standing::Suspended);
    let mut desk = Desk::new(opened(&arrival, standing, now), *cx);
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
    book_invoices(&mut desk, at)?;
    for index in 0..desk.account.services.len() {
        bring_in_period(&mut desk, index, at)?;
    }
    // The wallet last: not even a period of nothing stands behind a debt (rule 3.1).
    match wallet.is_negative() {
        true => desk.book(at, TransferKind::DebtBroughtIn, wallet.abs(), Details::default())?,
        false => desk.book(at, TransferKind::BroughtIn, wallet, Details::default())?,
    }
    Ok(desk.into_changes(Progress::Settled))
}

fn opened(arrival: &Arrival, standing: Standing, now: Timestamp) -> Account {
    Account {
        id: AccountId(0),
        name: arrival.name.clone(),
        currency: arrival.currency,
        opened_at: arrival.opened_at,
        version: 0,
        settled_at: now,
        standing,
        verified: true,
        card: None,
        resume_on_deposit: arrival.resume_on_deposit,
        wallet: Micros::ZERO,
        brought_in: Micros::ZERO,
        trial: None,
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
    let ArrivingService { name, created_at, order, mode, months, stopped, ends_with_period, paid_until, anchor } =
        arriving;
    let kind = match mode {
        Mode::Daily => {
            let state = stopped.map_or(DailyState::Enabled, |reason| DailyState::Disabled { reason, at: now });
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
            let state = stopped.map_or(ServerState::Active, |reason| ServerState::Suspended { reason });
            Kind::Server(Box::new(Server { mode, state, billable_from: paid_until, meter: Meter::default() }))
        }
    };
    Service { number, name, created_at, order, kind }
}

/// The term that ends at `until`; none of the anchor's terms may.
pub fn term_until(anchor: Timestamp, months: u32, until: Timestamp) -> Option<Period> {
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
    // No card comes with it: the next try is that of a new one.
    let tries = Tries { made: 0, first_is_due: false, first_failed_at: None, done_until: now, new_card_at: None };
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
fn bring_in_period(desk: &mut Desk<'_>, index: usize, at: Timestamp) -> Result<(), OutOfRange> {
    let number = desk.touch(index);
    let service = &desk.account.services[index];
    let paid = match &service.kind {
        Kind::Daily(daily) => daily.paid,
        Kind::Term(term) => term.paid,
        Kind::Server(server) => return begin_server(desk, index, server.mode, server.billable_from),
    };
    let details = Details {
        service: Some(number),
        period: Some(paid),
        basis: Some(Basis::PaidBefore { period: paid }),
        ..Details::default()
    };
    desk.book(at, TransferKind::Period, Micros::ZERO, details)
}

/// A month that was billed whole has its price as the level for upgrades; else it goes on from where it stopped.
fn begin_server(desk: &mut Desk<'_>, index: usize, mode: Mode, billed_until: Timestamp) -> Result<(), OutOfRange> {
    let month_end = desk.account.invoiced_until.next_month_start();
    if mode == Mode::Hourly || billed_until < month_end {
        return desk.begin_billing(index, billed_until);
    }
    let level = desk.priced(&desk.account.services[index].order, billed_until).price;
    if let Some(server) = desk.account.services[index].server_mut() {
        server.meter.level = level;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use crate::prices::{Plan, PriceBook};

    const NOW: &str = "2026-04-10T08:00:00Z";

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time")
    }

    fn arriving(mode: Mode, created_at: &str, paid_until: &str) -> ArrivingService {
        let (quantities, options) = Default::default();
        ArrivingService {
            name: mode.name().to_owned(),
            created_at: at(created_at),
            order: Order { plan: mode.name().to_owned(), quantities, options },
            mode,
            months: 1,
            stopped: None,
            ends_with_period: false,
            paid_until: at(paid_until),
            anchor: at(created_at),
        }
    }

    /// An account with one service, brought in now and settled to `until`: the second it was brought in at, and
    /// each period with what it was charged.
    fn billed(service: ArrivingService, until: &str) -> (Timestamp, Vec<(Period, Micros)>, Account) {
        let mut prices = PriceBook::default();
        let plan = |mode: Mode| {
            let (components, options) = Default::default();
            let price = Micros::new(3_000_000);
            let plan = Plan { mode, price, currency: None, term_months: 1, components, options, private: false };
            (mode.name().to_owned(), plan)
        };
        prices.lay(Timestamp::BEGINNING, Mode::ALL.map(plan).into()).expect("a list");
        let policy = Policy::default();
        let cx = Context { prices: &prices, policy: &policy, outages: &[] };
        let arrival = Arrival {
            name: "ann".to_owned(),
            currency: Currency::USD,
            opened_at: service.created_at,
            suspended_for: None,
            resume_on_deposit: false,
            wallet: Micros::new(100_000_000),
            services: vec![service],
            invoices: Vec::new(),
        };
        let brought = bring_in(arrival, &cx, at(NOW)).expect("in range");
        let settled = crate::settle(brought.account.clone(), &cx, at(until)).expect("settled");
        let transfers = brought.transfers.iter().chain(&settled.transfers);
        let periods = transfers.filter_map(|one| Some((one.period?, one.amount)));
        let lines = settled.lines.iter().map(|(_, line)| (line.period, line.amount));
        (brought.account.settled_at, periods.chain(lines).collect(), settled.account)
    }

    fn period(from: &str, to: &str) -> Period {
        Period::new(at(from), at(to))
    }

    #[test]
    fn what_was_paid_is_not_charged_again_and_nothing_behind_it_is_left_out() {
        let (midnight, next) = ("2026-04-10T00:00:00Z", "2026-04-11T00:00:00Z");
        let price = Micros::new(3_000_000);
        // Paid ahead: charged from the next midnight on.
        let (settled, periods, _) = billed(arriving(Mode::Daily, "2026-01-01T00:00:00Z", next), next);
        assert_eq!(settled, at(NOW));
        let days = [(period(midnight, next), Micros::ZERO), (period(next, "2026-04-12T00:00:00Z"), price)];
        assert_eq!(periods, days);
        // Paid until this midnight: today is due at once, at its own second.
        let (settled, periods, _) = billed(arriving(Mode::Daily, "2026-01-01T00:00:00Z", midnight), NOW);
        assert_eq!(settled, at(midnight).plus_secs(-1));
        assert_eq!(
            periods,
            [(period("2026-04-09T00:00:00Z", midnight), Micros::ZERO), (period(midnight, next), price)]
        );
        // A term that ended on the 9th is renewed from then, by its anchor.
        let term = arriving(Mode::Term, "2026-01-31T12:00:00Z", "2026-03-31T12:00:00Z");
        let (_, periods, account) = billed(term, NOW);
        assert_eq!(periods[0], (period("2026-02-28T12:00:00Z", "2026-03-31T12:00:00Z"), Micros::ZERO));
        assert_eq!(periods[1], (period("2026-03-31T12:00:00Z", "2026-04-30T12:00:00Z"), price));
        assert_eq!(account.wallet, Micros::new(97_000_000));
    }

    #[test]
    fn a_server_is_billed_from_where_the_old_books_stopped() {
        let first = "2026-05-01T00:00:00Z";
        let may = period(first, "2026-06-01T00:00:00Z");
        let ahead = arriving(Mode::Monthly, "2026-01-01T00:00:00Z", first);
        assert_eq!(billed(ahead, first).1, [(may, Micros::new(3_000_000))]);
        let behind = arriving(Mode::Monthly, "2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z");
        let april = period("2026-04-01T00:00:00Z", first);
        assert_eq!(billed(behind, first).1, [(april, Micros::new(3_000_000)), (may, Micros::new(3_000_000))]);
        let hourly = arriving(Mode::Hourly, "2026-01-01T00:00:00Z", "2026-04-10T00:00:00Z");
        let rest = period("2026-04-10T00:00:00Z", first);
        assert_eq!(billed(hourly, first).1, [(rest, Micros::new(21 * 24 * 3_000_000))]);
    }

    #[test]
    fn a_term_ends_whole_terms_after_its_anchor() {
        let anchor = at("2026-01-31T12:00:00Z");
        for (until, from) in [
            ("2026-02-28T12:00:00Z", Some("2026-01-31T12:00:00Z")),
            ("2026-03-31T12:00:00Z", Some("2026-02-28T12:00:00Z")),
            ("2026-03-30T12:00:00Z", None),
            ("2026-01-31T12:00:00Z", None),
        ] {
            let term = from.map(|from| period(from, until));
            assert_eq!(term_until(anchor, 1, at(until)), term, "{until}");
        }
    }
}
