//! The one place that reads the system's time. Everywhere else time is an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rules::Timestamp;

#[derive(Clone, Debug)]
pub enum Clock {
    System,
    /// The system's, moved by so many seconds: a rehearsal of another hour.
    Shifted {
        by_secs: i64,
    },
    /// Stands where it is set.
    Simulated(Arc<AtomicI64>),
}

impl Clock {
    pub fn simulated(start: Timestamp) -> Self {
        Self::Simulated(Arc::new(AtomicI64::new(start.secs())))
    }

    /// The system's clock, moved so that it says `start` now.
    pub fn starting_at(start: Timestamp) -> Self {
        Self::Shifted { by_secs: start.secs() - Self::System.now().secs() }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Timestamp {
        let system = || match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
        };
        match self {
            Self::System => Timestamp::from_secs(system()),
            Self::Shifted { by_secs } => Timestamp::from_secs(system() + by_secs),
            Self::Simulated(secs) => Timestamp::from_secs(secs.load(Ordering::SeqCst)),
        }
    }

    /// Moves a simulated clock forward to `at`; the others move by themselves.
    pub fn advance_to(&self, at: Timestamp) {
        if let Self::Simulated(secs) = self {
            secs.fetch_max(at.secs(), Ordering::SeqCst);
        }
    }
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
    fn a_shifted_clock_starts_where_it_is_told() {
        let start = Timestamp::from_secs(1_000_000);
        let passed = Clock::starting_at(start).now().secs() - start.secs();
        assert!((0..5).contains(&passed), "{passed}");
    }
}
