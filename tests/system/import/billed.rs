//! What comes in once, and how it is billed from there.

use crate::support::program::{Daemon, json_on, run, run_on, wait_until};
use rules::Timestamp;
use serde_json::Value;

use super::{Books, moved, renamed};

#[test]
fn a_file_is_brought_in_once_and_billed_from_where_it_stood() {
    let books = Books::new();
    let file = books.file("moved.jsonl", &moved(books.midnight));
    let as_of = ["--as-of", &books.midnight.to_string()];
    for _ in 0..2 {
        let tried = books.import(&[&[file.as_str(), "--dry-run"], &as_of[..]].concat());
        assert_eq!((tried.status, tried.err.as_str()), (Some(0), ""));
        for told in [
            "2 accounts, 4 services, 2 open invoices",
            "wallets come to 31.00 USD, open invoices to 47.00 USD",
            "of the open invoices 36.00 USD is paid from wallets at once",
            "Nothing was written",
        ] {
            assert!(tried.out.contains(told), "{told}: {tried:?}");
        }
    }
    let done = books.import(&[&[file.as_str()], &as_of[..]].concat());
    assert_eq!((done.status, done.err.as_str()), (Some(0), ""));
    books.verified();
    the_printed_total_is_told(&books);
    let again = books.import(&[&file]);
    assert!(again.status == Some(0) && again.out.contains("nothing changes"), "{again:?}");
    let later = books.midnight.plus_secs(1).to_string();
    books.refuses(&[&file, "--as-of", &later], 2, &[&later, &books.midnight.to_string()]);

    let mut other = moved(books.midnight);
    other.swap_remove(1);
    let other = books.file("other.jsonl", &other);
    let refused = books.import(&[&[other.as_str()], &as_of[..]].concat());
    assert_eq!(refused.status, Some(2), "{refused:?}");
    let told = format!("{other}:3: name: account `ann` is in the books already");
    assert!(refused.err.contains(&told), "{told}: {refused:?}");
    // Nor is a printed number given twice, in the books or in a file.
    let renamed = renamed(&moved(books.midnight));
    let refused = books.import(&[&[books.file("renamed.jsonl", &renamed).as_str()], &as_of[..]].concat());
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(refused.err.contains("renamed.jsonl:8: number: ") && refused.err.contains("`R-116`"), "{refused:?}");
    let doubled: Vec<String> = renamed.iter().map(|line| line.replace("R-116", "R-7").replace("R-98", "R-7")).collect();
    let refused = books.import(&[&[books.file("doubled.jsonl", &doubled).as_str()], &as_of[..]].concat());
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(refused.err.contains("number: `R-7` of series `R` stands in this file already"), "{refused:?}");
    // A private plan is nobody else's to publish.
    let list = books.file("list.toml", &["[[plans]]\nid = \"own\"\nmode = \"daily\"\nprice = \"9.00\"".to_owned()]);
    let tomorrow = books.midnight.plus_days(2).to_string();
    let diff = run(&["prices", "diff", &list, "--effective-at", &tomorrow, "--database-url", &books.url]);
    assert!(diff.status == Some(2) && diff.err.contains("one customer's own"), "{diff:?}");
}

/// Of 90.00 on paper 40.00 was open.
#[track_caller]
fn the_printed_total_is_told(books: &Books) {
    let told = |command: &str| run_on(&books.url, command).out;
    let came = "Issued elsewhere over 90.00 USD; its total here is what was still open, 40.00 USD.";
    for command in ["invoices show R-116", "invoices credit R-116 --reason twice --preview"] {
        assert!(told(command).contains(came), "{command}: {}", told(command));
        assert_eq!(json_on(&books.url, command)["printed_total"], "90.00", "{command}");
    }
    let listed = json_on(&books.url, "invoices list --account ann");
    assert_eq!(
        (&listed["invoices"][0]["total"], &listed["invoices"][0]["printed_total"]),
        (&"40.00".into(), &"90.00".into())
    );
    let listed = told("invoices list --account ann");
    assert!(listed.contains("printed total") && listed.contains("90.00"), "{listed}");
    assert!(!told("invoices list --account old").contains("printed total"));
}

#[test]
fn what_was_paid_until_midnight_is_due_then() {
    let books = Books::new();
    let file = books.file("many.jsonl", &books.many(3, 2));
    assert_eq!(books.import(&[&file]).status, Some(0));
    books.verified();
    let daemon = Daemon::start(&["--database-url", &books.url]);
    wait_until("the midnight is done", || {
        daemon.log().lines().any(|line| line.contains("run finished") && line.contains("job=\"bill_instances\""))
    });
    let (status, log) = daemon.terminate();
    assert_eq!(status, Some(0), "{log}");
    let finished = log.lines().find(|line| line.contains("run finished") && line.contains("bill_instances"));
    assert!(finished.is_some_and(|line| line.contains("\"period\": 6")), "{log}");
    books.verified();
}

