//! Operations: a method and a path with who may use it, what goes in and what comes out. The router, the checks of
//! keys and the OpenAPI document are all made from the one list of them, so that none knows of another one's.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Query;
use axum::http::uri::InvalidUri;
use axum::http::{Method, StatusCode};
use rules::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{IntoParams, ToSchema};

use crate::http::Face;
use crate::http::access::{Access, Caller};
use crate::http::once::{self, Once};
use crate::http::problem::Problem;

/// What an answer says, at once or as it comes.
#[derive(Debug)]
pub enum Content {
    Whole(String),
    Stream(Body),
}

/// An answer as it goes out.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub content_type: &'static str,
    pub content: Content,
    /// It was given before, for the same request.
    pub is_replay: bool,
}

impl Answer {
    pub fn json(status: StatusCode, body: &impl Serialize) -> Self {
        let content = Content::Whole(serde_json::to_string(body).unwrap_or_default());
        Self { status, content_type: "application/json", content, is_replay: false }
    }

    pub fn html(page: String) -> Self {
        let content = Content::Whole(page);
        Self { status: StatusCode::OK, content_type: "text/html; charset=utf-8", content, is_replay: false }
    }

    /// Events that come one after the other.
    pub fn events(body: Body) -> Self {
        let content = Content::Stream(body);
        Self { status: StatusCode::OK, content_type: "text/event-stream", content, is_replay: false }
    }
}

/// A request as it came, once its key was looked at.
#[derive(Clone)]
pub struct Asked {
    pub face: Arc<Face>,
    pub caller: Caller,
    pub request: String,
    pub now: Timestamp,
    pub path: BTreeMap<String, String>,
    pub query: String,
    pub body: Vec<u8>,
    pub idempotency_key: Option<String>,
    pub uri: String,
}

impl Asked {
    /// A part of the path, which the route has.
    pub fn part(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }
}

/// What a handler gets: the request, and what it says, read.
pub struct Call<I> {
    pub asked: Asked,
    pub input: I,
    /// Of what changes something.
    pub once: Once,
}

impl<I> Call<I> {
    /// Whether the request stands in the books by now.
    pub async fn is_done(&self) -> Handled<bool> {
        let Some(key) = &self.asked.idempotency_key else { return Ok(false) };
        Ok(self.asked.face.office.store.request_done(self.asked.caller.key.id, key).await?.is_some())
    }

    /// A part of what is asked for, which is done or not by itself, under a request id of its own.
    pub fn split_off(&self, number: usize) -> Call<()> {
        let request = format!("{}-{number}", self.asked.request);
        Call { asked: Asked { request, ..self.asked.clone() }, input: (), once: self.once.part(number) }
    }
}

impl<I> std::ops::Deref for Call<I> {
    type Target = Asked;

    fn deref(&self) -> &Asked {
        &self.asked
    }
}

pub type Handled<T> = Result<T, Problem>;
type Running = Pin<Box<dyn Future<Output = Handled<Answer>> + Send>>;
pub type Schemas = Vec<(String, RefOr<Schema>)>;

/// What the document says of what goes in and comes out. It is large, and made when it is asked for.
#[derive(Default)]
pub struct Shape {
    pub parameters: Vec<utoipa::openapi::path::Parameter>,
    pub body: Option<RefOr<Schema>>,
    pub answer: Option<RefOr<Schema>>,
    pub schemas: Schemas,
}

impl Shape {
    fn of_page<Q: IntoParams>() -> Self {
        let parameters = Q::into_params(|| Some(utoipa::openapi::path::ParameterIn::Query));
        Self { parameters, ..Self::default() }
    }

    fn of_get<Q: IntoParams, R: ToSchema>() -> Self {
        let mut shape = Self::of_page::<Q>();
        shape.answer = Some(named::<R>(&mut shape.schemas));
        shape
    }

    fn of_post<B: ToSchema, R: ToSchema>() -> Self {
        let mut schemas = Schemas::new();
        let (body, answer) = (named::<B>(&mut schemas), named::<R>(&mut schemas));
        Self { body: Some(body), answer: Some(answer), schemas, ..Self::default() }
    }
}

pub struct Operation {
    pub id: &'static str,
    pub method: Method,
    pub path: &'static str,
    pub access: Access,
    pub summary: &'static str,
    pub success: StatusCode,
    /// Of what is answered.
    pub content_type: &'static str,
    pub shape: fn() -> Shape,
    pub handle: Box<dyn Fn(Asked) -> Running + Send + Sync>,
}

