//! The fence around a copy of the books. The original may still be served, or be served again: two that go on from the
//! same second would ask the same cards and give out the same numbers. So a copy is read, and no more, until an admin
//! says that it goes on instead of the original.

use rules::Timestamp;

use crate::cells::{Cells, Problem};
use crate::pages::read_rows;
use crate::sql::{self, Dialect, Source, Transaction};
use crate::{Result, Store, StoreError, postgres, standing};

/// Which database of which server this is. Copied by a dump or as a template it is another one; a standby that takes
/// over, and a server that is set back to an earlier second, are the same.
const HERE: &str = "select system_identifier::text || '/' || (select oid::text from pg_catalog.pg_database
    where datname = current_database()) from pg_catalog.pg_control_system()";

/// Raises one where none stands.
pub const RAISE: &str = "insert into fences (id, taken_at, raised_at, raised_by, reason)
    select (select coalesce(max(id), 0) + 1 from fences),
        coalesce($1, (select max(last_alive_at) from heartbeats), (select max(applied_at) from bursar_migrations)),
        cast($2 as bigint), $3, $4
    where not exists (select 1 from fences where lifted_at is null)";

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fence {
    /// All that was committed by this second is in the copy.
    pub taken_at: Timestamp,
    pub raised_at: Timestamp,
    pub raised_by: String,
    pub reason: String,
    /// When an admin said that this copy goes on, who did and why.
    pub lifted: Option<(Timestamp, String, String)>,
}

/// A fence to be raised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewFence<'a> {
    /// None where nobody knows: then it is the last second at which a daemon was alive on the original.
    pub taken_at: Option<Timestamp>,
    pub at: Timestamp,
    pub by: &'a str,
    pub reason: &'a str,
}

impl Store {
    /// All fences that these books had, the newest last.
    pub async fn fences(&self) -> Result<Vec<Fence>> {
        let rows = sql::query(
            "select taken_at, raised_at, raised_by, reason, lifted_at, lifted_by, lift_reason from fences order by id",
        );
        read_rows("fences", &rows.fetch_all(self.readers()).await?, read)
    }

    /// The fence that stands around these books, if one does.
    pub async fn fence(&self) -> Result<Option<Fence>> {
        Ok(self.fences().await?.pop().filter(|fence| fence.lifted.is_none()))
    }

    /// Refuses to do what a copy must not do.
    pub async fn refuse_fenced(&self) -> Result<()> {
        refuse(self.readers()).await
    }

    /// Raises a fence; false if one stands already, which is the one that counts.
    pub async fn fence_raise(&self, fence: NewFence<'_>) -> Result<bool> {
        let mut transaction = match self.write().await {
            Err(StoreError::Fenced { .. }) => return Ok(false),
            begun => begun?,
        };
        let is_raised = raise(&mut transaction, fence).await?;
        transaction.commit().await?;
        Ok(is_raised)
    }

    /// Takes the fence down: these books go on, here. False if none stands.
    pub async fn fence_lift(&self, now: Timestamp, by: &str, reason: &str) -> Result<bool> {
        let here = self.here().await;
        let mut transaction = self.begun_to_write(postgres::ALONE).await?;
        match standing::check(&mut transaction, self.durability()).await {
            Err(StoreError::Fenced { .. }) => {}
            Ok(()) => return Ok(false),
            Err(error) => return Err(error),
        }
        if let Some(note) = &self.note {
            note.write(&mut transaction).await?;
        }
        sql::query("update fences set lifted_at = $1, lifted_by = $2, lift_reason = $3 where lifted_at is null")
            .bind(now.secs())
            .bind(by)
            .bind(reason)
            .execute(&mut transaction)
            .await?;
        sql::query("update identity set home = $1").bind(here).execute(&mut transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Whoever is about to serve these books says so: where another database served them last they are a copy, and
    /// get a fence. The one that stands then.
    pub async fn come_home(&self, now: Timestamp, by: &str) -> Result<Option<Fence>> {
        let fence = self.fence().await?;
        if fence.is_some() {
            return Ok(fence);
        }
        let Some(here) = self.here().await else { return Ok(None) };
        let known: Option<String> = sql::query_scalar("select home from identity").fetch_one(self.readers()).await?;
        match known {
            Some(known) if known == here => Ok(None),
            Some(_) => {
                let reason = "another database served these books last: this one is a copy, or was moved";
                self.fence_raise(NewFence { taken_at: None, at: now, by, reason }).await?;
                self.fence().await
            }
            None => {
                let mut transaction = self.write().await?;
                sql::query("update identity set home = $1").bind(here).execute(&mut transaction).await?;
                transaction.commit().await?;
                Ok(None)
            }
        }
    }

    /// None of a file, and of a server that does not tell.
    async fn here(&self) -> Option<String> {
        match self.readers().dialect() {
            Dialect::Sqlite => None,
            Dialect::Postgres => sql::query_scalar(HERE).fetch_one(self.readers()).await.ok(),
        }
    }
}

/// Raises it where none stands; false where one does.
pub async fn raise(transaction: &mut Transaction, fence: NewFence<'_>) -> Result<bool> {
    let raised = sql::query(RAISE)
        .bind(fence.taken_at.map(Timestamp::secs))
        .bind(fence.at.secs())
        .bind(fence.by)
        .bind(fence.reason)
        .execute(transaction)
        .await?;
    Ok(raised > 0)
}

pub async fn refuse<'c>(source: impl Into<Source<'c>>) -> Result<()> {
    let taken_at: Option<i64> =
        sql::query_scalar("select max(taken_at) from fences where lifted_at is null").fetch_one(source).await?;
    match taken_at {
        None => Ok(()),
        Some(taken_at) => Err(StoreError::Fenced { taken_at: Timestamp::from_secs(taken_at) }),
    }
}

fn read(cells: &mut Cells<'_>) -> std::result::Result<Fence, Problem> {
    let (taken_at, raised_at, raised_by, reason) = (cells.time()?, cells.time()?, cells.text()?, cells.text()?);
    let (lifted_at, by, why) = (cells.maybe_time()?, cells.maybe_text()?, cells.maybe_text()?);
    let lifted = lifted_at.zip(by).zip(why).map(|((at, by), why)| (at, by, why));
    Ok(Fence { taken_at, raised_at, raised_by, reason, lifted })
}
