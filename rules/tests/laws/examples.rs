//! The rule book's worked examples, and its corners, as tables.

use rules::{
    Action, Answer, CancelWhen, LineKind, Mode, NewAccount, Outage, Plan, PriceList, ReceiptKind, Refusal, Rest,
    Standing, SuspendReason, Timestamp,
};

use crate::invariants;
use crate::world::{
    Books, Cards, World, account, adjust, at, cancel, change_plan, component, create, disable, enable, extend,
    in_currency, in_trial, list, micros, plan, set_quantity, usage, with_card,
};

/// A second, what is done at it, and the wallet after it or why it was refused.
type Step = (&'static str, Do, &'static str);

enum Do {
    Act(Action),
    Deposit(&'static str),
    Dispute(&'static str),
    Settle,
}

use Do::{Act, Deposit, Dispute, Settle};

struct Case {
    world: World,
    books: Books,
}

impl Case {
    fn new(plans: PriceList, new: NewAccount, opened: &str) -> Self {
        let world = World::new(plans);
        let books = world.open(new, at(opened));
        Self { world, books }
    }

    fn walk(&mut self, steps: impl IntoIterator<Item = Step>) {
        for (when, what, expected) in steps {
            let refused = self.step(at(when), what);
            let after = refused.map_or_else(|| self.books.wallet().to_string(), |refusal| refusal.name().to_owned());
            assert_eq!(after, expected, "at {when}");
        }
        invariants::hold(&self.world, &self.books);
    }

    fn step(&mut self, now: Timestamp, what: Do) -> Option<Refusal> {
        let action = match what {
            Act(action) => Some(action),
            Deposit(amount) => {
                self.books.receive(ReceiptKind::Deposit, micros(amount), now);
                None
            }
            Dispute(amount) => {
                self.books.receive(ReceiptKind::Dispute, micros(amount), now);
                None
            }
            Settle => None,
        };
        match action {
            Some(action) => {
                let acted = self.world.act(&mut self.books, &action, now).expect("settleable");
                acted.expect("an answer").err()
            }
            None => {
                self.world.settle(&mut self.books, now).expect("settleable");
                None
            }
        }
    }

    /// Kind, from, to and amount of each line of the invoice issued at `when`; none if there is none.
    fn lines(&self, when: &str) -> Vec<(LineKind, String, String, String)> {
        let currency = self.books.account().currency;
        let issued = self.books.invoices.values().find(|invoice| invoice.issued_at == at(when));
        let lines = self.books.lines.iter().filter(|(number, _)| issued.is_some_and(|found| found.number == *number));
        lines
            .map(|(_, line)| {
                let (from, to) = (line.period.from.to_string(), line.period.to.to_string());
                (line.kind, from, to, line.amount.in_minor(currency))
            })
            .collect()
    }

    fn has_lines(&self, when: &str, expected: &[(LineKind, &str, &str, &str)]) {
        let lines = self.lines(when);
        let found: Vec<(LineKind, &str, &str, &str)> =
            lines.iter().map(|(kind, from, to, amount)| (*kind, &**from, &**to, &**amount)).collect();
        assert_eq!(found, expected, "the invoice at {when}");
    }

    /// Names of the events, with their seconds.
    fn events(&self) -> Vec<(String, &'static str)> {
        self.books.events.iter().map(|event| (event.at.to_string(), event.kind.name())).collect()
    }
}

fn funded(plans: PriceList, amount: &'static str) -> Case {
    let mut case = Case::new(plans, account("ann"), "2027-01-01T00:00:00Z");
    case.step(at("2027-01-01T00:00:00Z"), Act(adjust(amount)));
    case
}

// Section 4: daily instances.

fn daily() -> PriceList {
    let mut dms = plan(Mode::Daily, "2.40");
    dms.components.insert("cpe".to_owned(), component("100", "0.01"));
    dms.options.insert("tr369".to_owned(), micros("0.50"));
    list([("240", dms), ("480", plan(Mode::Daily, "4.80")), ("120", plan(Mode::Daily, "1.20"))])
}

#[test]
fn a_friday_of_a_daily_instance() {
    funded(daily(), "10").walk([
        ("2027-01-01T08:00:00Z", Act(create("dms", "240")), "8.400000"),
        ("2027-01-01T20:00:00Z", Act(change_plan("dms", "480")), "8.000000"),
        ("2027-01-01T22:00:00Z", Act(change_plan("dms", "120")), "8.300000"),
        ("2027-01-01T23:59:59Z", Settle, "8.300000"),
        ("2027-01-02T00:00:00Z", Settle, "7.100000"),
    ]);
}

#[test]
fn the_first_day_costs_its_seconds() {
    for (price, created, rest) in [
        ("2.40", "00:00:00", "7.600000"),
        ("2.40", "00:00:01", "7.600028"),
        ("2.40", "23:59:59", "9.999972"),
        ("0.04", "23:59:59", "10.000000"),
        ("1.000001", "12:00:00", "9.499999"),
        ("10", "00:00:00", "0.000000"),
        ("10.000001", "00:00:00", "insufficient_funds"),
        ("20", "12:00:00", "0.000000"),
        ("0", "12:00:00", "10.000000"),
    ] {
        let mut case = funded(list([("day", plan(Mode::Daily, price))]), "10");
        let created = at(&format!("2027-01-01T{created}Z"));
        let refused = case.step(created, Act(create("dms", "day")));
        let after = refused.map_or_else(|| case.books.wallet().to_string(), |refusal| refusal.name().to_owned());
        assert_eq!(after, rest, "{price} from {created}");
    }
}

#[test]
fn components_and_options_are_part_of_the_price() {
    let mut case = funded(daily(), "10");
    let with = |cpe: &str| Action::CreateService {
        service: format!("with-{cpe}"),
        plan: "240".to_owned(),
        quantities: [("cpe".to_owned(), micros(cpe))].into(),
        options: ["tr369".to_owned()].into(),
    };
    case.walk([
        ("2027-01-01T12:00:00Z", Act(with("250")), "7.800000"),
        ("2027-01-01T12:00:00Z", Act(with("100")), "6.350000"),
        ("2027-01-01T18:00:00Z", Act(set_quantity("with-250", "cpe", "50")), "6.725000"),
        ("2027-01-01T18:00:00Z", Act(set_quantity("with-250", "none", "50")), "not_found"),
    ]);
}

#[test]
fn a_paid_day_may_be_left_and_entered_as_often_as_wanted() {
    funded(daily(), "10").walk([
        ("2027-01-01T12:00:00Z", Act(create("dms", "240")), "8.800000"),
        ("2027-01-01T13:00:00Z", Act(disable("dms")), "8.800000"),
        ("2027-01-01T13:00:00Z", Act(disable("dms")), "invalid_state"),
        ("2027-01-01T14:00:00Z", Act(enable("dms")), "8.800000"),
        ("2027-01-01T14:00:00Z", Act(enable("dms")), "invalid_state"),
        ("2027-01-01T15:00:00Z", Act(disable("dms")), "8.800000"),
        // A change within the paid day, though it is disabled.
        ("2027-01-01T18:00:00Z", Act(change_plan("dms", "480")), "8.200000"),
        // Outside a paid period a change moves nothing, and enabling pays the rest of the day.
        ("2027-01-02T06:00:00Z", Act(change_plan("dms", "120")), "8.200000"),
        ("2027-01-02T18:00:00Z", Act(enable("dms")), "7.900000"),
        ("2027-01-03T00:00:00Z", Settle, "6.700000"),
        // Also of a day that a midnight paid.
        ("2027-01-03T08:00:00Z", Act(disable("dms")), "6.700000"),
        ("2027-01-03T23:59:59Z", Act(enable("dms")), "6.700000"),
        ("2027-01-04T00:00:00Z", Act(disable("dms")), "5.500000"),
        ("2027-01-04T00:00:00Z", Act(enable("dms")), "5.500000"),
    ]);
}

#[test]
fn what_is_due_at_midnight_comes_before_an_action_at_midnight() {
    for (disabled, rest) in [("2027-01-01T23:59:59Z", "7.600000"), ("2027-01-02T00:00:00Z", "5.200000")] {
        let mut case = funded(daily(), "10");
        case.step(at("2027-01-01T00:00:00Z"), Act(create("dms", "240")));
        case.step(at(disabled), Act(disable("dms")));
        case.step(at("2027-01-05T00:00:00Z"), Settle);
        assert_eq!(case.books.wallet().to_string(), rest, "disabled at {disabled}");
    }
}

/// Whole or not at all, in the order (created_at, id), the next one all the same (rule 4.2).
#[test]
fn a_midnight_charges_what_the_wallet_covers_whole() {
    let mut case = funded(daily(), "20");
    case.walk([
        ("2027-01-01T00:00:00Z", Act(create("b", "120")), "18.800000"),
        ("2027-01-01T00:00:00Z", Act(create("a", "480")), "14.000000"),
        ("2027-01-01T00:00:01Z", Act(create("0", "120")), "12.800014"),
        ("2027-01-01T00:00:01Z", Act(adjust("-9")), "3.800014"),
        // `a` is first and can't be paid; `b` and `0` can.
        ("2027-01-02T00:00:00Z", Settle, "1.400014"),
        // Three midnights missed: `b` alone is paid at the first of them.
        ("2027-01-05T09:00:00Z", Settle, "0.200014"),
    ]);
    let disabled: Vec<String> = case
        .books
        .events
        .iter()
        .filter(|event| event.kind.name() == "service.disabled")
        .map(|event| format!("{} {:?}", event.at, event.service))
        .collect();
    let expected = ["2027-01-02T00:00:00Z Some(1)", "2027-01-03T00:00:00Z Some(2)", "2027-01-04T00:00:00Z Some(0)"];
    assert_eq!(disabled, expected);
}

#[test]
fn a_debt_covers_nothing_not_even_a_free_period() {
    let plans = list([("free", plan(Mode::Daily, "0")), ("240", plan(Mode::Daily, "2.40"))]);
    let mut case = Case::new(plans, account("ann"), "2027-01-01T00:00:00Z");
    case.walk([
        ("2027-01-01T00:00:00Z", Deposit("10"), "10.000000"),
        ("2027-01-01T00:00:00Z", Act(create("free", "free")), "10.000000"),
        ("2027-01-01T00:00:00Z", Act(create("dms", "240")), "7.600000"),
        ("2027-01-01T12:00:00Z", Dispute("10"), "-2.400000"),
        ("2027-01-01T13:00:00Z", Act(create("more", "free")), "insufficient_funds"),
        ("2027-01-02T00:00:00Z", Settle, "-2.400000"),
        ("2027-01-02T01:00:00Z", Act(enable("free")), "insufficient_funds"),
        // What comes in fills the debt first.
        ("2027-01-02T12:00:00Z", Deposit("3.60"), "1.200000"),
        ("2027-01-02T12:00:00Z", Act(enable("dms")), "0.000000"),
        ("2027-01-02T12:00:00Z", Act(enable("free")), "0.000000"),
    ]);
}

// Section 5: term services.

fn terms() -> PriceList {
    let with_disk = |price: &str| {
        let mut plan = plan(Mode::Term, price);
        let disk = rules::Component { shrink_erases: true, ..component("20", "0.50") };
        plan.components.insert("disk".to_owned(), disk);
        plan
    };
    let year = Plan { term_months: 12, ..plan(Mode::Term, "365") };
    list([("30", with_disk("30")), ("60", with_disk("60")), ("year", year), ("bare", plan(Mode::Term, "30"))])
}

#[test]
fn a_term_ordered_on_the_last_of_january() {
    funded(terms(), "200").walk([
        ("2027-01-31T12:00:00Z", Act(create("vps", "30")), "170.000000"),
        ("2027-02-14T12:00:00Z", Act(change_plan("vps", "60")), "155.000000"),
        ("2027-02-28T11:59:59Z", Settle, "155.000000"),
        ("2027-02-28T12:00:00Z", Settle, "95.000000"),
        ("2027-03-31T11:59:59Z", Settle, "95.000000"),
        ("2027-03-31T12:00:00Z", Settle, "35.000000"),
        ("2027-04-15T12:00:00Z", Act(change_plan("vps", "30")), "50.000000"),
        ("2027-04-30T12:00:00Z", Settle, "20.000000"),
        ("2027-05-31T12:00:00Z", Settle, "20.000000"),
    ]);
}

#[test]
fn terms_end_on_the_anchors_day_or_the_months_last() {
    for (plan, ordered, ends) in [
        ("30", "2027-01-28T00:00:00Z", "2027-02-28T00:00:00Z"),
        ("30", "2027-01-29T23:59:59Z", "2027-02-28T23:59:59Z"),
        ("30", "2028-01-29T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("30", "2028-01-31T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("30", "2027-08-31T07:00:00Z", "2027-09-30T07:00:00Z"),
        ("30", "2027-12-31T07:00:00Z", "2028-01-31T07:00:00Z"),
        ("year", "2027-03-01T00:00:00Z", "2028-03-01T00:00:00Z"),
        ("year", "2028-02-29T00:00:00Z", "2029-02-28T00:00:00Z"),
    ] {
        let mut case = funded(terms(), "1000");
        assert_eq!(case.step(at(ordered), Act(create("vps", plan))), None);
        let paid = case.books.transfers.last().and_then(|transfer| transfer.period).expect("a period");
        assert_eq!(paid.to, at(ends), "ordered at {ordered}");
    }
}

/// A leap day's anchor comes back to the 29th.
#[test]
fn short_months_never_move_the_anchor() {
    let mut case = funded(terms(), "1000");
    case.step(at("2028-01-31T06:00:00Z"), Act(create("vps", "30")));
    case.step(at("2028-06-30T00:00:00Z"), Settle);
    let starts: Vec<String> = case
        .books
        .transfers
        .iter()
        .filter_map(|transfer| transfer.period)
        .map(|period| period.from.to_string().chars().take(10).collect())
        .collect();
    assert_eq!(starts, ["2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30", "2028-05-31"]);
}

#[test]
fn a_missed_renewal_is_extended_at_its_old_date_or_removed() {
    let mut case = funded(terms(), "40");
    case.walk([
        ("2027-01-10T10:00:00Z", Act(create("vps", "30")), "10.000000"),
        ("2027-01-20T10:00:00Z", Act(extend("vps")), "invalid_state"),
        ("2027-02-10T10:00:00Z", Settle, "10.000000"),
        ("2027-02-10T10:00:00Z", Act(change_plan("vps", "60")), "invalid_state"),
        ("2027-02-11T00:00:00Z", Act(extend("vps")), "insufficient_funds"),
        ("2027-02-12T00:00:00Z", Deposit("30"), "40.000000"),
        ("2027-02-13T09:59:59Z", Act(extend("vps")), "10.000000"),
        ("2027-03-10T09:59:59Z", Settle, "10.000000"),
        ("2027-03-10T10:00:00Z", Deposit("100"), "110.000000"),
        // The deposit came after the renewal of that second, and the retention ends before its second's action.
        ("2027-03-13T10:00:00Z", Act(extend("vps")), "recovery_closed"),
        ("2027-03-14T10:00:00Z", Act(Action::Removed { service: "vps".to_owned() }), "110.000000"),
        ("2027-03-14T10:00:00Z", Act(Action::Removed { service: "vps".to_owned() }), "invalid_state"),
    ]);
    let events = case.events();
    let told: Vec<(&str, &str)> = events.iter().map(|(at, kind)| (at.as_str(), *kind)).collect();
    assert_eq!(
        told,
        [
            ("2027-01-10T10:00:00Z", "service.created"),
            ("2027-02-10T10:00:00Z", "service.suspended"),
            ("2027-02-13T09:59:59Z", "service.resumed"),
            ("2027-03-10T10:00:00Z", "service.suspended"),
            ("2027-03-13T10:00:00Z", "service.removal_queued"),
            ("2027-03-14T10:00:00Z", "service.removed"),
        ]
    );
}

#[test]
fn lowering_what_erases_needs_a_confirmation() {
    let confirmed = |action: Action| match action {
        Action::Change { service, change, .. } => Action::Change { service, change, confirm_data_loss: true },
        other => other,
    };
    funded(terms(), "200").walk([
        ("2027-03-01T00:00:00Z", Act(create("vps", "30")), "170.000000"),
        ("2027-03-01T00:00:00Z", Act(set_quantity("vps", "disk", "82")), "139.000000"),
        ("2027-03-11T08:00:00Z", Act(set_quantity("vps", "disk", "51")), "needs_confirmation"),
        ("2027-03-11T08:00:00Z", Act(confirmed(set_quantity("vps", "disk", "51"))), "149.333333"),
        // A plan without the component lowers it to nothing.
        ("2027-03-11T08:00:00Z", Act(change_plan("vps", "bare")), "needs_confirmation"),
        ("2027-03-11T08:00:00Z", Act(confirmed(change_plan("vps", "bare"))), "159.666666"),
        ("2027-03-11T08:00:00Z", Act(change_plan("vps", "year")), "not_allowed"),
    ]);
}

#[test]
fn cancelling_at_the_end_can_be_taken_back_until_then() {
    let mut case = funded(terms(), "200");
    case.walk([
        ("2027-03-01T00:00:00Z", Act(create("a", "30")), "170.000000"),
        ("2027-03-01T00:00:00Z", Act(create("b", "30")), "140.000000"),
        ("2027-03-02T00:00:00Z", Act(cancel("a", CancelWhen::PeriodEnd)), "140.000000"),
        ("2027-03-02T00:00:00Z", Act(cancel("a", CancelWhen::PeriodEnd)), "invalid_state"),
        ("2027-03-02T00:00:00Z", Act(cancel("b", CancelWhen::PeriodEnd)), "140.000000"),
        ("2027-03-31T00:00:00Z", Act(Action::Uncancel { service: "b".to_owned() }), "140.000000"),
        ("2027-03-31T00:00:00Z", Act(Action::Uncancel { service: "b".to_owned() }), "invalid_state"),
        ("2027-04-01T00:00:00Z", Act(Action::Uncancel { service: "a".to_owned() }), "invalid_state"),
        ("2027-04-01T00:00:00Z", Settle, "110.000000"),
        ("2027-04-01T00:00:01Z", Act(cancel("b", CancelWhen::Now)), "110.000000"),
        ("2027-06-01T00:00:00Z", Settle, "110.000000"),
    ]);
}

/// Retention that ends in an outage, or within 24 hours after it, ends then (rule 11.8); an extended term is the one
/// that contains its second (rule 5.3).
#[test]
fn nobody_loses_a_service_by_an_outage() {
    for (until, ends) in [
        ("2027-02-10T23:00:00Z", "2027-02-13T10:00:00Z"),
        ("2027-02-12T10:00:00Z", "2027-02-13T10:00:00Z"),
        ("2027-02-12T10:00:01Z", "2027-02-13T10:00:01Z"),
        ("2027-02-20T00:00:00Z", "2027-02-21T00:00:00Z"),
        ("2027-03-15T00:00:00Z", "2027-03-16T00:00:00Z"),
    ] {
        let mut case = funded(terms(), "200");
        case.world.outages.push(Outage::new(at("2027-02-10T09:00:00Z"), at(until)));
        case.step(at("2027-01-10T10:00:00Z"), Act(create("vps", "30")));
        case.step(at("2027-01-10T10:00:00Z"), Act(adjust("-170")));
        case.step(at(ends).plus_secs(-1), Act(adjust("100")));
        let mut other = Case { world: case.world.clone(), books: case.books.clone() };
        let charged = case.books.transfers.len();
        assert_eq!(case.step(at(ends).plus_secs(-1), Act(extend("vps"))), None, "outage until {until}");
        let paid = case.books.transfers.last().and_then(|transfer| transfer.period).expect("a period");
        assert!(paid.contains(at(ends).plus_secs(-1)), "{paid:?}");
        assert_eq!(case.books.transfers.len(), charged + 1, "the terms between are not charged");
        invariants::hold(&case.world, &case.books);
        assert_eq!(other.step(at(ends), Act(extend("vps"))), Some(Refusal::RecoveryClosed), "outage until {until}");
    }
}

// Section 6: monthly and hourly servers.

fn servers() -> PriceList {
    let mut cloud = plan(Mode::Monthly, "12");
    let traffic = rules::Component { metered: true, ..component("100", "0.01") };
    cloud.components.insert("traffic_gb".to_owned(), traffic.clone());
    let mut hour = plan(Mode::Hourly, "0.018");
    hour.components.insert("traffic_gb".to_owned(), traffic);
    list([
        ("12", cloud),
        ("24", plan(Mode::Monthly, "24")),
        ("18", plan(Mode::Monthly, "18")),
        ("hour", hour),
        ("hour-2", plan(Mode::Hourly, "0.036")),
    ])
}

#[test]
fn the_first_invoice_has_the_rest_of_the_month_and_the_new_month() {
    for (created, issued, until, prorated) in [
        ("2027-04-20T12:00:00Z", "2027-05-01T00:00:00Z", "2027-06-01T00:00:00Z", "4.20"),
        ("2027-04-01T00:00:00Z", "2027-05-01T00:00:00Z", "2027-06-01T00:00:00Z", "12.00"),
        ("2027-02-15T00:00:00Z", "2027-03-01T00:00:00Z", "2027-04-01T00:00:00Z", "6.00"),
        ("2028-02-15T00:00:00Z", "2028-03-01T00:00:00Z", "2028-04-01T00:00:00Z", "6.21"),
        ("2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z", "2028-04-01T00:00:00Z", "0.41"),
        ("2027-01-31T00:00:00Z", "2027-02-01T00:00:00Z", "2027-03-01T00:00:00Z", "0.39"),
        ("2027-12-31T23:59:59Z", "2028-01-01T00:00:00Z", "2028-02-01T00:00:00Z", "0.00"),
    ] {
        let mut case = funded(servers(), "100");
        case.step(at(created), Act(create("cloud", "12")));
        case.step(at(issued), Settle);
        case.has_lines(
            issued,
            &[(LineKind::Prorated, created, issued, prorated), (LineKind::Month, issued, until, "12.00")],
        );
        case.step(at(until), Settle);
        assert_eq!(case.lines(until).len(), 1);
        invariants::hold(&case.world, &case.books);
    }
}

#[test]
fn lines_are_rounded_to_the_currencys_minor_unit() {
    for (currency, price, prorated, month) in
        [("JPY", "1001", "501", "1001"), ("USD", "10.01", "5.01", "10.01"), ("KWD", "10.001", "5.001", "10.001")]
    {
        let plans = list([("cloud", plan(Mode::Monthly, price))]);
        let mut case = Case::new(plans, in_currency("ann", currency), "2027-01-01T00:00:00Z");
        case.step(at("2027-02-15T00:00:00Z"), Act(create("cloud", "cloud")));
        case.step(at("2027-03-01T00:00:00Z"), Settle);
        let amounts: Vec<String> = case.lines("2027-03-01T00:00:00Z").into_iter().map(|line| line.3).collect();
        assert_eq!(amounts, [prorated, month], "{currency}");
    }
}

/// A month once begun is charged to its end (rule 6.3); cancelled before the 1st it doesn't begin (rule 6.2).
#[test]
fn a_month_once_begun_is_charged_to_its_end() {
    let (created, may, june) = ("2027-04-20T12:00:00Z", "2027-05-01T00:00:00Z", "2027-06-01T00:00:00Z");
    for (cancelled, lines) in [("2027-04-20T12:00:00Z", 1), ("2027-04-30T23:59:59Z", 1), (may, 2)] {
        let mut case = funded(servers(), "100");
        case.step(at(created), Act(create("cloud", "12")));
        case.step(at(cancelled), Act(cancel("cloud", CancelWhen::Now)));
        case.step(at("2027-07-02T00:00:00Z"), Settle);
        assert_eq!(case.lines(may).len(), lines, "cancelled at {cancelled}");
        assert_eq!(case.lines(june), []);
        invariants::hold(&case.world, &case.books);
    }
}

#[test]
fn an_upgrade_is_billed_above_the_highest_level_of_the_month() {
    let mut case = funded(servers(), "200");
    for (when, action) in [
        ("2027-04-01T00:00:00Z", create("cloud", "12")),
        ("2027-04-11T00:00:00Z", change_plan("cloud", "18")),
        ("2027-04-16T00:00:00Z", change_plan("cloud", "12")),
        ("2027-04-16T00:00:00Z", change_plan("cloud", "18")),
        ("2027-04-21T00:00:00Z", change_plan("cloud", "24")),
        ("2027-04-26T00:00:00Z", change_plan("cloud", "12")),
    ] {
        assert_eq!(case.step(at(when), Act(action)), None, "{when}");
    }
    case.step(at("2027-05-01T00:00:00Z"), Settle);
    let may = "2027-05-01T00:00:00Z";
    case.has_lines(
        may,
        &[
            (LineKind::Prorated, "2027-04-01T00:00:00Z", may, "12.00"),
            (LineKind::Upgrade, "2027-04-11T00:00:00Z", may, "4.00"),
            (LineKind::Upgrade, "2027-04-21T00:00:00Z", may, "2.00"),
            (LineKind::Month, may, "2027-06-01T00:00:00Z", "12.00"),
        ],
    );
    invariants::hold(&case.world, &case.books);
}

#[test]
fn an_hourly_server_has_a_line_for_each_stretch_of_one_price() {
    let mut case = funded(servers(), "200");
    for (when, action) in [
        ("2027-04-20T12:00:00Z", create("h", "hour")),
        ("2027-04-21T12:00:00Z", change_plan("h", "hour-2")),
        ("2027-04-21T13:00:00Z", change_plan("h", "hour")),
        // A change that lasted no second leaves no line, and its neighbours are one.
        ("2027-04-25T13:00:00Z", change_plan("h", "hour-2")),
        ("2027-04-25T13:00:00Z", change_plan("h", "hour")),
        ("2027-05-03T00:30:00Z", cancel("h", CancelWhen::Now)),
    ] {
        assert_eq!(case.step(at(when), Act(action)), None, "{when}");
    }
    case.step(at("2027-07-01T00:00:00Z"), Settle);
    let may = "2027-05-01T00:00:00Z";
    case.has_lines(
        may,
        &[
            (LineKind::Hours, "2027-04-20T12:00:00Z", "2027-04-21T12:00:00Z", "0.43"),
            (LineKind::Hours, "2027-04-21T12:00:00Z", "2027-04-21T13:00:00Z", "0.04"),
            (LineKind::Hours, "2027-04-21T13:00:00Z", may, "4.09"),
        ],
    );
    case.has_lines("2027-06-01T00:00:00Z", &[(LineKind::Hours, may, "2027-05-03T00:30:00Z", "0.87")]);
    case.has_lines("2027-07-01T00:00:00Z", &[]);
    invariants::hold(&case.world, &case.books);
}

#[test]
fn usage_counts_to_the_month_of_its_report() {
    let mut case = funded(servers(), "200");
    for (when, action) in [
        ("2027-04-20T12:00:00Z", create("cloud", "12")),
        ("2027-04-21T00:00:00Z", usage("cloud", "traffic_gb", "99.5")),
        ("2027-04-30T23:59:59Z", usage("cloud", "traffic_gb", "150")),
        // At the very second of the invoice it is the new month's.
        ("2027-05-01T00:00:00Z", usage("cloud", "traffic_gb", "100")),
        ("2027-05-10T00:00:00Z", cancel("cloud", CancelWhen::Now)),
        ("2027-05-31T23:59:59Z", usage("cloud", "traffic_gb", "1")),
    ] {
        assert_eq!(case.step(at(when), Act(action)), None, "{when}");
    }
    let late = case.step(at("2027-06-01T00:00:00Z"), Act(usage("cloud", "traffic_gb", "1")));
    assert_eq!(late, Some(Refusal::InvalidState));
    let (may, june) = ("2027-05-01T00:00:00Z", "2027-06-01T00:00:00Z");
    case.has_lines(
        may,
        &[
            (LineKind::Prorated, "2027-04-20T12:00:00Z", may, "4.20"),
            (LineKind::Usage, "2027-04-20T12:00:00Z", may, "1.50"),
            (LineKind::Month, may, june, "12.00"),
        ],
    );
    case.has_lines(june, &[(LineKind::Usage, may, june, "0.01")]);
    invariants::hold(&case.world, &case.books);
}

/// The wallet first, the card for the rest; what the wallet paid stays paid (rule 6.8).
#[test]
fn a_failing_card_is_tried_again_until_the_account_is_suspended() {
    let mut case = Case::new(servers(), with_card("ann"), "2027-01-01T00:00:00Z");
    case.world.cards = Cards::Always(Answer::Failed);
    case.walk([
        ("2027-01-01T00:00:00Z", Deposit("5.005"), "5.005000"),
        ("2027-03-01T00:00:00Z", Act(create("cloud", "12")), "5.005000"),
        ("2027-04-01T00:00:00Z", Settle, "0.005000"),
        ("2027-04-10T00:00:00Z", Settle, "0.005000"),
        // In part, and then the rest of exactly what is open.
        ("2027-04-11T00:00:00Z", Deposit("10"), "0.005000"),
        ("2027-04-11T00:00:00Z", Act(Action::StartDeposit { amount: micros("9") }), "0.005000"),
        ("2027-04-11T00:00:00Z", Act(Action::StartDeposit { amount: micros("9.01") }), "below_minimum"),
        ("2027-04-12T00:00:00Z", Deposit("9"), "0.005000"),
    ]);
    let events = case.events();
    let told: Vec<(&str, &str)> = events.iter().map(|(at, kind)| (at.as_str(), *kind)).collect();
    assert_eq!(
        told,
        [
            ("2027-03-01T00:00:00Z", "service.created"),
            ("2027-04-01T00:00:00Z", "invoice.issued"),
            ("2027-04-01T00:00:00Z", "payment.failed"),
            ("2027-04-02T00:00:00Z", "payment.failed"),
            ("2027-04-04T00:00:00Z", "payment.failed"),
            ("2027-04-06T00:00:00Z", "payment.failed"),
            ("2027-04-08T00:00:00Z", "invoice.overdue"),
            ("2027-04-08T00:00:00Z", "account.suspended"),
            ("2027-04-08T00:00:00Z", "service.suspended"),
            ("2027-04-12T00:00:00Z", "invoice.paid"),
            ("2027-04-12T00:00:00Z", "account.restored"),
            ("2027-04-12T00:00:00Z", "service.resumed"),
        ]
    );
    assert!(case.books.charges.iter().all(|(intent, _)| intent.amount == micros("19")));
}

/// A card try of the outage is one try at its end (rule 11.8).
#[test]
fn an_outage_makes_one_try_of_those_in_it() {
    let mut case = Case::new(servers(), with_card("ann"), "2027-01-01T00:00:00Z");
    case.world.cards = Cards::Always(Answer::Failed);
    case.world.outages.push(Outage::new(at("2027-03-31T12:00:00Z"), at("2027-04-09T06:00:00Z")));
    case.walk([
        ("2027-03-01T00:00:00Z", Act(create("cloud", "12")), "0.000000"),
        ("2027-04-12T07:00:00Z", Settle, "0.000000"),
    ]);
    let seconds = |name: &str| -> Vec<String> {
        let events = case.events().into_iter().filter(|(_, kind)| *kind == name);
        events.map(|(at, _)| at).collect()
    };
    assert_eq!(seconds("invoice.issued"), ["2027-04-01T00:00:00Z"]);
    let tries = ["2027-04-09T06:00:00Z", "2027-04-10T06:00:00Z", "2027-04-12T06:00:00Z"];
    assert_eq!(seconds("payment.failed"), tries);
    assert_eq!(seconds("invoice.overdue"), ["2027-04-10T06:00:00Z"]);
}

/// What fell due at or after its end is not spared by it.
#[test]
fn an_outage_spares_nothing_that_fell_due_after_it() {
    let outage = Outage::new(at("2027-03-31T06:00:00Z"), at("2027-04-01T00:00:00Z"));
    let mut case = Case::new(servers(), account("ann"), "2027-01-01T00:00:00Z");
    case.world.policy.grace_days = 0;
    case.world.outages.push(outage);
    case.step(at("2027-03-01T00:00:00Z"), Act(create("cloud", "12")));
    case.step(at("2027-04-01T00:00:00Z"), Settle);
    assert!(case.books.account().standing.is_suspended());

    for (ordered, queued) in
        [("2027-02-28T23:59:59Z", "2027-04-02T00:00:00Z"), ("2027-03-01T00:00:00Z", "2027-04-01T00:00:00Z")]
    {
        let mut case = funded(terms(), "30");
        case.world.policy.retention_days = 0;
        case.world.outages.push(Outage::new(at("2027-03-28T23:59:59Z"), at("2027-04-01T00:00:00Z")));
        case.step(at(ordered), Act(create("vps", "30")));
        case.step(at("2027-05-01T00:00:00Z"), Settle);
        let events = case.events();
        assert_eq!(events.last(), Some(&(queued.to_owned(), "service.removal_queued")), "ordered at {ordered}");
    }
}

/// A new card is charged at once, oldest first; retries stay as they were set, and skip where there is no card.
#[test]
fn a_new_card_is_charged_for_what_is_open() {
    let mut case = Case::new(servers(), with_card("ann"), "2027-01-01T00:00:00Z");
    case.world.policy.grace_days = 60;
    case.world.cards = Cards::Always(Answer::Failed);
    let save = || Act(Action::SaveCard { card: "new".to_owned(), authorised: true });
    case.walk([
        ("2027-03-01T00:00:00Z", Act(create("cloud", "12")), "0.000000"),
        ("2027-04-02T00:00:00Z", Settle, "0.000000"),
        ("2027-04-02T12:00:00Z", save(), "0.000000"),
        ("2027-04-03T12:00:00Z", Act(Action::RemoveCard), "0.000000"),
        // The retry on the 4th is skipped.
        ("2027-04-05T00:00:00Z", save(), "0.000000"),
        ("2027-05-01T00:00:00Z", Settle, "0.000000"),
    ]);
    let failed = |case: &Case| -> Vec<String> {
        let events = case.events().into_iter().filter(|(_, kind)| *kind == "payment.failed");
        events.map(|(at, _)| at.strip_suffix(":00:00Z").expect("an hour").to_owned()).collect()
    };
    let tries = ["2027-04-01T00", "2027-04-02T00", "2027-04-02T12", "2027-04-05T00", "2027-04-06T00", "2027-05-01T00"];
    assert_eq!(failed(&case), tries);
    case.world.cards = Cards::Always(Answer::Succeeded);
    case.walk([("2027-05-01T12:00:00Z", save(), "0.000000"), ("2027-05-03T00:00:00Z", Settle, "0.000000")]);
    let paid: Vec<_> = case.books.charges.iter().rev().take(2).map(|(intent, _)| intent.key.clone()).collect();
    assert_eq!(paid, ["0/invoice/1/2", "0/invoice/0/6"]);
}

// Section 7: the trial.

#[test]
fn a_trial_is_the_day_of_signing_up_and_thirty_whole_days() {
    for (opened, ends, first) in [
        ("2027-03-15T00:00:00Z", "2027-04-15T00:00:00Z", "2027-05-01T00:00:00Z"),
        ("2027-03-15T23:59:59Z", "2027-04-15T00:00:00Z", "2027-05-01T00:00:00Z"),
        ("2027-01-31T10:00:00Z", "2027-03-03T00:00:00Z", "2027-04-01T00:00:00Z"),
        ("2028-01-31T10:00:00Z", "2028-03-02T00:00:00Z", "2028-04-01T00:00:00Z"),
        // One that ends at T itself is first invoiced one month later.
        ("2027-03-01T10:00:00Z", "2027-04-01T00:00:00Z", "2027-05-01T00:00:00Z"),
    ] {
        let mut case = Case::new(servers(), in_trial("ann"), opened);
        case.step(at(opened), Act(create("cloud", "12")));
        case.step(at(first).plus_secs(-1), Settle);
        assert_eq!(case.books.lines, [], "opened at {opened}");
        case.step(at(first), Settle);
        let lines = case.lines(first);
        let shown: Vec<(LineKind, &str, &str)> =
            lines.iter().map(|(kind, from, to, _)| (*kind, from.as_str(), to.as_str())).collect();
        let until = at(first).plus_months(1).to_string();
        let expected = [(LineKind::Prorated, ends, first), (LineKind::Month, first, until.as_str())];
        assert_eq!(shown, expected, "opened at {opened}");
        assert!(case.events().contains(&(ends.to_owned(), "trial.ended")));
    }
}

fn overage_plans() -> PriceList {
    let mut large = plan(Mode::Monthly, "150");
    large.components.insert("traffic_gb".to_owned(), rules::Component { metered: true, ..component("5000", "0.01") });
    list([("150", large), ("250", plan(Mode::Monthly, "250")), ("hour", plan(Mode::Hourly, "0.20"))])
}

#[test]
fn overage_is_charged_once_and_billed_as_used() {
    let opened = "2027-03-15T10:00:00Z";
    let mut case = Case::new(overage_plans(), in_trial("ann"), opened);
    case.walk([
        // 50 above the cover: 50 × (16/31 + 14/30).
        ("2027-03-16T00:00:00Z", Act(create("a", "150")), "49.140000"),
        // Another 100 above it: 100 × 14/30, once.
        ("2027-04-01T00:00:00Z", Act(change_plan("a", "250")), "95.810000"),
        ("2027-04-02T00:00:00Z", Act(change_plan("a", "150")), "95.810000"),
        ("2027-04-02T00:00:00Z", Act(change_plan("a", "250")), "95.810000"),
        ("2027-04-06T00:00:00Z", Act(change_plan("a", "150")), "95.810000"),
        // No cover is left: all of 0.20 × 730 × 9/30.
        ("2027-04-06T00:00:00Z", Act(create("h", "hour")), "139.610000"),
        ("2027-04-11T00:00:00Z", Act(cancel("h", CancelWhen::Now)), "139.610000"),
        ("2027-04-30T23:59:59Z", Settle, "139.610000"),
        ("2027-05-01T00:00:00Z", Settle, "0.000000"),
    ]);
    let (trial_end, may) = ("2027-04-15T00:00:00Z", "2027-05-01T00:00:00Z");
    case.has_lines(
        may,
        &[
            (LineKind::TrialOverage, "2027-03-16T00:00:00Z", "2027-04-01T00:00:00Z", "25.81"),
            (LineKind::TrialOverage, "2027-04-01T00:00:00Z", "2027-04-06T00:00:00Z", "25.00"),
            (LineKind::TrialOverage, "2027-04-06T00:00:00Z", trial_end, "15.00"),
            (LineKind::Prorated, trial_end, may, "80.00"),
            (LineKind::Month, may, "2027-06-01T00:00:00Z", "150.00"),
            (LineKind::TrialOverage, "2027-04-06T00:00:00Z", "2027-04-11T00:00:00Z", "24.00"),
        ],
    );
}

#[test]
fn overage_without_a_card_that_pays_is_refused() {
    let no_card = NewAccount { trial: true, ..account("ann") };
    let mut case = Case::new(overage_plans(), no_card, "2027-03-15T10:00:00Z");
    case.world.cards = Cards::Always(Answer::Failed);
    case.walk([
        ("2027-03-16T00:00:00Z", Act(create("a", "150")), "payment_failed"),
        ("2027-03-16T00:00:00Z", Act(Action::SaveCard { card: "c".to_owned(), authorised: true }), "0.000000"),
        ("2027-03-16T00:00:00Z", Act(create("a", "150")), "payment_failed"),
        // In the trial's last second it rounds to nothing.
        ("2027-04-14T23:59:59Z", Act(create("a", "150")), "0.000000"),
    ]);
}

#[test]
fn trial_traffic_is_charged_at_midnight_from_one_unit_on() {
    let mut case = Case::new(overage_plans(), in_trial("ann"), "2027-03-15T10:00:00Z");
    case.walk([
        ("2027-03-16T00:00:00Z", Act(create("a", "150")), "49.140000"),
        ("2027-03-17T12:00:00Z", Act(usage("a", "traffic_gb", "1099")), "49.140000"),
        ("2027-03-19T00:00:00Z", Settle, "49.140000"),
        ("2027-03-19T12:00:00Z", Act(usage("a", "traffic_gb", "1")), "49.140000"),
        ("2027-03-20T00:00:00Z", Settle, "50.140000"),
        // At midnight itself: it is the next one's.
        ("2027-03-21T00:00:00Z", Act(usage("a", "traffic_gb", "250.5")), "50.140000"),
        ("2027-03-21T23:59:59Z", Settle, "50.140000"),
        ("2027-03-22T00:00:00Z", Settle, "52.650000"),
        ("2027-04-01T00:00:00Z", Act(usage("a", "traffic_gb", "10")), "52.650000"),
        // The trial's end charges what is left, below one as well: 0.10 and the half cent.
        ("2027-04-15T00:00:00Z", Settle, "52.750000"),
        ("2027-05-01T00:00:00Z", Settle, "0.000000"),
    ]);
    let of_traffic: Vec<_> = case.lines("2027-05-01T00:00:00Z").into_iter().filter(|line| line.3 == "3.61").collect();
    let (created, ends) = ("2027-03-16T00:00:00Z".to_owned(), "2027-04-15T00:00:00Z".to_owned());
    assert_eq!(of_traffic, [(LineKind::TrialOverage, created, ends, "3.61".to_owned())]);
}

// Sections 9 and 10.

#[test]
fn restoring_never_charges() {
    let plans = list([
        ("day", plan(Mode::Daily, "2.40")),
        ("term", plan(Mode::Term, "30")),
        ("cloud", plan(Mode::Monthly, "12")),
    ]);
    let suspend = || Act(Action::SuspendAccount { reason: SuspendReason::Admin });
    let mut case = funded(plans, "200");
    case.walk([
        ("2027-01-01T00:00:00Z", Act(create("day", "day")), "197.600000"),
        ("2027-01-01T00:00:00Z", Act(create("term", "term")), "167.600000"),
        ("2027-01-01T00:00:00Z", Act(create("cloud", "cloud")), "167.600000"),
        ("2027-01-01T06:00:00Z", suspend(), "167.600000"),
        ("2027-01-01T06:00:00Z", suspend(), "invalid_state"),
        ("2027-01-01T06:00:00Z", Act(enable("day")), "not_allowed"),
        ("2027-01-01T12:00:00Z", Act(Action::RestoreAccount), "167.600000"),
        ("2027-01-01T12:00:00Z", Act(disable("day")), "167.600000"),
        ("2027-01-01T12:00:00Z", Act(enable("day")), "167.600000"),
        ("2027-01-01T18:00:00Z", suspend(), "167.600000"),
        // The midnight passes, the invoice comes, the term falls due.
        ("2027-02-01T00:00:00Z", Settle, "143.600000"),
        ("2027-02-02T00:00:00Z", Act(Action::RestoreAccount), "143.600000"),
        ("2027-02-02T00:00:00Z", Act(enable("day")), "141.200000"),
        ("2027-02-02T00:00:00Z", Act(extend("term")), "111.200000"),
    ]);
}

#[test]
fn resuming_on_a_deposit_takes_terms_first_and_goes_on_where_one_is_too_dear() {
    let plans = list([("day", plan(Mode::Daily, "2.40")), ("term", plan(Mode::Term, "30"))]);
    let new = NewAccount { resume_on_deposit: true, ..account("ann") };
    let mut case = Case::new(plans, new, "2027-01-01T00:00:00Z");
    case.walk([
        ("2027-01-01T00:00:00Z", Act(adjust("64.80")), "64.800000"),
        ("2027-01-01T00:00:00Z", Act(create("a", "term")), "34.800000"),
        ("2027-01-01T00:00:01Z", Act(create("b", "term")), "4.800000"),
        ("2027-01-31T00:00:00Z", Act(create("day", "day")), "2.400000"),
        ("2027-02-01T00:00:00Z", Settle, "0.000000"),
        ("2027-02-02T12:00:00Z", Deposit("11"), "9.800000"),
        ("2027-02-03T00:00:00Z", Act(adjust("60")), "67.400000"),
        // Only a deposit resumes; both terms are resumed then, at their own dates.
        ("2027-02-03T12:00:00Z", Deposit("0.01"), "7.410000"),
    ]);
}

/// Money counts from the second of its proof, and never before the settled one (rule 11.6).
#[test]
fn a_proof_that_comes_late_counts_from_the_settled_second() {
    let mut case = Case::new(daily(), account("ann"), "2027-01-01T00:00:00Z");
    case.step(at("2027-01-05T00:00:00Z"), Settle);
    case.books.receive(ReceiptKind::Deposit, micros("10"), at("2027-01-03T00:00:00Z"));
    case.books.receive(ReceiptKind::Deposit, micros("20"), at("2027-01-06T00:00:00Z"));
    case.walk([
        ("2027-01-05T00:00:00Z", Settle, "10.000000"),
        ("2027-01-05T23:59:59Z", Settle, "10.000000"),
        ("2027-01-07T00:00:00Z", Settle, "30.000000"),
    ]);
    let seconds: Vec<Timestamp> = case.books.transfers.iter().map(|transfer| transfer.effective_at).collect();
    assert_eq!(seconds, [at("2027-01-05T00:00:00Z"), at("2027-01-06T00:00:00Z")]);
}

#[test]
fn closing_refunds_what_came_in_and_waives_the_rest() {
    for (rest, refunded, waived) in
        [(Rest::Refund, Some("20.000000"), Some("3.000001")), (Rest::Waive, None, Some("23.000001"))]
    {
        let mut case = Case::new(daily(), account("ann"), "2027-01-01T00:00:00Z");
        case.walk([
            ("2027-01-01T00:00:00Z", Deposit("20"), "20.000000"),
            ("2027-01-01T00:00:00Z", Act(adjust("5.400001")), "25.400001"),
            ("2027-01-01T00:00:00Z", Act(create("dms", "240")), "23.000001"),
            ("2027-01-01T00:00:00Z", Act(Action::CloseAccount { rest: Some(rest) }), "still_in_use"),
            ("2027-01-01T12:00:00Z", Act(cancel("dms", CancelWhen::Now)), "23.000001"),
            ("2027-01-01T12:00:00Z", Act(Action::CloseAccount { rest: None }), "needs_confirmation"),
            ("2027-01-01T12:00:00Z", Act(Action::CloseAccount { rest: Some(rest) }), "0.000000"),
            ("2027-01-01T12:00:00Z", Act(create("more", "240")), "not_allowed"),
            ("2027-01-03T12:00:00Z", Dispute("20"), "-20.000000"),
        ]);
        assert_eq!(case.books.account().standing, Standing::Closed);
        let of = |kind: &str| -> Option<String> {
            let entries = case.books.transfers.iter().filter(|transfer| transfer.kind.entry() == Some(kind));
            entries.map(|transfer| transfer.amount.to_string()).next()
        };
        assert_eq!((of("refund").as_deref(), of("waiver").as_deref()), (refunded, waived));
    }
}
