//! Bad input is refused before anything is begun: exit status 2, and where it stands on stderr.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::program::{Ended, repository, run};

/// What keeps a daemon from starting again and again.
const MISCONFIGURED: i32 = 78;

/// A good scenario; each case breaks one thing of it.
const GOOD: &str = r#"{
  "config": {"grace_days": 7},
  "plans": [
    {"id": "dms", "mode": "daily", "price": "2.40", "components": {"cpe": {"unit_price": "0.01", "included": "100"}}},
    {"id": "vps", "mode": "term", "term_months": 1, "price": "6.00"}
  ],
  "timeline": [
    {"at": "2026-01-05T10:00:00Z", "do": "open_account", "account": "ann"},
    {"at": "2026-01-05T10:01:00Z", "do": "deposit", "account": "ann", "amount": "50.00"},
    {"at": "2026-01-05T10:02:00Z", "do": "create_service", "account": "ann", "service": "s1", "plan": "dms"},
    {"at": "2026-01-06T10:00:00Z", "do": "adjust", "account": "ann", "amount": "-1.00", "reason": "test"}
  ],
  "until": "2026-01-08T00:00:00Z"
}"#;

/// What is replaced by what, the entry that it concerns (0: none), the key, and a word of the reason.
const CASES: &[(&str, &str, usize, &str, &str)] = &[
    // Unknown keys and verbs.
    ("\"until\"", "\"untill\"", 0, "untill", "unknown key"),
    ("\"grace_days\"", "\"grace\"", 0, "config.grace", "unknown key"),
    ("\"included\"", "\"includes\"", 0, "plans[0].components.cpe.includes", "unknown key"),
    ("\"reason\"", "\"why\"", 4, "why", "unknown key"),
    ("\"deposit\"", "\"donate\"", 2, "do", "one of"),
    ("\"account\": \"ann\"}", "\"account\": \"ann\", \"account\": \"ann\"}", 1, "account", "twice"),
    // Names.
    ("\"s1\"", "\"s 1\"", 3, "service", "name"),
    ("\"s1\"", "\"-s1\"", 3, "service", "name"),
    ("\"s1\"", "\"\"", 3, "service", "name"),
    ("\"account\": \"ann\"}", "\"account\": \"änn\"}", 1, "account", "name"),
    ("\"s1\"", "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"", 3, "service", "name"),
    (
        "\"do\": \"adjust\", \"account\": \"ann\", \"amount\": \"-1.00\", \"reason\": \"test\"",
        "\"do\": \"open_account\", \"account\": \"ann\"",
        4,
        "",
        "entry 1",
    ),
    (
        "\"do\": \"adjust\", \"account\": \"ann\", \"amount\": \"-1.00\", \"reason\": \"test\"",
        "\"do\": \"create_service\", \"account\": \"ann\", \"service\": \"s1\", \"plan\": \"dms\"",
        4,
        "",
        "entry 3",
    ),
    // Amounts and quantities.
    ("\"50.00\"", "\"-50.00\"", 2, "amount", "above zero"),
    ("\"50.00\"", "\"0.00\"", 2, "amount", "above zero"),
    ("\"-1.00\"", "\"0\"", 4, "amount", "zero"),
    ("\"50.00\"", "50", 2, "amount", "decimal"),
    ("\"50.00\"", "\"5e1\"", 2, "amount", "decimal"),
    ("\"50.00\"", "\"50.005\"", 2, "amount", "2 decimals"),
    ("\"-1.00\"", "\"-0.0000001\"", 4, "amount", "6 decimals"),
    ("\"50.00\"", "\"1000000000\"", 2, "amount", "9 digits"),
    ("\"2.40\"", "\"1000000\"", 0, "plans[0].price", "6 digits"),
    ("\"100\"", "\"-100\"", 0, "plans[0].components.cpe.included", "not negative"),
    // Dates and order.
    ("2026-01-05T10:02:00Z", "2026-01-05 10:02:00", 3, "at", "time"),
    ("2026-01-05T10:02:00Z", "2026-01-05T10:02:00+01:00", 3, "at", "time"),
    ("2026-01-05T10:02:00Z", "2026-02-30T10:02:00Z", 3, "at", "time"),
    ("2026-01-05T10:02:00Z", "2026-01-05T10:00:30Z", 3, "at", "entry 2"),
    ("2026-01-08T00:00:00Z", "2026-01-06T09:59:59Z", 4, "at", "until"),
    // Prices against the rules.
    ("\"2.40\"", "\"-2.40\"", 0, "plans[0].price", "not negative"),
    ("\"term_months\": 1,", "\"term_months\": 121,", 0, "plans[1].term_months", "120"),
    ("\"mode\": \"daily\",", "\"mode\": \"daily\", \"term_months\": 1,", 0, "plans[0].term_months", "term"),
    ("\"vps\"", "\"dms\"", 0, "plans[1]", "already"),
    ("\"0.01\"", "\"0.01\", \"metered\": true", 0, "plans[0].components.cpe", "daily"),
    (
        "\"do\": \"adjust\", \"account\": \"ann\", \"amount\": \"-1.00\", \"reason\": \"test\"",
        "\"do\": \"set_prices\", \"plans\": [{\"id\": \"dms\", \"mode\": \"hourly\", \"price\": \"1\"}]",
        4,
        "plans[0]",
        "mode",
    ),
    // Options that contradict each other, and outages.
    (
        "\"do\": \"adjust\", \"account\": \"ann\", \"amount\": \"-1.00\", \"reason\": \"test\"",
        "\"do\": \"card\", \"account\": \"ann\", \"card\": \"none\", \"new\": true",
        4,
        "",
        "new",
    ),
    (
        "\"do\": \"adjust\", \"account\": \"ann\", \"amount\": \"-1.00\", \"reason\": \"test\"",
        "\"do\": \"change\", \"service\": \"s1\"",
        4,
        "",
        "at least one",
    ),
    (
        "\"do\": \"adjust\", \"account\": \"ann\", \"amount\": \"-1.00\", \"reason\": \"test\"",
        "\"do\": \"outage\", \"since\": \"2026-01-06T00:00:00Z\"",
        4,
        "since",
        "12 hours",
    ),
    (
        "\"do\": \"adjust\", \"account\": \"ann\", \"amount\": \"-1.00\", \"reason\": \"test\"",
        "\"do\": \"outage\", \"since\": \"2026-01-05T10:02:00Z\"",
        4,
        "since",
        "entry 3",
    ),
    // Types, and what is no JSON.
    ("\"grace_days\": 7", "\"grace_days\": \"7\"", 0, "config.grace_days", "whole number"),
    ("\"grace_days\": 7", "\"retention_days\": 28", 0, "config.retention_days", "27"),
    ("\"grace_days\": 7", "\"retry_days\": [3, 1]", 0, "config.retry_days[1]", "rise"),
    ("\"grace_days\": 7", "\"grace_days\": 7,", 0, "", "not JSON"),
];

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).expect("written");
        self.path(name)
    }

    fn files(&self) -> Vec<String> {
        let files = fs::read_dir(self.0.path()).expect("a folder").map(|file| file.expect("a file").file_name());
        files.map(|name| name.to_str().expect("UTF-8").to_owned()).collect()
    }
}

