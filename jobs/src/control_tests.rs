//! What admins and the guards say to the jobs: held runs, pauses, edited schedules, a clock in doubt.

use rules::{AccountId, DueKind, Micros, Timestamp, TransferKind};
use store::{Run, RunState};

use crate::hold::Band;
use crate::testing::{Bench, WORKER, at, create, named, units};
use crate::{
    JobError, Jump, Office, RunOrder, Scheduler, ShardEnd, open_run, open_slot, preview, preview_of_held, release,
    rewake, work_run, work_shard,
};

const JOB: &str = "bill_instances";
const NOON: &str = "2026-03-02T12:00:00Z";
const FIRST: &str = "2026-03-03T00:00:00Z";
const SECOND: &str = "2026-03-04T00:00:00Z";
const THIRD: &str = "2026-03-05T00:00:00Z";

/// Ten units more than the largest night is beyond it, and so is any stop.
const BAND: Band = Band { growth_percent: 100, least_amount: Micros::new(0), least_stops: 0 };

/// Ann was billed at the first midnight; bob's three instances came since.
async fn after_a_night() -> (Bench, Office, AccountId, AccountId) {
    let bench = Bench::at(NOON).await;
    let ann = bench.customer("ann", "daily", 100).await;
    bench.run(JOB).await;
    bench.advance(FIRST);
    bench.run(JOB).await;
    let bob = bench.customer("bob", "daily", 500).await;
    for service in ["bob-2", "bob-3"] {
        bench.create(bob, service, "daily").await;
    }
    let office = bench.office.clone().with_band(Some(BAND));
    (bench, office, ann, bob)
}

async fn periods(bench: &Bench, id: AccountId) -> usize {
    let ledger = bench.office.store.ledger(Some(id)).await.expect("a ledger");
    ledger.iter().filter(|row| row.kind == TransferKind::Period).count()
}

async fn opened(office: &Office, now: Timestamp) -> Run {
    open_slot(office, named(JOB), now).await.expect("no fault").expect("a run")
}

#[tokio::test]
async fn a_run_beyond_the_band_is_held_and_its_accounts_wait_at_every_door() {
    let (bench, office, ann, bob) = after_a_night().await;
    let free = bench.customer("free", "monthly", 100).await;
    bench.advance(SECOND);
    let run = opened(&office, bench.now()).await;
    assert_eq!(run.state, RunState::Held);
    let reason = run.held_for.clone().expect("a reason");
    assert!(reason.contains("USD 40.000000") && reason.contains("20.000000"), "{reason}");

    // The jobs leave them, also those of other kinds; money waits with its second.
    bench.receive(bob, "p1", 7).await;
    office.reload().await.expect("read");
    let tally = work_run(&office, named(JOB), &run, WORKER).await.expect("no fault");
    assert_eq!((tally.done, bench.due(JOB).await, bench.due("collect_payments").await), (0, vec![], vec![]));
    let settled = office.settle(&[ann, bob, free], bench.now(), None).await.expect("no fault");
    assert_eq!((settled.done, settled.counts.get("held")), (1, Some(&2)));
    // At the desk they are told so, and others are served.
    let refused = office.act(bob, &create("bob-4", "daily"), bench.now()).await.expect_err("held");
    assert!(matches!(&refused, JobError::Held { account, .. } if account == "bob"), "{refused}");
    // A preview would decide by what is in doubt.
    let refused = office.preview(bob, &create("bob-4", "daily"), bench.now()).await.expect_err("held");
    assert!(matches!(&refused, JobError::Held { account, .. } if account == "bob"), "{refused}");
    office.act(free, &create("free-2", "monthly"), bench.now()).await.expect("no fault").expect("allowed");
    assert_eq!((periods(&bench, ann).await, periods(&bench, bob).await), (2, 3));
    // Nor does another night open while this one is held.
    bench.advance(THIRD);
    assert_eq!(open_slot(&office, named(JOB), bench.now()).await.expect("no fault"), None);
    assert_eq!(rewake(&office, None, bench.now()).await.expect("woken"), 0);

    // Released, it goes on as if nothing had been.
    let kind = named(JOB).due_kind.expect("a kind");
    let ahead = preview_of_held(&office, kind, bench.now()).await.expect("no fault");
    assert_eq!((ahead.accounts, ahead.moved.get("USD")), (2, Some(&units(80))));
    let run = release(&office, &run, "cli:ann", bench.now()).await.expect("released").expect("it was held");
    assert_eq!(work_run(&office, named(JOB), &run, WORKER).await.expect("worked off").done, 2);
    assert_eq!((periods(&bench, ann).await, periods(&bench, bob).await), (4, 9));
    bench.run("collect_payments").await;
    let ledger = bench.office.store.ledger(Some(bob)).await.expect("a ledger");
    let deposit = ledger.iter().find(|row| row.kind == TransferKind::Deposit).expect("a deposit");
    assert_eq!(deposit.effective_at, at(SECOND));
    // The slot that passed meanwhile is covered by it: the next night is one night again.
    let covered = office.store.slots(JOB, 1).await.expect("slots").pop().expect("a slot");
    assert_eq!((covered.slot, covered.covered_by), (Some(at(THIRD)), Some(run.id)));
    bench.advance("2026-03-06T00:00:00Z");
    let next = opened(&office, bench.now()).await;
    assert_eq!((next.state, next.slots), (RunState::Queued, 1));
    work_run(&office, named(JOB), &next, WORKER).await.expect("worked off");
    bench.verified().await;
}

