//! Bursar's billing rules (`docs/rules.md`): what is known and a second go in, [`Changes`] come out.
//!
//! Nothing here does I/O, reads a clock or calls anybody. The files stand in the order in which an
//! account's life needs them: time and money, what things cost, what an account is, what is due,
//! what is done, and what it all wants written.

mod account;
mod actions;
mod arrival;
mod basis;
mod changes;
mod charge;
mod comparison;
mod desk;
mod due;
mod explain;
mod invoice;
mod money;
mod policy;
mod prices;
mod receipt;
mod revenue;
mod service;
mod settle;
mod time;
mod withdrawal;

pub use account::{Account, AccountId, Past, Sequences, Standing, SuspendReason, Trial, Waiting};
pub use actions::{Action, CancelWhen, OrderChange, Refusal, Rest};
pub use arrival::{Arrival, ArrivingInvoice, ArrivingService, ArrivingTrial, Misfit, bring_in};
pub use basis::{Basis, Priced};
pub use changes::{Changes, Event, EventKind, LedgerAccount, Progress, Transfer, TransferKind};
pub use charge::{Answer, Intent, Purpose};
pub use comparison::{AccountDifference, Comparison, PlanDifference};
pub use desk::{Context, NewAccount, Unsettleable, act, cost_of, open_account, settle};
pub use due::{DueKind, due_seconds};
pub use explain::explain;
pub use invoice::{Buyer, CreditNote, Invoice, InvoiceNumber, InvoiceStanding, Line, LineKind, Reissue, Tries};
pub use money::{Currency, Micros, OutOfRange, Price, Quantity, parse_decimal, round_to_micros, round_to_minor};
pub use policy::{DocumentPolicy, Outage, Policy, TrialPolicy};
pub use prices::{Component, ListConflict, Mode, Order, Plan, PriceBook, PriceList, PricePart, Tier, Unpriced};
pub use receipt::{Receipt, ReceiptKind};
pub use revenue::{Revenue, RevenueMoves};
pub use service::{
    Daily, DailyState, Kind, Meter, Server, ServerState, Service, ServiceNumber, Stage, StopReason, Stretch, Term,
    TermState, TrialTraffic, Usage,
};
pub use settle::retention_end;
pub use time::{DAY, HOUR, Period, Timestamp};
pub use withdrawal::Candidate;
