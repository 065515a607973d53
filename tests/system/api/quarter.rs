//! A quarter of a host: played through the API, with a clock that goes where it is told, it comes to the same books as
//! in the simulator. What a payment provider does with saved cards is scripted, as there.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use bursar::http::secrets::Secret;
use bursar::http::{self, Face};
use bursar::input::{Scenario, ScriptedCard, Verb};
use bursar::simulate::Outcome;
use jobs::{Clock, Office};
use providers::{CardScript, ScriptedCards};
use rules::{AccountId, Action, NewAccount};
use serde_json::{Map, Value, json};
use store::{KeyScope, NewKey, Opening, Store};
use tokio::runtime::Runtime;

use crate::support::http::Api;
use crate::support::program::repository;
use crate::support::scenarios::{expected, same};
use crate::support::servers::new_database;

#[test]
fn a_quarter_through_the_api_comes_to_the_same_books_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    play(&format!("sqlite:{}", folder.path().join("books.db").display()));
}

#[test]
fn a_quarter_through_the_api_comes_to_the_same_books_on_postgres() {
    play(&new_database());
}

/// The books, and what serves them.
struct Host {
    runtime: Runtime,
    office: Office,
    cards: Arc<ScriptedCards>,
    api: Api,
}

impl Host {
    fn new(url: &str, scenario: &Scenario) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let start = scenario.timeline.first().expect("an entry").at;
        let cards = Arc::new(ScriptedCards::default());
        let (office, address, key) = runtime.block_on(async {
            let store = Store::open(url, Opening::serving(start)).await.expect("new books");
            let clock = Clock::simulated(start);
            let office = Office::open(store, clock, scenario.policy.clone(), cards.clone()).await.expect("an office");
            office.adopt(&scenario.policy).await.expect("adopted");
            let key = key(&office).await;
            (office.clone(), listen(&office).await, key)
        });
        Self { runtime, office, cards, api: Api { address, key: Some(key), from: None } }
    }

    /// Somebody is alive all the time, and nothing is done but by requests.
    fn go_to(&self, at: rules::Timestamp) {
        self.office.clock.advance_to(at);
        self.runtime.block_on(self.office.store.heartbeat(at)).expect("written");
    }

    fn account(&self, name: &str) -> AccountId {
        self.runtime.block_on(self.office.store.account_id(name)).expect("readable").expect("the account")
    }

    fn script(&self, account: &str, script: ScriptedCard) {
        let script = match script {
            ScriptedCard::Succeeds => CardScript::Succeeds,
            ScriptedCard::Fails => CardScript::Fails,
        };
        self.cards.script(account, script);
    }

    /// What a provider and its customer do with a card.
    fn card(&self, name: &str, card: Option<ScriptedCard>, at: rules::Timestamp) {
        let id = self.account(name);
        self.runtime.block_on(self.office.settle_and_collect(&[id], at)).expect("settled");
        let act = |action: Action| {
            self.runtime.block_on(self.office.act(id, &action, at)).expect("decided").expect("not refused");
        };
        let Some(card) = card else { return act(Action::RemoveCard) };
        self.script(name, card);
        let loaded = self.runtime.block_on(self.office.store.accounts_load(&[id], store::Scope::Unfinished));
        let account = loaded.expect("readable").pop().expect("the account").expect("readable");
        if account.card.is_none() {
            let authorised = self.runtime.block_on(self.office.authorise(name)).expect("answered");
            act(Action::SaveCard { card: name.to_owned(), authorised });
        }
    }

    fn open_with_card(&self, name: &str, card: ScriptedCard, given: &Value, at: rules::Timestamp) {
        self.script(name, card);
        let is = |key: &str| given[key].as_bool().unwrap_or(false);
        let currency = given["currency"].as_str().map(|code| rules::Currency::parse(code).expect("a currency"));
        let authorised = self.runtime.block_on(self.office.authorise(name)).expect("answered");
        let new = NewAccount {
            name: name.to_owned(),
            currency,
            trial: is("trial"),
            resume_on_deposit: is("resume_on_deposit"),
            card: Some((name.to_owned(), authorised)),
        };
        self.runtime.block_on(self.office.open_account(new, at)).expect("opened");
    }
}

impl Host {
    /// Among others and twice, as from a sender who had no answer: it is booked once.
    fn report(&self, number: usize, entry: &Value) {
        let report =
            json!({ "service": entry["service"], "component": entry["component"], "quantity": entry["quantity"] });
        let mut unknown = report.clone();
        unknown["service"] = json!("nowhere");
        let body = json!({ "reports": [report, unknown] }).to_string();
        for _ in 0..2 {
            let reply = self.api.post_as("/v1/usage", &format!("usage-{number}"), &body);
            let told = reply.json();
            assert_eq!((reply.status, &told["booked"]), (200, &json!(1)), "{reply:?}");
            assert_eq!((&told["results"][0]["status"], &told["results"][0]["problem"]), (&json!(200), &Value::Null));
            assert_eq!(told["results"][1]["problem"]["code"], json!("not_found"));
        }
        let other = body.replacen("nowhere", "elsewhere", 1);
        let reply = self.api.post_as("/v1/usage", &format!("usage-{number}"), &other);
        assert_eq!((reply.status, reply.code().as_str()), (422, "idempotency_key_reused"));
    }
}

