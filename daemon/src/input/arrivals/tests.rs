//! What people who mean well, and others, may hand in.

use std::fs;

use rules::{Mode, Plan};
use tempfile::TempDir;

use super::*;

const AT: &str = "2026-04-10T08:00:00Z";
const ANN: &str = r#"{"kind": "account", "name": "ann", "opened_at": "2026-01-01T00:00:00Z"}"#;

fn at() -> Timestamp {
    Timestamp::parse(AT).expect("a time")
}

fn plans() -> PriceBook {
    let component = |metered| {
        let tiers = vec![rules::Tier { up_to: None, unit_price: Micros::new(1) }];
        rules::Component { included: Micros::ZERO, tiers, metered, shrink_erases: false }
    };
    let plan = |mode: Mode| {
        let components = [("disk".to_owned(), component(false)), ("traffic".to_owned(), component(true))].into();
        let (price, options) = (Micros::new(3_000_000), BTreeMap::new());
        let plan = Plan { mode, price, currency: None, term_months: 1, components, options, private: false };
        (mode.name().to_owned(), plan)
    };
    let mut book = PriceBook::default();
    book.lay(Timestamp::BEGINNING, Mode::ALL.map(plan).into()).expect("a list");
    let euros = Plan { currency: rules::Currency::parse("EUR"), ..plan(Mode::Daily).1 };
    book.lay(Timestamp::BEGINNING, [("euros".to_owned(), euros)].into()).expect("a list");
    book
}

/// Reads a file to its end: the accounts in it, and what it comes to or what is wrong, without the file's name.
fn read(bytes: &[u8]) -> (Vec<Imported>, Result<Read, Vec<String>>) {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("f");
    fs::write(&file, bytes).expect("written");
    let policy = Arc::new(Policy::default());
    let terms = Terms { book: plans(), policy, outages: Vec::new(), at: at() };
    let mut arrivals = Arrivals::open(&file, terms).expect("opened");
    let accounts = std::iter::from_fn(|| arrivals.next_account()).collect();
    let name = file.display().to_string();
    let told = |problems: Problems| {
        let lines = problems.as_slice().iter().map(ToString::to_string);
        lines.map(|line| line.strip_prefix(&format!("{name}:")).unwrap_or(&line).to_owned()).collect()
    };
    (accounts, arrivals.finish().map_err(told))
}

fn problems(lines: &[&str]) -> Vec<String> {
    read(lines.join("\n").as_bytes()).1.expect_err("wrong")
}

/// What is told of one line behind ann's, and of nothing else.
#[track_caller]
fn refused(line: &str, told: &str) {
    let first = problems(&[ANN, line]).into_iter().find(|problem| problem.starts_with("2:"));
    let first = first.unwrap_or_else(|| panic!("{line}: is taken"));
    assert!(first.contains(told), "{line}\n{first}\n{told}");
}

#[test]
fn a_file_may_come_from_any_machine() {
    let totals = r#"{"kind": "totals", "accounts": 1}"#;
    let windows = format!("\u{feff}{ANN}\r\n\r\n{totals}\r\n");
    let (accounts, read_one) = read(windows.as_bytes());
    assert_eq!((accounts.len(), read_one.map(|read| read.totals.accounts)), (1, Ok(1)));
    assert!(read(format!("{ANN}\n{totals}").as_bytes()).1.is_ok(), "without an end of its last line");
    let person = ANN.replace("}", ", \"person\": \"Jürgen Müller-日本 🌊\"}");
    let (accounts, _) = read(format!("{person}\n{totals}").as_bytes());
    assert_eq!(accounts[0].details["person"], "Jürgen Müller-日本 🌊");
}

#[test]
fn what_is_no_line_is_told_with_its_number_and_the_rest_is_read() {
    assert_eq!(problems(&[]), [" the last line has to be the `totals`"]);
    let mut bytes = Vec::new();
    bytes.extend_from_slice(b"\xff\xfe{}\n");
    bytes.extend(std::iter::repeat_n(b'x', 3 << 20));
    bytes.extend_from_slice(b"\n{\"kind\"\n[1]\n\"x\"\nnull\n{}\n{\"kind\": \"acount\"}\n");
    bytes.extend_from_slice(format!("{ANN}\n{{\"kind\": \"totals\", \"accounts\": 1}}\n").as_bytes());
    let (accounts, found) = read(&bytes);
    assert_eq!(accounts.len(), 1);
    let found = found.expect_err("wrong");
    let told = [
        "1: it is not UTF-8, from its byte 1 on",
        "2: the line is longer than 1048576 bytes",
        "3:7: not JSON",
        "4: a list: a line is an object",
        "5: \"x\": a line is an object",
        "6: null: a line is an object",
        "7: the key `kind` is missing",
        "8: kind: \"acount\": it is one of",
    ];
    assert_eq!(found.len(), told.len(), "{found:#?}");
    for (found, told) in found.iter().zip(told) {
        assert!(found.starts_with(told), "{found}\n{told}");
    }
}

