//! Hosts that move here: a file is checked whole, brought in once, and billed from where it stood.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use crate::support::program::{Daemon, Ended, bursar, run, wait_until};
use jobs::Clock;
use rules::Timestamp;
use tempfile::TempDir;

const PLANS: &str = r#"[{"id": "dms", "mode": "daily", "price": "2.40"}, {"id": "vps", "mode": "term", "price": "6.00"},
    {"id": "cloud", "mode": "monthly", "price": "90.00"}, {"id": "cloud-h", "mode": "hourly", "price": "0.018"}]"#;

/// Books with price lists and one account, up to right before the last midnight.
struct Books {
    folder: TempDir,
    url: String,
    midnight: Timestamp,
}

impl Books {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("books.db").display());
        let midnight = Clock::system().now().midnight();
        let (noon, until) = (midnight.plus_secs(-12 * rules::HOUR), midnight.plus_secs(-1));
        let scenario = format!(
            r#"{{"plans": {PLANS}, "timeline": [{{"at": "{noon}", "do": "open_account", "account": "old"}}],
            "until": "{until}"}}"#
        );
        let file = folder.path().join("scenario.json");
        fs::write(&file, scenario).expect("written");
        let played = run(&["simulate", text(&file), "--database-url", &url]);
        assert_eq!((played.status, played.err.as_str()), (Some(0), ""));
        Self { folder, url, midnight }
    }

    fn file(&self, name: &str, lines: &[String]) -> String {
        let file = self.folder.path().join(name);
        fs::write(&file, lines.join("\n") + "\n").expect("written");
        text(&file).to_owned()
    }

    fn import(&self, arguments: &[&str]) -> Ended {
        run(&[&["import"][..], arguments, &["--database-url", &self.url]].concat())
    }

    #[track_caller]
    fn verified(&self) {
        let verified = run(&["verify", "--database-url", &self.url]);
        assert_eq!(verified.status, Some(0), "{verified:?}");
    }

    /// Accounts with daily instances, paid until the last midnight.
    fn many(&self, accounts: usize, services: usize) -> Vec<String> {
        let (midnight, opened) = (self.midnight, self.midnight.plus_secs(-100 * rules::DAY));
        let mut lines = Vec::new();
        for account in 0..accounts {
            let of = format!(r#""account": "a{account}""#);
            lines.push(format!(r#"{{"kind": "account", "name": "a{account}", "opened_at": "{opened}"}}"#));
            lines.push(format!(r#"{{"kind": "wallet", {of}, "balance": "100.00"}}"#));
            lines.extend((0..services).map(|service| {
                format!(
                    r#"{{"kind": "service", {of}, "name": "a{account}-{service}", "plan": "dms",
                    "created_at": "{opened}", "paid_until": "{midnight}"}}"#
                )
                .replace('\n', " ")
            }));
        }
        let (services, wallets) = (accounts * services, accounts * 100);
        lines.push(format!(
            r#"{{"kind": "totals", "accounts": {accounts}, "services": {services}, "wallets": {{"USD": "{wallets}"}}}}"#
        ));
        lines
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// One account of each kind, as in the documents' example, as of the midnight.
fn moved(at: Timestamp) -> Vec<String> {
    let opened = at.plus_secs(-400 * rules::DAY);
    let (tomorrow, month) = (at.plus_days(1), at.next_month_start());
    let anchor = at.plus_secs(-10 * rules::DAY);
    let term_end = anchor.plus_months(1);
    let issued = at.plus_secs(-3 * rules::DAY);
    let line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    vec![
        line(r#"{"kind": "plan", "plan": {"id": "own", "mode": "daily", "price": "1.80"}}"#.to_owned()),
        line(r#"{"kind": "numbers", "series": "R", "next": 118}"#.to_owned()),
        line(format!(r#"{{"kind": "account", "name": "ann", "opened_at": "{opened}", "email": "ann@example.org"}}"#)),
        line(r#"{"kind": "wallet", "account": "ann", "balance": "36.00"}"#.to_owned()),
        line(format!(
            r#"{{"kind": "service", "account": "ann", "name": "ann-own", "plan": "own", "created_at": "{opened}",
            "paid_until": "{tomorrow}"}}"#
        )),
        line(format!(
            r#"{{"kind": "service", "account": "ann", "name": "ann-vps", "plan": "vps", "created_at": "{anchor}",
            "paid_until": "{term_end}"}}"#
        )),
        line(format!(
            r#"{{"kind": "service", "account": "ann", "name": "ann-cloud", "plan": "cloud", "created_at": "{opened}",
            "paid_until": "{month}"}}"#
        )),
        line(format!(
            r#"{{"kind": "invoice", "account": "ann", "series": "R", "number": "R-116", "issued_at": "{issued}",
            "total": "90.00", "open": "40.00"}}"#
        )),
        line(format!(r#"{{"kind": "account", "name": "bob", "opened_at": "{opened}", "suspended_for": "unpaid"}}"#)),
        line(r#"{"kind": "wallet", "account": "bob", "balance": "-5.00"}"#.to_owned()),
        line(format!(
            r#"{{"kind": "service", "account": "bob", "name": "bob-h", "plan": "cloud-h", "created_at": "{opened}",
            "paid_until": "{at}", "stopped_for": "unpaid"}}"#
        )),
        line(format!(
            r#"{{"kind": "invoice", "account": "bob", "series": "R", "number": "R-98", "issued_at": "{opened}",
            "total": "7.00", "open": "7.00", "overdue": true}}"#
        )),
        line(
            r#"{"kind": "totals", "accounts": 2, "services": 4, "invoices": 2, "wallets": {"USD": "31.00"},
            "open": {"USD": "47.00"}}"#
                .to_owned(),
        ),
    ]
}

