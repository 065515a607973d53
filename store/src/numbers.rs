//! Public numbers of invoices and credit notes: given in a step of their own, per series and without gaps, in
//! the order of issue (rule 6.11).
//!
//! What is to be numbered is put in order in a snapshot, whole seconds at a time. The transactions that number it read
//! nothing else, for they keep everybody else waiting: an invoice night puts a hundred thousand into one second.

use rules::DocumentPolicy;

use crate::sql::{self, Transaction, Work};
use crate::{Result, Store};

/// Documents that one transaction numbers.
const AT_ONCE: usize = 1_000;

/// One kind of documents without numbers. Each statement follows the short index of those.
struct Documents {
    /// Those of the first seconds, in their order; $1 of them at least, if there are so many.
    first: &'static str,
    /// How many are older than $1, up to $2.
    older: &'static str,
    count: &'static str,
    update: &'static str,
    tail: &'static str,
}

const INVOICES: Documents = Documents {
    first: "select d.account_id, d.number, d.issued_at from invoices d join accounts on accounts.id = d.account_id
        where d.public_number is null and not d.brought_in and d.issued_at <= coalesce((
            select issued_at from invoices where public_number is null and not brought_in
            order by issued_at limit 1 offset $1
        ), $2) order by d.issued_at, accounts.name, d.number",
    older: "select count(*) from (
            select 1 from invoices where public_number is null and not brought_in and issued_at < $1 limit $2
        ) as older",
    count: "select count(*) from invoices where public_number is null and not brought_in and issued_at >= $1",
    update: "update invoices set series = v.column3, public_number = v.column4 from (",
    tail: ") as v where invoices.account_id = v.column1 and invoices.number = v.column2
        and invoices.public_number is null",
};

const CREDIT_NOTES: Documents = Documents {
    first: "select d.account_id, d.invoice, d.issued_at from credit_notes d join accounts on accounts.id = d.account_id
        where d.public_number is null and d.issued_at <= coalesce((
            select issued_at from credit_notes where public_number is null order by issued_at limit 1 offset $1
        ), $2) order by d.issued_at, accounts.name, d.invoice",
    older: "select count(*) from (
            select 1 from credit_notes where public_number is null and issued_at < $1 limit $2
        ) as older",
    count: "select count(*) from credit_notes where public_number is null and issued_at >= $1",
    update: "update credit_notes set series = v.column3, public_number = v.column4 from (",
    tail: ") as v where credit_notes.account_id = v.column1 and credit_notes.invoice = v.column2
        and credit_notes.public_number is null",
};

/// An account, the number of its invoice, and when the document was issued.
type Document = (i64, i64, i64);

/// Documents without a number, in the order in which they get theirs.
#[derive(Debug, Default)]
pub struct Unnumbered {
    invoices: Vec<Document>,
    credit_notes: Vec<Document>,
}

impl Unnumbered {
    pub const fn is_empty(&self) -> bool {
        self.invoices.is_empty() && self.credit_notes.is_empty()
    }
}

impl Store {
    /// How many documents have no public number yet.
    pub async fn documents_without_number(&self) -> Result<u64> {
        let mut snapshot = self.snapshot().await?;
        Ok(count(&mut snapshot, &INVOICES).await? + count(&mut snapshot, &CREDIT_NOTES).await?)
    }

    /// Which numbers the documents without one would get: of each series the first of them and how many.
    pub async fn numbers_ahead(&self, policy: &DocumentPolicy) -> Result<Vec<(String, i64, u64)>> {
        let mut snapshot = self.snapshot().await?;
        let mut ahead = Vec::new();
        for (documents, series) in [(INVOICES, &policy.invoice_series), (CREDIT_NOTES, &policy.credit_note_series)] {
            let count = count(&mut snapshot, &documents).await?;
            let next: Option<i64> = sql::query_scalar("select next from number_series where series = $1")
                .bind(series)
                .fetch_optional(&mut snapshot)
                .await?;
            if count > 0 {
                ahead.push((series.clone(), next.unwrap_or(1), count));
            }
        }
        Ok(ahead)
    }

    /// The oldest documents without a number, whole seconds of them.
    pub async fn documents_to_number(&self) -> Result<Unnumbered> {
        let mut snapshot = self.snapshot().await?;
        let invoices = first(&mut snapshot, &INVOICES).await?;
        Ok(Unnumbered { invoices, credit_notes: first(&mut snapshot, &CREDIT_NOTES).await? })
    }

    /// Numbers the next of them, up to a thousand invoices and as many credit notes in one transaction; how many that
    /// were. None are left of what an older one has come before, or another daemon numbered: they are to be read again.
    pub async fn number_documents(&self, unnumbered: &mut Unnumbered, policy: &DocumentPolicy) -> Result<u64> {
        let mut transaction = self.write().await?;
        let next = |waiting: &mut Vec<Document>| waiting.drain(..waiting.len().min(AT_ONCE)).collect::<Vec<_>>();
        let (invoices, notes) = (next(&mut unnumbered.invoices), next(&mut unnumbered.credit_notes));
        if number(&mut transaction, &INVOICES, &invoices, &policy.invoice_series).await?
            && number(&mut transaction, &CREDIT_NOTES, &notes, &policy.credit_note_series).await?
        {
            transaction.commit().await?;
            return Ok(u64::try_from(invoices.len() + notes.len()).unwrap_or(u64::MAX));
        }
        transaction.rollback().await?;
        *unnumbered = Unnumbered::default();
        Ok(0)
    }
}

async fn count(connection: &mut Transaction, documents: &Documents) -> Result<u64> {
    let count: i64 = sql::query_scalar(documents.count).bind(i64::MIN).fetch_one(connection).await?;
    Ok(count.unsigned_abs())
}

async fn first(connection: &mut Transaction, documents: &Documents) -> Result<Vec<Document>> {
    let before = i64::try_from(AT_ONCE).unwrap_or(i64::MAX) - 1;
    sql::query_as(documents.first).bind(before).bind(i64::MAX).fetch_all(connection).await
}

/// Gives these documents the next numbers of their series, if they are still the oldest without one.
async fn number(connection: &mut Transaction, documents: &Documents, batch: &[Document], series: &str) -> Result<bool> {
    let Some((_, _, last)) = batch.last() else { return Ok(true) };
    let (all, before_last) = (batch.len(), batch.iter().filter(|(_, _, issued_at)| issued_at < last).count());
    let [all, before_last] = [all, before_last].map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    let older: i64 =
        sql::query_scalar(documents.older).bind(*last).bind(before_last + 1).fetch_one(&mut *connection).await?;
    if older != before_last {
        return Ok(false);
    }
    let next: i64 = sql::query_scalar(
        "insert into number_series (series, next) values ($1, 1 + $2)
        on conflict (series) do update set next = number_series.next + $2
        returning next",
    )
    .bind(series)
    .bind(all)
    .fetch_one(&mut *connection)
    .await?;
    let numbered: Vec<(&Document, i64)> = batch.iter().zip(next - all..).collect();
    let mut work = Work::new(connection, None);
    let written = work
        .values(
            documents.update,
            &numbered,
            |cells, ((account, document, _), number)| {
                cells.push_bind(*account).push_bind(*document).push_bind(series).push_bind(*number);
            },
            documents.tail,
        )
        .await?;
    Ok(u64::try_from(batch.len()).is_ok_and(|wanted| wanted == written))
}
