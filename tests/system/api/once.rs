//! Each change once, whoever asks again and whoever dies.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::Host;
use crate::support::dice::Dice;

const ADJUST: &str = "/v1/accounts/ann/adjustments";

#[test]
fn the_same_request_gets_the_first_answer_again() {
    let host = Host::on_sqlite();
    host.customer("ann", "50.00");
    let bonus = r#"{"amount": "1.00", "reason": "a bonus"}"#;
    let first = host.api.post_as(ADJUST, "one", bonus);
    assert_eq!((first.status, first.is_replay()), (201, false));
    host.api.done(ADJUST, bonus);
    let again = host.api.post_as(ADJUST, "one", bonus);
    assert_eq!((again.status, again.is_replay(), &again.body), (201, true, &first.body));
    // Another body, another path, and a key of somebody else.
    let other = host.api.post_as(ADJUST, "one", r#"{"amount": "2.00", "reason": "a bonus"}"#);
    assert_eq!((other.status, other.code().as_str()), (422, "idempotency_key_reused"));
    let elsewhere = host.api.post_as("/v1/accounts/ann/suspend", "one", "{}");
    assert_eq!((elsewhere.status, elsewhere.code().as_str()), (422, "idempotency_key_reused"));
    let second = host.api.with(&host.key("admin"));
    assert_eq!(second.post_as(ADJUST, "one", bonus).status, 201);
    // What was refused is refused again, though it would be done by now.
    let large = r#"{"amount": "-60.00", "reason": "a repair"}"#;
    let refused = host.api.post_as(ADJUST, "two", large);
    assert_eq!((refused.status, refused.code().as_str()), (409, "insufficient_funds"));
    host.api.done("/v1/accounts/ann/deposits", r#"{"amount": "50.00", "reference": "more"}"#);
    let again = host.api.post_as(ADJUST, "two", large);
    assert_eq!((again.status, &again.body), (409, &refused.body));
    let wallet = host.api.get("/v1/accounts/ann").json()["wallet"].clone();
    assert_eq!(wallet, json!("103.000000"));
    let missing = host.api.post_as(ADJUST, "", bonus);
    assert_eq!((missing.status, missing.code().as_str()), (400, "idempotency_key_required"));
    host.verified();
}

#[test]
fn many_at_once_on_postgres_do_it_once() {
    let host = Host::on_postgres();
    host.customer("ann", "50.00");
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let reply = host.api.post_as(ADJUST, "one", r#"{"amount": "1.00", "reason": "a bonus"}"#);
                done.lock().expect("the list").push(reply);
            });
        }
    });
    let done = done.into_inner().expect("the list");
    let bodies: Vec<&str> = done.iter().filter(|reply| reply.status == 201).map(|reply| reply.body.as_str()).collect();
    assert!(!bodies.is_empty() && bodies.iter().all(|body| *body == bodies[0]), "{done:?}");
    assert!(done.iter().all(|reply| reply.status == 201 || reply.code() == "request_in_progress"), "{done:?}");
    assert_eq!(host.api.get("/v1/accounts/ann").json()["wallet"], json!("51.000000"));
}

