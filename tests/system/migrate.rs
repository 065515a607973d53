//! `bursar migrate`: a host that outgrew its file.

use store::{Address, Opening, Store};

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
    // Nothing is changed any more where they were, neither by a command nor by a daemon.
    for command in ["accounts open stray", "jobs pause bill_instances --reason x", "serve --listen 127.0.0.1:0"] {
        let refused = run_on(&file, command);
        assert_eq!(refused.status, Some(1), "{command}: {}", refused.err);
        assert!(refused.err.contains("these books went to postgres database"), "{command}: {}", refused.err);
    }
    // What it counts goes on behind what was moved.
    let daemon = Daemon::start(&["--database-url", &server]);
    wait_until("the daemon lives", || run_on(&server, "accounts open newcomer").status == Some(0));
    let opened = run_on(&server, "accounts show newcomer");
    assert_eq!(opened.status, Some(0), "{}", opened.err);
    assert_eq!(daemon.terminate().0, Some(0));
}

/// Killed before or after the books arrived, it goes on at the next try; until then nobody changes them.
#[test]
fn a_move_that_was_cut_off_is_finished_by_the_next() {
    for arrived in [false, true] {
        let ((_folder, file), server) = (quarter(), new_database());
        let place = Address::parse(&server).expect("a server").to_string();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let now = jobs::Clock::system().now();
            let source = Store::open(&file, Opening::beside()).await.expect("the file");
            source.move_begin("a-move", &place, now).await.expect("noted");
            source.heartbeat(now).await.expect_err("nobody changes it");
            if arrived {
                let target = Store::open(&server, Opening::serving(now)).await.expect("the server");
                source.move_to(&target, ("a-move", &file, now), |_| {}).await.expect("moved");
            }
        });
        let refused = run_on(&file, "accounts open stray");
        assert!(refused.err.contains("on their way to postgres database"), "{}", refused.err);
        let elsewhere = run(&["migrate", "--from", &file, "--to", &new_database()]);
        assert_eq!(elsewhere.status, Some(2), "{}", elsewhere.err);
        assert!(elsewhere.err.contains(&place), "{}", elsewhere.err);
        let moved = run(&["migrate", "--from", &file, "--to", &server]);
        assert_eq!(moved.status, Some(0), "{}", moved.err);
        assert_eq!(moved.err.contains("transfers"), !arrived, "{}", moved.err);
        assert_eq!(run_on(&server, "accounts list").out, run_on(&file, "accounts list").out);
        assert!(run_on(&file, "accounts open stray").err.contains("these books went to"));
    }
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
