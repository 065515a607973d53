//! The file itself: sound pages, keys that point somewhere, and the guards that keep rows as they are.

use sqlx::{Row, SqliteConnection};

use super::Violation;
use crate::Result;

/// Triggers and indexes without which the books could be changed, or a period charged twice.
const GUARDS: [&str; 22] = [
    "transfer_stays",
    "transfer_is_kept",
    "issued_invoice_stays",
    "invoice_is_kept",
    "issued_line_stays",
    "line_is_kept",
    "event_stays",
    "event_is_kept",
    "intent_answer_stays",
    "service_period_is_charged_once",
    "line_period_is_billed_once",
    "transfer_is_corrected_once",
    "invoice_is_reissued_once",
    "credit_note_is_its_invoices",
    "credit_note_stays",
    "credit_note_is_kept",
    "number_series_counts_on",
    "closing_follows_the_last",
    "closing_stays",
    "closing_is_kept",
    "transfer_is_of_an_open_month",
    "credit_note_is_of_an_open_month",
];

pub async fn check(connection: &mut SqliteConnection, found: &mut Vec<Violation>) -> Result<()> {
    let complaints: Vec<String> = sqlx::query_scalar("pragma integrity_check(100)").fetch_all(&mut *connection).await?;
    found.extend(complaints.into_iter().filter(|line| line != "ok").map(|detail| of_file("file_is_sound", detail)));

    let orphans = sqlx::query("pragma foreign_key_check").fetch_all(&mut *connection).await?;
    for orphan in &orphans {
        let (child, parent): (String, String) = (orphan.try_get(0)?, orphan.try_get(2)?);
        found.push(of_file("foreign_keys_hold", format!("a row of {child} points to none of {parent}")));
    }

    let present: Vec<String> = sqlx::query_scalar("select name from sqlite_schema where type in ('trigger', 'index')")
        .fetch_all(&mut *connection)
        .await?;
    let missing = GUARDS.into_iter().filter(|guard| !present.iter().any(|name| name == guard));
    found.extend(missing.map(|guard| of_file("guards_are_in_place", format!("{guard} is missing"))));
    Ok(())
}

const fn of_file(invariant: &'static str, detail: String) -> Violation {
    Violation::of(None, invariant, detail)
}
