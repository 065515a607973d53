//! Several daemons over one PostgreSQL leave the books of one on an SQLite file, whatever happens to them.

use std::fs;

use crate::support::faults::{ON_POSTGRES, WITH_REDIS, play};
use crate::support::program::{Daemon, run, wait_until};
use crate::support::scenarios::{all, expected, same};
use crate::support::servers::new_database;

const ACCOUNTS: u64 = 400;

#[test]
fn what_happens_to_daemons_and_their_server_leaves_the_books_of_a_calm_night() {
    play(ACCOUNTS, &ON_POSTGRES, false);
}

#[test]
fn with_the_queue_in_a_redis_it_is_the_same() {
    play(ACCOUNTS, &WITH_REDIS, true);
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
