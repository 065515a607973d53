//! Several daemons over one PostgreSQL leave the books of one on an SQLite file, whatever happens to them.

use std::fs;
use std::time::Duration;

use crate::support::faults::{Fault, Measure, ON_POSTGRES, WITH_REDIS, play};
use crate::support::program::{Daemon, json_on, run, wait_until};
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
    play(ACCOUNTS, &faults, false, SHORT);
}

#[test]
fn with_the_queue_in_a_redis_it_is_the_same() {
    let faults: Vec<Fault> = WITH_REDIS.into_iter().filter(|fault| *fault != Fault::ClocksApart).collect();
    play(ACCOUNTS, &faults, true, SHORT);
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
        let later = ["jobs", "enqueue", "verify_books", "--at", "2100-01-01T00:00:00Z"];
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
    let daemon = Daemon::start(&["--database-url", &url]);
    sql(&url, "insert into bursar_migrations values (99, 'later', 0)");
    let (status, log) = daemon.ended();
    assert_eq!(status, Some(1), "{log}");
    assert!(log.contains("use the newer program"), "{log}");
}
