//! What a decision wants written: plain data, committed in one transaction or not at all.

use serde::{Deserialize, Serialize};

use crate::account::{Account, AccountId};
use crate::actions::Refusal;
use crate::basis::Basis;
use crate::charge::{Answer, Intent};
use crate::invoice::{CreditNote, InvoiceNumber, Line, Reissue};
use crate::money::Micros;
use crate::service::{ServiceNumber, StopReason};
use crate::time::{Period, Timestamp};

/// The ledger's accounts. The wallet and the receivable are the customer's own; a wallet is what we
/// owe the customer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerAccount {
    Wallet,
    Receivable,
    Sales,
    Tax,
    CashProvider,
    Promotions,
    RefundsPayable,
    Fees,
    Bank,
    Unallocated,
    BadDebt,
    OtherIncome,
    Opening,
}

impl LedgerAccount {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wallet => "wallet",
            Self::Receivable => "receivable",
            Self::Sales => "sales",
            Self::Tax => "tax",
            Self::CashProvider => "cash:provider",
            Self::Promotions => "promotions",
            Self::RefundsPayable => "refunds_payable",
            Self::Fees => "fees",
            Self::Bank => "bank",
            Self::Unallocated => "unallocated",
            Self::BadDebt => "bad_debt",
            Self::OtherIncome => "other_income",
            Self::Opening => "opening",
        }
    }
}

/// What a transfer is. Each kind has one row of the posting table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferKind {
    Deposit,
    CardCredit,
    Period,
    Upgrade,
    Downgrade,
    /// An admin's charge.
    Charge,
    Bonus,
    InvoiceIssued,
    InvoicePaidByWallet,
    InvoicePaidByCard,
    Dispute,
    RefundApproved,
    RefundSent,
    Waiver,
    /// What a wallet held elsewhere, when its account was brought in.
    BroughtIn,
    DebtBroughtIn,
    /// What was still open of an invoice that was issued elsewhere.
    InvoiceBroughtIn,
    /// A whole period is taken back.
    Reversal,
    /// A credit note over a whole invoice.
    InvoiceCredited,
    /// What of a credited invoice was still open when it was brought in.
    BroughtInCredited,
    /// What the wallet paid of an invoice that is credited,
    PaymentReturned,
    /// and what the card did.
    CardPaymentReturned,
    WriteOff,
}

