//! What people write for Bursar: the configuration, price lists and scenarios, in TOML or JSON.
//!
//! A document is read whole: what is wrong in it is collected and told at once, each problem with its
//! file, line (TOML), timeline entry (scenarios) and key. Nothing that was read leaves here half right.

pub mod arguments;
mod arrivals;
pub mod choices;
mod chronicle;
mod config;
pub mod customer;
mod database;
mod document;
mod policy;
mod prices;
mod problem;
mod reader;
mod scenario;
#[cfg(test)]
mod scenario_tests;
mod secrets;
mod shown;
mod verbs;
mod words;

pub use arrivals::{Arrivals, Imported, Printed, Read, Terms, Totals, add};
pub use config::{Config, Log, LogFormat};
pub use database::{BadInput, database_address};
pub use document::Format;
pub use prices::{PriceListFile, read_price_list, read_price_lists};
pub use problem::{Place, Problem, Problems};
pub use scenario::{Entry, Scenario};
pub use verbs::{ScriptedCard, Verb, Whose};
