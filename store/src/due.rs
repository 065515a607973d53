//! What falls due when: the only thing that jobs look for.

use std::collections::HashMap;

use rules::{AccountId, DueKind, Timestamp};

use crate::commit::{Commit, DueSeconds};
use crate::sql::{self, Work};
use crate::{Result, Store};

/// Parked accounts wait for their own next try, and those with something due that a held run was opened for, or that a
/// paused job does, for its release or its return.
macro_rules! unless_waiting {
    ($account:literal) => {
        concat!(
            " and not exists (select 1 from parked where parked.account_id = ",
            $account,
            " and parked.next_try_at > $2)
            and not exists (select 1 from waited_for w where (
                (w.due_kind = 'daily'
                    and exists (select 1 from accounts a where a.id = ",
            $account,
            " and a.daily_due_at <= $2))
                or exists (select 1 from due d where d.account_id = ",
            $account,
            " and d.kind = w.due_kind and d.at <= $2)))"
        )
    };
}

const DAILY: &str = concat!(
    "select id from accounts where daily_due_at <= $2 and id > $3 and id <= $4 and $1 = 'daily'",
    unless_waiting!("accounts.id"),
    " order by id limit $5"
);

const OTHERS: &str = concat!(
    "select account_id from due where kind = $1 and at <= $2 and account_id > $3 and account_id <= $4",
    unless_waiting!("due.account_id"),
    " order by account_id limit $5"
);

const DAILY_COUNT: &str =
    concat!("select count(*) from accounts where daily_due_at <= $2 and $1 = 'daily'", unless_waiting!("accounts.id"));

const OTHERS_COUNT: &str =
    concat!("select count(*) from due where kind = $1 and at <= $2", unless_waiting!("due.account_id"));

impl Store {
    /// Accounts after `after` up to `last` that have something of `kind` due at or before `now`, rising.
    /// Asking once for a whole shard is cheaper than page by page.
    pub async fn accounts_due(
        &self,
        kind: DueKind,
        now: Timestamp,
        after: AccountId,
        last: AccountId,
        limit: u32,
    ) -> Result<Vec<AccountId>> {
        let question = if kind == DueKind::Daily { DAILY } else { OTHERS };
        let ids: Vec<i64> = sql::query_scalar(question)
            .bind(kind.name())
            .bind(now.secs())
            .bind(after.0)
            .bind(last.0)
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        Ok(ids.into_iter().map(AccountId).collect())
    }

    /// The same page by page, those included that are parked or wait for a held run.
    pub async fn accounts_due_or_held(
        &self,
        kind: DueKind,
        now: Timestamp,
        after: AccountId,
        limit: u32,
    ) -> Result<Vec<AccountId>> {
        let question = match kind {
            DueKind::Daily => {
                "select id from accounts where daily_due_at <= $2 and id > $3 and $1 = 'daily' order by id limit $4"
            }
            _ => {
                "select account_id from due where kind = $1 and at <= $2 and account_id > $3
                order by account_id limit $4"
            }
        };
        let ids: Vec<i64> = sql::query_scalar(question)
            .bind(kind.name())
            .bind(now.secs())
            .bind(after.0)
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        Ok(ids.into_iter().map(AccountId).collect())
    }

    /// How many accounts have something of `kind` due, those left out that are parked or wait.
    pub async fn accounts_due_count(&self, kind: DueKind, now: Timestamp) -> Result<u64> {
        let question = if kind == DueKind::Daily { DAILY_COUNT } else { OTHERS_COUNT };
        let count: i64 =
            sql::query_scalar(question).bind(kind.name()).bind(now.secs()).fetch_one(self.readers()).await?;
        Ok(count.unsigned_abs())
    }

    /// The first second at which anything of `kind` falls due. Of the daily kind it reads all accounts.
    pub async fn next_due(&self, kind: DueKind) -> Result<Option<Timestamp>> {
        let question = match kind {
            DueKind::Daily => "select min(daily_due_at) from accounts where $1 = 'daily'",
            _ => "select min(at) from due where kind = $1 and at is not null",
        };
        let at: Option<i64> = sql::query_scalar(question).bind(kind.name()).fetch_one(self.readers()).await?;
        Ok(at.map(Timestamp::from_secs))
    }
}

pub(crate) use unless_waiting;

/// The daily second has a column of its own in the account's row.
pub fn daily_due(due: &DueSeconds) -> Option<Timestamp> {
    due.iter().find(|(kind, _)| *kind == DueKind::Daily).and_then(|(_, at)| *at)
}

/// Writes the due seconds that moved: most commits move none.
pub async fn write(work: &mut Work<'_>, commits: &[&Commit]) -> Result<()> {
    let keys: Vec<i64> = commits.iter().map(|commit| commit.changes.id().0).collect();
    let question = sql::query("select account_id, kind, at from due where account_id = any($1)");
    let mut known = HashMap::new();
    for row in question.bind(keys).fetch_all(work.step()?).await? {
        known.insert((row.get::<i64>(0)?, row.get::<String>(1)?), row.get::<Option<i64>>(2)?);
    }
    let mut moved = Vec::new();
    for commit in commits {
        let account = commit.changes.id().0;
        for (kind, at) in commit.due.iter().filter(|(kind, _)| *kind != DueKind::Daily) {
            let at = at.map(Timestamp::secs);
            if known.get(&(account, kind.name().to_owned())).copied().flatten() != at {
                moved.push((account, kind.name(), at));
            }
        }
    }
    upsert(work, &moved).await
}

/// Writes the due seconds of accounts that have none yet.
pub async fn write_new(work: &mut Work<'_>, accounts: &[(AccountId, &DueSeconds)]) -> Result<()> {
    let mut rows = Vec::new();
    for (account, due) in accounts {
        let others = due.iter().filter(|(kind, at)| *kind != DueKind::Daily && at.is_some());
        rows.extend(others.map(|(kind, at)| (account.0, kind.name(), at.map(Timestamp::secs))));
    }
    upsert(work, &rows).await
}

async fn upsert(work: &mut Work<'_>, rows: &[(i64, &'static str, Option<i64>)]) -> Result<()> {
    work.values(
        "insert into due (account_id, kind, at) ",
        rows,
        |cells, (account, kind, at)| {
            cells.push_bind(*account).push_bind(*kind).push_bind(*at);
        },
        " on conflict (account_id, kind) do update set at = excluded.at",
    )
    .await?;
    Ok(())
}
