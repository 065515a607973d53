//! Bursar's jobs, one file each, and what runs them.
//!
//! [`JOBS`] stands in the order in which money flows: it is the billing cycle.

mod bill_instances;
mod collect_payments;
mod end_retention;
mod end_trials;
mod issue_invoices;
mod number_documents;
mod renew_services;
mod verify_books;

mod clock;
mod guard;

#[cfg(test)]
mod control_tests;
mod error;
mod hold;
mod job;
mod meter;
mod office;
#[cfg(test)]
mod office_tests;
mod preview;
mod reference;
mod runs;
#[cfg(test)]
mod schedule_tests;
mod scheduler;
#[cfg(test)]
mod scheduler_tests;
mod slots;
mod stop;
mod tally;
#[cfg(test)]
mod testing;
mod till;
#[cfg(test)]
mod till_tests;
#[cfg(test)]
mod withdraw_tests;

pub use clock::{Clock, Stopwatch};
pub use error::JobError;
pub use guard::{ClockWatch, Jump};
pub use hold::Band;
pub use job::{Registered, Wakes};
pub use meter::{Histogram, Meter, Observed};
pub use office::{Acted, Decided, Office};
pub use preview::{Preview, preview, preview_of_held, stops};
pub use runs::{
    BATCH_ACCOUNTS, RunOrder, ShardEnd, ShardWork, is_paused, open_run, open_sweep, rewake, shards_at_once, work_run,
    work_shard,
};
pub use scheduler::{Scheduler, Ticked, end_silence};
pub use slots::{SCHEDULE, next_slot, open_slot, open_slots, release};
pub use stop::Stop;
pub use tally::Tally;
pub use till::{Deposit, Paid};

use rules::Timestamp;
use store::{Schedule, Store, StoreError};

/// Every job, in the order in which money flows.
pub static JOBS: [Registered; 8] = [
    job::register::<bill_instances::BillInstances>(),
    job::register::<renew_services::RenewServices>(),
    job::register::<end_retention::EndRetention>(),
    job::register::<issue_invoices::IssueInvoices>(),
    job::register::<number_documents::NumberDocuments>(),
    job::register::<collect_payments::CollectPayments>(),
    job::register::<end_trials::EndTrials>(),
    job::register::<verify_books::VerifyBooks>(),
];

/// Makes all of them known to the books; answers those whose schedule was edited, which counts from now on.
pub async fn enrol(store: &Store, now: Timestamp) -> Result<Vec<String>, StoreError> {
    let schedules: Vec<Schedule<'_>> = JOBS.iter().map(|job| (job.name, job.cron, job.due_kind)).collect();
    store.jobs_enrol(&schedules, now).await
}

/// The job of that name.
pub fn job(name: &str) -> Option<&'static Registered> {
    JOBS.iter().find(|job| job.name == name)
}
