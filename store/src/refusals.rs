//! What was asked of accounts and refused: the last ones of each.

use std::collections::BTreeMap;

use rules::{AccountId, Timestamp};

use crate::cells::{Cells, Problem};
use crate::pages::read_rows;
use crate::sql;
use crate::write::json;
use crate::{Result, Store};

/// So many are kept of an account.
const KEPT: i64 = 100;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewRefusal<'a> {
    pub account: AccountId,
    pub at: Timestamp,
    /// What was asked for, and of which service.
    pub action: &'a str,
    pub service: Option<&'a str>,
    /// The rules' name of the refusal, and why here.
    pub code: &'a str,
    pub why: &'a str,
    pub author: &'a str,
    /// How the account and the service stood.
    pub stood: &'a BTreeMap<&'static str, String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusalRow {
    pub account: String,
    pub number: i64,
    pub at: Timestamp,
    pub action: String,
    pub service: Option<String>,
    pub code: String,
    pub why: String,
    pub author: String,
    pub stood: BTreeMap<String, String>,
}

macro_rules! select_refusals {
    ($tail:literal) => {
        concat!(
            "select accounts.name, refusals.number, refusals.at, refusals.action, refusals.service, refusals.code,
                refusals.why, refusals.author, refusals.stood
            from refusals join accounts on accounts.id = refusals.account_id where refusals.account_id = $1 ",
            $tail
        )
    };
}

impl Store {
    /// Notes a refusal behind the account's others, and lets go of the oldest beyond [`KEPT`].
    pub async fn refusal_insert(&self, new: &NewRefusal<'_>) -> Result<()> {
        // Alone: its number is the next one.
        let mut transaction = self.write().await?;
        let number: i64 = sql::query_scalar("select coalesce(max(number) + 1, 0) from refusals where account_id = $1")
            .bind(new.account.0)
            .fetch_one(&mut transaction)
            .await?;
        sql::query(
            "insert into refusals (account_id, number, at, action, service, code, why, author, stood)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(new.account.0)
        .bind(number)
        .bind(new.at.secs())
        .bind(new.action)
        .bind(new.service)
        .bind(new.code)
        .bind(new.why)
        .bind(new.author)
        .bind(json(new.stood)?)
        .execute(&mut transaction)
        .await?;
        sql::query("delete from refusals where account_id = $1 and number <= $2")
            .bind(new.account.0)
            .bind(number - KEPT)
            .execute(&mut transaction)
            .await?;
        transaction.commit().await
    }

    /// The newest refusals of an account, the newest first.
    pub async fn refusals(&self, account: AccountId, limit: u32) -> Result<Vec<RefusalRow>> {
        let rows = sql::query(select_refusals!("order by refusals.number desc limit $2"))
            .bind(account.0)
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        read_rows("refusals", &rows, read_refusal)
    }

    pub async fn refusal(&self, account: AccountId, number: i64) -> Result<Option<RefusalRow>> {
        let question = sql::query(select_refusals!("and refusals.number = $2")).bind(account.0).bind(number);
        let row = question.fetch_optional(self.readers()).await?;
        Ok(read_rows("refusals", row.as_slice(), read_refusal)?.pop())
    }
}

fn read_refusal(cells: &mut Cells<'_>) -> std::result::Result<RefusalRow, Problem> {
    Ok(RefusalRow {
        account: cells.text()?,
        number: cells.int()?,
        at: cells.time()?,
        action: cells.text()?,
        service: cells.maybe_text()?,
        code: cells.text()?,
        why: cells.text()?,
        author: cells.text()?,
        stood: cells.json()?,
    })
}
