//! Every operation with every kind of key, on an account of its own, another's and none. The operations and who may
//! use them are read from the daemon's own document.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Host;
use crate::support::http::{Api, Reply};

struct Operation {
    id: String,
    method: String,
    path: String,
    scopes: Vec<String>,
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let scopes = operation["security"][0]["key"].as_array().expect("scopes").iter();
            operations.push(Operation {
                id: operation["operationId"].as_str().expect("an id").to_owned(),
                method: method.clone(),
                path: path.clone(),
                scopes: scopes.map(|scope| scope.as_str().expect("a scope").to_owned()).collect(),
            });
        }
    }
    operations
}

fn ask(api: &Api, operation: &Operation, parts: &BTreeMap<&str, &str>) -> Reply {
    let mut path = operation.path.clone();
    for (name, value) in parts {
        path = path.replace(&format!("{{{name}}}"), value);
    }
    // Nothing here can be done: only who may ask is asked.
    if operation.method == "get" { api.get(&path) } else { api.post(&path, r#"{"preview": 7}"#) }
}

#[test]
fn every_operation_is_for_its_scopes_alone() {
    let host = Host::on_sqlite();
    for name in ["ann", "bob"] {
        host.customer(name, "50.00");
        host.api.done(
            &format!("/v1/accounts/{name}/services"),
            &format!(r#"{{"service": "{name}-1", "plan": "acs-small"}}"#),
        );
    }
    let mut keys: BTreeMap<String, String> =
        ["admin", "operator", "panel", "read"].iter().map(|scope| ((*scope).to_owned(), host.key(scope))).collect();
    let customer = host.api.done("/v1/accounts/ann/keys", r#"{"name": "browser"}"#);
    keys.insert("account".to_owned(), customer["secret"].as_str().expect("a secret").to_owned());
    let document = host.api.get("/openapi.json").json();
    let operations = operations(&document);
    assert!(operations.len() > 55, "only {} operations", operations.len());
    let own = BTreeMap::from([
        ("account", "ann"),
        ("service", "ann-1"),
        ("invoice", "INV-000001"),
        ("job", "end_trials"),
        ("run", "1"),
        ("key", "000000000000"),
        ("what", "t0"),
        ("list", "1"),
        ("month", "2020-01"),
    ]);
    let (mut others, mut missing) = (own.clone(), own.clone());
    others.extend([("account", "bob"), ("service", "bob-1")]);
    missing.extend([("account", "eve"), ("service", "eve-1")]);
    let mut dated = BTreeSet::new();
    for (number, operation) in operations.iter().enumerate() {
        let id = &operation.id;
        // Each from somewhere else: whoever fails often is not listened to.
        let stranger = Api { address: host.api.address, key: None, from: Some(format!("192.0.2.{number}")) };
        let nobody = ask(&stranger, operation, &own);
        let wrong = ask(&stranger.with("bk_0123456789ab_00"), operation, &own);
        assert_eq!((nobody.status, wrong.status), (401, 401), "{id}");
        for (scope, key) in &keys {
            let api = host.api.with(key);
            let reply = ask(&api, operation, &own);
            assert!(reply.status < 500, "{id} as {scope}: {reply:?}");
            if operation.method == "get" && reply.status == 200 && reply.head.contains("application/json") {
                assert!(reply.json()["as_of"].is_string(), "{id} says no as_of: {reply:?}");
                dated.insert(id);
            }
            let is_refused = reply.status == 403;
            assert_eq!(is_refused, !operation.scopes.contains(scope), "{id} as {scope}: {reply:?}");
            if scope == "account"
                && !is_refused
                && own.keys().take(3).any(|part| operation.path.contains(&format!("{{{part}}}")))
            {
                let told = |parts| {
                    let reply = ask(&api, operation, parts);
                    let mut json = reply.json();
                    (json["request"], json["detail"]) = (json!(null), json!(null));
                    (reply.status, json)
                };
                // Another's looks like a missing one.
                assert_eq!(told(&others), told(&missing), "{id}");
                let status = told(&others).0;
                assert!(status == 404 || status == 422, "{id}: {status}");
            }
        }
    }
    assert!(dated.len() > 18, "{dated:?}");
}
