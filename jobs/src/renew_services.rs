//! Renews term services from the wallet, or suspends them (rule 5.2).
//!
//! Wakes   each minute.
//! Due     accounts with a term that ended.
//! Work    settles each of them whole, up to now.
//! Twice   a renewed term ends later, a suspended one is no longer due.

use rules::{AccountId, DueKind, Timestamp};
use store::ShardProgress;

use crate::error::JobError;
use crate::job::{Job, Wakes};
use crate::office::Office;
use crate::tally::Tally;

pub struct RenewServices;

impl Job for RenewServices {
    const NAME: &'static str = "renew_services";
    const CRON: &'static str = "0 * * * * *";
    const WAKES: Wakes = Wakes::Sweep;

    async fn due(
        office: &Office,
        now: Timestamp,
        after: AccountId,
        last: AccountId,
        limit: u32,
    ) -> Result<Vec<AccountId>, JobError> {
        Ok(office.store.accounts_due(DueKind::Term, now, after, last, limit).await?)
    }

    async fn due_count(office: &Office, now: Timestamp) -> Result<u64, JobError> {
        Ok(office.store.accounts_due_count(DueKind::Term, now).await?)
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
