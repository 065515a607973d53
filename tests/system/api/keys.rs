//! Keys: shown once, refused from their end on.

use serde_json::json;

use super::Host;
use crate::support::program::{run_on, wait_until};

#[test]
fn keys_are_shown_once_and_refused_when_revoked_or_expired() {
    let host = Host::on_sqlite();
    let panel = host.key("panel");
    let listed = host.command("keys list");
    let keys = listed["keys"].as_array().expect("keys");
    assert_eq!(keys.len(), 2);
    assert!(!listed.to_string().contains(&panel) && !host.api.get("/v1/keys").body.contains(&panel));
    let file = std::fs::read(host.folder.path().join("books.db")).expect("the books");
    let wal = std::fs::read(host.folder.path().join("books.db-wal")).unwrap_or_default();
    let holds = |bytes: &[u8]| bytes.windows(panel.len()).any(|window| window == panel.as_bytes());
    assert!(!holds(&file) && !holds(&wal), "the books hold the secret");
    let prefix = panel.split('_').nth(1).expect("a prefix");
    assert!(host.daemon.as_ref().is_some_and(|daemon| !daemon.log().contains(&panel)));

    let api = host.api.with(&panel);
    assert_eq!(api.get("/v1/accounts").status, 200);
    host.command(&format!("keys revoke {prefix}"));
    wait_until("it is refused", || api.get("/v1/accounts").status == 401);
    let again = host.command(&format!("keys revoke {prefix}"));
    assert_eq!(again["before"], json!(true));
    let unknown = run_on(&host.url, "keys revoke 000000000000");
    assert_eq!(unknown.status, Some(2), "{}", unknown.err);
    let past = run_on(&host.url, "keys create old --scope read --expires 2020-01-01");
    assert_eq!(past.status, Some(2), "{}", past.err);
    // Keys for one account live for minutes.
    host.customer("ann", "20.00");
    let made = host.api.done("/v1/accounts/ann/keys", r#"{"name": "browser", "minutes": 1}"#);
    assert!(made["expires_at"].is_string() && made["scope"] == json!("account"), "{made}");
    // Made by a panel, they are refused as soon as the panel's key is.
    let second = host.key("panel");
    let child = host.api.with(&second).done("/v1/accounts/ann/keys", r#"{"name": "browser"}"#);
    let child = host.api.with(child["secret"].as_str().expect("a secret"));
    assert_eq!(child.get("/v1/accounts/ann").status, 200);
    host.command(&format!("keys revoke {}", second.split('_').nth(1).expect("a prefix")));
    wait_until("it is refused", || child.get("/v1/accounts/ann").status == 401);
    let long = host.api.post("/v1/accounts/ann/keys", r#"{"name": "browser", "minutes": 61}"#);
    assert_eq!((long.status, long.json()["field"].clone()), (422, json!("minutes")));
    host.verified();
}
