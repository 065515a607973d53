//! What an action takes back, as it stands in the books: loaded for that action alone.

use rules::{Account, Action, Buyer, Kind, Line, Micros, Past, Transfer};

use crate::Result;
use crate::cells::{Cells, Problem, required};
use crate::sql::{self, Transaction};

/// All that was booked for a service since the charge of the period that begins at $3.
const CHARGES: &str = "select number, kind, amount, effective_at, period_from, period_to, basis from transfers
    where account_id = $1 and service = $2 and number >= (
        select max(number) from transfers
        where period_from = $3 and account_id = $1 and service = $2 and kind = 'period'
    ) order by number";

const LINES: &str = "select service, kind, period_from, period_to, amount, basis from invoice_lines
    where account_id = $1 and invoice = $2 order by position";

const REISSUE: &str = "select reissue from invoices where account_id = $1 and number = $2";

const PAID_BY_CARD: &str = "select cast(coalesce(sum(amount), 0) as bigint) from transfers
    where account_id = $1 and invoice = $2 and kind = 'invoice_paid_by_card'";

const BUYER: &str = "select email, person, address, company, tax_id from account_details where account_id = $1";

/// What an invoice says of its buyer, in the order of those columns.
pub const BUYER_KEYS: [&str; 5] = ["email", "name", "address", "company", "tax_id"];

/// For an account whose services are loaded already.
pub async fn of(
    connection: &mut Transaction,
    account: &Account,
    action: &Action,
) -> Result<std::result::Result<Past, Problem>> {
    match action {
        Action::Void { service, .. } => of_service(connection, account, service).await,
        Action::CreditInvoice { invoice, .. } => of_invoice(connection, account, *invoice).await,
        _ => Ok(Ok(Past::default())),
    }
}

async fn of_service(
    connection: &mut Transaction,
    account: &Account,
    name: &str,
) -> Result<std::result::Result<Past, Problem>> {
    let none = Ok(Ok(Past::default()));
    let Some(service) = account.service(name) else { return none };
    let paid = match &service.kind {
        Kind::Daily(daily) => daily.paid_period(account.daily_paid_until),
        Kind::Term(term) => term.paid,
        Kind::Server(_) => return none,
    };
    let charges = sql::query(CHARGES).bind(account.id.0).bind(service.number).bind(paid.from.secs());
    let rows = charges.fetch_all(connection).await?;
    let charges = rows.iter().map(|row| read_charge(&mut Cells::of(row), service.number));
    Ok(charges.collect::<std::result::Result<_, _>>().map(|charges| Past { charges, ..Past::default() }))
}

async fn of_invoice(
    connection: &mut Transaction,
    account: &Account,
    number: i64,
) -> Result<std::result::Result<Past, Problem>> {
    let rows = sql::query(LINES).bind(account.id.0).bind(number).fetch_all(&mut *connection).await?;
    let issued = sql::query(REISSUE).bind(account.id.0).bind(number).fetch_optional(&mut *connection).await?;
    let by_card: i64 =
        sql::query_scalar(PAID_BY_CARD).bind(account.id.0).bind(number).fetch_one(&mut *connection).await?;
    let details = sql::query(BUYER).bind(account.id.0).fetch_optional(&mut *connection).await?;
    let read = || -> std::result::Result<Past, Problem> {
        let lines = rows.iter().map(|row| read_line(&mut Cells::of(row))).collect::<std::result::Result<_, _>>()?;
        let Some(row) = &issued else { return Ok(Past::default()) };
        let reissued = Cells::of(row).small()?;
        let buyer = details.as_ref().map(|row| read_buyer(&mut Cells::of(row))).transpose()?.unwrap_or_default();
        Ok(Past { lines, reissued, paid_by_card: Micros::new(by_card), buyer, ..Past::default() })
    };
    Ok(read())
}

pub fn read_buyer(cells: &mut Cells<'_>) -> std::result::Result<Buyer, Problem> {
    let mut buyer = Buyer::new();
    for key in BUYER_KEYS {
        buyer.extend(cells.maybe_text()?.map(|value| (key.to_owned(), value)));
    }
    Ok(buyer)
}

fn read_charge(cells: &mut Cells<'_>, service: i64) -> std::result::Result<Transfer, Problem> {
    Ok(Transfer {
        number: cells.int()?,
        kind: cells.name()?,
        amount: cells.micros()?,
        effective_at: cells.time()?,
        period: cells.maybe_period()?,
        basis: cells.maybe_json()?,
        service: Some(service),
        invoice: None,
        author: None,
        reason: None,
        corrects: None,
    })
}

fn read_line(cells: &mut Cells<'_>) -> std::result::Result<Line, Problem> {
    Ok(Line {
        service: cells.int()?,
        kind: cells.name()?,
        period: required(cells.maybe_period()?, "period_from")?,
        amount: cells.micros()?,
        basis: cells.json()?,
    })
}
