//! What happens to several daemons over one PostgreSQL, and to what they stand on, in the middle of a night.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::dice::Dice;
use crate::support::machine::libfaketime;
use crate::support::night::{Evening, Night, Progress};
use crate::support::program::{Daemon, bursar, wait_until};
use crate::support::proxy::Proxy;
use crate::support::servers::{Server, sql};

const INSTANCES: u64 = 5;
const DAEMONS: i64 = 3;

/// What happens to a night in the middle of its work.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    None,
    /// SIGKILL of one daemon, and another one in its place.
    Kill,
    /// One stands still while the others go on, and wakes up later.
    Freeze,
    /// The server goes down without a word, and comes up again.
    ServerRestarts,
    /// Every connection is cut.
    Cut,
    /// The server committed, and its answer is lost with the connection.
    AnswersLost,
    /// The daemons' clocks are five seconds apart.
    ClocksApart,
    /// All wakes are gone.
    QueueLost,
    /// The Redis is gone for a while.
    QueueGone,
}

pub const ON_POSTGRES: [Fault; 8] = [
    Fault::None,
    Fault::Kill,
    Fault::Freeze,
    Fault::ServerRestarts,
    Fault::Cut,
    Fault::AnswersLost,
    Fault::ClocksApart,
    Fault::QueueLost,
];

pub const WITH_REDIS: [Fault; 4] = [Fault::None, Fault::Kill, Fault::QueueLost, Fault::QueueGone];

struct Host<'a> {
    server: &'a mut Server,
    redis: Option<&'a mut Server>,
    proxy: Proxy,
    folder: TempDir,
}

impl Host<'_> {
    fn daemon(&self, night: &Night, ahead: Option<i64>) -> Daemon {
        let config = self.folder.path().join("bursar.toml");
        let queue = self.redis.as_ref().map(|redis| format!("[queue]\nurl = \"redis://127.0.0.1:{}\"\n", redis.port));
        fs::write(&config, queue.unwrap_or_default()).expect("written");
        let url = night.url().replace(&format!(":{}/", self.server.port), &format!(":{}/", self.proxy.port));
        let mut command = bursar(&["serve", "--listen", "127.0.0.1:0", "--config"]);
        command.arg(config).args(["--database-url", &url]);
        if let Some(ahead) = ahead {
            command.env("LD_PRELOAD", libfaketime()).env("FAKETIME", format!("{ahead:+}s"));
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
        }
        Daemon::of(command)
    }

    fn strike(&mut self, fault: Fault, night: &Night, daemons: &mut Vec<Daemon>, dice: &mut Dice) {
        let which = usize::try_from(dice.below(DAEMONS.unsigned_abs())).expect("few");
        match fault {
            Fault::None | Fault::ClocksApart => {}
            Fault::AnswersLost => {
                self.proxy.lose_answers(3);
                wait_until("answers were lost", || self.proxy.has_lost_them() || night.progress() == Progress::Done);
                self.proxy.lose_answers(0);
            }
            Fault::QueueGone => {
                let redis = self.redis.as_mut().expect("a Redis");
                redis.command("stop");
                thread::sleep(Duration::from_secs(3));
                redis.command("start");
            }
            Fault::Kill => {
                daemons.swap_remove(which).kill();
                daemons.push(self.daemon(night, None));
            }
            Fault::Freeze => {
                signal("STOP", &daemons[which]);
                thread::sleep(Duration::from_secs(5));
                signal("CONT", &daemons[which]);
            }
            Fault::ServerRestarts => self.server.command("-m immediate restart"),
            Fault::Cut => {
                let others = "select pg_terminate_backend(pid) from pg_stat_activity
                    where datname = current_database() and pid <> pg_backend_pid()";
                sql(&night.url(), others);
            }
            Fault::QueueLost => match &mut self.redis {
                Some(redis) => redis.command("flush"),
                None => drop(sql(&night.url(), "delete from apalis.jobs")),
            },
        }
    }
}

fn signal(name: &str, daemon: &Daemon) {
    let kill = format!("kill -{name} {}", daemon.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("sh").success());
}

/// Plays one evening with each fault; the books must be those of an undisturbed night on SQLite.
pub fn play(accounts: u64, faults: &[Fault], with_redis: bool) {
    let mut dice = Dice::of_today();
    let (mut server, mut redis) = (Server::postgres(), with_redis.then(Server::redis));
    while !play_once(accounts, faults, &mut host(&mut server, redis.as_mut()), &mut dice) {
        eprintln!("a midnight came while this was running: once more");
    }
}

fn host<'a>(server: &'a mut Server, redis: Option<&'a mut Server>) -> Host<'a> {
    let proxy = Proxy::of(server.port);
    Host { server, redis, proxy, folder: tempfile::tempdir().expect("a folder") }
}

fn play_once(accounts: u64, faults: &[Fault], host: &mut Host<'_>, dice: &mut Dice) -> bool {
    let evening = Evening::new(accounts, INSTANCES, dice);
    let calm = evening.night("calm.db");
    let daemon = calm.serve();
    calm.wait_for(Progress::Done);
    daemon.terminate();
    let books = calm.books();
    let template = evening.on(host.server);
    for fault in faults {
        let night = evening.night_on(&template);
        let ahead = |number: i64| matches!(fault, Fault::ClocksApart).then_some(number * 5 - 5);
        let mut daemons: Vec<Daemon> = (0..DAEMONS).map(|number| host.daemon(&night, ahead(number))).collect();
        let reached = night.wait_for(Progress::At(dice.below(evening.accounts / 2)));
        host.strike(*fault, &night, &mut daemons, dice);
        let how = format!("{fault:?} at {reached:?}");
        night.wait_for(Progress::Done);
        for daemon in daemons {
            let (status, log) = daemon.terminate();
            assert_eq!(status, Some(0), "{how}: {log}");
        }
        if evening.is_over() {
            return false;
        }
        eprintln!("{how}");
        evening.assert_charged(&night, &how);
        assert!(night.books() == books, "{how}: not the books of an undisturbed night");
        night.assert_verified();
    }
    true
}
