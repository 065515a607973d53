//! Withdrawing a price list that nothing was charged by.
//!
//! All is looked at before, in a snapshot; the transaction that withdraws looks at what came since, for it keeps
//! everybody else waiting. What was decided with the list and is not committed by then is refused by the revision.
//! Each question reads from the second at which the list took effect.

use rules::{Basis, Candidate, PriceBook, Timestamp};

use crate::cells::{Cells, Problem};
use crate::prices::{PublishedList, laid, read_all, unreadable};
use crate::sql::{self, Row, RowValues, Transaction, Work};
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
    /// The import of this file was checked with it, and is neither finished nor given up.
    Importing(String),
    /// What was charged by it first.
    Used(String),
}

macro_rules! of_transfer {
    ($from:literal) => {
        concat!(
            $from,
            ", a.name, t.kind || ' ' || t.account_id || '/' || t.number, s.name, s.plan, t.basis
            from transfers t
            join accounts a on a.id = t.account_id
            join services s on s.account_id = t.account_id and s.number = t.service"
        )
    };
}

macro_rules! of_line {
    () => {
        "l.period_from, a.name, 'a line of invoice ' || l.account_id || '/' || l.invoice, s.name, s.plan, l.basis
        from invoice_lines l
        join accounts a on a.id = l.account_id
        join services s on s.account_id = l.account_id and s.number = l.service"
    };
}

/// What was charged, behind a place: where it stands (a second, an account, a number), from when it is, whose and
/// what, the service and its plan, and the basis. What use is of may have begun before the list, which alone has
/// its component.
const CHARGED: [&str; 4] = [
    concat!(
        "select t.period_from, t.account_id, t.service, ",
        of_transfer!("t.period_from"),
        " where t.kind = 'period' and (t.period_from, t.account_id, t.service) > ($1, $2, $3)
        order by t.period_from, t.account_id, t.service limit $4"
    ),
    concat!(
        "select t.effective_at, t.account_id, t.number, ",
        of_transfer!("t.effective_at"),
        " where t.kind <> 'period' and t.kind in ('card_credit', 'downgrade', 'upgrade') and t.basis is not null
            and (t.effective_at, t.account_id, t.number) > ($1, $2, $3)
        order by t.effective_at, t.account_id, t.number limit $4"
    ),
    concat!(
        "select l.period_from, l.account_id, l.service, ",
        of_line!(),
        " where l.kind in ('hours', 'month', 'prorated') and (l.period_from, l.account_id, l.service) > ($1, $2, $3)
        order by l.period_from, l.account_id, l.service limit $4"
    ),
    // No invoice has a million lines.
    concat!(
        "select l.period_to, l.account_id, l.invoice * 1000000 + l.position, ",
        of_line!(),
        " where l.kind in ('trial_overage', 'upgrade', 'usage')
            and (l.period_to, l.account_id, l.invoice * 1000000 + l.position) > ($1, $2, $3)
        order by l.period_to, l.account_id, l.invoice * 1000000 + l.position limit $4"
    ),
];

/// Of accounts, each from the number of a transfer and of an invoice on: what stands before these rows and behind them.
const TRANSFERS_SINCE: (&str, &str) = (
    concat!("select ", of_transfer!("coalesce(t.period_from, t.effective_at)"), " join ("),
    ") as v on t.account_id = v.column1 and t.number >= v.column2
    where t.basis is not null and t.kind in ('period', 'card_credit', 'downgrade', 'upgrade')
        and case t.kind when 'period' then t.period_from else t.effective_at end >= v.column4",
);

const LINES_SINCE: (&str, &str) = (
    concat!("select ", of_line!(), " join ("),
    ") as v on l.account_id = v.column1 and l.invoice >= v.column3 where l.period_to > v.column4",
);

/// Accounts whose rows are looked at together.
const AT_ONCE: usize = 512;

/// So many accounts that moved are soon looked at, while everybody waits; of more there is another look first.
const FEW: usize = 2_048;

/// How often there is another look, where accounts keep moving.
const LOOKS: u32 = 8;

/// Rows that one look takes: a wrong list is mostly found in the first.
const PAGE: i64 = 1_000;

/// Cells of a row's place.
const PLACE: usize = 3;

/// A list that nothing was charged by when it was looked at, with how far every account was then.
pub struct Look {
    lists: Vec<PublishedList>,
    place: usize,
    marks: Vec<Mark>,
}

impl Store {
    /// Marks a list as withdrawn, or says what stands against it.
    pub async fn price_list_withdraw(&self, id: i64, by: &str, reason: &str, now: Timestamp) -> Result<Withdrawal> {
        loop {
            // The long look first, in a snapshot: meanwhile everybody else writes.
            match self.price_list_look(id).await? {
                Err(stands) => return Ok(stands),
                Ok(mut look) => {
                    for _ in 0..LOOKS {
                        match self.price_list_look_on(&mut look).await? {
                            Err(stands) => return Ok(stands),
                            Ok(moved) if moved <= FEW => break,
                            Ok(_) => {}
                        }
                    }
                    if let Some(ended) = self.price_list_withdraw_looked(&look, by, reason, now).await? {
                        return Ok(ended);
                    }
                }
            }
        }
    }

