//! What a panel does for its customers.

use serde_json::{Value, json};

use super::Host;

#[test]
fn a_panel_serves_customers_on_sqlite() {
    serve_customers(&Host::on_sqlite());
}

#[test]
fn a_panel_serves_customers_on_postgres() {
    serve_customers(&Host::on_postgres());
}

fn serve_customers(host: &Host) {
    let panel = host.api.with(&host.key("panel"));
    let opened = panel.done("/v1/accounts", r#"{"name": "ann", "resume_on_deposit": true}"#);
    let id = opened["id"].as_str().expect("an id").to_owned();
    assert!(id.starts_with("acc_"), "{opened}");
    let path = format!("/v1/accounts/{id}");
    host.api.done(&format!("{path}/deposits"), r#"{"amount": "50.00", "reference": "bank-1"}"#);

    // A preview tells what it would cost, and changes nothing.
    let order = |preview: bool| {
        json!({
            "service": "web-1", "plan": "acs-small", "quantities": { "cpe": "250" }, "options": ["vpn-access"],
            "preview": preview,
        })
        .to_string()
    };
    let ahead = panel.done(&format!("{path}/services"), &order(true));
    assert_eq!((&ahead["preview"], panel.get("/v1/services/web-1").status), (&json!(true), 404));
    let made = panel.done(&format!("{path}/services"), &order(false));
    // It is the rest of the day that is paid for: some seconds may have passed since.
    let micros = |told: &Value| {
        let amount = told["entries"][0]["amount"].as_str().expect("an amount").replace('.', "");
        amount.parse::<i64>().expect("digits")
    };
    let (foreseen, charged) = (micros(&ahead), micros(&made));
    assert!(charged <= foreseen && foreseen - charged < foreseen / 100 + 1_000, "{charged} of {foreseen}");
    let service = made["service"]["id"].as_str().expect("an id").to_owned();
    assert_eq!(panel.get(&format!("/v1/services/{service}")).json()["service"], json!("web-1"));
    for action in ["disable", "enable"] {
        panel.done(&format!("/v1/services/{service}/{action}"), "{}");
    }
    panel.done(&format!("/v1/services/{service}/change"), r#"{"quantities": {"cpe": "400"}, "options": []}"#);

    // What the rules refuse moves nothing, and says why.
    let refused = panel.post(&format!("/v1/services/{service}/extend"), "{}");
    assert_eq!((refused.status, refused.code().as_str()), (409, "not_allowed"));
    let poor = panel
        .post(&format!("{path}/services"), r#"{"service": "big", "plan": "cloud-m", "quantities": {"cpu": "9999"}}"#);
    assert!([409, 201].contains(&poor.status), "{poor:?}");

    // The same books as the command line shows.
    let statement = panel.get(&format!("{path}/statement?limit=1000")).json();
    let shown = host.command("statement ann");
    assert_eq!(statement["closing_balance"], shown["closing_balance"]);
    let amounts = |statement: &Value| -> Vec<Value> {
        let entries = statement["entries"].as_array().expect("entries").iter();
        entries.map(|entry| json!([entry["ref"], entry["amount"], entry["balance"]])).collect()
    };
    assert_eq!(amounts(&statement), amounts(&shown));

    // Page by page.
    let first = panel.get(&format!("{path}/events?limit=2")).json();
    let next = first["next"].as_str().expect("a page more");
    let second = panel.get(&format!("{path}/events?limit=1000&after={next}")).json();
    let count = |page: &Value| page["events"].as_array().expect("events").len();
    assert_eq!((count(&first), count(&second) > 0), (2, true));

    // A customer sees its own, and nothing internal.
    let key = panel.done(&format!("{path}/keys"), r#"{"name": "ann's browser"}"#);
    let customer = panel.with(key["secret"].as_str().expect("a secret"));
    host.api.done(&format!("{path}/adjustments"), r#"{"amount": "1.00", "reason": "between us"}"#);
    host.settled();
    let seen = customer.get(&format!("{path}/statement")).body + &customer.get(&format!("{path}/activity")).body;
    assert!(!seen.contains("between us") && !seen.contains("key:admin/"), "{seen}");
    assert_eq!(customer.get("/v1/accounts").status, 403);
    let bonus = host.api.get(&format!("{path}/statement?limit=1")).json()["entries"][0]["ref"].clone();
    let bonus = bonus.as_str().expect("a reference").split_once('/').expect("a part").1.to_owned();
    let why = customer.get(&format!("{path}/explain/{bonus}"));
    assert!(why.body.contains("support gave a bonus") && !why.body.contains("between us"), "{why:?}");
    let refund = customer.post(&format!("{path}/close"), r#"{"rest": "refund"}"#);
    assert_eq!((refund.status, refund.json()["field"].clone()), (403, json!("rest")));
    customer.done(&format!("/v1/services/{service}/cancel"), "{}");
    // What is over is hidden from customers and kept for the host (rule 5.8).
    assert_eq!(customer.get(&format!("/v1/services/{service}")).status, 404);
    assert_eq!(panel.get(&format!("/v1/services/{service}")).json()["state"], json!("deleted"));
    let listed = customer.get(&format!("{path}/services")).json();
    assert!(listed["services"].as_array().expect("a list").iter().all(|row| row["service"] != json!("web-1")));

    // Why, and who did it.
    let entry = statement["entries"][1]["ref"].as_str().expect("a reference").split_once('/').expect("a part").1;
    let why = panel.get(&format!("{path}/explain/{entry}")).json();
    assert!(why["explanation"]["why"].is_string(), "{why}");
    host.settled();
    let audit = host.api.get("/v1/audit?limit=1000").json();
    let of = |action: &str| {
        let entries = audit["entries"].as_array().expect("entries").iter();
        entries.filter(|entry| entry["action"] == json!(action)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(of("createService")[0]["after"]["service"]["state"], json!("enabled"));
    assert_eq!(of("extend")[0]["result"], json!("not_allowed"));
    let actor = of("cancel")[0]["actor"].as_str().expect("an actor").to_owned();
    assert!(actor.starts_with("customer:ann's browser/"), "{actor}");
    host.verified();
}

#[test]
fn jobs_and_runs_are_moved_by_operators() {
    let host = Host::on_sqlite();
    host.customer("ann", "50.00");
    let operator = host.api.with(&host.key("operator"));
    let jobs = operator.get("/v1/jobs").json();
    assert!(jobs["jobs"].as_array().expect("jobs").iter().any(|job| job["job"] == json!("bill_instances")), "{jobs}");
    let paused = operator.done("/v1/jobs/end_trials/pause", r#"{"reason": "looking"}"#);
    assert_eq!(paused["paused"], json!(true));
    let refused = operator.post("/v1/jobs/end_trials/runs", "{}");
    assert_eq!((refused.status, refused.code().as_str()), (409, "not_now"));
    operator.done("/v1/jobs/end_trials/resume", "{}");
    let run = operator.done("/v1/jobs/end_trials/runs", "{}");
    let id = run["run"].as_i64().expect("an id");
    let watched = operator.get(&format!("/v1/runs/{id}/progress"));
    assert!(watched.head.contains("text/event-stream") && watched.body.contains("event: progress"), "{watched:?}");
    assert_eq!(operator.get(&format!("/v1/runs/{id}")).json()["state"], json!("done"));
    // Money is not theirs.
    assert_eq!(operator.post("/v1/accounts/ann/adjustments", r#"{"amount": "1", "reason": "x"}"#).status, 403);
    assert_eq!(operator.get("/v1/accounts/ann").status, 403);
}

#[test]
fn an_invoice_is_printed_with_what_it_says_and_no_more() {
    let host = Host::on_sqlite();
    assert_eq!(host.api.get("/v1/invoices/INV-000001/print").status, 404);
    let unknown = host.api.get("/v1/invoices/inv_00000000000000000000000000");
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "not_found"));
}
