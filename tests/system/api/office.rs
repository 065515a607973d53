//! What a host's office does over HTTP: prices, months, revenue, keys, previews of jobs, parked accounts.

use serde_json::{Value, json};

use super::Host;
use crate::support::program::wait_until;

#[test]
fn an_office_does_its_work_on_sqlite() {
    work(&Host::on_sqlite());
}

#[test]
fn an_office_does_its_work_on_postgres() {
    work(&Host::on_postgres());
}

fn work(host: &Host) {
    host.customer("ann", "100.00");
    host.api.done("/v1/accounts/ann/services", r#"{"service": "web-1", "plan": "acs-small"}"#);
    prices(host);
    months(host);
    keys(host);
    jobs(host);
    host.verified();
}

fn prices(host: &Host) {
    let customer = host.api.done("/v1/accounts/ann/keys", r#"{"name": "browser"}"#);
    let customer = host.api.with(customer["secret"].as_str().expect("a secret"));
    let sold = customer.get("/v1/plans").json();
    let plan = |plans: &Value, id: &str| {
        plans["plans"].as_array().expect("plans").iter().find(|plan| plan["id"] == json!(id)).cloned()
    };
    let small = plan(&sold, "acs-small").expect("a plan");
    assert_eq!((&small["mode"], &small["price"]), (&json!("daily"), &json!("2.400000")));

    // What is sold can be sent back as it stands: nobody sees a difference.
    let later = "2099-01-01T00:00:00Z";
    let list =
        |plan: &Value, preview: bool| json!({ "plans": [plan], "effective_at": later, "preview": preview }).to_string();
    let same = host.api.done("/v1/price-lists", &list(&small, true));
    assert_eq!((&same["differing"], &same["list"]), (&json!(0), &Value::Null), "{same}");

    let mut dearer = small.clone();
    dearer["price"] = json!("3.40");
    let ahead = host.api.done("/v1/price-lists", &list(&dearer, true));
    assert_eq!((&ahead["differing"], &ahead["accounts"][0]["account"]), (&json!(1), &json!("ann")), "{ahead}");
    assert_eq!(ahead["plans"][0]["difference"], json!("1.00"));
    let count = || host.api.get("/v1/price-lists").json()["lists"].as_array().expect("lists").len();
    let before = count();
    let first = host.api.post_as("/v1/price-lists", "dearer", &list(&dearer, false));
    let again = host.api.post_as("/v1/price-lists", "dearer", &list(&dearer, false));
    assert_eq!((first.status, &again.body, count()), (201, &first.body, before + 1));
    assert_eq!(plan(&customer.get("/v1/plans").json(), "acs-small").expect("a plan")["price"], json!("2.400000"));
    let id = first.json()["list"].as_i64().expect("an id");
    let withdrawn = host.api.done(&format!("/v1/price-lists/{id}/withdraw"), r#"{"reason": "a zero too many"}"#);
    assert_eq!((&withdrawn["withdrawn"], &withdrawn["before"]), (&json!(true), &json!(false)));

    // What is wrong is told with its place, and nothing is published.
    for (plans, field) in [
        (json!([{ "id": "x", "mode": "daily", "price": "-1" }]), "plans[0].price"),
        (json!([{ "id": "x", "mode": "daily" }]), "plans[0]"),
        (json!([{ "id": "x", "mode": "weekly", "price": "1" }]), "plans[0].mode"),
        (json!([{ "id": "acs-small", "mode": "hourly", "price": "1" }]), "plans"),
    ] {
        let body = json!({ "plans": plans, "effective_at": later }).to_string();
        let refused = host.api.post("/v1/price-lists", &body);
        assert_eq!((refused.status, refused.json()["field"].clone()), (422, json!(field)), "{refused:?}");
    }
    let past = host.api.post("/v1/price-lists", &json!({ "plans": [dearer] }).to_string());
    assert!(past.status == 422 && past.body.contains("priced already"), "{past:?}");
    assert_eq!(past.json()["field"], json!("effective_at"));
    assert_eq!(host.api.post("/v1/price-lists/999/withdraw", r#"{"reason": "x"}"#).status, 404);
    assert_eq!(count(), before + 1);
}

fn months(host: &Host) {
    let now = host.api.get("/v1/jobs").json()["as_of"].as_str().expect("a time")[..7].to_owned();
    let revenue = || host.api.get(&format!("/v1/reports/revenue?month={now}")).json();
    wait_until("something is earned", || revenue()["rows"] != json!([]));
    let revenue = revenue();
    let shown = host.command(&format!("report revenue --month {now}"));
    let billed = |report: &Value| {
        report["rows"].as_array().expect("rows").iter().map(|row| row["billed"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(billed(&revenue), billed(&shown));
    let early = host.api.post(&format!("/v1/months/{now}/close"), "{}");
    assert_eq!((early.status, early.code().as_str()), (409, "not_now"));
    assert_eq!(host.api.get("/v1/months").json()["months"], json!([]));
    for bad in ["2026-13", "now"] {
        assert_eq!(host.api.get(&format!("/v1/reports/revenue?month={bad}")).status, 422);
        assert_eq!(host.api.post(&format!("/v1/months/{bad}/close"), "{}").status, 404);
    }
}

fn keys(host: &Host) {
    let made = host.api.done("/v1/keys", r#"{"name": "the panel", "scope": "panel"}"#);
    let panel = host.api.with(made["secret"].as_str().expect("a secret"));
    assert_eq!((panel.get("/v1/accounts").status, panel.get("/v1/keys").status), (200, 403));
    let once = r#"{"name": "once", "scope": "read"}"#;
    let (first, again) = (host.api.post_as("/v1/keys", "once", once), host.api.post_as("/v1/keys", "once", once));
    assert_eq!((first.status, again.status, again.code().as_str()), (201, 409, "shown_before"));
    assert!(again.body.contains(first.json()["key"].as_str().expect("a key")) && !again.body.contains("bk_"));
    let by = made["created_by"].as_str().expect("who").to_owned();
    assert!(by.starts_with("key:admin/"), "{by}");
    let admin = host.api.post("/v1/keys", r#"{"name": "another admin", "scope": "admin"}"#);
    assert_eq!((admin.status, admin.json()["field"].clone()), (422, json!("scope")));
    let past = host.api.post("/v1/keys", r#"{"name": "old", "scope": "read", "expires_at": "2020-01-01"}"#);
    assert_eq!((past.status, past.json()["field"].clone()), (422, json!("expires_at")));
    let listed = host.api.get("/v1/keys").body;
    assert!(listed.contains("the panel") && !listed.contains(made["secret"].as_str().expect("a secret")));
}

fn jobs(host: &Host) {
    let operator = host.api.with(&host.key("operator"));
    // Nothing of customers is shown to operators.
    assert_eq!(operator.get("/v1/jobs/bill_instances/preview?account=ann").status, 403);
    let ahead = host.api.get("/v1/jobs/bill_instances/preview?account=ann").json();
    assert_eq!((&ahead["dry_run"], &ahead["preview"]["accounts"]), (&json!(true), &json!(0)), "{ahead}");
    let tomorrow = rules::Timestamp::parse(ahead["until"].as_str().expect("a time")).expect("a time").plus_days(1);
    let path = format!("/v1/jobs/bill_instances/preview?at={tomorrow}");
    let (ahead, of_operators) = (host.api.get(&path).json(), operator.get(&path).json());
    assert_eq!((&of_operators["preview"], &of_operators["accounts"]), (&ahead["preview"], &json!([])));
    assert_eq!(
        (&ahead["accounts"][0]["account"], &ahead["accounts"][0]["amount"]),
        (&json!("ann"), &json!("2.400000"))
    );
    let shown = host.command(&format!("jobs enqueue bill_instances --dry-run --at {tomorrow}"));
    assert_eq!((&shown["accounts"], &shown["preview"]), (&ahead["accounts"], &ahead["preview"]));
    let numbers = operator.get("/v1/jobs/number_documents/preview").json();
    assert_eq!(numbers["series"], json!([]));
    let reads = operator.get("/v1/jobs/verify_books/preview");
    assert_eq!((reads.status, reads.code().as_str()), (409, "only_reads"));
    let past = operator.get("/v1/jobs/bill_instances/preview?at=2020-01-01");
    assert_eq!((past.status, past.json()["field"].clone()), (422, json!("at")));
    assert_eq!(
        (host.api.get("/v1/parked").json()["parked"].clone(), operator.get("/v1/parked").status),
        (json!([]), 403)
    );
    assert_eq!(operator.done("/v1/parked/retry", "{}")["parked"], json!(0));
}
