//! The whole system from outside: the real program, on real files.

#[path = "../support/mod.rs"]
mod support;

mod admin_cli;
mod admin_reading;
mod asked_runs;
mod bad_books;
mod corrections;
mod daemons;
mod demo;
mod documents;
mod formats;
mod full_disk;
mod import;
mod kills;
mod migrate;
mod month;
mod prices;
mod refusals;
mod scenarios;
mod serving;
mod tidy;
mod walks;
