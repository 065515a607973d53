//! Runs, shards, the queue, and what holds for all accounts.

use rules::{AccountId, DueKind, Outage, PriceList, Timestamp, TransferKind};
use store::{
    Commit, Counts, Moved, NewRun, Opening, Outcome, RunEnd, RunState, ShardProgress, ShardState, Store, StoreError,
};

use crate::books::{Books, NOTHING_DUE, NOW, STAMP, book, changes, units};

const SHARDS: [(AccountId, AccountId); 2] = [(AccountId(1), AccountId(50)), (AccountId(51), AccountId(100))];

fn midnight(days: u32) -> Timestamp {
    NOW.midnight().plus_days(days)
}

fn new_run<'a>(slot: Option<Timestamp>, covered: &'a [Timestamp]) -> NewRun<'a> {
    NewRun {
        job: "bill_instances",
        due_kind: Some(DueKind::Daily),
        slot,
        asked_by: "schedule",
        starts_at: NOW,
        retry_of: None,
        one_at_a_time: false,
        covered,
        preview: None,
        held_for: None,
        shards: &SHARDS,
        total: 100,
        now: NOW,
    }
}

#[tokio::test]
async fn a_slot_is_opened_once_and_covers_what_was_missed() {
    let books = Books::new().await;
    let store = &books.store;
    assert_eq!(store.last_slot("bill_instances").await.expect("slot"), None);
    let first = store.run_open(&new_run(Some(midnight(0)), &[])).await.expect("open").expect("a run");
    assert_eq!((first.state, first.total, first.slot), (RunState::Queued, 100, Some(midnight(0))));
    assert_eq!(store.run_open(&new_run(Some(midnight(0)), &[])).await.expect("open"), None);
    // The covered slots include one that has a run of its own.
    let covered = [midnight(0), midnight(1), midnight(2)];
    let caught_up = store.run_open(&new_run(Some(midnight(3)), &covered)).await.expect("open").expect("a run");
    assert_eq!(store.last_slot("bill_instances").await.expect("slot"), Some(midnight(3)));
    let runs = store.runs(Some("bill_instances"), 10).await.expect("runs");
    let mut slots: Vec<_> = runs.iter().map(|run| (run.slot, run.state, run.covered_by)).collect();
    slots.sort_by_key(|(slot, ..)| *slot);
    assert_eq!(
        slots,
        [
            (Some(midnight(0)), RunState::Queued, None),
            (Some(midnight(1)), RunState::Done, Some(caught_up.id)),
            (Some(midnight(2)), RunState::Done, Some(caught_up.id)),
            (Some(midnight(3)), RunState::Queued, None),
        ]
    );
    // Without a slot there is no limit.
    for _ in 0..2 {
        assert!(store.run_open(&new_run(None, &[])).await.expect("open").is_some());
    }
    assert_eq!(store.runs_unfinished().await.expect("runs").len(), 4);
    assert_eq!(store.runs(None, 3).await.expect("runs").len(), 3);
}

