//! What machines read: results of commands and why something was not done, as JSON; and a reader who goes away.

use std::fs;
use std::process::Stdio;

use rules::AccountId;
use serde_json::Value;
use store::{NewRun, Opening, Store};
use tempfile::TempDir;

use crate::support::program::{Daemon, Ended, bursar, json_on, run_on, wait_until};

const PRICES: &str = "[[plans]]\nid = \"dms\"\nmode = \"daily\"\nprice = \"2.40\"\n";

struct Host {
    _daemon: Daemon,
    url: String,
    folder: TempDir,
}

impl Host {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("books.db").display());
        let daemon = Daemon::start(&["--database-url", &url]);
        wait_until("it is ready", || daemon.log().contains("ready"));
        Self { _daemon: daemon, url, folder }
    }

    fn run(&self, command: &str) -> Ended {
        run_on(&self.url, command)
    }

    fn json(&self, command: &str) -> Value {
        json_on(&self.url, command)
    }

    /// The exit status, and what stderr's object says.
    fn fails(&self, command: &str, status: i32, code: &str, field: Option<&str>, told: &str) {
        let Ended { status: ended, out, err } = self.run(&format!("{command} --format json"));
        assert_eq!((ended, out.as_str()), (Some(status), ""), "{command}: {err}");
        let error = serde_json::from_str::<Value>(&err).expect(&err)["error"].clone();
        assert_eq!((&error["code"], &error["exit_status"]), (&code.into(), &status.into()), "{command}: {err}");
        assert_eq!(error["field"].as_str(), field, "{command}: {err}");
        assert!(error["message"].as_str().is_some_and(|message| message.contains(told)), "{command}: {err}");
        // For people the status is the same, and the words.
        let plain = self.run(command);
        assert_eq!((plain.status, plain.out.as_str()), (Some(status), ""), "{command}");
        assert!(plain.err.contains(told) && serde_json::from_str::<Value>(&plain.err).is_err(), "{}", plain.err);
    }

    fn list(&self) -> String {
        let file = self.folder.path().join("prices.toml");
        fs::write(&file, PRICES).expect("written");
        file.to_str().expect("UTF-8").to_owned()
    }

    /// A run that waits for its release.
    fn hold(&self) -> i64 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let store = Store::open(&self.url, Opening::beside()).await.expect("the books");
            let now = jobs::Clock::system().now();
            let new = NewRun {
                job: "verify_books",
                due_kind: None,
                slot: None,
                asked_by: "test",
                starts_at: now,
                retry_of: None,
                one_at_a_time: false,
                covered: &[],
                preview: None,
                held_for: Some("twice as much"),
                shards: &[(AccountId(0), AccountId(1))],
                total: 1,
                now,
            };
            let run = store.run_open(&new).await.expect("opened").expect("a run");
            store.close().await;
            run.id.0
        })
    }
}

fn jobs_of(answer: &Value, key: &str) -> Vec<bool> {
    answer["jobs"].as_array().expect("jobs").iter().map(|job| job[key].as_bool().expect(key)).collect()
}

