//! The office: parked accounts, actions that wait for a card, decisions that came too late.

use providers::CardScript;
use rules::{AccountId, Answer, Kind, Micros, Policy, Refusal, Stage, TermState, Timestamp, TransferKind};
use store::{Counts, Moved, ShardProgress, StoreError};

use crate::error::JobError;
use crate::slots::open_slot;
use crate::testing::{Bench, Books, at, change_plan, counts, create, named, units};

const MONTH: &str = "2026-04-01T00:00:00Z";

#[tokio::test]
async fn an_account_that_cannot_be_settled_is_parked_and_the_others_go_on() {
    let bench = Bench::at("2026-03-15T00:00:00Z").await;
    let ann = bench.customer("ann", "monthly", 100).await;
    let vast = bench.customer("vast", "vast", 100).await;
    let zoe = bench.customer("zoe", "monthly", 100).await;
    bench.advance(MONTH);
    let before = bench.books().await.accounts[1].clone();
    assert_eq!(bench.due("issue_invoices").await, [ann, vast, zoe]);
    let tally = bench.run("issue_invoices").await.expect("a run");
    assert_eq!((tally.done, tally.counts["invoice.paid"], tally.counts["parked"]), (2, 2, 1));
    let books = bench.books().await;
    assert_eq!(books.accounts[1], before, "nothing of it was written");
    let parked = bench.office.store.parked().await.expect("a list");
    let [one] = parked.as_slice() else { panic!("{parked:?}") };
    assert_eq!((one.account, one.name.as_str(), one.tries), (vast, "vast", 1));
    assert!(one.error.contains("9223372036854.775807"), "{}", one.error);
    // Its run is done: nobody waits for it.
    assert_eq!(bench.office.store.runs_unfinished().await.expect("runs"), []);
    bench.verified().await;
}

#[tokio::test]
async fn a_parked_account_is_tried_again_after_longer_and_longer() {
    let bench = Bench::at("2026-03-15T00:00:00Z").await;
    let vast = bench.customer("vast", "vast", 0).await;
    bench.advance(MONTH);
    let mut waits = Vec::new();
    for _ in 0..14 {
        let tally = bench.office.settle(&[vast], bench.now(), None).await.expect("no fault");
        assert_eq!((tally.done, counts(&tally)), (0, vec![("parked", 1)]));
        let parked = bench.office.store.parked().await.expect("a list").remove(0);
        assert_eq!(parked.parked_at, at(MONTH), "since when it is parked");
        waits.push(parked.next_try_at.secs() - bench.now().secs());
        // Until then no job sees it.
        bench.advance(&parked.next_try_at.plus_secs(-1).to_string());
        assert_eq!(bench.due("issue_invoices").await, []);
        bench.advance(&parked.next_try_at.to_string());
        assert_eq!(bench.due("issue_invoices").await, [vast]);
    }
    let doubling: Vec<i64> = (0..14).map(|tries| (60 << tries).min(rules::DAY)).collect();
    assert_eq!(waits, doubling);
}

#[tokio::test]
async fn an_account_that_settles_is_parked_no_more() {
    let bench = Bench::at("2026-03-15T00:00:00Z").await;
    let vast = bench.customer("vast", "vast", 0).await;
    bench.advance(MONTH);
    bench.run("issue_invoices").await;
    assert_eq!(bench.office.store.parked().await.expect("a list").len(), 1);
    // The price is corrected: of two lists of one second the later one stands.
    let mut corrected = bench.office.store.price_lists().await.expect("lists").remove(0).list;
    corrected.get_mut("vast").expect("a plan").price = units(10);
    let published = bench.office.store.price_list_insert(&corrected, Timestamp::BEGINNING, "admin", bench.now());
    published.await.expect("published");
    bench.office.reload().await.expect("reloaded");
    bench.advance("2026-04-01T00:01:00Z");
    let tally = bench.office.settle(&[vast], bench.now(), None).await.expect("no fault");
    assert_eq!((tally.done, tally.counts["invoice.issued"]), (1, 1));
    assert_eq!(bench.office.store.parked().await.expect("a list"), []);
}