#[tokio::test]
async fn shards_are_claimed_advanced_and_summed_up() {
    let books = Books::new().await;
    let store = &books.store;
    let run = store.run_open(&new_run(None, &[])).await.expect("open").expect("a run").id;
    store.run_start(run, NOW).await.expect("start");
    let until = NOW.plus_secs(30);
    let shard = store.shard_claim(run, 0, "w1", NOW, until).await.expect("claim").expect("free");
    assert_eq!((shard.first, shard.last, shard.up_to), (AccountId(1), AccountId(50), AccountId(0)));
    assert_eq!(store.shard_claim(run, 0, "w2", NOW.plus_secs(29), until).await.expect("claim"), None);
    assert!(store.shard_claim(run, 0, "w1", NOW.plus_secs(29), until).await.expect("claim").is_some());
    let over = store.shard_claim(run, 0, "w2", until, until.plus_secs(30)).await.expect("claim").expect("lapsed");
    assert_eq!(over.claimed_by.as_deref(), Some("w2"));
    // It is let go of by whom it belongs to, and anybody's then.
    store.shard_release(run, 0, "w1").await.expect("not its own");
    assert_eq!(store.shards(run).await.expect("shards")[0].claimed_by.as_deref(), Some("w2"));
    store.shard_release(run, 0, "w2").await.expect("its own");
    assert_eq!(store.shards(run).await.expect("shards")[0].claimed_until, None);
    assert!(store.shard_claim(run, 0, "w2", until, until.plus_secs(30)).await.expect("claim").is_some());

    let mut progress = ShardProgress {
        run,
        shard: 0,
        worker: "w2".to_owned(),
        up_to: AccountId(20),
        done: 20,
        moved: Moved::from([("USD".to_owned(), units(5))]),
        counts: Counts::from([("period".to_owned(), 7)]),
        claimed_until: None,
    };
    assert_eq!(store.commit(&[], STAMP, Some(&progress)).await.expect("commit"), []);
    let shard = store.shards(run).await.expect("shards").remove(0);
    assert_eq!((shard.up_to, shard.done, &shard.counts), (AccountId(20), 20, &progress.counts));
    progress.shard = 1;
    store.shard_claim(run, 1, "w2", NOW, until).await.expect("claim").expect("free");
    store.commit(&[], STAMP, Some(&progress)).await.expect("commit");
    progress.shard = 2;
    assert!(store.commit(&[], STAMP, Some(&progress)).await.is_err());
    // Who lost its claim writes nothing any more, neither progress nor what it decided.
    let account = books.open_account("ann").await;
    let mut changes = changes(account.clone());
    book(&mut changes, TransferKind::Deposit, units(1));
    let batch = [Commit { changes, due: NOTHING_DUE }];
    let lost = ShardProgress { shard: 0, worker: "w1".to_owned(), done: 77, ..progress.clone() };
    let refused = store.commit(&batch, STAMP, Some(&lost)).await.expect_err("lost");
    assert!(matches!(refused, StoreError::ClaimLost { shard: 0, .. }), "{refused}");
    assert_eq!(books.load(account.id).await, account);
    store.shard_finish(&lost, NOW).await.expect("not its own");
    assert_eq!(store.shards(run).await.expect("shards").remove(0).done, 20);

    progress = ShardProgress { shard: 0, ..progress };
    assert_eq!(store.shard_finish(&progress, NOW).await.expect("finish"), 1);
    let late = ShardProgress { done: 99, ..progress.clone() };
    assert_eq!(store.shard_finish(&late, NOW.plus_secs(1)).await.expect("again"), 1);
    assert_eq!(store.shard_claim(run, 0, "w3", until.plus_days(1), until.plus_days(2)).await.expect("claim"), None);
    // With the last shard's final sums the run ends, in the same transaction.
    progress = ShardProgress { shard: 1, done: 25, ..progress };
    assert_eq!(store.shard_finish(&progress, NOW.plus_secs(9)).await.expect("finish"), 0);
    assert_eq!(store.shard_finish(&progress, NOW.plus_secs(10)).await.expect("again"), 0);
    assert!(store.shards(run).await.expect("shards").iter().all(|shard| shard.state == ShardState::Done));
    let run = store.run(run).await.expect("run").expect("there");
    assert_eq!((run.state, run.done, run.finished_at), (RunState::Done, 45, Some(NOW.plus_secs(9))));
    assert_eq!((run.moved["USD"], run.counts["period"]), (units(10), 14));
    assert!(store.run_finish(run.id, RunEnd::Failed("late"), NOW).await.is_err());
}

/// Two daemons, of which one's clock is ahead, find the same work due at once.
#[tokio::test]
async fn a_sweep_is_opened_once_whatever_the_clocks_say() {
    let books = Books::new().await;
    let store = &books.store;
    let sweep = |ahead| NewRun {
        one_at_a_time: true,
        starts_at: NOW.plus_secs(ahead),
        now: NOW.plus_secs(ahead),
        ..new_run(None, &[])
    };
    // What an admin wants later is not in its way.
    let later = NewRun { asked_by: "cli:ann", starts_at: NOW.plus_days(1), ..new_run(None, &[]) };
    store.run_open(&later).await.expect("open").expect("a run");
    let (ahead, behind) = (sweep(5), sweep(0));
    let (one, other) = tokio::join!(store.run_open(&ahead), store.run_open(&behind));
    let opened: Vec<_> = [one, other].into_iter().filter_map(|run| run.expect("open")).collect();
    let [run] = opened.as_slice() else { panic!("{opened:?}") };
    assert_eq!(store.run_open(&behind).await.expect("open"), None);
    store.run_finish(run.id, RunEnd::Failed("it broke"), NOW).await.expect("finish");
    assert!(store.run_open(&behind).await.expect("open").is_some());
}

