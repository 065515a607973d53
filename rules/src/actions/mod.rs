//! What customers, admins and the control plane do: each action is decided on a settled account and
//! either changes it or is refused and moves nothing.

mod change;
mod close;
mod correct;
mod create;
mod lifecycle;
mod overage;
mod perform;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::account::SuspendReason;
use crate::invoice::{Buyer, InvoiceNumber};
use crate::money::{Micros, Quantity};

/// Names of services are names within the account that acts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// A new card, with what its authorisation answered (rule 8); it is charged for open invoices.
    SaveCard {
        card: String,
        authorised: bool,
    },
    RemoveCard,
    /// The customer starts a deposit; the money comes as a receipt (rule 3.2).
    StartDeposit {
        amount: Micros,
    },
    /// An admin's charge or bonus (rule 3.5).
    Adjust {
        amount: Micros,
        author: String,
        reason: String,
    },
    CreateService {
        service: String,
        plan: String,
        quantities: BTreeMap<String, Quantity>,
        options: BTreeSet<String>,
    },
    Enable {
        service: String,
    },
    Disable {
        service: String,
    },
    Change {
        service: String,
        change: OrderChange,
        confirm_data_loss: bool,
    },
    Extend {
        service: String,
    },
    Cancel {
        service: String,
        when: CancelWhen,
    },
    Uncancel {
        service: String,
    },
    /// The control plane reports that the machine is gone.
    Removed {
        service: String,
    },
    /// The control plane reports what was used since its last report.
    Usage {
        service: String,
        component: String,
        quantity: Quantity,
    },
    SuspendAccount {
        reason: SuspendReason,
    },
    RestoreAccount,
    CloseAccount {
        rest: Option<Rest>,
    },
    /// An admin takes the current period of a service back (rule 3.6).
    Void {
        service: String,
        author: String,
        reason: String,
    },
    /// An admin takes an invoice back, and has its lines issued anew with these data of the buyer (rule 6.12).
    CreditInvoice {
        invoice: InvoiceNumber,
        author: String,
        reason: String,
        reissue: Option<Buyer>,
    },
    /// An admin gives up what is open of an invoice (rule 6.13).
    WriteOffInvoice {
        invoice: InvoiceNumber,
        author: String,
        reason: String,
    },
}

impl Action {
    /// The service it is about, unless it creates it.
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::Enable { service }
            | Self::Disable { service }
            | Self::Change { service, .. }
            | Self::Extend { service }
            | Self::Cancel { service, .. }
            | Self::Uncancel { service }
            | Self::Removed { service }
            | Self::Usage { service, .. }
            | Self::Void { service, .. } => Some(service),
            Self::SaveCard { .. }
            | Self::RemoveCard
            | Self::StartDeposit { .. }
            | Self::Adjust { .. }
            | Self::CreateService { .. }
            | Self::SuspendAccount { .. }
            | Self::RestoreAccount
            | Self::CloseAccount { .. }
            | Self::CreditInvoice { .. }
            | Self::WriteOffInvoice { .. } => None,
        }
    }

    /// The issued invoice that it is about.
    pub const fn invoice(&self) -> Option<InvoiceNumber> {
        match self {
            Self::CreditInvoice { invoice, .. } | Self::WriteOffInvoice { invoice, .. } => Some(*invoice),
            _ => None,
        }
    }
}

/// What is given replaces the old one whole.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct OrderChange {
    pub plan: Option<String>,
    pub quantities: Option<BTreeMap<String, Quantity>>,
    pub options: Option<BTreeSet<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelWhen {
    Now,
    PeriodEnd,
}

/// What becomes of the wallet's rest when an account closes (rule 9.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rest {
    Waive,
    Refund,
}

/// Why an action was refused; of several reasons the first in this order is given.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    NotFound,
    NotAllowed,
    RecoveryClosed,
    InvalidState,
    StillInUse,
    UnsettledDebt,
    NeedsConfirmation,
    BelowMinimum,
    InsufficientFunds,
    PaymentFailed,
}

impl Refusal {
    /// In the order in which they are given if several apply.
    pub const ALL: [Self; 10] = [
        Self::NotFound,
        Self::NotAllowed,
        Self::RecoveryClosed,
        Self::InvalidState,
        Self::StillInUse,
        Self::UnsettledDebt,
        Self::NeedsConfirmation,
        Self::BelowMinimum,
        Self::InsufficientFunds,
        Self::PaymentFailed,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::NotAllowed => "not_allowed",
            Self::RecoveryClosed => "recovery_closed",
            Self::InvalidState => "invalid_state",
            Self::StillInUse => "still_in_use",
            Self::UnsettledDebt => "unsettled_debt",
            Self::NeedsConfirmation => "needs_confirmation",
            Self::BelowMinimum => "below_minimum",
            Self::InsufficientFunds => "insufficient_funds",
            Self::PaymentFailed => "payment_failed",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
