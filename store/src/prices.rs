//! Price lists, in the order in which they take effect.

use rules::{AccountId, Currency, PriceBook, PriceList, Service, Timestamp};

use crate::cells::{Cells, Problem};
use crate::reference::{self, Revision};
use crate::sql::{self, Transaction};
use crate::write::json;
use crate::{Result, Store, StoreError, service_row};

/// A price list as it was published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublishedList {
    pub id: i64,
    pub effective_at: Timestamp,
    pub recorded_at: Timestamp,
    pub author: String,
    pub withdrawn: Option<Withdrawn>,
    pub list: PriceList,
}

/// That a list was taken back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Withdrawn {
    pub at: Timestamp,
    pub by: String,
    pub reason: String,
}

/// How publishing a list ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Published {
    /// Under this id.
    Done(i64),
    /// Other lists came or went since it was looked at: look again.
    Moved,
    /// An account is settled to this second, which the list would price anew.
    Settled(Timestamp),
    /// It is past the second at which the list was to take effect.
    Past(Timestamp),
}

/// A living service with whose it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnedService {
    pub id: AccountId,
    pub account: String,
    pub currency: Currency,
    pub service: Service,
}

impl Store {
    /// Publishes one list, as [`Store::price_lists_insert`] does several.
    pub async fn price_list_insert(
        &self,
        list: &PriceList,
        effective_at: Timestamp,
        author: &str,
        recorded_at: Timestamp,
    ) -> Result<()> {
        self.price_lists_insert(&[(list, effective_at)], author, recorded_at).await
    }

