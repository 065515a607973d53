//! What waits to be worked off: how much, and since when. Asked often, so each question follows an index, and no more
//! than [`COUNTED`] rows of it.

use rules::{DueKind, Timestamp};

use crate::sql;
use crate::{Result, Store};

/// What waits is counted up to here.
pub const COUNTED: u32 = 100_000;

/// How many wait, and since when the first of them does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Backlog {
    pub count: u64,
    pub oldest: Option<Timestamp>,
}

impl Backlog {
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let oldest = self.oldest.into_iter().chain(other.oldest).min();
        Self { count: self.count + other.count, oldest }
    }
}

/// Counts what an index has, the oldest first.
macro_rules! backlog {
    ($at:literal, $of:literal) => {
        concat!("select count(*), min(at) from (select ", $at, " as at from ", $of, " limit $1) as waiting")
    };
}

const AUDIT: &str = backlog!("at", "audit_log where hash is null order by number");
const INTENTS: &str = backlog!("recorded_at", "intents where answer is null order by due_at, account_id");
const RECEIPTS: &str = backlog!("received_at", "receipts where applied_at is null");
const PARKED: &str = backlog!("parked_at", "parked order by next_try_at, account_id");
const INVOICES: &str =
    backlog!("issued_at", "invoices where public_number is null and not brought_in order by issued_at");
const CREDIT_NOTES: &str = backlog!("issued_at", "credit_notes where public_number is null order by issued_at");

const DUE: &str = "select count(*), min(at) from (
        select at from due where kind = $2 and at <= $3
            and not exists (select 1 from parked where parked.account_id = due.account_id)
        order by at limit $1
    ) as waiting";

impl Store {
    /// Accounts with something of `kind` due that are not parked, also those that wait for a held run. None of the
    /// daily kind, which has no index: there the runs say how far they came.
    pub async fn due_backlog(&self, kind: DueKind, now: Timestamp) -> Result<Backlog> {
        let question = sql::query_as(DUE).bind(i64::from(COUNTED)).bind(kind.name()).bind(now.secs());
        Ok(backlog(question.fetch_one(self.readers()).await?))
    }

    /// Accounts that could not be settled.
    pub async fn parked_backlog(&self) -> Result<Backlog> {
        self.waiting(PARKED).await
    }

    /// Rows of the audit log that are not sealed yet.
    pub async fn audit_backlog(&self) -> Result<Backlog> {
        self.waiting(AUDIT).await
    }

    /// Card charges without an answer.
    pub async fn intents_backlog(&self) -> Result<Backlog> {
        self.waiting(INTENTS).await
    }

    /// Money that came and is not booked yet.
    pub async fn receipts_backlog(&self) -> Result<Backlog> {
        self.waiting(RECEIPTS).await
    }

    /// Invoices and credit notes without a public number.
    pub async fn documents_backlog(&self) -> Result<Backlog> {
        Ok(self.waiting(INVOICES).await?.with(self.waiting(CREDIT_NOTES).await?))
    }

    async fn waiting(&self, question: &'static str) -> Result<Backlog> {
        Ok(backlog(sql::query_as(question).bind(i64::from(COUNTED)).fetch_one(self.readers()).await?))
    }
}

fn backlog((count, oldest): (i64, Option<i64>)) -> Backlog {
    Backlog { count: count.unsigned_abs(), oldest: oldest.map(Timestamp::from_secs) }
}
