//! One SQL text for both databases: statements with `$n`, the few types that the schema has, and rows that are read
//! by their place. Where the databases differ, the difference is here.

mod builder;
mod bulk;
mod source;

use std::borrow::Cow;
use std::marker::PhantomData;

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, Postgres, Sqlite};

pub use builder::Builder;
pub use bulk::{RowValues, Work};
pub use source::{Cell, Dialect, FromRow, Pool, Row, Source, Transaction};

use crate::{Result, StoreError};

/// What a statement is asked with.
#[derive(Clone, PartialEq, Debug)]
pub enum Value<'v> {
    Int(Option<i64>),
    Flag(Option<bool>),
    Text(Option<Cow<'v, str>>),
    /// A set, as in `id = any($1)`.
    Ints(Vec<i64>),
    Texts(Vec<String>),
    /// A column of rows to write.
    IntColumn(Vec<Option<i64>>),
    FlagColumn(Vec<Option<bool>>),
    TextColumn(Vec<Option<Cow<'v, str>>>),
}

macro_rules! value_from {
    ($($from:ty => |$value:ident| $into:expr),* $(,)?) => {
        $(impl<'v> From<$from> for Value<'v> {
            fn from($value: $from) -> Self {
                $into
            }
        })*
    };
}

value_from! {
    i64 => |value| Self::Int(Some(value)),
    Option<i64> => |value| Self::Int(value),
    bool => |value| Self::Flag(Some(value)),
    Option<bool> => |value| Self::Flag(value),
    &'v str => |value| Self::Text(Some(Cow::Borrowed(value))),
    Option<&'v str> => |value| Self::Text(value.map(Cow::Borrowed)),
    String => |value| Self::Text(Some(Cow::Owned(value))),
    Option<String> => |value| Self::Text(value.map(Cow::Owned)),
    &'v String => |value| Self::Text(Some(Cow::Borrowed(value))),
    Vec<i64> => |values| Self::Ints(values),
    Vec<String> => |values| Self::Texts(values),
}

/// A statement with what it is asked with.
#[derive(Clone, Debug)]
pub struct Statement<'v> {
    text: Cow<'static, str>,
    values: Vec<Value<'v>>,
}

/// A statement that both databases understand. A set is written `= any($n)`.
pub fn query<'v>(text: impl Into<Cow<'static, str>>) -> Statement<'v> {
    Statement { text: text.into(), values: Vec::new() }
}

/// The same, of which only the first cell of each row is read.
pub fn query_scalar<'v, T>(text: impl Into<Cow<'static, str>>) -> Typed<'v, T, Scalar> {
    Typed { statement: query(text), reads: PhantomData }
}

/// The same, of which each row is read as a tuple.
pub fn query_as<'v, T>(text: impl Into<Cow<'static, str>>) -> Typed<'v, T, Tuple> {
    Typed { statement: query(text), reads: PhantomData }
}

/// Runs a statement wherever it is to run.
macro_rules! dispatch {
    ($statement:expr, $source:expr, $method:ident) => {
        match $source {
            Source::Pool(Pool::Sqlite(pool)) => {
                let mut one = pool.one().await?;
                Of::Sqlite($statement.for_sqlite()?.$method(&mut *one).await?)
            }
            Source::Pool(Pool::Postgres(pool)) => {
                let mut one = pool.one().await.map_err(source::of_server)?;
                Of::Postgres($statement.for_postgres()?.$method(&mut *one).await?)
            }
            Source::Transaction(Transaction::Sqlite(one)) => {
                Of::Sqlite($statement.for_sqlite()?.$method(&mut **one).await?)
            }
            Source::Transaction(Transaction::Postgres(one)) => {
                Of::Postgres($statement.for_postgres()?.$method(&mut **one).await?)
            }
        }
    };
}

/// An answer of either database.
enum Of<S, P> {
    Sqlite(S),
    Postgres(P),
}

impl<'v> Statement<'v> {
    pub fn bind(mut self, value: impl Into<Value<'v>>) -> Self {
        self.values.push(value.into());
        self
    }

