//! Every row read, and every amount computed again from what it says it was computed from.

use rules::{Basis, Currency, LineKind, Micros, StopReason, TransferKind, round_to_micros, round_to_minor};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::Violation;
use crate::Result;
use crate::cells::{Cells, Problem};

const TRANSFERS: &str = "select account_id, number, kind, currency, amount, basis, effective_at, recorded_at,
    period_from, period_to from transfers
    where account_id between $1 and $2";

const LINES: &str = "select l.account_id, l.invoice, l.kind, a.currency, l.amount, l.basis, l.period_from, l.period_to
    from invoice_lines l join accounts a on a.id = l.account_id
    where l.account_id between $1 and $2";

const EVENTS: &str = "select account_id, at, recorded_at, reason from events where account_id between $1 and $2";

const INVOICES: &str = "select account_id, issued_at, recorded_at, paid_at from invoices
    where account_id between $1 and $2";

/// Looks at the accounts from the first to the last id of `range`.
pub async fn check(connection: &mut SqliteConnection, range: (i64, i64), found: &mut Vec<Violation>) -> Result<()> {
    ask(connection, TRANSFERS, range, found, transfer).await?;
    ask(connection, LINES, range, found, line).await?;
    ask(connection, EVENTS, range, found, event).await?;
    ask(connection, INVOICES, range, found, invoice).await
}

/// What is wrong with a row: the invariant, and in which way.
type Wrong = (&'static str, String);

async fn ask(
    connection: &mut SqliteConnection,
    question: &'static str,
    (first, last): (i64, i64),
    found: &mut Vec<Violation>,
    check: fn(&mut Cells<'_>) -> std::result::Result<Option<Wrong>, Problem>,
) -> Result<()> {
    let rows: Vec<SqliteRow> = sqlx::query(question).bind(first).bind(last).fetch_all(connection).await?;
    for row in &rows {
        let mut cells = Cells::of(row);
        let account = cells.int().ok().map(rules::AccountId);
        match check(&mut cells) {
            Ok(None) => {}
            Ok(Some((invariant, detail))) => found.push(Violation::of(account, invariant, detail)),
            Err(detail) => found.push(Violation::of(account, "row_is_readable", detail)),
        }
    }
    Ok(())
}

fn transfer(cells: &mut Cells<'_>) -> std::result::Result<Option<Wrong>, Problem> {
    let (number, kind): (i64, TransferKind) = (cells.int()?, cells.name()?);
    let (currency, amount) = (cells.currency()?, cells.micros()?);
    let basis: Option<Basis> = cells.maybe_json()?;
    let _written = (cells.time()?, cells.time()?, cells.maybe_period()?);
    let computed = match (&basis, kind) {
        (Some(basis), TransferKind::CardCredit) => round_to_minor(&basis.exact(), currency),
        (Some(basis), _) => round_to_micros(&basis.exact()),
        (None, TransferKind::Period | TransferKind::Upgrade | TransferKind::Downgrade) => {
            return Ok(Some(("amount_has_a_basis", format!("transfer {number}"))));
        }
        (None, _) => return Ok(None),
    };
    // A downgrade's difference is negative, and its transfer moves the other way.
    let computed = if kind == TransferKind::Downgrade { computed.map(Micros::abs) } else { computed };
    Ok(differs(&format!("transfer {number}"), amount, computed.ok()))
}

fn line(cells: &mut Cells<'_>) -> std::result::Result<Option<Wrong>, Problem> {
    let invoice = cells.int()?;
    let _: LineKind = cells.name()?;
    let (currency, amount): (Currency, Micros) = (cells.currency()?, cells.micros()?);
    let basis: Basis = cells.json()?;
    let _written = cells.maybe_period()?;
    Ok(differs(&format!("a line of invoice {invoice}"), amount, round_to_minor(&basis.exact(), currency).ok()))
}

fn event(cells: &mut Cells<'_>) -> std::result::Result<Option<Wrong>, Problem> {
    let _written = (cells.time()?, cells.time()?);
    let _: Option<StopReason> = cells.maybe_name()?;
    Ok(None)
}

fn invoice(cells: &mut Cells<'_>) -> std::result::Result<Option<Wrong>, Problem> {
    let _written = (cells.time()?, cells.time()?, cells.maybe_time()?);
    Ok(None)
}

fn differs(what: &str, amount: Micros, computed: Option<Micros>) -> Option<Wrong> {
    if computed == Some(amount) {
        return None;
    }
    let computed = computed.map_or("nothing that fits".to_owned(), |computed| computed.to_string());
    Some(("amount_follows_from_its_basis", format!("{what}: {amount}, its basis comes to {computed}")))
}
