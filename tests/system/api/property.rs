//! Thousands of requests that nobody should send, at every operation: each is refused with a problem, and nothing
//! changes. What each operation takes is read from the daemon's own document.

use serde_json::{Map, Value, json};

use super::Host;
use crate::support::dice::Dice;
use crate::support::http::{Reply, send};

/// Requests of each operation.
const REQUESTS: usize = 60;

/// Values that no field of any body takes.
const BAD_VALUES: [&str; 18] = [
    "1e309",
    "-0",
    "-1e-7",
    "123456789012345678901234567890",
    "{\"$\": 1}",
    "[[]]",
    "[{}]",
    "[null]",
    "\"NaN\\u0000\"",
    "\"0.000\\n0001\"",
    "\"\\u202eevil\"",
    "\"a\\u2028b\"",
    "\"\\u0007\"",
    "\"1000000000000000\\t000000000000000\"",
    "{\"a\": {\"b\": {\"c\": []}}}",
    "\"\\ud800\"",
    "0.1",
    "{\"\": \"\"}",
];

/// Parts of a path that name nothing.
const BAD_PARTS: [&str; 14] = [
    "%00",
    "%ff%fe",
    "%2e%2e%2f",
    "..%5c",
    "%0d%0aX:%20y",
    "'%20or%201=1--",
    "%E2%80%AE",
    "%F0%9F%92%B8",
    "-",
    "_",
    "acc_",
    "svc_00000000000000000000000000",
    "99999999999999999999",
    "%25%32%30",
];

/// Values that no parameter of any query takes.
const BAD_QUERIES: [&str; 8] = ["%00", "%ff", "%E2%80%AE", "-1", "%0a", "a%20b", "%7b%7d", "'--"];

struct Operation {
    id: String,
    method: String,
    path: String,
    parameters: Vec<String>,
    fields: Vec<String>,
}

#[test]
fn thousands_of_bad_requests_change_nothing_on_sqlite() {
    refuse_all(&Host::on_sqlite());
}

#[test]
fn thousands_of_bad_requests_change_nothing_on_postgres() {
    refuse_all(&Host::on_postgres());
}

fn refuse_all(host: &Host) {
    host.customer("ann", "50.00");
    host.api.done("/v1/accounts/ann/services", r#"{"service": "web-1", "plan": "acs-small"}"#);
    host.settled();
    let (before, mut dice, mut sent) = (state(host), Dice::of_today(), 0);
    let operations = operations(&host.api.get("/openapi.json").json());
    for operation in &operations {
        for _ in 0..REQUESTS {
            let request = bad(operation, host, &mut dice);
            let shown = String::from_utf8_lossy(&request).chars().take(600).collect::<String>();
            let reply = send(host.api.address, &request).unwrap_or_else(|| panic!("no answer: {shown}"));
            assert_refused(&reply, &format!("{}: {shown}", operation.id));
            sent += 1;
        }
    }
    assert!(sent > 3_000, "only {sent} requests");
    assert_eq!(state(host), before);
    let log = host.daemon.as_ref().expect("it runs").log();
    assert!(!log.contains("panicked") && !log.contains("a request failed"), "{log}");
    host.verified();
}

fn assert_refused(reply: &Reply, what: &str) {
    assert!((400..500).contains(&reply.status) && reply.status != 429, "{what}\n{reply:?}");
    let problem = reply.json();
    assert!(reply.head.contains("content-type: application/problem+json"), "{what}\n{reply:?}");
    let is_whole = problem["code"].is_string() && problem["detail"].as_str().is_some_and(|detail| !detail.is_empty());
    assert!(is_whole && problem["status"] == json!(reply.status), "{what}\n{reply:?}");
}

/// All that a request could have moved.
fn state(host: &Host) -> Value {
    let mut all = Map::new();
    for path in [
        "/v1/accounts",
        "/v1/accounts/ann/statement",
        "/v1/accounts/ann/events",
        "/v1/accounts/ann/details",
        "/v1/keys",
        "/v1/services",
        "/v1/runs?job=issue_invoices",
        "/v1/price-lists",
        "/v1/months",
        "/v1/audit?limit=1000",
        "/v1/parked",
    ] {
        let mut seen = host.api.get(path).json();
        seen["as_of"] = Value::Null;
        // Jobs go on meanwhile.
        if let Some(log) = seen.get_mut("entries").and_then(Value::as_array_mut) {
            log.retain(|row| !row["actor"].as_str().is_some_and(|actor| actor.starts_with("job:")));
        }
        if let Some(keys) = seen.get_mut("keys").and_then(Value::as_array_mut) {
            keys.iter_mut().for_each(|key| key["last_used_at"] = Value::Null);
        }
        all.insert(path.to_owned(), seen);
    }
    Value::from(all)
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let body = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
            let schema = body.as_str().and_then(|body| body.rsplit('/').next());
            let schema = schema.map_or(&Value::Null, |name| &document["components"]["schemas"][name]);
            let fields = schema["properties"].as_object().into_iter().flat_map(Map::keys).cloned();
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let of_query = parameters.filter(|parameter| parameter["in"] == json!("query"));
            operations.push(Operation {
                id: operation["operationId"].as_str().expect("an id").to_owned(),
                method: method.to_uppercase(),
                path: path.clone(),
                parameters: of_query.map(|one| one["name"].as_str().expect("a name").to_owned()).collect(),
                fields: fields.collect(),
            });
        }
    }
    operations
}

