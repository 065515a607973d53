use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use providers::{CardScript, ScriptedCards};
use rules::{AccountId, Action, Micros, Mode, NewAccount, Outage, Plan, Policy, PriceList, Timestamp};
use store::{Opening, Run, RunState, Store};
use tempfile::TempDir;

use crate::{Clock, Office, Scheduler, ShardEnd, Ticked, job, work_run, work_shard};

const WORKER: &str = "serve";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time")
}

fn plan(mode: Mode) -> Plan {
    let (price, components, options) = (Micros::new(10_000_000), BTreeMap::new(), BTreeMap::new());
    Plan { mode, price, currency: None, term_months: 1, components, options, private: false }
}

fn plans() -> PriceList {
    [Mode::Daily, Mode::Term, Mode::Monthly].into_iter().map(|mode| (mode.name().to_owned(), plan(mode))).collect()
}

/// An office over a file of its own, on a clock that stands.
struct Bench {
    office: Office,
    cards: Arc<ScriptedCards>,
    _folder: TempDir,
}

impl Bench {
    async fn at(start: Timestamp) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("books.db").display());
        let store = Store::open(&url, Opening::scratch(start).with_queue("test")).await.expect("a store");
        store.queue_setup().await.expect("a queue");
        store.price_list_insert(&plans(), Timestamp::BEGINNING, "test", start).await.expect("a list");
        let cards = Arc::new(ScriptedCards::default());
        let office = Office::open(store, Clock::simulated(start), Policy::default(), cards.clone()).await;
        Self { office: office.expect("an office"), cards, _folder: folder }
    }

    fn now(&self) -> Timestamp {
        self.office.clock.now()
    }

    /// An account with a card, 100.00 in its wallet and a service of this mode.
    async fn customer(&self, name: &str, mode: Mode, amount: i64) -> AccountId {
        self.cards.script(name, CardScript::Succeeds);
        let card = Some((name.to_owned(), true));
        let new = NewAccount { name: name.to_owned(), currency: None, trial: false, resume_on_deposit: false, card };
        let id = self.office.open_account(new, self.now()).await.expect("an account");
        let (author, reason) = ("test".to_owned(), "test".to_owned());
        if amount > 0 {
            self.act(id, Action::Adjust { amount: Micros::new(amount * 1_000_000), author, reason }).await;
        }
        let (quantities, options) = (BTreeMap::new(), BTreeSet::new());
        let (service, plan) = (format!("{name}-service"), mode.name().to_owned());
        self.act(id, Action::CreateService { service, plan, quantities, options }).await;
        id
    }

    async fn act(&self, id: AccountId, action: Action) {
        self.office.act(id, &action, self.now()).await.expect("no fault").expect("allowed");
    }

    async fn tick(&self, scheduler: &mut Scheduler, now: Timestamp) -> Ticked {
        self.office.clock.advance_to(now);
        let ticked = scheduler.tick(&self.office, now).await;
        assert!(ticked.problems.is_empty(), "{:?}", ticked.problems);
        ticked
    }

    async fn finish(&self, runs: &[Run]) {
        for run in runs {
            work_run(&self.office, job(&run.job).expect("a job"), run, WORKER).await.expect("worked off");
        }
    }
}

fn names(runs: &[Run]) -> Vec<&str> {
    runs.iter().map(|run| run.job.as_str()).collect()
}

#[tokio::test]
async fn a_slot_is_opened_once_also_by_a_second_daemon() {
    let bench = Bench::at(at("2026-03-02T12:00:00Z")).await;
    let mut scheduler = Scheduler::new(WORKER, bench.now());
    let opened = bench.tick(&mut scheduler, bench.now()).await.opened;
    assert_eq!(names(&opened), ["bill_instances", "issue_invoices", "end_trials", "verify_books"]);
    bench.finish(&opened).await;

    let midnight = at("2026-03-03T00:00:00Z");
    assert!(bench.tick(&mut scheduler, midnight.plus_secs(-1)).await.opened.is_empty());
    let mut other = Scheduler::new("other", bench.now());
    let opened = bench.tick(&mut scheduler, midnight).await.opened;
    assert_eq!(names(&opened), ["bill_instances", "end_trials"]);
    assert!(opened.iter().all(|run| run.slot == Some(midnight)));
    assert!(bench.tick(&mut scheduler, midnight).await.opened.is_empty());
    assert!(bench.tick(&mut other, midnight).await.opened.is_empty());
}

