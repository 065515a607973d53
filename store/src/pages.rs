//! Accounts, services and invoices as lists: page by page behind the last one seen, so that no page costs
//! more than its rows. Reading settles nothing.

use rules::{AccountId, Currency, Micros, Mode, Service, Standing, Timestamp};

use crate::books::{InvoiceRow, read_invoice, read_line, select_invoices, select_lines};
use crate::cells::{Cells, Problem};
use crate::load::read_standing;
use crate::sql::{self, Builder, Row};
use crate::{Result, Store, StoreError, service_row};

/// An account in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountRow {
    pub id: AccountId,
    pub name: String,
    pub currency: Currency,
    pub standing: Standing,
    pub wallet: Micros,
    /// What is still to pay of its invoices.
    pub open: Micros,
    pub settled_at: Timestamp,
}

/// A service with what its account knows of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceRow {
    pub account_id: AccountId,
    pub account: String,
    pub currency: Currency,
    /// See [`Service::paid_until`].
    pub daily_paid_until: Timestamp,
    pub settled_at: Timestamp,
    pub service: Service,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ServiceFilter<'a> {
    pub account: Option<AccountId>,
    pub state: Option<&'a str>,
    pub mode: Option<Mode>,
    /// Without those that customers don't see any more (rule 5.8).
    pub shown_only: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InvoiceState {
    Open,
    Overdue,
    Paid,
}

const PRINTED: &str = "select a.id, a.name, d.number from (
        select account_id, number from invoices where series = $1 and public_number = $2
        union select account_id, invoice from credit_notes where series = $1 and public_number = $2
        union select account_id, number from brought_in_invoices where printed = $3
    ) d join accounts a on a.id = d.account_id order by a.id, d.number";

