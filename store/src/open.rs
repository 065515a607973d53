//! Opening the books: connections that write, and connections that read.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use rules::Timestamp;
use tokio::time::timeout;

use crate::address::Address;
use crate::notes::Note;
use crate::queue::Queue;
use crate::sql::{Dialect, Pool, Transaction};
use crate::{Result, StoreError, moving, postgres, schema, sqlite, standing};

/// Whether a commit outlives a power failure. Only a scratch database goes without.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    Full,
    Off,
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Writer,
    Reader,
}

/// How a database is opened.
#[derive(Clone)]
pub struct Opening {
    /// Creates and migrates the database, as of this second; else it must be there and up to date.
    migrate_at: Option<Timestamp>,
    durability: Durability,
    /// Connections for each role; SQLite has one that writes, whatever is asked.
    connections: u32,
    /// Runs push wakes for their shards to this queue.
    queue: Option<String>,
    redis: Option<String>,
    /// By which other daemons on the same server see that this one lives.
    name: Option<String>,
    only_read: bool,
    /// Also books that are on their way here, or were moved away.
    moving: bool,
}

impl Opening {
    /// As the daemon does: creates what is missing and migrates what is older.
    pub fn serving(now: Timestamp) -> Self {
        Self { migrate_at: Some(now), connections: 4, ..Self::beside() }
    }

    /// As a command beside a running daemon does: never creates, never migrates.
    pub const fn beside() -> Self {
        Self {
            migrate_at: None,
            durability: Durability::Full,
            connections: 1,
            queue: None,
            redis: None,
            name: None,
            only_read: false,
            moving: false,
        }
    }

    /// To read alone: no connection writes, so that a standby will do.
    pub fn reading() -> Self {
        Self { only_read: true, ..Self::beside() }
    }

    /// As the end of a move does: creates and migrates, and goes on with what came half the way.
    pub fn moving(now: Timestamp) -> Self {
        Self { moving: true, ..Self::serving(now) }
    }

    /// A throwaway database, which a power failure may take.
    pub fn scratch(now: Timestamp) -> Self {
        Self { migrate_at: Some(now), durability: Durability::Off, ..Self::beside() }
    }

    /// Runs that are opened push a wake for each shard into this queue, in their own transaction.
    pub fn with_queue(self, queue: impl Into<String>) -> Self {
        Self { queue: Some(queue.into()), ..self }
    }

    /// As what this program claims work, and is known to a server.
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// The queue lies in the Redis at this URL, not in the books' database.
    pub fn with_redis(self, url: Option<&str>) -> Self {
        Self { redis: url.map(str::to_owned), ..self }
    }
}

/// The books. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
    /// Of what is changed through it.
    pub(crate) note: Option<Arc<Note>>,
}

/// How many connections of a role are open, how many of them are idle, how many there may be, and how many statements
/// and transactions wait for one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolUse {
    pub role: &'static str,
    pub open: u32,
    pub idle: usize,
    pub most: u32,
    pub waiting: usize,
}

#[derive(Debug)]
struct Inner {
    /// None in books that are only read.
    writer: Option<Pool>,
    readers: Pool,
    durability: Durability,
    queue: Option<Queue>,
    cut_after: Mutex<Option<u32>>,
}

