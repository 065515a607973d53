//! The whole system from outside: the real program, on real files.

#[path = "../support/mod.rs"]
mod support;

mod scenarios;
mod tidy;
