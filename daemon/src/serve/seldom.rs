//! What goes on going wrong is told when it begins, and then once a minute.

use std::collections::HashMap;
use std::time::Duration;

use jobs::Stopwatch;

const EACH: Duration = Duration::from_secs(60);

/// What did not go wrong for so long is over: some things are looked at each few seconds only.
const OVER: Duration = Duration::from_secs(10);

#[derive(Default)]
pub struct Seldom(HashMap<&'static str, Times>);

/// Since it was told, and since it last went wrong.
struct Times {
    told: Stopwatch,
    seen: Stopwatch,
}

impl Seldom {
    /// Whether it is to be told now that this went wrong.
    pub fn is_time_for(&mut self, what: &'static str) -> bool {
        self.is_time(what, OVER)
    }

    /// It is known that nothing goes wrong any more: what begins anew is told at once.
    pub fn all_is_over(&mut self) {
        self.0.clear();
    }

    fn is_time(&mut self, what: &'static str, over: Duration) -> bool {
        let known = self.0.get_mut(what).filter(|times| times.seen.elapsed() < over && times.told.elapsed() < EACH);
        if let Some(times) = known {
            times.seen = Stopwatch::start();
            return false;
        }
        self.0.insert(what, Times { told: Stopwatch::start(), seen: Stopwatch::start() });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_told_once_and_what_begins_anew_again() {
        let mut seldom = Seldom::default();
        let told = ["slots", "slots", "rewake", "slots"].map(|what| seldom.is_time_for(what));
        assert_eq!(told, [true, false, true, false]);
        assert!(seldom.is_time("slots", Duration::ZERO), "it was over");
        assert_eq!(["slots", "rewake"].map(|what| seldom.is_time_for(what)), [false, false]);
        seldom.all_is_over();
        assert!(seldom.is_time_for("slots"));
    }
}