#[test]
fn a_bad_scenario_is_refused_before_anything_is_played() {
    let folder = Folder::new();
    let good = folder.write("scenario.json", GOOD);
    assert_eq!(run(&["simulate", &good]).status, Some(0));
    let database = format!("sqlite:{}", folder.path("books.db"));
    for (from, to, entry, key, reason) in CASES {
        let scenario = GOOD.replacen(from, to, 1);
        assert_ne!(scenario, GOOD, "{from}");
        folder.write("scenario.json", &scenario);
        let Ended { status, out, err } = run(&["simulate", &good, "--database-url", &database]);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{to}: {err}");
        let place = match (entry, key) {
            (0, _) => format!("{key}: "),
            (entry, &"") => format!(": entry {entry}: "),
            (entry, key) => format!(": entry {entry}: {key}: "),
        };
        let told = err.lines().any(|line| line.starts_with(&good) && line.contains(&place) && line.contains(reason));
        assert!(told, "{to}: where is `{place}` and `{reason}` in\n{err}");
        assert_eq!(folder.files(), ["scenario.json"], "{to}: something was written");
    }
}

#[test]
fn a_price_list_is_refused_with_all_its_problems_at_once() {
    let folder = Folder::new();
    let good = "[[plans]]\nid = \"a\"\nmode = \"daily\"\nprice = \"1\"\n";
    let bad = "[[plans]]\nid = \"b\"\nmode = \"daily\"\nprice = \"-1\"\nsetup = \"5\"\n\n[[plans]]\nid = 7\nmode = \"daily\"\nprice = \"2\"\n";
    let (good, bad) = (folder.write("good.toml", good), folder.write("bad.toml", bad));
    let fine = run(&["prices", "check", &good]);
    assert_eq!((fine.status, fine.err.as_str()), (Some(0), ""));
    let refused = run(&["prices", "check", &good, &bad]);
    assert_eq!((refused.status, refused.out.as_str()), (Some(2), ""));
    let lines: Vec<&str> = refused.err.lines().collect();
    for (line, (place, reason)) in lines.iter().zip([
        ("4: plans[0].price: ", "not negative"),
        ("5: plans[0].setup: ", "allowed here: `id`"),
        ("8: plans[1].id: ", "name"),
    ]) {
        assert!(line.starts_with(&format!("{bad}:{place}")) && line.contains(reason), "{line}");
    }
    assert_eq!(lines[3..], ["3 problems"]);
}

