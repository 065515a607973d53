//! Closing a month: nothing takes effect in it any more, which the database sees to.
//!
//! All accounts are looked at in a snapshot. The transaction that closes looks at those that came since, for it keeps
//! everybody else waiting: an account's settled second never goes back.

use rules::{AccountId, Period, Timestamp};

use crate::cells::{Cells, Problem};
use crate::sql::{self, Transaction};
use crate::{Result, Store, StoreError};

/// Accounts that are named of those in the way.
const NAMED: i64 = 10;

/// What is in the way until it goes on or is given up.
pub const CUT_OFF_IMPORT: &str = "import that was cut off";

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closing {
    pub month: Period,
    pub closed_at: Timestamp,
    pub author: String,
}

/// What keeps a month from being closed: how many accounts, and the first of them by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InTheWay {
    pub what: &'static str,
    pub count: u64,
    pub first: Vec<String>,
}

/// Why a month is not closed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CannotClose {
    Already(Closing),
    /// Another month comes first.
    Before(Period),
    /// There are no accounts, so there is no month to close.
    NoBooks,
    InTheWay(Vec<InTheWay>),
}

/// Of accounts behind $2. It reads all of those: when they are settled has no index, for every commit moves it.
const NOT_SETTLED: (&str, &str) = (
    "not settled to the month's end",
    "select name from accounts where id > $2 and state <> 'closed' and settled_at < $1",
);

/// $1 is the month's end.
const UNFINISHED: [(&str, &str); 2] = [
    (
        "with money that came and is not in the books",
        "select name from accounts where id in (
            select account_id from receipts where applied_at is null and received_at < $1
        )",
    ),
    (
        "waiting for a card's answer",
        "select name from accounts where id in (select account_id from intents where answer is null and due_at < $1)",
    ),
];

const PARKED: (&str, &str) = ("parked", "select name from accounts where id in (select account_id from parked)");

/// Of any month: the accounts that an import has still to bring may reach back into each of them.
const STANDING: [(&str, &str); 2] = [
    (CUT_OFF_IMPORT, "select file as name from imports where finished_at is null and given_up_at is null"),
    ("in a run that is held", "select 'run ' || id || ' of ' || job as name from runs where state = 'held'"),
];

const CLOSINGS: &str = "select month_from, month_to, closed_at, author from closings order by month_from";

impl Store {
    pub async fn closings(&self) -> Result<Vec<Closing>> {
        let mut snapshot = self.snapshot().await?;
        read(&mut snapshot).await
    }

    /// Accounts that are open and not settled up to `until`: nothing was due on them, or they wait.
    pub async fn accounts_behind(&self, until: Timestamp, after: AccountId, limit: u32) -> Result<Vec<AccountId>> {
        let ids: Vec<i64> = sql::query_scalar(
            "select id from accounts where id > $1 and settled_at < $2 and state <> 'closed' order by id limit $3",
        )
        .bind(after.0)
        .bind(until.secs())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        Ok(ids.into_iter().map(AccountId).collect())
    }

    /// What stands against closing a month, however far its accounts are settled: none if they are to be looked at.
    pub async fn close_refused(&self, month: Period) -> Result<Option<CannotClose>> {
        let mut snapshot = self.snapshot().await?;
        let opened = opened(&mut snapshot).await?;
        if let Some(other) = out_of_order(&mut snapshot, month, opened).await? {
            return Ok(Some(other));
        }
        let mut obstacles = Vec::new();
        for obstacle in STANDING {
            obstacles.extend(in_the_way(&mut snapshot, obstacle, &[]).await?);
        }
        Ok(if obstacles.is_empty() { None } else { Some(CannotClose::InTheWay(obstacles)) })
    }

    /// Closes a month, if it is the next one and nothing is in the way.
    pub async fn close_month(&self, closing: &Closing) -> Result<std::result::Result<(), CannotClose>> {
        // While nobody else writes: an account of a lower id that is still to be committed would be overlooked.
        let mut alone = self.write().await?;
        let newest: Option<i64> = sql::query_scalar("select max(id) from accounts").fetch_one(&mut alone).await?;
        alone.rollback().await?;
        let mut snapshot = self.snapshot().await?;
        let opened = opened(&mut snapshot).await?;
        if let Some(other) = refused(&mut snapshot, closing.month, opened, i64::MIN).await? {
            return Ok(Err(other));
        }
        snapshot.commit().await?;
        let mut transaction = self.write().await?;
        if let Some(other) = refused(&mut transaction, closing.month, opened, newest.unwrap_or(i64::MIN)).await? {
            transaction.rollback().await?;
            return Ok(Err(other));
        }
        sql::query("insert into closings (month_from, month_to, closed_at, author) values ($1, $2, $3, $4)")
            .bind(closing.month.from.secs())
            .bind(closing.month.to.secs())
            .bind(closing.closed_at.secs())
            .bind(&closing.author)
            .execute(&mut transaction)
            .await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }
}