/// Midnight came, and nobody has looked yet whether its run is to be held.
#[tokio::test]
async fn what_is_due_waits_until_its_slot_is_open() {
    let (bench, office, ann, bob) = after_a_night().await;
    let free = bench.customer("free", "monthly", 100).await;
    bench.advance("2026-03-03T23:59:59Z");
    office.act(bob, &create("bob-4", "daily"), bench.now()).await.expect("no fault").expect("allowed");
    bench.advance("2026-03-04T00:00:01Z");
    let settled = office.settle(&[ann, bob, free], bench.now(), None).await.expect("no fault");
    assert_eq!((settled.done, settled.counts.get("held")), (1, Some(&2)));
    let refused = office.act(bob, &create("bob-5", "daily"), bench.now()).await.expect_err("too early");
    let (opening, slot) = (JobError::Opening { account: "bob".to_owned(), job: JOB, slot: at(SECOND) }, at(SECOND));
    assert_eq!(refused.to_string(), opening.to_string());
    office.act(free, &create("free-2", "monthly"), bench.now()).await.expect("no fault").expect("allowed");

    // Its slot is opened before anything else is done, and what is within the band goes on.
    let office = office.with_band(Some(Band { growth_percent: 900, ..BAND }));
    let ticked = Scheduler::new(WORKER, bench.now()).tick(&office, bench.now()).await;
    let run = ticked.opened.into_iter().find(|run| run.job == JOB).expect("a run");
    assert_eq!((run.slot, run.state, run.total), (Some(slot), RunState::Queued, 2));
    office.act(bob, &create("bob-5", "daily"), bench.now()).await.expect("no fault").expect("allowed");
    assert_eq!(work_run(&office, named(JOB), &run, WORKER).await.expect("worked off").done, 1);
    bench.verified().await;
}

/// Paused, it opens no slot, and what it would do nobody does.
#[tokio::test]
async fn what_a_paused_job_would_do_waits_at_every_door() {
    let (bench, office, ann, bob) = after_a_night().await;
    let free = bench.customer("free", "monthly", 100).await;
    crate::enrol(&office.store, at(NOON)).await.expect("enrolled");
    assert!(office.store.job_pause(JOB, "cli:ann", "look", bench.now()).await.expect("paused"));
    // Before anything is due, nobody waits.
    office.act(bob, &create("bob-4", "daily"), bench.now()).await.expect("no fault").expect("allowed");
    bench.advance(SECOND);
    let refused = office.act(bob, &create("bob-5", "daily"), bench.now()).await.expect_err("it waits");
    assert!(matches!(&refused, JobError::Paused { job, .. } if job == JOB), "{refused}");
    office.act(free, &create("free-2", "monthly"), bench.now()).await.expect("no fault").expect("allowed");
    // Money that comes keeps its second, and no sweep looks for what waits.
    bench.receive(bob, "late", 10).await;
    assert_eq!(bench.due("collect_payments").await, []);
    let settled = office.settle(&[ann, bob, free], bench.now(), None).await.expect("no fault");
    assert_eq!((settled.done, settled.counts.get("held")), (1, Some(&2)));
    assert_eq!((periods(&bench, ann).await, periods(&bench, bob).await), (2, 4));

    // Resumed, it waits for its next slot; asked for before that, its run is looked at like a slot's.
    assert!(office.store.job_resume(JOB, bench.now()).await.expect("resumed"));
    let order = RunOrder::by("cli:ann", bench.now());
    let run = open_run(&office, named(JOB), &order, bench.now()).await.expect("no fault").expect("a run");
    assert_eq!((run.state, run.slot, run.held_for.is_some()), (RunState::Held, None, true));
    // Whoever asked for it may take it back, and ask again.
    assert!(office.store.run_cancel(run.id, "cli:ann", "too early", bench.now()).await.expect("cancelled"));
    let run = open_run(&office, named(JOB), &order, bench.now()).await.expect("no fault").expect("a run");
    let run = release(&office, &run, "cli:ann", bench.now()).await.expect("released").expect("it was held");
    assert_eq!(work_run(&office, named(JOB), &run, WORKER).await.expect("worked off").done, 2);
    assert_eq!((periods(&bench, ann).await, periods(&bench, bob).await), (3, 8));
    bench.verified().await;
}

