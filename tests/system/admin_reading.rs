//! What an admin reads from books: lists page by page, statements, and why. No daemon is needed for it.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::program::run;

/// Ann runs out of money at midnight, bob doesn't pay his invoice, cid cannot renew; dan pays with his card.
const SCENARIO: &str = r#"{
  "plans": [
    {"id": "dms", "mode": "daily", "price": "2.40"},
    {"id": "vps", "mode": "term", "price": "6.00"},
    {"id": "cloud", "mode": "monthly", "price": "12.00"}
  ],
  "timeline": [
    {"at": "2026-01-05T12:00:00Z", "do": "open_account", "account": "ann"},
    {"at": "2026-01-05T12:00:00Z", "do": "deposit", "account": "ann", "amount": "10.00"},
    {"at": "2026-01-05T12:00:00Z", "do": "create_service", "account": "ann", "service": "a-1", "plan": "dms"},
    {"at": "2026-01-05T12:00:00Z", "do": "create_service", "account": "ann", "service": "a-2", "plan": "dms"},
    {"at": "2026-01-05T12:00:00Z", "do": "open_account", "account": "cid"},
    {"at": "2026-01-05T12:00:00Z", "do": "deposit", "account": "cid", "amount": "10.00"},
    {"at": "2026-01-05T12:00:00Z", "do": "create_service", "account": "cid", "service": "c-1", "plan": "vps"},
    {"at": "2026-01-05T13:00:00Z", "do": "adjust", "account": "cid", "amount": "-0.50", "reason": "by phone"},
    {"at": "2026-01-05T13:00:00Z", "do": "adjust", "account": "cid", "amount": "0.50", "reason": "sorry"},
    {"at": "2026-01-06T12:00:00Z", "do": "set_prices", "plans": [{"id": "vps", "mode": "term", "price": "7.00"}]},
    {"at": "2026-01-20T12:00:00Z", "do": "open_account", "account": "bob"},
    {"at": "2026-01-20T12:00:00Z", "do": "create_service", "account": "bob", "service": "b-1", "plan": "cloud"},
    {"at": "2026-01-20T12:00:00Z", "do": "open_account", "account": "dan", "card": "succeeds"},
    {"at": "2026-01-20T12:00:00Z", "do": "create_service", "account": "dan", "service": "d-1", "plan": "cloud"}
  ],
  "until": "2026-02-10T00:00:00Z"
}"#;

struct Books {
    url: String,
    _folder: TempDir,
}

impl Books {
    fn played() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, books) = (folder.path().join("scenario.json"), folder.path().join("books.db"));
        fs::write(&file, SCENARIO).expect("written");
        let url = format!("sqlite:{}", books.display());
        let played = run(&["simulate", file.to_str().expect("UTF-8"), "--database-url", &url]);
        assert_eq!((played.status, played.err.as_str()), (Some(0), ""));
        Self { url, _folder: folder }
    }

    fn text(&self, command: &str) -> String {
        let words: Vec<&str> = command.split_whitespace().collect();
        let done = run(&[&words[..], &["--database-url", &self.url]].concat());
        assert_eq!((done.status, done.err.as_str()), (Some(0), ""), "{command}");
        done.out
    }

    fn json(&self, command: &str) -> Value {
        serde_json::from_str(&self.text(&format!("{command} --format json"))).expect(command)
    }

    fn bad_input(&self, command: &str, told: &str) {
        let words: Vec<&str> = command.split_whitespace().collect();
        let done = run(&[&words[..], &["--database-url", &self.url]].concat());
        assert_eq!((done.status, done.out.as_str()), (Some(2), ""), "{command}: {}", done.err);
        assert!(done.err.contains(told), "{command}: {}", done.err);
    }

    /// The reference of the service's first event of that kind.
    fn event(&self, service: &str, kind: &str) -> String {
        let shown = self.json(&format!("services show {service}"));
        let found = shown["events"].as_array().expect("events").iter().find(|event| event["kind"] == kind);
        found.unwrap_or_else(|| panic!("{kind} in {shown:#}"))["ref"].as_str().expect("a reference").to_owned()
    }

    /// Why, in the text and in JSON.
    fn explained(&self, reference: &str, told: &[&str]) -> Value {
        let text = self.text(&format!("explain {reference}"));
        for part in told {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        let json = self.json(&format!("explain {reference}"));
        assert_eq!(json["ref"], reference);
        assert!(text.contains(json["why"].as_str().expect("why")), "{text}");
        json
    }
}

fn strings<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list.as_array().expect("a list").iter().map(|row| row[key].as_str().expect("a text")).collect()
}

