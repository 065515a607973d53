//! The same on PostgreSQL: with scans of tables forbidden where there is any other way, none is left. Preparing the
//! statements shows that it understands all of them.

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

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::asked::BIG;

const ON_POSTGRES: bool = true;

/// What may read all accounts, or verifies all of them.
const KNOWN_SCANS: [&str; 9] = [
    "select count(*), max(settled_at) from accounts",
    "select exists (select 1 from transfers c where true",
    "select count(*) from (select name from accounts where state <> 'closed' and settled_at < $1",
    "select name from (select name from accounts where state <> 'closed' and settled_at < $1",
    "select min(recorded_at) from accounts",
    "select max(settled_at) from accounts",
    "select id, version, next_transfer, next_invoice from accounts order by id",
    "select count(*) from accounts where daily_due_at <= $2 and $1 = 'daily' and not exists",
    "select min(daily_due_at) from accounts where $1 = 'daily'",
];

#[tokio::test]
async fn what_runs_often_has_an_index() {
    let (heard, life) = asked::all().await;
    let mut connection = PgConnection::connect(&life.books.url()).await.expect("a connection");
    connection.execute("set enable_seqscan = off; set plan_cache_mode = force_generic_plan").await.expect("set");
    let mut scans = Vec::new();
    for (number, statement) in heard.iter().enumerate() {
        let name = format!("asked_{number}");
        connection.execute(AssertSqlSafe(format!("prepare {name} as {statement}"))).await.expect(statement);
        let asked = "select cardinality(parameter_types) from pg_prepared_statements where name = $1";
        let cells: i32 = sqlx::query_scalar(asked).bind(&name).fetch_one(&mut connection).await.expect("prepared");
        let cells = vec!["null"; usize::try_from(cells).expect("a number")].join(", ");
        let cells = if cells.is_empty() { cells } else { format!("({cells})") };
        let plan = AssertSqlSafe(format!("explain execute {name}{cells}"));
        let plan: Vec<String> = sqlx::query_scalar(plan).fetch_all(&mut connection).await.expect(statement);
        let scanned = |line: &&String| BIG.iter().any(|table| line.contains(&format!("Seq Scan on {table} ")));
        let known = KNOWN_SCANS.iter().any(|known| statement.starts_with(known));
        scans.extend(plan.iter().filter(scanned).filter(|_| !known).map(|line| (statement, line.clone())));
    }
    assert!(scans.is_empty(), "{scans:#?}");
}
