//! Moving the books from one kind of database to the other: every row of every table, in one transaction, which is
//! committed only once both sides have the same rows to the byte.
//!
//! Either side notes how far it is, so that wherever a move is cut off at most one of them can be changed:
//! `leaving` and none, `leaving` and `arriving`, `leaving` and `arrived`, `left` and `arrived`. What arrived and is not
//! right is `dead` before the other side takes its books back.

use sha2::{Digest as _, Sha256};

use rules::Timestamp;

use crate::sql::{self, Builder, Dialect, Row, RowValues, Source, Transaction, Value, Work};
use crate::{Result, Store, StoreError, fences, postgres};

/// Every table with its key, parents before what points to them. Closed months come late, for nothing comes into one;
/// last is what the rows before it move by themselves.
pub const TABLES: [(&str, &[&str]); 33] = [
    ("accounts", &["id"]),
    ("services", &["account_id", "number"]),
    ("runs", &["id"]),
    ("run_shards", &["run_id", "shard"]),
    ("invoices", &["account_id", "number"]),
    ("invoice_lines", &["account_id", "invoice", "position"]),
    ("postings", &["kind", "debit", "credit"]),
    ("transfers", &["account_id", "number"]),
    ("ledger_floor", &["id"]),
    ("events", &["account_id", "number"]),
    ("refusals", &["account_id", "number"]),
    ("intents", &["account_id", "key"]),
    ("receipts", &["id"]),
    ("due", &["account_id", "kind"]),
    ("parked", &["account_id"]),
    ("price_lists", &["id"]),
    ("outages", &["since"]),
    ("policies", &["id"]),
    ("heartbeats", &["id"]),
    ("job_controls", &["job"]),
    ("clock_doubts", &["worker"]),
    ("imports", &["hash"]),
    ("account_details", &["account_id"]),
    ("brought_in_invoices", &["account_id", "number"]),
    ("number_series", &["series"]),
    ("credit_notes", &["account_id", "invoice"]),
    ("closings", &["month_from"]),
    ("reference_revision", &["id"]),
    ("api_keys", &["id"]),
    ("requests", &["key_id", "idempotency_key"]),
    ("audit_log", &["number"]),
    ("id_secrets", &["id"]),
    ("fences", &["id"]),
];

/// What a new schema has rows in.
const SEEDED: [&str; 3] = ["postings", "ledger_floor", "reference_revision"];

/// Whose ids a sequence gives in PostgreSQL.
const COUNTED: [&str; 6] = ["accounts", "runs", "receipts", "price_lists", "api_keys", "audit_log"];

const ROWS: i64 = 2_000;

const COLUMNS: &str = "select column_name::text, data_type::text from information_schema.columns
    where table_schema = current_schema() and table_name = $1 order by ordinal_position";

/// A move of these books, as either side notes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Move {
    /// The same on both sides.
    pub id: String,
    pub state: MoveState,
    /// The other side.
    pub place: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MoveState {
    /// They may have arrived already: the other side knows.
    Leaving,
    Left,
    /// All rows are here, and not verified yet.
    Arriving,
    Arrived,
    /// What arrived is not right.
    Dead,
}

impl MoveState {
    pub(crate) fn of(name: &str) -> Self {
        match name {
            "leaving" => Self::Leaving,
            "left" => Self::Left,
            "arriving" => Self::Arriving,
            "arrived" => Self::Arrived,
            _ => Self::Dead,
        }
    }
}

/// A table that was moved, for whoever waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MovedTable {
    pub table: &'static str,
    pub rows: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Type {
    Int,
    Flag,
    Text,
}

/// A table with the columns that both sides have.
struct Table {
    name: &'static str,
    key: &'static [&'static str],
    columns: Vec<(String, Type)>,
}

/// What a table's rows come to.
#[derive(PartialEq, Eq)]
struct Sum {
    rows: u64,
    digest: [u8; 32],
}

impl Store {
    /// The move that these books are in, or were.
    pub async fn moved(&self) -> Result<Option<Move>> {
        read(self.readers()).await
    }

    /// The same for certain: a move into these books that has not come to its end is waited for.
    pub async fn moved_for_certain(&self) -> Result<Option<Move>> {
        let mut transaction = self.begun_to_write(postgres::ALONE).await?;
        read(&mut transaction).await
    }

