//! Runs: what was done, what is under way, and what is held.

use std::time::Duration;

use ::jobs::{Office, release as release_run};
use axum::body::Body;
use axum::http::StatusCode;
use futures_util::stream;
use rules::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Run, RunId, RunState, Told};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::cli::runs::{open_again, progress, run_json};
use crate::http::access::Access;
use crate::http::operation::{Answer, Call, Handled, Nothing, Operation, get, page, post};
use crate::http::problem::Problem;
use crate::http::routes::finding::limit;
use crate::http::routes::jobs::refuse_paused;
use crate::http::words::Line;

/// How often who watches a run is told how far it is.
const EACH: Duration = Duration::from_secs(1);

/// Who watches for longer asks again, with a key that is good then.
const LONGEST: u32 = 600;

pub fn operations() -> Vec<Operation> {
    use Access::{Operates, Oversees, Watches};
    const OK: StatusCode = StatusCode::OK;
    vec![
        get(("listRuns", "/v1/runs", Watches, "List runs, the newest first"), list),
        get(("showRun", "/v1/runs/{run}", Watches, "Show a run"), show),
        page(
            (
                "watchRun",
                "/v1/runs/{run}/progress",
                Watches,
                "Tell how far a run is, each second until it ends, as server-sent events",
            ),
            "text/event-stream",
            watch,
        ),
        post(("releaseRun", "/v1/runs/{run}/release", Operates, "Let a held run go on"), OK, release),
        post(
            (
                "cancelRun",
                "/v1/runs/{run}/cancel",
                Operates,
                "Take back a run that somebody asked for and that has not begun",
            ),
            OK,
            cancel,
        ),
        post(
            ("retryRun", "/v1/runs/{run}/retry", Operates, "Do again what a run failed at"),
            StatusCode::CREATED,
            retry,
        ),
        get(("listParked", "/v1/parked", Oversees, "List the accounts that could not be settled, and why"), parked),
        post(
            ("retryParked", "/v1/parked/retry", Operates, "Have all parked accounts tried again now"),
            OK,
            retry_parked,
        ),
    ]
}

/// A run and how far it is.
#[derive(Serialize)]
#[serde(transparent)]
pub struct RunView(Value);

impl PartialSchema for RunView {
    fn schema() -> RefOr<Schema> {
        let about =
            "A run: `run`, `job`, `slot`, `state`, `total` and `done` accounts, `moved` amounts, `counts`, `as_of`";
        ObjectBuilder::new().schema_type(Type::Object).description(Some(about)).into()
    }
}

impl ToSchema for RunView {}

/// As of now.
pub async fn view(office: &Office, run: &Run) -> Handled<RunView> {
    let as_of = office.clock.now().to_string();
    let mut json = run_json(run, progress(&office.store, run).await?);
    json["as_of"] = as_of.into();
    Ok(RunView(json))
}

async fn find<I>(call: &Call<I>) -> Handled<Run> {
    let text = call.part("run");
    let missing = || Problem::not_found("run", text);
    let id: i64 = text.parse().map_err(|_| missing())?;
    call.face.office.store.run(RunId(id)).await?.ok_or_else(missing)
}

