//! Whether this program may change these books as they stand. A daemon runs for months: a newer program may have
//! migrated them meanwhile, they may be elsewhere or a copy, or their server set to forget. So each transaction that
//! writes asks.

use rules::Timestamp;

use crate::moving::{self, MoveState};
use crate::open::Durability;
use crate::sql::{self, Dialect, Source};
use crate::{Result, Store, StoreError, postgres, schema};

const SQLITE: &str = "select max(version), (select state from moves), (select place from moves),
    (select max(taken_at) from fences where lifted_at is null) from bursar_migrations";

const POSTGRES: &str = "select max(version), (select state from moves), (select place from moves),
    (select max(taken_at) from fences where lifted_at is null),
    current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')
    from bursar_migrations";

impl Store {
    /// Refuses whoever is to change books of a newer schema, books that are elsewhere, a copy behind its fence, or a
    /// server that may forget what it committed.
    pub async fn refuse_changes(&self) -> Result<()> {
        check(self.readers(), self.durability()).await
    }
}

/// The same, as this connection sees it.
pub async fn check<'c>(source: impl Into<Source<'c>>, durability: Durability) -> Result<()> {
    let source = source.into();
    let dialect = source.dialect();
    let row = sql::query(dialect.pick(SQLITE, POSTGRES)).fetch_one(source).await?;
    schema::refuse_newer(row.get(0)?)?;
    let (state, place): (Option<String>, Option<String>) = (row.get(1)?, row.get(2)?);
    if let Some((state, place)) = state.zip(place) {
        moving::refuse(MoveState::of(&state), place)?;
    }
    if dialect == Dialect::Postgres && durability == Durability::Full {
        postgres::refuse_forgetful([row.get(4)?, row.get(5)?, row.get(6)?])?;
    }
    // Last: where it is all that stands in the way, an admin may take it down.
    match row.get::<Option<i64>>(3)? {
        None => Ok(()),
        Some(taken_at) => Err(StoreError::Fenced { taken_at: Timestamp::from_secs(taken_at) }),
    }
}