impl Store {
    /// Opens `sqlite:PATH` or `postgres://USER@HOST/DATABASE`.
    pub async fn open(url: &str, opening: Opening) -> Result<Self> {
        let address = Address::parse(url)?;
        if let Some(path) = address.file().filter(|path| !path.exists()) {
            if opening.migrate_at.is_none() {
                return Err(StoreError::NoSuchDatabase { path: path.to_owned() });
            }
            sqlite::create(path)?;
        }
        let writer = if opening.only_read { None } else { Some(pool(&address, Role::Writer, &opening).await?) };
        if let (Some(now), Some(writer)) = (opening.migrate_at, &writer) {
            schema::migrate(writer, &address, now).await?;
        }
        let readers = pool(&address, Role::Reader, &opening).await?;
        schema::check(&readers, &address).await?;
        if opening.migrate_at.is_some() && !opening.moving {
            match standing::check(&readers, opening.durability).await {
                // A copy is served to be read.
                Ok(()) | Err(StoreError::Fenced { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let queue = match opening.queue.as_ref().filter(|_| !opening.only_read) {
            Some(name) => Some(Queue::open(name, opening.redis.as_deref(), &readers).await?),
            None => None,
        };
        // Whoever serves makes the queue. If it is elsewhere, a wake that nobody is told of is found by the next look.
        let beside = opening.migrate_at.is_none();
        let queue = match queue {
            Some(queue) if beside && !queue.is_there(&readers).await? => None,
            queue => queue,
        };
        let inner = Inner { writer, readers, durability: opening.durability, queue, cut_after: Mutex::new(None) };
        Ok(Self { inner: Arc::new(inner), note: None })
    }

    /// The same books, whose next change is that of this request.
    #[must_use]
    pub fn noting(&self, note: Arc<Note>) -> Self {
        Self { inner: self.inner.clone(), note: Some(note) }
    }

    /// The same books without the note: for what only prepares the change.
    #[must_use]
    pub fn unnoted(&self) -> Self {
        Self { inner: self.inner.clone(), note: None }
    }

    /// Whether nothing was ever put in: no account, no price list and no run, and no daemon served it.
    pub async fn is_empty(&self) -> Result<bool> {
        moving::is_empty(self.readers()).await
    }

    /// Whether other daemons may work on the same books.
    pub fn is_shared(&self) -> bool {
        self.readers().dialect() == Dialect::Postgres
    }

    /// How the connections are used, those that read and those that write.
    pub fn connections(&self) -> Vec<PoolUse> {
        let writer = self.inner.writer.as_ref().map(|writer| ("write", writer));
        let pools = [("read", &self.inner.readers)].into_iter().chain(writer);
        let used = |(role, pool): (&'static str, &Pool)| {
            let (open, idle, most, waiting) = pool.usage();
            PoolUse { role, open, idle, most, waiting }
        };
        pools.map(used).collect()
    }

    /// Waits for what runs and closes all connections.
    pub async fn close(&self) {
        self.inner.readers.close().await;
        if let Some(writer) = &self.inner.writer {
            writer.close().await;
        }
    }

    /// A fault for tests and the simulator: the next commit is cut off after so many of its statements.
    pub fn cut_after(&self, statements: u32) {
        *self.inner.cut_after.lock().unwrap_or_else(PoisonError::into_inner) = Some(statements);
    }

    pub(crate) fn take_cut(&self) -> Option<u32> {
        self.inner.cut_after.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn readers(&self) -> &Pool {
        &self.inner.readers
    }

    pub(crate) fn writer(&self) -> Result<&Pool> {
        self.inner.writer.as_ref().ok_or(StoreError::OnlyRead)
    }

    pub(crate) fn durability(&self) -> Durability {
        self.inner.durability
    }

    pub(crate) fn queue(&self) -> Option<&Queue> {
        self.inner.queue.as_ref()
    }

    /// A transaction that sees one state of the books throughout.
    pub(crate) async fn snapshot(&self) -> Result<Transaction> {
        self.readers().snapshot().await
    }

    /// A transaction that writes, and nobody else meanwhile: what it reads stays so until it commits. SQLite takes
    /// the lock at once, for one that read first could not be sure to get it.
    pub(crate) async fn write(&self) -> Result<Transaction> {
        self.begin_to_write(postgres::ALONE).await
    }

    /// A transaction that writes beside others of its kind: each of its statements stands by itself, or it locks
    /// the rows that it goes by.
    pub(crate) async fn write_beside(&self) -> Result<Transaction> {
        self.begin_to_write(postgres::BESIDE).await
    }

    async fn begin_to_write(&self, lock: &'static str) -> Result<Transaction> {
        let mut transaction = self.begun_to_write(lock).await?;
        standing::check(&mut transaction, self.durability()).await?;
        if let Some(note) = &self.note {
            note.write(&mut transaction).await?;
        }
        Ok(transaction)
    }

    /// The same, whoever may change these books.
    pub(crate) async fn begun_to_write(&self, lock: &'static str) -> Result<Transaction> {
        let mut begun = pin!(self.writer()?.begin_to_write(lock));
        loop {
            match (timeout(postgres::PATIENCE, &mut begun).await, self.readers()) {
                (Ok(begun), _) => return begun,
                (Err(_), Pool::Sqlite(_)) => {}
                (Err(_), Pool::Postgres(readers)) => match postgres::end_frozen(readers).await {
                    Ok(0) => {}
                    Ok(ended) => tracing::warn!(ended, "ended connections that held the lock and stood still"),
                    Err(error) => tracing::warn!(%error, "cannot look after who holds the lock"),
                },
            }
        }
    }
}

async fn pool(address: &Address, role: Role, opening: &Opening) -> Result<Pool> {
    let (durability, connections) = (opening.durability, opening.connections);
    Ok(match address {
        Address::Sqlite(path) => {
            let connections = if role == Role::Writer { 1 } else { connections };
            Pool::Sqlite(sqlite::pool(path, role, durability, connections).await?.into())
        }
        Address::Postgres(options) => {
            let options = postgres::options(options, role, opening.name.as_deref().unwrap_or("bursar"));
            Pool::Postgres(postgres::pool(options, address, (role, durability), connections).await?.into())
        }
    })
}
