//! Money that came from or went back to the outside, proved and not yet in the books (rule 11.6).

use serde::{Deserialize, Serialize};

use crate::money::Micros;
use crate::time::Timestamp;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptKind {
    Deposit,
    /// The provider took a payment back.
    Dispute,
    /// A card's success that came after the books had gone on without it (rule 11.7).
    LateCardSuccess,
}

impl ReceiptKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deposit => "deposit",
            Self::Dispute => "dispute",
            Self::LateCardSuccess => "late_card_success",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// Its place among all receipts, in the order in which they became durable.
    pub id: i64,
    pub provider: String,
    pub kind: ReceiptKind,
    pub amount: Micros,
    /// The second at which its proof was first durable here.
    pub received_at: Timestamp,
}
