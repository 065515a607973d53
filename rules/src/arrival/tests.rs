//! What becomes of what is brought in.

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
        covered: false,
        paid_until: at(paid_until),
        anchor: at(created_at),
    }
}

fn arrival(services: Vec<ArrivingService>) -> Arrival {
    Arrival {
        name: "ann".to_owned(),
        currency: Currency::USD,
        opened_at: at("2026-01-01T00:00:00Z"),
        suspended_for: None,
        resume_on_deposit: false,
        trial: None,
        wallet: units(100),
        services,
        invoices: Vec::new(),
    }
}

fn units(whole: i64) -> Micros {
    Micros::new(whole * 1_000_000)
}

/// A plan of each mode, named after it; each costs 3.
fn plans() -> PriceBook {
    let mut prices = PriceBook::default();
    let plan = |mode: Mode| {
        let (components, options) = Default::default();
        let plan = Plan { mode, price: units(3), currency: None, term_months: 1, components, options, private: false };
        (mode.name().to_owned(), plan)
    };
    prices.lay(Timestamp::BEGINNING, Mode::ALL.map(plan).into()).expect("a list");
    prices
}

/// An account, brought in now and settled to `until`: what its arrival and what settling wrote.
fn settled(arrival: Arrival, until: &str) -> (Changes, Changes) {
    let (prices, policy) = (plans(), Policy::default());
    let cx = Context { prices: &prices, policy: &policy, outages: &[] };
    let brought = bring_in(arrival, &cx, at(NOW)).expect("in range");
    let settled = crate::settle(brought.account.clone(), &cx, at(until)).expect("settled");
    (brought, settled)
}

