//! Opening the books: one connection that writes, a few that read.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rules::Timestamp;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{ConnectOptions, Connection, Sqlite, SqlitePool, Transaction};

use crate::settings::{Durability, Role, options, read_back};
use crate::{Result, StoreError, schema};

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Creates and migrates the database, as of this second; else it must be there and up to date.
    migrate_at: Option<Timestamp>,
    durability: Durability,
    readers: u32,
    /// Runs push wakes for their shards to this queue.
    pub(crate) queue: Option<String>,
}

impl Opening {
    /// As the daemon does: creates what is missing and migrates what is older.
    pub const fn serving(now: Timestamp) -> Self {
        Self { migrate_at: Some(now), durability: Durability::Full, readers: 4, queue: None }
    }

    /// As a command beside a running daemon does: never creates, never migrates.
    pub const fn beside() -> Self {
        Self { migrate_at: None, durability: Durability::Full, readers: 1, queue: None }
    }

    /// A throwaway database, which a power failure may take.
    pub const fn scratch(now: Timestamp) -> Self {
        Self { migrate_at: Some(now), durability: Durability::Off, readers: 1, queue: None }
    }

    /// Runs that are opened push a wake for each shard into this queue, in their own transaction.
    pub fn with_queue(self, queue: impl Into<String>) -> Self {
        Self { queue: Some(queue.into()), ..self }
    }
}

/// The books. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    writer: SqlitePool,
    readers: SqlitePool,
    path: PathBuf,
    queue: Option<String>,
    cut_after: Mutex<Option<u32>>,
}

impl Store {
    /// Opens `sqlite:PATH`.
    pub async fn open(url: &str, opening: Opening) -> Result<Self> {
        let path = database_path(url)?;
        if !path.exists() {
            if opening.migrate_at.is_none() {
                return Err(StoreError::NoSuchDatabase { path });
            }
            create(&path)?;
        }
        let writer = pool(&path, Role::Writer, opening.durability, 1).await?;
        let mut connection = writer.acquire().await?;
        match opening.migrate_at {
            Some(now) => schema::migrate(&mut connection, &path, now).await?,
            None => schema::check(&mut connection, &path).await?,
        }
        drop(connection);
        let readers = pool(&path, Role::Reader, opening.durability, opening.readers).await?;
        let inner = Inner { writer, readers, path, queue: opening.queue, cut_after: Mutex::new(None) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether nothing was ever put in: no account, no price list and no run.
    pub async fn is_empty(&self) -> Result<bool> {
        let empty = sqlx::query_scalar(
            "select not (exists (select 1 from accounts) or exists (select 1 from price_lists)
                or exists (select 1 from runs))",
        );
        Ok(empty.fetch_one(self.readers()).await?)
    }

    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Waits for what runs and closes all connections.
    pub async fn close(&self) {
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }

    /// The writing connection, for the queue's workers in the same file.
    pub fn queue_pool(&self) -> &SqlitePool {
        &self.inner.writer
    }

    /// A fault for tests and the simulator: the next commit is cut off after so many of its statements.
    pub fn cut_after(&self, statements: u32) {
        *self.inner.cut_after.lock().unwrap_or_else(PoisonError::into_inner) = Some(statements);
    }

    pub(crate) fn take_cut(&self) -> Option<u32> {
        self.inner.cut_after.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.inner.readers
    }

    pub(crate) fn queue_name(&self) -> Option<&str> {
        self.inner.queue.as_deref()
    }

    /// A transaction that sees one state of the books throughout.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Sqlite>> {
        Ok(self.inner.readers.begin().await?)
    }

    /// A transaction that writes. It takes the lock at once: one that read first could not be sure to get it.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Sqlite>> {
        Ok(self.inner.writer.begin_with("begin immediate").await?)
    }
}

/// The file that `sqlite:PATH` names.
pub fn database_path(url: &str) -> Result<PathBuf> {
    if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        return Err(StoreError::PostgresUnsupported);
    }
    let unknown = || StoreError::UnknownUrl(url.to_owned());
    let path = url.strip_prefix("sqlite:").ok_or_else(unknown)?;
    let path = path.strip_prefix("//").unwrap_or(path);
    // A database in memory would be another one for each connection.
    if path.is_empty() || path.contains(":memory:") {
        return Err(unknown());
    }
    Ok(PathBuf::from(path))
}

/// The file is created here, not by the driver, which would also create it for a mistyped path of a reader. It is
/// its owner's alone, and so are the files that SQLite puts beside it.
fn create(path: &Path) -> Result<()> {
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .mode(0o600)
        .truncate(false)
        .open(path)
        .map(|_| ())
        .map_err(|error| StoreError::CannotOpen { path: path.to_owned(), problem: error.to_string() })
}

async fn pool(path: &Path, role: Role, durability: Durability, size: u32) -> Result<SqlitePool> {
    let options = options(path, role, durability);
    // A first one by hand: the pool would try again and again, and at last only say that it took too long.
    let mut first = options.connect().await.map_err(|error| of_file(error, path))?;
    read_back(&mut first, role, durability).await?;
    first.close().await?;
    let pool = SqlitePoolOptions::new()
        .max_connections(size)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(60))
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // On a full disk SQLite ends a transaction itself, and the driver's rollback after it fails: it would take
        // the connection for being within one for ever.
        .before_acquire(|connection, _| {
            let is_free = !connection.is_in_transaction();
            Box::pin(async move { Ok(is_free) })
        })
        .after_connect(move |connection, _| {
            Box::pin(async move {
                let checked = read_back(connection, role, durability).await;
                checked.map_err(|error| sqlx::Error::Configuration(Box::new(error)))
            })
        })
        .connect_with(options)
        .await?;
    Ok(pool)
}

fn of_file(error: sqlx::Error, path: &Path) -> StoreError {
    const CANNOT_OPEN: &str = "14";
    const NOT_A_DATABASE: &str = "26";
    let code = error.as_database_error().and_then(|error| error.code()).map(std::borrow::Cow::into_owned);
    let path = path.to_owned();
    match code.as_deref() {
        Some(CANNOT_OPEN) => StoreError::CannotOpen { path, problem: "it is no file that can be opened".to_owned() },
        Some(NOT_A_DATABASE) => StoreError::NotADatabase { path, problem: "it is not an SQLite file".to_owned() },
        _ => error.into(),
    }
}