#[test]
fn a_configuration_is_refused_with_all_its_problems_at_once() {
    let folder = Folder::new();
    let text = "database = \"sqlite:books.db\"\nlisten = \"here\"\ntypo = 1\n[billing]\ngrace_days = \"7\"\nminimum_deposit = \"-1\"\n";
    let config = folder.write("bursar.toml", text);
    for (command, ends) in [(&["config", "check", &config][..], 2), (&["serve", "--config", &config], MISCONFIGURED)] {
        let Ended { status, out, err } = run(command);
        assert_eq!((status, out.as_str()), (Some(ends), ""), "{command:?}: {err}");
        let lines: Vec<&str> = err.lines().collect();
        for (line, place) in
            lines.iter().zip(["2: listen: ", "3: typo: ", "5: billing.grace_days: ", "6: billing.minimum_deposit: "])
        {
            assert!(line.starts_with(&format!("{config}:{place}")), "{command:?}: {line}");
        }
        assert_eq!(lines[4..], ["4 problems"], "{command:?}");
    }
    assert_eq!(folder.files(), ["bursar.toml"], "nothing was begun");
    let shipped = repository().join("config/bursar.toml");
    assert_eq!(run(&["config", "check", shipped.to_str().expect("UTF-8")]).status, Some(0));
}

#[test]
fn price_lists_that_the_configuration_names_are_checked_with_it() {
    let folder = Folder::new();
    folder.write("prices.toml", "[[plans]]\nid = \"a\"\nmode = \"daily\"\nprice = \"1\"\nextra = 1\n");
    let config = folder.write(
        "bursar.toml",
        "database = \"sqlite:books.db\"\nlisten = \"127.0.0.1:0\"\n[prices]\nfiles = [\"prices.toml\", \"gone.toml\"]\n",
    );
    for (command, ends) in [(&["config", "check", &config][..], 2), (&["serve", "--config", &config], MISCONFIGURED)] {
        let Ended { status, err, .. } = run(command);
        assert_eq!(status, Some(ends), "{command:?}: {err}");
        assert!(err.contains("prices.toml:5: plans[0].extra: ") && err.contains("gone.toml: can't be read"), "{err}");
    }
    assert!(!Path::new(&folder.path("books.db")).exists(), "a database was made");
}

