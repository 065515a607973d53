//! Whether this program may change these books as they stand. A daemon runs for months: a newer program may have
//! migrated them meanwhile, they may be elsewhere, or their server set to forget. So each transaction that writes asks.

use crate::moving::{self, MoveState};
use crate::open::Durability;
use crate::sql::{self, Dialect, Source};
use crate::{Result, Store, postgres, schema};

const SQLITE: &str = "select max(version), (select state from moves), (select place from moves)
    from bursar_migrations";

const POSTGRES: &str = "select max(version), (select state from moves), (select place from moves),
    current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')
    from bursar_migrations";

impl Store {
    /// Refuses whoever is to change books of a newer schema, books that are elsewhere, or a server that may forget
    /// what it committed.
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
    if dialect == Dialect::Sqlite || durability == Durability::Off {
        return Ok(());
    }
    postgres::refuse_forgetful([row.get(3)?, row.get(4)?, row.get(5)?])
}
