//! Laws of the rules, and the rule book's examples.

mod arithmetic;
mod cards;
mod corrections;
mod examples;
mod histories;
mod history;
mod invariants;
mod range;
#[path = "../world/mod.rs"]
mod world;
