//! What does not come in, and what it is told.

use crate::support::program::{Daemon, run, wait_until};
use jobs::Clock;

use super::{Books, moved};

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
    books.refuses(&[&behind], 2, &["behind.jsonl:1: what of it falls due at", "a month that is closed"]);
    // Paid right to its end: what is due at that second belongs to the old books too.
    let daily = format!(
        r#"{{"kind": "service", {of}, "name": "ann-2", "plan": "dms", "created_at": "{anchor}", "paid_until": "{month}"}}"#
    );
    let totals = r#"{"kind": "totals", "accounts": 1, "services": 1}"#.to_owned();
    let at_its_end = books.file("end.jsonl", &[account.clone(), daily, totals]);
    let told = format!("what of it falls due at {month} is not after {month}, the end of a month that is closed");
    books.refuses(&[&at_its_end], 2, &[&told, &format!("say what is due after {month}")]);
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
    books.refuses(&[&given], 2, &["given.jsonl:2: number: 1 is one that series `INV` gives here"]);
    let fresh = Books::new();
    let ahead = fresh.file("ahead.jsonl", &same("INV-000003"));
    let told = ["ahead.jsonl:2: number: series `INV` would give number 3 here again", r#""next": 4"#];
    fresh.refuses(&[&ahead], 2, &told);
    let split = same("INV-000003").map(|line| line.replace("INV-000003", "000003"));
    fresh.refuses(&[&fresh.file("split.jsonl", &split)], 2, &["split.jsonl:2: number: ", r#""next": 4"#]);
    let below = [numbers(3)].into_iter().chain(same("INV-000003")).collect::<Vec<_>>();
    fresh.refuses(&[&fresh.file("below.jsonl", &below)], 2, &[r#""next": 4"#]);
    let above = [numbers(4)].into_iter().chain(same("INV-000003")).collect::<Vec<_>>();
    assert_eq!(fresh.import(&[&fresh.file("above.jsonl", &above)]).status, Some(0));

    let done = books.import(&[&books.file("fits.jsonl", &of_series(2))]);
    assert_eq!((done.status, done.err.as_str()), (Some(0), ""));
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
    // For machines each of them by itself.
    let json = books.import(&[&file, "--as-of", &at.to_string(), "--dry-run", "--format", "json"]);
    assert_eq!((json.status, json.out.as_str()), (Some(2), ""), "{json:?}");
    let error: serde_json::Value = serde_json::from_str(&json.err).expect("JSON");
    let (error, problems) = (&error["error"], error["error"]["problems"].as_array().expect("a list"));
    assert_eq!((&error["code"], problems.len()), (&"bad_input".into(), 10));
    let third = (&problems[2]["line"], &problems[2]["field"], &problems[2]["file"]);
    assert_eq!(third, (&4.into(), &"balance".into(), &file.as_str().into()));
    assert!(problems[2]["message"].as_str().is_some_and(|told| told.starts_with("\"lots\": a balance is")));
    assert!(error["message"].as_str().is_some_and(|told| told.ends_with("; and 9 more")), "{error}");
    books.verified();
    let good = books.file("good.jsonl", &moved(at));
    assert_eq!(books.import(&[&good, "--as-of", &at.to_string()]).status, Some(0), "nothing of it was written");
}
