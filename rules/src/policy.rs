//! The numbers a hoster may change, with the rule book's defaults.

use serde::{Deserialize, Serialize};

use crate::money::{Currency, Micros, Quantity};
use crate::time::{Period, Timestamp};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// Of accounts that name none.
    pub currency: Currency,
    pub minimum_deposit: Micros,
    /// Days between a missed renewal and the removal (rule 5.2).
    pub retention_days: u32,
    /// Days between an invoice's issue and its being overdue (rule 6.8).
    pub grace_days: u32,
    /// Days after an invoice's first failure at which the card is tried again, rising (rule 6.8).
    pub retry_days: Vec<u32>,
    /// Hours that nobody loses by our own silence (rule 11.8).
    pub outage_grace_hours: u32,
    pub trial: TrialPolicy,
    pub documents: DocumentPolicy,
}

/// How invoices and credit notes are numbered for the public (rule 6.11).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DocumentPolicy {
    pub invoice_series: String,
    pub credit_note_series: String,
    /// Shorter numbers get zeros in front.
    pub digits: u32,
}

impl DocumentPolicy {
    /// As it is printed: `INV-000042`.
    pub fn printed(&self, series: &str, number: i64) -> String {
        let digits = usize::try_from(self.digits).unwrap_or_default();
        format!("{series}-{number:0digits$}")
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrialPolicy {
    pub days: u32,
    /// What the covered server may be worth a month (rule 7.2).
    pub server_worth: Micros,
    /// The metered component that the allowance is of (rule 7.4).
    pub traffic_component: String,
    pub traffic_included: Quantity,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            currency: Currency::USD,
            minimum_deposit: Micros::new(10_000_000),
            retention_days: 3,
            grace_days: 7,
            retry_days: vec![1, 3, 5],
            outage_grace_hours: 24,
            trial: TrialPolicy::default(),
            documents: DocumentPolicy::default(),
        }
    }
}

impl Default for DocumentPolicy {
    fn default() -> Self {
        Self { invoice_series: "INV".to_owned(), credit_note_series: "CN".to_owned(), digits: 6 }
    }
}

impl Default for TrialPolicy {
    fn default() -> Self {
        Self {
            days: 30,
            server_worth: Micros::new(100_000_000),
            traffic_component: "traffic_gb".to_owned(),
            traffic_included: Micros::new(1_000_000_000),
        }
    }
}

/// `[from, to)` in which no daemon was alive for twelve hours or longer (rule 11.8).
pub type Outage = Period;

/// Moves a card's try out of the outage it falls into, to its end.
pub fn try_after_outages(at: Timestamp, outages: &[Outage]) -> Timestamp {
    outages.iter().fold(at, |at, outage| if outage.contains(at) { outage.to } else { at })
}

/// Moves the end of a grace that began at `began` to a while after each outage it fell into or close behind.
pub fn grace_after_outages(began: Timestamp, ends: Timestamp, outages: &[Outage], grace_hours: u32) -> Timestamp {
    outages.iter().fold(ends, |ends, outage| {
        let spared_until = outage.to.plus_hours(grace_hours);
        if began < outage.to && outage.from <= ends && ends < spared_until { spared_until } else { ends }
    })
}