impl Store {
    /// Accounts by name, bytewise, behind `after`.
    pub async fn accounts_page(&self, state: Option<&str>, after: &str, limit: u32) -> Result<Vec<AccountRow>> {
        let mut statement = Builder::new(
            "select id, name, currency, state, suspended_for, wallet, (
                select cast(coalesce(sum(total - paid - credited - written_off), 0) as bigint) from invoices
                where invoices.account_id = accounts.id and paid_at is null
            ), settled_at from accounts where name > ",
        );
        statement.push_bind(after);
        if let Some(state) = state {
            statement.push(" and state = ").push_bind(state);
        }
        statement.push(" order by name limit ").push_bind(i64::from(limit));
        let rows = statement.build().fetch_all(self.readers()).await?;
        read_rows("accounts", &rows, |cells| {
            Ok(AccountRow {
                id: AccountId(cells.int()?),
                name: cells.text()?,
                currency: cells.currency()?,
                standing: read_standing(cells)?,
                wallet: cells.micros()?,
                open: cells.micros()?,
                settled_at: cells.time()?,
            })
        })
    }

    /// Services by name, bytewise, behind `after`.
    pub async fn services_page(&self, filter: &ServiceFilter<'_>, after: &str, limit: u32) -> Result<Vec<ServiceRow>> {
        let mut statement = services_of("name > ");
        statement.push_bind(after);
        if let Some(account) = filter.account {
            statement.push(" and account_id = ").push_bind(account.0);
        }
        if let Some(state) = filter.state {
            statement.push(" and state = ").push_bind(state);
        }
        if let Some(mode) = filter.mode {
            statement.push(" and mode = ").push_bind(mode.name());
        }
        if filter.shown_only {
            statement.push(" and state not in ('cancelled', 'removal_queued', 'removed', 'deleted', 'terminated')");
        }
        statement.push(" order by name limit ").push_bind(i64::from(limit));
        read_rows("services", &statement.build().fetch_all(self.readers()).await?, read_service)
    }

    /// The service of that name.
    pub async fn service(&self, name: &str) -> Result<Option<ServiceRow>> {
        let mut statement = services_of("name = ");
        statement.push_bind(name);
        let row = statement.build().fetch_optional(self.readers()).await?;
        Ok(read_rows("services", row.as_slice(), read_service)?.pop())
    }

    /// The service of that number within its account.
    pub async fn service_numbered(&self, account: AccountId, number: i64) -> Result<Option<ServiceRow>> {
        let mut statement = services_of("account_id = ");
        statement.push_bind(account.0).push(" and number = ").push_bind(number);
        let row = statement.build().fetch_optional(self.readers()).await?;
        Ok(read_rows("services", row.as_slice(), read_service)?.pop())
    }

    /// Invoices without their lines, in the order of accounts and their numbers, behind `after`.
    pub async fn invoices_page(
        &self,
        of: Option<AccountId>,
        state: Option<InvoiceState>,
        after: (AccountId, i64),
        limit: u32,
    ) -> Result<Vec<InvoiceRow>> {
        let (account, number) = after;
        let mut statement = Builder::new(select_invoices!());
        statement.push(" where (invoices.account_id, invoices.number) > (").push_bind(account.0);
        statement.push(", ").push_bind(number).push(")");
        if let Some(account) = of {
            statement.push(" and invoices.account_id = ").push_bind(account.0);
        }
        statement.push(match state {
            None => "",
            Some(InvoiceState::Paid) => " and invoices.paid_at is not null",
            Some(InvoiceState::Open) => " and invoices.paid_at is null",
            Some(InvoiceState::Overdue) => " and invoices.paid_at is null and invoices.overdue",
        });
        statement.push(" order by invoices.account_id, invoices.number limit ").push_bind(i64::from(limit));
        read_rows("invoices", &statement.build().fetch_all(self.readers()).await?, read_invoice)
    }

    /// Invoices of an account by their numbers, without their lines.
    pub async fn invoices_numbered(&self, account: AccountId, numbers: &[i64]) -> Result<Vec<InvoiceRow>> {
        const AT_ONCE: usize = 1_024;
        let mut found = Vec::new();
        for numbers in numbers.chunks(AT_ONCE) {
            let mut statement = Builder::new(select_invoices!());
            statement.push(" where invoices.account_id = ").push_bind(account.0).push(" and invoices.number");
            statement.push_set(numbers.to_vec());
            found.extend(read_rows("invoices", &statement.build().fetch_all(self.readers()).await?, read_invoice)?);
        }
        Ok(found)
    }

    /// The invoices with this printed number, of their own, of their credit note or of where they were issued:
    /// their accounts and numbers there.
    pub async fn invoices_printed(&self, printed: &str) -> Result<Vec<(AccountId, String, i64)>> {
        let (series, number) = printed.rsplit_once('-').unwrap_or_default();
        let number: i64 = number.parse().unwrap_or(-1);
        let rows: Vec<(i64, String, i64)> =
            sql::query_as(PRINTED).bind(series).bind(number).bind(printed).fetch_all(self.readers()).await?;
        Ok(rows.into_iter().map(|(account, name, number)| (AccountId(account), name, number)).collect())
    }

    /// One invoice with its lines.
    pub async fn invoice(&self, account: AccountId, number: i64) -> Result<Option<InvoiceRow>> {
        let mut snapshot = self.snapshot().await?;
        let row = sql::query(concat!(select_invoices!(), " where invoices.account_id = $1 and invoices.number = $2"))
            .bind(account.0)
            .bind(number)
            .fetch_optional(&mut snapshot)
            .await?;
        let Some(mut invoice) = read_rows("invoices", row.as_slice(), read_invoice)?.pop() else { return Ok(None) };
        let lines = sql::query(concat!(
            select_lines!(),
            " where invoice_lines.account_id = $1 and invoice_lines.invoice = $2 order by invoice_lines.position"
        ))
        .bind(account.0)
        .bind(number)
        .fetch_all(&mut snapshot)
        .await?;
        invoice.lines = read_rows("invoice_lines", &lines, |cells| Ok(read_line(cells)?.2))?;
        Ok(Some(invoice))
    }
}

/// The columns of a service stand first, as [`service_row::read`] takes them.
fn services_of<'v>(condition: &str) -> Builder<'v> {
    let mut statement = Builder::new("select ");
    statement.push(service_row::COLUMNS);
    statement.push(
        ", owner.owner_name, owner.currency, owner.daily_paid_until, owner.settled_at from services
        join (
            select id, name as owner_name, currency, daily_paid_until, settled_at from accounts
        ) owner on owner.id = services.account_id
        where ",
    );
    statement.push(condition);
    statement
}

fn read_service(cells: &mut Cells<'_>) -> std::result::Result<ServiceRow, Problem> {
    let account_id = AccountId(cells.int()?);
    let service = service_row::read(cells)?;
    Ok(ServiceRow {
        account_id,
        account: cells.text()?,
        currency: cells.currency()?,
        daily_paid_until: cells.time()?,
        settled_at: cells.time()?,
        service,
    })
}

/// All rows, or which table cannot be read.
pub fn read_rows<T>(
    table: &'static str,
    rows: &[Row],
    read: impl Fn(&mut Cells<'_>) -> std::result::Result<T, Problem>,
) -> Result<Vec<T>> {
    let read_ones = rows.iter().map(|row| read(&mut Cells::of(row)));
    read_ones.collect::<std::result::Result<_, _>>().map_err(|problem| StoreError::CorruptTable { table, problem })
}