/// A decision with an older price list than is in force is refused, and made anew with that one.
#[tokio::test]
async fn a_decision_with_an_older_list_writes_nothing() {
    let bench = Bench::at("2026-03-02T12:00:00Z").await;
    let ann = bench.customer("ann", "daily", 100).await;
    bench.advance("2026-03-03T00:00:00Z");
    let stale = bench.office.decide(&[ann], bench.now()).await.expect("decided");
    let mut dearer = bench.office.store.price_lists().await.expect("lists").remove(0).list;
    dearer.get_mut("daily").expect("a plan").price = units(10);
    let published = bench.office.store.price_list_insert(&dearer, bench.now(), "admin", bench.now());
    published.await.expect("published");
    let (tally, left) = bench.office.commit(stale, None).await.expect("committed");
    assert_eq!((tally.done, left), (0, vec![ann]));
    let before = bench.wallet("ann").await;
    // This office has not heard of the list yet.
    bench.office.settle(&[ann], bench.now(), None).await.expect("settled");
    assert_eq!(before.get() - bench.wallet("ann").await.get(), units(10).get());
    bench.verified().await;
}

/// A decision on an account that moved meanwhile is refused whole, and made anew.
#[tokio::test]
async fn a_stale_decision_writes_nothing() {
    let bench = Bench::at("2026-03-02T12:00:00Z").await;
    let ann = bench.customer("ann", "daily", 100).await;
    let bob = bench.customer("bob", "daily", 100).await;
    bench.advance("2026-03-03T00:00:00Z");
    let stale = bench.office.decide(&[ann, bob], bench.now()).await.expect("decided");
    bench.receive(ann, "p1", 50).await;
    let (tally, left) = bench.office.commit(stale, None).await.expect("committed");
    assert_eq!((tally.done, left), (1, vec![ann]));
    assert_eq!(bench.wallet("ann").await, units(95));
    bench.office.settle(&[ann], bench.now(), None).await.expect("settled");
    assert_eq!(bench.wallet("ann").await, units(135));
    bench.verified().await;
}

/// Beside an account that is refused, the others of the batch are refused as well once their shard is another worker's.
#[tokio::test]
async fn a_worker_that_lost_its_claim_writes_nothing_beside_a_fault() {
    let bench = Bench::at("2026-03-02T12:00:00Z").await;
    let ann = bench.customer("ann", "daily", 100).await;
    let bob = bench.customer("bob", "daily", 100).await;
    bench.advance("2026-03-03T00:00:00Z");
    let store = &bench.office.store;
    let run = open_slot(&bench.office, named("bill_instances"), bench.now()).await.expect("no fault").expect("a run");
    let mut decided = bench.office.decide(&[ann, bob], bench.now()).await.expect("decided");
    let twice = decided.commits[0].changes.transfers[0].clone();
    decided.commits[0].changes.transfers.push(twice);
    for worker in ["slow", "other"] {
        let until = bench.now().plus_secs(60);
        store.shard_claim(run.id, 0, worker, bench.now(), until).await.expect("claimed").expect("a shard");
        bench.advance(&until.to_string());
    }
    let before = bench.books().await;
    let mut progress = ShardProgress {
        run: run.id,
        shard: 0,
        worker: "slow".to_owned(),
        up_to: AccountId(0),
        done: 0,
        moved: Moved::default(),
        counts: Counts::default(),
        claimed_until: None,
    };
    let refused = bench.office.commit(decided, Some(&mut progress)).await.expect_err("another's shard");
    assert!(matches!(refused, JobError::Store(StoreError::ClaimLost { .. })), "{refused}");
    assert_eq!(bench.books().await, before);
}