/// Which one it is: id, path, access and one sentence.
pub type Which = (&'static str, &'static str, Access, &'static str);

/// Nothing to ask with.
#[derive(Clone, Copy, Debug, serde::Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

fn named<T: ToSchema>(schemas: &mut Schemas) -> RefOr<Schema> {
    T::schemas(schemas);
    schemas.push((T::name().into_owned(), T::schema()));
    utoipa::openapi::schema::Ref::from_schema_name(T::name()).into()
}

/// Reads something.
pub fn get<Q, R, F, Running>((id, path, access, summary): Which, handle: F) -> Operation
where
    Q: DeserializeOwned + IntoParams + Send + 'static,
    R: Serialize + ToSchema + Send + 'static,
    F: Fn(Call<Q>) -> Running + Clone + Send + Sync + 'static,
    Running: Future<Output = Handled<R>> + Send + 'static,
{
    let mut operation = page::<Q, _, _>((id, path, access, summary), "application/json", move |call| {
        let handle = handle.clone();
        async move { Ok(Answer::json(StatusCode::OK, &handle(call).await?)) }
    });
    operation.shape = Shape::of_get::<Q, R>;
    operation
}

/// Reads something that is no JSON.
pub fn page<Q, F, Running>((id, path, access, summary): Which, content_type: &'static str, handle: F) -> Operation
where
    Q: DeserializeOwned + IntoParams + Send + 'static,
    F: Fn(Call<Q>) -> Running + Clone + Send + Sync + 'static,
    Running: Future<Output = Handled<Answer>> + Send + 'static,
{
    let shape = Shape::of_page::<Q>;
    let handle: Box<dyn Fn(Asked) -> self::Running + Send + Sync> = Box::new(move |asked| {
        let handle = handle.clone();
        Box::pin(async move {
            let input = read_query(&asked.query)?;
            handle(Call { asked, input, once: Once::default() }).await
        })
    });
    Operation { id, method: Method::GET, path, access, summary, success: StatusCode::OK, content_type, shape, handle }
}

/// Changes something, once for each `Idempotency-Key`.
pub fn post<B, R, F, Running>((id, path, access, summary): Which, success: StatusCode, handle: F) -> Operation
where
    B: DeserializeOwned + ToSchema + Send + 'static,
    R: Serialize + ToSchema + Send + 'static,
    F: Fn(Call<B>) -> Running + Clone + Send + Sync + 'static,
    Running: Future<Output = Handled<R>> + Send + 'static,
{
    let (content_type, shape) = ("application/json", Shape::of_post::<B, R>);
    let handle: Box<dyn Fn(Asked) -> self::Running + Send + Sync> = Box::new(move |asked| {
        let handle = handle.clone();
        Box::pin(async move {
            let read = |asked: &Asked| read_body::<B>(&asked.body);
            once::answer(asked, id, success, read, move |asked, input, once| {
                let handle = handle.clone();
                async move { handle(Call { asked, input, once }).await }
            })
            .await
        })
    });
    Operation { id, method: Method::POST, path, access, summary, success, content_type, shape, handle }
}

fn read_query<Q: DeserializeOwned>(query: &str) -> Handled<Q> {
    let uri = format!("/?{query}").parse();
    let bad = |why: String| Problem::new(StatusCode::BAD_REQUEST, "bad_query", why);
    let uri = uri.map_err(|error: InvalidUri| bad(format!("the query cannot be read: {error}")))?;
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&uri).map_err(|error| bad(error.body_text()))?;
    let mut seen = BTreeSet::new();
    if let Some((twice, _)) = pairs.iter().find(|(name, _)| !seen.insert(name.as_str())) {
        return Err(Problem::bad_field(twice, format!("`{twice}` is given twice")));
    }
    let read = Query::<Q>::try_from_uri(&uri).map_err(|error| {
        let text = error.body_text();
        let why = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
        match why.split_once(": ") {
            Some((path, why)) => of_path(path, why),
            None => of_path(".", why),
        }
    });
    read.map(|Query(read)| read)
}

/// Of JSON that is whole, what is wrong in it and where.
pub fn read_body<B: DeserializeOwned>(body: &[u8]) -> Handled<B> {
    let bad = |why: String| Problem::new(StatusCode::BAD_REQUEST, "bad_json", why);
    let text = std::str::from_utf8(body).map_err(|error| bad(format!("the body is not UTF-8: {error}")))?;
    if text.trim().is_empty() {
        return Err(bad("the body is empty: send a JSON object, {} if there is nothing to say".to_owned()));
    }
    // A list would be read as an object's values in their order.
    if !text.trim_start().starts_with('{') {
        serde_json::from_str::<serde::de::IgnoredAny>(text)
            .map_err(|error| bad(format!("the body is not JSON: {error}")))?;
        let detail = "the body is a JSON object, in braces";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_input", detail));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let inner = error.inner();
        match inner.classify() {
            serde_json::error::Category::Data => of_path(&error.path().to_string(), &inner.to_string()),
            _ => bad(format!("the body is not JSON: {inner}")),
        }
    })?;
    reader.end().map_err(|error| bad(format!("the body goes on behind its JSON: {error}")))?;
    Ok(read)
}

/// serde says `unknown field `x`, expected …` and `missing field `x``.
fn of_path(path: &str, why: &str) -> Problem {
    let quoted = |after: &str| why.strip_prefix(after).and_then(|rest| rest.split('`').next());
    let field = ["unknown field `", "missing field `", "duplicate field `"].into_iter().find_map(quoted);
    let field = match (path, field) {
        ("." | "?", None) => None,
        ("." | "?", Some(field)) => Some(field.to_owned()),
        (path, Some(field)) if !path.ends_with(field) => Some(format!("{path}.{field}")),
        (path, _) => Some(path.to_owned()),
    };
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_input", why);
    match field {
        Some(field) => problem.of_field(field),
        None => problem,
    }
}
