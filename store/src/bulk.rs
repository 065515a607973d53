//! Statements over many rows. Their sizes are powers of two, so that a few texts serve every batch and all
//! of them stay prepared.

use sqlx::query_builder::{QueryBuilder, Separated};
use sqlx::sqlite::SqliteRow;
use sqlx::{Sqlite, SqliteConnection};

use crate::{Result, StoreError};

/// Rows of the largest statement. Twenty-five columns of 128 rows stay far below either database's limit.
const MOST_ROWS: usize = 128;

/// Cuts rows into pieces whose sizes are powers of two, the largest first.
fn pieces<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let largest = 1_usize << rest.len().ilog2();
        let (piece, others) = rest.split_at(largest.min(MOST_ROWS));
        rest = others;
        Some(piece)
    })
}

/// A transaction's statements, counted for whoever wants it cut off (see [`crate::Store::cut_after`]).
pub struct Work<'c> {
    connection: &'c mut SqliteConnection,
    left: Option<u32>,
}

impl<'c> Work<'c> {
    pub const fn new(connection: &'c mut SqliteConnection, cut_after: Option<u32>) -> Self {
        Self { connection, left: cut_after }
    }

    /// The connection for one more statement.
    pub fn step(&mut self) -> Result<&mut SqliteConnection> {
        match &mut self.left {
            Some(0) => return Err(StoreError::CutOff),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(self.connection)
    }

    /// `HEAD values (..), (..) TAIL` for all rows; how many were written.
    pub async fn values<T>(
        &mut self,
        head: &str,
        rows: &[T],
        bind: impl Fn(&mut Separated<'_, Sqlite, &'static str>, &T),
        tail: &str,
    ) -> Result<u64> {
        let mut written = 0;
        for piece in pieces(rows) {
            let mut statement = QueryBuilder::<Sqlite>::new(head);
            statement.push_values(piece, |mut cells, row| bind(&mut cells, row));
            statement.push(tail);
            written += statement.build().execute(self.step()?).await?.rows_affected();
        }
        Ok(written)
    }

    /// The same, answering what TAIL returns of each row, in any order.
    pub async fn values_returning<T>(
        &mut self,
        head: &str,
        rows: &[T],
        bind: impl Fn(&mut Separated<'_, Sqlite, &'static str>, &T),
        tail: &str,
    ) -> Result<Vec<SqliteRow>> {
        let mut returned = Vec::with_capacity(rows.len());
        for piece in pieces(rows) {
            let mut statement = QueryBuilder::<Sqlite>::new(head);
            statement.push_values(piece, |mut cells, row| bind(&mut cells, row));
            statement.push(tail);
            returned.extend(statement.build().fetch_all(self.step()?).await?);
        }
        Ok(returned)
    }
}

/// Writes `(k1, k2, ..)` for a set of keys. The last key is repeated up to a power of two, which changes
/// no answer and keeps the texts few.
pub fn push_set<T>(statement: &mut QueryBuilder<Sqlite>, keys: &[T])
where
    T: Clone + for<'q> sqlx::Encode<'q, Sqlite> + sqlx::Type<Sqlite>,
{
    statement.push("(");
    let mut list = statement.separated(", ");
    let size = if keys.is_empty() { 0 } else { keys.len().next_power_of_two() };
    for index in 0..size {
        if let Some(key) = keys.get(index.min(keys.len() - 1)) {
            list.push_bind(key.clone());
        }
    }
    statement.push(")");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_powers_of_two() {
        let sizes = |count: usize| pieces(&vec![(); count]).map(<[()]>::len).collect::<Vec<_>>();
        assert!(sizes(0).is_empty());
        assert_eq!(sizes(7), [4, 2, 1]);
        assert_eq!(sizes(300), [128, 128, 32, 8, 4]);
    }
}
