//! The seam to whoever charges saved cards.

use std::future::Future;
use std::pin::Pin;

use rules::{Answer, Currency, Micros};

/// A charge of a saved card. The same key is the same charge, however often it is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CardCharge {
    pub key: String,
    /// The provider's name of the card.
    pub card: String,
    /// In whole minor units of the currency.
    pub amount: Micros,
    pub currency: Currency,
}

/// No answer: neither a success nor a failure. Ask again with the same key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the card provider did not answer: {0}")]
pub struct Unreachable(pub String);

type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, Unreachable>> + Send + 'a>>;

/// A provider of card payments.
pub trait Cards: Send + Sync {
    /// Charges a card, or says what became of that charge.
    fn charge<'a>(&'a self, charge: &'a CardCharge) -> Asked<'a, Answer>;

    /// Authorises a new card, without taking money; whether it is good (rule 8).
    fn authorise<'a>(&'a self, card: &'a str) -> Asked<'a, bool>;
}

/// Where no provider is configured: nothing is charged, and nothing is known of what was.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCards;

impl Cards for NoCards {
    fn charge<'a>(&'a self, _: &'a CardCharge) -> Asked<'a, Answer> {
        Box::pin(async { Err(Unreachable("no card provider is configured".to_owned())) })
    }

    fn authorise<'a>(&'a self, _: &'a str) -> Asked<'a, bool> {
        Box::pin(async { Err(Unreachable("no card provider is configured".to_owned())) })
    }
}
