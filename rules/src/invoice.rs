//! Invoices and their lines (rule 6).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::basis::Basis;
use crate::money::Micros;
use crate::service::ServiceNumber;
use crate::time::{Period, Timestamp};

/// An invoice's key within its account; its public number is given later, in a step of its own.
pub type InvoiceNumber = i64;

/// In the order of the alphabet, which is the order of lines that begin together (rule 6.7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    Hours,
    Month,
    Prorated,
    TrialOverage,
    Upgrade,
    Usage,
}

impl LineKind {
    pub const ALL: [Self; 6] =
        [Self::Hours, Self::Month, Self::Prorated, Self::TrialOverage, Self::Upgrade, Self::Usage];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Hours => "hours",
            Self::Month => "month",
            Self::Prorated => "prorated",
            Self::TrialOverage => "trial_overage",
            Self::Upgrade => "upgrade",
            Self::Usage => "usage",
        }
    }

    /// Whether a line of nothing is left out (rule 6.1).
    pub const fn is_left_out_at_zero(self) -> bool {
        matches!(self, Self::Upgrade | Self::Usage | Self::TrialOverage)
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    pub service: ServiceNumber,
    pub kind: LineKind,
    pub period: Period,
    pub amount: Micros,
    pub basis: Basis,
}

/// How an invoice stands, as one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InvoiceStanding {
    Open,
    Overdue,
    Paid,
    Credited,
    WrittenOff,
}

impl InvoiceStanding {
    pub const ALL: [Self; 5] = [Self::Open, Self::Overdue, Self::Paid, Self::Credited, Self::WrittenOff];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Overdue => "overdue",
            Self::Paid => "paid",
            Self::Credited => "credited",
            Self::WrittenOff => "written_off",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invoice {
    pub number: InvoiceNumber,
    pub issued_at: Timestamp,
    pub total: Micros,
    pub paid: Micros,
    /// What was open of it when it was credited (rule 6.12) or written off (rule 6.13): no longer owed.
    pub credited: Micros,
    pub written_off: Micros,
    /// When nothing was left to pay.
    pub paid_at: Option<Timestamp>,
    pub credited_at: Option<Timestamp>,
    pub overdue: bool,
    pub tries: Tries,
}

/// Where the tries of the saved card stand (rule 6.8).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tries {
    /// How many there were; the next one's number, and so its key, follows.
    pub made: u32,
    /// The try at issue is still to come.
    pub first_is_due: bool,
    /// The retries count from here.
    pub first_failed_at: Option<Timestamp>,
    /// Scheduled tries at or before this second are done or were skipped.
    pub done_until: Timestamp,
    /// A new card is to be charged at this second.
    pub new_card_at: Option<Timestamp>,
}

impl Invoice {
    pub fn to_pay(&self) -> Micros {
        Micros::new(self.total.get() - self.paid.get() - self.credited.get() - self.written_off.get())
    }
}

/// What an invoice says of its buyer, by key: `name`, `company` and so on (rule 9.6).
pub type Buyer = BTreeMap<String, String>;

/// Takes a whole invoice back (rule 6.12).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreditNote {
    pub invoice: InvoiceNumber,
    pub issued_at: Timestamp,
    pub total: Micros,
    pub author: String,
    pub reason: String,
}

/// An invoice with the lines of a credited one (rule 6.12).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reissue {
    pub number: InvoiceNumber,
    pub of: InvoiceNumber,
    /// How often these lines were issued anew by now.
    pub times: u32,
    pub buyer: Buyer,
}
