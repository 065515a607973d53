//! The one place that reads the system's time. Everywhere else time is an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rules::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use crate::guard::{Guard, Jump, Reading};

/// Tells the time, and whether it can be believed. Clones are one clock.
#[derive(Clone, Debug)]
pub struct Clock {
    time: Time,
    guard: Arc<Guard>,
}

#[derive(Clone, Debug)]
enum Time {
    /// The system's, moved by so many seconds.
    System { by_secs: i64 },
    /// Stands where it is set: time that passed, and by how much the wall clock jumped.
    Simulated { passed: Arc<AtomicI64>, jumped: Arc<AtomicI64> },
}

impl Time {
    fn now(&self) -> Timestamp {
        match self {
            Self::System { by_secs } => system().plus_secs(*by_secs),
            Self::Simulated { passed, jumped } => {
                Timestamp::from_secs(passed.load(Ordering::SeqCst) + jumped.load(Ordering::SeqCst))
            }
        }
    }

    /// Beside the wall clock the one that only counts on, also while the machine sleeps.
    fn reading(&self) -> Reading {
        let wall = self.now();
        let since_boot = match self {
            Self::System { .. } => clock_gettime(ClockId::Boottime).tv_sec,
            Self::Simulated { passed, .. } => passed.load(Ordering::SeqCst),
        };
        Reading { wall, since_boot }
    }
}

impl Clock {
    fn of(time: Time) -> Self {
        let guard = Arc::new(Guard::new(time.reading()));
        Self { time, guard }
    }

    pub fn system() -> Self {
        Self::of(Time::System { by_secs: 0 })
    }

    /// The system's clock, moved so that it says `start` now: a rehearsal of another hour.
    pub fn starting_at(start: Timestamp) -> Self {
        Self::of(Time::System { by_secs: start.secs() - system().secs() })
    }

    pub fn simulated(start: Timestamp) -> Self {
        Self::of(Time::Simulated { passed: Arc::new(AtomicI64::new(start.secs())), jumped: Arc::default() })
    }

    pub fn now(&self) -> Timestamp {
        self.time.now()
    }

    /// The time to decide by: none while the clock is in doubt.
    pub fn trusted(&self) -> Result<Timestamp, Jump> {
        self.guard.judge(self.time.reading())
    }

    /// Doubts the clock until somebody says that it is right.
    pub fn doubt(&self, jump: Jump) {
        self.guard.doubt(jump, None);
    }

    /// Doubts a start long before or after `last`, until the clock is put right or somebody says that it is.
    pub fn doubt_start(&self, jump: Jump, last: Timestamp) {
        self.guard.doubt(jump, Some(last));
    }

    /// What the clock says is right from now on.
    pub fn trust(&self) {
        self.guard.trust(self.time.reading());
    }

    /// Moves a simulated clock forward to `at`; the others move by themselves.
    pub fn advance_to(&self, at: Timestamp) {
        if let Time::Simulated { passed, jumped } = &self.time {
            passed.fetch_max(at.secs() - jumped.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    }

    /// Sets a simulated wall clock by so many seconds, forward or back, while no time passes.
    pub fn jump(&self, secs: i64) {
        if let Time::Simulated { jumped, .. } = &self.time {
            jumped.fetch_add(secs, Ordering::SeqCst);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn system() -> Timestamp {
    let secs = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    };
    Timestamp::from_secs(secs)
}

/// Measures how long something takes, on the clock that never jumps.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_clock_never_goes_back() {
        let clock = Clock::simulated(Timestamp::from_secs(100));
        clock.advance_to(Timestamp::from_secs(200));
        clock.advance_to(Timestamp::from_secs(150));
        assert_eq!(clock.now(), Timestamp::from_secs(200));
    }

    #[test]
    fn a_simulated_wall_clock_jumps_while_no_time_passes() {
        let clock = Clock::simulated(Timestamp::from_secs(1_000_000));
        clock.jump(-300);
        assert_eq!(clock.trusted().map(Timestamp::secs), Ok(999_700));
        clock.jump(-1);
        assert!(clock.trusted().is_err());
        clock.jump(301);
        clock.advance_to(Timestamp::from_secs(5_000_000));
        assert_eq!(clock.trusted().map(Timestamp::secs), Ok(5_000_000));
    }

    #[test]
    fn a_shifted_clock_starts_where_it_is_told() {
        let start = Timestamp::from_secs(1_000_000);
        let passed = Clock::starting_at(start).now().secs() - start.secs();
        assert!((0..5).contains(&passed), "{passed}");
    }

    #[test]
    fn the_systems_clock_is_believed_as_long_as_it_does_not_jump() {
        let clock = Clock::system();
        let told = clock.trusted().expect("no jump");
        assert!((0..5).contains(&(told.secs() - clock.now().secs()).abs()));
        clock.doubt(Jump { observed: told, expected: told });
        assert!(clock.clone().trusted().is_err());
        clock.trust();
        assert!(clock.trusted().is_ok());
    }
}
