//! Ends trials and charges their traffic (rules 7.3, 7.4).
//!
//! Wakes   00:00 UTC, every day.
//! Due     accounts whose trial ends, or whose trial traffic is to be charged.
//! Work    settles each of them whole, up to now.
//! Twice   an ended trial is not due, a charge has its second in its key.

use rules::DueKind;

use crate::job::{Job, Wakes};

pub struct EndTrials;

impl Job for EndTrials {
    const NAME: &'static str = "end_trials";
    const CRON: &'static str = "0 0 0 * * *";
    const WAKES: Wakes = Wakes::Calendar;
    const DUE_KIND: Option<DueKind> = Some(DueKind::Trial);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tally;
    use crate::testing::{Bench, at, counts};

    const NAME: &str = EndTrials::NAME;

    #[tokio::test]
    async fn none_due() {
        let bench = Bench::at("2026-03-15T10:00:00Z").await;
        let ann = bench.open_in_trial("ann").await;
        bench.create(ann, "ann-1", "monthly").await;
        bench.customer("bob", "monthly", 0).await;
        bench.advance("2026-04-14T23:59:59Z");
        assert_eq!(bench.due(NAME).await, []);
        assert_eq!(bench.run(NAME).await, Some(Tally::default()));
    }

    #[tokio::test]
    async fn some_due() {
        let bench = Bench::at("2026-03-15T10:00:00Z").await;
        let ann = bench.open_in_trial("ann").await;
        bench.create(ann, "ann-1", "monthly").await;
        bench.advance("2026-04-15T00:00:00Z");
        assert_eq!(bench.due(NAME).await, [ann]);
        let tally = bench.run(NAME).await.expect("a run");
        assert_eq!((tally.done, counts(&tally)), (1, vec![("trial.ended", 1)]));
        assert_eq!(bench.due(NAME).await, []);
        let ended = bench.books().await.events.into_iter().find(|event| event.kind == "trial.ended");
        assert_eq!(ended.map(|event| event.at), Some(at("2026-04-15T00:00:00Z")));
        bench.verified().await;
    }

    #[tokio::test]
    async fn run_twice_changes_nothing() {
        let bench = Bench::at("2026-03-15T10:00:00Z").await;
        let ann = bench.open_in_trial("ann").await;
        bench.create(ann, "ann-1", "large").await;
        bench.advance("2026-04-15T00:00:00Z");
        bench.run(NAME).await;
        let before = bench.books().await;
        bench.run_again(NAME).await;
        assert_eq!(bench.books().await, before);
        assert_eq!(bench.cards.keys().len(), 1);
    }
}
