//! Withdrawing a price list that nothing was charged by.
//!
//! It is looked for in the transaction that withdraws: what was decided with the list and is not committed by
//! then is refused by the revision. Each question reads from the second at which the list took effect.

use rules::{Basis, Candidate, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::cells::{Cells, Problem};
use crate::prices::{PublishedList, laid, read_all, unreadable};
use crate::{Result, Store, StoreError, service_row};

/// How it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Withdrawal {
    Done,
    NoSuchList,
    /// It was withdrawn before.
    Already,
    /// A later list has new prices for a plan that this one brought.
    NeededBy {
        list: i64,
        plan: String,
    },
    /// What was charged by it first.
    Used(String),
}

/// What was charged for what began behind a place: where it stands (a second, an account, a number), what it is,
/// the service and its plan, and the basis.
const CHARGED: [&str; 4] = [
    "select t.period_from, t.account_id, t.service, a.name, t.kind || ' ' || t.account_id || '/' || t.number, s.name,
        s.plan, t.basis
    from transfers t
    join accounts a on a.id = t.account_id
    join services s on s.account_id = t.account_id and s.number = t.service
    where t.kind = 'period' and (t.period_from, t.account_id, t.service) > ($1, $2, $3)
    order by t.period_from, t.account_id, t.service limit $4",
    "select t.effective_at, t.account_id, t.number, a.name, t.kind || ' ' || t.account_id || '/' || t.number, s.name,
        s.plan, t.basis
    from transfers t
    join accounts a on a.id = t.account_id
    join services s on s.account_id = t.account_id and s.number = t.service
    where t.kind in ('card_credit', 'downgrade', 'upgrade') and t.basis is not null
        and (t.effective_at, t.account_id, t.number) > ($1, $2, $3)
    order by t.effective_at, t.account_id, t.number limit $4",
    "select l.period_from, l.account_id, l.service, a.name, 'a line of invoice ' || l.account_id || '/' || l.invoice,
        s.name, s.plan, l.basis
    from invoice_lines l
    join accounts a on a.id = l.account_id
    join services s on s.account_id = l.account_id and s.number = l.service
    where l.kind in ('hours', 'month', 'prorated') and (l.period_from, l.account_id, l.service) > ($1, $2, $3)
    order by l.period_from, l.account_id, l.service limit $4",
    // No invoice has a million lines.
    "select l.period_from, l.account_id, l.invoice * 1000000 + l.position, a.name,
        'a line of invoice ' || l.account_id || '/' || l.invoice, s.name, s.plan, l.basis
    from invoice_lines l
    join accounts a on a.id = l.account_id
    join services s on s.account_id = l.account_id and s.number = l.service
    where l.kind in ('trial_overage', 'upgrade', 'usage')
        and (l.period_from, l.account_id, l.invoice * 1000000 + l.position) > ($1, $2, $3)
    order by l.period_from, l.account_id, l.invoice * 1000000 + l.position limit $4",
];

/// Rows that one look takes: a wrong list is mostly found in the first.
const PAGE: i64 = 1_000;

impl Store {
    /// Marks a list as withdrawn, or says what stands against it.
    pub async fn price_list_withdraw(&self, id: i64, by: &str, reason: &str, now: Timestamp) -> Result<Withdrawal> {
        let mut transaction = self.write().await?;
        let lists = read_all(&mut transaction).await?;
        let Some(place) = lists.iter().position(|list| list.id == id) else { return Ok(Withdrawal::NoSuchList) };
        if lists[place].withdrawn.is_some() {
            return Ok(Withdrawal::Already);
        }
        if let Some(needed) = needed_by(&lists, place) {
            return Ok(needed);
        }
        if let Some(used) = used(&mut transaction, &lists, place).await? {
            return Ok(Withdrawal::Used(used));
        }
        sqlx::query(
            "update price_lists set withdrawn_at = $2, withdrawn_by = $3, withdrawal_reason = $4 where id = $1",
        )
        .bind(id)
        .bind(now.secs())
        .bind(by)
        .bind(reason)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Withdrawal::Done)
    }
}

/// A later list that names a plan which no other list before it does.
fn needed_by(lists: &[PublishedList], place: usize) -> Option<Withdrawal> {
    let stands = |list: &&PublishedList| list.withdrawn.is_none();
    let (before, after) = (&lists[..place], &lists[place + 1..]);
    let own = |plan: &&String| !before.iter().filter(stands).any(|list| list.list.contains_key(*plan));
    lists[place].list.keys().filter(own).find_map(|plan| {
        let later = after.iter().filter(stands).find(|list| list.list.contains_key(plan))?;
        Some(Withdrawal::NeededBy { list: later.id, plan: plan.clone() })
    })
}

async fn used(connection: &mut SqliteConnection, lists: &[PublishedList], place: usize) -> Result<Option<String>> {
    let published = &lists[place];
    let others = lists.iter().enumerate().filter(|(index, _)| *index != place).map(|(_, list)| list.clone());
    let (with, without) = (laid(lists.iter().cloned())?, laid(others)?);
    let (since, list) = (published.effective_at, &published.list);
    let candidate = Candidate { since, list, with: &with, without: &without };
    for plan in list.keys() {
        if let Some(held) = held(connection, plan, &candidate).await? {
            return Ok(Some(held));
        }
    }
    for question in CHARGED {
        let mut after = (since.secs(), i64::MIN, i64::MIN);
        loop {
            let page = sqlx::query(question).bind(after.0).bind(after.1).bind(after.2).bind(PAGE);
            let rows: Vec<SqliteRow> = page.fetch_all(&mut *connection).await?;
            let Some(last) = rows.last() else { break };
            after = place_of(last).map_err(unreadable_books)?;
            for row in &rows {
                if let Some(charged) = charged(row, &candidate).map_err(unreadable_books)? {
                    return Ok(Some(charged));
                }
            }
        }
    }
    Ok(None)
}

fn place_of(row: &SqliteRow) -> std::result::Result<(i64, i64, i64), Problem> {
    let mut cells = Cells::of(row);
    Ok((cells.int()?, cells.int()?, cells.int()?))
}

fn charged(row: &SqliteRow, candidate: &Candidate<'_>) -> std::result::Result<Option<String>, Problem> {
    let mut cells = Cells::of(row);
    let (from, _, _) = (cells.time()?, cells.int()?, cells.int()?);
    let (account, what, service, plan) = (cells.text()?, cells.text()?, cells.text()?, cells.text()?);
    let basis: Basis = cells.json()?;
    let of = || format!("account `{account}`: service `{service}`: {what} of {from}");
    Ok(candidate.priced(&basis, &plan, from).then(of))
}

/// The first service of `plan` that holds something of the list.
async fn held(connection: &mut SqliteConnection, plan: &str, candidate: &Candidate<'_>) -> Result<Option<String>> {
    let question = format!("select {} from services where plan = $1 and finished = 0", service_row::COLUMNS);
    let rows = sqlx::query(AssertSqlSafe(question)).bind(plan).fetch_all(connection).await?;
    for row in &rows {
        let mut cells = Cells::of(row);
        let _account = cells.int().map_err(unreadable_books)?;
        let service = service_row::read(&mut cells).map_err(unreadable_books)?;
        if let Some(held) = candidate.holds(&service) {
            return Ok(Some(format!("service `{}` {held}", service.name)));
        }
    }
    Ok(None)
}

fn unreadable_books(problem: Problem) -> StoreError {
    unreadable(format!("what it was charged for: {problem}"))
}