/// Two workers on the same accounts, at once and one long after the other.
#[tokio::test]
async fn two_offices_leave_the_books_of_one() {
    let mut outcomes: Vec<Books> = Vec::new();
    for two in [false, true] {
        let bench = Bench::at("2026-03-01T00:00:00Z").await;
        for name in ["ann", "bob", "cay"] {
            let id = bench.customer(name, "daily", 700).await;
            bench.create(id, &format!("{name}-2"), "monthly").await;
            bench.create(id, &format!("{name}-3"), "term").await;
        }
        let (all, other) = (bench.all().await, bench.another_office().await);
        for now in ["2026-03-05T00:00:00Z", MONTH, "2026-05-02T00:00:00Z"] {
            bench.advance(now);
            if two {
                let late = other.decide(&all, bench.now()).await.expect("decided");
                let (one, another) = tokio::join!(
                    bench.office.settle_and_collect(&all, bench.now()),
                    other.settle_and_collect(&all, bench.now())
                );
                one.and(another).expect("settled");
                let (tally, stale) = other.commit(late, None).await.expect("committed");
                assert_eq!((tally.done, stale), (0, all.clone()));
            } else {
                bench.office.settle_and_collect(&all, bench.now()).await.expect("settled");
            }
        }
        bench.verified().await;
        outcomes.push(bench.books().await);
    }
    assert_eq!(outcomes[0], outcomes[1]);
}

/// Receipts of several accounts at the same seconds, in whatever order they arrive and are worked off.
#[tokio::test]
async fn receipts_of_different_accounts_do_not_meet() {
    let mut outcomes: Vec<Books> = Vec::new();
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
        let bench = Bench::at("2026-03-01T00:00:00Z").await;
        let mut ids = Vec::new();
        for name in ["ann", "bob", "cay"] {
            bench.cards.script(name, CardScript::Fails);
            let id = bench.customer(name, "monthly", 0).await;
            bench.cards.script(name, CardScript::Fails);
            ids.push(id);
        }
        bench.advance("2026-04-09T00:00:00Z");
        bench.office.settle_and_collect(&ids, bench.now()).await.expect("settled");
        for payment in 0..2 {
            bench.advance(["2026-04-09T00:01:00Z", "2026-04-09T00:02:00Z"][payment]);
            for index in order {
                bench.receive(ids[index], &format!("{index}-{payment}"), 13).await;
            }
        }
        for index in order {
            bench.office.settle_and_collect(&[ids[index]], bench.now()).await.expect("settled");
        }
        bench.verified().await;
        outcomes.push(bench.books().await);
    }
    assert!(outcomes.iter().all(|books| *books == outcomes[0]));
    assert!(outcomes[0].events.iter().any(|event| event.kind == "account.restored"));
}

/// A trial's account whose upgrade waits for a silent provider.
async fn waiting() -> (Bench, AccountId) {
    let bench = Bench::at("2026-03-15T00:00:00Z").await;
    let ann = bench.open_in_trial("ann").await;
    bench.create(ann, "ann-1", "monthly").await;
    bench.cards.fall_silent(true);
    let acted = bench.office.act(ann, &change_plan("ann-1", "large"), bench.now()).await;
    assert!(matches!(acted, Err(JobError::Waits(_))), "{acted:?}");
    (bench, ann)
}

#[tokio::test]
async fn an_action_that_waits_goes_on_when_the_provider_answers() {
    let (bench, ann) = waiting().await;
    bench.advance("2026-03-15T00:01:00Z");
    bench.cards.fall_silent(false);
    assert_eq!(bench.due("collect_payments").await, [ann]);
    bench.run("collect_payments").await;
    let books = bench.books().await;
    let changed = books.events.iter().find(|event| event.kind == "service.changed").expect("changed");
    assert_eq!(changed.at, at("2026-03-15T00:00:00Z"));
    let credits: Vec<Micros> = books.ledger.iter().map(|row| row.amount).collect();
    assert_eq!(credits, [bench.cards.taken()]);
    assert_eq!(books.ledger[0].kind, TransferKind::CardCredit);
    bench.verified().await;
}

#[tokio::test]
async fn an_action_that_waits_for_too_long_is_refused_and_charges_nothing_later() {
    let (bench, ann) = waiting().await;
    bench.advance("2026-03-15T00:02:00Z");
    bench.run("collect_payments").await;
    bench.cards.fall_silent(false);
    bench.advance("2026-03-20T00:00:00Z");
    bench.run("collect_payments").await;
    let books = bench.books().await;
    assert_eq!((books.ledger.len(), books.events.len()), (0, 1));
    assert_eq!(bench.cards.taken(), Micros::ZERO);
    // Asked for again, it is another charge.
    bench.act(ann, change_plan("ann-1", "large")).await;
    assert_eq!(bench.wallet("ann").await, bench.cards.taken());
}

