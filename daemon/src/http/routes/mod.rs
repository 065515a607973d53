//! What can be asked for, by subject.

mod accounts;
mod acting;
mod audit;
mod finding;
mod invoices;
mod jobs;
mod keys;
mod ledger;
mod months;
mod prices;
mod runs;
mod service;
mod usage;

use crate::http::operation::Operation;

/// All operations.
pub fn operations() -> Vec<Operation> {
    let mut all = accounts::operations();
    all.extend(ledger::operations());
    all.extend(service::operations());
    all.extend(usage::operations());
    all.extend(invoices::operations());
    all.extend(jobs::operations());
    all.extend(runs::operations());
    all.extend(keys::operations());
    all.extend(prices::operations());
    all.extend(months::operations());
    all.extend(audit::operations());
    all
}
