//! Checks the books' invariants over all accounts.
//!
//! Wakes   04:00 UTC, every day.
//! Due     the books, as one piece of work.
//! Work    runs every check of `bursar verify`; a broken invariant fails the run and is logged by name.
//! Twice   it only reads.

use rules::{AccountId, DueKind, Timestamp};
use store::{ShardProgress, Violation};

use crate::error::JobError;
use crate::job::{Job, Wakes, stand_in};
use crate::office::Office;
use crate::tally::Tally;

pub struct VerifyBooks;

impl Job for VerifyBooks {
    const NAME: &'static str = "verify_books";
    const CRON: &'static str = "0 0 4 * * *";
    const WAKES: Wakes = Wakes::Calendar;
    const DUE_KIND: Option<DueKind> = None;

    async fn due(
        office: &Office,
        _: Timestamp,
        after: AccountId,
        last: AccountId,
        _: u32,
    ) -> Result<Vec<AccountId>, JobError> {
        stand_in(office, after, last).await
    }

    async fn due_count(_: &Office, _: Timestamp) -> Result<u64, JobError> {
        Ok(1)
    }

    async fn work(
        office: &Office,
        _: &[AccountId],
        _: Timestamp,
        progress: Option<&mut ShardProgress>,
    ) -> Result<Tally, JobError> {
        let violations = office.store.verify(None, &office.policy()).await?;
        for violation in &violations {
            let Violation { invariant, account, detail, .. } = violation;
            tracing::error!(job = Self::NAME, invariant, account = account.map(|account| account.0), "{detail}");
        }
        let mut tally = Tally { done: 1, ..Tally::default() };
        tally.count("violations", i64::try_from(violations.len()).unwrap_or(i64::MAX));
        if !violations.is_empty() {
            return Err(JobError::BooksBroken { violations: violations.len() });
        }
        if let Some(progress) = progress {
            progress.done += 1;
        }
        Ok(tally)
    }
}

#[cfg(test)]
mod tests {
    use rules::{DueKind, Micros};
    use store::{Commit, RunState, Scope, Stamp};

    use super::*;
    use crate::runs::work_run;
    use crate::slots::open_slot;
    use crate::testing::{Bench, WORKER, counts, named};

    const NAME: &str = VerifyBooks::NAME;

    #[tokio::test]
    async fn none_due() {
        let bench = Bench::at("2026-03-02T04:00:00Z").await;
        assert_eq!(bench.due(NAME).await, []);
        assert_eq!(bench.run(NAME).await, Some(Tally::default()));
    }

    #[tokio::test]
    async fn some_due() {
        let bench = Bench::at("2026-03-02T04:00:00Z").await;
        let ann = bench.customer("ann", "daily", 100).await;
        bench.customer("bob", "monthly", 0).await;
        assert_eq!(bench.due(NAME).await, [ann]);
        let tally = bench.run(NAME).await.expect("a run");
        assert_eq!((tally.done, counts(&tally)), (1, vec![("violations", 0)]));
    }

    #[tokio::test]
    async fn run_twice_changes_nothing() {
        let bench = Bench::at("2026-03-02T04:00:00Z").await;
        bench.customer("ann", "daily", 100).await;
        bench.run(NAME).await;
        let before = bench.books().await;
        bench.run_again(NAME).await;
        assert_eq!(bench.books().await, before);
    }

    #[tokio::test]
    async fn a_broken_invariant_fails_the_run_by_name() {
        let bench = Bench::at("2026-03-02T04:00:00Z").await;
        let ann = bench.customer("ann", "daily", 100).await;
        // A wallet that is not the sum of its entries: no rule writes that.
        let loaded = bench.office.store.accounts_load(&[ann], Scope::Unfinished).await.expect("loaded");
        let account = loaded.into_iter().next().expect("ann").expect("readable");
        let changes = bench.office.with_context(|cx| rules::settle(account, cx, bench.now())).expect("settled");
        let mut broken = Commit { changes, due: DueKind::ALL.map(|kind| (kind, None)) };
        broken.changes.account.wallet = Micros::new(1);
        let stamp = Stamp { recorded_at: bench.now(), run: None, revision: bench.office.revision() };
        bench.office.store.commit(&[broken], stamp, None).await.expect("written");

        let run = open_slot(&bench.office, named(NAME), bench.now()).await.expect("opened").expect("a run");
        let failed = work_run(&bench.office, named(NAME), &run, WORKER).await;
        assert!(matches!(failed, Err(JobError::BooksBroken { violations: 1.. })), "{failed:?}");
        let run = bench.office.store.run(run.id).await.expect("runs").expect("the run");
        assert_eq!(run.state, RunState::Failed);
        assert!(run.error.is_some_and(|error| error.contains("bursar verify")));
    }
}
