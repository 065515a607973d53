//! Why a request was not done: a problem document (RFC 9457) with a `code` that stays the same whatever words the
//! detail finds, and the field that is wrong.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs::JobError;
use serde::{Deserialize, Serialize};
use store::StoreError;
use utoipa::ToSchema;

use crate::cli::books::{NotNow, Refused};
use crate::cli::failure;
use crate::http::once::DONE_BEFORE;
use crate::input::{BadInput, Problems};

/// Seconds after which to ask again, where nobody knows better.
const RETRY_SECS: u32 = 2;

/// Why it was not done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    #[serde(rename = "type")]
    #[schema(example = "urn:bursar:problem:insufficient_funds")]
    pub kind: String,
    #[schema(example = "Conflict")]
    pub title: String,
    #[schema(example = 409)]
    pub status: u16,
    /// The same whatever words the detail finds
    #[schema(example = "insufficient_funds")]
    pub code: String,
    pub detail: String,
    /// What of the request is wrong, where one thing is
    pub field: Option<String>,
    /// The id of the request, as the log has it
    pub request: Option<String>,
    #[serde(skip)]
    pub retry_after: Option<u32>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:bursar:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Problem").to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            field: None,
            request: None,
            retry_after: None,
        }
    }

    #[must_use]
    pub fn of_field(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    #[must_use]
    pub fn of_request(self, request: &str) -> Self {
        Self { request: Some(request.to_owned()), ..self }
    }

    #[must_use]
    pub fn after(self, secs: u32) -> Self {
        Self { retry_after: Some(secs), ..self }
    }

    /// What is missing, or is another account's: both look the same.
    pub fn not_found(what: &str, name: &str) -> Self {
        const LONGEST: usize = 64;
        // Of what is told back, the beginning.
        let name: String = name.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect();
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what} `{name}`")).of_field(what)
    }

    pub fn bad_idempotency_key(why: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "idempotency_key_required", why).of_field("Idempotency-Key")
    }

    /// A field that is not what it should be.
    pub fn bad_field(field: &str, why: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_input", why).of_field(field)
    }

    /// A copy is only read. Who takes its fence down is no business of those who ask.
    pub fn fenced() -> Self {
        let detail = "these books are a copy, which is only read: nothing was written";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "fenced", detail)
    }

    /// What the rules refuse.
    pub fn refused(code: &str, why: &str) -> Self {
        Self::new(StatusCode::CONFLICT, code, why)
    }

    /// Which run, and what the office does about it, is not told to customers.
    #[must_use]
    pub fn for_customers(self) -> Self {
        match self.code.as_str() {
            "held" | "paused" | "opening" | "clock_in_doubt" | "not_now" => {
                let detail = "the office looks at something first: nothing was done, ask again later";
                Self { detail: detail.to_owned(), ..self }
            }
            _ => self,
        }
    }

    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::new(Body::from(self.text()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(secs) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The same reasons as a command's, told to who asks over HTTP. What is nobody's business outside goes to the log.
impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Self::refused(refused.code, &refused.why);
        }
        if matches!(failure::store_error(&error), Some(StoreError::DoneBefore)) {
            return Self::new(StatusCode::CONFLICT, DONE_BEFORE, error.to_string());
        }
        let code = failure::code(&error);
        match code {
            "name_taken" => Self::new(StatusCode::CONFLICT, code, error.to_string()).of_field("name"),
            "bad_input" => {
                let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, error.to_string());
                let field = match error.downcast_ref::<BadInput>() {
                    Some(bad) => bad.field(),
                    None => error.downcast_ref::<Problems>().and_then(Problems::field),
                };
                match field {
                    Some(field) => problem.of_field(field),
                    None => problem,
                }
            }
            "awaits_card" | "held" | "paused" | "opening" | "contended" | "clock_in_doubt" | "not_now" => {
                Self::new(StatusCode::CONFLICT, code, waits(&error)).after(RETRY_SECS)
            }
            "busy" | "no_answer" | "disk_full" => {
                tracing::warn!(%error, "a request found the books busy or gone");
                let detail = "the books cannot be changed just now: ask again with the same Idempotency-Key, by which \
                    nothing is done twice";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).after(RETRY_SECS)
            }
            "fenced" => Self::fenced(),
            _ if error.is::<NotNow>() => Self::new(StatusCode::CONFLICT, "not_now", error.to_string()),
            _ => {
                tracing::error!(error = format!("{error:#}"), "a request failed");
                let detail = "it failed here, and the log says why: nothing of it is to be repeated blindly";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", detail)
            }
        }
    }
}

/// What somebody waits for, and where to look after it over HTTP.
fn waits(error: &anyhow::Error) -> String {
    match error.downcast_ref::<JobError>() {
        Some(JobError::Held { account, run, job }) => {
            format!("account `{account}` waits for run {run} of {job}, which is held: see /v1/runs/{run}")
        }
        Some(JobError::Paused { account, job }) => {
            format!("account `{account}` waits for {job}, which is paused: see /v1/jobs")
        }
        _ => error.to_string(),
    }
}

impl From<JobError> for Problem {
    fn from(error: JobError) -> Self {
        anyhow::Error::from(error).into()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        anyhow::Error::from(error).into()
    }
}
