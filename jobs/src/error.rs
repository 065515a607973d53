//! Why a job's work stopped. What is due stays due: the next wake finds it.

use providers::Unreachable;
use rules::Timestamp;
use store::StoreError;

use crate::guard::Jump;

#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("account `{account}` cannot be settled: {problem}")]
    Unsettleable { account: String, problem: String },
    #[error("account `{0}` kept moving while it was worked on: try again")]
    Contended(String),
    #[error("account `{0}` waits for its card's answer; the action goes on when it comes")]
    Waits(String),
    #[error("account `{0}` waits for its card's answer to an earlier charge: try again when it is there")]
    NotBegun(String),
    #[error("the action on account `{0}` was finished by another worker: see what became of it")]
    DoneElsewhere(String),
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error(transparent)]
    Clock(#[from] Jump),
    #[error("account `{account}` waits for run {run} of {job}, which is held: see `bursar runs show {run}`")]
    Held { account: String, run: i64, job: String },
    #[error("account `{account}` waits for {job}, which is paused: see `bursar jobs list`")]
    Paused { account: String, job: String },
    #[error("account `{account}` waits until the run of {job} for {slot} is open: try again in some seconds")]
    Opening { account: String, job: &'static str, slot: Timestamp },
    #[error("{violations} invariants of the books are broken: run `bursar verify`")]
    BooksBroken { violations: usize },
}
