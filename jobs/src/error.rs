//! Why a job's work stopped. What is due stays due: the next wake finds it.

use store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("account `{account}` cannot be settled: {problem}")]
    Unsettleable { account: String, problem: String },
    #[error("account `{0}` kept moving while it was worked on: try again")]
    Contended(String),
    #[error("the card provider did not answer: {0}; the action goes on when it does")]
    AwaitsProvider(String),
    #[error("{violations} invariants of the books are broken: run `bursar verify`")]
    BooksBroken { violations: usize },
}
