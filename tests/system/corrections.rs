//! Corrections by the command line, and the end of a month.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::program::{Daemon, Ended, run, wait_until};

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
        let words: Vec<&str> = command.split_whitespace().collect();
        run(&[&words[..], &["--database-url", &self.url]].concat())
    }

    fn json(&self, command: &str) -> Value {
        let Ended { status, out, err } = self.run(&format!("{command} --format json"));
        assert_eq!((status, err.as_str()), (Some(0), ""), "{command}\n{out}");
        serde_json::from_str(&out).expect(command)
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