#[tokio::test]
async fn after_a_silence_the_newest_slot_runs_and_covers_the_others() {
    let bench = Bench::at(at("2026-03-02T12:00:00Z")).await;
    let id = bench.customer("ann", Mode::Daily, 100).await;
    let opened = bench.tick(&mut Scheduler::new(WORKER, bench.now()), bench.now()).await.opened;
    bench.finish(&opened).await;

    let later = at("2026-03-05T09:00:00Z");
    let ticked = bench.tick(&mut Scheduler::new(WORKER, later), later).await;
    // All that was due at the second of the last sign of life is done.
    assert_eq!(ticked.outage, Some(Outage::new(at("2026-03-02T12:00:01Z"), later)));
    assert_eq!(bench.office.store.outages().await.expect("outages").len(), 1);
    bench.finish(&ticked.opened).await;
    let runs = bench.office.store.runs(Some("bill_instances"), 10).await.expect("runs");
    let newest = runs.iter().find(|run| run.slot == Some(at("2026-03-05T00:00:00Z"))).expect("the newest slot");
    for missed in ["2026-03-03T00:00:00Z", "2026-03-04T00:00:00Z"] {
        let run = runs.iter().find(|run| run.slot == Some(at(missed))).expect(missed);
        assert_eq!((run.state, run.covered_by), (RunState::Done, Some(newest.id)), "{missed}");
    }
    // Half of the first day, and three midnights.
    let periods = bench.office.store.ledger(Some(id)).await.expect("a ledger");
    assert_eq!(periods.iter().filter(|row| row.period.is_some()).count(), 4);
}

/// A daemon that dies between two heartbeats was alive while it settled: a card it tried then is not tried again.
#[tokio::test]
async fn what_was_settled_behind_the_last_heartbeat_lies_in_no_outage() {
    let bench = Bench::at(at("2026-03-31T23:59:50Z")).await;
    let ann = bench.customer("ann", Mode::Monthly, 0).await;
    bench.tick(&mut Scheduler::new(WORKER, bench.now()), bench.now()).await;
    let midnight = at("2026-04-01T00:00:00Z");
    bench.office.clock.advance_to(midnight);
    bench.office.settle_and_collect(&[ann], midnight).await.expect("settled");
    let later = at("2026-04-02T08:00:00Z");
    let ticked = bench.tick(&mut Scheduler::new(WORKER, later), later).await;
    assert_eq!(ticked.outage, Some(Outage::new(midnight.plus_secs(1), later)));
}

#[tokio::test]
async fn a_short_silence_is_no_outage() {
    let bench = Bench::at(at("2026-03-02T12:00:00Z")).await;
    bench.tick(&mut Scheduler::new(WORKER, bench.now()), bench.now()).await;
    let later = bench.now().plus_hours(12).plus_secs(-1);
    assert_eq!(bench.tick(&mut Scheduler::new(WORKER, later), later).await.outage, None);
    assert_eq!(bench.office.store.last_alive().await.expect("a heartbeat"), Some(later));
}

