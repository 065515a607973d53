//! What follows from an account as it is loaded: which services are finished, that no server's time was left
//! out of its invoices, what its services cost, and when what falls due.

use std::collections::HashMap;

use rules::{Account, Context, DueKind, Kind, Mode, PriceBook, Server, Service, Timestamp, Unpriced, due_seconds};

use super::Violation;
use crate::Result;
use crate::sql::{self, Transaction};

/// Lines that bill a server's time.
const LINES: &str = "select account_id, service, period_from, period_to from invoice_lines
    where account_id between $1 and $2 and kind in ('hours', 'month', 'prorated')
    order by account_id, service, period_from";

/// A line of a server's time: its beginning and its end.
type Billed = (i64, i64);

/// Looks at the accounts that could be loaded of those from the first to the last id of `range`.
pub async fn check(
    connection: &mut Transaction,
    range: (i64, i64),
    accounts: &[Account],
    found: &mut Vec<Violation>,
) -> Result<()> {
    let (first, last) = range;
    let rows: Vec<(i64, i64, bool)> =
        sql::query_as("select account_id, number, finished from services where account_id between $1 and $2")
            .bind(first)
            .bind(last)
            .fetch_all(&mut *connection)
            .await?;
    let finished: HashMap<(i64, i64), bool> = rows.into_iter().map(|row| ((row.0, row.1), row.2)).collect();
    let rows: Vec<(i64, i64, i64, i64)> =
        sql::query_as(LINES).bind(first).bind(last).fetch_all(&mut *connection).await?;
    let mut billed: HashMap<(i64, i64), Vec<Billed>> = HashMap::new();
    for (account, service, from, to) in rows {
        billed.entry((account, service)).or_default().push((from, to));
    }
    for account in accounts {
        for service in &account.services {
            let key = (account.id.0, service.number);
            let is_finished = service.is_finished(account.invoiced_until);
            if finished.get(&key).is_some_and(|written| *written != is_finished) {
                let detail = format!("service {}: finished is {is_finished}, the row says otherwise", service.number);
                found.push(Violation::of(Some(account.id), "finished_fits_state", detail));
            }
            if let Kind::Server(server) = &service.kind
                && let Some(gap) = gap(server, account.invoiced_until, billed.get(&key).map_or(&[], Vec::as_slice))
            {
                let detail = format!("service {}: nothing billed from {gap}", service.number);
                found.push(Violation::of(Some(account.id), "server_is_billed_whole", detail));
            }
        }
    }
    Ok(())
}

/// Where the lines of a living server leave out some of its time up to the last invoice: an hourly one is
/// billed behind, a monthly one to the end of the month that began then (rules 6.3, 6.5).
fn gap(server: &Server, invoiced_until: Timestamp, lines: &[Billed]) -> Option<Timestamp> {
    if !server.is_living() || invoiced_until <= server.billable_from {
        return None;
    }
    let end = if server.mode == Mode::Monthly { invoiced_until.next_month_start() } else { invoiced_until };
    let mut reached = server.billable_from.secs();
    for (from, to) in lines {
        if *from > reached {
            break;
        }
        reached = reached.max(*to);
    }
    (reached < end.secs()).then(|| Timestamp::from_secs(reached))
}

/// Every order that is still to be charged has a price at the account's settled second: what no list knows parks its
/// account once it is due.
pub fn check_orders(accounts: &[Account], prices: &PriceBook, found: &mut Vec<Violation>) {
    for account in accounts {
        for service in &account.services {
            if let Err(unpriced) = priced(service, prices, account.settled_at) {
                let detail = format!("service {}: {unpriced}", service.number);
                found.push(Violation::of(Some(account.id), "order_is_priced", detail));
            }
        }
    }
}

fn priced(service: &Service, prices: &PriceBook, at: Timestamp) -> std::result::Result<(), Unpriced> {
    if service.is_living() {
        prices.price(&service.order, at)?;
    }
    // What a terminated server ran up is still to come.
    let Some(server) = service.server() else { return Ok(()) };
    for stretch in &server.meter.stretches {
        prices.price(&stretch.order, stretch.period.from)?;
    }
    for (component, usage) in &server.meter.usage {
        prices.component(&usage.plan, component, at)?;
    }
    Ok(())
}

/// Compares what the jobs look for with what the rules say of the accounts.
pub async fn check_due(
    connection: &mut Transaction,
    range: (i64, i64),
    accounts: &[Account],
    cx: &Context<'_>,
    found: &mut Vec<Violation>,
) -> Result<()> {
    let (first, last) = range;
    let rows: Vec<(i64, String, i64)> = sql::query_as(
        "select id, 'daily', daily_due_at from accounts where id between $1 and $2 and daily_due_at is not null
        union all select account_id, kind, at from due where account_id between $1 and $2 and at is not null",
    )
    .bind(first)
    .bind(last)
    .fetch_all(connection)
    .await?;
    let written: HashMap<(i64, String), i64> = rows.into_iter().map(|row| ((row.0, row.1), row.2)).collect();
    for account in accounts {
        for (kind, due) in due_seconds(account, cx) {
            let written = written.get(&(account.id.0, kind.name().to_owned())).copied();
            if !finds(kind, written, due.map(Timestamp::secs)) {
                let said = |secs: Option<i64>| secs.map_or("never".to_owned(), |secs| secs.to_string());
                let detail = format!(
                    "{}: due at {}, looked for at {}",
                    kind.name(),
                    said(due.map(Timestamp::secs)),
                    said(written)
                );
                found.push(Violation::of(Some(account.id), "due_follows_from_state", detail));
            }
        }
    }
    Ok(())
}

/// Whether a job finds it at its second. Found too early, as after an outage or a change of the config, it is only
/// looked at once more; and what the config's days fix was fixed by those of then.
fn finds(kind: DueKind, written: Option<i64>, due: Option<i64>) -> bool {
    let by_config = matches!(kind, DueKind::Retention | DueKind::Collection | DueKind::Trial);
    due.is_none_or(|due| written.is_some_and(|written| written <= due || by_config))
}
