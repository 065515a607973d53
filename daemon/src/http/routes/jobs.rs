//! Jobs: what runs when.

use ::jobs::{Office, RunOrder, is_paused, open_run};
use axum::http::StatusCode;
use rules::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{KeyScope, Run, Told};
use utoipa::{IntoParams, ToSchema};

use crate::cli::jobs::{DAYS_AHEAD, DryRun, NAMED, NUMBERS, listed, named, numbers_ahead};
use crate::http::access::Access;
use crate::http::operation::{Call, Handled, Nothing, Operation, get, post};
use crate::http::problem::Problem;
use crate::http::routes::finding::limit;
use crate::http::routes::runs::{RunView, asked_for_since, view};
use crate::http::words::{Line, Name, Second};

pub fn operations() -> Vec<Operation> {
    use Access::{Operates, Watches};
    vec![
        get(("listJobs", "/v1/jobs", Watches, "List jobs with their last slots and what is due"), list),
        get(
            (
                "previewJob",
                "/v1/jobs/{job}/preview",
                Watches,
                "Show what a job would do now or later: everything is decided, nothing is written",
            ),
            ahead,
        ),
        post(
            (
                "enqueue",
                "/v1/jobs/{job}/runs",
                Operates,
                "Have a job do now what is due; held if that is far more than usual",
            ),
            StatusCode::CREATED,
            enqueue,
        ),
        post(
            ("pauseJob", "/v1/jobs/{job}/pause", Operates, "Stop a job between two batches, until it is resumed"),
            StatusCode::OK,
            pause,
        ),
        post(
            ("resumeJob", "/v1/jobs/{job}/resume", Operates, "Take a paused job back into work, from its next slot on"),
            StatusCode::OK,
            resume,
        ),
    ]
}

#[derive(Serialize, ToSchema)]
struct Jobs {
    #[schema(value_type = Vec<Object>)]
    jobs: Vec<Value>,
    as_of: String,
}

async fn list(call: Call<Nothing>) -> Handled<Jobs> {
    Ok(Jobs { jobs: listed(&call.face.office, call.now).await?, as_of: call.now.to_string() })
}

fn job<I>(call: &Call<I>) -> Handled<&'static ::jobs::Registered> {
    let name = call.part("job");
    named(name).map_err(|_| Problem::not_found("job", name))
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AheadQuery {
    /// As of this second, which has not passed
    #[param(inline)]
    at: Option<Second>,
    /// Only on this account
    #[param(inline)]
    account: Option<Name>,
    /// How many accounts it names at most, those that would pay most; 1 to 1000, 20 if not given
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
}

/// What a run would do: `preview` in sums, and the `accounts` that would pay most, which operators are not shown.
#[derive(Serialize, ToSchema)]
#[serde(transparent)]
struct Ahead(Value);

async fn ahead(call: Call<AheadQuery>) -> Handled<Ahead> {
    let (job, office, now) = (job(&call)?, &call.face.office, call.now);
    if job.name == NUMBERS {
        return Ok(Ahead(numbers_ahead(office).await?.0));
    }
    if job.due_kind.is_none() {
        return Err(Problem::refused("only_reads", "it only reads: have it run, and look at its run"));
    }
    let is_operator = call.caller.key.scope == KeyScope::Operator;
    if is_operator && call.input.account.is_some() {
        let detail = "operators are shown nothing of customers: ask for all of them";
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail).of_field("account"));
    }
    let Ok(_place) = call.face.previews.try_acquire() else {
        let detail = "other previews are being made, and each decides on all that is due: ask again later";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_previews", detail).after(10));
    };
    let until = second_ahead(call.input.at.as_ref(), now)?;
    let only = only(&call, call.input.account.as_ref()).await?;
    let named = match &call.input.limit {
        Some(given) => limit(Some(given))?,
        None => NAMED,
    };
    let mut ahead = DryRun::of(office, job, only, until, named).await?.json();
    if is_operator {
        ahead["accounts"] = json!([]);
    }
    ahead["as_of"] = json!(now.to_string());
    Ok(Ahead(ahead))
}