#[tokio::test]
async fn a_sweep_runs_only_when_something_is_due() {
    let bench = Bench::at(at("2026-03-02T12:00:30Z")).await;
    bench.customer("bob", Mode::Term, 100).await;
    let mut scheduler = Scheduler::new(WORKER, bench.now());
    let opened = bench.tick(&mut scheduler, bench.now()).await.opened;
    bench.finish(&opened).await;
    assert!(bench.tick(&mut scheduler, at("2026-03-02T12:01:00Z")).await.opened.is_empty());

    let opened = bench.tick(&mut scheduler, at("2026-04-02T12:00:00Z")).await.opened;
    bench.finish(&opened).await;
    assert!(!names(&opened).contains(&"renew_services"), "{opened:?}");
    let opened = bench.tick(&mut scheduler, at("2026-04-02T12:01:00Z")).await.opened;
    assert_eq!((names(&opened), opened[0].slot), (vec!["renew_services"], None));
    // While it is under way, there is no second one.
    assert!(bench.tick(&mut scheduler, at("2026-04-02T12:02:00Z")).await.opened.is_empty());
    bench.finish(&opened).await;
    assert!(bench.tick(&mut scheduler, at("2026-04-02T12:03:00Z")).await.opened.is_empty());
}

#[tokio::test]
async fn between_slots_a_tick_has_nothing_to_do() {
    let bench = Bench::at(at("2026-03-02T12:00:10Z")).await;
    let mut scheduler = Scheduler::new(WORKER, bench.now());
    let opened = bench.tick(&mut scheduler, bench.now()).await.opened;
    bench.finish(&opened).await;
    assert_eq!(scheduler.next(), at("2026-03-02T12:00:40Z"));
    let next = scheduler.next();
    bench.tick(&mut scheduler, next).await;
    assert_eq!(scheduler.next(), at("2026-03-02T12:01:00Z"));
}

#[tokio::test]
async fn wakes_that_were_lost_come_again() {
    let bench = Bench::at(at("2026-03-02T12:00:00Z")).await;
    bench.customer("ann", Mode::Daily, 100).await;
    let store = &bench.office.store;
    let mut scheduler = Scheduler::new(WORKER, bench.now());
    let opened = bench.tick(&mut scheduler, bench.now()).await.opened;
    bench.finish(&opened).await;
    let midnight = at("2026-03-03T00:00:00Z");
    bench.tick(&mut scheduler, midnight).await;
    let waiting = store.wakes_waiting().await.expect("a queue");

    // While wakes wait, there are no more of them; after a restart the queue is not trusted.
    assert_eq!(bench.tick(&mut scheduler, midnight.plus_secs(60)).await.woken, 0);
    assert_eq!(store.wakes_waiting().await.expect("a queue"), waiting);
    let again = bench.tick(&mut Scheduler::new(WORKER, bench.now()), bench.now()).await.woken;
    assert_eq!(again, 2);
}

#[tokio::test]
async fn a_restarted_daemon_takes_up_its_own_shards_and_waits_for_others() {
    let bench = Bench::at(at("2026-03-02T12:00:00Z")).await;
    bench.customer("ann", Mode::Daily, 100).await;
    let opened = bench.tick(&mut Scheduler::new(WORKER, bench.now()), bench.now()).await.opened;
    bench.finish(&opened[1..]).await;
    let run = opened[0].id;
    let until = bench.now().plus_secs(60);
    bench.office.store.shard_claim(run, 0, WORKER, bench.now(), until).await.expect("claimed");
    for (worker, after, woken) in [("other", 10, 0), (WORKER, 20, 1), ("other", 60, 1)] {
        let now = bench.now().midnight().plus_hours(12).plus_secs(after);
        let ticked = bench.tick(&mut Scheduler::new(worker, now), now).await;
        assert_eq!(ticked.woken, woken, "{worker} after {after} s");
    }
}

