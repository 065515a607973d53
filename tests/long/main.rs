//! What `system` does short, in full: `cargo test --test long`.

#[path = "../support/mod.rs"]
mod support;

use support::faults::{ON_POSTGRES, WITH_REDIS, play};
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

/// Three daemons and 100,000 instances: in each night something happens, 160 times to PostgreSQL alone and 40 times with
/// the queue in a Redis.
#[test]
fn two_hundred_nights_of_several_daemons() {
    play(20_000, &ON_POSTGRES.repeat(20), false);
    play(20_000, &WITH_REDIS.repeat(10), true);
}

/// Twenty nights of each of so many evenings.
fn kill_nights(evenings: u64, instances: u64) {
    for evening in 1..=evenings {
        eprintln!("evening {evening} of {evenings}");
        compare(instances, &[killed as CutsShort; 20]);
    }
}
