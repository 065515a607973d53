//! Public numbers of invoices and credit notes: given in a step of their own, per series and without gaps, in
//! the order of issue (rule 6.11).

use rules::DocumentPolicy;
use sqlx::SqliteConnection;

use crate::bulk::Work;
use crate::write::all_written;
use crate::{Result, Store};

/// Documents that one transaction numbers.
const AT_ONCE: i64 = 1_000;

const INVOICES: (&str, &str) = (
    "select d.account_id, d.number from invoices d join accounts on accounts.id = d.account_id
    where d.public_number is null and not exists (
        select 1 from brought_in_invoices b where b.account_id = d.account_id and b.number = d.number
    ) order by d.issued_at, accounts.name, d.number limit $1",
    ") as v where invoices.account_id = v.column1 and invoices.number = v.column2 and invoices.public_number is null",
);

const CREDIT_NOTES: (&str, &str) = (
    "select d.account_id, d.invoice from credit_notes d join accounts on accounts.id = d.account_id
    where d.public_number is null order by d.issued_at, accounts.name, d.invoice limit $1",
    ") as v where credit_notes.account_id = v.column1 and credit_notes.invoice = v.column2
        and credit_notes.public_number is null",
);

const INVOICES_AHEAD: &str = "select count(*) from invoices d where d.public_number is null and not exists (
        select 1 from brought_in_invoices b where b.account_id = d.account_id and b.number = d.number
    )";

/// The second leads to the short index of those without a number.
const CREDIT_NOTES_AHEAD: &str = "select count(*) from credit_notes where public_number is null and issued_at >= 0";

impl Store {
    /// How many documents have no public number yet.
    pub async fn documents_without_number(&self) -> Result<u64> {
        let mut snapshot = self.snapshot().await?;
        let mut count: i64 = 0;
        for question in [INVOICES_AHEAD, CREDIT_NOTES_AHEAD] {
            count += sqlx::query_scalar::<_, i64>(question).fetch_one(&mut *snapshot).await?;
        }
        Ok(count.unsigned_abs())
    }

    /// Which numbers the documents without one would get: of each series the first of them and how many.
    pub async fn numbers_ahead(&self, policy: &DocumentPolicy) -> Result<Vec<(String, i64, u64)>> {
        let mut snapshot = self.snapshot().await?;
        let mut ahead = Vec::new();
        for (question, series) in
            [(INVOICES_AHEAD, &policy.invoice_series), (CREDIT_NOTES_AHEAD, &policy.credit_note_series)]
        {
            let count: i64 = sqlx::query_scalar(question).fetch_one(&mut *snapshot).await?;
            let next: Option<i64> = sqlx::query_scalar("select next from number_series where series = $1")
                .bind(series)
                .fetch_optional(&mut *snapshot)
                .await?;
            if count > 0 {
                ahead.push((series.clone(), next.unwrap_or(1), count.unsigned_abs()));
            }
        }
        Ok(ahead)
    }

    /// Numbers what has no number, up to a thousand invoices and as many credit notes in one transaction; how
    /// many that were.
    pub async fn number_documents(&self, policy: &DocumentPolicy) -> Result<u64> {
        let mut transaction = self.write().await?;
        let invoices = number(&mut transaction, "update invoices", INVOICES, &policy.invoice_series).await?;
        let notes = number(&mut transaction, "update credit_notes", CREDIT_NOTES, &policy.credit_note_series).await?;
        transaction.commit().await?;
        Ok(invoices + notes)
    }
}

async fn number(
    connection: &mut SqliteConnection,
    update: &str,
    (unnumbered, tail): (&'static str, &'static str),
    series: &str,
) -> Result<u64> {
    let rows: Vec<(i64, i64)> = sqlx::query_as(unnumbered).bind(AT_ONCE).fetch_all(&mut *connection).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let next: i64 = sqlx::query_scalar(
        "insert into number_series (series, next) values ($1, 1 + $2)
        on conflict (series) do update set next = number_series.next + $2
        returning next",
    )
    .bind(series)
    .bind(count)
    .fetch_one(&mut *connection)
    .await?;
    let numbered: Vec<((i64, i64), i64)> = rows.into_iter().zip(next - count..).collect();
    let head = format!("{update} set series = v.column3, public_number = v.column4 from (");
    let mut work = Work::new(connection, None);
    let written = work
        .values(
            &head,
            &numbered,
            |cells, ((account, document), number)| {
                cells.push_bind(*account).push_bind(*document).push_bind(series.to_owned()).push_bind(*number);
            },
            tail,
        )
        .await?;
    all_written(written, numbered.len(), "document_is_numbered_once")?;
    Ok(written)
}