#[tokio::test]
async fn work_stops_between_batches_and_goes_on_at_the_next_wake() {
    let bench = Bench::at(at("2026-03-02T12:00:00Z")).await;
    bench.customer("ann", Mode::Daily, 100).await;
    let opened = bench.tick(&mut Scheduler::new(WORKER, bench.now()), bench.now()).await.opened;
    bench.finish(&opened).await;
    let midnight = at("2026-03-03T00:00:00Z");
    let opened = bench.tick(&mut Scheduler::new(WORKER, midnight), midnight).await.opened;
    let (run, bills) = (opened[0].id, job("bill_instances").expect("a job"));

    let mut stopping = bench.office.clone();
    stopping.stop = crate::Stop::default();
    stopping.stop.ask();
    let work = work_shard(&stopping, bills, run, 0, WORKER).await.expect("no fault");
    assert_eq!((work.end, work.tally.done), (ShardEnd::Stopped, 0));
    let work = work_shard(&bench.office, bills, run, 0, WORKER).await.expect("no fault");
    assert_eq!((work.end, work.tally.done), (ShardEnd::RunDone, 1));
    let work = work_shard(&bench.office, bills, run, 0, WORKER).await.expect("no fault");
    assert_eq!(work.end, ShardEnd::NotOurs);
}

#[tokio::test]
async fn a_nudge_collects_without_waiting_for_the_slot() {
    let bench = Bench::at(at("2026-03-31T23:00:00Z")).await;
    let id = bench.customer("cay", Mode::Monthly, 0).await;
    let opened = bench.tick(&mut Scheduler::new(WORKER, bench.now()), bench.now()).await.opened;
    bench.finish(&opened).await;
    let first = at("2026-04-01T00:00:00Z");
    let mut scheduler = Scheduler::new(WORKER, first);
    let opened = bench.tick(&mut scheduler, first).await.opened;
    bench.finish(&opened).await;
    assert!(names(&opened).contains(&"issue_invoices"));

    let soon = first.plus_secs(7);
    assert!(bench.tick(&mut scheduler, soon).await.opened.is_empty());
    scheduler.nudge();
    let opened = bench.tick(&mut scheduler, soon).await.opened;
    assert_eq!(names(&opened), ["collect_payments"]);
    bench.finish(&opened).await;
    let invoices = bench.office.store.invoices(Some(id)).await.expect("invoices");
    assert!(invoices.iter().all(|invoice| invoice.paid_at == Some(first)), "{invoices:?}");
    assert!(bench.tick(&mut scheduler, soon.plus_secs(1)).await.opened.is_empty());
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_silence_the_jobs() {
    let bench = Bench::at(at("2026-03-02T12:00:00Z")).await;
    let mut scheduler = Scheduler::new(WORKER, bench.now());
    bench.tick(&mut scheduler, at("2098-03-02T12:00:00Z")).await;
    bench.tick(&mut scheduler, at("2026-03-02T12:00:10Z")).await;
    assert_eq!(scheduler.next(), at("2026-03-02T12:00:40Z"));
}

#[tokio::test]
async fn a_parked_account_is_tried_again_before_its_jobs_next_slot() {
    let bench = Bench::at(at("2026-03-02T12:00:00Z")).await;
    let id = bench.customer("ann", Mode::Daily, 100).await;
    let (store, midnight) = (&bench.office.store, at("2026-03-03T00:00:00Z"));
    let periods = async || {
        let ledger = store.ledger(Some(id)).await.expect("a ledger");
        ledger.iter().filter(|row| row.period.is_some()).count()
    };
    let mut scheduler = Scheduler::new(WORKER, bench.now());
    let opened = bench.tick(&mut scheduler, bench.now()).await.opened;
    bench.finish(&opened).await;
    store.park(id, "a fault that passes", midnight, midnight.plus_secs(60)).await.expect("parked");
    let opened = bench.tick(&mut scheduler, midnight).await.opened;
    bench.finish(&opened).await;
    assert_eq!(periods().await, 1);

    assert_eq!(bench.tick(&mut scheduler, midnight.plus_secs(59)).await.retried, 0);
    assert_eq!(bench.tick(&mut scheduler, midnight.plus_secs(120)).await.retried, 1);
    assert_eq!((periods().await, store.parked().await.expect("a list").len()), (2, 0));
}
