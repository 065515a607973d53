//! Copies of the books: a file that SQLite writes, or a dump by PostgreSQL's own programs. Each is the books of one
//! moment, taken beside whoever writes, and neither waits for the other.

mod dump;
mod file;
mod program;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rules::Timestamp;

use crate::fences::{self, NewFence};
use crate::sql::{self, Dialect, Pool, Source};
use crate::{Result, Store, StoreError, postgres};

pub use dump::restore as restore_dump;
pub use file::check as check_file;

/// How much a copy has in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    pub accounts: u64,
    /// The latest second that any account is settled to; none without accounts.
    pub settled_until: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyKind {
    /// An SQLite file.
    File,
    /// Of PostgreSQL, in pg_dump's custom format.
    Dump,
}

impl CopyKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "sqlite",
            Self::Dump => "postgres",
        }
    }

    /// By how the file begins; none of what is neither.
    pub fn of(file: &mut File) -> std::io::Result<Option<Self>> {
        let mut begins = Vec::new();
        file.take(16).read_to_end(&mut begins)?;
        Ok(match begins.as_slice() {
            b"SQLite format 3\0" => Some(Self::File),
            [b'P', b'G', b'D', b'M', b'P', ..] => Some(Self::Dump),
            _ => None,
        })
    }
}

impl Store {
    pub fn copy_kind(&self) -> CopyKind {
        match self.readers().dialect() {
            Dialect::Sqlite => CopyKind::File,
            Dialect::Postgres => CopyKind::Dump,
        }
    }

    /// Writes a copy of these books into an empty file, which stands at `path`. One of a file has its fence already.
    pub async fn back_up(&self, path: &Path, file: &File, fence: NewFence<'_>) -> Result<Extent> {
        match self.readers() {
            Pool::Sqlite(readers) => file::copy(readers, path, fence).await,
            Pool::Postgres(readers) => dump::take(self, readers, path, file).await,
        }
    }

    /// Of a copy that was brought back: gives it a fence, if it has none, and a name of its own, so that it takes no
    /// wakes of the original from a Redis.
    pub async fn fence_restored(&self, fence: NewFence<'_>) -> Result<()> {
        let mut transaction = self.begun_to_write(postgres::ALONE).await?;
        fences::raise(&mut transaction, fence).await?;
        let renamed = transaction.dialect().pick(file::RENAME, dump::RENAME);
        sql::query(renamed).execute(&mut transaction).await?;
        transaction.commit().await
    }

    /// How much these books have in them.
    pub async fn extent(&self) -> Result<Extent> {
        extent(self.readers()).await
    }
}

const EXTENT: &str = "select count(*), max(settled_at) from accounts";

async fn extent<'c>(source: impl Into<Source<'c>>) -> Result<Extent> {
    let (accounts, settled_until) = sql::query_as(EXTENT).fetch_one(source).await?;
    Ok(extent_of(accounts, settled_until))
}

fn extent_of(accounts: i64, settled_until: Option<i64>) -> Extent {
    let accounts = u64::try_from(accounts).unwrap_or_default();
    Extent { accounts, settled_until: settled_until.map(Timestamp::from_secs) }
}

fn not_sound(path: &Path, problem: impl Into<String>) -> StoreError {
    StoreError::NotSound { place: path.display().to_string(), problem: problem.into() }
}
