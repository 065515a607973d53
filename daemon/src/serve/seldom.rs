//! What goes on going wrong is told when it begins, and then once a minute.

use std::collections::HashMap;
use std::time::Duration;

use jobs::Stopwatch;

const EACH: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct Seldom(HashMap<&'static str, Stopwatch>);

impl Seldom {
    /// Whether it is to be told now that this went wrong.
    pub fn is_time_for(&mut self, what: &'static str) -> bool {
        let is_time = self.0.get(what).is_none_or(|told| told.elapsed() >= EACH);
        if is_time {
            self.0.insert(what, Stopwatch::start());
        }
        is_time
    }

    /// What is over is told at once when it begins anew.
    pub fn is_over(&mut self, is_over: impl Fn(&str) -> bool) {
        self.0.retain(|what, _| !is_over(what));
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
        seldom.is_over(|what| what == "slots");
        assert_eq!(["slots", "rewake"].map(|what| seldom.is_time_for(what)), [true, false]);
    }
}
