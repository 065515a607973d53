//! An admin's month, through the command line alone: what goes wrong in it, and that the books come through.

use rules::{Micros, Timestamp, TransferKind};
use store::LedgerRow;

use crate::support::machine::Machine;
use crate::support::program::wait_until;

const CONFIG: &str = r#"
[hold]
least_amount = "5.00"
least_stops = 0
[prices]
files = ["prices.toml"]
"#;

const PRICES: &str = r#"
[[plans]]
id = "dms"
mode = "daily"
price = "2.40"
[[plans]]
id = "vps"
mode = "term"
price = "6.00"
[[plans]]
id = "cloud"
mode = "monthly"
price = "31.00"
"#;

/// Ten times the price, by a slip of the hand.
const WRONG: &str = "[[plans]]\nid = \"dms\"\nmode = \"daily\"\nprice = \"24.00\"\n";
const RIGHT: &str = "[[plans]]\nid = \"dms\"\nmode = \"daily\"\nprice = \"2.64\"\n";

/// A machine on the 20th, with three customers.
fn opened() -> Machine {
    let mut machine = Machine::new("2027-01-20T10:00:00Z", CONFIG);
    for (name, text) in [("prices.toml", PRICES), ("wrong.toml", WRONG), ("right.toml", RIGHT)] {
        std::fs::write(machine.path(name), text).expect("written");
    }
    machine.start();
    machine.wait_until_idle();
    for (account, amount) in [("ann", "200.00"), ("bob", "20.00"), ("cay", "10.00")] {
        machine.done(&["accounts", "open", account]);
        machine.done(&["accounts", "deposit", account, amount, "--reference", &format!("bank-{account}")]);
    }
    for (account, service, plan) in
        [("ann", "ann-1", "dms"), ("ann", "ann-2", "dms"), ("bob", "bob-1", "vps"), ("cay", "cay-1", "cloud")]
    {
        machine.done(&["services", "create", account, service, "--plan", plan]);
    }
    machine
}

fn ledger(machine: &Machine) -> Vec<LedgerRow> {
    machine.read(async |store| store.ledger(None).await.expect("the ledger"))
}

/// The whole days that a service was charged.
fn days(machine: &Machine, service: &str) -> Vec<Timestamp> {
    let rows = ledger(machine).into_iter();
    let periods = rows.filter(|row| row.kind == TransferKind::Period && row.service.as_deref() == Some(service));
    periods
        .filter_map(|row| row.period)
        .filter(|period| period.secs() == rules::DAY)
        .map(|period| period.from)
        .collect()
}

/// Every midnight after the day of creation up to `last` was charged once.
fn assert_charged_each_day(machine: &Machine, service: &str, last: &str) {
    let (first, last) =
        (Timestamp::parse("2027-01-21T00:00:00Z").expect("a time"), Timestamp::parse(last).expect("a time"));
    let wanted: Vec<Timestamp> = (0..).map(|day| first.plus_days(day)).take_while(|day| *day <= last).collect();
    assert_eq!(days(machine, service), wanted, "{service}");
}

#[test]
fn a_month_goes_wrong_in_many_ways_and_the_books_come_through() {
    let mut machine = opened();

    // A daemon that is killed, and a queue that loses everything, change nothing.
    machine.pass_until("2027-01-21T06:00:00Z");
    machine.kill();
    machine.read(async |store| store.wakes_lose().await.expect("lost"));
    machine.pass_until("2027-01-22T06:00:00Z");
    machine.read(async |store| store.wakes_lose().await.expect("lost"));
    machine.follow("docs/operating/nightly.md", &[]);
    machine.pass_until("2027-01-23T06:00:00Z");
    assert_charged_each_day(&machine, "ann-2", "2027-01-23T00:00:00Z");
    machine.assert_verified();

    a_clock_that_jumps(&mut machine);
    a_price_list_by_a_slip(&mut machine);
    three_days_without_a_daemon(&mut machine);
    a_corrupt_account(&mut machine);

    machine.pass_until("2027-02-01T01:00:00Z");
    assert_charged_each_day(&machine, "ann-1", "2027-02-01T00:00:00Z");
    let invoices = machine.json(&["invoices", "list"]);
    assert!(invoices.to_string().contains("cay"), "{invoices}");
    machine.assert_verified();
    machine.follow("docs/operating/month-end.md", &[("2026-03", "2027-01")]);
    assert_eq!(machine.json(&["books", "list"])["months"][0]["month"], "2027-01");
    machine.stop();
}

