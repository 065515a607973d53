//! The alerts fire when they should and else not, each is explained, and what is to be done about it can be done.

use std::collections::BTreeSet;
use std::fs;

use crate::support::program::{Daemon, repository, run, run_on, wait_until};
use crate::support::prometheus::{Scrape, address, promtool};

const RULES: &str = "docs/operating/alerts/bursar.rules.yml";
const TESTS: &str = "tests/system/alerts/bursar.test.yml";

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).expect(path)
}

/// What stands behind this mark in the lines of a text.
fn all<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.trim().strip_prefix(mark)).collect()
}

#[test]
fn prometheus_takes_the_rules_and_each_fires_when_it_should() {
    for (command, file) in [("check", RULES), ("test", TESTS)] {
        let ended = promtool(&[command, "rules", file], "");
        assert_eq!(ended.status, Some(0), "{}{}", ended.out, ended.err);
    }
    let (rules, tests) = (read(RULES), read(TESTS));
    for alert in all(&rules, "- alert: ") {
        let cases = tests.split("alertname: ").filter(|case| case.starts_with(&format!("{alert}\n")));
        let (quiet, firing): (Vec<&str>, Vec<&str>) = cases.partition(|case| case.contains("exp_alerts: []"));
        assert!(!quiet.is_empty() && !firing.is_empty(), "{alert} is to be tried both ways in {TESTS}");
    }
}

#[test]
fn each_alert_is_explained() {
    let (rules, text) = (read(RULES), read("docs/operating/alerts.md"));
    let alerts: BTreeSet<&str> = all(&rules, "- alert: ").into_iter().collect();
    let explained: BTreeSet<&str> = all(&text, "## Bursar").into_iter().collect();
    let names: BTreeSet<&str> = alerts.iter().filter_map(|alert| alert.strip_prefix("Bursar")).collect();
    assert_eq!(explained, names);
    let runbooks: BTreeSet<String> = all(&rules, "runbook: ").into_iter().map(str::to_owned).collect();
    let anchor = |alert: &&str| format!("\"docs/operating/alerts.md#{}\"", alert.to_lowercase());
    assert_eq!(runbooks, alerts.iter().map(anchor).collect());
}

/// All that the rules ask for is told by a daemon.
#[test]
fn the_rules_ask_for_what_there_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("books.db").display());
    let daemon = Daemon::start(&["--database-url", &url, "--metrics-listen", "127.0.0.1:0"]);
    let scrape = Scrape::of(address(&daemon));
    let told: BTreeSet<String> = scrape.families().into_iter().map(|(name, ..)| name).collect();
    let rules = read(RULES);
    let words = rules.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let asked: BTreeSet<String> = words.filter(|word| word.starts_with("bursar_")).map(str::to_owned).collect();
    assert!(asked.len() > 15 && asked.is_subset(&told), "{:?}", asked.difference(&told).collect::<Vec<_>>());
}

/// The commands that the alerts lead to are the program's: it reads each of them to the end.
#[test]
fn what_is_to_be_done_can_be_typed() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("books.db").display());
    let daemon = Daemon::start(&["--database-url", &url]);
    wait_until("it is ready", || daemon.log().contains(" ready "));
    let text = read("docs/operating/alerts.md");
    let blocks = text.split("```sh alert\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut typed = 0;
    for command in blocks.flat_map(str::lines) {
        let words = command.strip_prefix("bursar ").expect("a command of the program");
        let words = words.replace("RUN", "1").replace("JOB", "verify_books").replace("ACCOUNT", "ann");
        let ended = match words.strip_prefix("config ") {
            // Which asks no books.
            Some(_) => run(&words.split_whitespace().collect::<Vec<_>>()),
            None => run_on(&url, &words),
        };
        assert!(ended.status.is_some() && !ended.err.contains("Usage:"), "{command}: {}", ended.err);
        typed += 1;
    }
    assert!(typed > 10, "only {typed} commands");
}
