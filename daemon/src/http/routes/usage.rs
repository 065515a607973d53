//! What machines used, reported for many services at once.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use futures_util::{StreamExt as _, stream};
use rules::{AccountId, Action};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::http::access::Access;
use crate::http::once::DONE_BEFORE;
use crate::http::operation::{Answer, Call, Content, Handled, Operation, post};
use crate::http::problem::Problem;
use crate::http::routes::acting;
use crate::http::words::{Count, Name};

/// Reports of one request.
const MOST: usize = 1_000;
/// Accounts that are worked on at a time; of one account the reports are booked one after the other.
const AT_ONCE: usize = 8;

pub fn operations() -> Vec<Operation> {
    vec![post(
        (
            "reportUsages",
            "/v1/usage",
            Access::Reports,
            "Report what was used of many services; each report is booked or refused by itself",
        ),
        StatusCode::OK,
        report,
    )]
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Report {
    /// Its id or its name
    service: Name,
    component: Name,
    /// Since the last report
    quantity: Count,
}

/// One to a thousand; sent again with the same key, only what is not booked yet is booked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Reports {
    #[schema(min_items = 1, max_items = 1_000)]
    #[serde(deserialize_with = "some")]
    reports: Vec<Report>,
}

fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Report>, D::Error> {
    let reports = Vec::deserialize(deserializer)?;
    match (1..=MOST).contains(&reports.len()) {
        true => Ok(reports),
        false => Err(serde::de::Error::custom(format!("there are 1 to {MOST} reports in a request"))),
    }
}

/// What became of a report.
#[derive(Serialize, ToSchema)]
struct Booked {
    service: String,
    component: String,
    /// As if it had been sent alone: 200 if it is booked
    #[schema(example = 200)]
    status: u16,
    /// Why it is not
    problem: Option<Problem>,
}

impl Booked {
    /// It is neither booked nor refused: the books were gone, or an earlier try is still at it.
    fn is_to_be_tried_again(&self) -> bool {
        self.status >= 500 || self.problem.as_ref().is_some_and(|problem| problem.code == DONE_BEFORE)
    }
}

#[derive(Serialize, ToSchema)]
struct BookedReports {
    /// How many are booked
    booked: usize,
    /// In the order of the reports
    results: Vec<Booked>,
    as_of: String,
}

async fn report(call: Call<Reports>) -> Handled<BookedReports> {
    call.trusted_now()?;
    let reports = &call.input.reports;
    if !call.once.was_done() {
        // Under this key nothing else is done from now on; its parts are done each by itself.
        call.once.claim(&call, format!("{} reports of usage", reports.len())).await?;
    }
    let mut results: BTreeMap<usize, (u16, Option<Problem>)> = BTreeMap::new();
    for (number, answer) in call.once.parts_done(&call).await? {
        results.insert(number, (answer.status.as_u16(), problem_of(&answer)));
    }
    let mut by_account: BTreeMap<AccountId, Vec<(usize, String)>> = BTreeMap::new();
    for (number, report) in reports.iter().enumerate() {
        if results.contains_key(&number) {
            continue;
        }
        match call.service_called(&report.service.0).await {
            Ok(row) => by_account.entry(row.account_id).or_default().push((number, row.service.name)),
            Err(problem) => drop(results.insert(number, (problem.status, Some(problem)))),
        }
    }
    let work = by_account.into_iter().map(|(id, of_account)| one_by_one(&call, id, of_account));
    let done: Vec<_> = stream::iter(work).buffer_unordered(AT_ONCE).collect().await;
    results.extend(done.into_iter().flatten());
    let results: Vec<Booked> = reports
        .iter()
        .zip(results.into_values())
        .map(|(Report { service, component, .. }, (status, problem))| Booked {
            service: service.0.clone(),
            component: component.0.clone(),
            status,
            problem,
        })
        .collect();
    if results.iter().any(|result| result.is_to_be_tried_again()) {
        let detail = "not every report could be booked just now: send all of them again under the same key";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "partly_booked", detail).after(1));
    }
    let booked = results.iter().filter(|result| result.problem.is_none()).count();
    Ok(BookedReports { booked, results, as_of: call.now.to_string() })
}

/// Books the reports of an account in their order.
async fn one_by_one(
    call: &Call<Reports>,
    id: AccountId,
    reports: Vec<(usize, String)>,
) -> Vec<(usize, (u16, Option<Problem>))> {
    let mut results = Vec::new();
    for (number, service) in reports {
        let Report { component: Name(component), quantity: Count(quantity), .. } = call.input.reports[number].clone();
        let action = Action::Usage { service, component, quantity };
        let done = acting::act(&call.split_off(number), id, action, false, StatusCode::OK).await;
        let result = match done {
            Ok(_) => (StatusCode::OK.as_u16(), None),
            Err(problem) => (problem.status, Some(problem)),
        };
        results.push((number, result));
    }
    results
}

/// What an earlier try was told.
fn problem_of(answer: &Answer) -> Option<Problem> {
    let Content::Whole(body) = &answer.content else { return None };
    if answer.status.is_success() { None } else { serde_json::from_str(body).ok() }
}