    /// Publishes lists with when they take effect, all of them or none; that they can be laid over the older
    /// ones is checked by whoever publishes them.
    pub async fn price_lists_insert(
        &self,
        lists: &[(&PriceList, Timestamp)],
        author: &str,
        recorded_at: Timestamp,
    ) -> Result<()> {
        let mut transaction = self.write().await?;
        for (list, effective_at) in lists {
            insert(&mut transaction, list, *effective_at, author, recorded_at).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Publishes the first lists; false if there are some already, for another daemon began with them.
    pub async fn price_lists_begin(
        &self,
        lists: &[(&PriceList, Timestamp)],
        author: &str,
        recorded_at: Timestamp,
    ) -> Result<bool> {
        let mut transaction = self.write().await?;
        let any = sql::query_scalar("select exists (select 1 from price_lists)");
        if any.fetch_one(&mut transaction).await? {
            return Ok(false);
        }
        for (list, effective_at) in lists {
            insert(&mut transaction, list, *effective_at, author, recorded_at).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Publishes a list that was looked at with the lists of `seen`, unless an account is settled to when it
    /// takes effect, or beyond, or that second went by. That reads all accounts, as nothing else that writes does.
    pub async fn price_list_publish(
        &self,
        list: &PriceList,
        effective_at: Timestamp,
        seen: Revision,
        author: &str,
        recorded_at: Timestamp,
    ) -> Result<Published> {
        let mut transaction = self.write().await?;
        if reference::current(&mut transaction).await? != seen {
            return Ok(Published::Moved);
        }
        let settled: Option<i64> =
            sql::query_scalar("select max(settled_at) from accounts").fetch_one(&mut transaction).await?;
        if let Some(settled) = settled.filter(|settled| *settled >= effective_at.secs()) {
            return Ok(Published::Settled(Timestamp::from_secs(settled)));
        }
        if settled.is_some() && effective_at < recorded_at {
            return Ok(Published::Past(recorded_at));
        }
        let id = insert(&mut transaction, list, effective_at, author, recorded_at).await?;
        transaction.commit().await?;
        Ok(Published::Done(id))
    }

    /// Services that are not finished behind this one, by account and number, at most `limit`.
    pub async fn services_after(&self, after: (AccountId, i64), limit: u32) -> Result<Vec<OwnedService>> {
        let question = format!(
            "select {}, a.name, a.currency from (
                select * from services where (account_id, number) > ($1, $2) and not finished
                order by account_id, number limit $3
            ) s join accounts a on a.id = s.account_id order by s.account_id, s.number",
            service_row::COLUMNS
                .split(", ")
                .map(|column| format!("s.{}", column.trim()))
                .collect::<Vec<_>>()
                .join(", ")
        );
        let rows =
            sql::query(question).bind(after.0.0).bind(after.1).bind(i64::from(limit)).fetch_all(self.readers()).await?;
        let read = |cells: &mut Cells<'_>| -> std::result::Result<OwnedService, Problem> {
            let (id, service) = (AccountId(cells.int()?), service_row::read(cells)?);
            Ok(OwnedService { id, service, account: cells.text()?, currency: cells.currency()? })
        };
        let services = rows.iter().map(|row| read(&mut Cells::of(row)));
        services
            .collect::<std::result::Result<_, _>>()
            .map_err(|problem| StoreError::CorruptTable { table: "services", problem })
    }

    /// All lists, also those that were withdrawn, in the order in which they take effect.
    pub async fn price_lists(&self) -> Result<Vec<PublishedList>> {
        let mut reader = self.snapshot().await?;
        read_all(&mut reader).await
    }

    /// The lists laid over each other.
    pub async fn price_book(&self) -> Result<PriceBook> {
        laid(self.price_lists().await?.into_iter())
    }
}

/// Lays those that stand over each other.
pub fn laid(lists: impl Iterator<Item = PublishedList>) -> Result<PriceBook> {
    let mut book = PriceBook::default();
    for published in lists.filter(|list| list.withdrawn.is_none()) {
        book.lay(published.effective_at, published.list).map_err(|conflicts| {
            let first = conflicts.first().map(ToString::to_string).unwrap_or_default();
            unreadable(format!("list {} cannot be laid over the older ones: {first}", published.id))
        })?;
    }
    Ok(book)
}

pub async fn insert(
    connection: &mut Transaction,
    list: &PriceList,
    effective_at: Timestamp,
    author: &str,
    recorded_at: Timestamp,
) -> Result<i64> {
    let insert = "insert into price_lists (effective_at, body, recorded_at, author) values ($1, $2, $3, $4)
        returning id";
    let id = sql::query_scalar(insert)
        .bind(effective_at.secs())
        .bind(json(list)?)
        .bind(recorded_at.secs())
        .bind(author)
        .fetch_one(connection)
        .await?;
    Ok(id)
}

pub async fn read_all(connection: &mut Transaction) -> Result<Vec<PublishedList>> {
    let rows = sql::query(
        "select id, effective_at, recorded_at, author, withdrawn_at, withdrawn_by, withdrawal_reason, body
            from price_lists order by effective_at, id",
    )
    .fetch_all(connection)
    .await?;
    let read = |cells: &mut Cells<'_>| -> std::result::Result<PublishedList, Problem> {
        Ok(PublishedList {
            id: cells.int()?,
            effective_at: cells.time_or_beginning()?,
            recorded_at: cells.time()?,
            author: cells.text()?,
            withdrawn: withdrawn(cells)?,
            list: cells.json()?,
        })
    };
    let lists = rows.iter().map(|row| read(&mut Cells::of(row)));
    lists.collect::<std::result::Result<_, _>>().map_err(unreadable)
}

fn withdrawn(cells: &mut Cells<'_>) -> std::result::Result<Option<Withdrawn>, Problem> {
    let (at, by, reason) = (cells.maybe_time()?, cells.maybe_text()?, cells.maybe_text()?);
    Ok(at.zip(by).zip(reason).map(|((at, by), reason)| Withdrawn { at, by, reason }))
}

pub const fn unreadable(problem: Problem) -> StoreError {
    StoreError::CorruptTable { table: "price_lists", problem }
}
