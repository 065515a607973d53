//! What can go wrong with the books, and what to do about it.

use std::path::PathBuf;

use rules::AccountId;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("`{0}` is no database that Bursar can use: give `sqlite:PATH`")]
    UnknownUrl(String),
    #[error("PostgreSQL is not supported yet: give `sqlite:PATH`")]
    PostgresUnsupported,
    #[error("{path} does not exist: start `bursar serve` once to create it, or correct the path")]
    NoSuchDatabase { path: PathBuf },
    #[error("cannot open {path}: {problem}")]
    CannotOpen { path: PathBuf, problem: String },
    #[error("{path} is not a Bursar database: {problem}")]
    NotADatabase { path: PathBuf, problem: String },
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
    #[error("the disk is full: free some space, nothing was written")]
    DiskFull,
    #[error("the books refuse this ({name}): nothing was written")]
    Constraint { name: String },
    #[error("there is no {what} {key}")]
    NotFound { what: &'static str, key: String },
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
