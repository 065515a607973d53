//! The daemon's face: `/v1` in JSON, its document at `/openapi.json`, and the health checks.

mod access;
mod document;
mod ids;
mod keys;
mod limits;
mod listen;
mod names;
mod once;
mod operation;
mod problem;
mod routes;
pub mod secrets;
mod streams;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, get, on};
use jobs::{Office, Stopwatch};
use rules::Timestamp;
use store::{KeyId, StoreError};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::Instrument as _;

pub use crate::http::document::document;
pub use crate::http::listen::serve;
pub use crate::http::routes::operations;

use crate::cli::books::refuse_silent;
use crate::http::access::Caller;
use crate::http::ids::Ids;
use crate::http::keys::KnownKeys;
use crate::http::limits::Limits;
use crate::http::names::KnownNames;
use crate::http::once::AN_IDEMPOTENCY_KEY;
use crate::http::operation::{Answer, Asked, Content, Operation};
use crate::http::problem::Problem;
use crate::http::streams::Streams;

/// The longest body of a request.
const LONGEST_BODY: usize = 256 << 10;
/// A body that takes longer to come is not waited for.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

const PREVIEWS: usize = 2;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Which operation an answer is of, for who counts them.
#[derive(Clone, Copy, Debug)]
pub struct AnswerTo(pub &'static str);

/// What all requests share.
pub struct Face {
    pub office: Office,
    pub ids: Ids,
    /// What they are made with.
    secret: String,
    keys: KnownKeys,
    pub names: KnownNames,
    limits: Limits,
    /// Keys that were used since that was last written.
    used: Mutex<HashSet<KeyId>>,
    /// When the books were last found to be changed here, and when a daemon was alive on them.
    awake: Mutex<Option<(Stopwatch, Timestamp)>>,
    pub streams: Streams,
    /// Previews of jobs, which decide on all that is due.
    pub previews: Semaphore,
}

impl Face {
    pub async fn open(office: Office, trusted_proxies: Vec<IpAddr>) -> anyhow::Result<Arc<Self>> {
        let fresh = secrets::random_hex(32)?;
        let secret = match office.store.id_secret(&fresh).await {
            // Of a copy that never had one: it is written once the copy goes on.
            Err(StoreError::Fenced { .. }) => fresh,
            known => known?,
        };
        Ok(Arc::new(Self {
            secret: secret.clone(),
            office,
            ids: Ids::of(&secret),
            keys: KnownKeys::default(),
            names: KnownNames::default(),
            limits: Limits::of(trusted_proxies),
            used: Mutex::default(),
            awake: Mutex::default(),
            streams: Streams::default(),
            previews: Semaphore::new(PREVIEWS),
        }))
    }

    /// Writes what ids are made with, where it could not be written before.
    pub async fn keep_secret(&self) -> anyhow::Result<()> {
        if self.office.store.id_secret(&self.secret).await? != self.secret {
            anyhow::bail!("another daemon was faster to make public ids: start this one anew");
        }
        Ok(())
    }

    /// Nothing is changed in a copy behind its fence, nor while no daemon is alive on the books. They are asked once a
    /// second; how long ago a daemon was alive is looked at each time, for a machine may have slept meanwhile.
    pub async fn refuse_asleep(&self) -> Result<(), Problem> {
        const TRUSTED: Duration = Duration::from_secs(1);
        let awake = || self.awake.lock().unwrap_or_else(PoisonError::into_inner);
        let known = awake().as_ref().filter(|(since, _)| since.elapsed() < TRUSTED).map(|(_, alive)| *alive);
        if known.is_some_and(|alive| refuse_silent(&self.office, Some(alive)).is_ok()) {
            return Ok(());
        }
        let asked = Stopwatch::start();
        self.office.store.refuse_fenced().await?;
        let alive = self.office.store.last_alive().await?;
        refuse_silent(&self.office, alive).map_err(anyhow::Error::from)?;
        *awake() = alive.map(|alive| (asked, alive));
        Ok(())
    }

    /// Writes which keys were used, and forgets requests whose answers nobody asks for any more, and customers' keys
    /// a while after their end.
    pub async fn keep(&self, now: Timestamp) -> store::Result<()> {
        let used: Vec<KeyId> = self.used.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
        if !used.is_empty() {
            self.office.store.keys_used(&used, now).await?;
        }
        const KEPT_SECS: i64 = 24 * rules::HOUR;
        let (store, since) = (&self.office.store, now.plus_secs(-KEPT_SECS));
        let requests = all_of(|most| store.requests_forget(since, most)).await?;
        let keys = all_of(|most| store.keys_forget(since.plus_secs(-KEPT_SECS), most)).await?;
        if requests + keys > 0 {
            tracing::info!(requests, keys, "forgot requests of yesterday and customers' keys that ended before");
        }
        Ok(())
    }
}

/// Forgets in small transactions, so that nobody waits for long; how many all of them had.
async fn all_of<F: Future<Output = store::Result<u64>>>(forget: impl Fn(u32) -> F) -> store::Result<u64> {
    const AT_ONCE: u32 = 1_000;
    let mut all = 0;
    loop {
        let forgotten = forget(AT_ONCE).await?;
        all += forgotten;
        if forgotten < u64::from(AT_ONCE) {
            return Ok(all);
        }
    }
}

/// Made when somebody asks for it first: it takes some megabytes to make.
static DESCRIBED: LazyLock<String> = LazyLock::new(|| document(&operations()).to_json().unwrap_or_default());

/// Everything under `/v1`, and what describes it.
pub fn router(face: &Arc<Face>) -> Router {
    let mut paths: BTreeMap<&'static str, MethodRouter> = BTreeMap::new();
    for operation in operations().into_iter().map(Arc::new) {
        let path = paths.remove(operation.path).unwrap_or_default();
        let filter = if operation.method == Method::GET { MethodFilter::GET } else { MethodFilter::POST };
        let (face, known) = (face.clone(), operation.clone());
        let handler = move |parts: Result<RawPathParams, RawPathParamsRejection>, request: Request| {
            let (face, operation) = (face.clone(), known.clone());
            async move {
                match parts {
                    Ok(parts) => answer(face, &operation, &parts, request).await,
                    Err(_) => Problem::new(StatusCode::NOT_FOUND, "no_such_path", "it is not UTF-8").into_response(),
                }
            }
        };
        paths.insert(operation.path, path.merge(on(filter, handler)));
    }
    let mut router = Router::new();
    for (path, methods) in paths {
        let allowed = methods.fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path takes another method")
        });
        router = router.route(path, allowed);
    }
    let is_json = [(header::CONTENT_TYPE, "application/json")];
    router
        .route("/openapi.json", get(async move || (is_json, DESCRIBED.as_str())))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "no_such_path", "see /openapi.json for what there is"))
}

