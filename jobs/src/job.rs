//! What a job is: when it wakes, whom it concerns, what it does with them.

use std::future::Future;
use std::pin::Pin;

use rules::{AccountId, DueKind, Timestamp};
use store::ShardProgress;

use crate::error::JobError;
use crate::office::Office;
use crate::tally::Tally;

/// How a job's wakes are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wakes {
    /// Every slot of its cron line has a row of its own in the run ledger, whether anything was due or not.
    Calendar,
    /// A run is opened only when something is due.
    Sweep,
}

/// One job. Twice is harmless: what is due is asked of the books, and done once there.
pub trait Job {
    /// The one name: of the file, in logs, metrics, the run ledger and on the command line.
    const NAME: &'static str;
    /// Seconds first: `0 0 0 * * *` is midnight.
    const CRON: &'static str;
    const WAKES: Wakes;
    /// What it looks for in the books; none for a job that looks at all of them.
    const DUE_KIND: Option<DueKind>;

    /// Accounts after `after` up to `last` that concern this job at `now`, rising, at most `limit`.
    fn due(
        office: &Office,
        now: Timestamp,
        after: AccountId,
        last: AccountId,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<AccountId>, JobError>> + Send {
        async move {
            let Some(kind) = Self::DUE_KIND else { return Ok(Vec::new()) };
            Ok(office.store.accounts_due(kind, now, after, last, limit).await?)
        }
    }

    /// How many there are in all.
    fn due_count(office: &Office, now: Timestamp) -> impl Future<Output = Result<u64, JobError>> + Send {
        async move {
            let Some(kind) = Self::DUE_KIND else { return Ok(0) };
            Ok(office.store.accounts_due_count(kind, now).await?)
        }
    }

    /// Works off a batch: settles each account whole. `progress` is written with it and tells what came of it.
    fn work(
        office: &Office,
        accounts: &[AccountId],
        now: Timestamp,
        progress: Option<&mut ShardProgress>,
    ) -> impl Future<Output = Result<Tally, JobError>> + Send {
        office.settle(accounts, now, progress)
    }
}

/// For a job over the books as one piece of work: the first account stands for all of them, which is in the first
/// shard whenever that was cut.
pub async fn stand_in(office: &Office, after: AccountId, last: AccountId) -> Result<Vec<AccountId>, JobError> {
    let range = office.store.account_ids_range().await?;
    Ok(range.map(|(first, _)| first).filter(|first| after < *first && *first <= last).into_iter().collect())
}

type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, JobError>> + Send + 'a>>;
type Due = for<'a> fn(&'a Office, Timestamp, AccountId, AccountId, u32) -> Later<'a, Vec<AccountId>>;
type DueCount = for<'a> fn(&'a Office, Timestamp) -> Later<'a, u64>;
type Work = for<'a> fn(&'a Office, &'a [AccountId], Timestamp, Option<&'a mut ShardProgress>) -> Later<'a, Tally>;

/// A job in the list.
pub struct Registered {
    pub name: &'static str,
    pub cron: &'static str,
    pub wakes: Wakes,
    pub due_kind: Option<DueKind>,
    pub due: Due,
    pub due_count: DueCount,
    pub work: Work,
}

pub const fn register<J: Job + 'static>() -> Registered {
    Registered {
        name: J::NAME,
        cron: J::CRON,
        wakes: J::WAKES,
        due_kind: J::DUE_KIND,
        due: |office, now, after, last, limit| Box::pin(J::due(office, now, after, last, limit)),
        due_count: |office, now| Box::pin(J::due_count(office, now)),
        work: |office, accounts, now, progress| Box::pin(J::work(office, accounts, now, progress)),
    }
}
