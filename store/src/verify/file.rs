//! The file itself: sound pages, keys that point somewhere, and the guards that keep rows as they are.

use sqlx::{Row, SqliteConnection};

use super::Violation;
use crate::{Result, schema};

/// Of the migrations' statements: without what they make, the books could be changed, or a period charged twice.
const MAKES: [&str; 3] = ["create trigger ", "create unique index ", "create index "];

/// Every trigger and index of the schema.
fn guards() -> impl Iterator<Item = &'static str> {
    let made = |line: &'static str| MAKES.iter().find_map(|makes| line.strip_prefix(makes))?.split_whitespace().next();
    schema::texts().flat_map(str::lines).filter_map(made)
}

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
    let missing = guards().filter(|guard| !present.iter().any(|name| name == guard));
    found.extend(missing.map(|guard| of_file("guards_are_in_place", format!("{guard} is missing"))));
    Ok(())
}

const fn of_file(invariant: &'static str, detail: String) -> Violation {
    Violation::of(None, invariant, detail)
}