/// As programs did that wrote the run's end by itself.
#[tokio::test]
async fn a_run_left_by_its_last_shard_is_healed() {
    let books = Books::new().await;
    let store = &books.store;
    let run = store.run_open(&new_run(None, &[])).await.expect("open").expect("a run").id;
    store.run_start(run, NOW).await.expect("start");
    assert_eq!(store.runs_heal(NOW).await.expect("heal"), 0);
    books.tamper("update run_shards set state = 'done', finished_at = 1, done = 3").await;
    assert_eq!(store.runs_heal(NOW).await.expect("heal"), 1);
    assert_eq!(store.runs_heal(NOW).await.expect("again"), 0);
    let run = store.run(run).await.expect("run").expect("there");
    assert_eq!((run.state, run.done, run.finished_at), (RunState::Done, 6, Some(NOW)));
}

#[tokio::test]
async fn a_run_may_fail() {
    let books = Books::new().await;
    let store = &books.store;
    let run = store.run_open(&new_run(Some(midnight(0)), &[])).await.expect("open").expect("a run").id;
    store.run_start(run, NOW).await.expect("start");
    store.run_finish(run, RunEnd::Failed("it broke"), NOW).await.expect("finish");
    let run = store.run(run).await.expect("run").expect("there");
    assert_eq!((run.state, run.error.as_deref()), (RunState::Failed, Some("it broke")));
    assert!(store.run_start(run.id, NOW).await.is_err());
}

/// The newest run that ended by itself says how a job does; a slot that another one's run covers says nothing.
#[tokio::test]
async fn the_newest_end_and_the_last_success_are_known() {
    let books = Books::new().await;
    let store = &books.store;
    let known = async || {
        let ended = store.newest_ended("bill_instances").await.expect("readable").map(|run| (run.id, run.state));
        (ended, store.last_success("bill_instances").await.expect("readable"))
    };
    let covered = [midnight(0), midnight(1)];
    let run = store.run_open(&new_run(Some(midnight(2)), &covered)).await.expect("open").expect("a run").id;
    assert_eq!(known().await, (None, None));
    store.run_finish(run, RunEnd::Failed("it broke"), NOW).await.expect("finish");
    assert_eq!(known().await, (Some((run, RunState::Failed)), None));
    let again = store.run_open(&new_run(None, &[])).await.expect("open").expect("a run").id;
    assert_eq!(known().await.0, Some((run, RunState::Failed)));
    store.run_finish(again, RunEnd::Done, NOW.plus_secs(9)).await.expect("finish");
    assert_eq!(known().await, (Some((again, RunState::Done)), Some(NOW.plus_secs(9))));
    let failing = store.run_open(&new_run(None, &[])).await.expect("open").expect("a run").id;
    store.run_finish(failing, RunEnd::Failed("it broke"), NOW.plus_secs(60)).await.expect("finish");
    assert_eq!(known().await, (Some((failing, RunState::Failed)), Some(NOW.plus_secs(9))));
    assert_eq!(store.newest_ended("verify_books").await.expect("readable"), None);
}

#[tokio::test]
async fn a_wake_goes_with_its_run() {
    let books = Books::new().await;
    books.store.queue_setup().await.expect("setup");
    books.store.queue_setup().await.expect("again");
    let store = Store::open(&books.url(), Opening::beside().with_queue("jobs")).await.expect("open");
    store.run_open(&new_run(Some(midnight(0)), &[])).await.expect("open").expect("a run");
    assert_eq!(store.run_open(&new_run(Some(midnight(0)), &[])).await.expect("open"), None);
    assert_eq!(store.wakes_waiting().await.expect("counted"), SHARDS.len() as u64);
    // Ours and the queue's migrations live side by side.
    Store::open(&books.url(), Opening::serving(NOW)).await.expect("open").queue_setup().await.expect("setup");
}

