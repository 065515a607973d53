use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jobs::{Clock, Office, Stopwatch};
use providers::NoCards;
use rules::{Action, Micros, NewAccount, Timestamp};
use store::{Opening, RunState, Store};
use tokio::task::JoinHandle;

use super::*;
use crate::lookout::tests::run_of_nobody;

const WAIT_MAX: Duration = Duration::from_secs(20);

fn config(folder: &Path) -> Config {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/prices/vps.toml");
    let daily = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/prices/device-management.toml");
    Config {
        database: format!("sqlite:{}", folder.join("books.db").display()),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        price_files: vec![example, daily],
        ..Config::default()
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time")
}

async fn started(config: &Config, clock: &Clock) -> (Office, SocketAddr, JoinHandle<anyhow::Result<()>>) {
    let server = Server::start(config, Role::All, clock.clone(), Arc::new(NoCards)).await.expect("a server");
    let (office, address) = (server.office().clone(), server.address());
    (office, address, tokio::spawn(server.run()))
}

async fn stopped(office: &Office, serving: JoinHandle<anyhow::Result<()>>) {
    let took = Stopwatch::start();
    office.stop.ask();
    serving.await.expect("no panic").expect("a good end");
    assert!(took.elapsed() < Duration::from_secs(5), "{:?}", took.elapsed());
}

/// The status and the body of an answer.
async fn get(address: SocketAddr, path: &'static str) -> (u16, String) {
    let asked = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).expect("connected");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: bursar\r\nconnection: close\r\n\r\n").expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        answer
    });
    let answer = asked.await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}

