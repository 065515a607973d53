//! Public numbers: each series counts without a gap from its first number to the one before the next.

use super::Violation;
use crate::Result;
use crate::sql::{self, Transaction};

const GAPS: &str = "select given.series, given.count, given.first, given.last, number_series.next
    from (
        select series, count(*) as count, min(public_number) as first, max(public_number) as last
        from (
            select series, public_number from invoices where series is not null
            union all
            select series, public_number from credit_notes where series is not null
        ) numbered
        group by series
    ) given
    left join number_series on number_series.series = given.series
    where given.last - given.first + 1 <> given.count or number_series.next is null
        or given.last + 1 <> number_series.next
    order by given.series";

pub async fn check(connection: &mut Transaction, found: &mut Vec<Violation>) -> Result<()> {
    let gaps: Vec<(String, i64, i64, i64, Option<i64>)> = sql::query_as(GAPS).fetch_all(connection).await?;
    for (series, count, first, last, next) in gaps {
        let next = next.map_or("nowhere".to_owned(), |next| next.to_string());
        let detail = format!("series {series}: {count} numbers from {first} to {last}, the next is {next}");
        found.push(Violation::of(None, "public_numbers_have_no_gap", detail));
    }
    Ok(())
}
