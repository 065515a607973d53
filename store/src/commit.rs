//! Committing decisions: a batch of accounts in one transaction, each refused if it moved meanwhile.

use std::collections::{HashMap, HashSet};

use rules::{
    AccountId, Answer, Buyer, Changes, CreditNote, DueKind, Event, Intent, Invoice, Reissue, Service, Timestamp,
    Transfer,
};

use crate::details;
use crate::reference::{self, Revision};
use crate::runs::RunId;
use crate::shards::{self, ShardProgress};
use crate::sql::{self, Work};
use crate::write::{self, Of, PlacedLine, all_written};
use crate::{Result, Store, StoreError, closings, due};

/// When an account falls due next, by kind, as [`rules::due_seconds`] says.
pub type DueSeconds = [(DueKind, Option<Timestamp>); 6];

/// One account's decision, and when it falls due after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit {
    pub changes: Changes,
    pub due: DueSeconds,
}

/// When and by which run a batch is written, on which the books don't depend, and what it was decided with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    pub recorded_at: Timestamp,
    pub run: Option<RunId>,
    /// Of the price lists and outages that the decisions were made with.
    pub revision: Revision,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Written,
    /// The account moved since it was read, or what holds for all did: load it and decide again.
    Stale,
}

impl Store {
    /// Writes the decisions on accounts that have not moved since they were read, nor what holds for all,
    /// and with them how far the shard came: all in one transaction, in a number of statements that does not
    /// grow with the accounts but by the size of a statement.
    pub async fn commit(
        &self,
        batch: &[Commit],
        stamp: Stamp,
        progress: Option<&ShardProgress>,
    ) -> Result<Vec<Outcome>> {
        let cut_after = self.take_cut();
        let mut transaction = self.write_beside().await?;
        let mut work = Work::new(&mut transaction, cut_after);
        match write_all(&mut work, batch, stamp, progress).await {
            // What wrote nothing leaves no note either.
            Ok(outcomes) if progress.is_none() && !outcomes.contains(&Outcome::Written) => {
                transaction.rollback().await?;
                Ok(outcomes)
            }
            Ok(outcomes) => {
                transaction.commit().await?;
                if let Some(note) = &self.note {
                    note.stands();
                }
                Ok(outcomes)
            }
            Err(error) => {
                transaction.rollback().await?;
                Err(self.name_what_is_taken(error, batch).await?)
            }
        }
    }

    /// Says which new service's name another one has.
    async fn name_what_is_taken(&self, error: StoreError, batch: &[Commit]) -> Result<StoreError> {
        match &error {
            StoreError::Constraint { name } if name == "service_name_is_free" => {}
            _ => return Ok(error),
        }
        for commit in batch {
            let Changes { account, services, .. } = &commit.changes;
            for service in services.iter().filter_map(|number| account.service_by_number(*number)) {
                let other = self.service(&service.name).await?;
                if other.is_some_and(|other| {
                    (other.account.as_str(), other.service.number) != (account.name.as_str(), service.number)
                }) {
                    return Ok(StoreError::NameTaken { what: "service", name: service.name.clone() });
                }
            }
        }
        Ok(error)
    }
}

async fn write_all(
    work: &mut Work<'_>,
    batch: &[Commit],
    stamp: Stamp,
    progress: Option<&ShardProgress>,
) -> Result<Vec<Outcome>> {
    let outcomes = outcomes(work, batch, stamp).await?;
    let fresh: Vec<&Commit> = batch
        .iter()
        .zip(&outcomes)
        .filter(|(_, outcome)| **outcome == Outcome::Written)
        .map(|(commit, _)| commit)
        .collect();
    if !fresh.is_empty() {
        write_rows(work, &fresh, Rows::of(&fresh)?, stamp).await?;
    }
    if let Some(progress) = progress {
        shards::advance(work.step()?, progress).await?;
    }
    // The last place to be cut off: all is written, nothing committed.
    work.step()?;
    Ok(outcomes)
}

/// Writes the rows of decisions on accounts that have not moved.
pub async fn write_rows(work: &mut Work<'_>, fresh: &[&Commit], rows: Rows<'_>, stamp: Stamp) -> Result<()> {
    // Parents first: the foreign keys are checked row by row.
    let open_from = closings::open_from(work.step()?).await?;
    write::accounts(work, fresh).await?;
    write::services(work, &rows.services).await?;
    let buyers = details::buyers_of(work, rows.issuing()).await?;
    write::invoices(work, &rows.invoices, Some(&buyers), stamp).await?;
    write::buyers(work, &rows.buyers).await?;
    write::credit_notes(work, &rows.credit_notes, stamp).await?;
    write::lines(work, &rows.lines, open_from).await?;
    write::transfers(work, &rows.transfers, open_from, stamp).await?;
    write::events(work, &rows.events, stamp).await?;
    write::intents(work, &rows.intents, stamp).await?;
    use_intents(work, &rows.used_intents, stamp).await?;
    apply_receipts(work, &rows.used_receipts, stamp).await?;
    due::write(work, fresh).await
}

const VERSIONS: &str = "select id, version from accounts where id = any($1)";

/// Where many write at once, each holds its accounts until it commits; all take them in one order.
const VERSIONS_LOCKED: &str = "select id, version from accounts where id = any($1) order by id for no key update";

