//! The trail of one account: its statement, what is new on it, what became of a service. Everything is read
//! by the account's key.

use rules::{Account, AccountId, Micros, Period, ServiceNumber, Timestamp};

use crate::books::{EventRow, LedgerRow, read_event, read_transfer, select_events, select_ledger};
use crate::load::{self, Scope};
use crate::pages::read_rows;
use crate::sql;
use crate::{Result, Store, StoreError};

/// A wallet over a range of time, as of the account's settled second: the newest of its entries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    pub account: Account,
    /// The wallet before the first of the entries.
    pub opening: Micros,
    /// What moved the wallet in the range.
    pub entries: Vec<LedgerRow>,
    /// Whether the range has older ones.
    pub has_older: bool,
}

/// Before the second $2, or before the entry $3.
const WALLET_BEFORE: &str = "select cast(coalesce(sum(
        case when credit = 'wallet' then amount when debit = 'wallet' then -amount else 0 end
    ), 0) as bigint)
    from transfers where account_id = $1 and effective_at < $2 and number < $3";

/// An account's numbers rise with its seconds.
const WALLET_ENTRIES: &str = concat!(
    select_ledger!(),
    " where transfers.account_id = $1 and transfers.effective_at >= $2 and transfers.effective_at < $3
        and transfers.number < $4 and (transfers.credit = 'wallet' or transfers.debit = 'wallet')
    order by transfers.number desc limit $5"
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

const EVENTS_PAGE: &str =
    concat!(select_events!(), " where events.account_id = $1 and events.number > $2 order by events.number limit $3");

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
    /// The newest of the wallet's entries in `range` before the one numbered `before`, at most `limit`, and what
    /// the wallet was before them: one state of the books.
    pub async fn statement(
        &self,
        account: AccountId,
        range: Period,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Statement> {
        let mut snapshot = self.snapshot().await?;
        let loaded = load::accounts(&mut snapshot, &[account], Scope::Unfinished).await?.pop();
        let missing = || StoreError::NotFound { what: "account", key: account.0.to_string() };
        let whole = loaded.ok_or_else(missing)??;
        let before = before.unwrap_or(i64::MAX);
        let entries = sql::query(WALLET_ENTRIES)
            .bind(account.0)
            .bind(range.from.secs())
            .bind(range.to.secs())
            .bind(before)
            .bind(i64::from(limit) + 1)
            .fetch_all(&mut snapshot)
            .await?;
        let mut entries = read_rows("transfers", &entries, read_transfer)?;
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_older = entries.len() > shown;
        entries.truncate(shown);
        entries.reverse();
        let (until, first) = match entries.first() {
            Some(first) => (i64::MAX, first.number),
            None => (range.from.secs(), before),
        };
        let opening = sql::query_scalar(WALLET_BEFORE).bind(account.0).bind(until).bind(first);
        let opening: i64 = opening.fetch_one(&mut snapshot).await?;
        Ok(Statement { account: whole, opening: Micros::new(opening), entries, has_older })
    }

    /// The account's transfers and events from these numbers on.
    pub async fn trail_from(
        &self,
        account: AccountId,
        transfer: i64,
        event: i64,
    ) -> Result<(Vec<LedgerRow>, Vec<EventRow>)> {
        let mut snapshot = self.snapshot().await?;
        let transfers = sql::query(TRANSFERS_FROM).bind(account.0).bind(transfer).fetch_all(&mut snapshot).await?;
        let transfers = read_rows("transfers", &transfers, read_transfer)?;
        let events = sql::query(EVENTS_FROM).bind(account.0).bind(event).fetch_all(&mut snapshot).await?;
        Ok((transfers, read_rows("events", &events, read_event)?))
    }

    /// The last entry of the wallet before `at`.
    pub async fn wallet_entry_before(&self, account: AccountId, at: Timestamp) -> Result<Option<LedgerRow>> {
        Ok(self.transfers_asked(WALLET_ENTRY_BEFORE, &[account.0, at.secs()]).await?.pop())
    }

    /// The transfer that an invoice was booked with; one over nothing has none.
    pub async fn issue_of(&self, account: AccountId, invoice: i64) -> Result<Option<LedgerRow>> {
        Ok(self.transfers_asked(ISSUE_OF, &[account.0, invoice]).await?.pop())
    }

    /// One event, to explain it.
    pub async fn event(&self, account: AccountId, number: i64) -> Result<Option<EventRow>> {
        Ok(self.events_asked(EVENT, &[account.0, number]).await?.pop())
    }

    /// Events behind a number, in their order.
    pub async fn events_page(&self, account: AccountId, after: i64, limit: u32) -> Result<Vec<EventRow>> {
        self.events_asked(EVENTS_PAGE, &[account.0, after, i64::from(limit)]).await
    }

    /// The last event of that kind before another one, of a service or of any.
    pub async fn event_before(
        &self,
        account: AccountId,
        number: i64,
        kind: &str,
        service: Option<ServiceNumber>,
    ) -> Result<Option<EventRow>> {
        let row = sql::query(EVENT_BEFORE)
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
        self.transfers_asked(TRANSFERS_OF_SERVICE, &[account.0, service, until.secs(), i64::from(limit)]).await
    }

    /// The newest events of a service, the newest first.
    pub async fn events_of_service(
        &self,
        account: AccountId,
        service: ServiceNumber,
        limit: u32,
    ) -> Result<Vec<EventRow>> {
        self.events_asked(EVENTS_OF_SERVICE, &[account.0, service, i64::from(limit)]).await
    }

    async fn transfers_asked(&self, question: &'static str, numbers: &[i64]) -> Result<Vec<LedgerRow>> {
        let query = numbers.iter().fold(sql::query(question), |query, number| query.bind(*number));
        read_rows("transfers", &query.fetch_all(self.readers()).await?, read_transfer)
    }

    async fn events_asked(&self, question: &'static str, numbers: &[i64]) -> Result<Vec<EventRow>> {
        let query = numbers.iter().fold(sql::query(question), |query, number| query.bind(*number));
        read_rows("events", &query.fetch_all(self.readers()).await?, read_event)
    }
}
