//! A machine whose clock the test sets: Debian's libfaketime lies to the program about the time of day, and leaves
//! alone the clock that only counts on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use jobs::Clock;
use rules::Timestamp;
use store::{Opening, Store};
use tempfile::TempDir;

use crate::support::program::{Daemon, Ended, bursar, repository, wait_until};

/// Longer than this between two lives would be an outage (rule 11.8).
const STEP_SECS: i64 = 11 * rules::HOUR;

/// The daemon, its books and its clock.
pub struct Machine {
    pub folder: TempDir,
    /// What the clock is ahead of the real one, for whoever starts and whoever runs.
    ahead: i64,
    daemon: Option<Daemon>,
}

impl Machine {
    /// A new machine whose clock says `start`, with this configuration beside the database's place.
    pub fn new(start: &str, config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!("database = \"sqlite:books.db\"\n{config}");
        fs::write(folder.path().join("bursar.toml"), text).expect("written");
        let mut machine = Self { folder, ahead: 0, daemon: None };
        machine.set_clock(start);
        machine
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    pub fn now(&self) -> Timestamp {
        Clock::system().now().plus_secs(self.ahead)
    }

    /// The clock jumps, also under a daemon that runs.
    pub fn set_clock(&mut self, to: &str) {
        let to = Timestamp::parse(to).expect("a time");
        self.jump(to.secs() - self.now().secs());
    }

    pub fn jump(&mut self, secs: i64) {
        self.ahead += secs;
        // In one step: a reader must never find it half written.
        let next = self.folder.path().join("ahead.next");
        fs::write(&next, format!("{:+}\n", self.ahead)).expect("written");
        fs::rename(next, self.folder.path().join("ahead")).expect("renamed");
    }

    fn on_this_clock(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", libfaketime())
            .env("FAKETIME_TIMESTAMP_FILE", self.folder.path().join("ahead"))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1")
            .env("USER", "ann");
    }

    /// A command on this machine; the configuration is named for it.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        let config = self.path("bursar.toml");
        let mut command = bursar(&[arguments, &["--config", &config]].concat());
        self.on_this_clock(&mut command);
        command.output().expect("the program starts").into()
    }

    /// A command that must be done; answers what it printed.
    pub fn done(&self, arguments: &[&str]) -> String {
        let Ended { status, out, err } = self.run(arguments);
        assert_eq!(status, Some(0), "{arguments:?}: {out}{err}");
        out
    }

    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let out = self.done(&[arguments, &["--format", "json"]].concat());
        serde_json::from_str(&out).expect(&out)
    }

    /// Follows a document: each command of its blocks marked `sh month` is done here, with its words in capitals
    /// replaced.
    pub fn follow(&self, document: &str, words: &[(&str, &str)]) {
        let text = fs::read_to_string(repository().join(document)).expect(document);
        let blocks = text.split("```sh month\n").skip(1).filter_map(|rest| rest.split("```").next());
        let mut followed = 0;
        for command in blocks.flat_map(str::lines) {
            let mut command = command.strip_prefix("bursar ").expect("a command of the program").to_owned();
            for (word, meaning) in words {
                command = command.replace(word, meaning);
            }
            let config = self.path("bursar.toml");
            let mut shell = Command::new("sh");
            let line = format!("\"$0\" {command} --config {config}");
            shell.args(["-c", &line, env!("CARGO_BIN_EXE_bursar")]).current_dir(self.folder.path());
            self.on_this_clock(&mut shell);
            let Ended { status, out, err } = shell.output().expect("sh").into();
            assert_eq!(status, Some(0), "{document}: {command}: {out}{err}");
            followed += 1;
        }
        assert!(followed > 0, "{document} has no command to follow");
    }

    pub fn start(&mut self) {
        let config = self.path("bursar.toml");
        let mut command = bursar(&["serve", "--listen", "127.0.0.1:0", "--config", &config]);
        self.on_this_clock(&mut command);
        self.daemon = Some(Daemon::of(command));
    }

    /// Ends the daemon in order, and answers its log.
    pub fn stop(&mut self) -> String {
        let (status, log) = self.daemon.take().expect("a daemon").terminate();
        assert_eq!(status, Some(0), "{log}");
        log
    }

    pub fn kill(&mut self) {
        self.daemon.take().expect("a daemon").kill();
    }

    pub fn log(&self) -> String {
        self.daemon.as_ref().expect("a daemon").log()
    }

    /// Time passes until `to`: the machine sleeps through most of it, and is never away for long.
    pub fn pass_until(&mut self, to: &str) {
        let to = Timestamp::parse(to).expect("a time");
        while self.now() < to {
            if self.daemon.is_some() {
                self.stop();
            }
            self.jump((to.secs() - self.now().secs()).min(STEP_SECS));
            self.start();
            self.wait_until_idle();
        }
    }

    /// Waits until nothing is due and no run is under way.
    pub fn wait_until_idle(&self) {
        wait_until("the daemon has looked at every job", || self.log().contains(" ready "));
        wait_until("nothing is due any more", || {
            let jobs = self.json(&["jobs", "list"]);
            let runs = self.json(&["runs", "list"]);
            let idle = |job: &serde_json::Value| {
                let is_calendar = job["calendar"] == true;
                let covers = |run: &serde_json::Value| is_calendar && run["slot"].is_string();
                // A calendar job has looked at its newest slot; what waits for a held run is not due.
                (job["due_now"] == 0 || job["job"] == "verify_books")
                    && (!is_calendar || job["slots"].as_array().is_some_and(|slots| slots.iter().any(covers)))
            };
            let at_work = |run: &serde_json::Value| run["state"] == "queued" || run["state"] == "running";
            jobs["jobs"].as_array().expect("jobs").iter().all(idle)
                && !runs["runs"].as_array().expect("runs").iter().any(at_work)
        });
    }

    /// The books as the store reads them.
    pub fn read<T>(&self, ask: impl AsyncFnOnce(&Store) -> T) -> T {
        let url = format!("sqlite:{}", self.path("books.db"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let store = Store::open(&url, Opening::beside()).await.expect("the books");
            let answer = ask(&store).await;
            store.close().await;
            answer
        })
    }

    pub fn assert_verified(&self) {
        let verified = self.run(&["verify"]);
        assert_eq!(verified.status, Some(0), "{}{}", verified.out, verified.err);
    }
}

/// Debian's package, installed where it is missing and that can be done.
/// Installed where it is missing.
pub fn libfaketime() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        if find().is_none() {
            let install = "apt-get install -y faketime || { apt-get update && apt-get install -y faketime; }";
            let as_root = format!("if [ \"$(id -u)\" = 0 ]; then {install}; else sudo -n sh -c '{install}'; fi");
            let installed = Command::new("sh").args(["-c", &as_root]).output().expect("sh");
            assert!(
                find().is_some(),
                "these tests set a machine's clock: install Debian's package `faketime` ({})",
                String::from_utf8_lossy(&installed.stderr)
            );
        }
        find().expect("found")
    })
}

fn find() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok).map(|folder| folder.path());
    folders.map(|folder| folder.join("faketime/libfaketime.so.1")).find(|library| library.exists())
}
