//! Queues suspended services for removal when their retention ends (rule 5.4).
//!
//! Wakes   each minute.
//! Due     accounts with a suspended service whose retention ended.
//! Work    settles each of them whole, up to now.
//! Twice   a service queued for removal is not in retention any more.

use rules::{AccountId, DueKind, Timestamp};
use store::ShardProgress;

use crate::error::JobError;
use crate::job::{Job, Wakes};
use crate::office::Office;
use crate::tally::Tally;

pub struct EndRetention;

impl Job for EndRetention {
    const NAME: &'static str = "end_retention";
    const CRON: &'static str = "0 * * * * *";
    const WAKES: Wakes = Wakes::Sweep;

    async fn due(
        office: &Office,
        now: Timestamp,
        after: AccountId,
        last: AccountId,
        limit: u32,
    ) -> Result<Vec<AccountId>, JobError> {
        Ok(office.store.accounts_due(DueKind::Retention, now, after, last, limit).await?)
    }

    async fn due_count(office: &Office, now: Timestamp) -> Result<u64, JobError> {
        Ok(office.store.accounts_due_count(DueKind::Retention, now).await?)
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