    /// From here on nobody changes these books; again is no harm.
    pub async fn move_begin(&self, id: &str, place: &str, now: Timestamp) -> Result<()> {
        let begun = sql::query(
            "insert into moves (id, move, state, place, began_at) values (1, $1, 'leaving', $2, $3)
            on conflict (id) do nothing",
        );
        let mut transaction = self.begun_to_write(postgres::ALONE).await?;
        // A copy would leave its fence behind.
        fences::refuse(&mut transaction).await?;
        begun.bind(id).bind(place).bind(now.secs()).execute(&mut transaction).await?;
        transaction.commit().await
    }

    /// They are where they went.
    pub async fn move_end(&self) -> Result<()> {
        self.note_move(sql::query("update moves set state = 'left' where state = 'leaving'")).await
    }

    /// Nothing of them arrived, or nothing that lives: they may be changed here again.
    pub async fn move_take_back(&self) -> Result<()> {
        self.note_move(sql::query("delete from moves where state = 'leaving'")).await
    }

    /// They are verified: they may be changed here.
    pub async fn move_arrived(&self) -> Result<()> {
        self.note_move(sql::query("update moves set state = 'arrived' where state = 'arriving'")).await
    }

    /// They are not right: they are never changed here.
    pub async fn move_dead(&self) -> Result<()> {
        self.note_move(sql::query("update moves set state = 'dead' where state = 'arriving'")).await
    }

    async fn note_move(&self, note: sql::Statement<'_>) -> Result<()> {
        let mut transaction = self.begun_to_write(postgres::ALONE).await?;
        note.execute(&mut transaction).await?;
        transaction.commit().await
    }

    /// Moves all of these books into empty ones of the other kind, or nothing of them; `done` hears of each table.
    /// Nobody changes them meanwhile, since [`Store::move_begin`], nor there until [`Store::move_arrived`].
    pub async fn move_to(
        &self,
        other: &Self,
        (id, from_place, now): (&str, &str, Timestamp),
        mut done: impl FnMut(MovedTable),
    ) -> Result<()> {
        let mut from = self.snapshot().await?;
        let mut to = other.write().await?;
        if to.dialect() == Dialect::Postgres {
            // It is idle for as long as the other side takes to read a page.
            sql::query("set local idle_in_transaction_session_timeout = 0").execute(&mut to).await?;
        }
        if !is_empty(&mut to).await? {
            return Err(StoreError::NotEmpty);
        }
        for (name, key) in TABLES {
            let table = match from.dialect() {
                Dialect::Postgres => Table::read(&mut from, name, key).await?,
                Dialect::Sqlite => Table::read(&mut to, name, key).await?,
            };
            if SEEDED.contains(&name) {
                sql::query(format!("delete from {name}")).execute(&mut to).await?;
            }
            let sent = table.each_page(&mut from, Some(&mut to)).await?;
            let arrived = table.each_page(&mut to, None).await?;
            if sent != arrived {
                return Err(StoreError::NotTheSame { table: name, from: sent.rows, to: arrived.rows });
            }
            if COUNTED.contains(&name) && to.dialect() == Dialect::Postgres {
                let id = key[0];
                let go_on = format!(
                    "select setval(pg_get_serial_sequence('{name}', '{id}'), coalesce(max({id}), 1),
                        max({id}) is not null) from {name}"
                );
                sql::query(go_on).fetch_one(&mut to).await?;
            }
            done(MovedTable { table: name, rows: sent.rows });
        }
        let arrived =
            sql::query("insert into moves (id, move, state, place, began_at) values (1, $1, 'arriving', $2, $3)");
        arrived.bind(id).bind(from_place).bind(now.secs()).execute(&mut to).await?;
        to.commit().await
    }
}

async fn read<'c>(source: impl Into<Source<'c>>) -> Result<Option<Move>> {
    let row = sql::query_as("select move, state, place from moves").fetch_optional(source).await?;
    Ok(row.map(|(id, state, place): (String, String, String)| Move { id, state: MoveState::of(&state), place }))
}

pub async fn is_empty<'c>(source: impl Into<Source<'c>>) -> Result<bool> {
    let empty = sql::query_scalar(
        "select not (exists (select 1 from accounts) or exists (select 1 from price_lists)
            or exists (select 1 from runs) or exists (select 1 from heartbeats) or exists (select 1 from moves)
            or exists (select 1 from job_controls) or exists (select 1 from clock_doubts)
            or exists (select 1 from fences))",
    );
    empty.fetch_one(source).await
}

