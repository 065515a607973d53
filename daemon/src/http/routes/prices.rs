//! What is sold, and price lists: compared with those before them, published and withdrawn.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use rules::{Component, Plan};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::Told;
use utoipa::ToSchema;

use crate::cli::act;
use crate::cli::prices::apply::{publish, refuse_past};
use crate::cli::prices::{Laid, diff, list, since, withdraw};
use crate::http::access::Access;
use crate::http::operation::{Call, Handled, Nothing, Operation, get, post};
use crate::http::problem::Problem;
use crate::http::words::{Code, Count, Line, Name};
use crate::input::{BadInput, read_price_list};

/// Accounts that a comparison names, of those that pay most more.
const NAMED: usize = 100;

pub fn operations() -> Vec<Operation> {
    use Access::{Administers, Looks, Oversees};
    vec![
        get(("listPlans", "/v1/plans", Looks, "List the plans that are sold now, with their prices"), plans),
        get(
            (
                "listPriceLists",
                "/v1/price-lists",
                Oversees,
                "List all price lists, in the order in which they take effect",
            ),
            lists,
        ),
        post(
            (
                "applyPriceList",
                "/v1/price-lists",
                Administers,
                "Publish a price list, or with `preview` only show who would pay what more",
            ),
            StatusCode::CREATED,
            apply,
        ),
        post(
            (
                "withdrawPriceList",
                "/v1/price-lists/{list}/withdraw",
                Administers,
                "Take back a price list that nothing was charged by yet",
            ),
            StatusCode::OK,
            take_back,
        ),
    ]
}

/// A step of a graduated price; the last one has no end.
#[derive(Serialize, ToSchema)]
struct TierView {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "100")]
    up_to: Option<String>,
    #[schema(example = "0.10")]
    unit_price: String,
}

/// What of a plan is counted: at one `unit_price`, or by `tiers`.
#[derive(Serialize, ToSchema)]
struct ComponentView {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0.05")]
    unit_price: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tiers: Option<Vec<TierView>>,
    /// Free with the plan
    #[schema(example = "0")]
    included: String,
    /// What is reported as used, not what is configured
    metered: bool,
    /// Lowering it destroys data, and has to be confirmed
    shrink_erases: bool,
}

impl ComponentView {
    fn of(component: &Component) -> Self {
        let Component { included, tiers, metered, shrink_erases } = component;
        let (unit_price, tiers) = match tiers.as_slice() {
            [only] if only.up_to.is_none() => (Some(only.unit_price.to_string()), None),
            tiers => {
                let tier = |tier: &rules::Tier| TierView {
                    up_to: tier.up_to.map(|end| end.to_string()),
                    unit_price: tier.unit_price.to_string(),
                };
                (None, Some(tiers.iter().map(tier).collect()))
            }
        };
        let (metered, shrink_erases) = (*metered, *shrink_erases);
        Self { unit_price, tiers, included: included.to_string(), metered, shrink_erases }
    }
}

/// A plan, as it stands in a price list.
#[derive(Serialize, ToSchema)]
struct PlanView {
    #[schema(example = "acs-small")]
    id: String,
    /// daily, term, monthly or hourly
    #[schema(example = "daily")]
    mode: &'static str,
    /// For a day, a term, a month or an hour
    #[schema(example = "3.00")]
    price: String,
    /// Only for accounts of this currency
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'static str>,
    /// Months of a term
    #[serde(skip_serializing_if = "Option::is_none")]
    term_months: Option<u32>,
    components: BTreeMap<String, ComponentView>,
    /// By name, what each costs more
    #[schema(example = json!({ "tr369": "1.00" }))]
    options: BTreeMap<String, String>,
}

