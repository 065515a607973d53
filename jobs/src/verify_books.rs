//! Checks the books' invariants over all accounts.
//!
//! Wakes   04:00 UTC, every day.
//! Due     the books, as one piece of work.
//! Work    runs every check of `bursar verify`; a broken invariant fails the run and is logged by name.
//! Twice   it only reads.

use rules::{AccountId, Timestamp};
use store::ShardProgress;

use crate::error::JobError;
use crate::job::{Job, Wakes};
use crate::office::Office;
use crate::tally::Tally;

pub struct VerifyBooks;

impl Job for VerifyBooks {
    const NAME: &'static str = "verify_books";
    const CRON: &'static str = "0 0 4 * * *";
    const WAKES: Wakes = Wakes::Calendar;

    async fn due(
        office: &Office,
        _: Timestamp,
        after: AccountId,
        last: AccountId,
        _: u32,
    ) -> Result<Vec<AccountId>, JobError> {
        // The checks are set-based over all accounts: the last one stands for them.
        let range = office.store.account_ids_range().await?;
        Ok(range.map(|(_, newest)| newest.min(last)).filter(|newest| *newest > after).into_iter().collect())
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
        let violations = office.store.verify(None).await?;
        for violation in &violations {
            tracing::error!(job = Self::NAME, invariant = %violation.invariant, "{violation}");
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
