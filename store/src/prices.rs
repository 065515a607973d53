//! Price lists, in the order in which they take effect.

use rules::{PriceBook, PriceList, Timestamp};

use crate::cells::{Cells, Problem};
use crate::write::json;
use crate::{Result, Store, StoreError};

/// A price list as it was published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublishedList {
    pub id: i64,
    pub effective_at: Timestamp,
    pub recorded_at: Timestamp,
    pub author: String,
    pub list: PriceList,
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
            sqlx::query("insert into price_lists (effective_at, body, recorded_at, author) values ($1, $2, $3, $4)")
                .bind(effective_at.secs())
                .bind(json(list)?)
                .bind(recorded_at.secs())
                .bind(author)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// All lists, in the order in which they take effect.
    pub async fn price_lists(&self) -> Result<Vec<PublishedList>> {
        let rows = sqlx::query(
            "select id, effective_at, recorded_at, author, body from price_lists order by effective_at, id",
        )
        .fetch_all(self.readers())
        .await?;
        let read = |cells: &mut Cells<'_>| -> std::result::Result<PublishedList, Problem> {
            Ok(PublishedList {
                id: cells.int()?,
                effective_at: cells.time_or_beginning()?,
                recorded_at: cells.time()?,
                author: cells.text()?,
                list: cells.json()?,
            })
        };
        let lists = rows.iter().map(|row| read(&mut Cells::of(row)));
        lists.collect::<std::result::Result<_, _>>().map_err(unreadable)
    }

    /// The lists laid over each other.
    pub async fn price_book(&self) -> Result<PriceBook> {
        let mut book = PriceBook::default();
        for published in self.price_lists().await? {
            book.lay(published.effective_at, published.list).map_err(|conflicts| {
                let first = conflicts.first().map(ToString::to_string).unwrap_or_default();
                unreadable(format!("list {} cannot be laid over the older ones: {first}", published.id))
            })?;
        }
        Ok(book)
    }
}

const fn unreadable(problem: Problem) -> StoreError {
    StoreError::CorruptTable { table: "price_lists", problem }
}
