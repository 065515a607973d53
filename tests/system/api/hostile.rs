//! What nobody should send: the right 4xx with a clear problem, and nothing changed.

use serde_json::{Value, json};

use super::Host;
use crate::support::http::{Api, send};

fn raw(api: &Api, head: &str, body: &[u8]) -> Option<(u16, String)> {
    let key = api.key.as_deref().expect("a key");
    let start = format!("{head}\r\nHost: bursar\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\r\n");
    let start = start.replace("\r\n\r\n\r\n", "\r\n\r\n");
    let reply = send(api.address, &[start.as_bytes(), body].concat())?;
    Some((reply.status, reply.body))
}

fn state(host: &Host) -> Value {
    let (accounts, audit) = (host.api.get("/v1/accounts").json(), host.api.get("/v1/audit?limit=1000").json());
    let statement = host.api.get("/v1/accounts/ann/statement").json();
    // Jobs go on meanwhile.
    let is_a_jobs = |row: &Value| row["actor"].as_str().is_some_and(|actor| actor.starts_with("job:"));
    let log: Vec<&Value> = audit["entries"].as_array().expect("entries").iter().filter(|row| !is_a_jobs(row)).collect();
    json!([accounts["accounts"], log, statement["entries"]])
}

#[test]
fn bad_requests_are_refused_and_change_nothing_on_sqlite() {
    refuse(&Host::on_sqlite());
}

#[test]
fn bad_requests_are_refused_and_change_nothing_on_postgres() {
    refuse(&Host::on_postgres());
}

fn refuse(host: &Host) {
    host.customer("ann", "50.00");
    host.settled();
    let before = state(host);
    let json_head = |path: &str, length: usize| {
        format!(
            "POST {path} HTTP/1.1\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\nContent-Length: {length}"
        )
    };
    let deposit = "/v1/accounts/ann/deposits";
    let post = |body: &[u8]| raw(&host.api, &json_head(deposit, body.len()), body).expect("an answer");
    for (body, status, code) in [
        (&b"{"[..], 400, "bad_json"),
        (b"[]", 422, "bad_input"),
        (b"null", 422, "bad_input"),
        (b"{\"amount\": \"1.00\", \"reference\": \"x\"} {}", 400, "bad_json"),
        (b"", 400, "bad_json"),
        (b"[\"1.00\", \"x\"]", 422, "bad_input"),
        (b"\xff\xfe", 400, "bad_json"),
        (b"{\"amount\": \"1.00\", \"amount\": \"2.00\", \"reference\": \"x\"}", 422, "bad_input"),
        (b"{\"amount\": \"1.00\", \"reference\": \"x\", \"more\": 1}", 422, "bad_input"),
        (b"{\"amount\": 1.5, \"reference\": \"x\"}", 422, "bad_input"),
        (b"{\"amount\": \"1.00\", \"reference\": \"a\\u0000b\"}", 422, "bad_input"),
        (b"{\"amount\": \"1.00\", \"reference\": \"\"}", 422, "bad_input"),
        (b"{\"amount\": \"1.00\", \"reference\": \"a\\u202eb\"}", 422, "bad_input"),
        (b"{\"reference\": \"x\"}", 422, "bad_input"),
    ] {
        let (got, told) = post(body);
        let problem: Value = serde_json::from_str(&told).expect("a problem");
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{}: {told}", String::from_utf8_lossy(body));
    }
    for amount in
        ["1e309", "-0", "NaN", "0.0000001", "1000000000000000000000000000000", "0", "-1", "+1", "1,0", " 1", "", "١"]
    {
        let (status, told) = post(json!({ "amount": amount, "reference": "x" }).to_string().as_bytes());
        let problem: Value = serde_json::from_str(&told).expect("a problem");
        assert_eq!((status, problem["field"].as_str()), (422, Some("amount")), "{amount}: {told}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(post(deep.as_bytes()).0, 400);
    let name = "n".repeat(1 << 20);
    let (status, told) = post(json!({ "amount": "1", "reference": name }).to_string().as_bytes());
    assert_eq!((status, told.contains("body_too_large")), (413, true));
    let (status, _) =
        raw(&host.api, &format!("POST {deposit} HTTP/1.1\r\nIdempotency-Key: k\r\nContent-Length: 2"), b"{}")
            .expect("an answer");
    assert_eq!(status, 415);
    let chunked = format!(
        "POST {deposit} HTTP/1.1\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked"
    );
    let large = format!("{:x}\r\n{}\r\n0\r\n\r\n", 300 << 10, "x".repeat(300 << 10));
    assert_eq!(raw(&host.api, &chunked, large.as_bytes()).map(|(status, _)| status), Some(413));
    for (head, statuses) in [
        ("DELETE /v1/accounts HTTP/1.1", &[405][..]),
        ("GET /v1/nothing HTTP/1.1", &[404]),
        ("GET /v1/accounts/%00 HTTP/1.1", &[404]),
        ("GET /v1/accounts/%ff HTTP/1.1", &[404, 400]),
        ("GET /v1/accounts/..%2f..%2fetc HTTP/1.1", &[404]),
        ("GET /v1/accounts?after=%00 HTTP/1.1", &[422]),
        ("GET /v1/services?after=%00 HTTP/1.1", &[422]),
        ("GET /v1/accounts?limit=0 HTTP/1.1", &[422]),
        ("GET /v1/accounts?limit=1e3 HTTP/1.1", &[422]),
        ("GET /v1/accounts?limit=5&limit=6 HTTP/1.1", &[422]),
        ("GET /v1/accounts?nothing=1 HTTP/1.1", &[422]),
        ("GET /v1/accounts?state=%ff HTTP/1.1", &[422, 400]),
        ("GET /v1/accounts?state=gone HTTP/1.1", &[422]),
        ("GET /v1/accounts/ann/statement?from=yesterday HTTP/1.1", &[422]),
        ("GET /v1/accounts/ann/statement?from=2026-02-30 HTTP/1.1", &[422]),
        ("GET /v1/accounts/ann/events?after=-1 HTTP/1.1", &[422]),
        ("GET /v1/runs/99999999999999999999 HTTP/1.1", &[404]),
        ("GET /v1/accounts/ann/explain/t99 HTTP/1.1", &[404]),
    ] {
        let (status, told) = raw(&host.api, head, b"").expect("an answer");
        assert!(statuses.contains(&status), "{head}: {status} {told}");
    }
    for (path, status) in [(format!("{deposit}?preview=true"), 422), ("/v1/keys/%00/revoke".to_owned(), 404)] {
        let (got, told) = raw(&host.api, &json_head(&path, 2), b"{}").expect("an answer");
        assert_eq!(got, status, "{path}: {told}");
    }
    // A header without an end, and one that is too long.
    let long = format!("GET /v1/accounts HTTP/1.1\r\nX: {}", "x".repeat(64 << 10));
    assert!(raw(&host.api, &long, b"").is_none_or(|(status, _)| status == 431));
    host.settled();
    assert_eq!(state(host), before);
    host.verified();
}
