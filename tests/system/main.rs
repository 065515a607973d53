//! The whole system from outside: the real program, on real files.

#[path = "../support/mod.rs"]
mod support;

mod admin_cli;
mod admin_reading;
mod alerts;
mod api;
mod asked_runs;
mod backup;
mod bad_books;
mod canaries;
mod configuration;
mod corrections;
mod daemons;
mod demo;
mod doctor;
mod documents;
mod formats;
mod full_disk;
mod import;
mod kills;
mod logs;
mod metrics;
mod migrate;
mod month;
mod prices;
mod refusals;
mod reloading;
mod scenarios;
mod serving;
mod systemd;
mod tidy;
mod walks;
