//! Random walks: a host whose machine jumps in time, sleeps, is killed and started again, while customers and admins
//! go on. Its books are those of a host to which nothing of that happened.
//!
//! The walk is of rules, store, office, runs, scheduler and clock guard as the daemon composes them. Left out are its
//! processes and sockets, which the kills and the machine with a false clock test.

mod history;
mod host;
mod steps;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rules::{DAY, Timestamp};
use tokio::runtime::Runtime;

use crate::support::books::books;
use crate::support::dice::Dice;
use crate::support::kills::assert_same;
use history::{Template, open_office, play_undisturbed};
use host::Host;

/// What happens before the first thing goes wrong.
const ACTIONS: u64 = 8;

const STEPS: u64 = 28;

/// Longer ones only repeat themselves.
const LONGEST: i64 = 300 * DAY;

const SIDE_BY_SIDE: u64 = 2;

/// Shortly before months of 28, 29, 30 and 31 days end, years, 32 bits, and a century without a leap day.
const STARTS: [&str; 9] = [
    "2027-02-26T21:30:00Z",
    "2028-02-27T09:00:00Z",
    "2027-04-28T23:59:50Z",
    "2026-01-30T12:00:00Z",
    "2027-12-30T06:00:00Z",
    "2028-12-31T23:00:00Z",
    "2038-01-18T03:00:00Z",
    "2100-02-27T15:00:00Z",
    "2106-02-06T06:00:00Z",
];

/// Walks so many times, or the one of `BURSAR_TEST_WALK`: of a walk that fails it is told.
pub fn walk_all(walks: u64) {
    if let Ok(seed) = std::env::var("BURSAR_TEST_WALK") {
        return walk(&template(), seed.parse().expect("u64"));
    }
    let template = &template();
    let (first, next) = (Dice::of_today().below(u64::MAX), AtomicU64::new(0));
    let some = || {
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            if number >= walks {
                return;
            }
            let seed = first.wrapping_add(number);
            if let Err(why) = catch_unwind(AssertUnwindSafe(|| walk(template, seed))) {
                eprintln!("walk {number} failed; to repeat it: BURSAR_TEST_WALK={seed}");
                resume_unwind(why);
            }
        }
    };
    thread::scope(|scope| {
        let walkers: Vec<_> = (0..SIDE_BY_SIDE).map(|_| scope.spawn(some)).collect();
        walkers.into_iter().for_each(|walker| walker.join().expect("every walk comes through"));
    });
}

fn template() -> Template {
    runtime().block_on(Template::new())
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn walk(template: &Template, seed: u64) {
    runtime().block_on(async {
        let mut dice = Dice::of_seed(seed);
        let start = STARTS[usize::try_from(dice.below(STARTS.len() as u64)).expect("a few")];
        let start = Timestamp::parse(start).expect("a time");
        let mut host = Host::new(template, start, dice).await;
        for _ in 0..ACTIONS {
            steps::act(&mut host).await;
        }
        for _ in 0..STEPS {
            steps::step(&mut host).await;
            if host.wall().secs() - start.secs() > LONGEST {
                break;
            }
        }
        let end = host.finish().await;
        // What counts first comes first, also where the clock was set back in between.
        host.history.sort_by_key(|entry| entry.at);
        let undisturbed = play_undisturbed(template, &host.history, start, end).await;
        let (found, expected) = (books(host.store()).await, books(&undisturbed.store).await);
        assert_same(&found, &expected, &format!("walk {seed}"));
        for office in [host.office(), &open_office(&undisturbed.store, end).await] {
            let faults = office.store.verify(None, &office.policy()).await.expect("verified");
            assert_eq!(faults, [], "walk {seed}");
        }
    });
}
