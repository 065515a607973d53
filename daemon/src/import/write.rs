//! The accounts of a checked file, batch by batch into the books.

use jobs::Office;
use rules::due_seconds;
use store::{ArrivingAccount, Brought, Import};

use super::{Checked, Looked, Source, look, terms};
use crate::input::{Arrivals, Imported};

/// Accounts that one transaction brings in: short, so that a daemon beside it hardly waits.
const BATCH: usize = 100;

/// How often a batch is made anew after price lists came or went.
const ROUNDS_MAX: u32 = 8;

#[derive(Debug, thiserror::Error)]
#[error("somebody else brings this file in, or the price lists keep moving: give the same command again")]
pub struct Contended;

/// Some of a file is in the books, and the rest is not.
#[derive(Debug, thiserror::Error)]
#[error(
    "cut short: {up_to} of {accounts} accounts are in the books, each whole, and stay there. The next ones could not \
     be brought in: {why}. The same command goes on with them, or says why not."
)]
pub struct CutShort {
    pub up_to: u64,
    pub accounts: u64,
    pub why: String,
}

/// Brings in the accounts of a checked file that are not there yet; after each batch `told` hears how many are.
pub async fn bring_in(
    office: &Office,
    source: &Source,
    checked: Checked,
    author: String,
    told: impl Fn(u64),
) -> anyhow::Result<()> {
    let import = match checked.begun {
        Some(import) => import,
        None => begin(office, source, checked, author).await?,
    };
    let mut up_to = import.up_to;
    let written = write(office, source, &import, &mut up_to, told).await;
    written.map_err(|error| match error.is::<Contended>() {
        // Nothing is cut short: whoever was faster goes on.
        true => error,
        false => CutShort { up_to, accounts: import.accounts, why: format!("{error:#}") }.into(),
    })
}

/// Begins an import with what holds when it was checked: checked again if that moved.
async fn begin(office: &Office, source: &Source, mut checked: Checked, author: String) -> anyhow::Result<Import> {
    let import = Import {
        hash: source.hash.clone(),
        file: source.path.display().to_string(),
        author,
        at: checked.at,
        accounts: checked.totals.accounts,
        up_to: 0,
        finished_at: None,
        given_up: None,
    };
    for _ in 0..ROUNDS_MAX {
        if office.store.import_begin(&import, &checked.plans, &checked.numbers, checked.revision).await? {
            return Ok(import);
        }
        checked = match look(office, source, Some(import.at)).await? {
            Looked::Fine(again) if again.begun.is_none() => *again,
            _ => break,
        };
    }
    Err(Contended.into())
}

/// Brings in the accounts behind those that are there.
async fn write(
    office: &Office,
    source: &Source,
    import: &Import,
    up_to: &mut u64,
    told: impl Fn(u64),
) -> anyhow::Result<()> {
    office.reload().await?;
    let mut arrivals = Arrivals::reopen(&source.path, terms(office, import.at).await?)?;
    for _ in 0..import.up_to {
        arrivals.next_account();
    }
    loop {
        let batch: Vec<Imported> = std::iter::from_fn(|| arrivals.next_account()).take(BATCH).collect();
        anyhow::ensure!(source.is_unchanged(), "{} was changed after it was checked", source.path.display());
        if batch.is_empty() {
            return Ok(());
        }
        write_batch(office, import, *up_to, &batch).await?;
        *up_to += u64::try_from(batch.len()).unwrap_or_default();
        told(*up_to);
    }
}

async fn write_batch(office: &Office, import: &Import, up_to: u64, batch: &[Imported]) -> anyhow::Result<()> {
    for _ in 0..ROUNDS_MAX {
        let revision = office.revision();
        let arriving = office.with_context(|cx| {
            let arriving = batch.iter().map(|imported| {
                let unknown = imported.arrival.services.iter().find(|service| !cx.prices.knows(&service.order));
                if let Some(service) = unknown {
                    anyhow::bail!("no price list has what service `{}` orders any more", service.name);
                }
                let changes = rules::bring_in(imported.arrival.clone(), cx, import.at)?;
                let due = due_seconds(&changes.account, cx);
                let printed = imported.invoices.iter();
                let printed = printed.map(|one| (one.series.clone(), one.number.clone(), one.total.get())).collect();
                Ok(ArrivingAccount { changes, due, details: imported.details.clone(), printed })
            });
            arriving.collect::<anyhow::Result<Vec<_>>>()
        })?;
        match office.store.import_batch(import, up_to, &arriving, revision, office.clock.now()).await? {
            Brought::Written => return Ok(()),
            Brought::Closed(open_from) => anyhow::bail!("the month before {open_from} was closed meanwhile"),
            Brought::Moved => {}
        }
        let now = office.store.import(&import.hash).await?;
        if let Some(given_up) = now.as_ref().and_then(|now| now.given_up.as_ref()) {
            anyhow::bail!("it was given up meanwhile by {}: {}", given_up.by, given_up.reason);
        }
        if now.is_none_or(|now| now.up_to != up_to) {
            break;
        }
        office.reload().await?;
    }
    Err(Contended.into())
}
