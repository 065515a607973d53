//! Charges every enabled daily instance its day, or disables it (rule 4.2).
//!
//! Wakes   00:00 UTC, every day.
//! Due     accounts whose enabled daily instances are paid until now or earlier.
//! Work    settles each of them whole, up to now.
//! Twice   the account's midnight has moved on by then, and the database refuses a second charge of a day.

use rules::DueKind;

use crate::job::{Job, Wakes};

pub struct BillInstances;

impl Job for BillInstances {
    const NAME: &'static str = "bill_instances";
    const CRON: &'static str = "0 0 0 * * *";
    const WAKES: Wakes = Wakes::Calendar;
    const DUE_KIND: Option<DueKind> = Some(DueKind::Daily);
}

#[cfg(test)]
mod tests {
    use rules::Timestamp;

    use super::*;
    use crate::Tally;
    use crate::testing::{Bench, at, counts, units};

    const NAME: &str = BillInstances::NAME;

    #[tokio::test]
    async fn none_due() {
        let bench = Bench::at("2026-03-02T12:00:00Z").await;
        bench.customer("ann", "daily", 100).await;
        bench.customer("bob", "term", 100).await;
        bench.advance("2026-03-02T23:59:59Z");
        let before = bench.books().await;
        assert_eq!(bench.due(NAME).await, []);
        assert_eq!(bench.run(NAME).await, Some(Tally::default()));
        assert_eq!(bench.books().await, before);
    }

    #[tokio::test]
    async fn some_due() {
        let bench = Bench::at("2026-03-02T12:00:00Z").await;
        let ann = bench.customer("ann", "daily", 100).await;
        let poor = bench.customer("poor", "daily", 14).await;
        bench.customer("bob", "term", 100).await;
        bench.advance("2026-03-03T00:00:00Z");
        assert_eq!(bench.due(NAME).await, [ann, poor]);
        let tally = bench.run(NAME).await.expect("a run");
        assert_eq!((tally.done, counts(&tally)), (2, vec![("period", 1), ("service.disabled", 1)]));
        assert_eq!(tally.moved["USD"], units(10));
        assert_eq!((bench.wallet("ann").await, bench.wallet("poor").await), (units(85), units(9)));
        assert_eq!(bench.due(NAME).await, []);
        // Three midnights at once leave what one by one leaves.
        bench.advance("2026-03-06T08:00:00Z");
        assert_eq!(counts(&bench.run(NAME).await.expect("a run")), [("period", 3)]);
        let midnights: Vec<Timestamp> =
            bench.books().await.ledger.iter().rev().take(3).map(|row| row.effective_at).collect();
        assert_eq!(midnights, ["2026-03-06T00:00:00Z", "2026-03-05T00:00:00Z", "2026-03-04T00:00:00Z"].map(at));
        bench.verified().await;
    }

    #[tokio::test]
    async fn run_twice_changes_nothing() {
        let bench = Bench::at("2026-03-02T12:00:00Z").await;
        bench.customer("ann", "daily", 100).await;
        bench.customer("poor", "daily", 14).await;
        bench.advance("2026-03-04T00:00:00Z");
        bench.run(NAME).await;
        let before = bench.books().await;
        bench.run_again(NAME).await;
        assert_eq!(bench.books().await, before);
    }
}
