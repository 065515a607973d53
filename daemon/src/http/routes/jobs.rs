//! Jobs: what runs when.

use ::jobs::{RunOrder, open_run};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::Told;
use utoipa::ToSchema;

use crate::cli::jobs::{DAYS_AHEAD, listed, named, refuse_paused};
use crate::http::access::Access;
use crate::http::operation::{Call, Handled, Nothing, Operation, get, post};
use crate::http::problem::Problem;
use crate::http::routes::runs::{RunView, view};
use crate::http::words::{Line, Name, Second};

pub fn operations() -> Vec<Operation> {
    use Access::{Operates, Watches};
    vec![
        get(("listJobs", "/v1/jobs", Watches, "List jobs with their last slots and what is due"), list),
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
    let starts_at = call.input.at.as_ref().map_or(now, |second| second.0);
    let latest = now.plus_days(DAYS_AHEAD);
    if !(now..=latest).contains(&starts_at) {
        return Err(Problem::bad_field("at", format!("it is a second from now, {now}, up to {latest}")));
    }
    let only = match &call.input.account {
        Some(_) if job.due_kind.is_none() => {
            return Err(Problem::bad_field("account", format!("{} is of all accounts: leave it out", job.name)));
        }
        Some(Name(name)) => Some(call.account_called(name).await?.0),
        None => None,
    };
    if call.once.was_done {
        // The newest that this key asked for: it was this request's, or somebody looks at it all the same.
        let asked_by = call.caller.actor();
        let runs = office.store.runs(Some(job.name), 100).await?;
        let run = runs.iter().find(|run| run.asked_by == asked_by);
        return view(&office.store, run.ok_or_else(|| Problem::not_found("run", job.name))?).await;
    }
    refuse_paused(office, job).await?;
    let noting = call.once.office(&call, format!("job {}", job.name), only, None);
    call.once.tell(Told { after: Some(json!({ "at": starts_at.to_string() }).to_string()), ..Told::default() });
    let author = call.caller.actor();
    let order = RunOrder { starts_at, only, ..RunOrder::by(&author, now) };
    let run = open_run(&noting, job, &order, now).await?;
    let run = run.ok_or_else(|| Problem::new(StatusCode::CONFLICT, "not_now", "no run was opened: ask again"))?;
    view(&office.store, &run).await
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
    let paused = noting.store.job_pause(job.name, &call.caller.actor(), reason, call.now).await?;
    let as_of = call.now.to_string();
    Ok(JobState { job: job.name, paused: true, before: !paused && !call.once.was_done, next_slot: None, as_of })
}

async fn resume(call: Call<Nothing>) -> Handled<JobState> {
    let job = job(&call)?;
    let now = call.trusted_now()?;
    let noting = call.once.office(&call, format!("job {}", job.name), None, None);
    call.once.tell(Told { after: Some(json!({ "paused": false }).to_string()), ..Told::default() });
    let resumed = noting.store.job_resume(job.name, now).await?;
    let next_slot = ::jobs::next_slot(job, now).map(|slot| slot.to_string());
    let as_of = call.now.to_string();
    Ok(JobState { job: job.name, paused: false, before: !resumed && !call.once.was_done, next_slot, as_of })
}
