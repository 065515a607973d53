//! The desk at which one account is worked on: what is known, and what is to be written so far.

use crate::account::Account;
use crate::actions::{Action, Refusal};
use crate::changes::Changes;
use crate::money::{Currency, OutOfRange};
use crate::policy::{Outage, Policy};
use crate::prices::PriceBook;
use crate::time::Timestamp;

/// What holds for all accounts.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub prices: &'a PriceBook,
    pub policy: &'a Policy,
    pub outages: &'a [Outage],
}

/// A new account; `card` comes with what its authorisation answered (rule 8).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAccount {
    pub name: String,
    pub currency: Option<Currency>,
    pub trial: bool,
    pub resume_on_deposit: bool,
    pub card: Option<(String, bool)>,
}

/// Opens an account at `now`. The store gives it its id.
pub fn open_account(new: NewAccount, policy: &Policy, now: Timestamp) -> Account {
    let _ = (new, policy, now);
    unreachable!()
}

/// Does all that is due at or before `until`, in the order of rule 11.2, or up to a card that must answer first.
pub fn settle(account: Account, cx: &Context<'_>, until: Timestamp) -> Result<Changes, OutOfRange> {
    let _ = (account, cx, until);
    unreachable!()
}

/// Settles up to `now` and then does `action`, or says why not. While a card's answer is awaited, the
/// action is not begun (`outcome` is none and no action waits) or waits in the account.
pub fn act(account: Account, cx: &Context<'_>, action: &Action, now: Timestamp) -> Result<Changes, OutOfRange> {
    let _ = (account, cx, action, now);
    let _: Option<Refusal> = None;
    unreachable!()
}
