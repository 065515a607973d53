//! What happens to several daemons over one PostgreSQL, and to what they stand on, in the middle of a night.

use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use jobs::Stopwatch;
use tempfile::TempDir;

use crate::support::dice::Dice;
use crate::support::machine::libfaketime;
use crate::support::night::{Evening, Night, Progress};
use crate::support::program::{Daemon, bursar, wait_until};
use crate::support::proxy::Proxy;
use crate::support::servers::{Server, sql};

const INSTANCES: u64 = 5;
const DAEMONS: i64 = 3;

/// A batch takes about so long: what strikes within it may meet any of its statements, or what lies between two.
const BATCH_MS: u64 = 100;

/// While nobody can work, each daemon may use so much of a core, and write so many lines.
const IDLE_PERCENT: u64 = 5;
const IDLE_LINES: usize = 20;

/// What one that stands still was at is another's long before its claim runs out, which takes a minute.
const TAKEN_OVER: Duration = Duration::from_secs(30);

/// Work that does not go on for so long never does.
const GIVES_UP: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// How long what happens lasts, and within what time work must go on after it.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    pub queue_gone: Duration,
    pub server_gone: Duration,
    /// One that stands still for long does so for this, also when the night is over.
    pub frozen: Duration,
    pub back_within: Duration,
}

/// What happens to a night in the middle of its work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    None,
    /// SIGKILL of one daemon, and another one in its place.
    Kill,
    /// One stands still while the others go on, and wakes up later.
    Freeze,
    /// It stands still until the others have done all of its work.
    FreezeLong,
    /// The server goes down without a word, and comes up again.
    ServerRestarts,
    /// The server is gone for a while.
    ServerGone,
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

pub const ON_POSTGRES: [Fault; 9] = [
    Fault::Kill,
    Fault::Freeze,
    Fault::FreezeLong,
    Fault::ServerRestarts,
    Fault::ServerGone,
    Fault::Cut,
    Fault::AnswersLost,
    Fault::ClocksApart,
    Fault::QueueLost,
];

pub const WITH_REDIS: [Fault; 5] =
    [Fault::Kill, Fault::QueueLost, Fault::QueueGone, Fault::ClocksApart, Fault::ServerGone];

struct Host {
    server: Server,
    redis: Option<Server>,
    proxy: Proxy,
    folder: TempDir,
}

/// A night in which something happens.
#[derive(Clone, Copy)]
struct Round<'a> {
    night: &'a Night,
    measure: Measure,
    accounts: u64,
}

impl Host {
    fn new(with_redis: bool) -> Self {
        let (server, redis) = (Server::postgres(), with_redis.then(Server::redis));
        let proxy = Proxy::of(server.port);
        Self { server, redis, proxy, folder: tempfile::tempdir().expect("a folder") }
    }

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