#[tokio::test]
async fn on_a_months_first_the_runs_are_looked_at_before_any_begins() {
    let bench = Bench::at("2026-03-30T12:00:00Z").await;
    let ann = bench.customer("ann", "daily", 500).await;
    bench.create(ann, "ann-server", "monthly").await;
    let office = bench.office.clone().with_band(Some(Band::default()));
    let mut scheduler = Scheduler::new(WORKER, bench.now());
    for moment in ["2026-03-30T12:00:00Z", "2026-03-31T00:00:00Z"] {
        bench.advance(moment);
        for run in scheduler.tick(&office, bench.now()).await.opened {
            work_run(&office, named(&run.job), &run, WORKER).await.expect("worked off");
        }
    }
    bench.advance("2026-04-01T00:00:00Z");
    let opened = scheduler.tick(&office, bench.now()).await.opened;
    let looked: Vec<(&str, u64)> = opened.iter().map(|run| (run.job.as_str(), run.total)).collect();
    assert_eq!(looked[..3], [(JOB, 1), ("issue_invoices", 1), ("end_trials", 0)]);
}

#[tokio::test]
async fn a_run_for_later_is_also_on_who_comes_meanwhile() {
    let (bench, office, ..) = after_a_night().await;
    let office = office.with_band(None);
    let order = RunOrder { starts_at: at(SECOND), ..RunOrder::by("cli:ann", bench.now()) };
    let run = open_run(&office, named(JOB), &order, bench.now()).await.expect("no fault").expect("a run");
    let late = bench.customer("late", "daily", 100).await;
    bench.advance(SECOND);
    assert_eq!((run.total, work_run(&office, named(JOB), &run, WORKER).await.expect("worked off").done), (2, 3));
    assert_eq!(periods(&bench, late).await, 2);
}

#[tokio::test]
async fn parked_accounts_are_left_while_collection_is_paused_or_they_are_held() {
    const COLLECTION: &str = "collect_payments";
    let (bench, office, ann, bob) = after_a_night().await;
    let store = &office.store;
    store
        .jobs_enrol(&[(COLLECTION, named(COLLECTION).cron, Some(DueKind::Collection))], at(NOON))
        .await
        .expect("enrolled");
    store.job_pause(COLLECTION, "cli:ann", "stop", bench.now()).await.expect("paused");
    store.park(ann, "a test", bench.now(), bench.now()).await.expect("parked");
    let mut scheduler = Scheduler::new(WORKER, bench.now());
    assert_eq!(scheduler.tick(&office, bench.now()).await.retried, 0);
    store.job_resume(COLLECTION, bench.now()).await.expect("resumed");
    scheduler.rewake_at(bench.now());
    assert_eq!(scheduler.tick(&office, bench.now()).await.retried, 1);

    bench.advance(SECOND);
    assert_eq!(opened(&office, bench.now()).await.state, RunState::Held);
    let free = bench.customer("free", "monthly", 100).await;
    for account in [ann, bob, free] {
        store.park(account, "a test", bench.now(), bench.now()).await.expect("parked");
    }
    assert_eq!(store.parked_ready(bench.now(), 10).await.expect("readable"), [free]);
}