impl TransferKind {
    pub const ALL: [Self; 23] = [
        Self::Deposit,
        Self::CardCredit,
        Self::Period,
        Self::Upgrade,
        Self::Downgrade,
        Self::Charge,
        Self::Bonus,
        Self::InvoiceIssued,
        Self::InvoicePaidByWallet,
        Self::InvoicePaidByCard,
        Self::Dispute,
        Self::RefundApproved,
        Self::RefundSent,
        Self::Waiver,
        Self::BroughtIn,
        Self::DebtBroughtIn,
        Self::InvoiceBroughtIn,
        Self::Reversal,
        Self::InvoiceCredited,
        Self::BroughtInCredited,
        Self::PaymentReturned,
        Self::CardPaymentReturned,
        Self::WriteOff,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Deposit => "deposit",
            Self::CardCredit => "card_credit",
            Self::Period => "period",
            Self::Upgrade => "upgrade",
            Self::Downgrade => "downgrade",
            Self::Charge => "charge",
            Self::Bonus => "bonus",
            Self::InvoiceIssued => "invoice_issued",
            Self::InvoicePaidByWallet => "invoice_paid_by_wallet",
            Self::InvoicePaidByCard => "invoice_paid_by_card",
            Self::Dispute => "dispute",
            Self::RefundApproved => "refund_approved",
            Self::RefundSent => "refund_sent",
            Self::Waiver => "waiver",
            Self::BroughtIn => "brought_in",
            Self::DebtBroughtIn => "debt_brought_in",
            Self::InvoiceBroughtIn => "invoice_brought_in",
            Self::Reversal => "reversal",
            Self::InvoiceCredited => "invoice_credited",
            Self::BroughtInCredited => "brought_in_credited",
            Self::PaymentReturned => "payment_returned",
            Self::CardPaymentReturned => "card_payment_returned",
            Self::WriteOff => "write_off",
        }
    }

    /// Debit and credit. The wallet is a liability: a credit raises it, a debit lowers it.
    pub const fn posting(self) -> (LedgerAccount, LedgerAccount) {
        use LedgerAccount as L;
        match self {
            Self::Deposit | Self::CardCredit => (L::CashProvider, L::Wallet),
            Self::Period | Self::Upgrade | Self::Charge => (L::Wallet, L::Sales),
            Self::Downgrade | Self::Reversal => (L::Sales, L::Wallet),
            Self::Bonus => (L::Promotions, L::Wallet),
            Self::InvoiceIssued => (L::Receivable, L::Sales),
            Self::InvoicePaidByWallet => (L::Wallet, L::Receivable),
            Self::InvoicePaidByCard => (L::CashProvider, L::Receivable),
            Self::Dispute => (L::Wallet, L::CashProvider),
            Self::RefundApproved => (L::Wallet, L::RefundsPayable),
            Self::RefundSent => (L::RefundsPayable, L::CashProvider),
            Self::Waiver => (L::Wallet, L::OtherIncome),
            Self::BroughtIn => (L::Opening, L::Wallet),
            Self::DebtBroughtIn => (L::Wallet, L::Opening),
            Self::InvoiceBroughtIn => (L::Receivable, L::Opening),
            Self::InvoiceCredited => (L::Sales, L::Receivable),
            Self::BroughtInCredited => (L::Opening, L::Receivable),
            Self::PaymentReturned | Self::CardPaymentReturned => (L::Receivable, L::Wallet),
            Self::WriteOff => (L::BadDebt, L::Receivable),
        }
    }

    /// The name of the wallet's entry that it makes, where it makes one.
    pub const fn entry(self) -> Option<&'static str> {
        match self {
            Self::Deposit | Self::CardCredit | Self::Period | Self::Upgrade | Self::Downgrade => Some(self.name()),
            Self::Dispute | Self::Waiver | Self::Reversal => Some(self.name()),
            Self::PaymentReturned | Self::CardPaymentReturned => Some(self.name()),
            Self::BroughtIn | Self::DebtBroughtIn => Some(self.name()),
            Self::Charge | Self::Bonus => Some("adjustment"),
            Self::InvoicePaidByWallet => Some("invoice_payment"),
            Self::RefundApproved => Some("refund"),
            Self::InvoiceIssued | Self::InvoicePaidByCard | Self::RefundSent | Self::InvoiceBroughtIn => None,
            Self::InvoiceCredited | Self::BroughtInCredited | Self::WriteOff => None,
        }
    }

    /// +1 where it brings in money from outside, that can be refunded, −1 where it takes it back (rule 3.4).
    pub const fn brought_in_sign(self) -> i64 {
        match self {
            Self::Deposit | Self::CardCredit | Self::CardPaymentReturned => 1,
            Self::Dispute | Self::RefundApproved => -1,
            _ => 0,
        }
    }

    /// Whether it is booked even where it moves nothing (rule 3.1): it says what became of a period.
    pub const fn is_booked_at_zero(self) -> bool {
        matches!(self, Self::Period | Self::Reversal)
    }

    /// +1 where it raises the wallet, −1 where it lowers it, 0 where it passes it by.
    pub fn wallet_sign(self) -> i64 {
        match self.posting() {
            (LedgerAccount::Wallet, _) => -1,
            (_, LedgerAccount::Wallet) => 1,
            _ => 0,
        }
    }
}

/// One row of the ledger: an amount moves from a debit to a credit account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transfer {
    pub number: i64,
    pub effective_at: Timestamp,
    pub kind: TransferKind,
    /// At least zero; zero only for a period, or one that is taken back.
    pub amount: Micros,
    pub service: Option<ServiceNumber>,
    pub invoice: Option<InvoiceNumber>,
    pub period: Option<Period>,
    pub basis: Option<Basis>,
    /// Who decided it and why, for what an admin did (rule 3.5).
    pub author: Option<String>,
    pub reason: Option<String>,
    /// The number of the transfer that it takes back.
    pub corrects: Option<i64>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum EventKind {
    ServiceCreated,
    ServiceEnabled,
    ServiceDisabled(StopReason),
    ServiceChanged,
    ServiceRenewed,
    ServiceSuspended(StopReason),
    ServiceResumed,
    ServiceCancelled,
    ServiceRemovalQueued,
    ServiceRemoved,
    ServiceDeleted,
    ServiceTerminated,
    InvoiceIssued,
    InvoicePaid,
    InvoiceOverdue,
    InvoiceCredited,
    InvoiceWrittenOff,
    PaymentFailed,
    AccountSuspended(StopReason),
    AccountRestored,
    AccountClosed,
    TrialEnded,
}