async fn key(office: &Office) -> String {
    let secret = Secret::fresh().expect("random bytes");
    let key = NewKey {
        prefix: &secret.prefix,
        digest: &secret.digest,
        name: "panel",
        scope: KeyScope::Admin,
        account: None,
        made_by: None,
        created_by: "test",
        expires_at: None,
    };
    office.store.key_insert(&key, office.clock.now()).await.expect("made");
    secret.text
}

async fn listen(office: &Office) -> SocketAddr {
    let face = Face::open(office.clone(), Vec::new()).await.expect("a face");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(http::serve(listener, http::router(&face)));
    address
}

fn play(url: &str) {
    let path = repository().join("tests/scenarios/quarter.json");
    let scenario = Scenario::read(&path).expect("a scenario");
    let written: Value = serde_json::from_str(&fs::read_to_string(&path).expect("a text")).expect("JSON");
    let host = Host::new(url, &scenario);
    host.go_to(scenario.timeline[0].at);
    host.api.done("/v1/price-lists", &json!({ "plans": written["plans"] }).to_string());
    let entries = written["timeline"].as_array().expect("a list");
    for entry in entries.iter().filter(|entry| entry["do"] == json!("set_prices")) {
        let list = json!({ "plans": entry["plans"], "effective_at": entry["at"] });
        host.api.done("/v1/price-lists", &list.to_string());
    }
    let mut refused = Vec::new();
    for (index, (entry, read)) in entries.iter().zip(&scenario.timeline).enumerate() {
        host.go_to(read.at);
        match &read.verb {
            Verb::SetPrices(_) => {}
            Verb::Card { account, card, .. } => host.card(account, *card, read.at),
            Verb::OpenAccount { account, card: Some(card), .. } => {
                host.open_with_card(account, *card, entry, read.at);
            }
            Verb::Act { action: Action::Usage { .. }, .. } => host.report(index + 1, entry),
            _ => {
                let (path, body) = request(index + 1, entry);
                let reply = host.api.post(&path, &body);
                if reply.status == 409 {
                    refused.push(json!({ "entry": index + 1, "error": reply.code() }));
                } else {
                    assert!((200..300).contains(&reply.status), "{path} {body}: {reply:?}");
                }
            }
        }
    }
    host.go_to(scenario.until);
    let accounts: Vec<AccountId> =
        scenario.timeline.iter().filter_map(|entry| opened(&entry.verb)).map(|name| host.account(name)).collect();
    let office = &host.office;
    let outcome = host.runtime.block_on(async {
        office.settle_and_collect(&accounts, scenario.until).await.expect("settled");
        let broken = office.store.verify(None, &scenario.policy).await.expect("verified");
        assert_eq!(broken, []);
        Outcome::read(office, Vec::new()).await.expect("readable").to_json().expect("JSON")
    });
    let mut outcome: Value = serde_json::from_str(&outcome).expect("JSON");
    outcome["refused"] = Value::from(refused);
    let expected = fs::read_to_string(expected(&path)).expect("what is expected");
    let expected: Value = serde_json::from_str(&expected).expect("JSON");
    assert_eq!(same(&format!("{outcome:#}"), &format!("{expected:#}")), Ok(()));
}

fn opened(verb: &Verb) -> Option<&str> {
    match verb {
        Verb::OpenAccount { account, .. } => Some(account),
        _ => None,
    }
}

/// The path and the body that an entry of a timeline is over HTTP.
fn request(number: usize, entry: &Value) -> (String, String) {
    let text = |key: &str| entry[key].as_str().expect("a text");
    let mut body: Map<String, Value> = entry.as_object().expect("a table").clone();
    for key in ["at", "do", "account"] {
        body.remove(key);
    }
    let path = match text("do") {
        "open_account" => {
            body.insert("name".to_owned(), entry["account"].clone());
            "/v1/accounts".to_owned()
        }
        "deposit" => {
            body.insert("reference".to_owned(), json!(format!("entry-{number}")));
            format!("/v1/accounts/{}/deposits", text("account"))
        }
        "create_service" => format!("/v1/accounts/{}/services", text("account")),
        action => {
            body.remove("service");
            format!("/v1/services/{}/{action}", text("service"))
        }
    };
    (path, Value::from(body).to_string())
}