    /// Looks for all that stands against withdrawing a list.
    pub async fn price_list_look(&self, id: i64) -> Result<std::result::Result<Look, Withdrawal>> {
        let mut snapshot = self.snapshot().await?;
        let lists = read_all(&mut snapshot).await?;
        let Some(place) = lists.iter().position(|list| list.id == id) else { return Ok(Err(Withdrawal::NoSuchList)) };
        if lists[place].withdrawn.is_some() {
            return Ok(Err(Withdrawal::Already));
        }
        if let Some(needed) = needed_by(&lists, place) {
            return Ok(Err(needed));
        }
        if let Some(importing) = importing(&mut snapshot).await? {
            return Ok(Err(importing));
        }
        let look = Look { marks: marks(&mut snapshot).await?, lists, place };
        let (with, without) = look.books()?;
        let found = used(&mut snapshot, &look.candidate(&with, &without)).await?;
        Ok(found.map_or(Ok(look), |used| Err(Withdrawal::Used(used))))
    }

    /// Looks at what came since; answers how many accounts had moved.
    async fn price_list_look_on(&self, look: &mut Look) -> Result<std::result::Result<usize, Withdrawal>> {
        let mut snapshot = self.snapshot().await?;
        let (with, without) = look.books()?;
        let since = used_since(&mut snapshot, &look.candidate(&with, &without), &look.marks).await?;
        Ok(since.map_err(Withdrawal::Used).map(|(marks, moved)| {
            look.marks = marks;
            moved
        }))
    }

    /// Withdraws it, if nothing was charged by it since. None if other lists came or went meanwhile: look again.
    pub async fn price_list_withdraw_looked(
        &self,
        look: &Look,
        by: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<Option<Withdrawal>> {
        let (with, without) = look.books()?;
        let mut transaction = self.write().await?;
        if read_all(&mut transaction).await? != look.lists {
            return Ok(None);
        }
        if let Some(importing) = importing(&mut transaction).await? {
            return Ok(Some(importing));
        }
        if let Err(used) = used_since(&mut transaction, &look.candidate(&with, &without), &look.marks).await? {
            return Ok(Some(Withdrawal::Used(used)));
        }
        sql::query("update price_lists set withdrawn_at = $2, withdrawn_by = $3, withdrawal_reason = $4 where id = $1")
            .bind(look.lists[look.place].id)
            .bind(now.secs())
            .bind(by)
            .bind(reason)
            .execute(&mut transaction)
            .await?;
        transaction.commit().await?;
        Ok(Some(Withdrawal::Done))
    }
}

impl Look {
    /// The price book with the list, and the one without it.
    fn books(&self) -> Result<(PriceBook, PriceBook)> {
        let others = self.lists.iter().enumerate().filter(|(index, _)| *index != self.place);
        Ok((laid(self.lists.iter().cloned())?, laid(others.map(|(_, list)| list.clone()))?))
    }

    fn candidate<'a>(&'a self, with: &'a PriceBook, without: &'a PriceBook) -> Candidate<'a> {
        let PublishedList { effective_at: since, list, .. } = &self.lists[self.place];
        Candidate { since: *since, list, with, without }
    }
}

