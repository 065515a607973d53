//! Every row read, and every amount computed again from what it says it was computed from, at the prices of the lists.

use rules::{Basis, Currency, LineKind, Micros, Period, StopReason, TransferKind, round_to_micros, round_to_minor};

use super::Violation;
use super::pages::each;
use super::prices::Prices;
use crate::Result;
use crate::cells::{Cells, Problem};
use crate::sql::Transaction;

const TRANSFERS: &str =
    "select account_id, number, cast(0 as bigint), kind, currency, amount, basis, effective_at, recorded_at,
    period_from, period_to from transfers
    where (account_id, number) > ($1, $2) and $3 = $3 and account_id <= $4 order by account_id, number limit $5";

const LINES: &str = "select l.account_id, l.invoice, l.position, l.kind, a.currency, l.amount, l.basis, i.recorded_at,
        l.period_from, l.period_to
    from invoice_lines l join accounts a on a.id = l.account_id
    join invoices i on i.account_id = l.account_id and i.number = l.invoice
    where (l.account_id, l.invoice, l.position) > ($1, $2, $3) and l.account_id <= $4
    order by l.account_id, l.invoice, l.position limit $5";

const EVENTS: &str = "select account_id, number, cast(0 as bigint), at, recorded_at, reason from events
    where (account_id, number) > ($1, $2) and $3 = $3 and account_id <= $4 order by account_id, number limit $5";

const INVOICES: &str = "select i.account_id, i.number, cast(0 as bigint), i.issued_at, i.recorded_at, i.paid_at,
        i.reissues is null and b.number is null
    from invoices i left join brought_in_invoices b on b.account_id = i.account_id and b.number = i.number
    where (i.account_id, i.number) > ($1, $2) and $3 = $3 and i.account_id <= $4
    order by i.account_id, i.number limit $5";

/// Looks at the accounts from the first to the last id of `range`.
pub async fn check(
    connection: &mut Transaction,
    range: (i64, i64),
    prices: &Prices,
    found: &mut Vec<Violation>,
) -> Result<()> {
    ask(connection, TRANSFERS, range, found, |number, cells| transfer(number, cells, prices)).await?;
    ask(connection, LINES, range, found, |invoice, cells| line(invoice, cells, prices)).await?;
    ask(connection, EVENTS, range, found, event).await?;
    ask(connection, INVOICES, range, found, invoice).await
}

/// What is wrong with a row: the invariant, and in which way.
type Wrong = (&'static str, String);

type Looked = std::result::Result<Vec<Wrong>, Problem>;

async fn ask(
    connection: &mut Transaction,
    question: &'static str,
    range: (i64, i64),
    found: &mut Vec<Violation>,
    check: impl Fn(i64, &mut Cells<'_>) -> Looked,
) -> Result<()> {
    each(connection, question, range, |(account, number, _), cells| {
        let account = Some(rules::AccountId(account));
        match check(number, cells) {
            Ok(wrong) => {
                found.extend(wrong.into_iter().map(|(invariant, detail)| Violation::of(account, invariant, detail)));
            }
            Err(detail) => found.push(Violation::of(account, "row_is_readable", detail)),
        }
    })
    .await
}

fn transfer(number: i64, cells: &mut Cells<'_>, prices: &Prices) -> Looked {
    let what = format!("transfer {number}");
    let kind: TransferKind = cells.name()?;
    let (currency, amount) = (cells.currency()?, cells.micros()?);
    let basis: Option<Basis> = cells.maybe_json()?;
    let (_, recorded_at, period) = (cells.time()?, cells.time()?, cells.maybe_period()?);
    let Some(basis) = basis else {
        let needs_one = matches!(kind, TransferKind::Period | TransferKind::Upgrade | TransferKind::Downgrade);
        return Ok(if needs_one { vec![("amount_has_a_basis", what)] } else { Vec::new() });
    };
    let computed = match kind {
        TransferKind::CardCredit => round_to_minor(&basis.exact(), currency),
        // A downgrade's difference is negative, and its transfer moves the other way.
        TransferKind::Downgrade => round_to_micros(&basis.exact()).map(Micros::abs),
        _ => round_to_micros(&basis.exact()),
    };
    let price = prices.differs(&basis, period, recorded_at).map(|why| ("price_is_its_lists", format!("{what}: {why}")));
    Ok(differs(&what, amount, computed.ok()).into_iter().chain(price).collect())
}

fn line(invoice: i64, cells: &mut Cells<'_>, prices: &Prices) -> Looked {
    let what = format!("a line of invoice {invoice}");
    let _: LineKind = cells.name()?;
    let (currency, amount): (Currency, Micros) = (cells.currency()?, cells.micros()?);
    let basis: Basis = cells.json()?;
    let (recorded_at, period): (_, Option<Period>) = (cells.time()?, cells.maybe_period()?);
    let price = prices.differs(&basis, period, recorded_at).map(|why| ("price_is_its_lists", format!("{what}: {why}")));
    let computed = round_to_minor(&basis.exact(), currency).ok();
    Ok(differs(&what, amount, computed).into_iter().chain(price).collect())
}

fn event(_: i64, cells: &mut Cells<'_>) -> Looked {
    let _written = (cells.time()?, cells.time()?);
    let _: Option<StopReason> = cells.maybe_name()?;
    Ok(Vec::new())
}

fn invoice(number: i64, cells: &mut Cells<'_>) -> Looked {
    let (issued_at, _, _) = (cells.time()?, cells.time()?, cells.maybe_time()?);
    if cells.flag()? && issued_at != issued_at.month_start() {
        return Ok(vec![("month_is_invoiced_once", format!("invoice {number} was issued at {issued_at}"))]);
    }
    Ok(Vec::new())
}

fn differs(what: &str, amount: Micros, computed: Option<Micros>) -> Option<Wrong> {
    if computed == Some(amount) {
        return None;
    }
    let computed = computed.map_or("nothing that fits".to_owned(), |computed| computed.to_string());
    Some(("amount_follows_from_its_basis", format!("{what}: {amount}, its basis comes to {computed}")))
}
