//! The daemon, cut short wherever it is in a midnight, leaves the books of an undisturbed one.

use std::thread;
use std::time::Duration;

use jobs::Clock;

use crate::support::dice::Dice;
use crate::support::night::{Evening, Night, Progress};
use crate::support::program::wait_until;

const ACCOUNTS: u64 = 2_000;
const INSTANCES: u64 = 5;

const KILLS_MAX: u64 = 3;

/// A batch takes less, so that a kill may meet any of its statements.
const BATCH_MS: u64 = 50;

/// A night that was cut short and then done, and in which way.
pub struct CutShort {
    pub night: Night,
    pub how: String,
}

/// Compares nights that were cut short with one that was left alone.
pub fn compare(cut_short: impl Fn(&Evening, &mut Dice) -> Vec<CutShort>) {
    let mut dice = Dice::of_today();
    loop {
        let evening = Evening::new(ACCOUNTS, INSTANCES, &mut dice);
        let undisturbed = evening.night("undisturbed.db");
        finish(&undisturbed);
        let expected = undisturbed.books();
        let nights = cut_short(&evening, &mut dice);
        if Clock::system().now().midnight() != evening.midnight {
            eprintln!("a midnight came while this was running: once more");
            continue;
        }
        undisturbed.assert_verified();
        for CutShort { night, how } in &nights {
            eprintln!("{how}");
            night.assert_verified();
            assert_same(&night.books(), &expected, how);
        }
        return;
    }
}

/// So many nights, in each of which the daemon is killed up to three times.
pub fn killed(nights: u64, evening: &Evening, dice: &mut Dice) -> Vec<CutShort> {
    let kill_some = |number| {
        let night = evening.night(&format!("killed-{number}.db"));
        let kills: Vec<u64> = (0..=dice.below(KILLS_MAX)).filter_map(|_| kill(&night, evening, dice)).collect();
        finish(&night);
        let how = format!("night {number}: killed after {kills:?} of {} accounts", evening.accounts);
        (CutShort { night, how }, !kills.is_empty())
    };
    let (nights, in_time): (Vec<CutShort>, Vec<bool>) = (0..nights).map(kill_some).unzip();
    let in_time = in_time.into_iter().filter(|in_time| *in_time).count();
    assert!(in_time * 2 > nights.len(), "in only {in_time} of {} nights a kill came in time", nights.len());
    nights
}

/// Starts the daemon and kills it at a random point of its work; after how many accounts, if there was work left.
fn kill(night: &Night, evening: &Evening, dice: &mut Dice) -> Option<u64> {
    let (accounts, delay) = (dice.below(evening.accounts), Duration::from_millis(dice.below(BATCH_MS)));
    let daemon = night.serve();
    let mut reached = Progress::At(0);
    wait_until("the run came so far", || {
        reached = night.progress();
        reached >= Progress::At(accounts)
    });
    thread::sleep(delay);
    daemon.kill();
    match reached {
        Progress::At(done) => Some(done),
        Progress::Done => None,
    }
}

/// Serves until all is done.
pub fn finish(night: &Night) {
    let daemon = night.serve();
    wait_until("the midnight is done", || night.progress() == Progress::Done);
    let (status, log) = daemon.terminate();
    assert_eq!(status, Some(0), "{log}");
}

/// Compares line by line.
pub fn assert_same(found: &[String], expected: &[String], how: &str) {
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found, expected, "{how}: line {number} of the books");
    }
    assert_eq!(found.len(), expected.len(), "{how}: lines of the books");
}
