//! The health checks: `/healthz` says that the process lives, `/readyz` that it does its work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jobs::{JobError, Office, Stopwatch};
use store::StoreError;

use crate::serve::Role;

/// A scheduler that is silent for so long hangs.
const TICK_MAX: Duration = Duration::from_secs(10);

/// A store that takes longer does not answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

pub struct Health {
    office: Office,
    role: Role,
    last_tick: Mutex<Option<Tick>>,
    workers: AtomicBool,
    /// What the last work failed of; none once other work went well.
    failure: Mutex<Option<String>>,
}

struct Tick {
    ended: Stopwatch,
    problems: Vec<String>,
}

/// Why the books cannot be changed.
struct Unchangeable {
    why: String,
    is_fenced: bool,
}

impl Health {
    pub fn new(office: Office, role: Role) -> Self {
        let (last_tick, failure) = (Mutex::default(), Mutex::default());
        Self { office, role, last_tick, workers: AtomicBool::new(false), failure }
    }

    pub fn office(&self) -> &Office {
        &self.office
    }

    pub fn role(&self) -> Role {
        self.role
    }

    /// The scheduler did its round; this went wrong in it.
    pub fn ticked(&self, problems: &[(&'static str, JobError)]) {
        let problems = problems.iter().map(|(what, error)| format!("{what}: {error}")).collect();
        let tick = Tick { ended: Stopwatch::start(), problems };
        *self.last_tick.lock().unwrap_or_else(PoisonError::into_inner) = Some(tick);
    }

    /// Whether something went wrong in the scheduler's last round.
    pub fn has_problems(&self) -> bool {
        let last = self.last_tick.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().is_some_and(|tick| !tick.problems.is_empty())
    }

    pub fn workers_run(&self, run: bool) {
        self.workers.store(run, Ordering::SeqCst);
    }

    /// Work on a shard ended well, or of this.
    pub fn worked(&self, failure: Option<String>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    pub async fn is_ready(&self) -> bool {
        self.problems().await.is_empty()
    }

    /// What keeps the daemon from doing its work.
    pub async fn problems(&self) -> Vec<String> {
        match self.database().await {
            // Nobody works then, and nothing else is wrong.
            Err(fenced @ Unchangeable { is_fenced: true, .. }) => vec![fenced.why],
            Err(database) => [database.why].into_iter().chain(self.own_problems()).collect(),
            Ok(()) => self.own_problems(),
        }
    }

    /// Why nothing can be changed in the books, if it is so.
    pub async fn database_problem(&self) -> Option<String> {
        self.database().await.err().map(|database| database.why)
    }

    async fn database(&self) -> Result<(), Unchangeable> {
        match tokio::time::timeout(ANSWER_MAX, self.office.store.refuse_changes()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error @ StoreError::Fenced { .. })) => Err(Unchangeable { why: error.to_string(), is_fenced: true }),
            Ok(Err(error)) => Err(Unchangeable { why: format!("the database: {error}"), is_fenced: false }),
            Err(_) => {
                let why = format!("the database does not answer within {} s", ANSWER_MAX.as_secs());
                Err(Unchangeable { why, is_fenced: false })
            }
        }
    }

    /// What else keeps the daemon from doing its work.
    pub fn own_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.office.stop.is_asked() {
            problems.push("it is stopping".to_owned());
        }
        if self.role == Role::Http {
            return problems;
        }
        match &*self.last_tick.lock().unwrap_or_else(PoisonError::into_inner) {
            None => problems.push("the scheduler has not ticked yet".to_owned()),
            Some(tick) => {
                let silent = tick.ended.elapsed();
                if silent > TICK_MAX {
                    problems.push(format!("the scheduler has not ticked for {} s", silent.as_secs()));
                }
                problems.extend_from_slice(&tick.problems);
            }
        }
        if !self.workers.load(Ordering::SeqCst) {
            problems.push("no worker takes wakes from the queue".to_owned());
        }
        problems.extend(self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone());
        problems
    }
}

/// The health checks, which need no key.
pub fn router(health: Arc<Health>) -> Router {
    Router::new().route("/healthz", get(async || "ok")).route("/readyz", get(async move || ready(&health).await))
}

async fn ready(health: &Health) -> Response {
    let as_of = health.office.clock.now().to_string();
    let problems = health.problems().await;
    if problems.is_empty() {
        let body = serde_json::json!({ "status": "ready", "as_of": as_of });
        return (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response();
    }
    let body = serde_json::json!({
        "type": "about:blank",
        "title": "not ready",
        "status": StatusCode::SERVICE_UNAVAILABLE.as_u16(),
        "detail": problems.join("; "),
        "problems": problems,
        "as_of": as_of,
    });
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (StatusCode::SERVICE_UNAVAILABLE, kind, body.to_string()).into_response()
}
