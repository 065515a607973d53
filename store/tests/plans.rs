//! No statement that runs often reads a big table from end to end: all that a life of accounts asks of the
//! database is listened to, and its plan is looked at.

#[path = "plans/asked.rs"]
mod asked;
#[path = "conformance/books.rs"]
#[expect(dead_code, reason = "the conformance suite tampers with its books, this one does not")]
mod books;
#[path = "conformance/living.rs"]
#[expect(dead_code, reason = "faults are the conformance suite's to find")]
mod living;
#[path = "../../tests/support/servers.rs"]
#[expect(dead_code, reason = "other tests do more with their servers")]
mod servers;

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqlitePoolOptions;

use crate::asked::BIG;

const ON_POSTGRES: bool = false;

/// What may read all accounts: the daily kind has no index, so that a midnight writes none; withdrawing a list notes
/// where every account was when it looked.
const KNOWN_SCANS: [&str; 6] = [
    "select count(*), max(settled_at) from accounts",
    "select min(recorded_at) from accounts",
    "select max(settled_at) from accounts",
    "select id, version, next_transfer, next_invoice from accounts order by id",
    "select count(*) from accounts where daily_due_at <= $2 and $1 = 'daily' and not exists",
    "select min(daily_due_at) from accounts where $1 = 'daily'",
];

/// Indexes of what waits for something: short, and read whole.
const SHORT: [&str; 8] = [
    "audit_log_unsealed",
    "intents_without_answer",
    "intents_unused",
    "receipts_unapplied",
    "runs_held",
    "runs_unfinished",
    "invoices_without_number",
    "credit_notes_without_number",
];

/// What a statement calls the big tables, as in `transfers t`.
fn names_of_big(statement: &str) -> Vec<&str> {
    let words: Vec<&str> = statement.split_whitespace().collect();
    let short = words.windows(2).filter(|pair| BIG.contains(&pair[0]) && pair[1].len() == 1).map(|pair| pair[1]);
    BIG.into_iter().chain(short).collect()
}

#[tokio::test]
async fn what_runs_often_has_an_index() {
    let (heard, life) = asked::all().await;
    let pool = SqlitePoolOptions::new().connect(&life.books.url()).await.expect("a connection");
    let mut scans = Vec::new();
    for statement in &heard {
        let plan = AssertSqlSafe(format!("explain query plan {statement}"));
        let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(plan).fetch_all(&pool).await.expect(statement);
        let names = names_of_big(statement);
        // Not along all invoices of a second, nor those that were brought in.
        let of_numbers =
            statement.starts_with("select") && statement.contains("public_number is null and not brought_in");
        let short = |step: &str| !step.contains("invoices") || step.contains("invoices_without_number");
        scans.extend(steps.iter().filter(|step| of_numbers && !short(&step.3)).map(|step| (statement, step.3.clone())));
        let scanned = |step: &str| {
            let of_big = names.iter().any(|table| step.split_whitespace().take(2).eq(["SCAN", table]));
            of_big && !SHORT.iter().any(|index| step.ends_with(index))
        };
        let known = KNOWN_SCANS.iter().any(|known| statement.starts_with(known));
        scans.extend(steps.into_iter().filter(|step| scanned(&step.3) && !known).map(|step| (statement, step.3)));
    }
    assert!(scans.is_empty(), "{scans:#?}");
}
