//! Price lists from the command line: compared, published, withdrawn, beside a daemon that is alive.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::program::{Daemon, Ended, run};
use jobs::Clock;
use tempfile::TempDir;

/// Books with two accounts that have daily instances, charged for today, and list 1 from the scenario.
struct Books {
    folder: TempDir,
    url: String,
}

impl Books {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("books.db").display());
        let now = Clock::system().now();
        let entries: Vec<String> = [("ann", 2), ("bob", 1)]
            .iter()
            .map(|(account, services)| {
                let whose = format!(r#""at": "{now}", "account": "{account}""#);
                let create = (0..*services).map(|index| {
                    format!(r#"{{{whose}, "do": "create_service", "service": "{account}-{index}", "plan": "dms"}}"#)
                });
                let create: Vec<String> = create.collect();
                format!(
                    r#"{{{whose}, "do": "open_account"}}, {{{whose}, "do": "deposit", "amount": "50.00"}}, {}"#,
                    create.join(", ")
                )
            })
            .collect();
        let scenario = format!(
            r#"{{"plans": [{{"id": "dms", "mode": "daily", "price": "2.40"}}], "timeline": [{}], "until": "{now}"}}"#,
            entries.join(", ")
        );
        let file = folder.path().join("scenario.json");
        fs::write(&file, scenario).expect("written");
        let played = run(&["simulate", &text(&file), "--database-url", &url]);
        assert_eq!((played.status, played.err.as_str()), (Some(0), ""));
        Self { folder, url }
    }

    fn list(&self, name: &str, body: &str) -> String {
        let file = self.folder.path().join(name);
        fs::write(&file, body).expect("written");
        text(&file)
    }

    fn prices(&self, arguments: &[&str]) -> Ended {
        run(&[&["prices"][..], arguments, &["--database-url", &self.url]].concat())
    }

    fn lists(&self) -> Vec<serde_json::Value> {
        let listed = self.prices(&["list", "--format", "json"]);
        assert_eq!((listed.status, listed.err.as_str()), (Some(0), ""));
        serde_json::from_str(&listed.out).expect("JSON")
    }
}

fn text(path: &Path) -> String {
    PathBuf::from(path).into_os_string().into_string().expect("UTF-8")
}

fn plan(id: &str, mode: &str, price: &str) -> String {
    format!("[[plans]]\nid = \"{id}\"\nmode = \"{mode}\"\nprice = \"{price}\"\n")
}

#[track_caller]
fn assert_refused(ended: &Ended, status: i32, told: &str) {
    assert_eq!(ended.status, Some(status), "{ended:?}");
    assert!(ended.err.contains(told), "{told}: {ended:?}");
}

