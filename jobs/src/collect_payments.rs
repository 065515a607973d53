//! Asks cards for what is open, goes up the dunning ladder, suspends who does not pay (rules 6.8, 6.9, 11.7).
//!
//! Wakes   each five minutes, and on a nudge after a commit that wants a card asked.
//! Due     accounts with a card try, a retry or an overdue second that came, with a charge unanswered, or with
//!         money that came and is not in the books.
//! Work    settles each of them, asks the cards that this needs, and settles on with the answers.
//! Twice   a charge is asked under the key it was committed with; its first answer stands.

use rules::{AccountId, DueKind, Timestamp};
use store::ShardProgress;

use crate::error::JobError;
use crate::job::{Job, Wakes};
use crate::office::Office;
use crate::tally::Tally;

pub struct CollectPayments;

impl Job for CollectPayments {
    const NAME: &'static str = "collect_payments";
    const CRON: &'static str = "0 */5 * * * *";
    const WAKES: Wakes = Wakes::Sweep;

    async fn due(
        office: &Office,
        now: Timestamp,
        after: AccountId,
        last: AccountId,
        limit: u32,
    ) -> Result<Vec<AccountId>, JobError> {
        let mut due = office.store.accounts_due(DueKind::Collection, now, after, last, limit).await?;
        let received = office.store.accounts_with_receipts(u32::MAX).await?;
        due.extend(received.into_iter().filter(|id| after < *id && *id <= last));
        due.sort_unstable();
        due.dedup();
        due.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(due)
    }

    async fn due_count(office: &Office, now: Timestamp) -> Result<u64, JobError> {
        let received = office.store.accounts_with_receipts(u32::MAX).await?.len();
        let due = office.store.accounts_due_count(DueKind::Collection, now).await?;
        Ok(due + u64::try_from(received).unwrap_or_default())
    }

    async fn work(
        office: &Office,
        accounts: &[AccountId],
        now: Timestamp,
        progress: Option<&mut ShardProgress>,
    ) -> Result<Tally, JobError> {
        let mut tally = office.settle(accounts, now, progress).await?;
        let mut awaiting = std::mem::take(&mut tally.awaiting);
        while !awaiting.is_empty() {
            let answered = office.ask_cards(&awaiting, now).await?;
            let mut settled = office.settle(&answered, now, None).await?;
            awaiting = std::mem::take(&mut settled.awaiting);
            // The accounts were counted when they were settled first.
            settled.done = 0;
            tally.merge(settled);
        }
        Ok(tally)
    }
}
