//! Hosts that move here: a file is checked whole, brought in once, and billed from where it stood.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use crate::support::program::{Daemon, Ended, bursar, run, wait_until};
use bursar::import::Source;
use jobs::Clock;
use rules::Timestamp;
use serde_json::Value;
use store::{Import, Opening, Store};
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
        let midnight = Clock::system().now().midnight();
        let (noon, until) = (midnight.plus_secs(-12 * rules::HOUR), midnight.plus_secs(-1));
        Self::played(&format!(r#"{{"at": "{noon}", "do": "open_account", "account": "old"}}"#), until)
    }

    /// Since the month before: an account with a server that was invoiced, as `INV-000001`.
    fn of_last_month() -> Self {
        let month = Clock::system().now().month_start();
        let noon = month.plus_secs(-12 * rules::HOUR);
        let timeline = format!(
            r#"{{"at": "{noon}", "do": "open_account", "account": "old"}},
            {{"at": "{noon}", "do": "create_service", "account": "old", "service": "old-cloud", "plan": "cloud"}}"#
        );
        Self::played(&timeline, month)
    }

    fn played(timeline: &str, until: Timestamp) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("books.db").display());
        let midnight = Clock::system().now().midnight();
        let scenario = format!(r#"{{"plans": {PLANS}, "timeline": [{timeline}], "until": "{until}"}}"#);
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

    /// Does something with the store itself.
    fn with_store<T>(&self, work: impl AsyncFnOnce(&Store) -> T) -> T {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let store = Store::open(&self.url, Opening::beside()).await.expect("the books");
            let done = work(&store).await;
            store.close().await;
            done
        })
    }

    /// The import is refused, and nothing is in the books that was not there.
    #[track_caller]
    fn refuses(&self, arguments: &[&str], status: i32, told: &[&str]) {
        let accounts = || {
            let listed = run(&["accounts", "list", "--format", "json", "--database-url", &self.url]).out;
            let listed: Value = serde_json::from_str(&listed).expect("JSON");
            listed.to_string().matches("\"name\"").count()
        };
        let before = accounts();
        let refused = self.import(arguments);
        assert_eq!((refused.status, refused.out.as_str()), (Some(status), ""), "{refused:?}");
        for told in told {
            assert!(refused.err.contains(told), "{told}\n{}", refused.err);
        }
        assert_eq!(accounts(), before);
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

/// The same of other customers.
fn renamed(lines: &[String]) -> Vec<String> {
    let other = |line: &String| line.replace("ann", "eve").replace("bob", "dan").replace("\"own\"", "\"other\"");
    lines.iter().map(other).collect()
}

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
            "wallets come to 31.000000 USD, open invoices to 47.000000 USD",
            "of the open invoices 36.000000 USD is paid from wallets at once",
            "Nothing was written",
        ] {
            assert!(tried.out.contains(told), "{told}: {tried:?}");
        }
    }
    let done = books.import(&[&[file.as_str()], &as_of[..]].concat());
    assert_eq!((done.status, done.err.as_str()), (Some(0), ""));
    books.verified();
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

