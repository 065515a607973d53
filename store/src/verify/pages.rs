//! Rows of any number, a page in memory at a time.

use crate::Result;
use crate::cells::Cells;
use crate::sql::{self, Row, Transaction};

/// Rows that are read at once.
const PAGE: i64 = 4_000;

/// Where a row stands: its account, and its key in the account.
pub type Place = (i64, i64, i64);

/// Shows every row of the accounts from the first to the last of `range`. The question begins behind the place
/// ($1, $2, $3), which are its first columns, in their order; $4 is the last account, $5 how many rows it answers.
pub async fn each(
    connection: &mut Transaction,
    question: &'static str,
    (first, last): (i64, i64),
    mut show: impl FnMut(Place, &mut Cells<'_>),
) -> Result<()> {
    let mut place = (first, i64::MIN, i64::MIN);
    loop {
        let page = sql::query(question).bind(place.0).bind(place.1).bind(place.2).bind(last).bind(PAGE);
        let rows: Vec<Row> = page.fetch_all(&mut *connection).await?;
        for row in &rows {
            let mut cells = Cells::of(row);
            place = (cells.key()?, cells.key()?, cells.key()?);
            show(place, &mut cells);
        }
        if i64::try_from(rows.len()).is_ok_and(|read| read < PAGE) {
            return Ok(());
        }
    }
}