pub async fn read(connection: &mut Transaction) -> Result<Vec<Closing>> {
    let rows = sql::query(CLOSINGS).fetch_all(connection).await?;
    let read = |cells: &mut Cells<'_>| -> std::result::Result<Closing, Problem> {
        let month = Period::new(cells.time()?, cells.time()?);
        Ok(Closing { month, closed_at: cells.time()?, author: cells.text()? })
    };
    let closings = rows.iter().map(|row| read(&mut Cells::of(row)));
    closings
        .collect::<std::result::Result<_, _>>()
        .map_err(|problem| StoreError::CorruptTable { table: "closings", problem })
}

/// The end of the last month that is closed, from which on months are open. Whoever writes keeps it from moving.
pub async fn open_from(connection: &mut Transaction) -> Result<Option<Timestamp>> {
    let end = "select month_to from closings order by month_from desc limit 1";
    let end: Option<i64> = sql::query_scalar(end).fetch_optional(connection).await?;
    Ok(end.map(Timestamp::from_secs))
}

/// When the first account came. It reads all accounts.
async fn opened(connection: &mut Transaction) -> Result<Option<Timestamp>> {
    let opened: Option<i64> = sql::query_scalar("select min(recorded_at) from accounts").fetch_one(connection).await?;
    Ok(opened.map(Timestamp::from_secs))
}

/// What stands against closing the month: `opened` is when the first account came, and those up to `seen` are settled
/// to the month's end as far as anybody looked.
async fn refused(
    connection: &mut Transaction,
    month: Period,
    opened: Option<Timestamp>,
    seen: i64,
) -> Result<Option<CannotClose>> {
    if let Some(other) = out_of_order(connection, month, opened).await? {
        return Ok(Some(other));
    }
    let until = month.to.secs();
    let mut obstacles = Vec::new();
    obstacles.extend(in_the_way(connection, NOT_SETTLED, &[until, seen]).await?);
    for obstacle in UNFINISHED {
        obstacles.extend(in_the_way(connection, obstacle, &[until]).await?);
    }
    for obstacle in [PARKED].into_iter().chain(STANDING) {
        obstacles.extend(in_the_way(connection, obstacle, &[]).await?);
    }
    Ok(if obstacles.is_empty() { None } else { Some(CannotClose::InTheWay(obstacles)) })
}

/// The month is closed already, or another one is the next.
async fn out_of_order(
    connection: &mut Transaction,
    month: Period,
    opened: Option<Timestamp>,
) -> Result<Option<CannotClose>> {
    let closings = read(connection).await?;
    if let Some(closing) = closings.iter().find(|closing| closing.month.from == month.from) {
        return Ok(Some(CannotClose::Already(closing.clone())));
    }
    let next = match closings.last() {
        Some(last) => Some(last.month.to),
        None => begin(connection, opened).await?,
    };
    Ok(match next {
        None => Some(CannotClose::NoBooks),
        Some(next) if next != month.from => Some(CannotClose::Before(Period::month_of(next))),
        Some(_) => None,
    })
}

/// The first month is the one in which the books begin, or an earlier one that an import reaches back into.
async fn begin(connection: &mut Transaction, opened: Option<Timestamp>) -> Result<Option<Timestamp>> {
    let arrived: Option<i64> =
        sql::query_scalar("select min(begins_at) from imports").fetch_one(&mut *connection).await?;
    let first = opened.into_iter().chain(arrived.map(Timestamp::from_secs)).min();
    Ok(first.map(Timestamp::month_start))
}

async fn in_the_way(
    connection: &mut Transaction,
    (what, question): (&'static str, &str),
    cells: &[i64],
) -> Result<Option<InTheWay>> {
    let count = format!("select count(*) from ({question}) as found");
    let count = cells.iter().fold(sql::query_scalar(count), |asked, cell| asked.bind(*cell));
    let count: i64 = count.fetch_one(&mut *connection).await?;
    if count == 0 {
        return Ok(None);
    }
    let named = format!("select name from ({question}) as found order by name limit {NAMED}");
    let named = cells.iter().fold(sql::query_scalar(named), |asked, cell| asked.bind(*cell));
    Ok(Some(InTheWay { what, count: count.unsigned_abs(), first: named.fetch_all(connection).await? }))
}
