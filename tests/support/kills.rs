//! The daemon, killed wherever it is in a midnight, leaves the books of an undisturbed one.

use std::thread;
use std::time::Duration;

use jobs::Clock;

use crate::support::dice::Dice;
use crate::support::night::{Evening, Night, Progress};
use crate::support::program::wait_until;

const ACCOUNTS: u64 = 2_000;
const INSTANCES: u64 = 5;

const KILLS_MAX: u64 = 3;

/// A batch takes about so long: the kill may meet any of its statements.
const BATCH_MS: u64 = 60;

/// The evening that the kills are about.
pub fn evening(dice: &mut Dice) -> Evening {
    Evening::new(ACCOUNTS, INSTANCES, dice)
}

/// Kills the daemon in so many nights, in each up to three times, and compares each with one that was left alone.
pub fn survive(nights: u64) {
    let mut dice = Dice::of_today();
    loop {
        let evening = evening(&mut dice);
        let undisturbed = evening.night("undisturbed.db");
        let daemon = undisturbed.serve();
        undisturbed.wait_until_done();
        assert_eq!(daemon.terminate().0, Some(0));
        undisturbed.assert_verified();
        let expected = undisturbed.books();
        let nights: Vec<(u64, Night, Vec<u64>)> = (0..nights)
            .map(|number| {
                let night = evening.night(&format!("night-{number}.db"));
                let kills = (0..=dice.below(KILLS_MAX)).filter_map(|_| kill(&night, &evening, &mut dice)).collect();
                let daemon = night.serve();
                night.wait_until_done();
                assert_eq!(daemon.terminate().0, Some(0));
                (number, night, kills)
            })
            .collect();
        if Clock::System.now().midnight() != evening.midnight {
            eprintln!("a midnight came while this was running: once more");
            continue;
        }
        for (number, night, kills) in &nights {
            eprintln!("night {number}: killed after {kills:?} of {ACCOUNTS} accounts");
            night.assert_verified();
            assert_same(&night.books(), &expected, &format!("night {number}, killed after {kills:?}"));
        }
        let killed = nights.iter().filter(|(_, _, kills)| !kills.is_empty()).count();
        assert!(killed * 2 > nights.len(), "only {killed} of {} nights were disturbed", nights.len());
        return;
    }
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

/// Compares line by line.
pub fn assert_same(found: &[String], expected: &[String], when: &str) {
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found, expected, "{when}: line {number} of the books");
    }
    assert_eq!(found.len(), expected.len(), "{when}: lines of the books");
}
