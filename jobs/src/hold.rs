//! The band within which a calendar run goes by itself: beyond it, somebody looks first.

use rules::Micros;
use store::{Moved, Run};

use crate::preview::{Preview, stops};

/// Runs that a preview is compared with.
pub const COMPARED: u32 = 7;

/// How far above the largest of the last runs a run may go. What they and it did is taken a slot, so that
/// catching up three nights may do as much as three nights.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Band {
    pub growth_percent: u32,
    /// A run that charges no more is never held for what it charges.
    pub least_amount: Micros,
    /// One that stops no more services and accounts is never held for that.
    pub least_stops: u32,
}

impl Default for Band {
    fn default() -> Self {
        Self { growth_percent: 50, least_amount: Micros::new(1_000_000_000), least_stops: 25 }
    }
}

impl Band {
    /// Why this run waits for an admin, if it does. With nothing to compare, nothing is beyond.
    pub fn beyond(&self, preview: &Preview, last: &[Run]) -> Option<String> {
        if last.is_empty() {
            return None;
        }
        let mut reasons = Vec::new();
        for (currency, amount) in &preview.own {
            let most = most_a_slot(last, |run| charged(run, currency));
            let limit = self.limit(most, preview.slots);
            if *amount > self.least_amount && i128::from(amount.get()) > limit {
                let limit = Micros::new(i64::try_from(limit).unwrap_or(i64::MAX));
                reasons.push(format!("it would charge {currency} {amount}, and up to {limit} is usual"));
            }
        }
        let stopped = stops(&preview.counts);
        let limit = self.limit(most_a_slot(last, stopped_by), preview.slots);
        if stopped > i64::from(self.least_stops) && i128::from(stopped) > limit {
            reasons.push(format!("it would stop {stopped} services and accounts, and up to {limit} is usual"));
        }
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    fn limit(&self, most: i128, slots: u32) -> i128 {
        most * i128::from(slots) * (100 + i128::from(self.growth_percent)) / 100
    }
}

/// What a run charged of what its job is there for. A preview alone would tell too much of a run whose prices were
/// put right before its release.
fn charged(run: &Run, currency: &str) -> i64 {
    let of = |moved: &Moved| moved.get(currency).map_or(0, |amount| amount.get());
    let did = of(&run.moved);
    foreseen(run).map_or(did, |preview| of(&preview.own).min(did))
}

/// What a run stopped. One that was held did the work of more slots than it was opened for.
fn stopped_by(run: &Run) -> i64 {
    let did = stops(&run.counts);
    foreseen(run).map_or(did, |preview| stops(&preview.counts).min(did))
}

fn foreseen(run: &Run) -> Option<Preview> {
    run.preview.as_deref().and_then(|text| serde_json::from_str(text).ok())
}

/// The most of something that one of the runs did, by slot.
fn most_a_slot(last: &[Run], of: impl Fn(&Run) -> i64) -> i128 {
    last.iter().map(|run| i128::from(of(run)) / i128::from(run.slots.max(1))).max().unwrap_or_default()
}
