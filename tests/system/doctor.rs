//! `bursar doctor` looks at all that keeps the daemon from its work, and says what to do.

use std::fs;

use serde_json::Value;

use crate::support::machine::libfaketime;
use crate::support::program::{Daemon, Ended, bursar, repository, run, wait_until};
use crate::support::servers::Server;

/// What it found under this name: each with what is to be done, if anything.
fn found(told: &str, what: &str) -> Vec<(String, Option<String>)> {
    let told: Value = serde_json::from_str(told).expect(told);
    let findings = told["findings"].as_array().expect("findings").iter().filter(|finding| finding["what"] == what);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    findings.map(|finding| (text(&finding["found"]).expect("a text"), text(&finding["remedy"]))).collect()
}

/// The only finding under a name, which is to be well.
fn well(told: &str, what: &str) -> String {
    match &found(told, what)[..] {
        [(found, None)] => found.clone(),
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn it_looks_at_the_database_its_safety_the_queue_the_clock_and_each_job() {
    let (server, folder) = (Server::postgres(), tempfile::tempdir().expect("a folder"));
    let prices = repository().join("config/prices/vps.toml");
    let (file, config) = (folder.path().join("books.db"), folder.path().join("bursar.toml"));
    for (url, safety, disk) in [
        (format!("sqlite:{}", file.display()), "journal_mode = wal, synchronous = 2", "MiB are free"),
        (server.new_database(), "fsync = on, full_page_writes = on, synchronous_commit = on", "the server's machine"),
    ] {
        fs::write(&config, format!("database = \"{url}\"\nprices.files = [{prices:?}]\n")).expect("written");
        let place = ["--config", config.to_str().expect("UTF-8")];
        let daemon = Daemon::start(&place);
        wait_until("it is ready", || daemon.log().contains("ready"));
        let ask = || run(&[&["doctor", "--format", "json"][..], &place].concat());
        let is_verified =
            |(found, _): &(String, _)| found.starts_with("verify_books: last run ") && found.contains(" done at 2");
        let mut told = String::new();
        wait_until("all is well", || {
            let ended = ask();
            told = ended.out;
            ended.status == Some(0) && found(&told, "job").iter().any(is_verified)
        });
        assert_eq!(well(&told, "durability"), safety);
        assert!(well(&told, "disk").contains(disk), "{told}");
        assert!(well(&told, "queue").contains("in the database, where "), "{told}");
        assert!(well(&told, "clock").ends_with("not in doubt") && well(&told, "database").contains("schema"), "{told}");
        let jobs = found(&told, "job");
        assert_eq!(jobs.len(), jobs::JOBS.len(), "{told}");
        assert!(jobs.iter().all(|(found, remedy)| found.contains("; next at 2") && remedy.is_none()), "{told}");
        assert_eq!(daemon.terminate().0, Some(0));
    }
}

#[test]
fn a_server_that_is_away_and_clocks_that_differ_are_told() {
    let (mut server, mut redis) = (Server::postgres(), Server::redis());
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("bursar.toml");
    let text =
        format!("database = \"{}\"\n[queue]\nurl = \"redis://127.0.0.1:{}\"\n", server.new_database(), redis.port);
    fs::write(&config, text).expect("written");
    let config = config.to_str().expect("UTF-8");
    let daemon = Daemon::start(&["--config", config]);
    wait_until("it is ready", || daemon.log().contains("ready"));
    let doctor = ["doctor", "--format", "json", "--config", config];
    assert!(well(&run(&doctor).out, "queue").contains(&format!("redis://127.0.0.1:{}, where ", redis.port)));

    let ill = |ended: Ended, what: &str, sees: &str, says: &str| {
        assert_eq!(ended.status, Some(1), "{}", ended.err);
        let found = found(&ended.out, what);
        let is_it = |(found, remedy): &(String, Option<String>)| {
            found.contains(sees) && remedy.as_ref().is_some_and(|remedy| remedy.contains(says))
        };
        assert!(found.iter().any(is_it), "{found:?}\nnot: {sees}, {says}");
    };
    let mut ahead = bursar(&doctor);
    ahead.env("LD_PRELOAD", libfaketime()).env("FAKETIME", "+90s");
    ill(ahead.output().expect("it starts").into(), "clock", "at the database's server", "NTP");
    redis.command("stop");
    ill(run(&doctor), "queue", "redis://127.0.0.1:", "what is due stays due");
    server.command("-m immediate stop");
    ill(run(&doctor), "database", "cannot be reached", "start its server");
    server.command("start");
    redis.command("start");
    assert_eq!(daemon.terminate().0, Some(0));
}
