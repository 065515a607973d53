//! `bursar migrate`: a host that outgrew its file.

use std::time::Duration;

use store::{Address, MoveState, Opening, Store};

use crate::support::program::{Daemon, run, run_on, wait_until};
use crate::support::servers::{new_database, sql};

/// A file with a quarter's books in it.
fn quarter() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("books.db").display());
    let scenario = crate::support::program::repository().join("tests/scenarios/quarter.json");
    let played = run(&["simulate", scenario.to_str().expect("UTF-8"), "--database-url", &url]);
    assert_eq!(played.status, Some(0), "{}", played.err);
    (folder, url)
}

#[test]
fn the_books_are_the_same_and_a_daemon_goes_on_with_them() {
    let (_folder, file) = quarter();
    let server = new_database();
    let moved = run(&["migrate", "--from", &file, "--to", &server]);
    assert_eq!(moved.status, Some(0), "{}", moved.err);
    for command in ["accounts list", "services list", "invoices list", "prices list"] {
        assert_eq!(run_on(&server, command).out, run_on(&file, command).out, "{command}");
    }
    assert_eq!(run_on(&server, "verify").status, Some(0));
    let again = run(&["migrate", "--from", &file, "--to", &server]);
    assert_eq!(again.status, Some(2), "{}", again.err);
    assert!(again.err.contains("these books went to postgres database"), "{}", again.err);
    // Nothing is changed any more where they were.
    refused(&file, "these books went to postgres database");
    // What it counts goes on behind what was moved.
    let daemon = Daemon::start(&["--database-url", &server]);
    wait_until("the daemon lives", || run_on(&server, "accounts open newcomer").status == Some(0));
    let opened = run_on(&server, "accounts show newcomer");
    assert_eq!(opened.status, Some(0), "{}", opened.err);
    assert_eq!(daemon.terminate().0, Some(0));
}

fn wait_for<T>(what: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(what)
}

/// How far a move came before whoever did it was killed.
const STEPS: [MoveState; 3] = [MoveState::Leaving, MoveState::Arriving, MoveState::Arrived];

/// Moves as far as to this step.
fn moved_to(step: MoveState, file: &str, server: &str) {
    let place = Address::parse(server).expect("a server").to_string();
    wait_for(async {
        let now = jobs::Clock::system().now();
        let source = Store::open(file, Opening::beside()).await.expect("the file");
        source.move_begin("a-move", &place, now).await.expect("noted");
        source.heartbeat(now).await.expect_err("nobody changes it");
        if step != MoveState::Leaving {
            let target = Store::open(server, Opening::moving(now)).await.expect("the server");
            source.move_to(&target, ("a-move", file, now), |_| {}).await.expect("moved");
            target.heartbeat(now).await.expect_err("nobody changes what is not verified");
            if step == MoveState::Arrived {
                target.move_arrived().await.expect("noted");
            }
        }
    });
}

/// Neither a command changes these books nor a daemon serves them.
fn refused(url: &str, why: &str) {
    for command in ["accounts open stray", "jobs pause bill_instances --reason x", "serve --listen 127.0.0.1:0"] {
        let refused = run_on(url, command);
        assert_eq!(refused.status, Some(1), "{command}: {}", refused.err);
        assert!(refused.err.contains(why), "{command}: {}", refused.err);
    }
}

/// Wherever it was killed, the same command goes on; until then nobody changes what is on both sides.
#[test]
fn a_move_that_was_cut_off_is_finished_by_the_next() {
    for step in STEPS {
        let ((_folder, file), server) = (quarter(), new_database());
        let place = Address::parse(&server).expect("a server").to_string();
        moved_to(step, &file, &server);
        refused(&file, "on their way to postgres database");
        match step {
            MoveState::Arriving => refused(&server, "are not verified yet"),
            // They may be served for days before somebody goes on: then it is none of the move's any more.
            MoveState::Arrived => {
                let daemon = Daemon::start(&["--database-url", &server]);
                wait_until("the daemon lives", || run_on(&server, "accounts open newcomer").status == Some(0));
                assert_eq!(daemon.terminate().0, Some(0));
                sql(&server, "update accounts set wallet = wallet + 1 where id = 1");
                assert_eq!(run_on(&server, "verify").status, Some(1));
            }
            _ => {}
        }
        let elsewhere = run(&["migrate", "--from", &file, "--to", &new_database()]);
        assert_eq!(elsewhere.status, Some(2), "{}", elsewhere.err);
        assert!(elsewhere.err.contains(&place), "{}", elsewhere.err);
        let moved = run(&["migrate", "--from", &file, "--to", &server]);
        assert_eq!(moved.status, Some(0), "{step:?}: {}", moved.err);
        assert_eq!(moved.err.contains("transfers"), step == MoveState::Leaving, "{}", moved.err);
        assert_eq!(sql(&server, "select state from moves"), "arrived");
        refused(&file, "these books went to");
        if step != MoveState::Arrived {
            assert_eq!(run_on(&server, "accounts list").out, run_on(&file, "accounts list").out);
        }
    }
}

/// A database whose tables are there, and what happens to it in the moment in which books arrive.
fn prepared(happens: &str) -> String {
    let server = new_database();
    wait_for(async {
        let now = jobs::Clock::system().now();
        Store::open(&server, Opening::moving(now)).await.expect("the server").close().await;
    });
    let trigger = format!(
        "create function happens() returns trigger language plpgsql as $$ begin {happens}; return null; end $$;
        create trigger happens after insert on moves for each row execute function happens()"
    );
    sql(&server, &trigger);
    server
}

