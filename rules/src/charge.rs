//! Charges of a saved card: the intent is committed before the call, the answer is history (rule 11.7).

use serde::{Deserialize, Serialize};

use crate::invoice::InvoiceNumber;
use crate::money::Micros;
use crate::time::Timestamp;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// What is open of an invoice, by the number of the try.
    Invoice { number: InvoiceNumber, attempt: u32 },
    /// Trial traffic (rule 7.4).
    Traffic { at: Timestamp },
    /// New overage of a trial's server (rule 7.3).
    Overage { service: String },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Succeeded,
    Failed,
    /// None came in time: the books go on as if it had failed, without a new try.
    Pending,
}

impl Answer {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Pending => "pending",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Intent {
    /// What the provider knows the charge by: derived from what it is for and which try, never random.
    pub key: String,
    pub purpose: Purpose,
    pub card: String,
    pub amount: Micros,
    pub due_at: Timestamp,
    pub answer: Option<Answer>,
}
