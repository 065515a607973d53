//! The database itself: sound pages, keys that point somewhere, and the guards that keep rows as they are.

use super::Violation;
use crate::sql::{self, Dialect, Transaction};
use crate::{Result, schema};

/// Of the migrations' statements: without what they make, the books could be changed, or a period charged twice.
const MAKES: [&str; 3] = ["create trigger ", "create unique index ", "create index "];

const PRESENT: &str = "select name from sqlite_schema where type in ('trigger', 'index')";

/// A trigger that was switched off guards nothing, nor does an index that was never finished.
const PRESENT_POSTGRES: &str = "select t.tgname::text
    from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
    where c.relnamespace = current_schema()::regnamespace and not t.tgisinternal and t.tgenabled in ('O', 'A')
    union all select c.relname::text
    from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
    where c.relnamespace = current_schema()::regnamespace and i.indisvalid";

/// PostgreSQL keeps a foreign key unless somebody told it not to look.
const UNKEPT_POSTGRES: &str = "select c.conrelid::regclass::text, c.conname::text from pg_catalog.pg_constraint c
    where c.connamespace = current_schema()::regnamespace and c.contype = 'f' and not c.convalidated
    union all select t.tgrelid::regclass::text, t.tgname::text
    from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
    where c.relnamespace = current_schema()::regnamespace and t.tgisinternal and t.tgenabled not in ('O', 'A')";

/// Of each foreign key: its table, the one it points to, that a row `c` has a key, and that `p` is the row of it.
const KEYS_POSTGRES: &str = "select k.conrelid::regclass::text, k.confrelid::regclass::text,
        string_agg(format('c.%I is not null', own.attname), ' and '),
        string_agg(format('p.%I = c.%I', other.attname, own.attname), ' and ')
    from pg_catalog.pg_constraint k
    cross join lateral unnest(k.conkey, k.confkey) as part (own, other)
    join pg_catalog.pg_attribute own on own.attrelid = k.conrelid and own.attnum = part.own
    join pg_catalog.pg_attribute other on other.attrelid = k.confrelid and other.attnum = part.other
    where k.connamespace = current_schema()::regnamespace and k.contype = 'f'
    group by k.oid, k.conrelid, k.confrelid order by k.conname";

/// What a trigger looks at for all rows of a statement together, in the same words.
const REFERENCES_POSTGRES: [(&str, &str, &str, &str); 10] = [
    ("transfers", "accounts", "true", "p.id = c.account_id"),
    ("transfers", "services", "c.service is not null", OF_SERVICE),
    ("transfers", "invoices", "c.invoice is not null", OF_INVOICE),
    ("transfers", "postings", "true", "p.kind = c.kind and p.debit = c.debit and p.credit = c.credit"),
    ("invoices", "accounts", "true", "p.id = c.account_id"),
    (
        "invoice_lines",
        "invoices",
        "true",
        "p.account_id = c.account_id and p.number = c.invoice and p.reissue = c.reissue",
    ),
    ("invoice_lines", "services", "true", OF_SERVICE),
    ("events", "accounts", "true", "p.id = c.account_id"),
    ("events", "services", "c.service is not null", OF_SERVICE),
    ("events", "invoices", "c.invoice is not null", OF_INVOICE),
];

const OF_SERVICE: &str = "p.account_id = c.account_id and p.number = c.service";
const OF_INVOICE: &str = "p.account_id = c.account_id and p.number = c.invoice";

/// Every trigger and index of the schema.
fn guards(dialect: Dialect) -> impl Iterator<Item = &'static str> {
    let made = |line: &'static str| MAKES.iter().find_map(|makes| line.strip_prefix(makes))?.split_whitespace().next();
    schema::texts(dialect).flat_map(str::lines).filter_map(made)
}

pub async fn check(transaction: &mut Transaction, found: &mut Vec<Violation>) -> Result<()> {
    let dialect = transaction.dialect();
    match dialect {
        Dialect::Sqlite => check_file(transaction, found).await?,
        Dialect::Postgres => check_keys(transaction, found).await?,
    }
    let question = sql::query_scalar(dialect.pick(PRESENT, PRESENT_POSTGRES));
    let present: Vec<String> = question.fetch_all(transaction).await?;
    let missing = guards(dialect).filter(|guard| !present.iter().any(|name| name == guard));
    found.extend(missing.map(|guard| of_file("guards_are_in_place", format!("{guard} is missing"))));
    Ok(())
}

async fn check_file(transaction: &mut Transaction, found: &mut Vec<Violation>) -> Result<()> {
    let question = sql::query_scalar("pragma integrity_check(100)");
    let complaints: Vec<String> = question.fetch_all(&mut *transaction).await?;
    found.extend(complaints.into_iter().filter(|line| line != "ok").map(|detail| of_file("file_is_sound", detail)));
    for orphan in sql::query("pragma foreign_key_check").fetch_all(transaction).await? {
        let (child, parent): (String, String) = (orphan.get(0)?, orphan.get(2)?);
        found.push(of_file("foreign_keys_hold", format!("a row of {child} points to none of {parent}")));
    }
    Ok(())
}

async fn check_keys(transaction: &mut Transaction, found: &mut Vec<Violation>) -> Result<()> {
    let unkept: Vec<(String, String)> = sql::query_as(UNKEPT_POSTGRES).fetch_all(&mut *transaction).await?;
    found.extend(
        unkept
            .into_iter()
            .map(|(table, key)| of_file("foreign_keys_hold", format!("{key} of {table} is not looked after"))),
    );
    let keys: Vec<(String, String, String, String)> = sql::query_as(KEYS_POSTGRES).fetch_all(&mut *transaction).await?;
    let owned = REFERENCES_POSTGRES
        .map(|(c, p, is_key, is_parents)| (c.to_owned(), p.to_owned(), is_key.to_owned(), is_parents.to_owned()));
    for (child, parent, is_key, is_parents) in keys.into_iter().chain(owned) {
        let orphans = format!(
            "select exists (select 1 from {child} c where {is_key}
                and not exists (select 1 from {parent} p where {is_parents}))"
        );
        if sql::query_scalar(orphans).fetch_one(&mut *transaction).await? {
            found.push(of_file("foreign_keys_hold", format!("a row of {child} points to none of {parent}")));
        }
    }
    Ok(())
}

const fn of_file(invariant: &'static str, detail: String) -> Violation {
    Violation::of(None, invariant, detail)
}
