//! The machines outside that Bursar speaks to, and their fakes.
//!
//! Each is asked with a key that was committed before the call, so that asking again after a crash is
//! asking for the same thing (rule 11.7).

mod cards;
mod scripted;

pub use cards::{CardCharge, Cards, NoCards, Unreachable};
pub use scripted::{CardScript, ScriptedCards};