#[tokio::test]
async fn what_holds_for_all_is_kept() {
    let books = Books::new().await;
    let store = &books.store;
    assert_eq!(store.last_alive().await.expect("alive"), None);
    assert!(store.is_empty().await.expect("empty"));
    for (now, last) in [(5, 5), (9, 9), (7, 9)] {
        store.heartbeat(Timestamp::from_secs(now)).await.expect("heartbeat");
        assert_eq!(store.last_alive().await.expect("alive"), Some(Timestamp::from_secs(last)));
    }
    let outages = [Outage::new(NOW.plus_days(3), NOW.plus_days(4)), Outage::new(NOW, NOW.plus_days(1))];
    for outage in outages.into_iter().chain(outages) {
        store.outage_insert(outage, NOW).await.expect("outage");
    }
    assert_eq!(store.outages().await.expect("outages"), [outages[1], outages[0]]);
    let ended = Outage::new(NOW.plus_days(5), NOW.plus_days(6));
    store.outage_end(ended, ended.to).await.expect("outage");
    assert_eq!(store.outages().await.expect("outages").last(), Some(&ended));
    assert_eq!(store.last_alive().await.expect("alive"), Some(ended.to));

    let plan = |price| rules::Plan {
        mode: rules::Mode::Daily,
        price: units(price),
        currency: None,
        term_months: 1,
        components: Default::default(),
        options: Default::default(),
        private: false,
    };
    let list = |price| PriceList::from([("a".to_owned(), plan(price))]);
    assert!(!store.is_empty().await.expect("empty"), "somebody served it");
    store.price_list_insert(&list(3), NOW, "admin", NOW).await.expect("insert");
    assert!(!store.is_empty().await.expect("empty"));
    let lists = (list(2), list(4));
    let both = [(&lists.0, Timestamp::BEGINNING), (&lists.1, NOW.plus_days(1))];
    store.price_lists_insert(&both, "admin", NOW).await.expect("insert");
    let price = |book: &rules::PriceBook| book.price(&crate::books::order("a"), NOW);
    assert_eq!(price(&store.price_book().await.expect("book")), Ok(rules::Price::of(units(3))));
    let seconds: Vec<Timestamp> =
        store.price_lists().await.expect("lists").into_iter().map(|list| list.effective_at).collect();
    assert_eq!(seconds, [Timestamp::BEGINNING, NOW, NOW.plus_days(1)]);
    books.tamper("update price_lists set body = '[]'").await;
    assert!(matches!(store.price_book().await, Err(store::StoreError::CorruptTable { table: "price_lists", .. })));
}

#[tokio::test]
async fn a_held_run_is_worked_on_after_its_release_alone() {
    let books = Books::new().await;
    let store = &books.store;
    let held = NewRun { held_for: Some("too much"), preview: Some("{}"), ..new_run(Some(midnight(0)), &[]) };
    let run = store.run_open(&held).await.expect("open").expect("a run");
    assert_eq!((run.state, run.held_for.as_deref(), run.slots), (RunState::Held, Some("too much"), 1));
    let until = NOW.plus_secs(30);
    assert_eq!(store.shard_claim(run.id, 0, "w1", NOW, until).await.expect("claim"), None);
    let holds = store.holds().await.expect("holds");
    assert_eq!(holds.iter().map(|hold| (hold.run, hold.kind)).collect::<Vec<_>>(), [(run.id, Some(DueKind::Daily))]);
    let released = store.run_release(run.id, "cli:ann", &[], NOW).await.expect("released").expect("it was held");
    assert_eq!((released.state, released.released_by.as_deref()), (RunState::Queued, Some("cli:ann")));
    assert_eq!(store.run_release(run.id, "cli:ann", &[], NOW).await.expect("asked"), None);
    assert!(store.holds().await.expect("holds").is_empty());
    assert!(store.shard_claim(run.id, 0, "w1", NOW, until).await.expect("claim").is_some());
}

#[tokio::test]
async fn accounts_with_what_is_held_are_not_due_for_anything() {
    let books = Books::new().await;
    let (held, free) = (books.open_account("held").await, books.open_account("free").await);
    let store = &books.store;
    for account in [&held, &free] {
        let is_due = |kind| kind == DueKind::Term || (kind == DueKind::Daily && account.id == held.id);
        let due = NOTHING_DUE.map(|(kind, _)| (kind, is_due(kind).then_some(NOW)));
        let batch = [Commit { changes: changes(account.clone()), due }];
        assert_eq!(store.commit(&batch, STAMP, None).await.expect("commit"), [Outcome::Written]);
    }
    let due = async |kind| {
        let (first, last) = (AccountId(0), AccountId(i64::MAX));
        let due = store.accounts_due(kind, NOW, first, last, 10).await.expect("due");
        assert_eq!(store.accounts_due_count(kind, NOW).await.expect("count"), due.len() as u64);
        due
    };
    assert_eq!((due(DueKind::Daily).await, due(DueKind::Term).await), (vec![held.id], vec![held.id, free.id]));
    let new = NewRun { held_for: Some("too much"), ..new_run(Some(midnight(0)), &[]) };
    let run = store.run_open(&new).await.expect("open").expect("a run").id;
    assert_eq!((due(DueKind::Daily).await, due(DueKind::Term).await), (vec![], vec![free.id]));
    store.run_release(run, "cli:ann", &[], NOW).await.expect("released").expect("it was held");
    assert_eq!((due(DueKind::Daily).await, due(DueKind::Term).await), (vec![held.id], vec![held.id, free.id]));
}