    pub async fn fetch_all<'c>(self, source: impl Into<Source<'c>>) -> Result<Vec<Row>> {
        Ok(match dispatch!(self, source.into(), fetch_all) {
            Of::Sqlite(rows) => rows.into_iter().map(Row::Sqlite).collect(),
            Of::Postgres(rows) => rows.into_iter().map(Row::Postgres).collect(),
        })
    }

    pub async fn fetch_optional<'c>(self, source: impl Into<Source<'c>>) -> Result<Option<Row>> {
        Ok(match dispatch!(self, source.into(), fetch_optional) {
            Of::Sqlite(row) => row.map(Row::Sqlite),
            Of::Postgres(row) => row.map(Row::Postgres),
        })
    }

    pub async fn fetch_one<'c>(self, source: impl Into<Source<'c>>) -> Result<Row> {
        self.fetch_optional(source).await?.ok_or(StoreError::Driver(sqlx::Error::RowNotFound))
    }

    /// How many rows were written.
    pub async fn execute<'c>(self, source: impl Into<Source<'c>>) -> Result<u64> {
        Ok(match dispatch!(self, source.into(), execute) {
            Of::Sqlite(done) => done.rows_affected(),
            Of::Postgres(done) => done.rows_affected(),
        })
    }

    /// SQLite has no arrays: a set comes as JSON there.
    fn for_sqlite<'q>(self) -> Result<Query<'q, Sqlite, SqliteArguments>> {
        let mut arguments = SqliteArguments::default();
        let mut text = self.text;
        arguments.reserve(self.values.len(), 0);
        for (index, value) in self.values.into_iter().enumerate() {
            let added = match value {
                Value::Int(value) => arguments.add(value),
                Value::Flag(value) => arguments.add(value),
                Value::Text(value) => arguments.add(value.map(Cow::into_owned)),
                Value::Ints(values) => match values.as_slice() {
                    [one] => arguments.add(only(&mut text, index, *one)),
                    values => arguments.add(as_json(&mut text, index, values)?),
                },
                Value::Texts(values) => arguments.add(as_json(&mut text, index, &values)?),
                Value::IntColumn(_) | Value::FlagColumn(_) | Value::TextColumn(_) => {
                    Err("SQLite takes rows, not columns".into())
                }
            };
            added.map_err(encoding)?;
        }
        Ok(match text {
            Cow::Borrowed(text) => sqlx::query_with(text, arguments),
            Cow::Owned(text) => sqlx::query_with(AssertSqlSafe(text), arguments),
        })
    }

    fn for_postgres<'q>(self) -> Result<Query<'q, Postgres, PgArguments>> {
        let mut arguments = PgArguments::default();
        for value in self.values {
            let added = match value {
                Value::Int(value) => arguments.add(value),
                Value::Flag(value) => arguments.add(value),
                Value::Text(value) => arguments.add(value.as_deref()),
                Value::Ints(values) => arguments.add(values),
                Value::Texts(values) => arguments.add(values),
                Value::IntColumn(values) => arguments.add(values),
                Value::FlagColumn(values) => arguments.add(values),
                Value::TextColumn(values) => arguments.add(values),
            };
            added.map_err(encoding)?;
        }
        Ok(match self.text {
            Cow::Borrowed(text) => sqlx::query_with(text, arguments),
            Cow::Owned(text) => sqlx::query_with(AssertSqlSafe(text), arguments),
        })
    }
}

/// A set of one is compared with, which is half the work.
fn only<T>(text: &mut Cow<'static, str>, index: usize, value: T) -> T {
    *text = Cow::Owned(text.replace(&set(index), &format!("= ${}", index + 1)));
    value
}

fn set(index: usize) -> String {
    format!("= any(${})", index + 1)
}

/// The set in JSON; what asks for it in `text` asks SQLite's `json_each`.
fn as_json<T: serde::Serialize>(text: &mut Cow<'static, str>, index: usize, values: &[T]) -> Result<String> {
    let number = index + 1;
    *text = Cow::Owned(text.replace(&set(index), &format!("in (select value from json_each(${number}))")));
    serde_json::to_string(values).map_err(|error| encoding(error.into()))
}

pub(super) const fn encoding(error: sqlx::error::BoxDynError) -> StoreError {
    StoreError::Driver(sqlx::Error::Encode(error))
}

/// How the rows of a [`Typed`] statement are read.
pub struct Scalar;
pub struct Tuple;

/// A statement whose rows are read as `T`.
pub struct Typed<'v, T, How> {
    statement: Statement<'v>,
    reads: PhantomData<fn() -> (T, How)>,
}

impl<'v, T, How> Typed<'v, T, How> {
    pub fn bind(self, value: impl Into<Value<'v>>) -> Self {
        Self { statement: self.statement.bind(value), reads: PhantomData }
    }
}

/// What `T` is read from.
pub trait Reads<T> {
    fn read(row: &Row) -> Result<T>;
}

impl<T: for<'r> Cell<'r>> Reads<T> for Scalar {
    fn read(row: &Row) -> Result<T> {
        row.get(0)
    }
}

impl<T: FromRow> Reads<T> for Tuple {
    fn read(row: &Row) -> Result<T> {
        T::from_row(row)
    }
}

impl<T, How: Reads<T>> Typed<'_, T, How> {
    pub async fn fetch_all<'c>(self, source: impl Into<Source<'c>>) -> Result<Vec<T>> {
        self.statement.fetch_all(source).await?.iter().map(How::read).collect()
    }

    pub async fn fetch_optional<'c>(self, source: impl Into<Source<'c>>) -> Result<Option<T>> {
        self.statement.fetch_optional(source).await?.as_ref().map(How::read).transpose()
    }

    pub async fn fetch_one<'c>(self, source: impl Into<Source<'c>>) -> Result<T> {
        How::read(&self.statement.fetch_one(source).await?)
    }
}
