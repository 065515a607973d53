//! The program `bursar`: it knows everything and decides nothing.

pub mod cli;
pub mod demo;
pub mod import;
pub mod input;
pub mod serve;
pub mod simulate;
mod tables;
