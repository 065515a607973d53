//! What can go wrong with the books, and what to do about it.

use std::path::PathBuf;

use rules::{AccountId, Timestamp};
use sqlx::postgres::PgDatabaseError;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("`{0}` is no database that Bursar can use: give `sqlite:PATH` or `postgres://USER@HOST/DATABASE`")]
    UnknownUrl(String),
    #[error("{place} cannot be reached: {problem}")]
    Unreachable { place: String, problem: String },
    #[error("the server does not answer within {secs} s")]
    Silent { secs: u64 },
    #[error("the server is PostgreSQL {found}: Bursar needs {needed} or newer")]
    ServerTooOld { found: i32, needed: i32 },
    #[error("the server is a standby, which takes no changes: give the address of the primary")]
    Standby,
    #[error("{path} does not exist: start `bursar serve` once to create it, or correct the path")]
    NoSuchDatabase { path: PathBuf },
    #[error("cannot open {path}: {problem}")]
    CannotOpen { path: PathBuf, problem: String },
    #[error("{place} is not a Bursar database: {problem}")]
    NotADatabase { place: String, problem: String },
    #[error("the database has schema {found}, this program knows {known}: use the newer program that migrated it")]
    SchemaTooNew { found: i64, known: i64 },
    #[error("the database has schema {found}, this program needs {known}: start `bursar serve` once to migrate it")]
    SchemaTooOld { found: i64, known: i64 },
    #[error("the connection says {pragma} = {found} where {wanted} was set: the books are not safe with it")]
    Setting { pragma: &'static str, wanted: String, found: String },
    #[error("the {what} name `{name}` is taken: choose another")]
    NameTaken { what: &'static str, name: String },
    #[error("{table} of account {} cannot be read: {problem}; run `bursar verify`", account.0)]
    Corrupt { account: AccountId, table: &'static str, problem: String },
    #[error("{table} cannot be read: {problem}; run `bursar verify`")]
    CorruptTable { table: &'static str, problem: String },
    #[error("the database is busy with another writer: try again")]
    Busy,
    #[error("the database does not answer: no connection to it was to be had within 20 s")]
    NoAnswer,
    #[error("the disk is full: free some space, nothing was written")]
    DiskFull,
    #[error("the books refuse this ({name}): nothing was written")]
    Constraint { name: String },
    #[error("there is no {what} {key}")]
    NotFound { what: &'static str, key: String },
    #[error("shard {shard} of run {run} is another worker's now: nothing was written")]
    ClaimLost { run: i64, shard: u32 },
    #[error("{table} did not come out the same: {from} rows left and {to} arrived; nothing was moved")]
    NotTheSame { table: &'static str, from: u64, to: u64 },
    #[error("these books went to {place}: nothing is changed here any more; give that as the `database`")]
    Left { place: String },
    #[error(
        "these books are on their way to {place}: nothing is changed here; `bursar migrate` to there goes on with it"
    )]
    Leaving { place: String },
    #[error(
        "these books come from {place} and are not verified yet: nothing is changed here; `bursar migrate` from there \
        goes on with it"
    )]
    Arriving { place: String },
    #[error(
        "what came here from {place} did not verify: nothing is changed here; go on there, or move into an empty \
        database"
    )]
    Dead { place: String },
    #[error(
        "these books are a copy, with all that was committed by {taken_at}: nothing is changed here and no provider is \
        asked, for the original may live. If this copy is to go on instead of it: `bursar fence lift`"
    )]
    Fenced { taken_at: Timestamp },
    #[error("there are books already where they were to go: nothing was moved; give an empty database")]
    NotEmpty,
    #[error("{place} holds something already: give an empty database")]
    Occupied { place: String },
    #[error("{place} is no sound copy of books: {problem}")]
    NotSound { place: String, problem: String },
    #[error(
        "{program} of PostgreSQL {needed} or newer is not installed here: install it (Debian and Ubuntu: \
        apt-get install postgresql-client)"
    )]
    NoProgram { program: &'static str, needed: i32 },
    #[error(
        "{program} here is of PostgreSQL {found}, the books need that of {needed} or newer: install \
        postgresql-client-{needed} (Debian and Ubuntu: from apt.postgresql.org where it is not in the distribution)"
    )]
    ProgramTooOld { program: &'static str, found: i32, needed: i32 },
    #[error("{program} failed: {said}")]
    Program { program: &'static str, said: String },
    #[error("the request was done before, by another try: nothing was written")]
    DoneBefore,
    #[error("these books were opened to be read: nothing is changed")]
    OnlyRead,
    #[error("the commit was cut off on purpose: nothing was written")]
    CutOff,
    #[error("the queue refused: {0}")]
    Queue(String),
    #[error("the database failed: {0}")]
    Driver(sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::PoolTimedOut) {
            return Self::Busy;
        }
        let Some(database) = error.as_database_error() else { return Self::Driver(error) };
        if let Some(refused) = database.try_downcast_ref::<PgDatabaseError>() {
            return of_postgres(refused).unwrap_or(Self::Driver(error));
        }
        let code = database.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or_default();
        // The low byte is the error's class (sqlite.org/rescode.html).
        match code & 0xff {
            5 | 6 => Self::Busy,
            13 => Self::DiskFull,
            19 => Self::Constraint { name: constraint_name(code, database.message()) },
            _ => Self::Driver(error),
        }
    }
}

