//! The daemon from outside: starting, health, one daemon to a database, stopping.

use std::fs;
use std::net::TcpListener;

use serde_json::Value;

use crate::support::program::{Daemon, Ended, get, repository, run, wait_until};

fn wait_until_ready(daemon: &Daemon) {
    wait_until("it is ready", || get(daemon.address, "/readyz").0 == 200);
}

#[test]
fn a_new_daemon_makes_its_books_answers_and_stops_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let prices = repository().join("config/prices");
    let lists: Vec<_> = ["device-management.toml", "vps.toml", "cloud.toml"].map(|list| prices.join(list)).into();
    let config = folder.path().join("bursar.toml");
    let text = format!("database = \"sqlite:books.db\"\n[log]\nformat = \"json\"\n[prices]\nfiles = {lists:?}\n");
    fs::write(&config, text).expect("written");
    let config = config.to_str().expect("UTF-8");

    for first in [true, false] {
        let daemon = Daemon::start(&["--config", config]);
        assert_eq!(get(daemon.address, "/healthz"), (200, "ok".to_owned()));
        wait_until_ready(&daemon);
        let (status, body) = get(daemon.address, "/readyz");
        let ready: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((status, ready["status"].as_str()), (200, Some("ready")));
        assert!(rules::Timestamp::parse(ready["as_of"].as_str().expect("a time")).is_some(), "{body}");
        assert_eq!(get(daemon.address, "/").0, 404);
        let (status, log) = daemon.terminate();
        assert_eq!(status, Some(0), "{log}");
        let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()), "{log}");
        let said = |what: &str| lines.iter().filter(|line| line["message"] == what).count();
        assert_eq!(said("price list loaded"), if first { 3 } else { 0 }, "{log}");
        assert_eq!((said("started"), said("ready"), said("draining"), said("stopped")), (1, 1, 1, 1), "{log}");
        assert!(lines.iter().all(|line| line["level"] == "INFO"), "{log}");
    }
    let url = format!("sqlite:{}", folder.path().join("books.db").display());
    let verified = run(&["verify", "--database-url", &url]);
    let verifies = verified.status == Some(0) && verified.out.starts_with("The books verify.\n");
    assert!(verifies, "{}{}", verified.out, verified.err);
}

#[test]
fn a_second_daemon_on_the_same_books_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("books.db");
    let url = format!("sqlite:{}", path.display());
    let first = Daemon::start(&["--database-url", &url]);
    wait_until_ready(&first);
    for same in [url.clone(), url.replacen("sqlite:", "sqlite://", 1)] {
        let Ended { status, err, .. } = run(&["serve", "--listen", "127.0.0.1:0", "--database-url", &same]);
        assert_eq!(status, Some(1), "{err}");
        assert!(err.contains("is served already") && err.contains(path.to_str().expect("UTF-8")), "{err}");
    }
    // A command beside it is welcome.
    assert_eq!(run(&["verify", "--database-url", &url]).status, Some(0));
    assert_eq!(get(first.address, "/readyz").0, 200);
    // Killed, it holds nothing any more.
    first.kill();
    let second = Daemon::start(&["--database-url", &url]);
    wait_until_ready(&second);
    assert_eq!(second.terminate().0, Some(0));
}

#[test]
fn a_port_that_is_taken_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("its address").to_string();
    let url = format!("sqlite:{}", folder.path().join("books.db").display());
    let Ended { status, err, .. } = run(&["serve", "--listen", &listen, "--database-url", &url]);
    assert_eq!(status, Some(1), "{err}");
    assert!(err.contains(&format!("cannot listen on {listen}")), "{err}");
}
