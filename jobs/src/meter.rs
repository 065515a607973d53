//! What this process did, counted as it is done: sums that only grow, from nothing at its start.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rules::Changes;
use store::{Commit, Outcome};

/// An account's batch, a commit: most take some milliseconds.
const SHORT: &[Duration] = &millis([1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000]);

/// A run: some seconds on a small host, and some minutes at a large one's midnight.
const LONG: &[Duration] = &millis([1_000, 5_000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 14_400_000]);

const fn millis<const N: usize>(bounds: [u64; N]) -> [Duration; N] {
    let (mut durations, mut index) = ([Duration::ZERO; N], 0);
    while index < N {
        durations[index] = Duration::from_millis(bounds[index]);
        index += 1;
    }
    durations
}

/// What is counted of the work.
#[derive(Debug)]
pub struct Meter {
    /// By the kind of transfer and the currency, in millionths.
    moved: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    /// By job.
    failures: Mutex<BTreeMap<&'static str, u64>>,
    pub runs: Histogram,
    pub batches: Histogram,
    pub commits: Histogram,
}

impl Default for Meter {
    fn default() -> Self {
        let (runs, batches, commits) = (Histogram::of(LONG), Histogram::short(), Histogram::short());
        Self { moved: Mutex::default(), failures: Mutex::default(), runs, batches, commits }
    }
}

impl Meter {
    /// What a commit moved, once it stands.
    pub fn committed(&self, commits: &[Commit], outcomes: &[Outcome]) {
        let written = commits.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Written);
        let mut moved = held(&self.moved);
        for Changes { account, transfers, .. } in written.map(|(commit, _)| &commit.changes) {
            for transfer in transfers {
                let sum = moved.entry((transfer.kind.name(), account.currency.code())).or_default();
                *sum = sum.saturating_add(transfer.amount.get().unsigned_abs());
            }
        }
    }

    /// Work of a job stopped with an error; it is due again.
    pub fn failed(&self, job: &'static str) {
        *held(&self.failures).entry(job).or_default() += 1;
    }

    pub fn moved(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        held(&self.moved).clone()
    }

    pub fn failures(&self) -> BTreeMap<&'static str, u64> {
        held(&self.failures).clone()
    }
}

/// How long things took, by their name.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [Duration],
    by_name: Mutex<BTreeMap<&'static str, Observed>>,
}

/// How many took no longer than each bound, how many there were, and how long all of them took.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observed {
    pub within: Vec<(Duration, u64)>,
    pub count: u64,
    pub sum: Duration,
}

impl Histogram {
    /// Of what mostly takes some milliseconds.
    pub const fn short() -> Self {
        Self::of(SHORT)
    }

    const fn of(bounds: &'static [Duration]) -> Self {
        Self { bounds, by_name: Mutex::new(BTreeMap::new()) }
    }

    pub fn observe(&self, name: &'static str, took: Duration) {
        let mut by_name = held(&self.by_name);
        let observed = by_name.entry(name).or_insert_with(|| {
            let within = self.bounds.iter().map(|bound| (*bound, 0)).collect();
            Observed { within, count: 0, sum: Duration::ZERO }
        });
        for (_, count) in observed.within.iter_mut().filter(|(bound, _)| took <= *bound) {
            *count += 1;
        }
        observed.count += 1;
        observed.sum = observed.sum.saturating_add(took);
    }

    pub fn read(&self) -> BTreeMap<&'static str, Observed> {
        held(&self.by_name).clone()
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    #[test]
    fn a_histogram_counts_within_each_bound() {
        let histogram = Histogram::short();
        for took in [0, 1, 2, 3, 700, 60_000] {
            histogram.observe("a", Duration::from_millis(took));
        }
        let read = histogram.read();
        let observed = &read["a"];
        assert_eq!((observed.count, observed.sum), (6, Duration::from_millis(60_706)));
        let within = |millis| observed.within.iter().find(|(bound, _)| *bound == Duration::from_millis(millis));
        let counts = [1, 2, 5, 500, 1_000, 10_000].map(|bound| within(bound).map(|(_, count)| *count));
        assert_eq!(counts, [2, 3, 4, 4, 5, 5].map(Some));
    }

    /// What is written counts once, whatever it took, and what moved meanwhile not at all.
    #[tokio::test]
    async fn money_counts_once_it_stands() {
        let bench = Bench::at("2026-03-02T12:00:00Z").await;
        let ann = bench.customer("ann", "daily", 100).await;
        let before = bench.office.meter.moved();
        assert_eq!(before[&("bonus", "USD")], 100_000_000);
        bench.advance("2026-03-03T00:00:00Z");
        let decide = async || bench.office.decide(&[ann], bench.now()).await.expect("decided");
        let (one, other) = (decide().await, decide().await);
        bench.office.commit(one, None).await.expect("written");
        let charged = |moved: &BTreeMap<_, u64>| moved.get(&("period", "USD")).copied().unwrap_or_default();
        let after = bench.office.meter.moved();
        assert!(charged(&after) > charged(&before), "{before:?} {after:?}");
        bench.office.commit(other, None).await.expect("stale");
        assert_eq!(bench.office.meter.moved(), after);
        assert!(bench.office.meter.commits.read()[""].count >= 3);
    }
}
