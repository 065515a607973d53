//! What an amount was computed from, kept beside it so that it can be explained and recomputed.

use serde::{Deserialize, Serialize};

use crate::money::{Exact, Price, Quantity};
use crate::prices::Order;
use crate::time::{HOUR, Period, Timestamp};
use num_bigint::BigInt;

/// A price with what it is the price of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Priced {
    pub order: Order,
    /// The second from which the price list's version is in force; none for the first one.
    pub list: Option<Timestamp>,
    pub price: Price,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// `price × part / whole`.
    Share { of: Priced, part: Period, whole: Period },
    /// `(new − old) × part / whole`.
    Change { old: Price, new: Priced, part: Period, whole: Period },
    /// `price` for each calendar month, by its seconds.
    Months { of: Priced, part: Period },
    /// `(new − level)` for the rest of the month.
    Upgrade { level: Price, new: Priced, part: Period },
    /// `price × seconds / 3600`.
    Hours { of: Priced, part: Period },
    /// What of a server's price was above the trial's cover, over a stretch.
    Overage { of: Priced, worth: Price, cover: Price, hourly: bool, part: Period },
    /// The new overage worth a month, to the trial's end.
    NewOverage { above: Price, worth: Price, part: Period },
    /// Metered use above what is included.
    Usage { plan: String, component: String, used: Quantity, included: Quantity, price: Price },
    /// Traffic above the trial's allowance.
    TrialTraffic { units: Quantity, price: Price },
    /// Nothing: the period was paid before the account was brought in.
    PaidBefore { period: Period },
}

impl Basis {
    /// The price that the amount is of, with its version, where it is one of a plan.
    pub fn priced(&self) -> Option<&Priced> {
        match self {
            Self::Share { of, .. } | Self::Months { of, .. } | Self::Hours { of, .. } | Self::Overage { of, .. } => {
                Some(of)
            }
            Self::Change { new, .. } | Self::Upgrade { new, .. } => Some(new),
            Self::NewOverage { .. } | Self::Usage { .. } | Self::TrialTraffic { .. } | Self::PaidBefore { .. } => None,
        }
    }

    /// The plan that is paid for, where it names one.
    pub fn plan(&self) -> Option<&str> {
        match self {
            Self::Usage { plan, .. } => Some(plan),
            _ => self.priced().map(|priced| priced.order.plan.as_str()),
        }
    }

    /// The exact amount, in pico-units, before its one rounding.
    pub fn exact(&self) -> Exact {
        match self {
            Self::Share { of, part, whole } => share(of.price, *part, *whole),
            Self::Change { old, new, part, whole } => share(new.price - *old, *part, *whole),
            Self::Months { of, part } => prorate(of.price, *part),
            Self::Upgrade { level, new, part } => prorate(new.price - *level, *part),
            Self::Hours { of, part } => hours(of.price, *part),
            Self::Overage { worth, cover, hourly, part, .. } => overage(*worth, *cover, *hourly, *part),
            Self::NewOverage { above, worth, part } => prorate(*worth - *above, *part),
            Self::Usage { price, .. } | Self::TrialTraffic { price, .. } => price.exact(),
            Self::PaidBefore { .. } => Price::ZERO.exact(),
        }
    }
}

/// `price × seconds of part / seconds of whole` (rule 1.4).
fn share(price: Price, part: Period, whole: Period) -> Exact {
    if part == whole {
        return price.exact();
    }
    // Not reduced: nobody compares the parts, and the one rounding divides them anyway.
    Exact::new_raw(BigInt::from(price.pico()) * part.secs(), BigInt::from(whole.secs()))
}

/// `Σ over the calendar months: price × seconds in the month / seconds of the month` (rule 1.4).
fn prorate(monthly: Price, period: Period) -> Exact {
    period.by_month().fold(Price::ZERO.exact(), |sum, (part, month)| sum + share(monthly, part, month))
}

/// `price × seconds / 3600` (rule 6.5).
fn hours(hourly: Price, period: Period) -> Exact {
    Exact::new_raw(BigInt::from(hourly.pico()) * period.secs(), BigInt::from(HOUR))
}

/// Hours that an hourly price counts a month for in a trial (rule 7.2).
pub const HOURS_OF_MONTH: i64 = 730;

/// The part of a server's price that is above the cover, over a stretch (rule 7.3). `price × share`
/// is `worth − cover` for a monthly server, and the 730th of that an hour for an hourly one.
fn overage(worth: Price, cover: Price, hourly: bool, stretch: Period) -> Exact {
    let above = (worth - cover).max(Price::ZERO);
    if hourly { hours(above, stretch) / BigInt::from(HOURS_OF_MONTH) } else { prorate(above, stretch) }
}