#[test]
fn lists_go_on_behind_their_last_row() {
    let books = Books::played();
    let mut names = Vec::new();
    let mut after = String::new();
    loop {
        let page = books.json(&format!("accounts list --limit 3{after}"));
        names.extend(strings(&page["accounts"], "account").into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else { break };
        after = format!(" --after {next}");
    }
    assert_eq!(names, ["ann", "bob", "cid", "dan"]);
    let suspended = books.json("accounts list --state suspended");
    assert_eq!(strings(&suspended["accounts"], "account"), ["bob"]);
    assert_eq!(
        (&suspended["accounts"][0]["reason"], &suspended["accounts"][0]["open_invoices"]),
        (&"unpaid".into(), &"16.450000".into())
    );
    assert_eq!(strings(&books.json("services list --state removal_queued")["services"], "service"), ["c-1"]);
    assert_eq!(strings(&books.json("services list --mode daily --limit 1")["services"], "service"), ["a-1"]);

    let all = books.json("invoices list");
    assert_eq!(strings(&all["invoices"], "ref"), ["bob/i0", "dan/i0"]);
    assert_eq!(strings(&all["invoices"], "state"), ["overdue", "paid"]);
    let first = books.json("invoices list --limit 1");
    assert_eq!(first["next"], "bob/i0");
    assert!(books.text("invoices list --limit 1").contains("go on with --after bob/i0"));
    assert_eq!(strings(&books.json("invoices list --after bob/i0")["invoices"], "ref"), ["dan/i0"]);
    for (filter, found) in [
        ("--state open", &["bob/i0"][..]),
        ("--state overdue", &["bob/i0"]),
        ("--state paid", &["dan/i0"]),
        ("--account dan", &["dan/i0"]),
        ("--account dan --state open", &[]),
        ("--account ann", &[]),
    ] {
        assert_eq!(strings(&books.json(&format!("invoices list {filter}"))["invoices"], "ref"), found, "{filter}");
    }
    let invoice = books.json("invoices show bob 0");
    assert_eq!(strings(&invoice["lines"], "ref"), ["bob/i0/1", "bob/i0/2"]);
    assert_eq!(strings(&invoice["lines"], "amount"), ["4.45", "12.00"]);
    assert_eq!((&invoice["total"], &invoice["to_pay"]), (&"16.45".into(), &"16.45".into()));
    books.bad_input("invoices show bob 7", "account `bob` has no invoice 7");
    books.bad_input("invoices show eve 0", "there is no such account");
    books.bad_input("invoices list --after bob/t0", "it is an invoice");
    books.bad_input("invoices list --after bob", "there is none");
    books.bad_input("invoices list --limit 0", "0 is not in");
}

#[test]
fn a_statement_runs_from_one_balance_to_the_next() {
    let books = Books::played();
    let whole = books.json("statement ann");
    assert_eq!(strings(&whole["entries"], "ref"), ["ann/t0", "ann/t1", "ann/t2", "ann/t3", "ann/t4", "ann/t5"]);
    let balances = ["10.000000", "8.800000", "7.600000", "5.200000", "2.800000", "0.400000"];
    assert_eq!(strings(&whole["entries"], "balance"), balances);
    assert_eq!((&whole["opening_balance"], &whole["closing_balance"]), (&"0.000000".into(), &balances[5].into()));
    assert_eq!(whole["as_of"], "2026-02-10T00:00:00Z");
    let day = books.json("statement ann --from 2026-01-06 --to 2026-01-07");
    assert_eq!(strings(&day["entries"], "ref"), ["ann/t3", "ann/t4"]);
    assert_eq!((&day["opening_balance"], &day["closing_balance"]), (&"7.600000".into(), &"2.800000".into()));
    // Page by page, from the newest back; each page begins where the one before it ends.
    let newest = books.json("statement ann --limit 4");
    assert_eq!(strings(&newest["entries"], "ref"), ["ann/t2", "ann/t3", "ann/t4", "ann/t5"]);
    assert_eq!((&newest["opening_balance"], &newest["older_before"]), (&balances[1].into(), &"ann/t2".into()));
    let older = books.json("statement ann --limit 4 --before ann/t2");
    assert_eq!(strings(&older["entries"], "ref"), ["ann/t0", "ann/t1"]);
    assert_eq!((&older["closing_balance"], &older["older_before"]), (&balances[1].into(), &Value::Null));
    let nothing = books.json("statement ann --before ann/t0");
    assert_eq!((&nothing["opening_balance"], &nothing["closing_balance"]), (&"0.000000".into(), &"0.000000".into()));
    assert!(books.text("statement ann --limit 4").contains("for older ones go on with --before ann/t2"));
    books.bad_input("statement ann --before bob/t2", "it is an entry of the account");
    let text = books.text("statement bob");
    assert!(
        text.contains("as of 2026-02-10T00:00:00Z") && text.contains("bob/i0") && text.contains("overdue"),
        "{text}"
    );
    books.bad_input("statement ann --from yesterday", "a time is UTC in whole seconds");
    books.bad_input("statement eve", "there is no such account");
}

#[test]
fn each_entry_and_line_has_its_why() {
    let books = Books::played();
    books.explained("ann/t0", &["10.00 USD was deposited", "`entry-2`", "In effect at 2026-01-05T12:00:00Z"]);
    let first = books.explained("ann/t1", &["1.20 USD was charged for a-1", "43200 s / 86400 s", "by the first list"]);
    assert_eq!((&first["price_list"], &first["run"]), (&"first".into(), &Value::Null));
    let night = books.explained("ann/t3", &["2.40 USD: 2.40 of plan dms", "(bill_instances of 2026-01-06T00:00:00Z)"]);
    assert!(night["run"].is_number() && night["inputs"]["share"]["of"]["order"]["plan"] == "dms", "{night:#}");
    books.explained("cid/t2", &["scenario charged 0.50 USD: by phone."]);
    books.explained("cid/t3", &["scenario gave a bonus of 0.50 USD: sorry."]);
    books.explained("bob/t0", &["Invoice bob/i0 was issued over 16.45 USD"]);
    books.explained("dan/t1", &["The saved card paid 16.45 USD of dan/i0."]);
    let line = books.explained("bob/i0/1", &["4.45 USD was invoiced for b-1", "993600 s / 2678400 s, rounded"]);
    assert_eq!((&line["related"][0], &line["effective_at"]), (&"bob/t0".into(), &"2026-02-01T00:00:00Z".into()));
    assert!(line["run_of"].as_str().expect("a run").contains("issue_invoices of 2026-02-01T00:00:00Z"), "{line:#}");

    books.bad_input("explain ann/t99", "there is none");
    books.bad_input("explain bob/i0/9", "there is none");
    books.bad_input("explain ann/e99", "there is none");
    books.bad_input("explain bob/i0", "name one of its lines");
    books.bad_input("explain bob", "it is a reference as tables show it");
    books.bad_input("explain eve/t0", "there is no such account");
}

#[test]
fn each_event_has_its_why() {
    let books = Books::played();
    books.explained(&books.event("a-1", "service.created"), &["a-1 was ordered: the wallet moved by -1.20 USD"]);
    let price = "the period that began then cost 2.40 USD, and the wallet had 0.40 USD since ann/t5";
    // The other one was paid at the same second, before it.
    let second = books.explained(&books.event("a-2", "service.disabled"), &["insufficient_funds", price]);
    assert_eq!((&second["effective_at"], &second["amount"]), (&"2026-01-07T00:00:00Z".into(), &"2.400000".into()));
    let first = books.explained(&books.event("a-1", "service.disabled"), &[price]);
    assert_eq!(first["effective_at"], "2026-01-08T00:00:00Z");

    let term = books.explained(
        &books.event("c-1", "service.suspended"),
        &["cost 7.00 USD, and the wallet had 4.00 USD since cid/t3"],
    );
    assert_eq!((&term["price_list"], &term["related"][0]), (&"2026-01-06T12:00:00Z".into(), &"cid/t3".into()));
    let removal = books.explained(
        &books.event("c-1", "service.removal_queued"),
        &["suspended for insufficient_funds at 2026-02-05T12:00:00Z"],
    );
    assert_eq!(removal["related"][0].as_str(), Some(books.event("c-1", "service.suspended").as_str()));

    let unpaid = "Invoice bob/i0 over 16.45 USD, issued 2026-02-01T00:00:00Z, was still open 7 days later";
    let stopped = books.event("b-1", "service.suspended");
    books.explained(
        &stopped,
        &["b-1 was stopped with its account", "suspended for unpaid", unpaid, "overdue since 2026-02-08"],
    );
    // The account's own events have no service: they stand before the service's.
    let number: i64 = stopped.rsplit_once("/e").and_then(|(_, number)| number.parse().ok()).expect("a number");
    books.explained(&format!("bob/e{}", number - 1), &["account bob is suspended for unpaid", unpaid]);
    books.explained(&format!("bob/e{}", number - 2), &[unpaid]);
    books.explained("dan/e2", &["Nothing was left to pay of dan/i0"]);
}
