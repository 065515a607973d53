//! Deposits that came at the same time, each with its receipt and its request, in one transaction with their bookings.

use std::collections::HashMap;
use std::sync::Arc;

use rules::{AccountId, Timestamp};

use crate::commit::{Commit, Outcome, Rows, Stamp, outcomes, write_rows};
use crate::notes::{self, Note};
use crate::receipts::NewReceipt;
use crate::sql::Work;
use crate::write::all_written;
use crate::{Result, Store};

/// The id of a receipt that is written together with the decision that takes it in: behind all that an account has.
pub const COMING_RECEIPT: i64 = i64::MAX;

/// Money that comes, and the request that says so.
#[derive(Clone, Debug)]
pub struct Coming<'a> {
    pub receipt: NewReceipt<'a>,
    pub received_at: Timestamp,
    pub note: Arc<Note>,
}

/// What became of deposits that were to be written together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Together {
    Written,
    /// Nothing was written: the accounts at these places had moved.
    Moved(Vec<usize>),
}

impl Store {
    /// Writes decisions that took in [`COMING_RECEIPT`] with the receipts that these are, and the requests: all of them
    /// or none. Where a receipt or a request is known, they are refused.
    pub async fn deposits_commit(&self, batch: &[Commit], coming: &[Coming<'_>], stamp: Stamp) -> Result<Together> {
        let cut_after = self.take_cut();
        let mut transaction = self.unnoted().write_beside().await?;
        match write_deposits(&mut Work::new(&mut transaction, cut_after), batch, coming, stamp).await {
            Ok(Together::Written) => {
                transaction.commit().await?;
                coming.iter().for_each(|coming| coming.note.stands());
                Ok(Together::Written)
            }
            Ok(moved) => {
                transaction.rollback().await?;
                Ok(moved)
            }
            Err(error) => {
                transaction.rollback().await?;
                Err(error)
            }
        }
    }
}

async fn write_deposits(
    work: &mut Work<'_>,
    batch: &[Commit],
    coming: &[Coming<'_>],
    stamp: Stamp,
) -> Result<Together> {
    // Before the accounts are held, as everybody does who writes both.
    let notes: Vec<&Note> = coming.iter().map(|coming| &*coming.note).collect();
    notes::write_new(work, &notes).await?;
    let outcomes = outcomes(work, batch, stamp).await?;
    if outcomes.contains(&Outcome::Stale) {
        let places = outcomes.iter().enumerate().filter(|(_, outcome)| **outcome == Outcome::Stale);
        return Ok(Together::Moved(places.map(|(place, _)| place).collect()));
    }
    let all: Vec<&Commit> = batch.iter().collect();
    let mut rows = Rows::of(&all)?;
    write_taken_in(work, &mut rows, coming, stamp).await?;
    write_rows(work, &all, rows, stamp).await?;
    work.step()?;
    Ok(Together::Written)
}

/// Writes the receipts that come as they are used.
async fn write_taken_in(work: &mut Work<'_>, rows: &mut Rows<'_>, coming: &[Coming<'_>], stamp: Stamp) -> Result<()> {
    let mut used = Vec::with_capacity(coming.len());
    let by_account: HashMap<AccountId, &Coming<'_>> =
        coming.iter().map(|coming| (coming.receipt.account, coming)).collect();
    for (account, _, from) in rows.used_receipts.extract_if(.., |(_, id, _)| *id == COMING_RECEIPT) {
        used.extend(by_account.get(&account).map(|coming| (*coming, from)));
    }
    // One that the decision left would be money that is nowhere.
    all_written(used.len() as u64, coming.len(), "receipt_is_applied_once")?;
    let columns = "provider, payment, kind, account_id, amount, received_at, provider_at, applied_at, effective_at";
    work.insert("receipts", columns, &used, |cells, (coming, from)| {
        let NewReceipt { account, provider, payment, kind, amount, provider_at } = coming.receipt;
        cells
            .push_bind(provider)
            .push_bind(payment)
            .push_bind(kind.name())
            .push_bind(account.0)
            .push_bind(amount.get())
            .push_bind(coming.received_at.secs())
            .push_bind(provider_at.map(Timestamp::secs))
            .push_bind(stamp.recorded_at.secs())
            .push_bind(from.secs());
    })
    .await
}