#[test]
fn what_changes_something_answers_in_json() {
    let host = Host::start();
    let list = host.list();
    let applied = host.json(&format!("prices apply {list} --yes"));
    assert_eq!((&applied["list"], &applied["effective_at"]), (&1.into(), &"always".into()), "{applied}");
    let withdrawn = host.json("prices withdraw 1 --reason slip");
    assert_eq!(
        (&withdrawn["list"], &withdrawn["withdrawn"], &withdrawn["before"]),
        (&1.into(), &true.into(), &false.into())
    );
    assert_eq!(host.json("prices withdraw 1 --reason slip")["before"], true);

    let paused = host.json("jobs pause --all --reason moving");
    assert!(jobs_of(&paused, "paused").iter().all(|paused| *paused), "{paused}");
    assert!(jobs_of(&paused, "before").iter().all(|before| !before), "{paused}");
    assert_eq!(jobs_of(&host.json("jobs pause bill_instances --reason again"), "before"), [true]);
    let resumed = host.json("jobs resume bill_instances");
    assert_eq!(jobs_of(&resumed, "paused"), [false]);
    assert!(resumed["jobs"][0]["next_slot"].as_str().is_some_and(|slot| slot.ends_with("T00:00:00Z")), "{resumed}");
    assert_eq!(jobs_of(&host.json("jobs resume bill_instances"), "before"), [true]);
    host.json("jobs resume --all");

    let run = host.hold();
    let asked = host.run(&format!("runs release {run} --format json"));
    assert!(asked.status == Some(2) && asked.out.is_empty() && asked.err.contains("give --yes"), "{asked:?}");
    let released = host.json(&format!("runs release {run} --yes"));
    assert_eq!((&released["run"], &released["released"]), (&run.into(), &true.into()), "{released}");
    assert_eq!(released["held_for"], "twice as much");
    assert_eq!(host.json("books list")["months"], Value::Array(vec![]));
}

#[test]
fn why_it_was_not_done_is_an_object_with_a_code() {
    let host = Host::start();
    host.json("accounts open ann");
    host.json(&format!("prices apply {} --yes --effective-at 2999-01-01T00:00:00Z", host.list()));
    for (command, status, code, field, told) in [
        ("accounts adjust ann -5 --reason x", 3, "insufficient_funds", None, "deposit 5.00 USD or more"),
        ("services create ann s-1 --plan dms", 3, "not_found", None, "no price list in force"),
        ("accounts open ann", 2, "name_taken", None, "ann"),
        ("accounts show eve", 2, "bad_input", Some("account"), "there is no such account"),
        ("statement ann --from 2027-01-02 --to 2027-01-01", 2, "bad_input", Some("to"), "not after"),
        ("runs show 99", 2, "bad_input", Some("run"), "there is no such run"),
        ("prices withdraw 9 --reason x", 2, "bad_input", Some("list"), "there is no list 9"),
        ("jobs pause nothing --reason x", 2, "bad_input", Some("job"), "there is no such job"),
        // What the arguments' own reader refuses.
        ("accounts list --limit 0", 2, "bad_input", Some("limit"), "0 is not in"),
        ("accounts open ann --curency EUR", 2, "bad_input", Some("curency"), "unexpected argument"),
        ("clock confirm", 4, "not_now", None, "nobody doubts the clock"),
        ("books close 1999-01", 3, "not_the_next", None, "the next month to close is"),
    ] {
        host.fails(command, status, code, field, told);
    }
    let help = host.run("--help");
    assert!(help.status == Some(0) && help.out.contains("Usage"), "{help:?}");
}

/// As in `bursar accounts list | head`, where `head` has seen enough.
#[test]
fn nobody_reads_and_it_ends_quietly() {
    let host = Host::start();
    host.json(&format!("prices apply {} --yes", host.list()));
    for command in [
        "accounts list",
        "accounts list --format json",
        "jobs list",
        "runs list",
        "prices list",
        "doctor",
        "verify",
        "clock show",
        "accounts open ann",
        "jobs pause --all --reason moving",
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let words: Vec<&str> = command.split_whitespace().collect();
        let mut program = bursar(&[&words[..], &["--database-url", &host.url]].concat());
        let child = program.stdout(writer).stderr(Stdio::piped()).spawn().expect("it starts");
        // The command holds the pipe's other end open as long as it lives.
        drop(program);
        let ended: Ended = child.wait_with_output().expect("it ends").into();
        assert_eq!((ended.status, ended.err.as_str()), (Some(141), ""), "{command}");
    }
    // What it was to do is done, whole.
    assert_eq!(host.json("accounts show ann")["account"]["state"], "active");
    let jobs = host.json("jobs list");
    let states = jobs["jobs"].as_array().expect("jobs").iter().map(|job| job["state"].as_str().expect("a state"));
    assert!(states.into_iter().all(|state| state.starts_with("paused")), "{jobs}");
}
