//! What a scenario comes to is the same however it is played.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::program::{Ended, run};
use crate::support::scenarios::{all, expected, play_all, same};

#[test]
fn every_scenario_comes_out_plain_and_with_20_seeds() {
    play_all(20);
}

#[test]
fn the_program_prints_what_is_expected() {
    for path in all() {
        let plain = vec!["simulate", path.to_str().expect("UTF-8"), "--format", "json"];
        let disturbed = [&plain[..], &["--disturb", "7"]].concat();
        for arguments in [plain, disturbed] {
            let Ended { status, out, err } = run(&arguments);
            assert_eq!((status, err.as_str()), (Some(0), ""), "{arguments:?}");
            assert_eq!(same(&out, &text_of(&expected(&path))), Ok(()), "{arguments:?}");
        }
    }
}

#[test]
fn the_tables_tell_all_that_the_json_tells() {
    for path in all() {
        let Ended { status, out, err } = run(&["simulate", path.to_str().expect("UTF-8")]);
        assert_eq!((status, err.as_str()), (Some(0), ""), "{path:?}");
        let rows: BTreeSet<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
        let told = |what: Vec<&str>| assert!(rows.contains(&what), "{path:?} says nothing of {what:?}\n{out}");
        let expected: Value = serde_json::from_str(&text_of(&expected(&path))).expect("JSON");
        for (name, account) in expected["accounts"].as_object().expect("a table") {
            told([&[name.as_str()][..], &cells(account, &["state", "reason", "wallet", "open_invoices"])].concat());
        }
        for entry in list(&expected, "entries") {
            told(cells(entry, &["at", "kind", "service", "from", "to", "amount"]));
        }
        for invoice in list(&expected, "invoices") {
            let whose = cells(invoice, &["account", "issued_at"]);
            for line in list(invoice, "lines") {
                told([&whose[..], &cells(line, &["service", "kind", "from", "to", "amount"])].concat());
            }
            let paid = match invoice["paid_at"].as_str() {
                Some(at) => vec!["total", "paid", at],
                None => vec!["total", "open"],
            };
            told([&whose[..], &paid, &cells(invoice, &["total"])].concat());
        }
        for event in list(&expected, "events").iter().filter(|event| event["service"].is_string()) {
            told(cells(event, &["at", "type", "reason"]));
        }
        for (name, service) in expected["services"].as_object().expect("a table") {
            let head = format!("Service {name}: {}", cells(service, &["state"])[0]);
            let line = out.lines().find(|line| line.starts_with(&head)).expect("the service");
            for key in ["reason", "paid_until", "retention_ends"] {
                assert!(line.contains(service[key].as_str().unwrap_or_default()), "{path:?}: {key} of `{line}`");
            }
        }
        for refused in list(&expected, "refused") {
            told(vec![refused["entry"].to_string().as_str(), cells(refused, &["error"])[0]]);
        }
    }
}

fn text_of(path: &Path) -> String {
    fs::read_to_string(path).expect("a text")
}

fn list<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of[key].as_array().expect("a list")
}

/// The words of these keys, as a table prints them.
fn cells<'a>(of: &'a Value, keys: &[&str]) -> Vec<&'a str> {
    keys.iter().map(|key| of[*key].as_str().unwrap_or("-")).collect()
}

#[test]
fn a_scenario_may_be_toml() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in all() {
        let scenario: Value = serde_json::from_str(&text_of(&path)).expect("JSON");
        let toml = folder.path().join("scenario.toml");
        let keys = scenario.as_object().expect("a table").iter();
        let text: String = keys.map(|(key, value)| format!("{key} = {}\n", in_toml(value))).collect();
        fs::write(&toml, text).expect("written");
        let played = run(&["simulate", toml.to_str().expect("UTF-8"), "--format", "json"]);
        assert_eq!((played.status, played.err.as_str()), (Some(0), ""), "{path:?}");
        assert_eq!(same(&played.out, &text_of(&expected(&path))), Ok(()), "{path:?}");
    }
}

/// A value as TOML writes it inline; strings and numbers are written as in JSON.
fn in_toml(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| format!("{key:?} = {}", in_toml(value));
            format!("{{ {} }}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(in_toml).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
