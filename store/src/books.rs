//! The books as people read them: entries, invoices and events with names, ordered by time, by the
//! account's name and as they took effect in it. Reading settles nothing.

use rules::{
    Account, AccountId, Basis, Buyer, Currency, LineKind, Micros, Period, StopReason, Timestamp, TransferKind,
};

use crate::cells::{Cells, Problem, required};
use crate::load::Scope;
use crate::runs::RunId;
use crate::sql::{self, Row, Transaction};
use crate::{Result, Store, StoreError};

/// A row of the ledger with the names of what it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LedgerRow {
    pub account: String,
    pub number: i64,
    pub kind: TransferKind,
    pub currency: Currency,
    pub amount: Micros,
    pub effective_at: Timestamp,
    pub recorded_at: Timestamp,
    pub service: Option<String>,
    pub invoice: Option<i64>,
    pub period: Option<Period>,
    pub basis: Option<Basis>,
    pub run: Option<RunId>,
    pub author: Option<String>,
    pub reason: Option<String>,
    /// The number of the transfer that it takes back.
    pub corrects: Option<i64>,
}

impl LedgerRow {
    /// What it did to the wallet; none if it passed it by.
    pub fn wallet_amount(&self) -> Option<Micros> {
        match self.kind.wallet_sign() {
            0 => None,
            sign => Some(Micros::new(sign * self.amount.get())),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvoiceRow {
    pub account_id: AccountId,
    pub account: String,
    pub number: i64,
    pub currency: Currency,
    pub issued_at: Timestamp,
    pub recorded_at: Timestamp,
    pub total: Micros,
    pub paid: Micros,
    pub credited: Micros,
    pub written_off: Micros,
    pub paid_at: Option<Timestamp>,
    pub credited_at: Option<Timestamp>,
    pub overdue: bool,
    /// Its public number, once it has one: the series and the place in it.
    pub public: Option<(String, i64)>,
    /// Of the credit note over it.
    pub credit_note: Option<(String, i64)>,
    /// As it was printed where it was issued, if that was elsewhere.
    pub printed: Option<String>,
    /// The total that was printed there: `total` is what was still open of it.
    pub printed_total: Option<Micros>,
    /// The credited invoice whose place it takes.
    pub reissues: Option<i64>,
    pub buyer: Buyer,
    pub lines: Vec<LineRow>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineRow {
    /// From 1 within the invoice.
    pub position: i64,
    pub service: String,
    pub kind: LineKind,
    pub period: Period,
    pub amount: Micros,
    pub basis: Basis,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventRow {
    pub account: String,
    pub number: i64,
    pub at: Timestamp,
    pub recorded_at: Timestamp,
    /// As in `service.created`.
    pub kind: String,
    pub reason: Option<StopReason>,
    pub service: Option<String>,
    pub invoice: Option<i64>,
}

/// The question about all accounts and the one about a single account: each has a plan of its own.
macro_rules! of_whom {
    ($columns_and_tables:expr, $key:literal, $order:literal) => {
        (
            concat!($columns_and_tables, " order by ", $order),
            concat!($columns_and_tables, " where ", $key, " = $1 order by ", $order),
        )
    };
}

macro_rules! select_ledger {
    () => {
        "select accounts.name, transfers.number, transfers.kind, transfers.currency, transfers.amount,
            transfers.effective_at, transfers.recorded_at, services.name, transfers.invoice, transfers.period_from,
            transfers.period_to, transfers.basis, transfers.run_id, transfers.author, transfers.reason,
            transfers.corrects
        from transfers join accounts on accounts.id = transfers.account_id
        left join services on services.account_id = transfers.account_id and services.number = transfers.service"
    };
}

const LEDGER: (&str, &str) =
    of_whom!(select_ledger!(), "transfers.account_id", "transfers.effective_at, accounts.name, transfers.number");

const TRANSFER: &str = concat!(select_ledger!(), " where transfers.account_id = $1 and transfers.number = $2");

macro_rules! select_invoices {
    () => {
        "select accounts.id, accounts.name, invoices.number, accounts.currency, invoices.issued_at,
            invoices.recorded_at, invoices.total, invoices.paid, invoices.credited, invoices.written_off,
            invoices.paid_at, invoices.credited_at, invoices.overdue, invoices.series, invoices.public_number,
            credit_notes.series, credit_notes.public_number, brought_in_invoices.printed,
            brought_in_invoices.printed_total,
            invoices.reissues, invoices.buyer
        from invoices join accounts on accounts.id = invoices.account_id
        left join credit_notes on credit_notes.account_id = invoices.account_id
            and credit_notes.invoice = invoices.number
        left join brought_in_invoices on brought_in_invoices.account_id = invoices.account_id
            and brought_in_invoices.number = invoices.number"
    };
}

const INVOICES: (&str, &str) =
    of_whom!(select_invoices!(), "invoices.account_id", "invoices.issued_at, accounts.name, invoices.number");

macro_rules! select_lines {
    () => {
        "select invoice_lines.position, services.name, invoice_lines.kind, invoice_lines.period_from,
            invoice_lines.period_to, invoice_lines.amount, invoice_lines.basis, accounts.name, invoice_lines.invoice
    from invoice_lines join accounts on accounts.id = invoice_lines.account_id
    join invoices on invoices.account_id = invoice_lines.account_id and invoices.number = invoice_lines.invoice
    join services on services.account_id = invoice_lines.account_id and services.number = invoice_lines.service"
    };
}

const LINES: (&str, &str) = of_whom!(
    select_lines!(),
    "invoice_lines.account_id",
    "invoices.issued_at, accounts.name, invoice_lines.invoice, invoice_lines.position"
);

macro_rules! select_events {
    () => {
        "select accounts.name, events.number, events.at, events.recorded_at, events.kind, events.reason,
            services.name, events.invoice
        from events join accounts on accounts.id = events.account_id
        left join services on services.account_id = events.account_id and services.number = events.service"
    };
}

const EVENTS: (&str, &str) = of_whom!(select_events!(), "events.account_id", "events.at, accounts.name, events.number");

pub(crate) use {select_events, select_invoices, select_ledger, select_lines};

impl Store {
    /// The ledger; [`LedgerRow::wallet_amount`] tells the wallet's entries.
    pub async fn ledger(&self, of: Option<AccountId>) -> Result<Vec<LedgerRow>> {
        let mut snapshot = self.snapshot().await?;
        read_all(&mut snapshot, LEDGER, of, "transfers", read_transfer).await
    }

    /// Invoices with their lines.
    pub async fn invoices(&self, of: Option<AccountId>) -> Result<Vec<InvoiceRow>> {
        let mut snapshot = self.snapshot().await?;
        let mut invoices = read_all(&mut snapshot, INVOICES, of, "invoices", read_invoice).await?;
        let lines = read_all(&mut snapshot, LINES, of, "invoice_lines", read_line).await?;
        // Both come in the same order, so each line belongs to the invoice at hand or to a later one.
        let mut at_hand = invoices.iter_mut().peekable();
        for (account, number, line) in lines {
            while at_hand.next_if(|invoice| (&invoice.account, invoice.number) != (&account, number)).is_some() {}
            if let Some(invoice) = at_hand.peek_mut() {
                invoice.lines.push(line);
            }
        }
        Ok(invoices)
    }

    pub async fn events(&self, of: Option<AccountId>) -> Result<Vec<EventRow>> {
        let mut snapshot = self.snapshot().await?;
        read_all(&mut snapshot, EVENTS, of, "events", read_event).await
    }

    /// One transfer, to explain it.
    pub async fn transfer(&self, account: AccountId, number: i64) -> Result<Option<LedgerRow>> {
        let row = sql::query(TRANSFER).bind(account.0).bind(number).fetch_optional(self.readers()).await?;
        row.map(|row| read_transfer(&mut Cells::of(&row))).transpose().map_err(|problem| StoreError::Corrupt {
            account,
            table: "transfers",
            problem,
        })
    }

    /// Accounts whole, with all their services, by name bytewise; `after` is the last name of the page before.
    pub async fn accounts_by_name(&self, after: &str, limit: u32) -> Result<Vec<Account>> {
        let ids: Vec<i64> = sql::query_scalar("select id from accounts where name > $1 order by name limit $2")
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        let ids: Vec<AccountId> = ids.into_iter().map(AccountId).collect();
        let loaded = self.accounts_load(&ids, Scope::All).await?;
        Ok(loaded.into_iter().collect::<std::result::Result<_, _>>()?)
    }
}

async fn read_all<T>(
    connection: &mut Transaction,
    (of_all, of_one): (&'static str, &'static str),
    of: Option<AccountId>,
    table: &'static str,
    read: fn(&mut Cells<'_>) -> std::result::Result<T, Problem>,
) -> Result<Vec<T>> {
    let query = match of {
        Some(account) => sql::query(of_one).bind(account.0),
        None => sql::query(of_all),
    };
    let rows: Vec<Row> = query.fetch_all(connection).await?;
    let read_rows = rows.iter().map(|row| read(&mut Cells::of(row)));
    read_rows.collect::<std::result::Result<_, _>>().map_err(|problem| StoreError::CorruptTable { table, problem })
}

pub fn read_transfer(cells: &mut Cells<'_>) -> std::result::Result<LedgerRow, Problem> {
    Ok(LedgerRow {
        account: cells.text()?,
        number: cells.int()?,
        kind: cells.name()?,
        currency: cells.currency()?,
        amount: cells.micros()?,
        effective_at: cells.time()?,
        recorded_at: cells.time()?,
        service: cells.maybe_text()?,
        invoice: cells.maybe_int()?,
        period: cells.maybe_period()?,
        basis: cells.maybe_json()?,
        run: cells.maybe_int()?.map(RunId),
        author: cells.maybe_text()?,
        reason: cells.maybe_text()?,
        corrects: cells.maybe_int()?,
    })
}

fn read_public(cells: &mut Cells<'_>) -> std::result::Result<Option<(String, i64)>, Problem> {
    Ok(cells.maybe_text()?.zip(cells.maybe_int()?))
}

pub fn read_invoice(cells: &mut Cells<'_>) -> std::result::Result<InvoiceRow, Problem> {
    Ok(InvoiceRow {
        account_id: AccountId(cells.int()?),
        account: cells.text()?,
        number: cells.int()?,
        currency: cells.currency()?,
        issued_at: cells.time()?,
        recorded_at: cells.time()?,
        total: cells.micros()?,
        paid: cells.micros()?,
        credited: cells.micros()?,
        written_off: cells.micros()?,
        paid_at: cells.maybe_time()?,
        credited_at: cells.maybe_time()?,
        overdue: cells.flag()?,
        public: read_public(cells)?,
        credit_note: read_public(cells)?,
        printed: cells.maybe_text()?,
        printed_total: cells.maybe_micros()?,
        reissues: cells.maybe_int()?,
        buyer: cells.maybe_json()?.unwrap_or_default(),
        lines: Vec::new(),
    })
}

pub fn read_line(cells: &mut Cells<'_>) -> std::result::Result<(String, i64, LineRow), Problem> {
    let line = LineRow {
        position: cells.int()?,
        service: cells.text()?,
        kind: cells.name()?,
        period: required(cells.maybe_period()?, "period_from")?,
        amount: cells.micros()?,
        basis: cells.json()?,
    };
    Ok((cells.text()?, cells.int()?, line))
}

pub fn read_event(cells: &mut Cells<'_>) -> std::result::Result<EventRow, Problem> {
    Ok(EventRow {
        account: cells.text()?,
        number: cells.int()?,
        at: cells.time()?,
        recorded_at: cells.time()?,
        kind: cells.text()?,
        reason: cells.maybe_name()?,
        service: cells.maybe_text()?,
        invoice: cells.maybe_int()?,
    })
}