/// A second that has not passed, up to a year ahead; now if none is given.
fn second_ahead(given: Option<&Second>, now: Timestamp) -> Handled<Timestamp> {
    let (at, latest) = (given.map_or(now, |second| second.0), now.plus_days(DAYS_AHEAD));
    match (now..=latest).contains(&at) {
        true => Ok(at),
        false => Err(Problem::bad_field("at", format!("it is a second from now, {now}, up to {latest}"))),
    }
}

async fn only<I>(call: &Call<I>, account: Option<&Name>) -> Handled<Option<AccountId>> {
    match account {
        Some(Name(name)) => Ok(Some(call.account_called(name).await?.0)),
        None => Ok(None),
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Enqueue {
    /// Not before this second
    at: Option<Second>,
    /// Only on this account
    account: Option<Name>,
}

async fn enqueue(call: Call<Enqueue>) -> Handled<RunView> {
    let (job, office) = (job(&call)?, &call.face.office);
    let now = call.trusted_now()?;
    if let Some(at) = call.once.done_at {
        let given = call.input.at.as_ref().map(|second| second.0);
        let is_it = |run: &Run| given.is_none_or(|given| run.starts_at == given);
        let run = asked_for_since(&call, job.name, at, is_it).await?;
        return view(office, &run).await;
    }
    let starts_at = second_ahead(call.input.at.as_ref(), now)?;
    if call.input.account.is_some() && job.due_kind.is_none() {
        return Err(Problem::bad_field("account", format!("{} is of all accounts: leave it out", job.name)));
    }
    let only = only(&call, call.input.account.as_ref()).await?;
    refuse_paused(office, job.name).await?;
    let noting = call.once.office(&call, format!("job {}", job.name), only, None);
    call.once.tell(Told { after: Some(json!({ "at": starts_at.to_string() }).to_string()), ..Told::default() });
    let author = call.caller.actor();
    let order = RunOrder { starts_at, only, ..RunOrder::by(&author, now) };
    let run = open_run(&noting, job, &order, now).await?;
    let run = run.ok_or_else(|| Problem::new(StatusCode::CONFLICT, "not_now", "no run was opened: ask again"))?;
    view(office, &run).await
}

pub async fn refuse_paused(office: &Office, job: &str) -> Handled<()> {
    if is_paused(office, job).await? {
        let why = format!("{job} is paused: POST /v1/jobs/{job}/resume first");
        return Err(Problem::new(StatusCode::CONFLICT, "not_now", why));
    }
    Ok(())
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Pause {
    reason: Line,
}

/// Whether a job is at work.
#[derive(Serialize, ToSchema)]
struct JobState {
    job: &'static str,
    paused: bool,
    /// It was so before
    before: bool,
    next_slot: Option<String>,
    as_of: String,
}

async fn pause(call: Call<Pause>) -> Handled<JobState> {
    let (job, Line(reason)) = (job(&call)?, &call.input.reason);
    let noting = call.once.office(&call, format!("job {}", job.name), None, None);
    call.once.tell(Told { after: Some(json!({ "paused": true, "reason": reason }).to_string()), ..Told::default() });
    let before = match call.once.was_done() {
        // Whoever resumed it meanwhile meant it.
        true => false,
        false => !noting.store.job_pause(job.name, &call.caller.actor(), reason, call.now).await?,
    };
    Ok(JobState { job: job.name, paused: true, before, next_slot: None, as_of: call.now.to_string() })
}

async fn resume(call: Call<Nothing>) -> Handled<JobState> {
    let job = job(&call)?;
    let now = call.trusted_now()?;
    let noting = call.once.office(&call, format!("job {}", job.name), None, None);
    call.once.tell(Told { after: Some(json!({ "paused": false }).to_string()), ..Told::default() });
    let before = match call.once.was_done() {
        true => false,
        false => !noting.store.job_resume(job.name, now).await?,
    };
    let next_slot = ::jobs::next_slot(job, now).map(|slot| slot.to_string());
    Ok(JobState { job: job.name, paused: false, before, next_slot, as_of: call.now.to_string() })
}
