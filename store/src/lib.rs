//! Bursar's books: every line of SQL, behind one [`Store`].
//!
//! The files stand in the order in which the daemon meets them: opening, the accounts and what is due,
//! committing decisions, money from outside, what holds for all, runs and the queue, and at last reading
//! and checking the books.

mod address;
mod error;
mod open;
mod postgres;
mod schema;
mod sqlite;
mod standing;

mod cells;
mod sql;

mod accounts;
mod details;
mod load;
mod past;
mod service_row;

mod commit;
mod write;

mod audit;
mod keys;
mod notes;

mod deposits;
mod imports;
mod intents;
mod receipts;

mod due;
mod numbers;
mod parked;

mod backlog;
mod outages;
mod policies;
mod prices;
mod reference;
mod withdraw;

mod clock_doubts;
mod controls;
mod examined;
mod pulse;
mod queue;
mod runs;
mod shards;

mod backup;
mod books;
mod closings;
mod fences;
mod moving;
mod pages;
mod refusals;
mod revenue;
mod trail;
mod verify;

pub use address::{Address, has_password, with_password, without_password};
pub use audit::{AuditRow, hex};
pub use backlog::{Backlog, COUNTED};
pub use backup::{CopyKind, Extent, check_file, restore_dump};
pub use books::{EventRow, InvoiceRow, LedgerRow, LineRow};
pub use clock_doubts::ClockDoubt;
pub use closings::{CUT_OFF_IMPORT, CannotClose, Closing, InTheWay};
pub use commit::{Commit, DueSeconds, Outcome, Stamp};
pub use controls::{JobControl, Pause, Schedule};
pub use deposits::{COMING_RECEIPT, Coming, Together};
pub use details::DETAILS;
pub use error::StoreError;
pub use examined::Setting;
pub use fences::{Fence, NewFence};
pub use imports::{ArrivingAccount, Brought, GivenUp, Import};
pub use intents::{Answered, OpenIntent};
pub use keys::{ApiKey, KeyId, KeyScope, NewKey};
pub use load::{CorruptAccount, Scope};
pub use moving::{Move, MoveState, MovedTable, TABLES};
pub use notes::{DoneRequest, NewNote, Note, Repeatable, Tells, Told};
pub use numbers::Unnumbered;
pub use open::{Opening, PoolUse, Store};
pub use pages::{AccountRow, InvoiceState, ServiceFilter, ServiceRow};
pub use parked::Parked;
pub use prices::{OwnedService, Published, PublishedList, Withdrawn};
pub use pulse::Pulse;
pub use queue::{Wake, Wakes};
pub use receipts::{NewReceipt, ReceiptRow};
pub use reference::Revision;
pub use refusals::{NewRefusal, RefusalRow};
pub use revenue::RevenueKey;
pub use runs::{Counts, Hold, Moved, NewRun, Run, RunEnd, RunId, RunState};
pub use shards::{Shard, ShardProgress, ShardState};
pub use trail::Statement;
pub use verify::{INVARIANTS, Violation};
pub use withdraw::Withdrawal;

/// What every question to the store answers.
pub type Result<T> = std::result::Result<T, StoreError>;
