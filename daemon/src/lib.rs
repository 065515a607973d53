//! The program `bursar`: it knows everything and decides nothing.

// Whoever reads may have gone away: `cli::out` prints.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
pub mod demo;
pub mod http;
pub mod import;
pub mod input;
mod lookout;
mod metrics;
pub mod serve;
pub mod simulate;
mod tables;
mod view;