#[test]
fn a_file_is_brought_in_once_and_billed_from_where_it_stood() {
    let books = Books::new();
    let file = books.file("moved.jsonl", &moved(books.midnight));
    let as_of = ["--as-of", &books.midnight.to_string()];
    for _ in 0..2 {
        let tried = books.import(&[&[file.as_str(), "--dry-run"], &as_of[..]].concat());
        assert_eq!((tried.status, tried.err.as_str()), (Some(0), ""));
        for told in ["2 accounts, 4 services, 2 open invoices", "31.000000 USD", "47.000000 USD", "Nothing was written"]
        {
            assert!(tried.out.contains(told), "{told}: {tried:?}");
        }
    }
    let done = books.import(&[&[file.as_str()], &as_of[..]].concat());
    assert_eq!((done.status, done.err.as_str()), (Some(0), ""));
    books.verified();
    let again = books.import(&[&file]);
    assert!(again.status == Some(0) && again.out.contains("nothing changes"), "{again:?}");

    let mut other = moved(books.midnight);
    other.swap_remove(1);
    let other = books.file("other.jsonl", &other);
    let refused = books.import(&[&[other.as_str()], &as_of[..]].concat());
    assert_eq!(refused.status, Some(2), "{refused:?}");
    let told = format!("{other}:3: name: account `ann` is in the books already");
    assert!(refused.err.contains(&told), "{told}: {refused:?}");
    // Nor is a printed number given twice, in the books or in a file.
    let renamed: Vec<String> = moved(books.midnight)
        .iter()
        .map(|line| line.replace("ann", "eve").replace("bob", "dan").replace("\"own\"", "\"other\""))
        .collect();
    let refused = books.import(&[&[books.file("renamed.jsonl", &renamed).as_str()], &as_of[..]].concat());
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(refused.err.contains("renamed.jsonl:3: number: ") && refused.err.contains("`R-116`"), "{refused:?}");
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

#[test]
fn a_file_that_was_cut_off_goes_on_where_it_was() {
    let books = Books::new();
    let file = books.file("many.jsonl", &books.many(1_500, 2));
    for _ in 0..2 {
        let mut import = bursar(&["import", &file, "--database-url", &books.url]);
        let mut child = import.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
        // Told before the first batch is written.
        assert!(lines.any(|line| line.contains("wallets come to")));
        child.kill().expect("it can be killed");
        child.wait().expect("it is gone");
        books.verified();
    }
    let done = books.import(&[&file]);
    assert_eq!((done.status, done.err.as_str()), (Some(0), ""));
    assert!(books.import(&[&file]).out.contains("nothing changes"));
    books.verified();
}

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    let books = Books::new();
    let at = books.midnight;
    let mut lines = moved(at);
    let replace = |line: &mut String, from: &str, to: &str| {
        assert!(line.contains(from), "{from}: {line}");
        *line = line.replace(from, to);
    };
    replace(&mut lines[2], "\"email\"", "\"mail\"");
    replace(&mut lines[3], "36.00", "lots");
    replace(&mut lines[4], "\"plan\": \"own\"", "\"plan\": \"none\"");
    replace(&mut lines[5], "\"paid_until\": \"", "\"paid_until\": \"1");
    replace(&mut lines[6], "\"account\": \"ann\"", "\"account\": \"bob\"");
    replace(&mut lines[10], ", \"stopped_for\": \"unpaid\"", "");
    replace(&mut lines[12], "\"accounts\": 2", "\"accounts\": 3");
    lines[1] = "{\"kind\": ".to_owned();
    let file = books.file("bad.jsonl", &lines);
    let refused = books.import(&[&file, "--as-of", &at.to_string()]);
    assert_eq!((refused.status, refused.out.as_str()), (Some(2), ""), "{refused:?}");
    for (line, told) in [
        (2, "not JSON"),
        (3, "mail: unknown key"),
        (4, "balance: \"lots\": a balance is a decimal"),
        (5, "no plan in force"),
        (6, "paid_until: "),
        (7, "stand directly behind its own"),
        (11, "no service of a suspended account runs"),
        (13, "accounts: 3: the file has 2"),
    ] {
        let place = format!("{file}:{line}:");
        let found = refused.err.lines().any(|problem| problem.starts_with(&place) && problem.contains(told));
        assert!(found, "{line}: {told}\n{}", refused.err);
    }
    books.verified();
    let good = books.file("good.jsonl", &moved(at));
    assert_eq!(books.import(&[&good, "--as-of", &at.to_string()]).status, Some(0), "nothing of it was written");
}
