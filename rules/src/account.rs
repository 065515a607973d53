//! An account as the rules know it: all that fixes what happens to it next.

use serde::{Deserialize, Serialize};

use crate::actions::Action;
use crate::changes::Transfer;
use crate::charge::Intent;
use crate::invoice::{Buyer, Invoice, Line};
use crate::money::{Currency, Micros, OutOfRange, Price, Quantity};
use crate::receipt::Receipt;
use crate::service::{Service, ServiceNumber, StopReason};
use crate::time::Timestamp;

/// The account's key in the store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(pub i64);

/// Why an account is suspended (rule 9.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuspendReason {
    Unpaid,
    Fraud,
    Admin,
}

impl SuspendReason {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unpaid => "unpaid",
            Self::Fraud => "fraud",
            Self::Admin => "admin",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Active,
    Suspended(SuspendReason),
    Closed,
}

impl Standing {
    pub const fn is_suspended(self) -> bool {
        matches!(self, Self::Suspended(_))
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended(_) => "suspended",
            Self::Closed => "closed",
        }
    }

    /// Why it is suspended.
    pub const fn reason(self) -> Option<SuspendReason> {
        match self {
            Self::Suspended(reason) => Some(reason),
            Self::Active | Self::Closed => None,
        }
    }
}

/// A trial and what of it was used (rule 7).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trial {
    pub ends_at: Timestamp,
    pub ended: bool,
    /// Traffic that all servers reported, allowance included.
    pub traffic_used: Quantity,
    /// What the traffic above the allowance costs so far.
    pub traffic_cost: Price,
    /// What of that was charged to the card.
    pub traffic_charged: Micros,
    /// The next charge of traffic is at the first midnight after this second.
    pub traffic_due_after: Timestamp,
}

/// An action that waits for the answer of a card (rule 11.7), with the second at which it was decided.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Waiting {
    pub at: Timestamp,
    pub action: Action,
    pub key: String,
}

/// The account's own sequences: what it books next gets these numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Sequences {
    pub transfer: i64,
    pub event: i64,
    pub service: i64,
    pub invoice: i64,
    pub charge: i64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
    pub currency: Currency,
    pub opened_at: Timestamp,
    /// Counts the commits; one that was decided on an older version is refused.
    pub version: i64,
    /// Everything due at or before this second is in the books.
    pub settled_at: Timestamp,
    pub standing: Standing,
    /// Its card was authorised, or it never had one (rule 8).
    pub verified: bool,
    /// The provider's name of the saved card.
    pub card: Option<String>,
    pub resume_on_deposit: bool,
    pub wallet: Micros,
    /// Deposits and card credits, less what was refunded and disputed (rule 3.4).
    pub brought_in: Micros,
    pub trial: Option<Trial>,
    /// Until when every enabled daily instance is paid.
    pub daily_paid_until: Timestamp,
    /// The last invoice time that was worked off, or when the first server began to wait for one.
    pub invoiced_until: Timestamp,
    pub next: Sequences,
    pub waiting: Option<Waiting>,
    /// All that still live or wait for an invoice, in the order (created_at, name).
    pub services: Vec<Service>,
    /// The open ones, by issue.
    pub invoices: Vec<Invoice>,
    /// Charges whose answers the books have not used yet.
    pub intents: Vec<Intent>,
    /// Money that came and is not in the books yet, as it came.
    pub receipts: Vec<Receipt>,
    /// What an action corrects, loaded for that action alone.
    pub past: Past,
}

/// Of what is in the books already, what an action needs to take it back.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Past {
    /// What was booked for the service since its last period was charged.
    pub charges: Vec<Transfer>,
    /// The invoice's lines,
    pub lines: Vec<Line>,
    /// how often they were issued anew,
    pub reissued: u32,
    /// and what the card paid of it.
    pub paid_by_card: Micros,
    /// Whom the account's invoices name.
    pub buyer: Buyer,
}

impl Account {
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }

    pub fn service_by_number(&self, number: ServiceNumber) -> Option<&Service> {
        self.services.iter().find(|service| service.number == number)
    }

    /// The trial's end, while the trial runs at `at`.
    pub fn trial_end(&self, at: Timestamp) -> Option<Timestamp> {
        self.trial.as_ref().map(|trial| trial.ends_at).filter(|end| at < *end)
    }

    /// What is still to pay of all open invoices.
    pub fn open_total(&self) -> Result<Micros, OutOfRange> {
        self.invoices.iter().try_fold(Micros::ZERO, |sum, invoice| sum.checked_add(invoice.to_pay()))
    }

    pub fn has_overdue(&self) -> bool {
        self.invoices.iter().any(|invoice| invoice.overdue && invoice.paid_at.is_none())
    }
}

impl From<SuspendReason> for StopReason {
    fn from(reason: SuspendReason) -> Self {
        match reason {
            SuspendReason::Unpaid => Self::Unpaid,
            SuspendReason::Fraud => Self::Fraud,
            SuspendReason::Admin => Self::Admin,
        }
    }
}