#[test]
fn a_database_that_cannot_be_used_is_refused_clearly() {
    let folder = Folder::new();
    let scenario = folder.write("scenario.json", GOOD);
    let (used, text) = (folder.path("used.db"), folder.write("notes.txt", &"no database\n".repeat(1000)));
    assert_eq!(run(&["simulate", &scenario, "--database-url", &format!("sqlite:{used}")]).status, Some(0));
    let before = fs::read(&used).expect("the database");
    let nowhere = folder.path("no/such/folder/books.db");
    for (url, wanted, code) in [
        (format!("sqlite:{used}"), "must be empty", 2),
        (format!("sqlite://{used}"), "must be empty", 2),
        (format!("sqlite:{text}"), "must be empty", 2),
        ("postgres://127.0.0.1:1/bursar".to_owned(), "cannot be reached", 1),
        ("mysql://localhost/bursar".to_owned(), "sqlite:PATH", 2),
        ("sqlite:".to_owned(), "sqlite:PATH", 2),
        ("sqlite::memory:".to_owned(), "sqlite:PATH", 2),
        (format!("sqlite:{nowhere}"), &nowhere, 1),
        (format!("sqlite:{}", folder.path("")), &folder.path(""), 1),
    ] {
        let Ended { status, out, err } = run(&["simulate", &scenario, "--database-url", &url]);
        assert_eq!((status, out.as_str()), (Some(code), ""), "{url}: {err}");
        assert!(err.contains(wanted), "{url}: {err}");
    }
    assert!(fs::read(&used).expect("the database") == before, "the used database was changed");
    for command in ["verify", "serve"] {
        for (url, wanted, code) in [
            ("postgres://127.0.0.1:1/bursar".to_owned(), "cannot be reached", 1),
            ("mysql://localhost/bursar".to_owned(), "sqlite:PATH", 2),
            (format!("sqlite:{text}"), "not a Bursar database", 1),
            (format!("sqlite:{nowhere}"), &nowhere, 1),
        ] {
            let Ended { status, err, .. } = run(&[command, "--database-url", &url]);
            assert_eq!(status, Some(code), "{command} {url}: {err}");
            assert!(err.contains(wanted), "{command} {url}: {err}");
        }
    }
}

#[test]
fn an_amount_beyond_the_ledgers_range_is_refused_and_never_wraps() {
    let folder = Folder::new();
    let components: Vec<String> =
        (0..10).map(|number| format!("\"c{number}\": {{\"unit_price\": \"999999\"}}")).collect();
    let quantities: Vec<String> = (0..10).map(|number| format!("\"c{number}\": \"999999\"")).collect();
    let (components, quantities) = (components.join(", "), quantities.join(", "));
    for (mode, trial) in [("monthly", false), ("hourly", false), ("hourly", true)] {
        let scenario = format!(
            r#"{{"plans": [{{"id": "p", "mode": "{mode}", "price": "1", "components": {{{components}}}}}],
            "timeline": [
              {{"at": "2026-01-05T10:00:00Z", "do": "open_account", "account": "rich", "trial": {trial}, "card": "succeeds"}},
              {{"at": "2026-01-05T10:00:00Z", "do": "create_service", "account": "rich", "service": "s", "plan": "p",
                "quantities": {{{quantities}}}}}
            ], "until": "2026-03-01T00:00:00Z"}}"#
        );
        let scenario = folder.write("scenario.json", &scenario);
        let Ended { status, out, err } = run(&["simulate", &scenario, "--format", "json"]);
        assert_eq!((status, out.as_str()), (Some(1), ""), "{mode} {trial}: {err}");
        assert!(err.contains("account `rich`") && err.contains("beyond what the ledger can hold"), "{err}");
    }
}