/// Forty days ahead nothing is billed and nothing is changed; put right, it goes on; confirmed, it is believed.
fn a_clock_that_jumps(machine: &mut Machine) {
    let before = ledger(machine).len();
    machine.jump(40 * rules::DAY);
    wait_until("the daemon doubts its clock", || machine.log().contains("and should say"));
    let refused = machine.run(&["accounts", "deposit", "ann", "5.00", "--reference", "late"]);
    assert_eq!(refused.status, Some(4), "{refused:?}");
    assert!(refused.err.contains("bursar clock confirm"), "{refused:?}");
    assert_eq!(machine.run(&["doctor"]).status, Some(1));
    machine.jump(-40 * rules::DAY);
    wait_until("the clock is believed again", || machine.json(&["clock", "show"])["doubts"][0].is_null());
    assert_eq!(ledger(machine).len(), before);
    // A restart does not forget a doubt.
    machine.jump(2 * rules::HOUR);
    wait_until("the daemon doubts its clock", || !machine.json(&["clock", "show"])["doubts"][0].is_null());
    machine.stop();
    machine.jump(rules::HOUR);
    machine.start();
    assert!(!machine.json(&["clock", "show"])["doubts"][0].is_null());
    assert_eq!(machine.json(&["clock", "confirm"])["confirmed"], true);
    wait_until("the clock is believed again", || machine.json(&["clock", "show"])["doubts"][0].is_null());
    wait_until("commands are taken", || machine.run(&["doctor"]).status == Some(0));
    machine.assert_verified();
}

/// A list with a wrong price is held at its first midnight, withdrawn, and replaced.
fn a_price_list_by_a_slip(machine: &mut Machine) {
    machine.done(&["prices", "apply", &machine.path("wrong.toml"), "--effective-at", "2027-01-24T00:00:00Z", "--yes"]);
    let before = days(machine, "ann-1");
    machine.pass_until("2027-01-24T02:00:00Z");
    let runs = machine.json(&["runs", "list", "--job", "bill_instances"]);
    let held = &runs["runs"][0];
    assert_eq!((held["state"].as_str(), held["slot"].as_str()), (Some("held"), Some("2027-01-24T00:00:00Z")), "{held}");
    assert!(held["held_for"].as_str().is_some_and(|reason| reason.contains("48.000000")), "{held}");
    assert_eq!(days(machine, "ann-1"), before);
    let waits = machine.run(&["services", "disable", "ann-1"]);
    assert_eq!(waits.status, Some(4), "{waits:?}");
    assert!(waits.err.contains("held"), "{waits:?}");
    let run = held["run"].to_string();
    assert!(machine.done(&["runs", "show", &run]).contains("bursar runs release"));
    assert_eq!(machine.run(&["runs", "watch", &run]).status, Some(4));

    let lists = machine.json(&["prices", "list"]);
    let wrong = lists.as_array().expect("lists").iter().map(|list| list["id"].as_i64().expect("an id")).max();
    let wrong = wrong.expect("a list").to_string();
    machine.follow("docs/operating/held-runs.md", &[("RUN", &run), ("LIST", &wrong), ("WHEN", "2027-01-25T00:00:00Z")]);
    machine.wait_until_idle();
    machine.pass_until("2027-01-25T06:00:00Z");
    assert_charged_each_day(machine, "ann-1", "2027-01-25T00:00:00Z");
    let of_day = |day: &str| {
        let day = Timestamp::parse(day).expect("a time");
        let row = ledger(machine)
            .into_iter()
            .find(|row| row.service.as_deref() == Some("ann-1") && row.period.is_some_and(|period| period.from == day));
        row.expect("a charge").amount
    };
    assert_eq!(of_day("2027-01-24T00:00:00Z"), Micros::new(2_400_000));
    assert_eq!(of_day("2027-01-25T00:00:00Z"), Micros::new(2_640_000));
    machine.assert_verified();
}

/// What fell due meanwhile is done at its own seconds, and the slots are told as covered.
fn three_days_without_a_daemon(machine: &mut Machine) {
    machine.stop();
    machine.jump(3 * rules::DAY);
    let early = machine.run(&["services", "disable", "ann-2"]);
    assert_eq!(early.status, Some(4), "{early:?}");
    machine.start();
    machine.wait_until_idle();
    assert_charged_each_day(machine, "ann-2", "2027-01-28T00:00:00Z");
    let runs = machine.json(&["runs", "list", "--job", "bill_instances"]);
    let covered = runs["runs"].as_array().expect("runs").iter().filter(|run| !run["covered_by"].is_null()).count();
    assert_eq!(covered, 2, "{runs}");
    assert_eq!(machine.read(async |store| store.outages().await.expect("outages")).len(), 1);
    machine.follow("docs/operating/after-an-outage.md", &[]);
}

/// Its account is parked and named, the others go on; mended, it is retried.
fn a_corrupt_account(machine: &mut Machine) {
    machine.stop();
    let books = machine.path("books.db");
    let overwrite = |from: &[u8], to: &[u8]| {
        let mut bytes = std::fs::read(&books).expect("the books");
        let places: Vec<usize> =
            bytes.windows(from.len()).enumerate().filter(|(_, found)| *found == from).map(|(at, _)| at).collect();
        assert!(!places.is_empty(), "nowhere in the books");
        for at in places {
            bytes[at..][..to.len()].copy_from_slice(to);
        }
        std::fs::write(&books, bytes).expect("written");
    };
    overwrite(b"cloud{}[]", b"cloud{][]");
    machine.jump(6 * rules::HOUR);
    machine.start();
    machine.pass_until("2027-01-30T06:00:00Z");
    assert_charged_each_day(machine, "ann-1", "2027-01-30T00:00:00Z");
    let verified = machine.run(&["verify"]);
    assert!(verified.status == Some(1) && verified.out.contains("cay"), "{verified:?}");
    machine.stop();
    overwrite(b"cloud{][]", b"cloud{}[]");
    machine.start();
    machine.assert_verified();
}