/// The run that this request opened before: the first that its key asked for since.
pub async fn asked_for_since<I>(
    call: &Call<I>,
    job: &str,
    since: Timestamp,
    is_it: impl Fn(&Run) -> bool,
) -> Handled<Run> {
    const NEWEST: u32 = 1_000;
    let by = call.caller.actor();
    let runs = call.face.office.store.runs(Some(job), NEWEST).await?;
    let asked = runs.into_iter().filter(|run| run.asked_by == by && run.opened_at >= since && is_it(run));
    asked.min_by_key(|run| run.id).ok_or_else(|| Problem::not_found("run", job))
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only of this job
    job: Option<String>,
    /// How many at most, 1 to 1000; 50 if not given
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Runs {
    runs: Vec<RunView>,
    as_of: String,
}

async fn list(call: Call<ListQuery>) -> Handled<Runs> {
    let most = limit(call.input.limit.as_deref())?;
    if let Some(job) = call.input.job.as_deref().filter(|job| ::jobs::job(job).is_none()) {
        return Err(Problem::not_found("job", job));
    }
    let store = &call.face.office.store;
    let mut runs = Vec::new();
    for run in store.runs(call.input.job.as_deref(), most).await? {
        runs.push(RunView(run_json(&run, progress(store, &run).await?)));
    }
    Ok(Runs { runs, as_of: call.now.to_string() })
}

async fn show(call: Call<Nothing>) -> Handled<RunView> {
    view(&call.face.office, &find(&call).await?).await
}

async fn watch(call: Call<Nothing>) -> Handled<Answer> {
    let (id, office) = (find(&call).await?.id, call.face.office.clone());
    let Some(place) = call.face.streams.place(call.caller.key.id) else {
        let detail = "too many watch runs already: ask for the run itself, or again later";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", detail).after(10));
    };
    let told = stream::unfold((office, place, false, 0), move |(office, place, ended, count)| async move {
        if ended || count == LONGEST {
            return None;
        }
        if count > 0 {
            tokio::time::sleep(EACH).await;
        }
        let (event, ended) = match far(&office, id).await {
            Ok((run, ended)) => (format!("event: progress\ndata: {run}\n\n"), ended),
            Err(problem) => (format!("event: problem\ndata: {}\n\n", problem.text()), true),
        };
        Some((Ok::<_, std::convert::Infallible>(event), (office, place, ended, count + 1)))
    });
    Ok(Answer::events(Body::from_stream(told)))
}

/// How far it is, and whether it is over.
async fn far(office: &Office, id: RunId) -> Handled<(Value, bool)> {
    let run = office.store.run(id).await?.ok_or_else(|| Problem::not_found("run", &id.0.to_string()))?;
    let RunView(json) = view(office, &run).await?;
    Ok((json, run.finished_at.is_some()))
}

async fn release(call: Call<Nothing>) -> Handled<RunView> {
    let (run, office) = (find(&call).await?, &call.face.office);
    let now = call.trusted_now()?;
    if !call.once.was_done() {
        if run.state != RunState::Held {
            let why = format!("run {} is {}, not held", run.id.0, run.state.name());
            return Err(Problem::refused("invalid_state", &why));
        }
        let noting = call.once.office(&call, format!("run {}", run.id.0), None, None);
        call.once.tell(Told {
            before: run.held_for.as_ref().map(|why| json!({ "held_for": why }).to_string()),
            ..Told::default()
        });
        if release_run(&noting, &run, &call.caller.actor(), now).await?.is_none() {
            return Err(Problem::refused("invalid_state", "somebody released it meanwhile"));
        }
    }
    view(office, &find(&call).await?).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CancelRun {
    reason: Line,
}

async fn cancel(call: Call<CancelRun>) -> Handled<RunView> {
    let (run, office, Line(reason)) = (find(&call).await?, &call.face.office, &call.input.reason);
    if !call.once.was_done() {
        if run.slot.is_some() || run.asked_by == ::jobs::SCHEDULE {
            let why = "the schedule opened it: pause its job instead, which loses nothing";
            return Err(Problem::refused("invalid_state", why));
        }
        let noting = call.once.office(&call, format!("run {}", run.id.0), None, None);
        call.once.tell(Told { after: Some(json!({ "reason": reason }).to_string()), ..Told::default() });
        if !noting.store.run_cancel(run.id, &call.caller.actor(), reason, call.now).await? {
            let why = format!("run {} is {}: only what has not begun can be cancelled", run.id.0, run.state.name());
            return Err(Problem::refused("invalid_state", &why));
        }
    }
    view(office, &find(&call).await?).await
}

async fn retry(call: Call<Nothing>) -> Handled<RunView> {
    let (old, office) = (find(&call).await?, &call.face.office);
    if let Some(at) = call.once.done_at {
        let again = asked_for_since(&call, &old.job, at, |run| run.retry_of == Some(old.id)).await?;
        return view(office, &again).await;
    }
    if !old.left_something() {
        let why = format!("run {} is {} and parked nobody: there is nothing to retry", old.id.0, old.state.name());
        return Err(Problem::refused("invalid_state", &why));
    }
    call.trusted_now()?;
    let noting = call.once.office(&call, format!("run {}", old.id.0), None, None);
    refuse_paused(office, &old.job).await?;
    let run = open_again(&noting, &old, &call.caller.actor()).await?;
    view(office, &run).await
}

/// An account that could not be settled: nothing of it moves until a try succeeds.
#[derive(Serialize, ToSchema)]
struct ParkedView {
    account: String,
    error: String,
    parked_at: String,
    tries: u32,
    next_try_at: String,
}

#[derive(Serialize, ToSchema)]
struct ParkedList {
    parked: Vec<ParkedView>,
    as_of: String,
}

async fn parked(call: Call<Nothing>) -> Handled<ParkedList> {
    let parked = call.face.office.store.parked().await?.into_iter().map(|one| ParkedView {
        account: one.name,
        error: one.error,
        parked_at: one.parked_at.to_string(),
        tries: one.tries,
        next_try_at: one.next_try_at.to_string(),
    });
    Ok(ParkedList { parked: parked.collect(), as_of: call.now.to_string() })
}

/// How many accounts are tried again.
#[derive(Serialize, ToSchema)]
struct Retried {
    parked: usize,
    as_of: String,
}

async fn retry_parked(call: Call<Nothing>) -> Handled<Retried> {
    let now = call.trusted_now()?;
    let parked = call.face.office.store.parked().await?.len();
    if !call.once.was_done() {
        let noting = call.once.office(&call, "parked accounts".to_owned(), None, None);
        noting.store.parked_retry(now).await?;
    }
    Ok(Retried { parked, as_of: call.now.to_string() })
}
