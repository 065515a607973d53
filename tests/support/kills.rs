//! The daemon, cut short wherever it is in a midnight, leaves the books of an undisturbed one.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use jobs::Stopwatch;

use crate::support::dice::Dice;
use crate::support::night::{Evening, Night, Progress};

const INSTANCES: u64 = 5;

const KILLS_MAX: u64 = 5;

/// A batch takes less, so that a kill may meet any of its statements.
const BATCH_MS: u64 = 50;

/// Nights that are played at once.
const SIDE_BY_SIDE: usize = 2;

/// How a night was cut short.
pub struct CutShort {
    pub how: String,
    /// There was work left.
    pub in_time: bool,
    /// The longest that it took a start to write something again.
    pub back_after: Duration,
}

/// Cuts a night short, and leaves it to be finished.
pub type CutsShort = fn(&Night, &Evening, &mut Dice) -> CutShort;

/// Cuts nights of one evening of so many instances short, one way each, and compares them with one that was left alone
/// and with what the midnight has to charge.
pub fn compare(instances: u64, ways: &[CutsShort]) {
    let mut dice = Dice::of_today();
    while !compare_once(instances, ways, &mut dice) {
        eprintln!("a midnight came while this was running: once more");
    }
}

fn compare_once(instances: u64, ways: &[CutsShort], dice: &mut Dice) -> bool {
    let evening = Evening::new(instances / INSTANCES, INSTANCES, dice);
    let undisturbed = evening.night("undisturbed.db");
    finish(&undisturbed);
    let expected = undisturbed.books();
    if evening.is_over() {
        return false;
    }
    undisturbed.assert_verified();
    evening.assert_charged(&undisturbed, "undisturbed");
    let nights: Mutex<Vec<(usize, CutsShort, Dice)>> =
        Mutex::new(ways.iter().enumerate().map(|(number, way)| (number, *way, dice.fork())).collect());
    let play = || {
        let mut played = Vec::new();
        while let Some((number, way, mut dice)) = next(&nights) {
            let night = evening.night(&format!("night-{number}.db"));
            let cut_short = way(&night, &evening, &mut dice);
            finish(&night);
            let books = night.books();
            if evening.is_over() {
                break;
            }
            let how = format!("night {number}: {}", cut_short.how);
            eprintln!("{how}; back at work after {} ms", cut_short.back_after.as_millis());
            evening.assert_charged(&night, &how);
            assert_same(&books, &expected, &how);
            night.assert_verified();
            night.remove();
            played.push(cut_short.in_time);
        }
        played
    };
    let in_time: Vec<bool> = thread::scope(|scope| {
        let players: Vec<_> = (0..SIDE_BY_SIDE).map(|_| scope.spawn(play)).collect();
        players.into_iter().flat_map(|player| player.join().expect("the nights of one player")).collect()
    });
    if in_time.len() < ways.len() {
        return false;
    }
    let hit = in_time.iter().filter(|in_time| **in_time).count();
    assert!(hit * 2 > ways.len(), "only {hit} of {} nights were cut short in time", ways.len());
    true
}

fn next<T>(of: &Mutex<Vec<T>>) -> Option<T> {
    of.lock().expect("no player fell").pop()
}

/// Kills the daemon one to five times, each time further on.
pub fn killed(night: &Night, evening: &Evening, dice: &mut Dice) -> CutShort {
    let mut shares: Vec<u64> = (0..=dice.below(KILLS_MAX)).map(|_| dice.below(evening.accounts)).collect();
    shares.sort_unstable();
    let (mut reached, mut back_after) = (Vec::new(), Duration::default());
    for share in shares {
        let (kill, after) = kill(night, share, Duration::from_millis(dice.below(BATCH_MS)));
        back_after = back_after.max(after);
        reached.push(kill);
        if kill == Progress::Done {
            break;
        }
    }
    CutShort {
        how: format!("killed after {reached:?} of {} accounts", evening.accounts),
        in_time: reached[0] < Progress::Done,
        back_after,
    }
}

/// Starts the daemon and kills it when so many accounts are worked off, and a little later; how many were known to be
/// then, and after how long it first wrote something.
fn kill(night: &Night, accounts: u64, later: Duration) -> (Progress, Duration) {
    let (before, start) = (night.progress(), Stopwatch::start());
    let daemon = night.serve();
    let more = match before {
        Progress::At(done) => Progress::At(done + 1),
        Progress::Done => Progress::Done,
    };
    let reached = night.wait_for(more);
    let back_after = start.elapsed();
    let reached = reached.max(night.wait_for(Progress::At(accounts)));
    thread::sleep(later);
    daemon.kill();
    (reached, back_after)
}

/// Serves until all is done.
pub fn finish(night: &Night) {
    let daemon = night.serve();
    night.wait_for(Progress::Done);
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
