//! Corrections by the command line, and the end of a month.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::program::{Daemon, Ended, json_on, run, run_on, wait_until};

/// Cass pays the first invoice in part, and no card is there for the rest; dan pays beforehand.
const QUARTER: &str = r#"{
  "plans": [
    {"id": "day", "mode": "daily", "price": "2.40"},
    {"id": "vps", "mode": "term", "price": "6.00"},
    {"id": "cloud", "mode": "monthly", "price": "90.00"},
    {"id": "hour", "mode": "hourly", "price": "0.10"}
  ],
  "timeline": [
    {"at": "2026-01-05T09:00:00Z", "do": "open_account", "account": "cass"},
    {"at": "2026-01-10T12:00:00Z", "do": "create_service", "account": "cass", "service": "c-1", "plan": "cloud"},
    {"at": "2026-01-10T12:00:00Z", "do": "create_service", "account": "cass", "service": "h-1", "plan": "hour"},
    {"at": "2026-01-11T00:00:00Z", "do": "deposit", "account": "cass", "amount": "100.00"},
    {"at": "2026-01-12T00:00:00Z", "do": "open_account", "account": "dan"},
    {"at": "2026-01-12T00:00:00Z", "do": "deposit", "account": "dan", "amount": "600.00"},
    {"at": "2026-01-12T10:00:00Z", "do": "create_service", "account": "dan", "service": "d-1", "plan": "day"},
    {"at": "2026-01-13T12:00:00Z", "do": "create_service", "account": "dan", "service": "v-1", "plan": "vps"}
  ],
  "until": "2026-04-15T00:00:00Z"
}"#;

/// The quarter as it was played, and a daemon that goes on from there.
struct Host {
    _daemon: Daemon,
    url: String,
    _folder: TempDir,
}

impl Host {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("books.db");
        let url = format!("sqlite:{}", file.to_str().expect("UTF-8"));
        let scenario = folder.path().join("quarter.json");
        fs::write(&scenario, QUARTER).expect("written");
        let played = run(&["simulate", scenario.to_str().expect("UTF-8"), "--database-url", &url]);
        assert_eq!(played.status, Some(0), "{}", played.err);
        let daemon = Daemon::start(&["--database-url", &url]);
        wait_until("it is ready", || daemon.log().contains("ready"));
        Self { _daemon: daemon, url, _folder: folder }
    }

    fn run(&self, command: &str) -> Ended {
        run_on(&self.url, command)
    }

    fn json(&self, command: &str) -> Value {
        json_on(&self.url, command)
    }

    /// Nothing is printed but why not.
    fn fails(&self, command: &str, with: i32, told: &str) {
        let Ended { status, out, err } = self.run(command);
        assert_eq!((status, out.as_str()), (Some(with), ""), "{command}\n{err}");
        assert!(err.contains(told), "{command}\n{err}");
    }

    fn verify(&self) {
        let Ended { status, out, err } = self.run("verify");
        assert_eq!(status, Some(0), "{out}{err}");
    }
}

fn kinds(brought: &Value) -> Vec<&str> {
    let entries = brought["entries"].as_array().expect("entries");
    entries.iter().map(|row| row["kind"].as_str().expect("a kind")).collect()
}

fn cents(amount: &Value) -> i64 {
    let text = amount.as_str().expect("an amount").replace('.', "");
    text.parse().expect("a number")
}

#[test]
fn a_period_and_an_invoice_are_taken_back() {
    let host = Host::start();
    for command in
        ["accounts open zoe", "accounts deposit zoe 100 --reference b-1", "services create zoe z-1 --plan vps"]
    {
        host.json(command);
    }
    let preview = host.json("services void z-1 --reason down --preview");
    assert_eq!((kinds(&preview), &preview["preview"]), (vec!["reversal"], &true.into()));
    let voided = host.json("services void z-1 --reason down");
    assert_eq!((kinds(&voided), &voided["service"]["state"]), (vec!["reversal"], &"cancelled".into()));
    assert_eq!(voided["account"]["wallet"], "100.000000");
    let entry = voided["entries"][0]["ref"].as_str().expect("a reference").to_owned();
    let why = host.json(&format!("explain {entry}"))["why"].as_str().expect("a sentence").to_owned();
    assert!(why.contains("took back") && why.contains("down"), "{why}");
    host.fails("services void z-1 --reason again", 3, "invalid_state");
    host.fails("services void nothing --reason x", 2, "there is no such service");

    let (account, number) = ("cass", 0);
    host.fails(&format!("invoices credit {account} 99 --reason x"), 2, "has no invoice 99");
    host.fails(&format!("invoices credit {account} {number} --reason x --buyer company=A"), 2, "--reissue");
    host.fails(&format!("invoices credit {account} {number} --reason x --reissue --buyer age=7"), 2, "tax_id");
    host.fails(&format!("invoices credit {account} {number} --reason "), 2, "reason");
    let credited =
        host.json(&format!("invoices credit {account} {number} --reason name --reissue --buyer company=Ann"));
    assert!(kinds(&credited).contains(&"invoice_credited") && kinds(&credited).contains(&"invoice_issued"));
    host.fails(&format!("invoices credit {account} {number} --reason again"), 3, "invalid_state");
    let shown = host.json(&format!("invoices show {account} {number}"));
    assert_eq!(shown["state"], "credited");
    let all = host.json(&format!("invoices list --account {account} --limit 500"));
    let anew = all["invoices"].as_array().expect("a list").iter().find(|row| row["reissues"] == shown["ref"]);
    let anew = anew.expect("it was issued anew");
    assert_eq!((&anew["buyer"]["company"], &anew["total"]), (&"Ann".into(), &shown["total"]));
    host.verify();
}