#[test]
fn a_list_is_compared_published_and_withdrawn() {
    let books = Books::new();
    let dearer = books.list("dearer.toml", &plan("dms", "daily", "3.60"));
    let next_week = Clock::system().now().plus_days(7).to_string();
    let at = ["--effective-at", &next_week];
    let apply = [&["apply", &dearer], &at[..], &["--yes"]].concat();
    assert_refused(&books.prices(&apply), 4, "no daemon has been alive");
    let _daemon = Daemon::start(&["--database-url", &books.url]);

    let compared = books.prices(&[&["diff", &dearer], &at[..], &["--format", "json"]].concat());
    let compared: serde_json::Value = serde_json::from_str(&compared.out).expect("JSON");
    let plan_row = &compared["plans"][0];
    for (key, value) in [
        ("plan", "dms"),
        ("currency", "USD"),
        ("now", "7.20"),
        ("then", "10.80"),
        ("difference", "3.60"),
        ("per", "day"),
    ] {
        assert_eq!(plan_row[key], value, "{compared}");
    }
    let accounts: Vec<(&str, &str)> = compared["accounts"]
        .as_array()
        .expect("accounts")
        .iter()
        .map(|row| (row["account"].as_str().expect("a name"), row["difference"].as_str().expect("an amount")))
        .collect();
    assert_eq!(accounts, [("ann", "73.000000"), ("bob", "36.500000")]);
    assert_eq!(books.lists().len(), 1, "comparing publishes nothing");

    assert_refused(&books.prices(&[&["apply", &dearer], &at[..]].concat()), 2, "give --yes");
    let past = ["apply", &dearer, "--yes", "--effective-at", "2020-01-01T00:00:00Z"];
    assert_refused(&books.prices(&past), 2, "give a later effective_at");
    assert_refused(&books.prices(&["apply", &dearer, "--yes"]), 2, "it takes effect always");
    let other_mode = books.list("mode.toml", &plan("dms", "hourly", "3.60"));
    let refused = books.prices(&[&["apply", &other_mode, "--yes"], &at[..]].concat());
    assert_refused(&refused, 2, "keeps its mode `daily`");
    assert_eq!(books.lists().len(), 1);

    let applied = books.prices(&apply);
    assert_eq!((applied.status, applied.err.as_str()), (Some(0), ""));
    assert!(applied.out.contains("10.80") && applied.out.contains("Applied as list 2"), "{applied:?}");
    let lists = books.lists();
    assert_eq!((lists.len(), lists[1]["effective_at"].as_str()), (2, Some(next_week.as_str())));
    assert!(lists[1]["author"].as_str().is_some_and(|author| author.starts_with("cli:")), "{lists:?}");

    assert_refused(&books.prices(&["withdraw", "2", "--reason", " "]), 2, "it is a text, not empty");
    let withdrawn = books.prices(&["withdraw", "2", "--reason", "a slip"]);
    assert_eq!((withdrawn.status, withdrawn.err.as_str()), (Some(0), ""));
    assert_eq!(books.lists()[1]["withdrawn"]["reason"], "a slip");
    let again = books.prices(&["withdraw", "2", "--reason", "a slip"]);
    assert!(again.status == Some(0) && again.out.contains("before"), "{again:?}");
    // It counts no more: the same list may come again.
    assert!(books.prices(&apply).out.contains("Applied as list 3"));

    assert_refused(&books.prices(&["withdraw", "9", "--reason", "?"]), 2, "there is no list 9");
    assert_eq!(run(&["verify", "--database-url", &books.url]).status, Some(0));
}

#[test]
fn a_list_that_others_or_charges_rest_on_stays() {
    let books = Books::new();
    let _daemon = Daemon::start(&["--database-url", &books.url]);
    let week = |weeks: i64| Clock::system().now().plus_days(u32::try_from(7 * weeks).expect("few")).to_string();
    let apply = |file: &str, weeks: i64| books.prices(&["apply", file, "--yes", "--effective-at", &week(weeks)]);

    // Charged by: the scenario's list.
    let refused = books.prices(&["withdraw", "1", "--reason", "a slip"]);
    assert_refused(&refused, 3, "refused: in_use: list 1 is in use: service `");

    let new = books.list("new.toml", &plan("new", "daily", "1.00"));
    let newer = books.list("newer.toml", &plan("new", "daily", "2.00"));
    assert_eq!(apply(&new, 2).status, Some(0));
    assert_eq!(apply(&newer, 4).status, Some(0));
    let refused = books.prices(&["withdraw", "2", "--reason", "a slip"]);
    assert_refused(&refused, 3, "list 3 has new prices for plan `new`, which list 2 brought");

    // A list in between that the later ones would not fit over.
    let between = books.list("between.toml", &plan("new", "hourly", "1.00"));
    assert_refused(&apply(&between, 1), 2, "list 2, which takes effect later, would not fit");
    assert_refused(&apply(&between, 3), 2, "it cannot be laid over the lists before it");
    for list in ["3", "2"] {
        assert_eq!(books.prices(&["withdraw", list, "--reason", "in order"]).status, Some(0));
    }
}

#[test]
fn the_first_lists_need_no_daemon() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("books.db").display());
    Daemon::start(&["--database-url", &url]).terminate();
    let books = Books { folder, url };
    let first = books.list("first.toml", &plan("dms", "daily", "2.40"));
    let applied = books.prices(&["apply", &first, "--yes"]);
    assert_eq!((applied.status, applied.err.as_str()), (Some(0), ""));
    assert_eq!(books.lists()[0]["effective_at"], "always");
}
