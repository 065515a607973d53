//! Issues the invoices of the month and takes from the wallet what it has (rules 6.1 to 6.8).
//!
//! Wakes   00:00 UTC on the 1st.
//! Due     accounts with a server that may have lines.
//! Work    settles each of them whole, up to now.
//! Twice   the account's invoice time has moved on by then.

use rules::{AccountId, DueKind, Timestamp};
use store::ShardProgress;

use crate::error::JobError;
use crate::job::{Job, Wakes};
use crate::office::Office;
use crate::tally::Tally;

pub struct IssueInvoices;

impl Job for IssueInvoices {
    const NAME: &'static str = "issue_invoices";
    const CRON: &'static str = "0 0 0 1 * *";
    const WAKES: Wakes = Wakes::Calendar;

    async fn due(
        office: &Office,
        now: Timestamp,
        after: AccountId,
        last: AccountId,
        limit: u32,
    ) -> Result<Vec<AccountId>, JobError> {
        Ok(office.store.accounts_due(DueKind::Invoice, now, after, last, limit).await?)
    }

    async fn due_count(office: &Office, now: Timestamp) -> Result<u64, JobError> {
        Ok(office.store.accounts_due_count(DueKind::Invoice, now).await?)
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
