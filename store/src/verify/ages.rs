//! What has waited longer than it ever should while a daemon was alive: as of its last sign of life, for a daemon that
//! is gone is another matter.

use super::Violation;
use crate::Result;
use crate::sql::{self, Transaction};

/// Longer than any night takes, and than a job that was paused waits for its next slot.
const LATE_SECS: i64 = 36 * rules::HOUR;

/// What waits since before $4 is late. $3 is when a job was taken back into work. Questions
/// answer (account, detail) of the accounts from $1 to $2.
const QUESTIONS: &[(&str, &str)] = &[
    // Invoices that a paused job left wait for its next slot, a month away.
    (
        "due_is_done_in_time",
        "select d.account_id, d.kind || ': due since ' || d.at
        from (
            select id as account_id, 'daily' as kind, daily_due_at as at from accounts where id between $1 and $2
            union all
            select account_id, kind, at from due where account_id between $1 and $2
        ) d join accounts a on a.id = d.account_id
        where d.at < $4 and a.recorded_at < $4 and (d.kind <> 'invoice' or d.at > $3)
            and not exists (select 1 from parked p where p.account_id = d.account_id)
            and not exists (select 1 from intents i where i.account_id = d.account_id and i.answer is null)",
    ),
    (
        "receipt_is_applied_in_time",
        "select r.account_id, 'receipt ' || r.id || ' of ' || r.received_at from receipts r
        where r.account_id between $1 and $2 and r.applied_at is null and r.received_at < $4 and $3 = $3
            and not exists (select 1 from parked p where p.account_id = r.account_id)",
    ),
    // After two minutes without an answer a charge is pending (rule 11.7).
    (
        "intent_is_answered_in_time",
        "select i.account_id, 'intent ' || i.key || ' of ' || i.recorded_at from intents i
        where i.account_id between $1 and $2 and i.answer is null and i.recorded_at < $4 and $3 = $3",
    ),
    (
        "document_is_numbered_in_time",
        "select i.account_id, 'invoice ' || i.number from invoices i
        where i.account_id between $1 and $2 and i.public_number is null and i.recorded_at < $4 and $3 = $3
            and not exists (
                select 1 from brought_in_invoices b where b.account_id = i.account_id and b.number = i.number
            )
        union all
        select account_id, 'the credit note of invoice ' || invoice from credit_notes
        where account_id between $1 and $2 and public_number is null and recorded_at < $4",
    ),
];

const RUNS: &str = "select 'run ' || id || ' of ' || job || ': ' || state || ' since ' || opened_at from runs
    where state in ('queued', 'running') and opened_at < $1 and starts_at < $1 order by id";

/// When a job was taken back into work last, and before which second what waits is late; none while no daemon has been
/// at work for so long, or an admin keeps work back.
async fn bounds(connection: &mut Transaction) -> Result<Option<(i64, i64)>> {
    let life: Option<(i64, i64)> =
        sql::query_as("select alive_since, last_alive_at from heartbeats").fetch_optional(&mut *connection).await?;
    let kept_back: bool = sql::query_scalar(
        "select exists (select 1 from job_controls where paused_at is not null)
            or exists (select 1 from runs where state = 'held')",
    )
    .fetch_one(&mut *connection)
    .await?;
    let resumed: Option<i64> =
        sql::query_scalar("select max(slots_after) from job_controls").fetch_one(&mut *connection).await?;
    let resumed = resumed.unwrap_or(i64::MIN);
    let late = life.filter(|(since, alive)| alive - LATE_SECS > resumed.max(*since) && !kept_back);
    Ok(late.map(|(_, alive)| (resumed, alive - LATE_SECS)))
}

/// Looks at the accounts from the first to the last id of `range`.
pub async fn check(connection: &mut Transaction, (first, last): (i64, i64), found: &mut Vec<Violation>) -> Result<()> {
    let Some((resumed, late)) = bounds(connection).await? else { return Ok(()) };
    for (invariant, question) in QUESTIONS {
        let asked = sql::query_as(*question).bind(first).bind(last).bind(resumed).bind(late);
        let rows: Vec<(i64, String)> = asked.fetch_all(&mut *connection).await?;
        let of = |(account, detail)| Violation::of(Some(rules::AccountId(account)), invariant, detail);
        found.extend(rows.into_iter().map(of));
    }
    Ok(())
}

/// Looks at the runs.
pub async fn check_runs(connection: &mut Transaction, found: &mut Vec<Violation>) -> Result<()> {
    let Some((_, late)) = bounds(connection).await? else { return Ok(()) };
    let runs: Vec<String> = sql::query_scalar(RUNS).bind(late).fetch_all(connection).await?;
    found.extend(runs.into_iter().map(|detail| Violation::of(None, "run_ends_in_time", detail)));
    Ok(())
}