/// Waits until `met` answers true.
async fn until(what: &str, met: impl AsyncFn() -> bool) {
    let waited = Stopwatch::start();
    while !met().await {
        assert!(waited.elapsed() < WAIT_MAX, "{what}: not within {WAIT_MAX:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn all_done(office: &Office) -> bool {
    let runs = office.store.runs(None, 50).await.expect("runs");
    !runs.is_empty() && runs.iter().all(|run| run.state == RunState::Done)
}

async fn instance(office: &Office, now: Timestamp) {
    let new = NewAccount { name: "ann".to_owned(), currency: None, trial: false, resume_on_deposit: false, card: None };
    let id = office.open_account(new, now).await.expect("an account");
    let (author, reason) = ("test".to_owned(), "test".to_owned());
    let bonus = Action::Adjust { amount: Micros::new(50_000_000), author, reason };
    let (service, plan) = ("ann-1".to_owned(), "acs-small".to_owned());
    let (quantities, options) = (BTreeMap::new(), BTreeSet::new());
    let order = Action::CreateService { service, plan, quantities, options };
    for action in [bonus, order] {
        office.act(id, &action, now).await.expect("no fault").expect("allowed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_off_a_midnight_and_answers_for_its_health() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let clock = Clock::simulated(at("2026-03-02T12:00:00Z"));
    let (office, address, serving) = started(&config, &clock).await;
    until("ready", async || get(address, "/readyz").await.0 == 200).await;
    assert_eq!(get(address, "/healthz").await, (200, "ok".to_owned()));
    let refused =
        Server::start(&config, Role::All, clock.clone(), Arc::new(NoCards)).await.err().expect("a second one");
    assert!(refused.to_string().contains("is served already"), "{refused}");

    instance(&office, clock.now()).await;
    let midnight = at("2026-03-03T00:00:00Z");
    clock.advance_to(midnight);
    until("the midnight", async || {
        let slot = office.store.last_slot("bill_instances").await.expect("a slot");
        slot == Some(midnight) && all_done(&office).await
    })
    .await;
    let days = office.store.ledger(None).await.expect("a ledger").iter().filter(|row| row.period.is_some()).count();
    assert_eq!(days, 2);
    // What the queue handed out is acknowledged: nothing comes again.
    assert_eq!(office.store.wakes_waiting().await.expect("a queue"), 0);
    office.stop.ask();
    stopped(&office, serving).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_with_problems_is_not_ready_and_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::simulated(at("2026-03-02T12:00:00Z"));
    let server = Server::start(&config(folder.path()), Role::All, clock, Arc::new(NoCards)).await.expect("a server");
    server.health.workers_run(true);
    assert_eq!(server.health.problems().await, ["the scheduler has not ticked yet"]);
    let busy = || jobs::JobError::Store(store::StoreError::Busy);
    server.health.ticked(&[("bill_instances", busy()), ("issue_invoices", busy())]);
    let problems = server.health.problems().await;
    let named = |what: &str| problems.iter().filter(|problem| problem.starts_with(what)).count();
    assert_eq!((problems.len(), named("bill_instances: "), named("issue_invoices: ")), (2, 1, 1), "{problems:?}");
    let (status, body) = get(server.address(), "/readyz").await;
    assert!(status == 503 && body.contains("bill_instances: the database is busy"), "{status} {body}");
    server.health.ticked(&[]);
    assert_eq!(get(server.address(), "/readyz").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_no_books_stays_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("books.db");
    std::fs::write(&path, "notes\n".repeat(1000)).expect("written");
    let clock = Clock::simulated(at("2026-03-02T12:00:00Z"));
    let refused =
        Server::start(&config(folder.path()), Role::All, clock, Arc::new(NoCards)).await.err().expect("no books");
    assert!(refused.to_string().contains("not a Bursar database"), "{refused}");
    let files = std::fs::read_dir(folder.path()).expect("a folder").map(|file| file.expect("a file").path());
    assert_eq!(files.collect::<Vec<_>>(), [path]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_after_a_long_silence_knows_of_the_outage_and_bills_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let clock = Clock::simulated(at("2026-03-02T12:00:00Z"));
    let (office, _, serving) = started(&config, &clock).await;
    instance(&office, clock.now()).await;
    until("the first runs", async || all_done(&office).await).await;
    stopped(&office, serving).await;

    clock.advance_to(at("2026-03-05T06:00:00Z"));
    let (office, _, serving) = started(&config, &clock).await;
    let outages = office.store.outages().await.expect("outages");
    assert_eq!(outages, [rules::Outage::new(at("2026-03-02T12:00:01Z"), at("2026-03-05T06:00:00Z"))]);
    until("the midnights", async || {
        let slot = office.store.last_slot("bill_instances").await.expect("a slot");
        slot == Some(at("2026-03-05T00:00:00Z")) && all_done(&office).await
    })
    .await;
    let days = office.store.ledger(None).await.expect("a ledger").iter().filter(|row| row.period.is_some()).count();
    assert_eq!(days, 4);
    stopped(&office, serving).await;
    // It let go of the books: anybody can open them.
    let store = Store::open(&config.database, Opening::beside()).await.expect("closed books");
    assert_eq!(store.verify(None, &config.policy).await.expect("verified"), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watchdog_sees_what_stands_still() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::simulated(at("2026-03-02T12:00:00Z"));
    let server = Server::start(&config(folder.path()), Role::All, clock, Arc::new(NoCards)).await.expect("a server");
    let (mut watched, rounds) = (server.watched(), server.rounds.clone());
    let round = || rounds.fetch_add(1, Ordering::SeqCst);
    assert_eq!(watched.hangs().await, Some("the scheduler finishes no round"));
    round();
    assert_eq!(watched.hangs().await, None);
    assert_eq!(watched.hangs().await, Some("the scheduler finishes no round"), "none since");
    // Nobody works here: a wake stays where it is.
    let wake = store::Wake { job: "bill_instances".to_owned(), run: None, slot: None, shard: None };
    server.office().store.wake(&[wake]).await.expect("pushed");
    round();
    assert_eq!(watched.hangs().await, Some("nobody takes the wakes that wait in the queue"));
    server.office().store.wakes_lose().await.expect("lost");
    assert_eq!(watched.hangs().await, None);
    // Books that are closed do not answer; an answer, whichever, is one.
    server.office().store.close().await;
    round();
    assert_eq!(watched.hangs().await, None, "a refusal is an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_counts_what_is_held_and_overdue() {
    let folder = tempfile::tempdir().expect("a folder");
    let noon = at("2026-03-02T12:00:00Z");
    let clock = Clock::simulated(noon);
    let server = Server::start(&config(folder.path()), Role::All, clock, Arc::new(NoCards)).await.expect("a server");
    let store = &server.office().store;
    let told = async |now: &str| status::of(store, at(now)).await.expect("a line");
    let next = "next run bill_instances at 2026-03-03T00:00:00Z";
    assert_eq!(told("2026-03-02T12:00:00Z").await, format!("{next}; 0 overdue; 0 held"));
    let new = run_of_nobody(noon);
    store.run_open(&new).await.expect("asked").expect("a run");
    let held = store::NewRun { job: "renew_services", held_for: Some("test"), ..new };
    store.run_open(&held).await.expect("asked").expect("a run");
    assert_eq!(told("2026-03-02T12:10:00Z").await, format!("{next}; 0 overdue; 1 held"));
    assert_eq!(told("2026-03-02T12:10:01Z").await, format!("{next}; 1 overdue; 1 held"));
}

/// Between the numbers and the accounts that fall due by them there is more than one transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_that_were_taken_and_cut_off_are_followed_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let clock = Clock::simulated(at("2026-03-02T12:00:00Z"));
    let server = Server::start(&config, Role::All, clock, Arc::new(NoCards)).await.expect("a server");
    let office = server.office().clone();
    let new = NewAccount { name: "tia".to_owned(), currency: None, trial: true, resume_on_deposit: false, card: None };
    office.open_account(new, office.clock.now()).await.expect("an account");
    let file = folder.path().join("bursar.toml");
    std::fs::write(&file, "database = \"sqlite:books.db\"\n[billing]\ntrial.days = 9\n").expect("written");
    let source = Source { file: Some(file), database_url: None, listen: Some(config.listen), metrics_listen: None };
    let mut reload = Reload::new(config, source, None, office.clone());

    office.store.cut_after(0);
    let reloaded = reload.reload().await.expect("the numbers are in the books");
    assert_eq!((reloaded.taken, reloaded.left), (vec!["billing"], vec![]));
    assert_eq!(office.policy().trial.days, 9);
    let followed = async || office.store.policy_keep(&office.policy(), office.clock.now()).await.expect("asked");
    assert!(!followed().await, "it was cut off before");
    reload.follow_up().await;
    assert!(followed().await);
}