/// An import that may go on: its accounts were checked against the list and are still to come.
async fn importing(connection: &mut Transaction) -> Result<Option<Withdrawal>> {
    let question = "select file from imports where finished_at is null and given_up_at is null
        order by at, hash limit 1";
    let file: Option<String> = sql::query_scalar(question).fetch_optional(connection).await?;
    Ok(file.map(Withdrawal::Importing))
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

/// Looks at all that may have been priced by the list, page by page.
async fn used(connection: &mut Transaction, candidate: &Candidate<'_>) -> Result<Option<String>> {
    for plan in candidate.list.keys() {
        if let Some(held) = held(connection, plan, candidate).await? {
            return Ok(Some(held));
        }
    }
    for question in CHARGED {
        let mut after = (candidate.since.secs(), i64::MIN, i64::MIN);
        loop {
            let page = sql::query(question).bind(after.0).bind(after.1).bind(after.2).bind(PAGE);
            let rows: Vec<Row> = page.fetch_all(&mut *connection).await?;
            let Some(last) = rows.last() else { break };
            after = place_of(last).map_err(unreadable_books)?;
            if let Some(charged) = first_charged(&rows, PLACE, candidate)? {
                return Ok(Some(charged));
            }
        }
    }
    Ok(None)
}

/// How far an account was: its version, and the numbers of its next transfer and invoice.
type Mark = (i64, i64, i64, i64);

async fn marks(connection: &mut Transaction) -> Result<Vec<Mark>> {
    let question = "select id, version, next_transfer, next_invoice from accounts order by id";
    sql::query_as(question).fetch_all(connection).await
}

/// Looks at what came since those marks: on accounts that moved, beyond where they were. Answers where all are now and
/// how many had moved, or what was charged.
async fn used_since(
    connection: &mut Transaction,
    candidate: &Candidate<'_>,
    before: &[Mark],
) -> Result<std::result::Result<(Vec<Mark>, usize), String>> {
    let now = marks(connection).await?;
    let known = |account: i64| before.binary_search_by_key(&account, |mark| mark.0).ok().map(|index| before[index]);
    let mut moved: Vec<Mark> = Vec::new();
    for (account, version, _, _) in &now {
        let (_, known, transfer, invoice) = known(*account).unwrap_or((*account, -1, 0, 0));
        if known != *version {
            moved.push((*account, transfer, invoice, candidate.since.secs()));
        }
    }
    let services = format!("select {} from services where account_id = any($1)", service_row::COLUMNS);
    for some in moved.chunks(AT_ONCE) {
        let ids: Vec<i64> = some.iter().map(|mark| mark.0).collect();
        let services = sql::query(services.clone()).bind(ids).fetch_all(&mut *connection).await?;
        if let Some(held) = first_held(&services, candidate)? {
            return Ok(Err(held));
        }
        for (head, tail) in [TRANSFERS_SINCE, LINES_SINCE] {
            let mut work = Work::new(connection, None);
            let bind = |cells: &mut RowValues<'_>, (account, transfer, invoice, since): &Mark| {
                cells.push_bind(*account).push_bind(*transfer).push_bind(*invoice).push_bind(*since);
            };
            let rows = work.values_returning(head, some, bind, tail).await?;
            if let Some(charged) = first_charged(&rows, 0, candidate)? {
                return Ok(Err(charged));
            }
        }
    }
    Ok(Ok((now, moved.len())))
}

/// Of rows that have so many cells in front.
fn first_charged(rows: &[Row], in_front: usize, candidate: &Candidate<'_>) -> Result<Option<String>> {
    for row in rows {
        if let Some(charged) = charged(row, in_front, candidate).map_err(unreadable_books)? {
            return Ok(Some(charged));
        }
    }
    Ok(None)
}

fn place_of(row: &Row) -> std::result::Result<(i64, i64, i64), Problem> {
    let mut cells = Cells::of(row);
    Ok((cells.int()?, cells.int()?, cells.int()?))
}

fn charged(row: &Row, in_front: usize, candidate: &Candidate<'_>) -> std::result::Result<Option<String>, Problem> {
    let mut cells = Cells::of(row);
    for _ in 0..in_front {
        cells.int()?;
    }
    let (from, account, what) = (cells.time()?, cells.text()?, cells.text()?);
    let (service, plan, basis): (String, String, Basis) = (cells.text()?, cells.text()?, cells.json()?);
    let of = || format!("account `{account}`: service `{service}`: {what} of {from}");
    Ok(candidate.priced(&basis, &plan, from).then(of))
}

/// The first service of `plan` that holds something of the list, be it stopped or long gone.
async fn held(connection: &mut Transaction, plan: &str, candidate: &Candidate<'_>) -> Result<Option<String>> {
    let question = format!(
        "select {} from services where plan = $1 and (account_id, number) > ($2, $3)
        order by account_id, number limit $4",
        service_row::COLUMNS
    );
    let mut after = (i64::MIN, i64::MIN);
    loop {
        let page = sql::query(question.clone()).bind(plan).bind(after.0).bind(after.1).bind(PAGE);
        let rows = page.fetch_all(&mut *connection).await?;
        let Some(last) = rows.last() else { return Ok(None) };
        let mut cells = Cells::of(last);
        after = (cells.int().map_err(unreadable_books)?, cells.int().map_err(unreadable_books)?);
        if let Some(held) = first_held(&rows, candidate)? {
            return Ok(Some(held));
        }
    }
}

fn first_held(rows: &[Row], candidate: &Candidate<'_>) -> Result<Option<String>> {
    for row in rows {
        let mut cells = Cells::of(row);
        let _account = cells.int().map_err(unreadable_books)?;
        let service = service_row::read(&mut cells).map_err(unreadable_books)?;
        let held = candidate.list.contains_key(&service.order.plan).then(|| candidate.holds(&service)).flatten();
        if let Some(held) = held {
            return Ok(Some(format!("service `{}` {held}", service.name)));
        }
    }
    Ok(None)
}

fn unreadable_books(problem: Problem) -> StoreError {
    unreadable(format!("what it was charged for: {problem}"))
}
