//! Queues suspended services for removal when their retention ends (rule 5.4).
//!
//! Wakes   each minute.
//! Due     accounts with a suspended service whose retention ended.
//! Work    settles each of them whole, up to now.
//! Twice   a service queued for removal is not in retention any more.

use rules::DueKind;

use crate::job::{Job, Wakes};

pub struct EndRetention;

impl Job for EndRetention {
    const NAME: &'static str = "end_retention";
    const CRON: &'static str = "0 * * * * *";
    const WAKES: Wakes = Wakes::Sweep;
    const DUE_KIND: Option<DueKind> = Some(DueKind::Retention);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renew_services::RenewServices;
    use crate::testing::{Bench, counts};

    const NAME: &str = EndRetention::NAME;

    /// One whose term was not renewed at the start of February's last day.
    async fn suspended() -> Bench {
        let bench = Bench::at("2026-01-31T12:00:00Z").await;
        bench.customer("poor", "term", 19).await;
        bench.customer("ann", "term", 100).await;
        bench.advance("2026-02-28T12:00:00Z");
        bench.run(RenewServices::NAME).await;
        bench
    }

    #[tokio::test]
    async fn none_due() {
        let bench = suspended().await;
        bench.advance("2026-03-03T11:59:59Z");
        assert_eq!(bench.due(NAME).await, []);
        assert_eq!(bench.run(NAME).await, None);
    }

    #[tokio::test]
    async fn some_due() {
        let bench = suspended().await;
        bench.advance("2026-03-03T12:00:00Z");
        assert_eq!(bench.due(NAME).await.len(), 1);
        let tally = bench.run(NAME).await.expect("a run");
        assert_eq!((tally.done, counts(&tally)), (1, vec![("service.removal_queued", 1)]));
        assert_eq!(bench.run(NAME).await, None);
        bench.verified().await;
    }

    #[tokio::test]
    async fn run_twice_changes_nothing() {
        let bench = suspended().await;
        bench.advance("2026-03-04T00:00:00Z");
        bench.run(NAME).await;
        let before = bench.books().await;
        bench.run_again(NAME).await;
        assert_eq!(bench.books().await, before);
    }
}
