//! SIGKILL and SIGTERM in the middle of a midnight.

use std::time::Duration;

use crate::support::dice::Dice;
use crate::support::kills::{assert_same, evening, survive};
use crate::support::night::Progress;
use crate::support::program::wait_until;

#[test]
fn five_killed_nights_leave_the_books_of_an_undisturbed_one() {
    survive(5);
}

#[test]
fn a_stop_in_the_middle_of_a_run_is_quick_and_loses_nothing() {
    let evening = evening(&mut Dice::of_today());
    let (undisturbed, stopped) = (evening.night("undisturbed.db"), evening.night("stopped.db"));
    let daemon = stopped.serve();
    wait_until("it is at work", || stopped.progress() > Progress::At(0));
    let (status, took, log) = daemon.terminate();
    assert_eq!(status, Some(0), "{log}");
    assert!(took < Duration::from_secs(5), "it took {took:?} to stop");
    assert!(stopped.progress() < Progress::Done, "it was done before it was told to stop");
    for night in [&undisturbed, &stopped] {
        let daemon = night.serve();
        night.wait_until_done();
        assert_eq!(daemon.terminate().0, Some(0));
        night.assert_verified();
    }
    assert_same(&stopped.books(), &undisturbed.books(), "stopped in the middle");
}
