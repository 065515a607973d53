//! What a run would do, found by deciding everything and writing nothing.

use std::collections::VecDeque;
use std::panic::resume_unwind;

use rules::{AccountId, Changes, DueKind, Timestamp, TransferKind};
use serde::{Deserialize, Serialize};
use store::{Counts, Moved};

use crate::error::JobError;
use crate::job::Registered;
use crate::office::Office;
use crate::runs::BATCH_ACCOUNTS;
use crate::tally::Tally;

/// The full path without the commit, counted as a run counts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Preview {
    /// Slots that it settles, with those that it covers.
    pub slots: u32,
    pub accounts: u64,
    /// What would be charged or invoiced, by currency.
    pub moved: Moved,
    /// Of that, what the job is there for: nights are compared with nights, though invoices are issued on the way.
    pub own: Moved,
    /// By the name of the transfer or event, and `parked`.
    pub counts: Counts,
}

/// Services and accounts that stop.
const STOPS: [&str; 4] = ["account.suspended", "service.disabled", "service.removal_queued", "service.suspended"];

/// How many services and accounts are stopped in these counts.
pub fn stops(counts: &Counts) -> i64 {
    STOPS.iter().filter_map(|stop| counts.get(*stop)).sum()
}

/// Previews a job's work on what is due at `until`, on all accounts or on one; `see` is shown each account's changes.
pub async fn preview(
    office: &Office,
    job: &Registered,
    only: Option<AccountId>,
    until: Timestamp,
    mut see: impl FnMut(&Changes),
) -> Result<Preview, JobError> {
    // A list may have been published since.
    office.reload_if_moved().await?;
    let Some((first, last)) = office.store.account_ids_range().await? else { return Ok(Preview::default()) };
    let (first, last) = only.map_or((first, last), |only| (only, only));
    let (mut sum, mut after) = (Preview { slots: 1, ..Preview::default() }, AccountId(first.0 - 1));
    loop {
        let page = (job.due)(office, until, after, last, PAGE).await?;
        let Some(last) = page.last() else { return Ok(sum) };
        after = *last;
        sum.add(of(office, &page, (job.due_kind, false), until, &mut see).await?);
    }
}

/// Previews what is due of one kind on any account, also what waits for a held run.
pub async fn preview_of_held(office: &Office, kind: DueKind, until: Timestamp) -> Result<Preview, JobError> {
    office.reload_if_moved().await?;
    let (mut sum, mut after) = (Preview::default(), AccountId(0));
    loop {
        let page = office.store.accounts_due_or_held(kind, until, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(sum) };
        after = *last;
        sum.add(of(office, &page, (Some(kind), true), until, &mut |_| {}).await?);
    }
}

/// Accounts of one look. Of most kinds each look reads all that is due, so that there should be few.
const PAGE: u32 = 1 << 16;

/// Batches that are decided at a time, and shown one after the other.
const AHEAD: usize = 2;

async fn of(
    office: &Office,
    accounts: &[AccountId],
    (kind, only_due): (Option<DueKind>, bool),
    until: Timestamp,
    see: &mut impl FnMut(&Changes),
) -> Result<Preview, JobError> {
    let (mut tally, mut own) = (Tally::default(), Tally::default());
    let mut batches = accounts.chunks(BATCH_ACCOUNTS);
    let mut ahead = VecDeque::with_capacity(AHEAD);
    loop {
        while ahead.len() < AHEAD
            && let Some(batch) = batches.next()
        {
            let (office, batch) = (office.clone(), batch.to_vec());
            let decided = async move { office.decide_regardless(&batch, kind.filter(|_| only_due), until).await };
            ahead.push_back(tokio::spawn(decided));
        }
        let Some(next) = ahead.pop_front() else { break };
        let decided = next.await.unwrap_or_else(|error| resume_unwind(error.into_panic()))?;
        for changes in decided.changes() {
            tally.done += 1;
            tally.add_changes(changes);
            let transfers = changes.transfers.iter().filter(|transfer| is_own(kind, transfer.kind));
            for transfer in transfers {
                own.move_amount(changes.account.currency.code(), transfer.amount);
            }
            see(changes);
        }
        if decided.faults() > 0 {
            tally.count("parked", decided.faults());
        }
    }
    Ok(Preview { slots: 1, accounts: tally.done, moved: tally.moved, own: own.moved, counts: tally.counts })
}

/// Whether a transfer is what a job of this kind is there for.
const fn is_own(kind: Option<DueKind>, transfer: TransferKind) -> bool {
    match kind {
        Some(DueKind::Daily) => matches!(transfer, TransferKind::Period),
        Some(DueKind::Invoice) => matches!(transfer, TransferKind::InvoiceIssued),
        _ => false,
    }
}

impl Preview {
    fn add(&mut self, other: Self) {
        let mut sum = Tally { done: self.accounts, counts: std::mem::take(&mut self.counts), ..Tally::default() };
        sum.moved = std::mem::take(&mut self.moved);
        sum.merge(Tally { done: other.accounts, counts: other.counts, moved: other.moved, ..Tally::default() });
        let mut own = Tally { moved: std::mem::take(&mut self.own), ..Tally::default() };
        own.merge(Tally { moved: other.own, ..Tally::default() });
        *self = Self { slots: other.slots, accounts: sum.done, moved: sum.moved, own: own.moved, counts: sum.counts };
    }
}
