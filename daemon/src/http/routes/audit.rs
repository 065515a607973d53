//! Who changed what: all of it for admins, and what concerns a customer for the customer.

use serde::Serialize;
use serde_json::Value;
use store::AuditRow;
use utoipa::ToSchema;

use crate::cli::rows::behind;
use crate::http::access::Access;
use crate::http::operation::{Call, Handled, Operation, get};
use crate::http::routes::finding::{PageQuery, limit};

pub fn operations() -> Vec<Operation> {
    use Access::{Looks, Oversees};
    vec![
        get(
            (
                "listAudit",
                "/v1/audit",
                Oversees,
                "List who changed what, the oldest first; within a second or two of the change",
            ),
            list,
        ),
        get(
            (
                "listActivity",
                "/v1/accounts/{account}/activity",
                Looks,
                "List what was done on an account, the oldest first",
            ),
            activity,
        ),
    ]
}

/// Where the next page goes on: rows get their places in one order for all readers.
fn place(row: &AuditRow) -> Option<String> {
    row.seal.as_ref().map(|(place, _)| place.to_string())
}

#[derive(Serialize, ToSchema)]
struct AuditView {
    at: String,
    #[schema(example = "key:panel")]
    actor: String,
    /// The id of the request
    request: String,
    #[schema(example = "createService")]
    action: String,
    #[schema(example = "account ann service web-1")]
    object: String,
    /// done, or the code of what refused it
    #[schema(example = "done")]
    result: String,
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
    /// Its place in the chain, and its hash over itself and the one before
    sealed: Option<i64>,
    hash: Option<String>,
}

impl AuditView {
    fn of(row: AuditRow) -> Self {
        let read = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        let (sealed, hash) = row.seal.unzip();
        Self {
            at: row.at.to_string(),
            actor: row.actor,
            request: row.request,
            action: row.action,
            object: row.object,
            result: row.result,
            before: read(row.before),
            after: read(row.after),
            sealed,
            hash,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct AuditPage {
    entries: Vec<AuditView>,
    /// What the next page is behind; null at the end
    next: Option<String>,
    as_of: String,
}

async fn list(call: Call<PageQuery>) -> Handled<AuditPage> {
    let (most, after) = (limit(call.input.limit.as_deref())?, call.input.after.as_ref().map(|place| place.0));
    let mut rows = call.face.office.store.audit_page(None, after.unwrap_or(0), most + 1).await?;
    let next = behind(&mut rows, most).and_then(place);
    Ok(AuditPage { entries: rows.into_iter().map(AuditView::of).collect(), next, as_of: call.now.to_string() })
}

/// Something that was done on an account, as its customer may know it.
#[derive(Serialize, ToSchema)]
struct Activity {
    at: String,
    /// customer, or support for everybody else
    #[schema(example = "customer")]
    by: &'static str,
    #[schema(example = "createService")]
    action: String,
    #[schema(example = "done")]
    result: String,
}

#[derive(Serialize, ToSchema)]
struct ActivityPage {
    activity: Vec<Activity>,
    /// What the next page is behind; null at the end
    next: Option<String>,
    as_of: String,
}

async fn activity(call: Call<PageQuery>) -> Handled<ActivityPage> {
    let (id, _) = call.account().await?;
    let (most, after) = (limit(call.input.limit.as_deref())?, call.input.after.as_ref().map(|place| place.0));
    let mut rows = call.face.office.store.audit_page(Some(id), after.unwrap_or(0), most + 1).await?;
    let next = behind(&mut rows, most).and_then(place);
    let activity = rows.into_iter().map(|row| Activity {
        at: row.at.to_string(),
        by: if row.actor.starts_with("customer:") { "customer" } else { "support" },
        action: row.action,
        result: row.result,
    });
    Ok(ActivityPage { activity: activity.collect(), next, as_of: call.now.to_string() })
}
