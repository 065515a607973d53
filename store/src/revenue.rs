//! Revenue of a month by currency and plan. Rows are read page by page and summed up, in the order of an index:
//! periods by their beginning (`service_period_is_charged_once`), changes by their second (`transfers_by_second`),
//! what reaches over a midnight by its end (`transfers_of_long_periods`), lines by their invoice's issue
//! (`invoices_by_second`) or credit note (`credit_notes_by_second`). Nothing older than the month is read unless
//! its period still runs.

use std::collections::BTreeMap;

use rules::{Basis, Currency, Micros, Period, Revenue, RevenueMoves, Timestamp};

use crate::cells::{Cells, Problem};
use crate::sql::{self, Transaction};
use crate::{Result, Store, StoreError};

/// Rows that are read at once.
const PAGE: i64 = 4_000;

/// Currency and plan; no plan where an admin charged.
pub type RevenueKey = (String, Option<String>);

/// Amounts with their sign, in the order in which [`read`] takes them.
macro_rules! transfer_columns {
    () => {
        "t.currency, case t.kind when 'downgrade' then -t.amount else t.amount end, t.effective_at, t.earned_from,
            coalesce(t.period_from, t.effective_at), coalesce(t.period_to, t.effective_at), t.basis, false, (
                select r.effective_at from transfers r
                where r.account_id = t.account_id and r.corrects is not null and r.service = t.service
                    and r.number > t.number and r.period_to = t.period_to and r.period_from <= t.period_from
                    and r.amount > 0
                order by r.number limit 1
            ), t.kind = 'charge', services.plan
        from transfers t
        left join services on services.account_id = t.account_id and services.number = t.service"
    };
}

macro_rules! line_columns {
    () => {
        "a.currency, l.amount, i.issued_at, l.earned_from, l.period_from, l.period_to, l.basis, l.reissue > 0,
            i.credited_at, false, services.plan
        from invoices i
        join invoice_lines l on l.account_id = i.account_id and l.invoice = i.number
        join accounts a on a.id = i.account_id
        join services on services.account_id = l.account_id and services.number = l.service"
    };
}

/// A page begins behind the place ($1, $2, $3), which are a row's first columns.
const PERIODS: &str = concat!(
    "select t.period_from, t.account_id, t.service, ",
    transfer_columns!(),
    " where t.kind = 'period' and (t.period_from, t.account_id, t.service) > ($1, $2, $3) and t.period_from >= $4
        and t.period_from < $5 order by t.period_from, t.account_id, t.service limit $6"
);

const CHANGES: &str = concat!(
    "select t.effective_at, t.account_id, t.number, ",
    transfer_columns!(),
    " where t.kind <> 'period' and t.kind in ('upgrade', 'downgrade', 'charge')
        and (t.effective_at, t.account_id, t.number) > ($1, $2, $3) and t.effective_at >= $4 and t.effective_at < $5
    order by t.effective_at, t.account_id, t.number limit $6"
);

/// What began before and reaches into the month.
const LONG: &str = concat!(
    "select t.period_to, t.account_id, t.number, ",
    transfer_columns!(),
    " where (t.period_to - 1) / 86400 > t.period_from / 86400
        and (t.period_to, t.account_id, t.number) > ($1, $2, $3) and t.period_to > $4
        and (t.kind = 'period' and t.period_from < $4 or t.kind in ('upgrade', 'downgrade') and t.effective_at < $4)
        and $5 = $5
    order by t.period_to, t.account_id, t.number limit $6"
);

const LINES: &str = concat!(
    "select i.issued_at, l.account_id, l.invoice * 1000000 + l.position, ",
    line_columns!(),
    " where (i.issued_at, i.account_id, i.number * 1000000 + l.position) > ($1, $2, $3) and i.issued_at >= $4
        and (i.issued_at < $5 or l.period_from < $5)
    order by i.issued_at, i.account_id, i.number, l.position limit $6"
);

/// Lines of older invoices that were credited since.
const CREDITED: &str = concat!(
    "select n.issued_at, l.account_id, l.invoice * 1000000 + l.position, ",
    line_columns!(),
    " join credit_notes n on n.account_id = i.account_id and n.invoice = i.number
    where (n.issued_at, i.account_id, i.number * 1000000 + l.position) > ($1, $2, $3) and n.issued_at >= $4
        and i.issued_at < $4 and $5 = $5
    order by n.issued_at, i.account_id, i.number, l.position limit $6"
);

impl Store {
    /// What of each plan was billed and earned in `time`, and what was open of it before and after.
    pub async fn revenue(&self, time: Period) -> Result<BTreeMap<RevenueKey, RevenueMoves>> {
        let mut snapshot = self.snapshot().await?;
        moves_in(&mut snapshot, time).await
    }
}

pub async fn moves_in(connection: &mut Transaction, time: Period) -> Result<BTreeMap<RevenueKey, RevenueMoves>> {
    let mut sums = BTreeMap::new();
    for question in [PERIODS, CHANGES, LONG, LINES, CREDITED] {
        add(connection, question, time, &mut sums).await?;
    }
    sums.retain(|_, moves: &mut RevenueMoves| *moves != RevenueMoves::default());
    Ok(sums)
}

async fn add(
    connection: &mut Transaction,
    question: &'static str,
    time: Period,
    sums: &mut BTreeMap<RevenueKey, RevenueMoves>,
) -> Result<()> {
    let mut place = (i64::MIN, i64::MIN, i64::MIN);
    loop {
        let page = sql::query(question).bind(place.0).bind(place.1).bind(place.2);
        let page = page.bind(time.from.secs()).bind(time.to.secs()).bind(PAGE);
        let rows = page.fetch_all(&mut *connection).await?;
        for row in &rows {
            let mut cells = Cells::of(row);
            let read = read(&mut cells);
            let (at, key, revenue) = read.map_err(|problem| StoreError::CorruptTable { table: "revenue", problem })?;
            sums.entry(key).or_default().add(&revenue.moves_in(time));
            place = at;
        }
        if i64::try_from(rows.len()).is_ok_and(|read| read < PAGE) {
            return Ok(());
        }
    }
}

type Place = (i64, i64, i64);

fn read(cells: &mut Cells<'_>) -> std::result::Result<(Place, RevenueKey, Revenue), Problem> {
    let place = (cells.int()?, cells.int()?, cells.int()?);
    let (currency, amount): (Currency, Micros) = (cells.currency()?, cells.micros()?);
    let (billed_at, earned_from) = (cells.time()?, cells.maybe_time()?);
    let span = Period::new(cells.time()?, cells.time()?);
    let basis: Option<Basis> = cells.maybe_json()?;
    let (anew, undone_at, by_hand) = (cells.flag()?, cells.maybe_time()?, cells.flag()?);
    let ordered = cells.maybe_text()?;
    let plan = basis.as_ref().and_then(Basis::plan).map(str::to_owned).or(ordered).filter(|_| !by_hand);
    // What was issued anew was earned by the invoice whose place it takes, until then.
    let known = if anew { billed_at } else { Timestamp::BEGINNING };
    let not_before = earned_from.map_or(known, |earned_from| earned_from.max(known));
    Ok((place, (currency.code().to_owned(), plan), Revenue { amount, span, billed_at, not_before, undone_at }))
}
