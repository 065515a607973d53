//! That a price is the one of the list that it names, and that list the one in force when its period began.

use rules::{Basis, Period, PriceBook, Priced, Timestamp};

use crate::Result;
use crate::prices::{PublishedList, laid};

/// The price lists of the books.
pub struct Prices {
    lists: Vec<PublishedList>,
    book: PriceBook,
}

impl Prices {
    pub fn of(lists: Vec<PublishedList>) -> Result<Self> {
        let book = laid(lists.iter().cloned())?;
        Ok(Self { lists, book })
    }

    pub const fn book(&self) -> &PriceBook {
        &self.book
    }

    /// In which way a basis has another price than the lists that were known when it was recorded.
    pub fn differs(&self, basis: &Basis, period: Option<Period>, recorded_at: Timestamp) -> Option<String> {
        let why = differs(&self.book, basis, period)?;
        // What an older version lacks is read from the first one that has it, which may have been another then.
        let known = self.lists.iter().filter(|list| list.recorded_at <= recorded_at).cloned();
        laid(known).map_or(Some(why), |book| differs(&book, basis, period))
    }
}

fn differs(book: &PriceBook, basis: &Basis, period: Option<Period>) -> Option<String> {
    match basis {
        Basis::Share { of, part, .. } | Basis::Months { of, part } => {
            priced(book, of).or_else(|| begins(book, of, *part))
        }
        Basis::Hours { of, part } | Basis::Overage { of, hourly: true, part, .. } => {
            priced(book, of).or_else(|| begins(book, of, *part)).or_else(|| lasts(book, of, *part))
        }
        // The version is that of the period that the change lies in, or of the server's creation.
        Basis::Change { new: of, part, .. }
        | Basis::Upgrade { new: of, part, .. }
        | Basis::Overage { of, part, .. } => priced(book, of).or_else(|| is_known(of, *part)),
        Basis::Usage { plan, component, used, included, price } => {
            let at = period?.from;
            let listed = match book.component(plan, component, at) {
                Ok(listed) => listed,
                Err(unpriced) => return Some(unpriced.to_string()),
            };
            let wanted = listed.price_of(*used);
            let is_so = listed.included == *included && wanted == *price;
            let priced = |price, included| format!("{price} for {used} of {component}, {included} included");
            (!is_so).then(|| {
                let (told, listed) = (priced(*price, *included), priced(wanted, listed.included));
                format!("{told}; {plan} at {at}: {listed}")
            })
        }
        Basis::NewOverage { .. } | Basis::TrialTraffic { .. } | Basis::PaidBefore { .. } => None,
    }
}

/// The list that it names has this price.
fn priced(book: &PriceBook, of: &Priced) -> Option<String> {
    let since = of.list.unwrap_or(Timestamp::BEGINNING);
    let wanted = match book.price(&of.order, since) {
        Ok(wanted) => wanted,
        Err(unpriced) => return Some(unpriced.to_string()),
    };
    (of.price != wanted).then(|| format!("{} for {}, its list says {wanted}", of.price, of.order.plan))
}

/// It names the list in force when its part began.
fn begins(book: &PriceBook, of: &Priced, part: Period) -> Option<String> {
    let since = book.version_of(&of.order.plan, part.from);
    let named = of.list.unwrap_or(Timestamp::BEGINNING);
    (named != since)
        .then(|| format!("{} by the list of {}, at {} another was in force", of.order.plan, at(named), part.from))
}

/// No other list takes effect before its part ends.
fn lasts(book: &PriceBook, of: &Priced, part: Period) -> Option<String> {
    let later =
        book.changes_within(&of.order.plan, part.from, part.to).find(|at| book.price(&of.order, *at) != Ok(of.price));
    later.map(|later| {
        format!("{} for {} until {}, from {later} another price was in force", of.price, of.order.plan, part.to)
    })
}

/// It names a list that was in force already.
fn is_known(of: &Priced, part: Period) -> Option<String> {
    let named = of.list?;
    (named > part.from)
        .then(|| format!("{} by the list of {named}, before it was in force at {}", of.order.plan, part.from))
}

fn at(named: Timestamp) -> String {
    if named == Timestamp::BEGINNING { "the beginning".to_owned() } else { named.to_string() }
}
