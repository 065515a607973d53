//! The daemon makes no system call that its unit does not leave to it.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use crate::support::program::{Daemon, bursar, json_on, repository, run_on, wait_until};
use crate::support::prometheus::{Scrape, address};
use crate::support::servers::Server;
use crate::support::systemd::Filter;

/// Of a call that was not left to it, in this filter.
const SIGSYS: i32 = 31;

#[test]
fn it_bills_under_the_units_filter_of_system_calls() {
    let filter = Filter::of_the_unit();
    let mut forbidden = Command::new("chroot");
    forbidden.args(["/", "true"]).stderr(Stdio::null());
    let ended = filter.spawn(forbidden).wait().expect("it ends");
    assert_eq!(ended.signal(), Some(SIGSYS), "the filter holds nothing back: {ended}");

    let (server, redis, folder) = (Server::postgres(), Server::redis(), tempfile::tempdir().expect("a folder"));
    let file = format!("sqlite:{}", folder.path().join("books.db").display());
    let prices = repository().join("config/prices/device-management.toml");
    let config = folder.path().join("bursar.toml");
    for (url, queue) in [(file, String::new()), (server.new_database(), format!("redis://127.0.0.1:{}", redis.port))] {
        let queue = if queue.is_empty() { queue } else { format!("[queue]\nurl = \"{queue}\"\n") };
        let text = format!("database = \"{url}\"\n{queue}[prices]\nfiles = [{prices:?}]\n");
        fs::write(&config, text).expect("written");
        let listen = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
        let mut serve = bursar(&[&listen[..], &["--config", config.to_str().expect("UTF-8")]].concat());
        serve.stderr(Stdio::piped());
        let daemon = Daemon::started(filter.spawn(serve));
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("it lives");
        assert!(status.lines().any(|line| line == "Seccomp:\t2"), "{status}");
        wait_until("it is ready", || daemon.log().contains("ready"));

        for command in [
            "accounts open ann",
            "accounts deposit ann 50.00 --reference r1",
            "services create ann ann-1 --plan acs-small",
            "jobs enqueue bill_instances",
        ] {
            let done = run_on(&url, command);
            assert_eq!(done.status, Some(0), "{command}: {}{}", done.err, daemon.log());
        }
        wait_until("its run is done", || {
            let runs = json_on(&url, "runs list");
            runs["runs"].as_array().expect("runs").iter().all(|run| run["state"] == "done")
        });
        let scrape = Scrape::of(address(&daemon));
        for told in ["process_open_fds", "process_resident_memory_bytes", "process_threads", "process_max_fds"] {
            assert!(scrape.value(told) > Some(0), "{told}\n{}", scrape.text);
        }
        daemon.signal("HUP");
        wait_until("it has read its configuration anew", || daemon.log().contains("was read anew"));
        let (status, log) = daemon.terminate();
        assert_eq!(status, Some(0), "{log}");
        assert_eq!(run_on(&url, "verify").status, Some(0));
    }
}
