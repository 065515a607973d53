//! SIGKILL and SIGTERM in the middle of a midnight.

use crate::support::kills::{CutShort, compare, finish, killed};
use crate::support::night::{Evening, Progress};
use crate::support::program::wait_until;

#[test]
fn five_killed_nights_and_a_stopped_one_leave_the_books_of_an_undisturbed_one() {
    compare(|evening, dice| {
        let mut nights = killed(5, evening, dice);
        nights.push(stopped(evening));
        nights
    });
}

/// A night that is told to stop in the middle, and is then gone on with.
fn stopped(evening: &Evening) -> CutShort {
    let night = evening.night("stopped.db");
    let daemon = night.serve();
    wait_until("it is at work", || night.progress() > Progress::At(0));
    let (status, log) = daemon.terminate();
    assert_eq!(status, Some(0), "{log}");
    let reached = night.progress();
    assert!(reached < Progress::Done, "it was done before it was told to stop");
    finish(&night);
    CutShort { night, how: format!("stopped: {reached:?}") }
}
