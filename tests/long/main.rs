//! What `system` does short, in full: `cargo test --test long`.

#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use support::backups::take_and_go_on;
use support::faults::{Fault, Measure, ON_POSTGRES, WITH_REDIS, play};
use support::kills::{CutsShort, compare, killed};

#[test]
fn every_scenario_comes_out_plain_and_with_200_seeds() {
    support::scenarios::play_all(200);
}

#[test]
fn two_thousand_random_walks_leave_the_books_of_undisturbed_hosts() {
    support::walk::walk_all(2_000);
}

/// 200 nights of 100,000 instances, some 600 kills.
#[test]
fn two_hundred_killed_nights_of_a_large_host() {
    kill_nights(10, 100_000);
}

/// As many nights of 10,000 as make a thousand kills, three in each on average.
#[test]
fn a_thousand_kills_of_a_host() {
    kill_nights(17, 10_000);
}

/// A hundred of a file and a hundred of a server, each restored and gone on with.
#[test]
fn two_hundred_copies_taken_in_the_middle_of_a_night() {
    take_and_go_on(20_000, 100);
}

/// Of several daemons; one in five with the queue in a Redis.
const NIGHTS: usize = 200;

/// Of five instances each: 100,000.
const ACCOUNTS: u64 = 20_000;

/// Longer than any timeout; who stands still does so for longer than a claim lasts.
const FULL: Measure = Measure {
    queue_gone: Duration::from_secs(60),
    server_gone: Duration::from_secs(20),
    frozen: Duration::from_secs(70),
    back_within: Duration::from_secs(5),
};

/// Three daemons and 100,000 instances: in each night something happens.
#[test]
fn two_hundred_nights_of_several_daemons_over_postgres() {
    play(ACCOUNTS, &in_turn(&ON_POSTGRES, NIGHTS - NIGHTS / 5), false, FULL, 3);
}

#[test]
fn two_hundred_nights_of_several_daemons_with_redis() {
    play(ACCOUNTS, &in_turn(&WITH_REDIS, NIGHTS / 5), true, FULL, 1);
}

fn in_turn(faults: &[Fault], nights: usize) -> Vec<Fault> {
    faults.iter().copied().cycle().take(nights).collect()
}

/// Twenty nights of each of so many evenings.
fn kill_nights(evenings: u64, instances: u64) {
    for evening in 1..=evenings {
        eprintln!("evening {evening} of {evenings}");
        compare(instances, &[killed as CutsShort; 20]);
    }
}