impl EventKind {
    /// Each once; those with a reason have one of many.
    pub const ALL: [Self; 22] = [
        Self::ServiceCreated,
        Self::ServiceEnabled,
        Self::ServiceDisabled(StopReason::Customer),
        Self::ServiceChanged,
        Self::ServiceRenewed,
        Self::ServiceSuspended(StopReason::InsufficientFunds),
        Self::ServiceResumed,
        Self::ServiceCancelled,
        Self::ServiceRemovalQueued,
        Self::ServiceRemoved,
        Self::ServiceDeleted,
        Self::ServiceTerminated,
        Self::InvoiceIssued,
        Self::InvoicePaid,
        Self::InvoiceOverdue,
        Self::InvoiceCredited,
        Self::InvoiceWrittenOff,
        Self::PaymentFailed,
        Self::AccountSuspended(StopReason::Unpaid),
        Self::AccountRestored,
        Self::AccountClosed,
        Self::TrialEnded,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::ServiceCreated => "service.created",
            Self::ServiceEnabled => "service.enabled",
            Self::ServiceDisabled(_) => "service.disabled",
            Self::ServiceChanged => "service.changed",
            Self::ServiceRenewed => "service.renewed",
            Self::ServiceSuspended(_) => "service.suspended",
            Self::ServiceResumed => "service.resumed",
            Self::ServiceCancelled => "service.cancelled",
            Self::ServiceRemovalQueued => "service.removal_queued",
            Self::ServiceRemoved => "service.removed",
            Self::ServiceDeleted => "service.deleted",
            Self::ServiceTerminated => "service.terminated",
            Self::InvoiceIssued => "invoice.issued",
            Self::InvoicePaid => "invoice.paid",
            Self::InvoiceOverdue => "invoice.overdue",
            Self::InvoiceCredited => "invoice.credited",
            Self::InvoiceWrittenOff => "invoice.written_off",
            Self::PaymentFailed => "payment.failed",
            Self::AccountSuspended(_) => "account.suspended",
            Self::AccountRestored => "account.restored",
            Self::AccountClosed => "account.closed",
            Self::TrialEnded => "trial.ended",
        }
    }

    pub const fn reason(self) -> Option<StopReason> {
        match self {
            Self::ServiceDisabled(reason) | Self::ServiceSuspended(reason) | Self::AccountSuspended(reason) => {
                Some(reason)
            }
            _ => None,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    pub number: i64,
    pub at: Timestamp,
    pub kind: EventKind,
    pub service: Option<ServiceNumber>,
    pub invoice: Option<InvoiceNumber>,
}

/// All that one decision writes about one account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changes {
    /// The account as it becomes; its `version` is the one that was read.
    pub account: Account,
    pub transfers: Vec<Transfer>,
    pub events: Vec<Event>,
    /// Lines of the invoices issued here.
    pub lines: Vec<(InvoiceNumber, Line)>,
    /// Services that were created or changed.
    pub services: Vec<ServiceNumber>,
    /// Invoices that were issued or changed, as they become.
    pub invoices: Vec<crate::invoice::Invoice>,
    /// Credit notes over invoices, at most one for each.
    pub credit_notes: Vec<CreditNote>,
    /// Which of the invoices issued here take the place of credited ones.
    pub reissues: Vec<Reissue>,
    /// Charges to ask a card for.
    pub new_intents: Vec<Intent>,
    /// Charges whose answer the books used here.
    pub used_intents: Vec<(String, Answer)>,
    /// Receipts that the books took in here, with the second from which they count.
    pub used_receipts: Vec<(i64, Timestamp)>,
    pub progress: Progress,
    /// How the action ended, if one did.
    pub outcome: Option<Result<(), Refusal>>,
}

/// How far settling came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// All that is due up to the second asked for is in the books.
    Settled,
    /// A card must answer first.
    AwaitsAnswer,
}

impl Changes {
    pub fn id(&self) -> AccountId {
        self.account.id
    }

    /// Whether anything but the settled second moved.
    pub fn is_empty(&self) -> bool {
        self.transfers.is_empty()
            && self.events.is_empty()
            && self.services.is_empty()
            && self.invoices.is_empty()
            && self.credit_notes.is_empty()
            && self.new_intents.is_empty()
            && self.used_intents.is_empty()
            && self.used_receipts.is_empty()
    }
}