/// What an account comes to: it has money beside an open invoice, and is suspended for another one.
fn owing(at: Timestamp) -> Vec<String> {
    let opened = at.plus_secs(-60 * rules::DAY);
    let (name, of) = (r#""name": "ann""#, r#""account": "ann""#);
    let invoice = |number: u32, days: i64, open: &str, more: &str| {
        let issued = at.plus_secs(-days * rules::DAY);
        format!(
            r#"{{"kind": "invoice", {of}, "number": "{number}", "issued_at": "{issued}", "total": "50.00", "open": "{open}"{more}}}"#
        )
    };
    vec![
        format!(r#"{{"kind": "account", {name}, "opened_at": "{opened}", "suspended_for": "unpaid"}}"#),
        format!(r#"{{"kind": "wallet", {of}, "balance": "60.005"}}"#),
        format!(
            r#"{{"kind": "service", {of}, "name": "ann-1", "plan": "dms", "created_at": "{opened}", "paid_until": "{}", "stopped_for": "unpaid"}}"#,
            at.next_midnight()
        ),
        invoice(1, 20, "40.00", r#", "overdue": true"#),
        invoice(2, 3, "50.00", ""),
        r#"{"kind": "totals", "accounts": 1, "services": 1, "invoices": 2, "wallets": {"USD": "60.005"}, "open": {"USD": "90.00"}}"#.to_owned(),
    ]
}

#[test]
fn money_beside_an_open_invoice_pays_it_at_once() {
    let books = Books::new();
    let file = books.file("owing.jsonl", &owing(books.midnight));
    let as_of = ["--as-of", &books.midnight.to_string(), "--format", "json"];
    let json = |arguments: &[&str]| -> Value {
        let done = books.import(&[&[file.as_str()], arguments].concat());
        assert_eq!((done.status, done.err.as_str()), (Some(0), ""));
        serde_json::from_str(&done.out).expect("JSON alone")
    };
    let checked = json(&[&["--dry-run"], &as_of[..]].concat());
    let brought = json(&as_of);
    assert_eq!((&checked["outcome"], &brought["outcome"]), (&"checked".into(), &"brought_in".into()));
    for told in [checked, brought] {
        assert_eq!(told["open"]["USD"], "90.000000");
        assert_eq!((&told["paid_at_once"]["USD"], &told["restored"]), (&"60.000000".into(), &1.into()));
        assert_eq!((&told["accounts"], &told["as_of"]), (&1.into(), &books.midnight.to_string().into()));
    }
    assert_eq!(json(&as_of)["outcome"], "nothing_changes");
    books.verified();
    let shown = run(&["accounts", "show", "ann", "--format", "json", "--database-url", &books.url]);
    let shown: Value = serde_json::from_str(&shown.out).expect("JSON");
    let account = &shown["account"];
    assert_eq!((&account["state"], &account["wallet"]), (&"active".into(), &"0.005000".into()), "{shown}");
    let service = run(&["services", "show", "ann-1", "--format", "json", "--database-url", &books.url]);
    assert!(service.out.contains("\"enabled\""), "{service:?}");
}

/// Nothing of it is booked before the import, however long its grace is over, and who is suspended for it is told first.
#[test]
fn an_invoice_past_its_grace_suspends_behind_the_import() {
    let books = Books::new();
    let as_of = books.midnight.to_string();
    let opened = books.midnight.plus_secs(-60 * rules::DAY);
    let issued = books.midnight.plus_secs(-20 * rules::DAY);
    let file = books.file(
        "late.jsonl",
        &[
            format!(r#"{{"kind": "account", "name": "late", "opened_at": "{opened}"}}"#),
            r#"{"kind": "wallet", "account": "late", "balance": "1.00"}"#.to_owned(),
            format!(
                r#"{{"kind": "invoice", "account": "late", "number": "1", "issued_at": "{issued}", "total": "50.00", "open": "40.00"}}"#
            ),
            r#"{"kind": "totals", "accounts": 1, "invoices": 1, "wallets": {"USD": "1.00"}, "open": {"USD": "40.00"}}"#
                .to_owned(),
        ],
    );
    let checked = books.import(&[&file, "--as-of", &as_of, "--dry-run"]);
    assert!(checked.out.contains("suspended at once, for an invoice of them is overdue: 1"), "{checked:?}");
    let brought = books.import(&[&file, "--as-of", &as_of, "--format", "json"]);
    let brought: Value = serde_json::from_str(&brought.out).expect("JSON");
    assert_eq!(brought["suspended"], 1);
    let statement = run(&["statement", "late", "--format", "json", "--database-url", &books.url]);
    let statement: Value = serde_json::from_str(&statement.out).expect("JSON");
    let entries = statement["entries"].as_array().expect("a list");
    assert!(entries.iter().all(|entry| entry["effective_at"] == as_of.as_str()), "{statement}");
    books.verified();
}