async fn answer(face: Arc<Face>, operation: &Operation, parts: &RawPathParams, request: Request) -> Response {
    let Ok(id) = secrets::random_hex(16) else {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_answer", "no random bytes are to be had");
        return problem.into_response();
    };
    let span = tracing::error_span!("request", request = id, operation = operation.id);
    let answered = asked(face, operation, parts, request, &id).instrument(span).await;
    let mut response = match answered {
        Ok(answer) => out(answer),
        Err(problem) => problem.of_request(&id).into_response(),
    };
    response.extensions_mut().insert(AnswerTo(operation.id));
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

fn out(answer: Answer) -> Response {
    let mut response = Response::new(match answer.content {
        Content::Whole(text) => Body::from(text),
        Content::Stream(body) => body,
    });
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    if answer.is_replay {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    if answer.content_type.starts_with("text/html") {
        let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// The key first, then what the key may do, then what is asked.
async fn asked(
    face: Arc<Face>,
    operation: &Operation,
    parts: &RawPathParams,
    request: Request,
    id: &str,
) -> Result<Answer, Problem> {
    let now = face.office.clock.now();
    let key = match face.keys.of(&face.office.store, request.headers(), now).await {
        Ok(key) => key,
        Err(problem) if problem.status == StatusCode::UNAUTHORIZED.as_u16() => {
            let from = face.limits.address(&request);
            face.limits.refuse_failing(from)?;
            face.limits.failed(from);
            return Err(problem);
        }
        Err(problem) => return Err(problem),
    };
    face.limits.refuse_busy(&key)?;
    face.used.lock().unwrap_or_else(PoisonError::into_inner).insert(key.id);
    let caller = Caller { key };
    caller.refuse(operation.access)?;
    let is_customer = caller.is_customer();
    let path = parts.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let uri = format!("{} {}", request.method(), request.uri());
    let query = request.uri().query().unwrap_or_default().to_owned();
    let idempotency_key = idempotency_key(&request)?;
    let body = if operation.method == Method::GET { Vec::new() } else { body(request).await? };
    let asked = Asked { face, caller, request: id.to_owned(), now, path, query, body, idempotency_key, uri };
    // Of its own: who hangs up does not stop what was begun.
    let handled = tokio::spawn((operation.handle)(asked).in_current_span()).await;
    let handled = handled.unwrap_or_else(|_| {
        tracing::error!("a request panicked");
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", "it failed here, and the log says why"))
    });
    handled.map_err(|problem| if is_customer { problem.for_customers() } else { problem })
}

fn idempotency_key(request: &Request) -> Result<Option<String>, Problem> {
    let mut keys = request.headers().get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    if keys.next().is_some() {
        return Err(Problem::bad_idempotency_key("an Idempotency-Key comes once"));
    }
    match key.to_str() {
        Ok(key) => Ok(Some(key.to_owned())),
        Err(_) => Err(Problem::bad_idempotency_key(AN_IDEMPOTENCY_KEY)),
    }
}

/// The whole body, if it is JSON, not too long and comes in time.
async fn body(request: Request) -> Result<Vec<u8>, Problem> {
    let too_long = || {
        let detail = format!("a body has at most {LONGEST_BODY} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    };
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > LONGEST_BODY) {
        return Err(too_long());
    }
    let kind = request.headers().get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or("?").to_owned());
    let read = timeout(BODY_PATIENCE, to_bytes(request.into_body(), LONGEST_BODY)).await;
    let body = match read {
        Err(_) => {
            let detail = format!("the body did not come within {} s", BODY_PATIENCE.as_secs());
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", detail));
        }
        Ok(Err(error))
            if std::error::Error::source(&error).is_some_and(|cause| cause.to_string().contains("limit")) =>
        {
            return Err(too_long());
        }
        Ok(Err(_)) => return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_body", "the body broke off")),
        Ok(Ok(body)) => body,
    };
    let is_json =
        |kind: &str| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if !body.is_empty() && !kind.as_deref().is_some_and(is_json) {
        let detail = "a body is JSON: send it with Content-Type: application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", detail).of_field("Content-Type"));
    }
    Ok(body.to_vec())
}
