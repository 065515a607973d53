//! SIGKILL and SIGTERM in the middle of a midnight.

use std::time::Duration;

use crate::support::dice::Dice;
use crate::support::kills::{CutShort, CutsShort, compare, killed};
use crate::support::night::{Evening, Night, Progress};

const INSTANCES: u64 = 5_000;

#[test]
fn twenty_killed_nights_and_a_stopped_one_leave_the_books_of_an_undisturbed_one() {
    let ways: Vec<CutsShort> = [vec![killed as CutsShort; 20], vec![stopped]].concat();
    compare(INSTANCES, &ways);
}

/// A night that is told to stop in the middle.
fn stopped(night: &Night, _: &Evening, _: &mut Dice) -> CutShort {
    let daemon = night.serve();
    night.wait_for(Progress::At(1));
    let (status, log) = daemon.terminate();
    assert_eq!(status, Some(0), "{log}");
    let reached = night.progress();
    CutShort {
        how: format!("stopped after {reached:?}"),
        in_time: reached < Progress::Done,
        back_after: Duration::default(),
    }
}