#[test]
fn a_trial_comes_with_its_end_and_a_state_that_no_history_leads_to_stays_out() {
    let books = Books::new();
    let (at, opened) = (books.midnight, books.midnight.plus_secs(-5 * rules::DAY));
    let end = at.plus_days(26);
    let lines = |stopped: &str, covered: bool| {
        vec![
            format!(
                r#"{{"kind": "account", "name": "ann", "opened_at": "{opened}", "trial_ends_at": "{end}", "trial_traffic_used": "250"}}"#
            ),
            format!(
                r#"{{"kind": "service", "account": "ann", "name": "ann-1", "plan": "cloud", "created_at": "{opened}", "paid_until": "{end}", "covered": {covered}{stopped}}}"#
            ),
            r#"{"kind": "totals", "accounts": 1, "services": 1}"#.to_owned(),
        ]
    };
    let as_of = at.to_string();
    let stopped = books.file("stopped.jsonl", &lines(r#", "stopped_for": "customer""#, true));
    let told = format!("{stopped}:2: stopped_for: \"customer\": only a daily instance is disabled by its customer");
    books.refuses(&[&stopped, "--as-of", &as_of], 2, &[&told]);
    let file = books.file("trial.jsonl", &lines("", true));
    let done = books.import(&[&file, "--as-of", &as_of]);
    assert_eq!((done.status, done.err.as_str()), (Some(0), ""));
    books.verified();
    let shown = run(&["accounts", "show", "ann", "--format", "json", "--database-url", &books.url]);
    assert!(shown.out.contains(&end.to_string()), "{shown:?}");
}

#[test]
fn an_import_that_was_cut_off_goes_on_as_of_its_own_second() {
    let books = Books::new();
    let path = books.file("many.jsonl", &books.many(2, 1));
    let source = Source::of(Path::new(&path)).expect("the file");
    let import = Import {
        hash: source.hash,
        file: path.clone(),
        author: "test".to_owned(),
        at: books.midnight,
        accounts: 2,
        up_to: 0,
        finished_at: None,
    };
    let begun = books.with_store(async |store| {
        store
            .import_begin(&import, &Default::default(), &Default::default(), store.revision().await.expect("one"))
            .await
            .expect("begun")
    });
    assert!(begun);
    let other = books.midnight.plus_secs(60).to_string();
    books.refuses(&[&path, "--as-of", &other], 2, &[&other, &books.midnight.to_string()]);
    let done = books.import(&[&path, "--as-of", &books.midnight.to_string()]);
    assert!(done.status == Some(0) && done.out.contains("It goes on behind account 0 of 2."), "{done:?}");
    books.verified();
}

#[test]
fn a_silence_is_recorded_before_anybody_comes_in() {
    let books = Books::new();
    let file = books.file("many.jsonl", &books.many(2, 1));
    let hour_ago = Clock::system().now().plus_secs(-rules::HOUR);
    books.with_store(async |store| store.heartbeat(hour_ago).await.expect("a beat"));
    books.refuses(&[&file], 4, &["no daemon has been alive on these books since", "bursar serve"]);
    assert_eq!(books.import(&[&file, "--dry-run"]).status, Some(0), "to check is to read");
}

#[test]
fn nothing_comes_into_a_month_that_is_closed_and_no_number_is_skipped() {
    let books = Books::of_last_month();
    let daemon = Daemon::start(&["--database-url", &books.url]);
    wait_until("it is ready", || daemon.log().contains("ready"));
    let (month, last) = (Clock::system().now().month_start(), Clock::system().now().month_start().plus_secs(-1));
    wait_until("the month is closed", || {
        run(&["books", "close", &last.to_string()[..7], "--database-url", &books.url]).status == Some(0)
    });
    wait_until("its invoice is numbered", || {
        run(&["invoices", "list", "--database-url", &books.url]).out.contains("INV-000001")
    });
    let of = r#""account": "ann""#;
    let opened = month.plus_secs(-90 * rules::DAY);
    let account = format!(r#"{{"kind": "account", "name": "ann", "opened_at": "{opened}"}}"#);
    let anchor = month.plus_secs(-45 * rules::DAY);
    let term = format!(
        r#"{{"kind": "service", {of}, "name": "ann-1", "plan": "vps", "created_at": "{anchor}", "paid_until": "{}"}}"#,
        anchor.plus_months(1)
    );
    let totals = r#"{"kind": "totals", "accounts": 1, "services": 1}"#.to_owned();
    let behind = books.file("behind.jsonl", &[account.clone(), term, totals]);
    books.refuses(&[&behind], 2, &["behind.jsonl:1: what of it falls due at", "in a month that is closed"]);
    books.refuses(&[&behind, "--as-of", &last.to_string()], 2, &[&last.to_string(), &month.to_string()]);

    // What was issued then is brought in today.
    let invoice = format!(
        r#"{{"kind": "invoice", {of}, "number": "7", "issued_at": "{last}", "total": "5.00", "open": "5.00"}}"#
    );
    let totals = r#"{"kind": "totals", "accounts": 1, "invoices": 1, "open": {"USD": "5.00"}}"#.to_owned();
    let numbers = |next: u32| format!(r#"{{"kind": "numbers", "series": "INV", "next": {next}}}"#);
    let of_series = |next: u32| [numbers(next), account.clone(), invoice.clone(), totals.clone()];
    let skipping = books.file("skipping.jsonl", &of_series(118));
    let told = "skipping.jsonl:1: next: 118: series `INV` counts here already and goes on with 2";
    books.refuses(&[&skipping], 2, &[told]);
    // Nor does a number come again that was printed elsewhere.
    let same = |number: &str| {
        let invoice = invoice.replace(r#""number": "7""#, &format!(r#""series": "INV", "number": "{number}""#));
        [account.clone(), invoice, totals.clone()]
    };
    let given = books.file("given.jsonl", &same("INV-000001"));
    books.refuses(&[&given], 2, &["given.jsonl:1: invoices: number 1 is one that series `INV` gives here"]);
    let fresh = Books::new();
    let ahead = fresh.file("ahead.jsonl", &same("INV-000003"));
    let told = ["ahead.jsonl:1: invoices: series `INV` would give number 3 here again", r#""next": 4"#];
    fresh.refuses(&[&ahead], 2, &told);
    let below = [numbers(3)].into_iter().chain(same("INV-000003")).collect::<Vec<_>>();
    fresh.refuses(&[&fresh.file("below.jsonl", &below)], 2, &[r#""next": 4"#]);
    let above = [numbers(4)].into_iter().chain(same("INV-000003")).collect::<Vec<_>>();
    assert_eq!(fresh.import(&[&fresh.file("above.jsonl", &above)]).status, Some(0));

    let done = books.import(&[&books.file("fits.jsonl", &of_series(2))]);
    assert_eq!((done.status, done.err.as_str()), (Some(0), ""));
    books.verified();
}

#[test]
fn two_imports_and_a_daemon_work_side_by_side() {
    let books = Books::new();
    let daemon = Daemon::start(&["--database-url", &books.url]);
    wait_until("it is ready", || daemon.log().contains("ready"));
    let lines = moved(books.midnight);
    let moved = books.file("moved.jsonl", &lines);
    let many = books.file("many.jsonl", &books.many(300, 2));
    let start = |file: &str, more: &[&str]| {
        let arguments = [&["import", file, "--database-url", &books.url], more].concat();
        bursar(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    };
    let as_of = ["--as-of", &books.midnight.to_string()];
    let both = [start(&many, &[]), start(&moved, &as_of)];
    let both = both.map(|one| Ended::from(one.wait_with_output().expect("it ends")));
    for ended in &both {
        assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    }
    assert!(both[0].out.contains("accounts with something due before: 300; "), "{both:?}");
    books.verified();
    // The same file twice at once: whoever comes second says so, or finds it done.
    let lines: Vec<String> = renamed(&lines).iter().map(|line| line.replace("\"R", "\"S")).collect();
    let file = books.file("again.jsonl", &lines);
    let twice =
        [start(&file, &as_of), start(&file, &as_of)].map(|one| Ended::from(one.wait_with_output().expect("it ends")));
    assert!(twice.iter().any(|ended| ended.status == Some(0)), "{twice:?}");
    assert!(twice.iter().all(|ended| matches!(ended.status, Some(0 | 1 | 4))), "{twice:?}");
    assert!(books.import(&[&file]).out.contains("nothing changes"));

    // One customer's own plan is nobody else's to order.
    let refused = run(&["services", "create", "old", "mine", "--plan", "own", "--database-url", &books.url]);
    assert!(refused.status == Some(3) && refused.err.contains("not_found"), "{refused:?}");
    // The run of the midnight was done before they came.
    assert_eq!(run(&["jobs", "enqueue", "bill_instances", "--database-url", &books.url]).status, Some(0));
    wait_until("what was due at midnight is done", || daemon.log().contains("\"period\": 600"));
    let (status, log) = daemon.terminate();
    assert_eq!(status, Some(0), "{log}");
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