impl PlanView {
    fn of((id, plan): (&str, &Plan)) -> Self {
        Self {
            id: id.to_owned(),
            mode: plan.mode.name(),
            price: plan.price.to_string(),
            currency: plan.currency.map(|currency| currency.code()),
            term_months: (plan.mode == rules::Mode::Term).then_some(plan.term_months),
            components: plan.components.iter().map(|(name, one)| (name.clone(), ComponentView::of(one))).collect(),
            options: plan.options.iter().map(|(name, price)| (name.clone(), price.to_string())).collect(),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct Plans {
    plans: Vec<PlanView>,
    as_of: String,
}

async fn plans(call: Call<Nothing>) -> Handled<Plans> {
    let office = &call.face.office;
    office.reload_if_moved().await?;
    // Plans of another currency are not found by its account (rule 1.1).
    let currency = match call.caller.key.account {
        Some(own) => Some(act::load(office, own, None).await?.currency),
        None => None,
    };
    let is_for = |plan: &Plan| currency.is_none_or(|own| plan.currency.is_none_or(|of_plan| of_plan == own));
    let plans = office
        .with_context(|cx| cx.prices.on_sale(call.now).filter(|(_, plan)| is_for(plan)).map(PlanView::of).collect());
    Ok(Plans { plans, as_of: call.now.to_string() })
}

#[derive(Serialize, ToSchema)]
struct PriceLists {
    #[schema(value_type = Vec<Object>)]
    lists: Vec<Value>,
    as_of: String,
}

async fn lists(call: Call<Nothing>) -> Handled<PriceLists> {
    let lists = call.face.office.store.price_lists().await?.iter().map(list::json_of).collect();
    Ok(PriceLists { lists, as_of: call.now.to_string() })
}

/// A plan of a new list: what is left out is nothing, false, none of it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described here")]
struct NewPlan {
    #[schema(value_type = Name)]
    id: Name,
    #[schema(value_type = String, pattern = "^(daily|term|monthly|hourly)$", example = "daily")]
    mode: String,
    /// For a day, a term, a month or an hour
    #[schema(value_type = Count)]
    price: Count,
    currency: Option<Code>,
    /// Of a term, 1 to 120
    #[schema(minimum = 1, maximum = 120)]
    term_months: Option<u32>,
    /// By name: `unit_price` or `tiers`, `included`, `metered`, `shrink_erases`
    #[schema(value_type = Option<Object>, example = json!({ "cpe": { "included": "100", "unit_price": "0.01" } }))]
    components: Option<IgnoredAny>,
    /// By name, what each costs more
    #[schema(value_type = Option<Object>, example = json!({ "tr369": "1.00" }))]
    options: Option<IgnoredAny>,
}

/// The plans that it names are sold at these prices from then on; the others stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what a price list is, files of price lists say")]
struct NewPriceList {
    #[schema(value_type = Vec<NewPlan>)]
    plans: IgnoredAny,
    /// From when it prices what begins: a second that is still to come once there are accounts
    #[schema(value_type = Option<String>, example = "2027-01-01T00:00:00Z")]
    effective_at: Option<IgnoredAny>,
    /// Only say who would pay what more
    #[serde(default)]
    preview: bool,
}

/// Sums by plan, and the accounts that pay most more a month.
#[derive(Serialize, ToSchema)]
struct Compared {
    /// Under which number it is published; null of a preview
    list: Option<i64>,
    #[schema(example = "2027-01-01T00:00:00Z")]
    effective_at: String,
    #[schema(value_type = Vec<Object>)]
    plans: Value,
    /// A hundred of them at most
    #[schema(value_type = Vec<Object>)]
    accounts: Value,
    /// How many accounts see a difference
    #[schema(value_type = u64)]
    differing: Value,
    /// Services that no list prices
    #[schema(value_type = u64)]
    unpriced: Value,
    as_of: String,
}

async fn apply(call: Call<NewPriceList>) -> Handled<Compared> {
    let (office, now) = (&call.face.office, call.trusted_now()?);
    let body = std::str::from_utf8(&call.body).unwrap_or_default();
    let file = read_price_list("body", body, &["preview"]).map_err(anyhow::Error::from)?;
    let laid = Laid::over(&office.store, file).await.map_err(|error| of_field("plans", error))?;
    // Before it is published: what is published is not told to have failed.
    let mut compared = diff::json_of(&laid, &diff::compare(&office.store, &laid).await?, NAMED)?;
    let list = match (call.input.preview, call.once.was_done()) {
        (true, _) => None,
        // Another try published it, and compared it with the lists before it.
        (false, true) => Some(published(&call, &laid).await?),
        (false, false) => {
            let late = |error| of_field("effective_at", error);
            refuse_past(&office.store, &laid, now).await.map_err(late)?;
            let noting = call.once.office(&call, format!("price list of {}", since(laid.since)), None, None);
            let plans: Vec<&String> = laid.list.keys().collect();
            let after = json!({ "effective_at": since(laid.since), "plans": plans }).to_string();
            call.once.tell(Told { after: Some(after), ..Told::default() });
            Some(publish(&noting, &laid, &call.caller.actor()).await.map_err(late)?)
        }
    };
    let mut part = |name: &str| compared[name].take();
    let (plans, accounts, differing, unpriced) = (part("plans"), part("accounts"), part("differing"), part("unpriced"));
    let effective_at = since(laid.since);
    Ok(Compared { list, effective_at, plans, accounts, differing, unpriced, as_of: now.to_string() })
}

fn of_field(field: &str, error: anyhow::Error) -> Problem {
    let is_bad = error.is::<BadInput>();
    let problem = Problem::from(error);
    if is_bad { problem.of_field(field) } else { problem }
}

/// The list that this request published before.
async fn published(call: &Call<NewPriceList>, laid: &Laid) -> Handled<i64> {
    let by = call.caller.actor();
    let lists = call.face.office.store.price_lists().await?;
    let same =
        |list: &&store::PublishedList| list.author == by && list.effective_at == laid.since && list.list == laid.list;
    let newest = lists.iter().filter(same).map(|list| list.id).max();
    newest.ok_or_else(|| Problem::not_found("price list", &since(laid.since)))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Withdraw {
    reason: Line,
}

#[derive(Serialize, ToSchema)]
struct WithdrawnView {
    list: i64,
    withdrawn: bool,
    /// It was so before
    before: bool,
    as_of: String,
}

async fn take_back(call: Call<Withdraw>) -> Handled<WithdrawnView> {
    let (text, Line(reason)) = (call.part("list"), &call.input.reason);
    let missing = || Problem::not_found("price list", text);
    let id: i64 = text.parse().map_err(|_| missing())?;
    let (office, now) = (&call.face.office, call.trusted_now()?);
    if !office.store.price_lists().await?.iter().any(|list| list.id == id) {
        return Err(missing());
    }
    let before = if call.once.was_done() {
        false
    } else {
        let noting = call.once.office(&call, format!("price list {id}"), None, None);
        call.once.tell(Told { after: Some(json!({ "reason": reason }).to_string()), ..Told::default() });
        let way_out = |_: &str| "have it finished or given up on the machine first".to_owned();
        withdraw::withdraw(&noting, id, &call.caller.actor(), reason, way_out).await?
    };
    Ok(WithdrawnView { list: id, withdrawn: true, before, as_of: now.to_string() })
}