/// An action behind one that waits has its own outcome, and each is done once.
#[tokio::test]
async fn an_action_behind_one_that_waits_is_done_once() {
    let (bench, ann) = waiting().await;
    let key = bench.cards.keys().remove(0);
    bench.office.store.intent_answer(ann, &key, Answer::Succeeded, bench.now()).await.expect("stored");
    bench.cards.fall_silent(false);
    bench.advance("2026-03-16T00:00:00Z");
    let acted = bench.office.act(ann, &create("ann-2", "large"), bench.now()).await;
    assert_eq!(acted.expect("no fault"), Ok(()));
    let told: Vec<String> = bench.books().await.events.into_iter().map(|event| event.kind).collect();
    assert_eq!(told, ["service.created", "service.changed", "service.created"]);
    bench.cards.script("ann", CardScript::Fails);
    let acted = bench.office.act(ann, &create("ann-3", "large"), bench.now()).await;
    assert_eq!(acted.expect("no fault"), Err(Refusal::PaymentFailed));
    bench.verified().await;
}

/// Whoever works on the books goes by the numbers of the daemon that started last, whatever it was given itself.
#[tokio::test]
async fn the_numbers_of_the_daemon_are_everybodys() {
    let bench = Bench::at("2026-03-02T12:00:00Z").await;
    let poor = bench.customer("poor", "term", 10).await;
    let patient = Policy { retention_days: 20, ..Policy::default() };
    bench.office.adopt(&patient).await.expect("adopted");
    bench.advance("2026-04-02T12:00:00Z");
    bench.run("renew_services").await;
    bench.advance("2026-04-06T12:00:00Z");
    let command = bench.another_office().await;
    assert_eq!(*command.policy(), patient);
    command.settle(&[poor], bench.now(), None).await.expect("no fault");
    let service = command.store.service("poor-1").await.expect("readable").expect("a service").service;
    let Kind::Term(term) = &service.kind else { panic!("{service:?}") };
    assert!(matches!(term.state, TermState::Suspended { stage: Stage::Retention, .. }), "{term:?}");
    assert_eq!(bench.due("end_retention").await, []);

    // A daemon with other numbers: what falls due by them is looked for at once.
    let hasty = Policy { retention_days: 3, ..Policy::default() };
    bench.another_office().await.adopt(&hasty).await.expect("adopted");
    assert_eq!(bench.due("end_retention").await, [poor]);
    bench.office.reload_if_moved().await.expect("read");
    assert_eq!(*bench.office.policy(), hasty);
    bench.verified().await;
    bench.run("end_retention").await;
    let events = bench.office.store.events(Some(poor)).await.expect("events");
    let removal = events.iter().find(|event| event.kind == "service.removal_queued").expect("an event");
    assert_eq!(removal.at, at("2026-04-06T12:00:00Z"), "not before it was settled to then");
}

/// A start that was cut off before all accounts fell due by new numbers is gone on with by the next one.
#[tokio::test]
async fn new_numbers_are_followed_by_every_account() {
    let bench = Bench::at("2026-03-02T12:00:00Z").await;
    let poor = bench.customer("poor", "term", 10).await;
    bench.advance("2026-04-02T12:00:00Z");
    bench.run("renew_services").await;
    let hasty = Policy { retention_days: 1, ..Policy::default() };
    assert!(!bench.office.store.policy_keep(&hasty, bench.now()).await.expect("kept"));
    bench.advance("2026-04-04T00:00:00Z");
    assert_eq!(bench.due("end_retention").await, []);
    bench.office.adopt(&hasty).await.expect("adopted");
    assert_eq!(bench.due("end_retention").await, [poor]);
    assert!(bench.office.store.policy_keep(&hasty, bench.now()).await.expect("kept"), "it is followed now");
}