/// A printed number stands wherever its reference does, and names the invoice wherever that is asked for.
#[test]
fn documents_are_named_by_their_printed_numbers() {
    let host = Host::start();
    let dry = "jobs enqueue number_documents --dry-run";
    // The daemon numbers each minute.
    host.json("jobs pause number_documents --reason look");
    host.json("invoices credit cass/i0 --reason twice");
    let ahead = host.json(dry);
    let series: Vec<&str> =
        ahead["series"].as_array().expect("series").iter().map(|row| row["series"].as_str().expect("one")).collect();
    assert!(series.contains(&"CN"), "{ahead}");
    assert!(host.run(dry).out.contains("1 document: CN-000001 to CN-000001"), "{ahead}");
    host.fails(&format!("{dry} --account cass"), 2, "numbers those of all accounts");
    assert_eq!(host.json("invoices show cass/i0")["credit_note"], Value::Null, "a dry run numbers nothing");
    host.json("jobs resume number_documents");
    host.json("jobs enqueue number_documents");
    wait_until("it is numbered", || host.json("invoices show cass/i0")["credit_note"] == "CN-000001");
    assert!(host.run(dry).out.contains("Every document has its number."));

    let shown = host.json("invoices show cass 0");
    let printed = shown["printed"].as_str().expect("a number").to_owned();
    assert_eq!(printed, "INV-000001");
    for name in ["cass/i0", &printed, "INV-1", "CN-000001"] {
        assert_eq!(host.json(&format!("invoices show {name}"))["ref"], "cass/i0", "{name}");
    }
    let text = host.run("invoices show cass/i0").out;
    assert!(text.contains("Invoice INV-000001 (cass/i0)") && text.contains("Credit note CN-000001"), "{text}");
    let listed = host.run("invoices list --account cass").out;
    assert!(listed.contains(&printed) && listed.contains("CN-000001"), "{listed}");
    let behind = host.json(&format!("invoices list --account cass --after {printed}"));
    assert_eq!(behind["invoices"][0]["ref"], "cass/i1");
    assert!(host.run("statement cass").out.contains("INV-000001 (cass/i0)"));
    let line = host.json(&format!("explain {printed}/1"));
    assert_eq!(line["ref"], "cass/i0/1");
    let open = host.json("invoices show cass/i1")["printed"].as_str().expect("a number").to_owned();
    host.json(&format!("invoices write-off {open} --reason gone"));
    assert_eq!(host.json("invoices show cass/i1")["state"], "written_off");
    host.fails("invoices show INV-000099", 2, "there is none");
    host.fails("invoices show cass/t0", 2, "it is no invoice");
    host.verify();
}

#[test]
fn what_is_open_is_written_off() {
    let host = Host::start();
    let (account, number) = ("cass", 1);
    let given_up = host.json(&format!("invoices write-off {account} {number} --reason gone"));
    assert!(kinds(&given_up).contains(&"write_off"), "{given_up}");
    assert_eq!(host.json(&format!("invoices show {account} {number}"))["state"], "written_off");
    host.fails(&format!("invoices write-off {account} {number} --reason gone"), 3, "nothing of it is open");
    host.verify();
}

#[test]
fn months_are_reported_and_closed() {
    let host = Host::start();
    let report = host.json("report revenue --month 2026-03");
    let rows = report["rows"].as_array().expect("rows");
    assert!(rows.len() == 4, "{report}");
    for row in rows {
        let sum = |column: &str| cents(&row[column]);
        assert_eq!(sum("opening") + sum("billed") - sum("earned"), sum("closing"), "{row}");
        assert_eq!(sum("deferred") - sum("accrued"), sum("closing"), "{row}");
    }
    host.fails("report revenue --month 2026-13", 2, "it is a month like 2026-03");
    host.fails("report revenue --month 2999-01", 4, "has not begun");

    host.fails("books close 2026-03", 3, "the next month to close is 2026-01");
    host.fails("books close 2999-01", 4, "ends at");
    for month in ["2026-01", "2026-02", "2026-03"] {
        // What the quarter left half done is done by the daemon's first runs.
        wait_until("the month closes", || host.run(&format!("books close {month}")).status != Some(4));
        host.fails(&format!("books close {month}"), 3, "is closed since");
    }
    let closed = host.json("books list");
    let months: Vec<&Value> = closed["months"].as_array().expect("months").iter().map(|row| &row["month"]).collect();
    assert_eq!(months, ["2026-01", "2026-02", "2026-03"]);
    assert_eq!(host.json("report revenue --month 2026-03")["rows"], report["rows"], "a closed month stays as it was");
    host.verify();
}