#[tokio::test]
async fn catching_up_three_nights_may_do_as_much_as_three() {
    let (bench, office, ..) = after_a_night().await;
    let wide = office.with_band(Some(Band { growth_percent: 300, ..BAND }));
    bench.advance("2026-03-06T00:00:00Z");
    let run = opened(&wide, bench.now()).await;
    assert_eq!((run.state, run.slots, run.held_for), (RunState::Queued, 3, None));
    let preview: crate::Preview = serde_json::from_str(&run.preview.expect("a preview")).expect("JSON");
    assert_eq!((preview.slots, preview.accounts, preview.moved.get("USD")), (3, 2, Some(&units(120))));
}

#[tokio::test]
async fn a_night_that_would_stop_many_is_held_for_that() {
    let (bench, office, ..) = after_a_night().await;
    let stops = office.with_band(Some(Band { least_amount: Micros::new(i64::MAX), ..BAND }));
    bench.customer("poor", "daily", 10).await;
    bench.advance(SECOND);
    let run = opened(&stops, bench.now()).await;
    let reason = run.held_for.expect("a reason");
    assert_eq!(reason, "it would stop 1 services and accounts, and up to 0 is usual");
}

#[tokio::test]
async fn a_preview_moves_nothing_and_counts_what_the_run_then_does() {
    let (bench, ..) = after_a_night().await;
    bench.customer("poor", "daily", 10).await;
    bench.advance(SECOND);
    let before = bench.books().await;
    let mut seen = Vec::new();
    let ahead =
        preview(&bench.office, named(JOB), None, bench.now(), |changes| seen.push(changes.account.name.clone()));
    let ahead = ahead.await.expect("no fault");
    assert_eq!((bench.books().await, seen), (before, ["ann", "bob", "poor"].map(str::to_owned).to_vec()));
    let tally = bench.run(JOB).await.expect("a run");
    assert_eq!((ahead.accounts, ahead.moved, ahead.counts), (tally.done, tally.moved, tally.counts));
    let bob = bench.all().await[1];
    let one = preview(&bench.office, named(JOB), Some(bob), at(THIRD), |_| {}).await.expect("no fault");
    assert_eq!((one.accounts, one.moved.get("USD")), (1, Some(&units(30))));
}

#[tokio::test]
async fn a_paused_job_stops_between_batches_and_never_fires_what_is_old() {
    let (bench, office, ann, _) = after_a_night().await;
    let office = office.with_band(None);
    let store = &office.store;
    store.jobs_enrol(&[(JOB, named(JOB).cron, Some(DueKind::Daily))], at(NOON)).await.expect("enrolled");
    bench.advance(SECOND);
    let run = opened(&office, bench.now()).await;
    assert!(store.job_pause(JOB, "cli:ann", "look", bench.now()).await.expect("paused"));
    let work = work_shard(&office, named(JOB), run.id, 0, WORKER).await.expect("no fault");
    assert_eq!((work.end, work.tally.done, periods(&bench, ann).await), (ShardEnd::Stopped, 0, 2));
    assert_eq!(rewake(&office, None, bench.now()).await.expect("woken"), 0);

    // Two midnights later it is resumed at noon: the run under way goes on, and no slot opens before the next.
    bench.advance("2026-03-06T12:00:00Z");
    assert_eq!(open_slot(&office, named(JOB), bench.now()).await.expect("no fault"), None);
    assert!(store.job_resume(JOB, bench.now()).await.expect("resumed"));
    let ticked = Scheduler::new(WORKER, bench.now()).tick(&office, bench.now()).await;
    assert!(ticked.opened.iter().all(|run| run.job != JOB), "{:?}", ticked.opened);
    work_run(&office, named(JOB), &run, WORKER).await.expect("worked off");
    assert_eq!(periods(&bench, ann).await, 5);
    bench.advance("2026-03-07T00:00:00Z");
    let next = opened(&office, bench.now()).await;
    assert_eq!((next.slot, next.slots), (Some(bench.now()), 3));
}