/// By the error's code (postgresql.org/docs/current/errcodes-appendix.html). The schema's triggers raise 23000 with
/// the name of what they hold.
fn of_postgres(error: &PgDatabaseError) -> Option<StoreError> {
    let named = |name: &str| StoreError::Constraint { name: name.to_owned() };
    match error.code() {
        "23503" => Some(named("foreign_key")),
        "23000" => Some(named(error.message())),
        code if code.starts_with("23") => Some(named(error.constraint().unwrap_or(error.message()))),
        // A lock that was not to be had, a deadlock, a state that moved.
        "55P03" | "40P01" | "40001" => Some(StoreError::Busy),
        "53100" => Some(StoreError::DiskFull),
        _ => None,
    }
}

/// A unique column list has no name of its own in SQLite's messages; these are ours.
const UNIQUE_NAMES: [(&str, &str); 13] = [
    ("accounts.name", "account_name_is_free"),
    ("services.name", "service_name_is_free"),
    ("intents.key", "intent_key_is_free"),
    ("runs.job, runs.slot", "run_slot_is_opened_once"),
    ("transfers.account_id, transfers.number", "transfer_number_is_free"),
    ("events.account_id, events.number", "event_number_is_free"),
    ("transfers.period_from, transfers.account_id, transfers.service", "service_period_is_charged_once"),
    (
        "invoice_lines.period_from, invoice_lines.account_id, invoice_lines.service, invoice_lines.reissue",
        "line_period_is_billed_once",
    ),
    ("transfers.account_id, transfers.corrects", "transfer_is_corrected_once"),
    ("invoices.account_id, invoices.reissues", "invoice_is_reissued_once"),
    ("credit_notes.series, credit_notes.public_number", "credit_note_number_is_free"),
    ("receipts.provider, receipts.payment, receipts.kind", "receipt_is_taken_once"),
    ("invoices.series, invoices.public_number", "invoice_number_is_free"),
];

fn constraint_name(code: u32, message: &str) -> String {
    const FOREIGN_KEY: u32 = 787;
    if code == FOREIGN_KEY {
        return "foreign_key".to_owned();
    }
    let name = message.split_once("failed: ").map_or(message, |(_, name)| name);
    UNIQUE_NAMES.iter().find(|(columns, _)| *columns == name).map_or(name, |(_, own)| own).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_have_one_name() {
        for (code, message, name) in [
            (2067, "UNIQUE constraint failed: accounts.name", "account_name_is_free"),
            (275, "CHECK constraint failed: transfer_moves", "transfer_moves"),
            (787, "FOREIGN KEY constraint failed", "foreign_key"),
            (1811, "transfer_stays", "transfer_stays"),
        ] {
            assert_eq!(constraint_name(code, message), name);
        }
    }
}
