//! Accounts that could not be settled: put aside with their error, so that the others go on.

use rules::{AccountId, Timestamp};

use crate::cells::Cells;
use crate::due::unless_waiting;
use crate::sql;
use crate::{Result, Store, StoreError};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parked {
    pub account: AccountId,
    pub name: String,
    pub error: String,
    pub parked_at: Timestamp,
    pub tries: u32,
    pub next_try_at: Timestamp,
}

impl Store {
    /// How often a parked account was tried; none if it is not parked.
    pub async fn parked_tries(&self, account: AccountId) -> Result<Option<u32>> {
        let tries: Option<i64> = sql::query_scalar("select tries from parked where account_id = $1")
            .bind(account.0)
            .fetch_optional(self.readers())
            .await?;
        Ok(tries.map(|tries| u32::try_from(tries).unwrap_or(u32::MAX)))
    }

    /// Parked accounts whose next try came, unless they wait for a held run; the longest waiting first.
    pub async fn parked_ready(&self, now: Timestamp, limit: u32) -> Result<Vec<AccountId>> {
        let ids: Vec<i64> = sql::query_scalar(concat!(
            "select parked.account_id from parked where parked.next_try_at <= $2",
            unless_waiting!("parked.account_id"),
            " order by parked.next_try_at, parked.account_id limit $1"
        ))
        .bind(i64::from(limit))
        .bind(now.secs())
        .fetch_all(self.readers())
        .await?;
        Ok(ids.into_iter().map(AccountId).collect())
    }

    /// The same, for whoever tries them now: the others find their next try at `until`.
    pub async fn parked_claim(&self, now: Timestamp, until: Timestamp, limit: u32) -> Result<Vec<AccountId>> {
        let ready: Vec<i64> = self.parked_ready(now, limit).await?.into_iter().map(|account| account.0).collect();
        if ready.is_empty() {
            return Ok(Vec::new());
        }
        let mut transaction = self.write_beside().await?;
        let claim = "update parked set next_try_at = $3 where account_id = any($1) and next_try_at <= $2
            returning account_id";
        let claimed = sql::query_scalar(claim).bind(ready).bind(now.secs()).bind(until.secs());
        let claimed: Vec<i64> = claimed.fetch_all(&mut transaction).await?;
        transaction.commit().await?;
        Ok(claimed.into_iter().map(AccountId).collect())
    }

    /// Parks an account, or counts one more try of a parked one; how many there were.
    pub async fn park(&self, account: AccountId, error: &str, now: Timestamp, next_try_at: Timestamp) -> Result<u32> {
        let mut transaction = self.write_beside().await?;
        let tries: i64 = sql::query_scalar(
            "insert into parked (account_id, error, parked_at, tries, next_try_at) values ($1, $2, $3, 1, $4)
            on conflict (account_id) do update set error = excluded.error, tries = parked.tries + 1,
                next_try_at = excluded.next_try_at
            returning tries",
        )
        .bind(account.0)
        .bind(error)
        .bind(now.secs())
        .bind(next_try_at.secs())
        .fetch_one(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(u32::try_from(tries).unwrap_or(u32::MAX))
    }

    /// Takes accounts back into work; those of `accounts` that were not parked are none of its concern.
    pub async fn unpark(&self, accounts: &[AccountId]) -> Result<()> {
        let any: bool = sql::query_scalar("select exists (select 1 from parked)").fetch_one(self.readers()).await?;
        if !any || accounts.is_empty() {
            return Ok(());
        }
        let mut transaction = self.write_beside().await?;
        let keys: Vec<i64> = accounts.iter().map(|account| account.0).collect();
        let statement = sql::query("delete from parked where account_id = any($1)").bind(keys);
        statement.execute(&mut transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Parked accounts wait no longer: their next try is now.
    pub async fn parked_retry(&self, now: Timestamp) -> Result<u64> {
        let mut transaction = self.write_beside().await?;
        let moved = sql::query("update parked set next_try_at = $1 where next_try_at > $1")
            .bind(now.secs())
            .execute(&mut transaction)
            .await?;
        transaction.commit().await?;
        Ok(moved)
    }

    /// All that is parked, the longest first.
    pub async fn parked(&self) -> Result<Vec<Parked>> {
        let rows = sql::query(
            "select parked.account_id, accounts.name, error, parked_at, tries, next_try_at
            from parked join accounts on accounts.id = parked.account_id
            order by parked_at, parked.account_id",
        )
        .fetch_all(self.readers())
        .await?;
        let read = |cells: &mut Cells<'_>| {
            Ok(Parked {
                account: AccountId(cells.int()?),
                name: cells.text()?,
                error: cells.text()?,
                parked_at: cells.time()?,
                tries: cells.small()?,
                next_try_at: cells.time()?,
            })
        };
        let parked = rows.iter().map(|row| read(&mut Cells::of(row)));
        parked
            .collect::<std::result::Result<_, _>>()
            .map_err(|problem| StoreError::CorruptTable { table: "parked", problem })
    }
}
