//! Months: what was earned in them, and closing them.

use axum::http::StatusCode;
use rules::Period;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::Told;
use utoipa::{IntoParams, ToSchema};

use crate::cli::month::{Ways, close, closing_json};
use crate::cli::report::{json_of, month, month_name, revenue};
use crate::http::access::Access;
use crate::http::operation::{Call, Handled, Nothing, Operation, get, post};
use crate::http::problem::Problem;

pub fn operations() -> Vec<Operation> {
    use Access::{Administers, Oversees};
    vec![
        get(
            (
                "showRevenue",
                "/v1/reports/revenue",
                Oversees,
                "Show a month's revenue by currency and plan: billed, earned, deferred and accrued",
            ),
            show_revenue,
        ),
        get(("listClosings", "/v1/months", Oversees, "List the months that are closed, since when and by whom"), list),
        post(
            (
                "closeMonth",
                "/v1/months/{month}/close",
                Administers,
                "Close a month: nothing takes effect in it any more",
            ),
            StatusCode::OK,
            close_month,
        ),
    ]
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MonthQuery {
    #[param(pattern = "^[1-9][0-9]{3}-(0[1-9]|1[0-2])$", example = "2026-03")]
    month: String,
}

/// Amounts as decimals; of each row opening + billed - earned = closing.
#[derive(Serialize, ToSchema)]
struct RevenueView {
    #[schema(example = "2026-03")]
    month: String,
    /// Of a month that still runs, now
    until: String,
    #[schema(value_type = Vec<Object>)]
    rows: Value,
    as_of: String,
}

async fn show_revenue(call: Call<MonthQuery>) -> Handled<RevenueView> {
    let wanted = read(&call.input.month)?;
    let (time, moves) = revenue(&call.face.office.store, wanted, call.now).await?;
    let rows = json_of(&moves, wanted, time)["rows"].take();
    Ok(RevenueView { month: month_name(wanted), until: time.to.to_string(), rows, as_of: call.now.to_string() })
}

fn read(text: &str) -> Handled<Period> {
    month(text).map_err(|why| Problem::bad_field("month", why))
}

#[derive(Serialize, ToSchema)]
struct Closings {
    #[schema(value_type = Vec<Object>)]
    months: Vec<Value>,
    as_of: String,
}

async fn list(call: Call<Nothing>) -> Handled<Closings> {
    let closings = call.face.office.store.closings().await?;
    Ok(Closings { months: closings.iter().map(closing_json).collect(), as_of: call.now.to_string() })
}

/// That a month is closed.
#[derive(Serialize, ToSchema)]
#[serde(transparent)]
struct ClosingView(Value);

async fn close_month(call: Call<Nothing>) -> Handled<ClosingView> {
    let (text, office) = (call.part("month"), &call.face.office);
    let wanted = month(text).map_err(|_| Problem::not_found("month", text))?;
    if call.once.was_done() {
        let closings = office.store.closings().await?;
        let closing = closings.iter().find(|closing| closing.month == wanted);
        return Ok(ClosingView(closing_json(closing.ok_or_else(|| Problem::not_found("month", text))?)));
    }
    call.trusted_now()?;
    let noting = call.once.office(&call, format!("month {text}"), None, None);
    call.once.tell(Told { after: Some(json!({ "closed": text }).to_string()), ..Told::default() });
    let resume = |job: &str| format!("resume {job}");
    let finish_import = |_: &str| "have it finished or given up on the machine".to_owned();
    let ways = Ways { resume: &resume, finish_import: &finish_import };
    let closing = close(&noting, wanted, &call.caller.actor(), &ways).await?;
    Ok(ClosingView(closing_json(&closing)))
}