/// An account with one service: the second it was brought in at, and each period with what it was charged.
fn billed(service: ArrivingService, until: &str) -> (Timestamp, Vec<(Period, Micros)>, Account) {
    let (brought, settled) = settled(arrival(vec![service]), until);
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
    assert_eq!(periods, [(period("2026-04-09T00:00:00Z", midnight), Micros::ZERO), (period(midnight, next), price)]);
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

fn open_invoice(issued_at: &str, open: i64, overdue: bool) -> ArrivingInvoice {
    ArrivingInvoice { issued_at: at(issued_at), open: units(open), overdue }
}

fn paid(changes: &Changes) -> Vec<(Timestamp, Option<i64>, Micros)> {
    let paid = changes.transfers.iter().filter(|one| one.kind == TransferKind::InvoicePaidByWallet);
    paid.map(|one| (one.effective_at, one.invoice, one.amount)).collect()
}

#[test]
fn what_a_wallet_holds_pays_open_invoices_at_once_oldest_first() {
    let mut ann = arrival(Vec::new());
    ann.invoices =
        vec![open_invoice("2026-04-04T00:00:00Z", 70, false), open_invoice("2026-04-05T00:00:00Z", 70, false)];
    let (brought, _) = settled(ann, NOW);
    assert_eq!(paid(&brought), [(at(NOW), Some(0), units(70)), (at(NOW), Some(1), units(30))]);
    assert_eq!((brought.account.wallet, brought.account.open_total()), (Micros::ZERO, Ok(units(40))));
    assert_eq!(brought.invoices.len(), 2, "the paid one is written too");
}

#[test]
fn a_suspension_whose_invoices_the_wallet_pays_is_over_at_once() {
    let mut running = arriving(Mode::Daily, "2026-01-01T00:00:00Z", "2026-04-11T00:00:00Z");
    running.stopped = Some(StopReason::Unpaid);
    let mut ann = arrival(vec![running]);
    ann.suspended_for = Some(SuspendReason::Unpaid);
    ann.invoices = vec![open_invoice("2026-03-01T00:00:00Z", 50, true)];
    let (brought, _) = settled(ann, NOW);
    assert_eq!(brought.account.standing, Standing::Active);
    let told: Vec<&str> = brought.events.iter().map(|event| event.kind.name()).collect();
    assert_eq!(told, ["invoice.paid", "account.restored", "service.enabled"]);
    assert_eq!(brought.account.daily_paid_until, at("2026-04-11T00:00:00Z"));
}

/// Whenever its grace ended, nothing is booked before the arrival, and its account is suspended behind it.
#[test]
fn an_invoice_past_its_grace_is_overdue_behind_the_arrival() {
    let mut ann = arrival(vec![arriving(Mode::Daily, "2026-01-01T00:00:00Z", "2026-04-11T00:00:00Z")]);
    ann.invoices = vec![open_invoice("2026-02-01T00:00:00Z", 120, false), open_invoice(NOW, 1, false)];
    let (brought, _) = settled(ann.clone(), NOW);
    assert_eq!((brought.account.settled_at, brought.account.standing), (at(NOW), Standing::Active));
    assert!(brought.transfers.iter().all(|transfer| transfer.effective_at == at(NOW)), "{:?}", brought.transfers);
    let (_, then) = settled(ann.clone(), "2026-04-10T08:00:01Z");
    let told: Vec<_> = then.events.iter().map(|event| (event.kind.name(), event.at)).collect();
    let behind = at(NOW).plus_secs(1);
    let wanted = [("invoice.overdue", behind), ("account.suspended", behind), ("service.disabled", behind)];
    assert_eq!(told, wanted);
    // What the wallet pays is never overdue.
    ann.invoices[0].open = units(90);
    assert_eq!(settled(ann, "2026-04-10T08:00:01Z").1.events, []);
}

#[test]
fn an_invoice_that_was_issued_after_what_is_still_due_is_paid_in_its_turn() {
    let (renewal, issue) = ("2026-04-05T12:00:00Z", "2026-04-06T00:00:00Z");
    let mut ann = arrival(vec![arriving(Mode::Term, "2026-01-05T12:00:00Z", renewal)]);
    ann.invoices = vec![open_invoice(issue, 99, false)];
    let (brought, settled) = settled(ann, NOW);
    assert_eq!(brought.account.settled_at, at(renewal).plus_secs(-1));
    assert_eq!(paid(&brought), []);
    // The term took 3 at its renewal, and the invoice has the rest.
    assert_eq!(paid(&settled), [(at(issue), Some(0), units(97))]);
}

#[test]
fn a_server_of_a_trial_is_billed_from_its_end_and_its_overage_from_now() {
    let end = "2026-04-20T00:00:00Z";
    let mut covered = arriving(Mode::Monthly, "2026-03-20T00:00:00Z", end);
    covered.covered = true;
    let mut ann = arrival(vec![covered, arriving(Mode::Hourly, "2026-03-21T00:00:00Z", end)]);
    ann.trial = Some(ArrivingTrial { ends_at: at(end), traffic_used: Quantity::ZERO });
    let (brought, settled) = settled(ann, "2026-05-01T00:00:00Z");
    assert_eq!(brought.account.settled_at, at(NOW));
    let lines: Vec<_> = settled.lines.iter().map(|(_, line)| (line.service, line.period, line.amount)).collect();
    let (may, cents) = ("2026-05-01T00:00:00Z", |cents: i64| Micros::new(cents * 10_000));
    let expected = [
        // Worth 3 of the 100 that the cover is worth: nothing above it, and the line is left out.
        (0, period(end, may), cents(110)),
        (0, period(may, "2026-06-01T00:00:00Z"), cents(300)),
        (1, period(NOW, end), units(3 * (9 * 24 + 16))),
        (1, period(end, may), units(3 * 11 * 24)),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_month_billed_ahead_is_raised_by_the_prices_that_it_was_billed_at() {
    let may = "2026-05-01T00:00:00Z";
    let (mut prices, policy) = (plans(), Policy::default());
    let mut dear = prices.in_force("monthly", at(NOW), Currency::USD).expect("a plan").clone();
    let mut raised = dear.clone();
    (dear.price, raised.price) = (units(30), units(60));
    let beside: crate::PriceList = [("beside".to_owned(), Plan { price: units(6), ..raised.clone() })].into();
    prices.lay(Timestamp::BEGINNING, beside).expect("a list");
    prices.lay(at(may), [("monthly".to_owned(), dear), ("beside".to_owned(), raised)].into()).expect("a list");
    let cx = Context { prices: &prices, policy: &policy, outages: &[] };
    let ahead = arriving(Mode::Monthly, "2026-01-01T00:00:00Z", may);
    let brought = bring_in(arrival(vec![ahead]), &cx, at(NOW)).expect("in range");
    let change = crate::OrderChange { plan: Some("beside".to_owned()), ..Default::default() };
    let change = crate::Action::Change { service: "monthly".to_owned(), change, confirm_data_loss: false };
    let changed = crate::act(brought.account, &cx, &change, at("2026-04-16T00:00:00Z")).expect("settled");
    let server = changed.account.services[0].server().expect("a server");
    assert_eq!(server.meter.pending[0].amount, Micros::new(1_500_000), "3 more, for half of April");
}

/// Each state that a service can come in, and each that no history leads to.
#[test]
fn only_what_a_history_leads_to_is_brought_in() {
    use StopReason::{Admin, Customer, Fraud, InsufficientFunds, Unpaid};
    let (prices, policy) = (plans(), Policy::default());
    let cx = Context { prices: &prices, policy: &policy, outages: &[] };
    let (over, runs) = ("2026-04-09T00:00:00Z", "2026-04-11T00:00:00Z");
    let (billed, ahead) = ("2026-04-10T00:00:00Z", "2026-05-01T00:00:00Z");
    let times = |mode: Mode| match mode {
        Mode::Daily | Mode::Term => [over, runs],
        Mode::Monthly => [billed, ahead],
        Mode::Hourly => [billed, billed],
    };
    let is_reachable = |suspended: bool, mode: Mode, stopped: Option<StopReason>, is_over: bool| match stopped {
        None => !suspended,
        Some(Customer) => mode == Mode::Daily,
        Some(InsufficientFunds) => !mode.is_server() && is_over,
        Some(_) => suspended || (!mode.is_server() && is_over),
    };
    for suspended in [None, Some(SuspendReason::Fraud)] {
        for mode in Mode::ALL {
            for stopped in [None, Some(Customer), Some(InsufficientFunds), Some(Unpaid), Some(Fraud), Some(Admin)] {
                for paid_until in times(mode) {
                    let created_at = if mode == Mode::Term {
                        format!("2026-01{}", &paid_until[7..])
                    } else {
                        at("2026-01-01T00:00:00Z").to_string()
                    };
                    let service = ArrivingService { stopped, ..arriving(mode, &created_at, paid_until) };
                    let account = Arrival { suspended_for: suspended, ..arrival(Vec::new()) };
                    let fits = account.fits_service(&service, &cx, at(NOW));
                    let wanted = is_reachable(suspended.is_some(), mode, stopped, paid_until == over);
                    assert_eq!(fits.is_ok(), wanted, "{suspended:?} {mode} {stopped:?} {paid_until}: {fits:?}");
                }
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let (prices, policy) = (plans(), Policy::default());
    let cx = Context { prices: &prices, policy: &policy, outages: &[] };
    let jan = "2026-01-31T12:00:00Z";
    let plain = |mode, paid_until| arriving(mode, jan, paid_until);
    let mut cases = vec![
        (plain(Mode::Daily, "2026-04-12T00:00:00Z"), "paid_until"),
        (plain(Mode::Daily, "2026-04-10T01:00:00Z"), "paid_until"),
        (plain(Mode::Term, "2026-04-29T12:00:00Z"), "paid_until"),
        // Two terms ahead, and one before the service was created.
        (plain(Mode::Term, "2026-05-31T12:00:00Z"), "paid_until"),
        (
            ArrivingService { anchor: at("2026-01-30T12:00:00Z"), ..plain(Mode::Term, "2026-02-28T12:00:00Z") },
            "paid_until",
        ),
        // Billed into the month before, into the future, and before it was there.
        (plain(Mode::Monthly, "2026-03-31T23:59:59Z"), "paid_until"),
        (plain(Mode::Hourly, "2026-04-10T08:00:01Z"), "paid_until"),
        (plain(Mode::Hourly, "2026-05-01T00:00:00Z"), "paid_until"),
        (arriving(Mode::Monthly, "2026-04-05T00:00:00Z", "2026-04-01T00:00:00Z"), "paid_until"),
        (ArrivingService { ends_with_period: true, ..plain(Mode::Daily, "2026-04-11T00:00:00Z") }, "ends_with_period"),
        (ArrivingService { ends_with_period: true, ..plain(Mode::Term, "2026-03-31T12:00:00Z") }, "ends_with_period"),
        (ArrivingService { covered: true, ..plain(Mode::Monthly, "2026-05-01T00:00:00Z") }, "covered"),
    ];
    let stopped = Some(StopReason::InsufficientFunds);
    cases.push((ArrivingService { stopped, ..plain(Mode::Term, "2026-03-31T12:00:00Z") }, "paid_until"));
    for (service, key) in cases {
        let misfit = arrival(Vec::new()).fits_service(&service, &cx, at(NOW)).expect_err("a misfit");
        assert_eq!(misfit.key, key, "{service:?}: {misfit}");
    }
    for fits in [plain(Mode::Term, "2026-04-30T12:00:00Z"), plain(Mode::Daily, "2026-02-01T00:00:00Z")] {
        assert_eq!(arrival(Vec::new()).fits_service(&fits, &cx, at(NOW)), Ok(()));
    }
    let other = arrival(vec![plain(Mode::Daily, "2026-04-11T00:00:00Z")]);
    let behind = other.fits_service(&plain(Mode::Daily, "2026-04-10T00:00:00Z"), &cx, at(NOW));
    assert!(behind.expect_err("a misfit").problem.contains("one midnight"));
}

#[test]
fn a_trial_is_one_that_runs() {
    let trial = |ends_at: &str| Some(ArrivingTrial { ends_at: at(ends_at), traffic_used: Quantity::ZERO });
    let account = |ends_at| Arrival { trial: trial(ends_at), ..arrival(Vec::new()) };
    assert_eq!(account("2026-04-11T00:00:00Z").fits(at(NOW)), Ok(()));
    for ends_at in ["2026-04-10T00:00:00Z", "2026-04-11T01:00:00Z"] {
        assert_eq!(account(ends_at).fits(at(NOW)).expect_err(ends_at).key, "trial_ends_at");
    }
    let mut owing = account("2026-04-11T00:00:00Z");
    owing.invoices = vec![open_invoice("2026-04-01T00:00:00Z", 1, false)];
    assert!(owing.fits(at(NOW)).is_err());
    let (prices, policy) = (plans(), Policy::default());
    let cx = Context { prices: &prices, policy: &policy, outages: &[] };
    let end = "2026-04-11T00:00:00Z";
    let server = |covered| ArrivingService { covered, ..arriving(Mode::Monthly, "2026-04-01T00:00:00Z", end) };
    let mut ann = account(end);
    assert_eq!(ann.fits_service(&server(true), &cx, at(NOW)), Ok(()));
    ann.services.push(server(true));
    assert_eq!(ann.fits_service(&server(true), &cx, at(NOW)).expect_err("two").key, "covered");
    let elsewhere = arriving(Mode::Monthly, "2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z");
    assert_eq!(ann.fits_service(&elsewhere, &cx, at(NOW)).expect_err("in the trial").key, "paid_until");
}
