//! The accounts of a checked file, batch by batch into the books.

use std::path::Path;

use jobs::Office;
use rules::due_seconds;
use store::{ArrivingAccount, Import};

use super::Checked;
use crate::input::{Arrivals, Imported};

/// Accounts that one transaction brings in: short, so that a daemon beside it hardly waits.
const BATCH: usize = 100;

/// How often a batch is made anew after price lists came or went.
const ROUNDS_MAX: u32 = 8;

#[derive(Debug, thiserror::Error)]
#[error("somebody else imports this file, or the price lists keep moving; the same command goes on")]
pub struct Contended;

/// Brings in the accounts of a checked file that are not there yet; after each batch `told` hears how many are.
pub async fn bring_in(
    office: &Office,
    (file, hash): (&Path, &str),
    checked: Checked,
    author: String,
    told: impl Fn(u64),
) -> anyhow::Result<()> {
    let import = match checked.begun {
        Some(import) => import,
        None => {
            let import = Import {
                hash: hash.to_owned(),
                file: file.display().to_string(),
                author,
                at: checked.at,
                accounts: checked.totals.accounts,
                up_to: 0,
                finished_at: None,
            };
            office.store.import_begin(&import, &checked.plans, &checked.numbers).await?;
            import
        }
    };
    office.reload().await?;
    write(office, file, &import, told).await
}

/// Brings in the accounts behind those that are there.
async fn write(office: &Office, file: &Path, import: &Import, told: impl Fn(u64)) -> anyhow::Result<()> {
    let book = office.store.price_book().await?;
    let mut arrivals = Arrivals::open(file, book, office.policy.currency, import.at)?;
    for _ in 0..import.up_to {
        arrivals.next_account();
    }
    let mut up_to = import.up_to;
    loop {
        let batch: Vec<Imported> = std::iter::from_fn(|| arrivals.next_account()).take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        write_batch(office, import, up_to, &batch).await?;
        up_to += u64::try_from(batch.len()).unwrap_or_default();
        told(up_to);
    }
    Ok(())
}

async fn write_batch(office: &Office, import: &Import, up_to: u64, batch: &[Imported]) -> anyhow::Result<()> {
    for _ in 0..ROUNDS_MAX {
        let revision = office.revision();
        let arriving = office.with_context(|cx| {
            let arriving = batch.iter().map(|imported| {
                let changes = rules::bring_in(imported.arrival.clone(), cx, import.at)?;
                let due = due_seconds(&changes.account, cx);
                let printed = imported.invoices.iter();
                let printed = printed.map(|one| (one.series.clone(), one.number.clone(), one.total.get())).collect();
                Ok(ArrivingAccount { changes, due, details: imported.details.clone(), printed })
            });
            arriving.collect::<Result<Vec<_>, rules::OutOfRange>>()
        })?;
        if office.store.import_batch(import, up_to, &arriving, revision, office.clock.now()).await? {
            return Ok(());
        }
        let now = office.store.import(&import.hash).await?;
        if now.is_none_or(|now| now.up_to != up_to) {
            break;
        }
        office.reload().await?;
    }
    Err(Contended.into())
}
