//! Services and all that is done with them.

use axum::http::StatusCode;
use rules::{Action, CancelWhen, Mode, OrderChange};
use serde::{Deserialize, Serialize};
use store::ServiceFilter;
use utoipa::{IntoParams, ToSchema};

use crate::cli::rows::{behind, written};
use crate::http::access::Access;
use crate::http::operation::{Call, Handled, Nothing, Operation, get, post};
use crate::http::problem::Problem;
use crate::http::routes::acting::{self, services};
use crate::http::routes::finding::limit;
use crate::http::words::{Count, Line, Name, Options, Quantities};
use crate::input::choices::{ServiceMode, ServiceState};
use crate::view::{ChangeView, ServiceView};

pub fn operations() -> Vec<Operation> {
    use Access::{Acts, Administers, Looks, Reports, Surveys};
    const OK: StatusCode = StatusCode::OK;
    const CREATED: StatusCode = StatusCode::CREATED;
    vec![
        get(("listServices", "/v1/services", Surveys, "List services of all accounts by name, page by page"), list),
        get(
            ("listServicesOf", "/v1/accounts/{account}/services", Looks, "List an account's services by name"),
            list_of,
        ),
        post(
            (
                "createService",
                "/v1/accounts/{account}/services",
                Acts,
                "Create a service and pay what it costs at once",
            ),
            CREATED,
            create,
        ),
        get(("showService", "/v1/services/{service}", Looks, "Show a service"), show),
        post(
            ("enable", "/v1/services/{service}/enable", Acts, "Enable a daily instance: free while its day is paid"),
            OK,
            enable,
        ),
        post(
            (
                "disable",
                "/v1/services/{service}/disable",
                Acts,
                "Disable a daily instance: from now on no day is charged",
            ),
            OK,
            disable,
        ),
        post(("change", "/v1/services/{service}/change", Acts, "Change plan, quantities or options"), OK, change),
        post(
            (
                "extend",
                "/v1/services/{service}/extend",
                Acts,
                "Extend a suspended term service before its retention ends",
            ),
            OK,
            extend,
        ),
        post(
            (
                "cancel",
                "/v1/services/{service}/cancel",
                Acts,
                "Cancel a service at once, or a term service at its period's end",
            ),
            OK,
            cancel,
        ),
        post(
            ("uncancel", "/v1/services/{service}/uncancel", Acts, "Take back a cancellation for the period's end"),
            OK,
            uncancel,
        ),
        post(
            (
                "void",
                "/v1/services/{service}/void",
                Administers,
                "Take the current period back, whole: the wallet is credited, the service stops",
            ),
            OK,
            void,
        ),
        post(
            ("removed", "/v1/services/{service}/removed", Reports, "Report that a machine queued for removal is gone"),
            OK,
            removed,
        ),
        post(
            (
                "reportUsage",
                "/v1/services/{service}/usage",
                Reports,
                "Report what was used of a metered component since the last report",
            ),
            OK,
            usage,
        ),
    ]
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only in this state
    #[param(inline)]
    state: Option<ServiceState>,
    /// Only of this mode
    #[param(inline)]
    mode: Option<ServiceMode>,
    /// Go on behind this: the `next` of the page before
    #[param(inline)]
    after: Option<Name>,
    /// How many at most, 1 to 1000; 50 if not given
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct ServicePage {
    services: Vec<ServiceView>,
    /// What the next page is behind; null at the end
    next: Option<String>,
    as_of: String,
}

async fn list(call: Call<ListQuery>) -> Handled<ServicePage> {
    page(&call, None).await
}

async fn list_of(call: Call<ListQuery>) -> Handled<ServicePage> {
    let (id, _) = call.account().await?;
    page(&call, Some(id)).await
}

async fn page(call: &Call<ListQuery>, account: Option<rules::AccountId>) -> Handled<ServicePage> {
    let query = &call.input;
    let most = limit(query.limit.as_deref())?;
    let (state, mode) = (query.state.map(ServiceState::name), query.mode.map(Mode::from));
    let filter = ServiceFilter { account, state, mode, shown_only: call.caller.is_customer() };
    let after = query.after.as_ref().map_or("", |name| name.0.as_str());
    let mut rows = call.face.office.store.services_page(&filter, after, most + 1).await?;
    let next = behind(&mut rows, most).map(|row| row.service.name.clone());
    Ok(ServicePage { services: services(call, &rows), next, as_of: call.now.to_string() })
}

/// A service, and till when it is kept.
#[derive(Serialize, ToSchema)]
struct ServiceDetail {
    #[serde(flatten)]
    service: ServiceView,
    /// When a suspended term service is removed
    retention_ends: Option<String>,
}

async fn show(call: Call<Nothing>) -> Handled<ServiceDetail> {
    let row = call.service().await?;
    let ends = call.face.office.with_context(|cx| rules::retention_end(&row.service.kind, cx));
    Ok(ServiceDetail { service: call.service_view(&row), retention_ends: written(ends) })
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateService {
    /// Its name, of your own
    service: Name,
    plan: Name,
    /// By component; what is not named is what the plan includes
    #[serde(default)]
    quantities: Quantities,
    #[serde(default)]
    options: Options,
    /// Only say what it would come to
    #[serde(default)]
    preview: bool,
}

async fn create(call: Call<CreateService>) -> Handled<ChangeView> {
    let (id, _) = call.account().await?;
    let CreateService { service, plan, quantities, options, preview } = &call.input;
    let action = Action::CreateService {
        service: call.new_name("service", service)?,
        plan: plan.0.clone(),
        quantities: quantities.0.clone(),
        options: options.0.clone(),
    };
    acting::act(&call, id, action, *preview, StatusCode::CREATED).await
}

/// Whether it is only to be said what it would come to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Previewed {
    #[serde(default)]
    preview: bool,
}

async fn on<I>(call: &Call<I>, preview: bool, action: impl FnOnce(String) -> Action) -> Handled<ChangeView> {
    let row = call.service().await?;
    acting::act(call, row.account_id, action(row.service.name), preview, StatusCode::OK).await
}

async fn enable(call: Call<Previewed>) -> Handled<ChangeView> {
    on(&call, call.input.preview, |service| Action::Enable { service }).await
}

async fn disable(call: Call<Previewed>) -> Handled<ChangeView> {
    on(&call, call.input.preview, |service| Action::Disable { service }).await
}

async fn extend(call: Call<Previewed>) -> Handled<ChangeView> {
    on(&call, call.input.preview, |service| Action::Extend { service }).await
}

async fn uncancel(call: Call<Previewed>) -> Handled<ChangeView> {
    on(&call, call.input.preview, |service| Action::Uncancel { service }).await
}

async fn removed(call: Call<Previewed>) -> Handled<ChangeView> {
    on(&call, call.input.preview, |service| Action::Removed { service }).await
}

/// What is given takes the whole place of the old.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "quantities": { "cpe": "400" } }))]
struct Change {
    plan: Option<Name>,
    quantities: Option<Quantities>,
    options: Option<Options>,
    /// A quantity is lowered whose lowering destroys data, and that is meant
    #[serde(default)]
    confirm_data_loss: bool,
    #[serde(default)]
    preview: bool,
}

async fn change(call: Call<Change>) -> Handled<ChangeView> {
    let given = &call.input;
    let change = OrderChange {
        plan: given.plan.as_ref().map(|plan| plan.0.clone()),
        quantities: given.quantities.as_ref().map(|quantities| quantities.0.clone()),
        options: given.options.as_ref().map(|options| options.0.clone()),
    };
    if change == OrderChange::default() {
        return Err(Problem::bad_field("plan", "give at least one of plan, quantities and options"));
    }
    let confirm_data_loss = given.confirm_data_loss;
    on(&call, given.preview, |service| Action::Change { service, change, confirm_data_loss }).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Cancel {
    #[serde(default)]
    when: When,
    #[serde(default)]
    preview: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum When {
    #[default]
    Now,
    PeriodEnd,
}

async fn cancel(call: Call<Cancel>) -> Handled<ChangeView> {
    let when = match call.input.when {
        When::Now => CancelWhen::Now,
        When::PeriodEnd => CancelWhen::PeriodEnd,
    };
    on(&call, call.input.preview, |service| Action::Cancel { service, when }).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Void {
    reason: Line,
    #[serde(default)]
    preview: bool,
}

async fn void(call: Call<Void>) -> Handled<ChangeView> {
    let (author, Line(reason)) = (call.caller.actor(), call.input.reason.clone());
    on(&call, call.input.preview, |service| Action::Void { service, author, reason }).await
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "component": "traffic_gb", "quantity": "12.5" }))]
struct Usage {
    component: Name,
    /// Since the last report
    quantity: Count,
}

async fn usage(call: Call<Usage>) -> Handled<ChangeView> {
    let Usage { component: Name(component), quantity: Count(quantity) } = call.input.clone();
    on(&call, false, |service| Action::Usage { service, component, quantity }).await
}
