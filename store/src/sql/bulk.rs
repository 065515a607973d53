//! Statements over many rows. SQLite takes them in sizes that are powers of two, so that a few texts serve every
//! batch and all of them stay prepared; PostgreSQL takes a column each as an array, whatever its length.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::{Dialect, Row, Statement, Transaction, Value, encoding};
use crate::{Result, StoreError};

/// Rows of the largest statement. Twenty-five columns of 128 rows stay far below SQLite's limit.
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

/// The cells of rows, one behind the other.
#[derive(Default)]
pub struct RowValues<'v>(Vec<Value<'v>>);

impl<'v> RowValues<'v> {
    pub fn push_bind(&mut self, value: impl Into<Value<'v>>) -> &mut Self {
        self.0.push(value.into());
        self
    }

    fn of<T>(rows: &'v [T], bind: &impl Fn(&mut Self, &'v T)) -> Self {
        let mut values = Self::default();
        let mut rows = rows.iter();
        if let Some(first) = rows.next() {
            bind(&mut values, first);
            values.0.reserve(values.0.len() * rows.len());
        }
        rows.for_each(|row| bind(&mut values, row));
        values
    }
}

/// A transaction's statements, counted for whoever wants it cut off (see [`crate::Store::cut_after`]).
pub struct Work<'c> {
    transaction: &'c mut Transaction,
    left: Option<u32>,
}

impl<'c> Work<'c> {
    pub const fn new(transaction: &'c mut Transaction, cut_after: Option<u32>) -> Self {
        Self { transaction, left: cut_after }
    }

    /// The transaction for one more statement.
    pub fn step(&mut self) -> Result<&mut Transaction> {
        match &mut self.left {
            Some(0) => return Err(StoreError::CutOff),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(self.transaction)
    }

    /// `HEAD (the rows) TAIL`; how many were written. The columns of the rows are called `column1` and so on.
    pub async fn values<'v, T>(
        &mut self,
        head: &str,
        rows: &'v [T],
        bind: impl Fn(&mut RowValues<'v>, &'v T),
        tail: &str,
    ) -> Result<u64> {
        let mut written = 0;
        for statement in self.statements(head, rows, bind, tail)? {
            written += statement.execute(self.step()?).await?;
        }
        Ok(written)
    }

    /// The same, answering what TAIL returns of each row, in any order.
    pub async fn values_returning<'v, T>(
        &mut self,
        head: &str,
        rows: &'v [T],
        bind: impl Fn(&mut RowValues<'v>, &'v T),
        tail: &str,
    ) -> Result<Vec<Row>> {
        let mut returned = Vec::with_capacity(rows.len());
        for statement in self.statements(head, rows, bind, tail)? {
            returned.extend(statement.fetch_all(self.step()?).await?);
        }
        Ok(returned)
    }

    /// Inserts rows into these columns of a table.
    pub async fn insert<'v, T>(
        &mut self,
        table: &str,
        columns: &str,
        rows: &'v [T],
        bind: impl Fn(&mut RowValues<'v>, &'v T),
    ) -> Result<()> {
        self.values(&format!("insert into {table} ({columns}) "), rows, bind, "").await?;
        Ok(())
    }

    fn statements<'v, T>(
        &self,
        head: &str,
        rows: &'v [T],
        bind: impl Fn(&mut RowValues<'v>, &'v T),
        tail: &str,
    ) -> Result<Vec<Statement<'v>>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        if self.transaction.dialect() == Dialect::Postgres {
            return Ok(vec![as_columns(head, rows.len(), RowValues::of(rows, &bind), tail)?]);
        }
        let as_rows = |piece: &'v [T]| as_rows(head, piece.len(), RowValues::of(piece, &bind), tail);
        Ok(pieces(rows).map(as_rows).collect())
    }
}

/// `HEAD values (?, ?), (?, ?) TAIL`: without names, for SQLite looks for each one's among all of them.
fn as_rows<'v>(head: &str, rows: usize, RowValues(values): RowValues<'v>, tail: &str) -> Statement<'v> {
    let width = values.len() / rows;
    let mut text = String::with_capacity(head.len() + tail.len() + values.len() * 3 + rows * 2 + 8);
    text.push_str(head);
    text.push_str("values ");
    for index in 0..values.len() {
        text.push_str(match (index % width, index) {
            (0, 0) => "(",
            (0, _) => "), (",
            _ => ", ",
        });
        text.push('?');
    }
    text.push(')');
    text.push_str(tail);
    Statement { text: Cow::Owned(text), values }
}

/// `HEAD select * from unnest($1::bigint[], $2::text[]) as u (column1, column2) TAIL`
fn as_columns<'v>(head: &str, rows: usize, RowValues(values): RowValues<'v>, tail: &str) -> Result<Statement<'v>> {
    let width = values.len() / rows;
    let mut columns: Vec<Value<'v>> = Vec::with_capacity(width);
    for (index, value) in values.into_iter().enumerate() {
        if index < width {
            columns.push(value.into_column(rows));
        } else {
            columns[index % width].append(value)?;
        }
    }
    let mut text = format!("{head}select * from unnest(");
    for (index, column) in columns.iter().enumerate() {
        let of = match column {
            Value::IntColumn(_) => "bigint[]",
            Value::FlagColumn(_) => "boolean[]",
            _ => "text[]",
        };
        let _infallible = write!(text, "{}${}::{of}", if index == 0 { "" } else { ", " }, index + 1);
    }
    text.push_str(") as u (");
    for index in 1..=width {
        let _infallible = write!(text, "{}column{index}", if index == 1 { "" } else { ", " });
    }
    text.push(')');
    text.push_str(tail);
    Ok(Statement { text: Cow::Owned(text), values: columns })
}

impl<'v> Value<'v> {
    /// The column that begins with this cell.
    fn into_column(self, rows: usize) -> Self {
        fn begun<T>(first: T, rows: usize) -> Vec<T> {
            let mut column = Vec::with_capacity(rows);
            column.push(first);
            column
        }
        match self {
            Self::Int(value) => Self::IntColumn(begun(value, rows)),
            Self::Flag(value) => Self::FlagColumn(begun(value, rows)),
            Self::Text(value) => Self::TextColumn(begun(value, rows)),
            whole => whole,
        }
    }

    /// All cells of a column are of one type.
    fn append(&mut self, value: Self) -> Result<()> {
        match (self, value) {
            (Self::IntColumn(column), Self::Int(value)) => column.push(value),
            (Self::FlagColumn(column), Self::Flag(value)) => column.push(value),
            (Self::TextColumn(column), Self::Text(value)) => column.push(value),
            _ => return Err(encoding("a column of two types".into())),
        }
        Ok(())
    }
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

    #[test]
    fn rows_are_values_or_columns() {
        let rows = [(1_i64, "a"), (2, "b")];
        let bind = |cells: &mut RowValues<'static>, row: &'static (i64, &'static str)| {
            cells.push_bind(row.0).push_bind(row.1);
        };
        let rows: &'static [(i64, &'static str)] = Box::leak(Box::new(rows));
        let statement = as_rows("insert into t (a, b) ", 2, RowValues::of(rows, &bind), " returning a");
        assert_eq!(statement.text, "insert into t (a, b) values (?, ?), (?, ?) returning a");
        let statement = as_columns("insert into t (a, b) ", 2, RowValues::of(rows, &bind), "").expect("columns");
        assert_eq!(
            statement.text,
            "insert into t (a, b) select * from unnest($1::bigint[], $2::text[]) as u (column1, column2)"
        );
        assert_eq!(statement.values[0], Value::IntColumn(vec![Some(1), Some(2)]));
    }
}
