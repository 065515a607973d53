//! Where statements run: a pool or a transaction of either database, and the rows that come back.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column, Database, Decode, Postgres, Row as _, Sqlite, Type};

use crate::{Result, StoreError, postgres};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// The text for this database, where one text for both would not do.
    pub const fn pick(self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self {
            Self::Sqlite => sqlite,
            Self::Postgres => postgres,
        }
    }
}

/// Connections to one database.
#[derive(Clone, Debug)]
pub enum Pool {
    Sqlite(Connections<Sqlite>),
    Postgres(Connections<Postgres>),
}

/// Connections, and how many wait for one.
#[derive(Debug)]
pub struct Connections<D: Database> {
    pool: sqlx::Pool<D>,
    waiting: Arc<AtomicUsize>,
}

impl<D: Database> Clone for Connections<D> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), waiting: self.waiting.clone() }
    }
}

impl<D: Database> From<sqlx::Pool<D>> for Connections<D> {
    fn from(pool: sqlx::Pool<D>) -> Self {
        Self { pool, waiting: Arc::default() }
    }
}

impl<D: Database> Deref for Connections<D> {
    type Target = sqlx::Pool<D>;

    fn deref(&self) -> &Self::Target {
        &self.pool
    }
}

impl<D: Database> Connections<D> {
    /// The next one that is free.
    pub async fn one(&self) -> std::result::Result<PoolConnection<D>, sqlx::Error> {
        let _waits = Waits::one_more(&self.waiting);
        self.pool.acquire().await
    }

    fn usage(&self) -> (u32, usize, u32, usize) {
        let most = self.pool.options().get_max_connections();
        (self.pool.size(), self.pool.num_idle(), most, self.waiting.load(Ordering::SeqCst))
    }
}

/// One who waits, until it is served or gives up.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn one_more(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Pool {
    /// How many connections are open, how many of them are idle, how many there may be, and how many wait for one.
    pub fn usage(&self) -> (u32, usize, u32, usize) {
        match self {
            Self::Sqlite(connections) => connections.usage(),
            Self::Postgres(connections) => connections.usage(),
        }
    }

    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Begins a transaction by these words.
    pub async fn begin_with(&self, sqlite: &'static str, postgres: &'static str) -> Result<Transaction> {
        Ok(match self {
            Self::Sqlite(pool) => {
                let _waits = Waits::one_more(&pool.waiting);
                Transaction::Sqlite(pool.begin_with(sqlite).await?)
            }
            Self::Postgres(pool) => {
                let _waits = Waits::one_more(&pool.waiting);
                Transaction::Postgres(pool.begin_with(postgres).await.map_err(of_server)?)
            }
        })
    }

    /// Begins a transaction that sees one state of the books throughout.
    pub async fn snapshot(&self) -> Result<Transaction> {
        self.begin_with("begin", "begin isolation level repeatable read, read only").await
    }

    /// Begins a transaction that writes, holding this lock on PostgreSQL. SQLite has one of its own.
    pub async fn begin_to_write(&self, lock: &'static str) -> Result<Transaction> {
        let mut transaction = self.begin_with("begin immediate", postgres::BEGIN).await?;
        if let Transaction::Postgres(one) = &mut transaction {
            // Within the transaction: where the wait for it fails, all of it is rolled back.
            sqlx::query(lock).execute(&mut **one).await?;
        }
        Ok(transaction)
    }

    pub async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// A file's one writer is busy where no connection comes free in time; a server has enough of them.
pub(super) fn of_server(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::PoolTimedOut => StoreError::NoAnswer,
        error => error.into(),
    }
}

/// Ends without a trace unless it is committed.
pub enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Transaction {
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    pub async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await?,
            Self::Postgres(transaction) => transaction.commit().await?,
        }
        Ok(())
    }

    pub async fn rollback(self) -> Result<()> {
        match self {
            Self::Sqlite(transaction) => transaction.rollback().await?,
            Self::Postgres(transaction) => transaction.rollback().await?,
        }
        Ok(())
    }
}

/// Where a statement is to run.
pub enum Source<'c> {
    Pool(&'c Pool),
    Transaction(&'c mut Transaction),
}

impl Source<'_> {
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Pool(pool) => pool.dialect(),
            Self::Transaction(transaction) => transaction.dialect(),
        }
    }
}

impl<'c> From<&'c Pool> for Source<'c> {
    fn from(pool: &'c Pool) -> Self {
        Self::Pool(pool)
    }
}

impl<'c> From<&'c mut Transaction> for Source<'c> {
    fn from(transaction: &'c mut Transaction) -> Self {
        Self::Transaction(transaction)
    }
}

pub enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What a cell can be read as.
pub trait Cell<'r>: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres> {}

impl<'r, T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>> Cell<'r> for T {}

impl Row {
    /// The cell at this place.
    pub fn get<'r, T: Cell<'r>>(&'r self, index: usize) -> Result<T> {
        Ok(self.try_get(index)?)
    }

    pub fn try_get<'r, T: Cell<'r>>(&'r self, index: usize) -> std::result::Result<T, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(index),
            Self::Postgres(row) => row.try_get(index),
        }
    }

    pub fn column(&self, index: usize) -> &str {
        match self {
            Self::Sqlite(row) => row.columns().get(index).map_or("?", Column::name),
            Self::Postgres(row) => row.columns().get(index).map_or("?", Column::name),
        }
    }
}

/// A tuple read of a row's first cells.
pub trait FromRow: Sized {
    fn from_row(row: &Row) -> Result<Self>;
}

macro_rules! from_row {
    ($($index:tt $cell:ident),*) => {
        impl<$($cell: for<'r> Cell<'r>),*> FromRow for ($($cell,)*) {
            fn from_row(row: &Row) -> Result<Self> {
                Ok(($(row.get::<$cell>($index)?,)*))
            }
        }
    };
}

from_row!(0 A, 1 B);
from_row!(0 A, 1 B, 2 C);
from_row!(0 A, 1 B, 2 C, 3 D);
from_row!(0 A, 1 B, 2 C, 3 D, 4 E);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_a_free_connection_is_not_busy_with_a_writer() {
        assert!(matches!(of_server(sqlx::Error::PoolTimedOut), StoreError::NoAnswer));
        assert!(matches!(StoreError::from(sqlx::Error::PoolTimedOut), StoreError::Busy));
    }
}
