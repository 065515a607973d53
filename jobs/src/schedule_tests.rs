//! What other schedulers did to their users: slots that pile up, vanish, fire twice or never again.

use rules::{DAY, DueKind, Timestamp, TransferKind};
use store::RunState;

use crate::testing::{Bench, WORKER, at, named};
use crate::{JOBS, Scheduler, Wakes, open_slot, work_run};

const JOB: &str = "bill_instances";

async fn tick(bench: &Bench, scheduler: &mut Scheduler) {
    let ticked = scheduler.tick(&bench.office, bench.now()).await;
    assert!(ticked.problems.is_empty(), "{:?}", ticked.problems);
    for run in ticked.opened {
        work_run(&bench.office, named(&run.job), &run, WORKER).await.expect("worked off");
    }
}

/// Every midnight from the first to the last that ran has its row, done.
async fn midnights(bench: &Bench) -> usize {
    let slots = bench.office.store.slots(JOB, u32::MAX).await.expect("slots");
    let mut seconds: Vec<Timestamp> = slots.iter().filter_map(|run| run.slot).collect();
    seconds.sort();
    for pair in seconds.windows(2) {
        assert_eq!(pair[1].secs() - pair[0].secs(), DAY, "after {}", pair[0]);
    }
    assert!(slots.iter().all(|run| run.state == RunState::Done));
    slots.len()
}

#[tokio::test]
async fn a_year_and_more_of_missed_slots_is_one_run_and_the_next_comes_as_ever() {
    let bench = Bench::at("2026-03-02T12:00:00Z").await;
    let ann = bench.customer("ann", "daily", 10_000).await;
    let mut scheduler = Scheduler::new(WORKER, bench.now());
    tick(&bench, &mut scheduler).await;
    bench.advance("2027-04-06T15:00:00Z");
    tick(&bench, &mut scheduler).await;
    assert_eq!(midnights(&bench).await, 401);
    let worked = bench.office.store.runs(Some(JOB), u32::MAX).await.expect("runs");
    assert_eq!(worked.iter().filter(|run| run.covered_by.is_none()).count(), 2);
    bench.advance("2027-04-07T00:00:00Z");
    tick(&bench, &mut scheduler).await;
    assert_eq!(midnights(&bench).await, 402);
    let ledger = bench.office.store.ledger(Some(ann)).await.expect("a ledger");
    assert_eq!(ledger.iter().filter(|row| row.kind == TransferKind::Period).count(), 402);
    bench.verified().await;
}

#[tokio::test]
async fn a_clock_that_stops_over_the_first_leaves_no_invoice_behind() {
    let bench = Bench::at("2026-03-30T12:00:00Z").await;
    let ann = bench.customer("ann", "monthly", 100).await;
    let mut scheduler = Scheduler::new(WORKER, bench.now());
    tick(&bench, &mut scheduler).await;
    bench.advance("2026-04-11T09:00:00Z");
    tick(&bench, &mut scheduler).await;
    let invoices = bench.office.store.invoices(Some(ann)).await.expect("invoices");
    let issued: Vec<Timestamp> = invoices.iter().map(|invoice| invoice.issued_at).collect();
    assert_eq!(issued, [at("2026-04-01T00:00:00Z")]);
}

#[tokio::test]
async fn fifty_times_is_once() {
    let bench = Bench::at("2026-03-30T12:00:00Z").await;
    for plan in ["daily", "monthly", "term"] {
        bench.customer(plan, plan, 40).await;
    }
    bench.advance("2026-04-30T12:00:00Z");
    // One job's work may be the next one's cause.
    for _ in 0..3 {
        tick(&bench, &mut Scheduler::new(WORKER, bench.now())).await;
    }
    let before = bench.books().await;
    for _ in 0..50 {
        for job in JOBS.iter().filter(|job| job.due_kind.is_some()) {
            bench.run_again(job.name).await;
        }
        tick(&bench, &mut Scheduler::new(WORKER, bench.now())).await;
    }
    assert_eq!(bench.books().await, before);
}

/// Stops, pauses, holds and releases, in turn and long: none of them loses a midnight or its charge.
#[tokio::test]
async fn no_midnight_is_without_its_row_whatever_happened() {
    let bench = Bench::at("2026-03-02T12:00:00Z").await;
    let ann = bench.customer("ann", "daily", 10_000).await;
    let store = &bench.office.store;
    store.jobs_enrol(&[(JOB, named(JOB).cron, Some(DueKind::Daily))], bench.now()).await.expect("enrolled");
    let mut scheduler = Scheduler::new(WORKER, bench.now());
    tick(&bench, &mut scheduler).await;
    let mut days: u32 = 0;
    for (round, length) in [1, 3, 2, 9, 1, 4, 30, 2].into_iter().enumerate() {
        match round % 4 {
            0 => {}
            1 => assert!(store.job_pause(JOB, "cli:ann", "look", bench.now()).await.expect("paused")),
            2 => scheduler = Scheduler::new(WORKER, bench.now().plus_days(length)),
            _ => {
                bench.advance(&bench.now().plus_hours(12).to_string());
                let run = open_slot(&bench.office, named(JOB), bench.now()).await.expect("no fault").expect("a run");
                work_run(&bench.office, named(JOB), &run, WORKER).await.expect("worked off");
                bench.advance(&bench.now().plus_hours(12).to_string());
                days += 1;
            }
        }
        days += length;
        bench.advance(&bench.now().plus_days(length).to_string());
        tick(&bench, &mut scheduler).await;
        if round % 4 == 1 {
            assert!(store.job_resume(JOB, bench.now()).await.expect("resumed"));
        }
    }
    // The last pause is long over: its slots were the next one's to cover.
    assert_eq!(u32::try_from(midnights(&bench).await).expect("a count"), days + 1);
    let ledger = store.ledger(Some(ann)).await.expect("a ledger");
    let periods = ledger.iter().filter(|row| row.kind == TransferKind::Period).count();
    assert_eq!(u32::try_from(periods).expect("a count"), days + 1);
    bench.verified().await;
}

#[test]
fn every_job_that_charges_by_the_calendar_has_its_slots_in_utc() {
    for job in JOBS.iter().filter(|job| job.wakes == Wakes::Calendar) {
        let (mut slot, mut seen) = (at("2026-01-01T00:00:00Z"), 0);
        while let Some(next) = crate::next_slot(job, slot).filter(|next| *next < at("2029-01-01T00:00:00Z")) {
            // No summer time, no leap day moves it.
            assert_eq!(next.secs() % 3_600, 0, "{} at {next}", job.name);
            assert!(next.secs() - slot.secs() <= 31 * DAY && next.secs() % DAY == slot_of_day(job.name), "{next}");
            (slot, seen) = (next, seen + 1);
        }
        assert!(seen >= 35, "{}: {seen}", job.name);
    }
}

fn slot_of_day(job: &str) -> i64 {
    if job == "verify_books" { 4 * 3_600 } else { 0 }
}
