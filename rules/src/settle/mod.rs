//! Settlement (rule 11).
use crate::account::Account;
use crate::desk::Context;
use crate::due::DueKind;
use crate::time::Timestamp;

pub fn next_of(account: &Account, cx: &Context<'_>, kind: DueKind) -> Option<Timestamp> {
    let _ = (account, cx, kind);
    None
}
