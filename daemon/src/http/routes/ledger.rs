//! What was booked, what happened and what was refused, and why.

use rules::{Period, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::cli::explain;
use crate::cli::rows::behind;
use crate::cli::statement::balances;
use crate::http::access::Access;
use crate::http::operation::{Call, Handled, Nothing, Operation, get};
use crate::http::problem::Problem;
use crate::http::routes::finding::{PageQuery, limit};
use crate::http::words::{Place, Second};
use crate::view::{EntryView, EventView, RefusalView};

pub fn operations() -> Vec<Operation> {
    use Access::{Looks, Surveys};
    vec![
        get(
            (
                "showStatement",
                "/v1/accounts/{account}/statement",
                Looks,
                "Show the wallet's entries with their balances",
            ),
            statement,
        ),
        get(("listEvents", "/v1/accounts/{account}/events", Looks, "List what happened, the oldest first"), events),
        get(
            (
                "listRefusals",
                "/v1/accounts/{account}/refusals",
                Surveys,
                "List what was refused last, the newest first",
            ),
            refusals,
        ),
        get(
            (
                "explain",
                "/v1/accounts/{account}/explain/{what}",
                Looks,
                "Say why: of an entry (t12), an event (e7), a refusal (r3) or a line of an invoice (i3-2)",
            ),
            why,
        ),
    ]
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatementQuery {
    /// From this second or day on
    #[param(inline)]
    from: Option<Second>,
    /// Up to this second or day, which is not in it any more
    #[param(inline)]
    to: Option<Second>,
    /// Only those before this entry: the `older_before` of the page behind it
    #[param(inline)]
    before: Option<Place>,
    /// How many at most, 1 to 1000; 50 if not given
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
}

/// An entry with the wallet behind it.
#[derive(Serialize, ToSchema)]
struct BalancedEntry {
    #[serde(flatten)]
    entry: EntryView,
    #[schema(example = "47.439444")]
    balance: String,
}

#[derive(Serialize, ToSchema)]
struct StatementView {
    account: String,
    currency: &'static str,
    opening_balance: String,
    /// The newest of the time that was asked for, the oldest of them first
    entries: Vec<BalancedEntry>,
    /// What older entries are before; null where there are none
    older_before: Option<String>,
    closing_balance: String,
    /// Up to when everything that fell due is booked
    as_of: String,
}

async fn statement(call: Call<StatementQuery>) -> Handled<StatementView> {
    let (id, account) = call.account().await?;
    let StatementQuery { from, to, before, limit: most } = &call.input;
    let (most, before) = (limit(most.as_deref())?, before.as_ref().map(|place| place.0));
    let from = from.as_ref().map_or(Timestamp::BEGINNING, |second| second.0);
    let to = to.as_ref().map_or(Timestamp::from_secs(i64::MAX), |second| second.0);
    if from >= to {
        return Err(Problem::bad_field("to", format!("{to} is not after {from}")));
    }
    let statement = call.face.office.store.statement(id, Period::new(from, to), before, most).await?;
    let balances = balances(&statement);
    let first = statement.entries.first().filter(|_| statement.has_older);
    let entry = |row: &store::LedgerRow| {
        let entry = EntryView::of(row);
        if call.caller.is_customer() { entry.for_customers() } else { entry }
    };
    let entries = statement.entries.iter().zip(&balances);
    Ok(StatementView {
        account,
        currency: statement.account.currency.code(),
        opening_balance: statement.opening.to_string(),
        older_before: first.map(|row| row.number.to_string()),
        closing_balance: balances.last().copied().unwrap_or(statement.opening).to_string(),
        as_of: statement.account.settled_at.to_string(),
        entries: entries
            .map(|(row, balance)| BalancedEntry { entry: entry(row), balance: balance.to_string() })
            .collect(),
    })
}

#[derive(Serialize, ToSchema)]
struct EventPage {
    events: Vec<EventView>,
    /// What the next page is behind; null at the end
    next: Option<String>,
    as_of: String,
}

async fn events(call: Call<PageQuery>) -> Handled<EventPage> {
    let (id, _) = call.account().await?;
    let (most, after) = (limit(call.input.limit.as_deref())?, call.input.after.as_ref().map(|place| place.0));
    let mut rows = call.face.office.store.events_page(id, after.unwrap_or(-1), most + 1).await?;
    let next = behind(&mut rows, most).map(|row| row.number.to_string());
    Ok(EventPage { events: rows.iter().map(EventView::of).collect(), next, as_of: call.now.to_string() })
}

#[derive(Serialize, ToSchema)]
struct Refusals {
    refusals: Vec<RefusalView>,
    as_of: String,
}

async fn refusals(call: Call<Nothing>) -> Handled<Refusals> {
    const KEPT: u32 = 100;
    let (id, _) = call.account().await?;
    let rows = call.face.office.store.refusals(id, KEPT).await?;
    Ok(Refusals { refusals: rows.iter().map(RefusalView::of).collect(), as_of: call.now.to_string() })
}

/// Why, in a sentence, with what it was computed from.
#[derive(Serialize, ToSchema)]
struct Explanation {
    #[schema(value_type = Object)]
    explanation: serde_json::Value,
    as_of: String,
}

async fn why(call: Call<Nothing>) -> Handled<Explanation> {
    let (id, account) = call.account().await?;
    let missing = || Problem::not_found("what", "in this account");
    let what = call.part("what").replace('-', "/");
    let reference = format!("{account}/{what}").parse::<crate::cli::reference::Reference>().map_err(|_| missing())?;
    let is_internal = matches!(reference.to, crate::cli::reference::Referred::Refusal(_));
    if call.caller.is_customer() && is_internal {
        return Err(missing());
    }
    let found = explain::explained(&call.face.office.store, id, &reference, call.caller.is_customer()).await?;
    let explanation = found.ok_or_else(missing)?;
    Ok(Explanation { explanation, as_of: call.now.to_string() })
}
