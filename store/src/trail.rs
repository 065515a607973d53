//! The trail of one account: its statement, what is new on it, what became of a service. Everything is read
//! by the account's key.

use rules::{Account, AccountId, Micros, Period, ServiceNumber, Timestamp};

use crate::books::{EventRow, LedgerRow, read_event, read_transfer, select_events, select_ledger};
use crate::load::{self, Scope};
use crate::pages::read_rows;
use crate::{Result, Store, StoreError};

/// A wallet over a range of time, as of the account's settled second.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    pub account: Account,
    /// The wallet before the range.
    pub opening: Micros,
    /// What moved the wallet in the range.
    pub entries: Vec<LedgerRow>,
}

const WALLET_BEFORE: &str = "select cast(coalesce(sum(
        case when credit = 'wallet' then amount when debit = 'wallet' then -amount else 0 end
    ), 0) as bigint)
    from transfers where account_id = $1 and effective_at < $2";

const WALLET_ENTRIES: &str = concat!(
    select_ledger!(),
    " where transfers.account_id = $1 and transfers.effective_at >= $2 and transfers.effective_at < $3
        and (transfers.credit = 'wallet' or transfers.debit = 'wallet')
    order by transfers.effective_at, transfers.number"
);

const WALLET_ENTRY_BEFORE: &str = concat!(
    select_ledger!(),
    " where transfers.account_id = $1 and transfers.effective_at < $2
        and (transfers.credit = 'wallet' or transfers.debit = 'wallet')
    order by transfers.number desc limit 1"
);

const ISSUE_OF: &str = concat!(
    select_ledger!(),
    " where transfers.account_id = $1 and transfers.invoice = $2 and transfers.kind = 'invoice_issued'"
);

const TRANSFERS_FROM: &str =
    concat!(select_ledger!(), " where transfers.account_id = $1 and transfers.number >= $2 order by transfers.number");

const EVENTS_FROM: &str =
    concat!(select_events!(), " where events.account_id = $1 and events.number >= $2 order by events.number");

const EVENT: &str = concat!(select_events!(), " where events.account_id = $1 and events.number = $2");

const EVENT_BEFORE: &str = concat!(
    select_events!(),
    " where events.account_id = $1 and events.number < $2 and events.kind = $3
        and (events.service = $4 or $5 = 0) order by events.number desc limit 1"
);

const TRANSFERS_OF_SERVICE: &str = concat!(
    select_ledger!(),
    " where transfers.account_id = $1 and transfers.service = $2 and transfers.effective_at <= $3
    order by transfers.number desc limit $4"
);

const EVENTS_OF_SERVICE: &str = concat!(
    select_events!(),
    " where events.account_id = $1 and events.service = $2 order by events.number desc limit $3"
);

impl Store {
    /// The wallet's entries in `range`, with what it was before: one state of the books.
    pub async fn statement(&self, account: AccountId, range: Period) -> Result<Statement> {
        let mut snapshot = self.snapshot().await?;
        let loaded = load::accounts(&mut snapshot, &[account], Scope::Unfinished).await?.pop();
        let missing = || StoreError::NotFound { what: "account", key: account.0.to_string() };
        let whole = loaded.ok_or_else(missing)??;
        let opening: i64 =
            sqlx::query_scalar(WALLET_BEFORE).bind(account.0).bind(range.from.secs()).fetch_one(&mut *snapshot).await?;
        let entries = sqlx::query(WALLET_ENTRIES)
            .bind(account.0)
            .bind(range.from.secs())
            .bind(range.to.secs())
            .fetch_all(&mut *snapshot)
            .await?;
        let entries = read_rows("transfers", &entries, read_transfer)?;
        Ok(Statement { account: whole, opening: Micros::new(opening), entries })
    }

    /// The account's transfers and events from these numbers on.
    pub async fn trail_from(
        &self,
        account: AccountId,
        transfer: i64,
        event: i64,
    ) -> Result<(Vec<LedgerRow>, Vec<EventRow>)> {
        let mut snapshot = self.snapshot().await?;
        let transfers = sqlx::query(TRANSFERS_FROM).bind(account.0).bind(transfer).fetch_all(&mut *snapshot).await?;
        let transfers = read_rows("transfers", &transfers, read_transfer)?;
        let events = sqlx::query(EVENTS_FROM).bind(account.0).bind(event).fetch_all(&mut *snapshot).await?;
        Ok((transfers, read_rows("events", &events, read_event)?))
    }

    /// The last entry of the wallet before `at`.
    pub async fn wallet_entry_before(&self, account: AccountId, at: Timestamp) -> Result<Option<LedgerRow>> {
        let row =
            sqlx::query(WALLET_ENTRY_BEFORE).bind(account.0).bind(at.secs()).fetch_optional(self.readers()).await?;
        Ok(read_rows("transfers", row.as_slice(), read_transfer)?.pop())
    }

    /// The transfer that an invoice was booked with; one over nothing has none.
    pub async fn issue_of(&self, account: AccountId, invoice: i64) -> Result<Option<LedgerRow>> {
        let row = sqlx::query(ISSUE_OF).bind(account.0).bind(invoice).fetch_optional(self.readers()).await?;
        Ok(read_rows("transfers", row.as_slice(), read_transfer)?.pop())
    }

    /// One event, to explain it.
    pub async fn event(&self, account: AccountId, number: i64) -> Result<Option<EventRow>> {
        let row = sqlx::query(EVENT).bind(account.0).bind(number).fetch_optional(self.readers()).await?;
        Ok(read_rows("events", row.as_slice(), read_event)?.pop())
    }

    /// The last event of that kind before another one, of a service or of any.
    pub async fn event_before(
        &self,
        account: AccountId,
        number: i64,
        kind: &str,
        service: Option<ServiceNumber>,
    ) -> Result<Option<EventRow>> {
        let row = sqlx::query(EVENT_BEFORE)
            .bind(account.0)
            .bind(number)
            .bind(kind)
            .bind(service.unwrap_or_default())
            .bind(i64::from(service.is_some()))
            .fetch_optional(self.readers())
            .await?;
        Ok(read_rows("events", row.as_slice(), read_event)?.pop())
    }

    /// The newest transfers of a service up to `until`, the newest first.
    pub async fn transfers_of_service(
        &self,
        account: AccountId,
        service: ServiceNumber,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<LedgerRow>> {
        let rows = sqlx::query(TRANSFERS_OF_SERVICE)
            .bind(account.0)
            .bind(service)
            .bind(until.secs())
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        read_rows("transfers", &rows, read_transfer)
    }

    /// The newest events of a service, the newest first.
    pub async fn events_of_service(
        &self,
        account: AccountId,
        service: ServiceNumber,
        limit: u32,
    ) -> Result<Vec<EventRow>> {
        let rows = sqlx::query(EVENTS_OF_SERVICE)
            .bind(account.0)
            .bind(service)
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        read_rows("events", &rows, read_event)
    }
}
