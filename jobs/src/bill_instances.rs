//! Charges every enabled daily instance its day, or disables it (rule 4.2).
//!
//! Wakes   00:00 UTC, every day.
//! Due     accounts whose enabled daily instances are paid until now or earlier.
//! Work    settles each of them whole, up to now.
//! Twice   the account's midnight has moved on by then, and the database refuses a second charge of a day.

use rules::{AccountId, DueKind, Timestamp};
use store::ShardProgress;

use crate::error::JobError;
use crate::job::{Job, Wakes};
use crate::office::Office;
use crate::tally::Tally;

pub struct BillInstances;

impl Job for BillInstances {
    const NAME: &'static str = "bill_instances";
    const CRON: &'static str = "0 0 0 * * *";
    const WAKES: Wakes = Wakes::Calendar;

    async fn due(
        office: &Office,
        now: Timestamp,
        after: AccountId,
        last: AccountId,
        limit: u32,
    ) -> Result<Vec<AccountId>, JobError> {
        Ok(office.store.accounts_due(DueKind::Daily, now, after, last, limit).await?)
    }

    async fn due_count(office: &Office, now: Timestamp) -> Result<u64, JobError> {
        Ok(office.store.accounts_due_count(DueKind::Daily, now).await?)
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
