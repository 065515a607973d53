//! What the daemon tells systemd, as systemd hears it.

use std::path::Path;
use std::process::Command;

use crate::support::program::{Daemon, bursar, get, run_on, wait_until};
use crate::support::proxy::Proxy;
use crate::support::servers::Server;
use crate::support::systemd::Listener;

/// Asked to say that it lives each second.
const WATCHDOG_USEC: &str = "2000000";

/// `bursar serve` as systemd starts it.
fn serve(url: &str, socket: &Path) -> Command {
    let mut command = bursar(&["serve", "--listen", "127.0.0.1:0", "--database-url", url]);
    command.env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", WATCHDOG_USEC);
    command
}

#[test]
fn systemd_hears_of_the_start_the_life_the_reload_and_the_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("books.db").display());
    let socket = folder.path().join("notify");
    let mut systemd = Listener::at(&socket);
    let daemon = Daemon::of(serve(&url, &socket));

    systemd.until("READY=1");
    assert_eq!(get(daemon.address, "/readyz").0, 200, "ready is who works");
    let other: Vec<_> = systemd.heard.iter().flatten().filter(|line| *line != "READY=1").collect();
    assert!(other.iter().all(|line| line.starts_with("STATUS=not ready: ")), "{other:?}");
    let [_, status] = systemd.until_all(["WATCHDOG=1", "STATUS=next run "]);
    assert!(status.contains(" at 2") && status.ends_with("; 0 overdue; 0 held"), "{status}");
    assert_eq!(run_on(&url, "jobs pause verify_books --reason x").status, Some(0));
    assert!(systemd.until("STATUS=next run ").ends_with("; 0 overdue; 0 held; 1 job paused"));

    daemon.signal("HUP");
    systemd.until("RELOADING=1");
    let stamp = systemd.last().iter().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    assert!(stamp.is_some_and(|stamp| stamp.parse::<u64>().is_ok_and(|usec| usec > 0)), "{:?}", systemd.last());
    systemd.until("READY=1");
    assert_eq!(systemd.count("READY=1"), 2);

    daemon.signal("TERM");
    systemd.until("STOPPING=1");
    let (status, log) = daemon.ended();
    assert_eq!(status, Some(0), "{log}");
}

#[test]
fn a_daemon_that_hangs_is_silent_and_one_that_waits_is_not() {
    let mut server = Server::postgres();
    let wire = Proxy::of(server.port);
    let url = server.new_database().replace(&server.port.to_string(), &wire.port.to_string());
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("notify");
    let mut systemd = Listener::at(&socket);
    let daemon = Daemon::of(serve(&url, &socket));
    systemd.until("READY=1");
    systemd.until("WATCHDOG=1");

    // The server takes what it is sent and answers nothing.
    wire.freeze(true);
    systemd.until("STATUS=hangs: ");
    let pings = systemd.count("WATCHDOG=1");
    let lost = "the database does not answer: work waits";
    wait_until("it is noticed elsewhere, too", || daemon.log().contains(lost));
    systemd.drain();
    assert_eq!(systemd.count("WATCHDOG=1"), pings, "{:?}", systemd.heard);
    wire.freeze(false);
    systemd.until("WATCHDOG=1");

    // A server that is gone is waited for, alive.
    wait_until("it is back", || daemon.log().contains("the database answers again"));
    server.command("-m immediate stop");
    wait_until("it is gone", || daemon.log().matches(lost).count() > 1);
    systemd.drain();
    let before = systemd.count("WATCHDOG=1");
    systemd.until("WATCHDOG=1");
    systemd.until("WATCHDOG=1");
    assert!(systemd.count("WATCHDOG=1") >= before + 2);
    server.command("start");
    systemd.until("STATUS=next run ");
    let (status, log) = daemon.terminate();
    assert_eq!(status, Some(0), "{log}");
}

#[test]
fn one_that_runs_no_jobs_is_ready_and_alive_as_well() {
    let server = Server::postgres();
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("notify");
    let mut systemd = Listener::at(&socket);
    let mut command = serve(&server.new_database(), &socket);
    command.args(["--role", "http"]);
    let daemon = Daemon::of(command);
    systemd.until("READY=1");
    systemd.until("WATCHDOG=1");
    daemon.signal("TERM");
    systemd.until("STOPPING=1");
    let (status, log) = daemon.ended();
    assert_eq!(status, Some(0), "{log}");
}
