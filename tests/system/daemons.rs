//! Several daemons over one PostgreSQL leave the books of one on an SQLite file, whatever happens to them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::faults::{Fault, Measure, ON_POSTGRES, WITH_REDIS, play};
use crate::support::program::{Daemon, json_on, repository, run, run_on, wait_until};
use crate::support::scenarios::{all, expected, same};
use crate::support::servers::{Server, new_database, sql};

const ACCOUNTS: u64 = 1_200;

/// Also on a machine that is busy with other tests.
const SHORT: Measure = Measure {
    queue_gone: Duration::from_secs(17),
    server_gone: Duration::from_secs(5),
    frozen: Duration::ZERO,
    back_within: Duration::from_secs(12),
};

#[test]
fn what_happens_to_daemons_and_their_server_leaves_the_books_of_a_calm_night() {
    // The short ones of their kind are in the long tests.
    let mut faults = vec![Fault::None];
    faults.extend(ON_POSTGRES.into_iter().filter(|fault| !matches!(fault, Fault::Freeze | Fault::ServerRestarts)));
    play(ACCOUNTS, &faults, false, SHORT, 1);
}

#[test]
fn with_the_queue_in_a_redis_it_is_the_same() {
    let faults: Vec<Fault> = WITH_REDIS.into_iter().filter(|fault| *fault != Fault::ClocksApart).collect();
    play(ACCOUNTS, &faults, true, SHORT, 1);
}

#[test]
fn every_scenario_comes_out_the_same_on_postgresql() {
    for path in all() {
        let file = path.to_str().expect("UTF-8");
        for disturbed in [&[][..], &["--disturb", "7"]] {
            let url = new_database();
            let played = run(&[&["simulate", file, "--format", "json", "--database-url", &url], disturbed].concat());
            assert_eq!((played.status, played.err.as_str()), (Some(0), ""), "{path:?}");
            let wanted = fs::read_to_string(expected(&path)).expect("what is expected");
            assert_eq!(same(&played.out, &wanted), Ok(()), "{path:?} {disturbed:?}");
        }
    }
}

#[test]
fn a_daemon_that_only_answers_runs_no_jobs() {
    let url = new_database();
    let answers = Daemon::start(&["--database-url", &url, "--role", "http"]);
    assert!(!answers.log().contains("run opened"), "{}", answers.log());
    let works = Daemon::start(&["--database-url", &url, "--role", "worker"]);
    wait_until("the other one worked", || works.log().contains("run opened"));
    assert_eq!(works.terminate().0, Some(0));
    let (status, log) = answers.terminate();
    assert_eq!(status, Some(0), "{log}");
    assert!(!log.contains("run opened"), "{log}");
}

/// Commands beside daemons whose queue is a Redis find it, or do without.
#[test]
fn commands_go_by_the_queue_of_the_configuration() {
    let (redis, url) = (Server::redis(), new_database());
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("bursar.toml");
    let text = format!("database = \"{url}\"\n[queue]\nurl = \"redis://127.0.0.1:{}\"\n", redis.port);
    fs::write(&config, text).expect("written");
    let config = config.to_str().expect("UTF-8");
    let daemon = Daemon::start(&["--config", config]);
    wait_until("the daemon lives", || json_on(&url, "clock show")["last_alive"].is_string());
    for place in [["--config", config], ["--database-url", url.as_str()]] {
        let asked = run(&[&["jobs", "enqueue", "verify_books"][..], &place].concat());
        assert_eq!(asked.status, Some(0), "{place:?}: {}", asked.err);
        // As if its preview had been beyond the band.
        let held = "update runs set state = 'held', held_for = 'test' where id = (select max(id) from runs)
            and state = 'queued' returning id";
        let at = jobs::Clock::system().now().plus_days(300).to_string();
        let later = ["jobs", "enqueue", "verify_books", "--at", &at];
        let asked = run(&[&later[..], &place].concat());
        assert_eq!(asked.status, Some(0), "{place:?}: {}", asked.err);
        let id = sql(&url, held);
        let released = run(&[&["runs", "release", &id, "--yes"][..], &place].concat());
        assert_eq!(released.status, Some(0), "{place:?}: {}", released.err);
    }
    let done = "select count(*) from runs where job = 'verify_books' and state = 'done' and asked_by like 'cli:%'";
    wait_until("what was asked for is done", || sql(&url, done) == "2");
    assert_eq!(daemon.terminate().0, Some(0));
}

/// A connection that is cut is made anew, and with it whoever listens.
#[test]
fn a_daemon_listens_again_after_a_cut() {
    let url = new_database();
    let daemon = Daemon::start(&["--database-url", &url]);
    let listens = || sql(&url, "select count(*) from pg_stat_activity where query ilike 'listen%'") == "1";
    for _ in 0..3 {
        wait_until("it listens", listens);
        let cut = "select pg_terminate_backend(pid, 10000) from pg_stat_activity where query ilike 'listen%'";
        sql(&url, cut);
    }
    wait_until("it listens again", listens);
    assert_eq!(daemon.terminate().0, Some(0));
}

