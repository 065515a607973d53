//! SIGHUP: a good configuration holds from then on, a bad one changes nothing, and the night goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::dice::Dice;
use crate::support::kills::{CutShort, compare};
use crate::support::night::{Evening, Night, Progress};
use crate::support::program::{Daemon, Ended, bursar, get, json_on, run_on};
use crate::support::systemd::Listener;

/// A daemon with its configuration in a folder of its own.
struct Host {
    folder: tempfile::TempDir,
    daemon: Option<Daemon>,
    systemd: Listener,
    reloads: usize,
}

impl Host {
    fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let systemd = Listener::at(&folder.path().join("notify"));
        let mut host = Self { folder, daemon: None, systemd, reloads: 0 };
        host.write(config);
        let config = host.path("bursar.toml");
        let mut command = bursar(&["serve", "--config", config.to_str().expect("UTF-8")]);
        command.env("NOTIFY_SOCKET", host.path("notify"));
        host.daemon = Some(Daemon::of(command));
        host.systemd.until("READY=1");
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What differs from the defaults, beside the place of the books.
    fn write(&self, config: &str) {
        let listen = if config.contains("listen = ") { "" } else { "listen = \"127.0.0.1:0\"\n" };
        let database = if config.contains("database = ") { "" } else { "database = \"sqlite:books.db\"\n" };
        fs::write(self.path("bursar.toml"), format!("{listen}{database}{config}")).expect("written");
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("it runs")
    }

    /// Has the daemon read this; what it tells systemd when that is over.
    fn reload(&mut self, config: &str) -> String {
        self.write(config);
        self.daemon().signal("HUP");
        self.systemd.until("RELOADING=1");
        self.systemd.until("READY=1");
        self.reloads += 1;
        self.systemd.last().iter().find(|line| line.starts_with("STATUS=")).expect("a status").clone()
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.path("books.db").display())
    }

    fn currency_of(&self, account: &str) -> String {
        assert_eq!(run_on(&self.url(), &format!("accounts open {account}")).status, Some(0));
        json_on(&self.url(), &format!("accounts show {account}"))["account"]["currency"]
            .as_str()
            .expect("one")
            .to_owned()
    }

    fn stop(mut self) -> String {
        let (status, log) = self.daemon.take().expect("it runs").terminate();
        assert_eq!(status, Some(0), "{log}");
        log
    }
}

#[test]
fn a_good_configuration_holds_at_once() {
    let mut host = Host::start("");
    assert_eq!(host.currency_of("ann"), "USD");
    let told = host.reload(
        "[log]\nformat = \"json\"\nfilter = \"debug\"\n[billing]\ncurrency = \"EUR\"\n[hold]\nenabled = false\n",
    );
    assert!(!told.contains("restart") && !told.contains("refused"), "{told}");
    assert_eq!(host.currency_of("bob"), "EUR");
    let log = host.daemon().log();
    let told = log.lines().find(|line| line.contains("was read anew")).expect("it is told");
    let told: serde_json::Value = serde_json::from_str(told).expect("in JSON from then on");
    assert_eq!(told["changed"], "log, billing, hold");
    // The filter counts as well: what it leaves out is not written any more.
    host.reload("[log]\nfilter = \"off\"\n");
    assert_eq!(host.currency_of("cid"), "USD");
    let log = host.stop();
    assert!(!log.contains("draining"), "{log}");
}

#[test]
fn what_only_a_start_can_change_stays_and_is_told() {
    let mut host = Host::start("");
    let address = host.daemon().address;
    let told = host.reload(
        "database = \"sqlite:other.db\"\nlisten = \"127.0.0.1:1\"\nmetrics_listen = \"127.0.0.1:2\"\n[queue]\nurl = \"redis://h\"\n",
    );
    assert!(told.ends_with("changed, but only a restart takes it: database, queue, listen, metrics_listen"), "{told}");
    assert_eq!(get(address, "/healthz").0, 200);
    assert!(!host.path("other.db").exists());
    assert_eq!(host.currency_of("ann"), "USD");
    // It goes on being told as long as it is so.
    let again = host.reload("database = \"sqlite:other.db\"\n");
    assert!(again.ends_with("only a restart takes it: database"), "{again}");
    let well = host.reload("");
    assert!(!well.contains("restart"), "{well}");
    assert!(host.stop().contains("only a restart takes it: database, queue, listen"));
}

#[test]
fn of_a_bad_configuration_nothing_is_taken() {
    let mut host = Host::start("");
    for (bad, why) in [
        ("[billing]\ncurrency = \"EUR\"\ngrace_days = \"7\"\n", ":5: billing.grace_days: "),
        ("[billing\n", "bursar.toml:3"),
        ("[billing]\ncurrency = \"EUR\"\n[prices]\nfiles = [\"gone.toml\"]\n", "gone.toml: can't be read"),
    ] {
        let told = host.reload(bad);
        assert!(told.contains("was refused, the one before holds") && told.contains(why), "{told}\nnot: {why}");
        assert_eq!(host.currency_of(&format!("a{}", host.reloads)), "USD");
        assert_eq!(get(host.daemon().address, "/readyz").0, 200);
    }
    fs::remove_file(host.path("bursar.toml")).expect("removed");
    host.daemon().signal("HUP");
    host.systemd.until("READY=1");
    let log = host.stop();
    assert_eq!(log.matches("was refused, the one before holds").count(), 4, "{log}");
}

#[test]
fn a_reload_brings_the_first_price_lists() {
    let mut host = Host::start("");
    assert_eq!(json_on(&host.url(), "prices list").as_array().map(Vec::len), Some(0));
    fs::write(host.path("vps.toml"), "[[plans]]\nid = \"vps\"\nmode = \"term\"\nprice = \"6\"\n").expect("written");
    host.reload("prices.files = [\"vps.toml\"]\n");
    assert_eq!(json_on(&host.url(), "prices list").as_array().map(Vec::len), Some(1));
    let Ended { err, .. } = run_on(&host.url(), "prices list");
    assert_eq!(err, "");
    host.stop();
}

const RELOADS: u64 = 12;

/// Configurations come thick and fast, good ones and bad ones, wherever the night is.
fn reloaded(night: &Night, evening: &Evening, dice: &mut Dice) -> CutShort {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("bursar.toml");
    let write = |text: &str| fs::write(&config, text).expect("written");
    write("");
    let url = night.url();
    let daemon = Daemon::start(&["--config", path(&config), "--database-url", &url]);
    let mut on_the_way = 0;
    for number in 0..RELOADS {
        write(match dice.below(4) {
            0 => "[billing]\ngrace_days = 7\n[hold]\ngrowth_percent = 70\n",
            1 => "[log]\nfilter = \"info,sqlx=warn\"\n",
            2 => "listen = \"here\"\n",
            _ => "[log]\nformat = \"json\"\n",
        });
        let reached = night.wait_for(Progress::At(number * evening.accounts / (2 * RELOADS)));
        on_the_way += u64::from(reached < Progress::Done);
        daemon.signal("HUP");
    }
    let (status, log) = daemon.terminate();
    assert_eq!(status, Some(0), "{log}");
    let took = log.matches("was read anew").count() + log.matches("the one before holds").count();
    assert!(took > 0, "{log}");
    let how = format!("reloaded {took} times, {on_the_way} of {RELOADS} were asked for on the way");
    CutShort { how, in_time: on_the_way > 0, back_after: Duration::ZERO }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn reloads_in_the_middle_of_a_night_lose_nothing_of_it() {
    compare(6_000, &[reloaded, reloaded]);
}
