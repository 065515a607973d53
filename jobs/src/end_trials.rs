//! Ends trials and charges their traffic (rules 7.3, 7.4).
//!
//! Wakes   00:00 UTC, every day.
//! Due     accounts whose trial ends, or whose trial traffic is to be charged.
//! Work    settles each of them whole, up to now.
//! Twice   an ended trial is not due, a charge has its second in its key.

use rules::{AccountId, DueKind, Timestamp};
use store::ShardProgress;

use crate::error::JobError;
use crate::job::{Job, Wakes};
use crate::office::Office;
use crate::tally::Tally;

pub struct EndTrials;

impl Job for EndTrials {
    const NAME: &'static str = "end_trials";
    const CRON: &'static str = "0 0 0 * * *";
    const WAKES: Wakes = Wakes::Calendar;

    async fn due(
        office: &Office,
        now: Timestamp,
        after: AccountId,
        last: AccountId,
        limit: u32,
    ) -> Result<Vec<AccountId>, JobError> {
        Ok(office.store.accounts_due(DueKind::Trial, now, after, last, limit).await?)
    }

    async fn due_count(office: &Office, now: Timestamp) -> Result<u64, JobError> {
        Ok(office.store.accounts_due_count(DueKind::Trial, now).await?)
    }

    async fn work(
        office: &Office,
        accounts: &[AccountId],
        now: Timestamp,
        progress: Option<&mut ShardProgress>,
    ) -> Result<Tally, JobError> {
        office.settle(accounts, now, progress).await
    }
}