/// The daemon is killed again and again; who asks goes on with the same key until there is an answer.
#[test]
fn a_request_is_done_once_though_the_daemon_dies() {
    let mut host = Host::on_sqlite();
    host.customer("ann", "50.00");
    let (mut dice, mut killed) = (Dice::of_today(), 0);
    for number in 0..40 {
        let once = format!("bonus-{number}");
        for attempt in 0.. {
            let (api, wait) = (host.api.clone(), Duration::from_micros(dice.below(12_000)));
            let strikes = attempt == 0 && number % 3 == 0;
            let asked = thread::spawn({
                let once = once.clone();
                move || api.try_post(ADJUST, &once, r#"{"amount": "1.00", "reason": "a bonus"}"#)
            });
            if strikes {
                thread::sleep(wait);
                host.daemon.take().expect("it runs").kill();
            }
            let answer = asked.join().expect("asked");
            if strikes {
                killed += 1;
                host.start();
            }
            match answer {
                Some(reply) => {
                    assert_eq!(reply.status, 201, "{reply:?}");
                    break;
                }
                None => assert!(strikes, "no answer from a daemon that lives"),
            }
        }
    }
    assert_eq!(killed, 14);
    assert_eq!(host.api.get("/v1/accounts/ann").json()["wallet"], json!("90.000000"));
    host.settled();
    let audit = host.api.get("/v1/audit?limit=1000").json();
    let bonuses = audit["entries"].as_array().expect("entries").iter().filter(|row| row["action"] == json!("adjust"));
    assert_eq!(bonuses.count(), 40);
    host.verified();
}

/// A burst of payments by many clients, who ask again with the same keys when the daemon dies under them.
fn deposits_that_come_together(mut host: Host) {
    const ACCOUNTS: usize = 5;
    const CLIENTS: usize = 12;
    const EACH: usize = 10;
    for account in 0..ACCOUNTS {
        host.customer(&format!("acc-{account}"), "10.00");
    }
    let answers = Mutex::new(Vec::new());
    let mut left: Vec<(usize, usize)> =
        (0..CLIENTS).flat_map(|client| (0..EACH).map(move |number| (client, number))).collect();
    let mut dice = Dice::of_today();
    for round in 0.. {
        let (broken, api) = (Mutex::new(Vec::new()), host.api.clone());
        let daemon = Mutex::new(host.daemon.take());
        let wait = Duration::from_millis(20 + dice.below(150));
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (api, left, broken, answers) = (&api, &left, &broken, &answers);
                scope.spawn(move || {
                    for (_, number) in left.iter().filter(|(of, _)| *of == client) {
                        let (payment, account) = (format!("p-{client}-{number}"), (client + number) % ACCOUNTS);
                        let body = format!(r#"{{"amount": "1.25", "reference": "{payment}"}}"#);
                        match api.try_post(&format!("/v1/accounts/acc-{account}/deposits"), &payment, &body) {
                            Some(reply) => answers.lock().expect("the list").push((payment, body, account, reply)),
                            None => broken.lock().expect("the list").push((client, *number)),
                        }
                    }
                });
            }
            if round < 3 {
                thread::sleep(wait);
                daemon.lock().expect("it").take().expect("it runs").kill();
            }
        });
        host.daemon = daemon.into_inner().expect("it");
        left = broken.into_inner().expect("the list");
        if left.is_empty() {
            break;
        }
        host.start();
    }
    let answers = answers.into_inner().expect("the list");
    assert_eq!(answers.len(), CLIENTS * EACH);
    if host.daemon.is_none() {
        host.start();
    }
    for (payment, body, account, reply) in &answers {
        assert_eq!((reply.status, &reply.json()["reference"]), (201, &json!(payment)), "{reply:?}");
        let again = host.api.post_as(&format!("/v1/accounts/acc-{account}/deposits"), payment, body);
        assert_eq!((again.status, again.is_replay(), &again.body), (201, true, &reply.body));
    }
    for account in 0..ACCOUNTS {
        assert_eq!(host.api.get(&format!("/v1/accounts/acc-{account}")).json()["wallet"], json!("40.000000"));
    }
    host.settled();
    let audit = host.api.get("/v1/audit?limit=1000").json();
    let logged = audit["entries"].as_array().expect("entries").iter().filter(|row| row["action"] == json!("deposit"));
    assert_eq!(logged.count(), ACCOUNTS + CLIENTS * EACH);
    host.verified();
}

#[test]
fn deposits_that_come_together_are_each_booked_once_on_sqlite() {
    deposits_that_come_together(Host::on_sqlite());
}

#[test]
fn deposits_that_come_together_are_each_booked_once_on_postgres() {
    deposits_that_come_together(Host::on_postgres());
}

/// What could not be written is not answered as done, though the rules had nothing against it.
#[test]
fn what_was_not_written_is_not_told_as_done() {
    for host in [Host::on_sqlite(), Host::on_postgres()] {
        for name in ["ann", "bob"] {
            host.customer(name, "50.00");
        }
        let order = r#"{"service": "web", "plan": "acs-small"}"#;
        host.api.done("/v1/accounts/bob/services", order);
        for _ in 0..2 {
            let taken = host.api.post_as("/v1/accounts/ann/services", "one", order);
            assert_eq!((taken.status, taken.code().as_str()), (409, "name_taken"));
        }
        assert_eq!(host.api.get("/v1/accounts/ann").json()["wallet"], json!("50.000000"));
        // What cannot be cancelled cannot be a second time either.
        let run = host.api.done("/v1/jobs/end_trials/runs", "{}")["run"].as_i64().expect("a run");
        crate::support::program::wait_until("it is over", || {
            host.api.get(&format!("/v1/runs/{run}")).json()["state"] == json!("done")
        });
        for _ in 0..2 {
            let refused = host.api.post_as(&format!("/v1/runs/{run}/cancel"), "two", r#"{"reason": "x"}"#);
            assert_eq!((refused.status, refused.code().as_str()), (409, "invalid_state"));
        }
        host.verified();
    }
}

/// Who hangs up does not stop what was begun.
#[test]
fn a_request_goes_on_without_whoever_asked() {
    use std::io::Write as _;

    let host = Host::on_sqlite();
    host.customer("ann", "50.00");
    let body = |number: u32| format!(r#"{{"amount": "1.00", "reference": "gone-{number}"}}"#);
    for number in 0..20 {
        let (key, body) = (host.api.key.as_deref().expect("a key"), body(number));
        let request = format!(
            "POST /v1/accounts/ann/deposits HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer {key}\r\nIdempotency-Key: \
            gone-{number}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = std::net::TcpStream::connect(host.api.address).expect("a connection");
        stream.write_all(request.as_bytes()).expect("sent");
    }
    for number in 0..20 {
        let mut status = 0;
        crate::support::program::wait_until("it is answered", || {
            let once = format!("gone-{number}");
            status = host.api.post_as("/v1/accounts/ann/deposits", &once, &body(number)).status;
            status != 409
        });
        assert_eq!(status, 201);
    }
    assert_eq!(host.api.get("/v1/accounts/ann").json()["wallet"], json!("70.000000"));
    host.verified();
}
