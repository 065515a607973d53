//! The revision of what holds for all accounts: price lists, outages, a hoster's numbers. The database moves it with
//! each change.

use crate::sql::{self, Transaction};
use crate::{Result, Store};

/// Counts the changes of what decisions are made with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Revision(i64);

impl Revision {
    /// Of new books.
    pub const FIRST: Self = Self(0);
}

impl Store {
    /// The revision as of now. Read it before what it is of: a change in between only makes it too old, and a
    /// decision with it is made anew.
    pub async fn revision(&self) -> Result<Revision> {
        let mut reader = self.snapshot().await?;
        current(&mut reader).await
    }
}

/// The revision that this connection sees.
pub async fn current(connection: &mut Transaction) -> Result<Revision> {
    let number = sql::query_scalar("select number from reference_revision where id = 1");
    Ok(Revision(number.fetch_one(connection).await?))
}