/// Refuses a change to books that are elsewhere, or not yet here.
pub fn refuse(state: MoveState, place: String) -> Result<()> {
    Err(match state {
        MoveState::Arrived => return Ok(()),
        MoveState::Left => StoreError::Left { place },
        MoveState::Leaving => StoreError::Leaving { place },
        MoveState::Arriving => StoreError::Arriving { place },
        MoveState::Dead => StoreError::Dead { place },
    })
}

impl Table {
    /// Asks the side that knows its columns' types.
    async fn read(transaction: &mut Transaction, name: &'static str, key: &'static [&'static str]) -> Result<Self> {
        let columns: Vec<(String, String)> = sql::query_as(COLUMNS).bind(name).fetch_all(transaction).await?;
        let columns = columns.into_iter().map(|(column, of)| {
            let of = match of.as_str() {
                "bigint" => Type::Int,
                "boolean" => Type::Flag,
                _ => Type::Text,
            };
            (column, of)
        });
        Ok(Self { name, key, columns: columns.collect() })
    }

    /// Reads all rows in the order of their key, and writes them to the other side, if there is one.
    async fn each_page(&self, from: &mut Transaction, mut to: Option<&mut Transaction>) -> Result<Sum> {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        let columns = names.join(", ");
        let (mut rows, mut digest) = (0, Sha256::new());
        let mut after: Option<Vec<Value<'static>>> = None;
        loop {
            let page = self.page(&columns, after.take()).build().fetch_all(&mut *from).await?;
            let page: Vec<Vec<Value<'static>>> = page.iter().map(|row| self.cells(row)).collect::<Result<_>>()?;
            let Some(last) = page.last() else { break };
            let of_key = |key: &&str| names.iter().position(|name| name == key).map(|index| last[index].clone());
            after = self.key.iter().map(of_key).collect();
            rows += u64::try_from(page.len()).unwrap_or_default();
            page.iter().flatten().for_each(|cell| digest_of(&mut digest, cell));
            if let Some(to) = to.as_deref_mut() {
                let bind = |cells: &mut RowValues<'_>, row: &Vec<Value<'static>>| {
                    for cell in row {
                        cells.push_bind(cell.clone());
                    }
                };
                Work::new(to, None).insert(self.name, &columns, &page, bind).await?;
            }
        }
        Ok(Sum { rows, digest: digest.finalize().into() })
    }

    fn page(&self, columns: &str, after: Option<Vec<Value<'static>>>) -> Builder<'static> {
        let key = self.key.join(", ");
        let mut statement = Builder::new(format!("select {columns} from {}", self.name));
        if let Some(after) = after {
            statement.push(&format!(" where ({key}) > ("));
            for (index, value) in after.into_iter().enumerate() {
                statement.push(if index == 0 { "" } else { ", " }).push_bind(value);
            }
            statement.push(")");
        }
        statement.push(&format!(" order by {key} limit {ROWS}"));
        statement
    }

    fn cells(&self, row: &Row) -> Result<Vec<Value<'static>>> {
        let cell = |(index, (_, of)): (usize, &(String, Type))| {
            Ok(match of {
                Type::Int => Value::from(row.get::<Option<i64>>(index)?),
                Type::Flag => Value::from(row.get::<Option<bool>>(index)?),
                Type::Text => Value::from(row.get::<Option<String>>(index)?),
            })
        };
        self.columns.iter().enumerate().map(cell).collect()
    }
}

fn digest_of(digest: &mut Sha256, cell: &Value<'_>) {
    match cell {
        Value::Int(Some(value)) => digest.update(value.to_be_bytes()),
        Value::Flag(Some(value)) => digest.update([u8::from(*value)]),
        Value::Text(Some(value)) => {
            digest.update(value.len().to_be_bytes());
            digest.update(value.as_bytes());
        }
        _ => digest.update(b"null"),
    }
    digest.update(b"|");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::schema;

    #[test]
    fn every_table_is_moved() {
        // What is noted of the move itself is each side's own, and so is its name.
        let moved: BTreeSet<&str> = TABLES.iter().map(|(name, _)| *name).chain(["moves", "identity"]).collect();
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            let lines = schema::texts(dialect).flat_map(str::lines);
            let made = lines.filter_map(|line| line.strip_prefix("create table ")?.split_whitespace().next());
            assert_eq!(made.collect::<BTreeSet<_>>(), moved, "{dialect:?}");
        }
    }
}
