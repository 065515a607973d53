//! Books that something else has written to: one account's fault is that account's alone.

use std::fs;
use std::path::Path;

use crate::support::program::{Daemon, Ended, bursar, repository, run, wait_until};
use jobs::Clock;

const OPTIONS: [&str; 3] = ["opt-ann", "opt-bad", "opt-cid"];

/// Three accounts with a daily instance each, on the evening before the last midnight.
fn evening(books: &Path) {
    let midnight = Clock::system().now().midnight();
    let (noon, until) = (midnight.plus_secs(-12 * rules::HOUR), midnight.plus_secs(-1));
    let entries = OPTIONS.map(|option| {
        let account = &option[4..];
        let whose = format!(r#""at": "{noon}", "account": "{account}""#);
        format!(
            r#"{{{whose}, "do": "open_account"}}, {{{whose}, "do": "deposit", "amount": "20.00"}},
            {{{whose}, "do": "create_service", "service": "{account}-1", "plan": "dms", "options": ["{option}"]}}"#
        )
    });
    let options = OPTIONS.map(|option| format!(r#""{option}": "0.50""#));
    let scenario = format!(
        r#"{{"plans": [{{"id": "dms", "mode": "daily", "price": "2.40", "options": {{{}}}}}],
        "timeline": [{}], "until": "{until}"}}"#,
        options.join(", "),
        entries.join(", ")
    );
    let file = books.with_extension("json");
    fs::write(&file, scenario).expect("written");
    let played = run(&["simulate", file.to_str().expect("UTF-8"), "--database-url", &url(books)]);
    assert_eq!((played.status, played.err.as_str()), (Some(0), ""));
}

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

/// Changes bytes of the file wherever they stand, as a faulty disk or a careless hand would.
fn overwrite(books: &Path, from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(books).expect("the books");
    let mut at = 0;
    let mut times = 0;
    while let Some(offset) = bytes[at..].windows(from.len()).position(|window| window == from) {
        bytes[at + offset..][..to.len()].copy_from_slice(to);
        at += offset + to.len();
        times += 1;
    }
    assert!(times > 0, "{from:?} is nowhere in the books");
    fs::write(books, bytes).expect("written");
}

#[test]
fn a_corrupt_row_parks_its_account_and_the_others_are_billed() {
    let folder = tempfile::tempdir().expect("a folder");
    let books = folder.path().join("books.db");
    evening(&books);
    assert_eq!(run(&["verify", "--database-url", &url(&books)]).status, Some(0));
    // The list of the service's options is none any more.
    overwrite(&books, b"dms{}[\"opt-bad\"]", b"dms{}{\"opt-bad\"]");

    let assert_named = |verified: &Ended| {
        assert_eq!(verified.status, Some(1), "{verified:?}");
        assert!(verified.out.contains("account_is_readable: account `bad`: services: options"), "{verified:?}");
        assert!(!verified.out.contains("ann") && !verified.out.contains("cid"), "{verified:?}");
    };
    assert_named(&run(&["verify", "--database-url", &url(&books)]));
    let verified = run(&["verify", "--database-url", &url(&books), "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&verified.out).expect("JSON");
    assert_eq!((verified.status, json["verified"].as_bool()), (Some(1), Some(false)));
    assert_eq!(json["violations"][0]["account"], "bad");

    let daemon = Daemon::start(&["--database-url", &url(&books)]);
    wait_until("the midnight is done", || {
        daemon.log().lines().any(|line| line.contains("run finished") && line.contains("job=\"bill_instances\""))
    });
    let (status, log) = daemon.terminate();
    assert_eq!(status, Some(0), "{log}");
    let parked: Vec<&str> = log.lines().filter(|line| line.contains("account is parked")).collect();
    assert!(!parked.is_empty() && parked.iter().all(|line| line.contains("services: options")), "{log}");
    let finished = log.lines().find(|line| line.contains("run finished") && line.contains("bill_instances"));
    assert!(finished.is_some_and(|line| line.contains("\"period\": 2")), "the others are billed: {log}");
    // What was billed is sound, and the account is still named.
    assert_named(&run(&["verify", "--database-url", &url(&books)]));
    for (account, status) in [("ann", 0), ("bad", 1), ("cid", 0)] {
        let verified = run(&["verify", "--database-url", &url(&books), "--account", account]);
        assert_eq!(verified.status, Some(status), "{account}: {verified:?}");
    }

    // Mended, it is tried again by the command that the doctor names.
    overwrite(&books, b"dms{}{\"opt-bad\"]", b"dms{}[\"opt-bad\"]");
    let daemon = Daemon::start(&["--database-url", &url(&books)]);
    let remedy = || {
        let asked = run(&["doctor", "--database-url", &url(&books), "--format", "json"]);
        let findings: serde_json::Value = serde_json::from_str(&asked.out).expect("JSON");
        let findings = findings["findings"].as_array().expect("findings").clone();
        let accounts = findings.into_iter().find(|finding| finding["what"] == "accounts").expect("of accounts");
        accounts["remedy"].as_str().map(str::to_owned)
    };
    if let Some(remedy) = remedy() {
        assert!(remedy.ends_with("bursar runs retry --parked"), "{remedy}");
    }
    wait_until("the daemon is alive", || {
        run(&["runs", "retry", "--parked", "--database-url", &url(&books)]).status == Some(0)
    });
    wait_until("nobody is parked", || remedy().is_none());
    assert_eq!(daemon.terminate().0, Some(0));
    assert_eq!(run(&["verify", "--database-url", &url(&books)]).status, Some(0));
}

/// What no price list knows is never free: its account waits for a list that names it.
#[test]
fn an_account_whose_option_no_list_knows_is_mended_by_a_list() {
    let folder = tempfile::tempdir().expect("a folder");
    let books = folder.path().join("books.db");
    evening(&books);
    overwrite(&books, b"dms{}[\"opt-bad\"]", b"dms{}[\"opt-new\"]");
    let list = folder.path().join("new.toml");
    let options = [&OPTIONS[..], &["opt-new"]].concat().join(" = \"0.50\"\n");
    let plan =
        format!("[[plans]]\nid = \"dms\"\nmode = \"daily\"\nprice = \"2.40\"\n[plans.options]\n{options} = \"0.50\"\n");
    fs::write(&list, plan).expect("written");
    let _daemon = Daemon::start(&["--database-url", &url(&books)]);
    let told = |arguments: &[&str]| run(&[arguments, &["--database-url", &url(&books)]].concat());
    wait_until("it is parked", || told(&["doctor"]).out.contains("1 parked, the first `bad`"));
    let verified = told(&["verify"]);
    assert!(verified.status == Some(1) && verified.out.contains("order_is_priced"), "{verified:?}");

    let list = list.to_str().expect("UTF-8");
    let tomorrow = Clock::system().now().plus_days(1).to_string();
    let compared = told(&["prices", "diff", list, "--effective-at", &tomorrow]);
    assert!(compared.out.contains("1 service of `dms` in USD: not priced until now"), "{compared:?}");
    assert!(!compared.out.contains("No account sees a difference"), "{compared:?}");
    let applied =
        told(&["prices", "apply", list, "--effective-at", &Clock::system().now().plus_days(1).to_string(), "--yes"]);
    assert_eq!((applied.status, applied.err.as_str()), (Some(0), ""), "{applied:?}");
    let retried = told(&["runs", "retry", "--parked"]);
    assert_eq!(retried.status, Some(0), "{retried:?}");
    wait_until("nobody is parked", || !told(&["doctor"]).out.contains("1 parked"));
    wait_until("it is billed", || told(&["statement", "bad"]).out.contains("2.90"));
    let verified = told(&["verify"]);
    assert_eq!(verified.status, Some(0), "{verified:?}");
}

/// Who logged in or has the process: the environment is anybody's to set.
#[test]
fn the_author_of_a_change_is_its_user() {
    let folder = tempfile::tempdir().expect("a folder");
    let books = folder.path().join("books.db");
    evening(&books);
    let mut pause = bursar(&["jobs", "pause", "bill_instances", "--reason", "test", "--database-url", &url(&books)]);
    let paused = pause.env_remove("SUDO_USER").env("USER", "mallory").env("LOGNAME", "mallory").output().expect("run");
    assert!(paused.status.success(), "{paused:?}");
    // That needed no daemon.
    let asked = run(&["doctor", "--database-url", &url(&books)]);
    assert!(asked.out.contains("bill_instances is paused since"), "{asked:?}");
    assert!(asked.out.contains(" by cli:") && !asked.out.contains("mallory"), "{asked:?}");
}

#[test]
fn a_database_newer_than_the_program_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let books = folder.path().join("books.db");
    evening(&books);
    let migrations = fs::read_dir(repository().join("migrations/sqlite")).expect("the migrations");
    let mut names: Vec<String> =
        migrations.map(|file| file.expect("a file").file_name().to_str().expect("UTF-8").to_owned()).collect();
    names.sort();
    let (newest, name) = (names.len(), names.last().expect("a migration").trim_end_matches(".sql"));
    let (number, name) = (u8::try_from(newest).expect("few"), name.split_once('_').expect("a name").1);
    // The version stands before the name in the row, and twice in the entry of the index: it and the row's number.
    let row = [&[number][..], name.as_bytes()].concat();
    overwrite(&books, &row, &[&[99][..], name.as_bytes()].concat());
    overwrite(&books, &[5, 3, 1, 1, number, number], &[5, 3, 1, 1, 99, number]);
    let before = fs::read(&books).expect("the books");
    for command in ["serve", "verify"] {
        let Ended { status, err, .. } = run(&[command, "--database-url", &url(&books)]);
        assert_eq!(status, Some(1), "{command}: {err}");
        let told = format!("the database has schema 99, this program knows {newest}");
        assert!(err.contains(&told), "{command}: {err}");
        assert!(fs::read(&books).expect("the books") == before, "{command} changed the database");
    }
}
