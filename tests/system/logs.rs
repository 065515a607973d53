//! Each line of the log says of which run, request and account it is.

use std::fs;

use serde_json::Value;

use crate::support::http::Api;
use crate::support::program::{Daemon, json_on, run_on, wait_until};

/// A daemon that tells all that it asks of its books, having billed and answered; its log, and a request's id.
fn log_of(format: &str) -> (String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("books.db").display());
    let config = folder.path().join("bursar.toml");
    let text = format!("[log]\nformat = \"{format}\"\nfilter = \"info,sqlx=debug\"\n");
    fs::write(&config, text).expect("written");
    let daemon = Daemon::start(&["--config", config.to_str().expect("UTF-8"), "--database-url", &url]);
    wait_until("it is ready", || daemon.log().contains("ready"));
    let made = json_on(&url, "keys create admin --scope admin");
    let api = Api { address: daemon.address, key: made["secret"].as_str().map(str::to_owned), from: None };
    api.done("/v1/accounts", r#"{"name": "ann"}"#);
    let reply = api.post("/v1/accounts/ann/adjustments", r#"{"amount": "5.00", "reason": "test"}"#);
    assert_eq!(reply.status, 201, "{reply:?}");
    let request = reply.head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).expect("an id").to_owned();
    assert_eq!(run_on(&url, "jobs enqueue verify_books").status, Some(0));
    wait_until("its runs are done", || run_on(&url, "runs watch").out.starts_with("No run is under way."));
    let (status, log) = daemon.terminate();
    assert_eq!(status, Some(0), "{log}");
    (log, request)
}

#[test]
fn lines_in_json_say_what_they_are_of() {
    let (log, request) = log_of("json");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let span = |line: &Value, name: &str| {
        let spans = line["spans"].as_array()?.iter();
        spans.clone().find(|span| span["name"] == name).cloned()
    };
    let finished: Vec<&Value> = lines.iter().filter(|line| line["message"] == "run finished").collect();
    assert!(!finished.is_empty(), "{log}");
    for line in finished {
        let run = span(line, "run").expect("a run");
        assert_eq!((&run["run"], &run["job"]), (&line["run"], &line["job"]), "{line}");
    }
    let asked =
        |of: &dyn Fn(&Value) -> bool| lines.iter().filter(|line| line["target"] == "sqlx::query" && of(line)).count();
    assert!(asked(&|line| span(line, "run").is_some_and(|run| run["run"].is_i64())) > 5, "{log}");
    let of_request = |line: &Value| span(line, "request").is_some_and(|span| span["request"] == request.as_str());
    assert!(asked(&of_request) > 3, "{log}");
    // Within the request, on the account.
    assert!(asked(&|line| of_request(line) && span(line, "account").is_some_and(|of| of["account"] == 1)) > 1, "{log}");
}

#[test]
fn lines_of_text_say_what_they_are_of() {
    let (log, request) = log_of("text");
    let has = |parts: &[&str]| log.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(has(&["run{job=\"verify_books\" run=", "run finished"]), "{log}");
    assert!(has(&["run{job=\"verify_books\" run=", "summary="]), "{log}");
    assert!(has(&[&format!("request=\"{request}\""), "account{account=1}", "summary="]), "{log}");
}
