//! Renews term services from the wallet, or suspends them (rule 5.2).
//!
//! Wakes   each minute.
//! Due     accounts with a term that ended.
//! Work    settles each of them whole, up to now.
//! Twice   a renewed term ends later, a suspended one is no longer due.

use rules::DueKind;

use crate::job::{Job, Wakes};

pub struct RenewServices;

impl Job for RenewServices {
    const NAME: &'static str = "renew_services";
    const CRON: &'static str = "0 * * * * *";
    const WAKES: Wakes = Wakes::Sweep;
    const DUE_KIND: Option<DueKind> = Some(DueKind::Term);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, counts, units};

    const NAME: &str = RenewServices::NAME;

    #[tokio::test]
    async fn none_due() {
        let bench = Bench::at("2026-01-31T12:00:00Z").await;
        bench.customer("ann", "term", 100).await;
        bench.advance("2026-02-28T11:59:59Z");
        assert_eq!(bench.due(NAME).await, []);
        assert_eq!(bench.run(NAME).await, None);
    }

    #[tokio::test]
    async fn some_due() {
        let bench = Bench::at("2026-01-31T12:00:00Z").await;
        let ann = bench.customer("ann", "term", 100).await;
        let poor = bench.customer("poor", "term", 19).await;
        bench.customer("bob", "daily", 1000).await;
        bench.advance("2026-02-28T12:00:00Z");
        assert_eq!(bench.due(NAME).await, [ann, poor]);
        let tally = bench.run(NAME).await.expect("a run");
        let midnights = 0;
        let expected = [("period", 1 + midnights), ("service.renewed", 1), ("service.suspended", 1)];
        assert_eq!((tally.done, counts(&tally)), (2, expected.to_vec()));
        assert_eq!((bench.wallet("ann").await, bench.wallet("poor").await), (units(80), units(9)));
        assert_eq!(bench.due(NAME).await, []);
        // What is due for others at the account is done as well: it is settled whole.
        bench.advance("2026-04-30T12:00:00Z");
        assert_eq!(counts(&bench.run(NAME).await.expect("a run")), [("period", 2), ("service.renewed", 2)]);
        bench.verified().await;
    }

    #[tokio::test]
    async fn run_twice_changes_nothing() {
        let bench = Bench::at("2026-01-31T12:00:00Z").await;
        bench.customer("ann", "term", 100).await;
        bench.customer("poor", "term", 19).await;
        bench.advance("2026-02-28T12:00:00Z");
        bench.run(NAME).await;
        let before = bench.books().await;
        bench.run_again(NAME).await;
        assert_eq!(bench.books().await, before);
    }
}