    fn strike(&mut self, fault: Fault, round: &Round<'_>, daemons: &mut Vec<Daemon>, dice: &mut Dice) {
        let Round { night, measure, accounts } = *round;
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
                nobody_works(daemons, measure.queue_gone);
                redis.command("start");
            }
            Fault::ServerGone => {
                self.server.command("-m immediate stop");
                nobody_works(daemons, measure.server_gone);
                self.server.command("start");
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
            Fault::FreezeLong => {
                let frozen = Stopwatch::start();
                signal("STOP", &daemons[which]);
                others_go_on(night, accounts);
                thread::sleep(measure.frozen.saturating_sub(frozen.elapsed()));
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

/// Waits while nobody can work, and sees to it that nobody is busy with it.
fn nobody_works(daemons: &[Daemon], gone: Duration) {
    let lines = || -> Vec<usize> { daemons.iter().map(|daemon| daemon.log().lines().count()).collect() };
    let before = lines();
    // What was in hand may come to its end first.
    let settled = (gone / 2).min(Duration::from_secs(10));
    thread::sleep(settled);
    let (used, measured) = (daemons.iter().map(Daemon::cpu_ms).collect::<Vec<_>>(), Stopwatch::start());
    thread::sleep(gone - settled);
    let most = u64::try_from(measured.elapsed().as_millis()).expect("short") * IDLE_PERCENT / 100;
    for (daemon, (used, before)) in daemons.iter().zip(used.into_iter().zip(before)) {
        let (used, log) = (daemon.cpu_ms() - used, daemon.log());
        assert!(used <= most, "it used {used} ms of a core where {most} are enough: {log}");
        let written = log.lines().count() - before;
        assert!(written <= IDLE_LINES, "it wrote {written} lines: {log}");
    }
}

/// Waits until the night is done without the one that stands still.
fn others_go_on(night: &Night, accounts: u64) {
    let mut reached = night.progress();
    while let Progress::At(done) = reached {
        let paused = Stopwatch::start();
        reached = night.wait_for(Progress::At(done + 1));
        // Behind the last account the books are verified, which takes its time.
        let went_on = done == accounts || paused.elapsed() < TAKEN_OVER;
        assert!(went_on, "after {done} accounts nothing went on for {:?}", paused.elapsed());
    }
}

/// Waits until work goes on; after how long it did.
fn back_at_work(round: &Round<'_>, daemons: &[Daemon], how: &str) -> Duration {
    let Round { night, measure: Measure { back_within: within, .. }, accounts } = *round;
    let waited = Stopwatch::start();
    // Behind the last account the books are verified, which takes its time.
    let done = match night.progress() {
        Progress::At(done) if done < accounts => done,
        _ => return Duration::ZERO,
    };
    while night.progress() <= Progress::At(done) {
        if waited.elapsed() > GIVES_UP {
            let logs: Vec<String> = daemons.iter().map(Daemon::log).collect();
            panic!("{how}: no work went on for {GIVES_UP:?}\n{}", logs.join("\n\n"));
        }
        thread::sleep(LOOK);
    }
    let waited = waited.elapsed();
    assert!(waited <= within, "{how}: work went on after {waited:?} only");
    waited
}

fn signal(name: &str, daemon: &Daemon) {
    let kill = format!("kill -{name} {}", daemon.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("sh").success());
}

/// Plays one evening with each fault, in so many lanes side by side, each on servers of its own; the books must be
/// those of an undisturbed night on SQLite.
pub fn play(accounts: u64, faults: &[Fault], with_redis: bool, measure: Measure, lanes: usize) {
    let mut dice = Dice::of_today();
    let mut left: Vec<Fault> = faults.iter().rev().copied().collect();
    while !left.is_empty() {
        left = play_some(accounts, left, with_redis, measure, lanes, &mut dice);
    }
}

/// What was not played: when a midnight comes meanwhile, another evening is needed.
fn play_some(
    accounts: u64,
    faults: Vec<Fault>,
    with_redis: bool,
    measure: Measure,
    lanes: usize,
    dice: &mut Dice,
) -> Vec<Fault> {
    let evening = Evening::new(accounts, INSTANCES, dice);
    let calm = evening.night("calm.db");
    let daemon = calm.serve();
    calm.wait_for(Progress::Done);
    daemon.terminate();
    let (books, left) = (calm.books(), Mutex::new(faults));
    // One after the other: the evening's file is moved to each server, and is locked meanwhile.
    let hosts: Vec<(Host, String, Dice)> = (0..lanes)
        .map(|_| {
            let host = Host::new(with_redis);
            let template = evening.on(&host.server);
            (host, template, dice.fork())
        })
        .collect();
    thread::scope(|scope| {
        for (mut host, template, mut dice) in hosts {
            let (evening, books, left) = (&evening, &books, &left);
            scope.spawn(move || play_lane(evening, &template, books, left, &mut host, measure, &mut dice));
        }
    });
    left.into_inner().expect("no lane panicked")
}

fn play_lane(
    evening: &Evening,
    template: &str,
    books: &[String],
    left: &Mutex<Vec<Fault>>,
    host: &mut Host,
    measure: Measure,
    dice: &mut Dice,
) {
    loop {
        let (fault, to_go) = {
            let mut left = left.lock().expect("no lane panicked");
            let Some(fault) = left.pop() else { return };
            (fault, left.len())
        };
        let night = evening.night_on(template);
        let how = play_one(&Round { night: &night, measure, accounts: evening.accounts }, fault, host, dice);
        if evening.is_over() {
            eprintln!("a midnight came while this was running: once more");
            left.lock().expect("no lane panicked").push(fault);
            return;
        }
        evening.assert_charged(&night, &how);
        assert!(night.books() == books, "{how}: not the books of an undisturbed night");
        night.assert_verified_behind();
        night.remove();
        eprintln!("{fault:?}, {to_go} nights to go: {how}");
    }
}

/// Strikes at some moment of a night, and maybe once more at a later one; what happened, and when work went on.
fn play_one(round: &Round<'_>, fault: Fault, host: &mut Host, dice: &mut Dice) -> String {
    let Round { night, accounts, .. } = *round;
    let ahead = |number: i64| (fault == Fault::ClocksApart).then_some(number * 5 - 5);
    let mut daemons: Vec<Daemon> = (0..DAEMONS).map(|number| host.daemon(night, ahead(number))).collect();
    let again = [Fault::None, Fault::None, Fault::Cut, Fault::AnswersLost];
    let again = again[usize::try_from(dice.below(4)).expect("few")];
    let (mut how, mut done) = (String::new(), 0);
    for fault in [fault, again] {
        let reached = night.wait_for(Progress::At(done + dice.below((accounts - done) / 2)));
        if fault == Fault::None || reached == Progress::Done {
            continue;
        }
        thread::sleep(Duration::from_millis(dice.below(BATCH_MS)));
        host.strike(fault, round, &mut daemons, dice);
        how += &format!("{fault:?} at {reached:?} of {accounts} accounts: ");
        let back = back_at_work(round, &daemons, &how);
        how += &format!("work went on after {} ms; ", back.as_millis());
        if let Progress::At(reached) = night.progress() {
            done = reached.min(accounts - 2);
        }
    }
    night.wait_for(Progress::Done);
    for daemon in daemons {
        let (status, log) = daemon.terminate();
        assert_eq!(status, Some(0), "{how}: {log}");
    }
    how
}