/// A newer program migrates the books while an older one runs: that one ends, and says why.
#[test]
fn a_daemon_that_is_left_behind_ends() {
    let url = new_database();
    let daemons = ["all", "http", "worker"].map(|role| Daemon::start(&["--database-url", &url, "--role", role]));
    sql(&url, "insert into bursar_migrations values (99, 'later', 0)");
    for daemon in daemons {
        let (status, log) = daemon.ended();
        assert_eq!(status, Some(1), "{log}");
        assert!(log.contains("use the newer program"), "{log}");
    }
}

/// Nobody worked for a day, whoever answered meanwhile.
#[test]
fn a_daemon_that_only_answers_hides_no_outage() {
    let url = new_database();
    let never = || json_on(&url, "clock show")["last_alive"].is_null();
    let answers = Daemon::start(&["--database-url", &url, "--role", "http"]);
    assert!(never());
    assert_eq!(answers.terminate().0, Some(0));
    assert!(never());
    let works = Daemon::start(&["--database-url", &url, "--role", "worker"]);
    assert_eq!(works.terminate().0, Some(0));
    sql(&url, "update heartbeats set last_alive_at = last_alive_at - 86400, alive_since = alive_since - 86400");
    let answers = Daemon::start(&["--database-url", &url, "--role", "http"]);
    assert_eq!(sql(&url, "select count(*) from outages"), "0");
    let works = Daemon::start(&["--database-url", &url, "--role", "worker"]);
    assert_eq!(sql(&url, "select count(*) from outages"), "1");
    assert_eq!((answers.terminate().0, works.terminate().0), (Some(0), Some(0)));
}

/// A server that is told to forget while daemons run: they stop working, say why, and go on when it is put right.
#[test]
fn a_server_that_forgets_stops_the_work_until_it_keeps_again() {
    let server = Server::postgres();
    let url = server.new_database();
    let daemons = ["all", "http"].map(|role| Daemon::start(&["--database-url", &url, "--role", role]));
    wait_until("they are ready", || daemons.iter().all(|daemon| ready(daemon).is_none()));
    let set = |change: &str| {
        sql(&url, &format!("alter system {change}"));
        sql(&url, "select pg_reload_conf()");
    };
    set("set fsync = off");
    for daemon in &daemons {
        wait_until("it says so", || daemon.log().contains("fsync = off where on was set"));
        let why = ready(daemon).expect("it is not ready");
        assert!(why.contains("fsync = off where on was set"), "{why}");
    }
    let refused = run_on(&url, "accounts open stray");
    assert_eq!(refused.status, Some(1), "{}", refused.err);
    let told = run_on(&url, "doctor").out;
    assert!(told.contains("fsync = off") && told.contains("in postgresql.conf: fsync = on"), "{told}");
    assert!(refused.err.contains("fsync = off"), "{}", refused.err);
    set("reset fsync");
    wait_until("they are ready again", || daemons.iter().all(|daemon| ready(daemon).is_none()));
    assert_eq!(run_on(&url, "accounts open newcomer").status, Some(0));
    assert_eq!(daemons.map(|daemon| daemon.terminate().0), [Some(0), Some(0)]);
}

/// What a daemon says that keeps it from its work.
fn ready(daemon: &Daemon) -> Option<String> {
    let mut stream = TcpStream::connect(daemon.address).expect("connected");
    write!(stream, "GET /readyz HTTP/1.1\r\nhost: bursar\r\nconnection: close\r\n\r\n").expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    (!answer.starts_with("HTTP/1.1 200")).then_some(answer)
}

/// What only reads is served by a replica, and what changes something says that it is none of its.
#[test]
fn a_standby_serves_what_only_reads() {
    let mut server = Server::postgres();
    let url = server.new_database();
    let scenario = repository().join("tests/scenarios/quarter.json");
    let played = run(&["simulate", scenario.to_str().expect("UTF-8"), "--database-url", &url]);
    assert_eq!(played.status, Some(0), "{}", played.err);
    let account = json_on(&url, "accounts list")["accounts"][0]["account"].as_str().expect("an account").to_owned();
    let service = json_on(&url, "services list")["services"][0]["service"].as_str().expect("a service").to_owned();
    let reading = [
        "verify".to_owned(),
        "accounts list".to_owned(),
        format!("accounts show {account}"),
        "services list".to_owned(),
        format!("services show {service}"),
        "invoices list".to_owned(),
        format!("statement {account}"),
        "report revenue --month 2026-02".to_owned(),
        "prices list".to_owned(),
        "jobs list".to_owned(),
        "jobs enqueue bill_instances --dry-run".to_owned(),
        "runs list".to_owned(),
        "books list".to_owned(),
    ];
    let read = || reading.iter().map(|command| run_on(&url, command)).collect::<Vec<_>>();
    let on_the_primary = read();
    server.command("standby");
    for ((command, there), here) in reading.iter().zip(on_the_primary).zip(read()) {
        assert_eq!((there.status, here.status), (Some(0), Some(0)), "{command}: {}{}", there.err, here.err);
    }
    for command in [
        format!("accounts deposit {account} 10.00 --reference b"),
        "jobs pause bill_instances --reason x".to_owned(),
        "jobs resume bill_instances".to_owned(),
        "clock confirm".to_owned(),
        "serve --listen 127.0.0.1:0".to_owned(),
    ] {
        let refused = run_on(&url, &command);
        assert_eq!(refused.status, Some(1), "{command}: {}", refused.err);
        assert!(refused.err.contains("give the address of the primary"), "{command}: {}", refused.err);
    }
}