/// The server takes the books and answers nobody after that: they are not taken back, for they may be there.
#[test]
fn books_that_cannot_be_verified_wait_for_the_same_command() {
    let (_folder, file) = quarter();
    let server = prepared(
        "update pg_database set datallowconn = false where datname = current_database();
        perform pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()",
    );
    let (any, name) = server.rsplit_once('/').expect("a database");
    let cut = run(&["migrate", "--from", &file, "--to", &server]);
    assert_eq!(cut.status, Some(1), "{}", cut.err);
    assert!(cut.err.contains("give the same command again") && cut.err.contains("cannot verify"), "{}", cut.err);
    refused(&file, "on their way to postgres database");
    let open = format!("update pg_database set datallowconn = true where datname = '{name}'");
    sql(&format!("{any}/postgres"), &open);
    refused(&server, "are not verified yet");
    let moved = run(&["migrate", "--from", &file, "--to", &server]);
    assert_eq!(moved.status, Some(0), "{}", moved.err);
    refused(&file, "these books went to");
    assert_eq!(run_on(&server, "verify").status, Some(0));
}

/// What arrives broken is never served: the file is, from then on.
#[test]
fn books_that_do_not_verify_are_taken_back_and_what_arrived_is_dead() {
    let (_folder, file) = quarter();
    let server = prepared("update accounts set wallet = wallet + 1 where id = 1");
    let broken = run(&["migrate", "--from", &file, "--to", &server]);
    assert_eq!(broken.status, Some(1), "{}", broken.err);
    assert!(broken.err.contains("do not verify") && broken.err.contains("go on with the file"), "{}", broken.err);
    refused(&server, "did not verify");
    // As if it had been killed before it took them back.
    let id = sql(&server, "select move from moves");
    begun_again(&file, &server, &id);
    refused(&file, "on their way to postgres database");
    let again = run(&["migrate", "--from", &file, "--to", &server]);
    assert_eq!(again.status, Some(1), "{}", again.err);
    assert!(again.err.contains("go on with the file"), "{}", again.err);
    refused(&server, "did not verify");
    let not_there = run(&["migrate", "--from", &file, "--to", &server]);
    assert_eq!(not_there.status, Some(2), "{}", not_there.err);
    assert!(not_there.err.contains("make it anew, empty"), "{}", not_there.err);
    let daemon = Daemon::start(&["--database-url", &file]);
    wait_until("the file is served", || run_on(&file, "accounts open newcomer").status == Some(0));
    assert_eq!(daemon.terminate().0, Some(0));
    let elsewhere = run(&["migrate", "--from", &file, "--to", &new_database()]);
    assert_eq!(elsewhere.status, Some(0), "{}", elsewhere.err);
}

fn begun_again(file: &str, server: &str, id: &str) {
    let place = Address::parse(server).expect("a server").to_string();
    wait_for(async {
        let source = Store::open(file, Opening::beside()).await.expect("the file");
        source.move_begin(id, &place, jobs::Clock::system().now()).await.expect("noted");
    });
}

/// A page of a big file takes longer to read than the server lets anybody else stand still.
#[test]
fn a_file_that_is_read_slowly_arrives() {
    let ((_folder, file), server) = (quarter(), new_database());
    wait_for(async {
        let now = jobs::Clock::system().now();
        let source = Store::open(&file, Opening::beside()).await.expect("the file");
        source.move_begin("a-move", "there", now).await.expect("noted");
        let target = Store::open(&server, Opening::moving(now)).await.expect("the server");
        let slowly = |moved: store::MovedTable| {
            if moved.table == "accounts" {
                std::thread::sleep(Duration::from_secs(4));
            }
        };
        source.move_to(&target, ("a-move", &file, now), slowly).await.expect("moved");
        source.move_to(&target, ("a-move", &file, now), |_| {}).await.expect_err("there are books");
    });
}

/// Where nothing arrived the file is what it was.
#[test]
fn a_move_that_failed_leaves_the_file_as_it_was() {
    let ((_folder, file), server) = (quarter(), new_database());
    let served = Daemon::start(&["--database-url", &server]);
    assert_eq!(served.terminate().0, Some(0));
    let refused = run(&["migrate", "--from", &file, "--to", &server]);
    assert_eq!(refused.status, Some(2), "{}", refused.err);
    assert!(refused.err.contains("there are books in it"), "{}", refused.err);
    let daemon = Daemon::start(&["--database-url", &file]);
    assert_eq!(daemon.terminate().0, Some(0));
}

#[test]
fn what_cannot_be_moved_is_said_before_anything_is() {
    let (folder, file) = quarter();
    let server = new_database();
    let secret = server.replace("bursar@", "bursar:hunter2@");
    for (from, to, wanted) in [
        (file.as_str(), secret.as_str(), "leave the password out"),
        (server.as_str(), file.as_str(), "it goes from an SQLite file to PostgreSQL"),
        ("sqlite:/nowhere/books.db", server.as_str(), "there is no such file"),
        (file.as_str(), "postgres://bursar@127.0.0.1:1/books", "cannot be reached"),
    ] {
        let refused = run(&["migrate", "--from", from, "--to", to]);
        assert!(matches!(refused.status, Some(1 | 2)), "{refused:?}");
        assert!(refused.err.contains(wanted) && !refused.err.contains("hunter2"), "{}", refused.err);
    }
    assert_eq!(sql(&server, "select count(*) from pg_tables where schemaname = 'public'"), "0");
    let serving = Daemon::start(&["--database-url", &file]);
    let refused = run(&["migrate", "--from", &file, "--to", &server]);
    assert_eq!(refused.status, Some(1), "{refused:?}");
    assert!(refused.err.contains("is served already"), "{}", refused.err);
    drop((serving, folder));
}