#[test]
fn a_flood_of_problems_is_counted_and_not_kept() {
    let lines = vec!["{}"; TOLD + 200];
    let told = problems(&lines);
    assert_eq!(told.len(), TOLD + 1);
    assert!(told[TOLD].ends_with("201 more problems are not told one by one"), "{}", told[TOLD]);
}

#[test]
fn every_value_is_looked_at() {
    for (line, told) in [
        (r#"{"kind": "wallet", "account": "ann", "balance": "5", "currency": "EUR"}"#, "currency: unknown key"),
        (r#"{"kind": "wallet", "account": "ann", "balance": 5}"#, "balance: the integer 5: a balance is a decimal"),
        (r#"{"kind": "wallet", "account": "ann", "balance": 5.0}"#, "balance: a float: a balance is a decimal"),
        (r#"{"kind": "wallet", "account": "ann", "balance": "1e9"}"#, "balance: \"1e9\": a balance is a decimal"),
        (r#"{"kind": "wallet", "account": "bob", "balance": "5"}"#, "stand directly behind its own"),
        (r#"{"kind": "wallet", "account": "ann", "account": "ann", "balance": "5"}"#, "this key is given twice"),
        (r#"{"kind": "numbers", "series": "INV", "next": 0}"#, "next: the integer 0: it is a whole number from 1"),
        (
            r#"{"kind": "numbers", "series": "Inv", "next": 7}"#,
            "series: \"Inv\": [documents] of the configuration names",
        ),
        (
            r#"{"kind": "numbers", "series": "INV-", "next": 7}"#,
            "it names `INV` for invoices and `CN` for credit notes",
        ),
        (r#"{"kind": "numbers", "series": "", "next": 7}"#, "names no such series"),
        (r#"{"kind": "numbers", "series": " inv ", "next": 7}"#, "names no such series"),
        (r#"{"kind": "account", "name": "jürgen", "opened_at": "2026-01-01T00:00:00Z"}"#, "all of them ASCII"),
        (ANN, "account `ann` stands in this file already"),
        (r#"{"kind": "account", "name": "bob", "opened_at": "2026-04-10T08:00:01Z"}"#, "not after the second"),
        (r#"{"kind": "account", "name": "bob", "opened_at": "2026-02-30T00:00:00Z"}"#, "a time is a string like"),
        (r#"{"kind": "account", "name": "bob", "closed_at": "2026-02-01T00:00:00Z"}"#, "stay in the old books"),
        (
            r#"{"kind": "account", "name": "bob", "opened_at": "2026-01-01T00:00:00Z", "suspended_for": "closed"}"#,
            "it is one of \"unpaid\"",
        ),
        (
            r#"{"kind": "account", "name": "bob", "opened_at": "2026-01-01T00:00:00Z", "tax_id": "a\u0000b"}"#,
            "none of them a control character",
        ),
        (
            r#"{"kind": "account", "name": "bob", "opened_at": "2026-01-01T00:00:00Z", "trial_traffic_used": "1"}"#,
            "give `trial_ends_at`",
        ),
    ] {
        refused(line, told);
    }
    let twice = [ANN, r#"{"kind": "wallet", "account": "ann", "balance": "0"}"#];
    let told = problems(&[&twice[..], &twice[1..]].concat());
    assert!(told.iter().any(|problem| problem.starts_with("3: ") && problem.ends_with("on line 2")), "{told:?}");
}

#[test]
fn services_and_invoices_are_looked_at() {
    let service = |rest: &str| format!(r#"{{"kind": "service", "account": "ann", "name": "s", {rest}}}"#);
    let created = r#""created_at": "2026-01-31T12:00:00Z""#;
    for (rest, told) in [
        (format!(r#""plan": "none", {created}, "paid_until": "{AT}""#), "plan: \"none\": no plan in force serves"),
        (format!(r#""plan": "euros", {created}, "paid_until": "{AT}""#), "an account in USD"),
        (format!(r#""plan": "term", {created}, "paid_until": "2026-04-29T12:00:00Z""#), "paid_until: \"2026-04-29T"),
        (
            format!(r#""plan": "daily", {created}, "paid_until": "2026-04-11T00:00:00Z", "anchor": "{AT}""#),
            "anchor: \"2026-04-10T08:00:00Z\": only terms have one",
        ),
        (
            format!(r#""plan": "monthly", {created}, "paid_until": "2026-05-01T00:00:00Z", "stopped_for": "customer""#),
            "stopped_for: \"customer\": only a daily instance",
        ),
        (
            format!(r#""plan": "monthly", {created}, "paid_until": "{AT}", "quantities": {{"traffic": "1"}}"#),
            "component `traffic` of plan `monthly` is metered",
        ),
        (
            format!(r#""plan": "monthly", {created}, "paid_until": "{AT}", "quantities": {{"disk": "-1"}}"#),
            "a quantity is a decimal",
        ),
        (
            format!(r#""plan": "monthly", {created}, "paid_until": "{AT}", "options": ["backup"]"#),
            "has no option `backup`",
        ),
        (
            format!(r#""plan": "daily", "created_at": "2025-12-31T23:59:59Z", "paid_until": "{AT}""#),
            "not before the account's `opened_at`",
        ),
    ] {
        refused(&service(&rest), told);
    }
    let fits = service(&format!(r#""plan": "term", {created}, "paid_until": "2026-04-30T12:00:00Z""#));
    let again = problems(&[ANN, &fits, &fits]);
    assert!(again[0].starts_with("3: service `s` stands in this file already"), "{again:?}");

    let invoice =
        |rest: &str| format!(r#"{{"kind": "invoice", "account": "ann", "issued_at": "2026-04-01T00:00:00Z", {rest}}}"#);
    for (rest, told) in [
        (r#""number": "1", "total": "-5.00", "open": "5.00""#, "total: \"-5.00\": the amount is a decimal"),
        (r#""number": "1", "total": "5.00", "open": "0""#, "open: \"0\": the amount is a decimal"),
        (r#""number": "1", "total": "5.00", "open": "6.00""#, "what is still to pay is at most the total"),
        (r#""number": "1", "total": "5.001", "open": "1.00""#, "in whole minor units"),
        (
            r#""number": " ", "total": "5.00", "open": "1.00""#,
            "number: \" \": it is as it was printed: 1 to 64 characters",
        ),
        (r#""number": "1", "series": " INV", "total": "5.00", "open": "1.00""#, "series: \" INV\": it is as it was"),
        (r#""number": "1", "series": "", "total": "5.00", "open": "1.00""#, "series: \"\": it is as it was printed"),
    ] {
        refused(&invoice(rest), told);
    }
}

#[test]
fn of_an_account_that_is_wrong_itself_its_lines_are_not_told_too() {
    let told = problems(&[
        &ANN.replace("2026-01-01", "2027-01-01"),
        r#"{"kind": "wallet", "account": "ann", "balance": "5"}"#,
        r#"{"kind": "totals"}"#,
    ]);
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn who_the_customer_is_is_looked_at() {
    let account =
        |rest: &str| format!(r#"{{"kind": "account", "name": "bob", "opened_at": "2026-03-01T10:00:00Z", {rest}}}"#);
    for (rest, told) in [
        (r#""email": "not an email""#, "email: \"not an email\": an e-mail address is like"),
        (r#""provider": "cash""#, "provider: \"cash\": a payment provider is one of stripe, paypal, btcpay"),
        (r#""payment_method": "pm_1""#, "payment_method: it is a provider's: say which one"),
        (r#""provider_customer": "cus_1""#, "provider_customer: it is a provider's: say which one"),
        (r#""trial_ends_at": "2026-06-30T00:00:01Z""#, "a trial lasts 30 days behind the day of `opened_at`"),
    ] {
        refused(&account(rest), told);
    }
    let method = r#""provider": "stripe", "payment_method": "pm_1""#;
    let (ann, bob) = (ANN.replace('}', &format!(", {method}}}")), account(method));
    let told = problems(&[&ann, &bob]);
    assert!(told[0].starts_with("2: payment_method: `pm_1` of stripe stands in this file already"), "{told:?}");
    let longest = account(r#""trial_ends_at": "2026-06-30T00:00:00Z""#);
    assert!(!problems(&[&longest]).iter().any(|problem| problem.contains("trial")), "given on top");
}