fn pick<'a>(from: &[&'a str], dice: &mut Dice) -> &'a str {
    from[usize::try_from(dice.below(from.len() as u64)).expect("a few")]
}

fn one_of<'a>(names: &'a [String], dice: &mut Dice) -> &'a str {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    pick(&names, dice)
}

/// A request that is wrong in one way at least.
fn bad(operation: &Operation, host: &Host, dice: &mut Dice) -> Vec<u8> {
    let has_parts = operation.path.contains('{');
    let is_post = operation.method == "POST";
    let wrong_part = has_parts && dice.below(3) == 0;
    let path = path(operation, wrong_part.then_some(&mut *dice));
    let key = host.api.key.as_deref().expect("a key");
    let start = |path: &str| format!("{} {path} HTTP/1.1\r\nHost: b\r\nConnection: close\r\n", operation.method);
    let authorised = format!("Authorization: Bearer {key}\r\n");
    if !is_post {
        let path = if wrong_part { path } else { format!("{path}?{}", query(operation, dice)) };
        return format!("{}{authorised}\r\n", start(&path)).into_bytes();
    }
    let (mut once, mut kind, mut body) =
        ("Idempotency-Key: bad\r\n", "Content-Type: application/json\r\n", b"{}".to_vec());
    match dice.below(if wrong_part { 1 } else { 9 }) {
        0 if wrong_part => {}
        0 => {
            once = pick(&["", "Idempotency-Key: \r\n", "Idempotency-Key: a b\r\n", "Idempotency-Key: \u{e9}\r\n"], dice)
        }
        1 => kind = pick(&["", "Content-Type: text/plain\r\n", "Content-Type: application/jsonp\r\n"], dice),
        2 => body = broken(dice),
        3 => body = vec![b' '; (257 << 10) + usize::try_from(dice.below(1_000)).expect("small")],
        4 => body = format!("{{\"nobody_knows_{}\": 1}}", dice.below(100)).into_bytes(),
        _ if operation.fields.is_empty() => body = pick(&["[]", "null", "7", "\"x\""], dice).as_bytes().to_vec(),
        _ => body = with_bad_value(operation, dice),
    }
    let head = format!("{}{authorised}{once}{kind}Content-Length: {}\r\n\r\n", start(&path), body.len());
    [head.into_bytes(), body].concat()
}

/// With things that are there, or with one that is not.
fn path(operation: &Operation, wrong: Option<&mut Dice>) -> String {
    let known = [
        ("account", "ann"),
        ("service", "web-1"),
        ("job", "end_trials"),
        ("run", "1"),
        ("key", "0123456789ab"),
        ("invoice", "INV-000001"),
        ("what", "t0"),
        ("list", "1"),
        ("month", "2020-01"),
    ];
    let mut path = operation.path.clone();
    if let Some(dice) = wrong {
        let (start, end) = (path.find('{').expect("a part"), path.find('}').expect("a part"));
        path.replace_range(start..=end, pick(&BAD_PARTS, dice));
    }
    for (name, value) in known {
        path = path.replace(&format!("{{{name}}}"), value);
    }
    assert!(!path.contains('{'), "no example for {path}");
    path
}

fn query(operation: &Operation, dice: &mut Dice) -> String {
    if operation.parameters.is_empty() || dice.below(3) == 0 {
        return format!("nobody_knows_{}={}", dice.below(100), pick(&BAD_QUERIES, dice));
    }
    format!("{}={}", one_of(&operation.parameters, dice), pick(&BAD_QUERIES, dice))
}

/// No JSON.
fn broken(dice: &mut Dice) -> Vec<u8> {
    match dice.below(5) {
        0 => b"{\"a\": ".to_vec(),
        1 => b"\xff\xfe{}".to_vec(),
        2 => "[".repeat(usize::try_from(dice.below(100_000) + 1).expect("small")).into_bytes(),
        3 => b"{} {}".to_vec(),
        _ => (0..dice.below(200) + 1).map(|_| u8::try_from(dice.below(256)).expect("a byte") | 0x80).collect(),
    }
}

/// One field of the operation's own has what it never takes, the others are not there.
fn with_bad_value(operation: &Operation, dice: &mut Dice) -> Vec<u8> {
    let field = one_of(&operation.fields, dice);
    let long = format!("\"{}\"", "n".repeat(100_000));
    let value = pick(&BAD_VALUES, dice);
    // An address has lines.
    let is_good = field == "address" && value.contains("\\n");
    let value = if is_good || dice.below(12) == 0 { long.as_str() } else { value };
    format!("{{\"{field}\": {value}}}").into_bytes()
}