#[tokio::test]
async fn an_edited_schedule_begins_now() {
    let (bench, office, ..) = after_a_night().await;
    let office = office.with_band(None);
    bench.advance("2026-03-03T10:00:00Z");
    // The old schedule billed at the first midnight; at ten the new one would have had a slot at six.
    office.store.jobs_enrol(&[(JOB, "0 0 6 * * *", Some(DueKind::Daily))], at(NOON)).await.expect("enrolled");
    assert_eq!(
        office.store.jobs_enrol(&[(JOB, named(JOB).cron, Some(DueKind::Daily))], bench.now()).await.expect("edited"),
        [JOB]
    );
    assert_eq!(open_slot(&office, named(JOB), bench.now()).await.expect("no fault"), None);
    bench.advance(SECOND);
    let next = opened(&office, bench.now()).await;
    assert_eq!((next.slot, next.slots), (Some(at(SECOND)), 1));
}

#[tokio::test]
async fn while_the_clock_is_in_doubt_nothing_is_settled() {
    let (bench, office, ann, _) = after_a_night().await;
    let office = office.with_band(None);
    bench.advance(SECOND);
    let run = opened(&office, bench.now()).await;
    office.clock.doubt(Jump { observed: bench.now(), expected: at(FIRST) });
    let stopped = work_shard(&office, named(JOB), run.id, 0, WORKER).await.expect_err("in doubt");
    assert!(matches!(stopped, JobError::Clock(_)), "{stopped}");
    assert_eq!(periods(&bench, ann).await, 2);
    office.clock.trust();
    work_run(&office, named(JOB), &run, WORKER).await.expect("worked off");
    assert_eq!(periods(&bench, ann).await, 3);
}

#[tokio::test]
async fn an_admins_run_takes_no_slot_starts_at_its_second_and_may_be_for_one() {
    let (bench, office, ann, bob) = after_a_night().await;
    let office = office.with_band(None);
    bench.advance("2026-03-03T23:58:00Z");
    let order = RunOrder { only: Some(bob), starts_at: at(SECOND), ..RunOrder::by("cli:ann", bench.now()) };
    let run = open_run(&office, named(JOB), &order, bench.now()).await.expect("no fault").expect("a run");
    assert_eq!((run.slot, run.total, run.asked_by.as_str()), (None, 1, "cli:ann"));
    let early = work_shard(&office, named(JOB), run.id, 0, WORKER).await.expect("no fault");
    assert_eq!((early.end, rewake(&office, None, bench.now()).await.expect("woken")), (ShardEnd::NotOurs, 0));
    bench.advance(SECOND);
    assert_eq!(rewake(&office, None, bench.now()).await.expect("woken"), 1);
    work_run(&office, named(JOB), &run, WORKER).await.expect("worked off");
    assert_eq!((periods(&bench, ann).await, periods(&bench, bob).await), (2, 6));
    let slot = opened(&office, bench.now()).await;
    assert_eq!(slot.slot, Some(at(SECOND)));
}

#[tokio::test]
async fn the_first_of_a_month_is_no_night_beyond_the_band() {
    let bench = Bench::at("2026-03-29T12:00:00Z").await;
    let ann = bench.customer("ann", "daily", 500).await;
    bench.create(ann, "ann-server", "monthly").await;
    let office = bench.office.clone().with_band(Some(BAND));
    for midnight in ["2026-03-30T00:00:00Z", "2026-03-31T00:00:00Z", "2026-04-01T00:00:00Z"] {
        bench.advance(midnight);
        let run = opened(&office, bench.now()).await;
        assert_eq!((run.held_for.as_deref(), run.state), (None, RunState::Queued), "{midnight}");
        work_run(&office, named(JOB), &run, WORKER).await.expect("worked off");
    }
}

#[tokio::test]
async fn a_list_that_was_published_a_moment_ago_is_previewed_with() {
    let (bench, office, ..) = after_a_night().await;
    let wide = office.with_band(Some(Band { growth_percent: 400, ..BAND }));
    let dear = rules::Plan { price: units(1_000), ..crate::testing::plan_of("daily") };
    let lists = [("daily".to_owned(), dear)].into();
    // By another program: this office has not read it yet.
    let other = bench.another_office().await;
    other.store.price_list_insert(&lists, at(SECOND), "cli:ann", bench.now()).await.expect("published");
    bench.advance(SECOND);
    assert_eq!(opened(&wide, bench.now()).await.state, RunState::Held);
}