#[tokio::test]
async fn a_run_starts_at_its_second() {
    let books = Books::new().await;
    let store = &books.store;
    let later = NewRun { starts_at: NOW.plus_secs(60), ..new_run(None, &[]) };
    let run = store.run_open(&later).await.expect("open").expect("a run").id;
    let claim =
        async |secs| store.shard_claim(run, 0, "w1", NOW.plus_secs(secs), NOW.plus_secs(99)).await.expect("claim");
    assert_eq!((claim(59).await.is_some(), claim(60).await.is_some()), (false, true));
}

#[tokio::test]
async fn a_paused_job_is_resumed_from_now_on_and_an_edited_schedule_counts_from_now_on() {
    let books = Books::new().await;
    let store = &books.store;
    let enrol = async |cron, days| {
        store
            .jobs_enrol(&[("a", cron, Some(DueKind::Daily)), ("b", "x", None)], midnight(days))
            .await
            .expect("enrolled")
    };
    assert!(enrol("x", 0).await.is_empty() && enrol("x", 1).await.is_empty());
    let controls = store.job_controls().await.expect("controls");
    assert!(controls.iter().all(|control| control.slots_after == Timestamp::BEGINNING && control.pause.is_none()));
    assert!(store.job_pause("a", "cli:ann", "look", midnight(2)).await.expect("paused"));
    assert!(!store.job_pause("a", "cli:bob", "too", midnight(3)).await.expect("paused"), "it is");
    assert!(!store.job_pause("c", "cli:bob", "who", midnight(3)).await.expect("paused"), "there is none");
    let pause = store.job_controls().await.expect("controls").remove(0).pause.expect("paused");
    assert_eq!((pause.at, pause.by.as_str(), pause.reason.as_str()), (midnight(2), "cli:ann", "look"));
    assert!(store.job_resume("a", midnight(4)).await.expect("resumed"));
    assert!(!store.job_resume("a", midnight(5)).await.expect("resumed"), "it is not paused");
    assert_eq!(store.job_controls().await.expect("controls")[0].slots_after, midnight(4));
    assert_eq!(enrol("y", 6).await, ["a"]);
    let edited = store.job_controls().await.expect("controls").remove(0);
    assert_eq!((edited.cron.as_str(), edited.cron_since, edited.slots_after), ("y", midnight(6), midnight(6)));
}

#[tokio::test]
async fn a_run_is_cancelled_before_it_begins_and_never_a_slots() {
    let books = Books::new().await;
    let store = &books.store;
    let open = async |slot| store.run_open(&new_run(slot, &[])).await.expect("open").expect("a run").id;
    let cancel = async |run| store.run_cancel(run, "cli:ann", "a mistake", NOW).await.expect("asked");
    let (asked, begun, slot) = (open(None).await, open(None).await, open(Some(midnight(0))).await);
    store.shard_claim(begun, 0, "w1", NOW, NOW.plus_secs(30)).await.expect("claim").expect("free");
    assert_eq!((cancel(asked).await, cancel(begun).await, cancel(slot).await), (true, false, false));
    assert!(!cancel(asked).await, "it is cancelled already");
    let run = store.run(asked).await.expect("run").expect("there");
    assert_eq!((run.state, run.finished_at, run.started_at), (RunState::Cancelled, Some(NOW), None));
    assert_eq!((run.cancelled_by.as_deref(), run.cancelled_for.as_deref()), (Some("cli:ann"), Some("a mistake")));
    // Nobody works on it, nor ends it.
    assert_eq!(store.shard_claim(asked, 0, "w1", NOW, NOW.plus_secs(30)).await.expect("claim"), None);
    assert!(store.run_finish(asked, RunEnd::Failed("late"), NOW).await.is_err());
    assert!(store.runs_unfinished().await.expect("runs").iter().all(|run| run.id != asked));
}