/// Which accounts have not moved, nor what holds for all. An account that comes twice is stale the second time.
pub async fn outcomes(work: &mut Work<'_>, batch: &[Commit], stamp: Stamp) -> Result<Vec<Outcome>> {
    if reference::current(work.step()?).await? != stamp.revision {
        return Ok(vec![Outcome::Stale; batch.len()]);
    }
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<i64> = batch.iter().map(|commit| commit.changes.id().0).collect();
    let transaction = work.step()?;
    let question = transaction.dialect().pick(VERSIONS, VERSIONS_LOCKED);
    let mut versions = HashMap::with_capacity(keys.len());
    for row in sql::query(question).bind(keys).fetch_all(transaction).await? {
        versions.insert(row.get::<i64>(0)?, row.get::<i64>(1)?);
    }
    let outcome = |commit: &Commit| match versions.remove(&commit.changes.id().0) {
        Some(version) if version == commit.changes.account.version => Outcome::Written,
        _ => Outcome::Stale,
    };
    Ok(batch.iter().map(outcome).collect())
}

/// A batch's rows by table.
#[derive(Default)]
pub struct Rows<'a> {
    services: Vec<(Of<'a, Service>, bool)>,
    invoices: Vec<(Of<'a, Invoice>, Option<&'a Reissue>)>,
    buyers: Vec<Of<'a, Buyer>>,
    credit_notes: Vec<Of<'a, CreditNote>>,
    lines: Vec<PlacedLine<'a>>,
    transfers: Vec<(Of<'a, Transfer>, &'a str)>,
    events: Vec<Of<'a, Event>>,
    intents: Vec<Of<'a, Intent>>,
    used_intents: Vec<(AccountId, &'a str, Answer)>,
    pub used_receipts: Vec<(AccountId, i64, Timestamp)>,
}

impl<'a> Rows<'a> {
    pub fn of(commits: &[&'a Commit]) -> Result<Self> {
        let mut rows = Self::default();
        for commit in commits {
            rows.add(&commit.changes)?;
        }
        Ok(rows)
    }

    /// The accounts that get new invoices: those with new lines.
    fn issuing(&self) -> Vec<i64> {
        let mut accounts: Vec<i64> = self.lines.iter().map(|line| line.account.0).collect();
        accounts.dedup();
        accounts
    }

    fn add(&mut self, changes: &'a Changes) -> Result<()> {
        let account = changes.id();
        let mut seen = HashSet::new();
        for number in changes.services.iter().filter(|number| seen.insert(**number)) {
            let service = changes.account.service_by_number(*number);
            let what = service.ok_or_else(|| StoreError::NotFound { what: "service", key: number.to_string() })?;
            let finished = what.is_finished(changes.account.invoiced_until);
            self.services.push((Of { account, what }, finished));
        }
        let reissue = |number: i64| changes.reissues.iter().find(|reissue| reissue.number == number);
        let mut places: HashMap<i64, i64> = HashMap::new();
        for (invoice, line) in &changes.lines {
            let position = places.entry(*invoice).and_modify(|place| *place += 1).or_insert(1);
            let reissue = reissue(*invoice).map_or(0, |reissue| reissue.times);
            self.lines.push(PlacedLine { account, invoice: *invoice, position: *position, reissue, line });
        }
        let currency = changes.account.currency.code();
        self.transfers.extend(changes.transfers.iter().map(|what| (Of { account, what }, currency)));
        let invoices = changes.invoices.iter();
        self.invoices.extend(invoices.map(|what| (Of { account, what }, reissue(what.number))));
        let named = changes.reissues.iter().rfind(|reissue| !reissue.buyer.is_empty());
        self.buyers.extend(named.map(|reissue| Of { account, what: &reissue.buyer }));
        self.credit_notes.extend(changes.credit_notes.iter().map(|what| Of { account, what }));
        self.events.extend(changes.events.iter().map(|what| Of { account, what }));
        self.intents.extend(changes.new_intents.iter().map(|what| Of { account, what }));
        self.used_intents.extend(changes.used_intents.iter().map(|(key, answer)| (account, key.as_str(), *answer)));
        self.used_receipts.extend(changes.used_receipts.iter().map(|(id, from)| (account, *id, *from)));
        Ok(())
    }
}

/// An answer is used once, and it is the one that stands.
async fn use_intents(work: &mut Work<'_>, rows: &[(AccountId, &str, Answer)], stamp: Stamp) -> Result<()> {
    let written = work
        .values(
            "update intents set used_at = v.column4 from (",
            rows,
            |cells, (account, key, answer)| {
                cells.push_bind(account.0).push_bind(*key).push_bind(answer.name()).push_bind(stamp.recorded_at.secs());
            },
            ") as v where intents.account_id = v.column1 and intents.key = v.column2
                and intents.answer = v.column3 and intents.used_at is null",
        )
        .await?;
    all_written(written, rows.len(), "intent_is_used_once")
}

async fn apply_receipts(work: &mut Work<'_>, rows: &[(AccountId, i64, Timestamp)], stamp: Stamp) -> Result<()> {
    let written = work
        .values(
            "update receipts set applied_at = v.column4, effective_at = v.column3 from (",
            rows,
            |cells, (account, id, from)| {
                cells.push_bind(account.0).push_bind(*id).push_bind(from.secs()).push_bind(stamp.recorded_at.secs());
            },
            ") as v where receipts.id = v.column2 and receipts.account_id = v.column1 and receipts.applied_at is null",
        )
        .await?;
    all_written(written, rows.len(), "receipt_is_applied_once")
}
