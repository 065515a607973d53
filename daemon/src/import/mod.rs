//! Bringing in the accounts of a host that moves here: a file is checked whole, then its accounts come in by batches,
//! each whole or not at all.

mod check;
mod source;
#[cfg(test)]
mod tests;
mod write;

use jobs::Office;
use rules::Timestamp;

use crate::input::Terms;

pub use check::{AtOnce, Checked, Looked, look};
pub use source::Source;
pub use write::{Contended, CutShort, bring_in};

/// What a file is read by, as of a second.
pub async fn terms(office: &Office, at: Timestamp) -> anyhow::Result<Terms> {
    let (book, outages) = (office.store.price_book().await?, office.store.outages().await?);
    Ok(Terms { book, policy: office.policy(), outages, at })
}
