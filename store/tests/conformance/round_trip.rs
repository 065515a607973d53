//! What is committed is what is loaded.

use std::collections::BTreeMap;

use rules::{
    Account, Action, Answer, Basis, Daily, DailyState, DueKind, Event, EventKind, Intent, Invoice, Kind, Line,
    LineKind, Meter, Micros, Mode, Order, Period, Price, Priced, Purpose, Server, ServerState, Service, Stage,
    Standing, StopReason, Stretch, SuspendReason, Term, TermState, TransferKind, Trial, TrialTraffic, Tries, Usage,
    Waiting,
};
use store::{Commit, DueSeconds, Outcome, Scope};

use crate::books::{Books, NOTHING_DUE, NOW, STAMP, add_daily, book, changes, order, units};

const REASONS: [StopReason; 5] =
    [StopReason::InsufficientFunds, StopReason::Customer, StopReason::Unpaid, StopReason::Fraud, StopReason::Admin];

fn rich_order() -> Order {
    let quantities = [("disk_gb".to_owned(), Micros::new(1)), ("cpe".to_owned(), Micros::new(i64::MAX))];
    Order { plan: "a plan".into(), quantities: quantities.into(), options: ["b\"x".into(), "ä".into()].into() }
}

fn line(service: i64) -> Line {
    let part = Period::new(NOW, NOW.plus_days(3));
    let of = Priced { order: rich_order(), list: Some(NOW), price: Price::from_pico(i128::MAX) };
    Line { service, kind: LineKind::Prorated, period: part, amount: units(7), basis: Basis::Months { of, part } }
}

fn meter(service: i64) -> Meter {
    Meter {
        covered: true,
        overage_charged: Price::from_pico(1),
        level: Price::from_pico(-5),
        stretches: vec![Stretch { period: Period::day_of(NOW), price: Price::of(units(1)), order: rich_order() }],
        measured_since: Some(NOW),
        usage: BTreeMap::from([("traffic_gb".to_owned(), Usage { used: units(3), plan: "p".into() })]),
        trial_traffic: TrialTraffic { units: units(2), cost: Price::of(units(9)) },
        pending: vec![line(service)],
    }
}

/// A service of every mode in every state.
fn every_kind() -> Vec<Kind> {
    let paid = Period::new(NOW, NOW.plus_days(31));
    let disabled = REASONS.map(|reason| DailyState::Disabled { reason, at: NOW });
    let daily = [DailyState::Enabled, DailyState::Deleted].into_iter().chain(disabled);
    let mut kinds: Vec<Kind> = daily.map(|state| Kind::Daily(Daily { state, paid })).collect();
    let stages = [Stage::Paid { ends_with_period: true }, Stage::Paid { ends_with_period: false }, Stage::Retention];
    let suspended = stages.map(|stage| TermState::Suspended { reason: StopReason::Unpaid, stage });
    let term = [
        TermState::Active { ends_with_period: true },
        TermState::Active { ends_with_period: false },
        TermState::Cancelled,
        TermState::RemovalQueued,
        TermState::Removed,
    ];
    let term = term.into_iter().chain(suspended);
    kinds.extend(term.map(|state| Kind::Term(Term { months: 120, anchor: NOW, paid, state })));
    let server = [
        ServerState::Active,
        ServerState::Suspended { reason: StopReason::Fraud },
        ServerState::Terminated { at: NOW },
    ];
    for mode in [Mode::Monthly, Mode::Hourly] {
        kinds.extend(
            server.iter().map(|state| {
                Kind::Server(Box::new(Server { mode, state: *state, billable_from: NOW, meter: meter(0) }))
            }),
        );
    }
    let (mode, state) = (Mode::Hourly, ServerState::Terminated { at: NOW });
    kinds.push(Kind::Server(Box::new(Server { mode, state, billable_from: NOW, meter: Meter::default() })));
    kinds
}

/// Fills in all that an account can have, with what a decision about it writes.
fn rich(account: Account) -> rules::Changes {
    let mut changes = changes(account);
    for (index, kind) in (0..).zip(every_kind()) {
        let created_at = NOW.plus_secs(index / 2);
        let service = Service { number: index, name: format!("s{index}"), created_at, order: rich_order(), kind };
        changes.account.services.push(service);
        changes.services.push(index);
    }
    changes.account.next.service = 23;
    book(&mut changes, TransferKind::Deposit, units(20));
    book(&mut changes, TransferKind::InvoiceIssued, units(14));
    for kind in [
        EventKind::ServiceCreated,
        EventKind::ServiceDisabled(StopReason::Customer),
        EventKind::AccountSuspended(StopReason::Fraud),
    ] {
        let number = changes.account.next.event;
        changes.account.next.event += 1;
        changes.events.push(Event { number, at: NOW, kind, service: Some(0), invoice: None });
    }
    let tries =
        Tries { made: 3, first_is_due: true, first_failed_at: Some(NOW), done_until: NOW, new_card_at: Some(NOW) };
    let (total, paid) = (units(14), units(2));
    let open = Invoice {
        number: 0,
        issued_at: NOW,
        total,
        paid,
        credited: Micros::ZERO,
        written_off: Micros::ZERO,
        paid_at: None,
        credited_at: None,
        overdue: true,
        tries,
    };
    changes.lines = vec![(0, line(14)), (0, Line { service: 15, ..line(15) })];
    changes.invoices = vec![open.clone()];
    changes.account.invoices = vec![open];
    changes.account.next.invoice = 1;
    let intent = |key: &str, purpose| Intent {
        key: key.to_owned(),
        purpose,
        card: "pm_1".into(),
        amount: units(1),
        due_at: NOW,
        answer: None,
    };
    changes.account.intents = vec![
        intent("1/invoice/0/1", Purpose::Invoice { number: 0, attempt: 1 }),
        intent("1/overage/0", Purpose::Overage { service: "s1".into() }),
        intent("1/traffic/5", Purpose::Traffic { at: NOW }),
    ];
    changes.new_intents = changes.account.intents.clone();
    changes.account.trial = Some(Trial {
        ends_at: NOW.plus_days(30),
        ended: false,
        traffic_used: units(5),
        traffic_cost: Price::from_pico(i128::MIN),
        traffic_charged: units(1),
        traffic_due_after: NOW,
    });
    changes.account.waiting = Some(Waiting {
        at: NOW,
        action: Action::CreateService {
            service: "new".into(),
            plan: "p".into(),
            quantities: rich_order().quantities,
            options: rich_order().options,
        },
        key: "1/overage/0".into(),
    });
    changes.account.standing = Standing::Suspended(SuspendReason::Unpaid);
    changes.account.card = Some("pm_1".into());
    changes.account.resume_on_deposit = true;
    changes.account.verified = false;
    changes.account.daily_paid_until = NOW.next_midnight();
    changes.account.settled_at = NOW.plus_secs(5);
    changes
}

#[tokio::test]
async fn a_rich_account_comes_back_as_it_was() {
    let books = Books::new().await;
    let decided = rich(books.open_account("ann").await);
    let mut wanted = decided.account.clone();
    wanted.version += 1;
    let loaded = books.commit(decided).await;
    assert_eq!(loaded, wanted);

    let unfinished: Vec<_> =
        wanted.services.iter().filter(|service| !service.is_finished(wanted.invoiced_until)).collect();
    let settling = books.load_with(loaded.id, Scope::Unfinished).await;
    assert_eq!(settling.services.iter().collect::<Vec<_>>(), unfinished);
    assert!(unfinished.len() < wanted.services.len());
    let finished = wanted.services.iter().find(|service| service.is_finished(wanted.invoiced_until)).expect("one");
    let acting = books.load_with(loaded.id, Scope::With(&[&finished.name, "unknown", "s0"])).await;
    assert_eq!(acting.services.len(), unfinished.len() + 1);
    assert!(acting.service(&finished.name).is_some());
}

#[tokio::test]
async fn a_change_is_written_over_the_old() {
    let books = Books::new().await;
    let mut after = changes(books.commit(rich(books.open_account("ann").await)).await);
    let account = &mut after.account;
    account.trial = None;
    account.waiting = None;
    account.standing = Standing::Closed;
    for (service, kind) in account.services.iter_mut().zip(every_kind()) {
        service.order = order("another");
        if matches!(service.kind, Kind::Daily(_)) {
            let paid = Period::new(NOW.plus_days(1), NOW.plus_days(2));
            service.kind = Kind::Daily(Daily { state: DailyState::Deleted, paid });
        } else {
            service.kind = kind;
        }
        after.services.push(service.number);
    }
    let mut paid = account.invoices.remove(0);
    paid.paid = paid.total;
    paid.paid_at = Some(NOW);
    after.invoices.push(paid);
    let mut wanted = after.account.clone();
    wanted.version += 1;
    assert_eq!(books.commit(after).await, wanted);
}

#[tokio::test]
async fn a_stale_decision_writes_nothing() {
    let books = Books::new().await;
    let account = books.open_account("ann").await;
    let bob = books.open_account("bob").await;
    let mut first = changes(account.clone());
    book(&mut first, TransferKind::Deposit, units(10));
    add_daily(&mut first, "s1");
    let after = books.commit(first.clone()).await;
    assert_eq!((after.version, after.wallet), (account.version + 1, units(10)));

    let dump = books.dump().await;
    let stale = Commit { changes: first, due: NOTHING_DUE };
    let outcomes = books.store.commit(std::slice::from_ref(&stale), STAMP, None).await.expect("commit");
    assert_eq!(outcomes, [Outcome::Stale]);
    assert_eq!(books.dump().await, dump);

    let mut fresh = changes(bob.clone());
    book(&mut fresh, TransferKind::Deposit, units(3));
    let fresh = Commit { changes: fresh, due: NOTHING_DUE };
    let batch = [stale, fresh.clone(), fresh];
    let outcomes = books.store.commit(&batch, STAMP, None).await.expect("commit");
    assert_eq!(outcomes, [Outcome::Stale, Outcome::Written, Outcome::Stale]);
    assert_eq!(books.load(bob.id).await.wallet, units(3));
}

#[tokio::test]
async fn a_commit_that_is_cut_off_anywhere_leaves_nothing() {
    let books = Books::new().await;
    let decided = rich(books.open_account("ann").await);
    let bob = books.open_account("bob").await;
    let mut second = changes(bob);
    add_daily(&mut second, "bobs");
    let due: DueSeconds = NOTHING_DUE.map(|(kind, _)| (kind, Some(NOW)));
    let batch = [Commit { changes: decided, due }, Commit { changes: second, due }];
    let before = books.dump().await;
    let mut cuts = 0;
    loop {
        books.store.cut_after(cuts);
        match books.store.commit(&batch, STAMP, None).await {
            Err(store::StoreError::CutOff) => assert_eq!(books.dump().await, before, "after {cuts}"),
            Ok(outcomes) => {
                assert_eq!(outcomes, [Outcome::Written, Outcome::Written]);
                break;
            }
            Err(other) => panic!("{other}"),
        }
        cuts += 1;
    }
    assert!(cuts > 11, "{cuts}");
    assert_ne!(books.dump().await, before);
}

#[tokio::test]
async fn a_thousand_accounts_commit_at_once() {
    let books = Books::new().await;
    let mut batch = Vec::new();
    for index in 0..1000 {
        let account = books.open_account(&format!("a{index}")).await;
        let mut changes = changes(account);
        book(&mut changes, TransferKind::Deposit, units(1));
        add_daily(&mut changes, &format!("s{index}"));
        let mut due = NOTHING_DUE;
        due[0] = (DueKind::Daily, Some(NOW));
        due[1] = (DueKind::Term, Some(NOW.plus_secs(index)));
        batch.push(Commit { changes, due });
    }
    let outcomes = books.store.commit(&batch, STAMP, None).await.expect("commit");
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Written));
    let ids: Vec<_> = batch.iter().map(|commit| commit.changes.id()).collect();
    let loaded = books.store.accounts_load(&ids, Scope::Unfinished).await.expect("load");
    let names: Vec<String> =
        loaded.into_iter().map(|account| account.expect("readable").services[0].name.clone()).collect();
    assert_eq!(names, (0..1000).map(|index| format!("s{index}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_corrupt_row_costs_its_own_account_alone() {
    let books = Books::new().await;
    let ann = books.commit(rich(books.open_account("ann").await)).await;
    let bob = books.open_account("bob").await;
    for (break_it, mend_it) in [
        ("update services set meter = '{\"covered\": 7}' where number = 14", "update services set meter = '{}'"),
        ("update services set quantities = '['", "update services set quantities = '{}'"),
        (
            "update services set reason = 'bored' where number = 2",
            "update services set reason = 'fraud' where number = 2",
        ),
        ("update services set mode = 'yearly' where number = 1", "update services set mode = 'daily' where number = 1"),
        ("update accounts set waiting = '{}' where name = 'ann'", "update accounts set waiting = null"),
        ("update accounts set currency = 'XXL' where name = 'ann'", "update accounts set currency = 'USD'"),
        (
            "update accounts set state = 'gone' where name = 'ann'",
            "update accounts set state = 'suspended' where name = 'ann'",
        ),
        (
            "update accounts set trial_traffic_cost = 'dear' where name = 'ann'",
            "update accounts set trial_traffic_cost = '1' where name = 'ann'",
        ),
        ("update intents set purpose = '\"fun\"'", "update intents set purpose = '{\"traffic\":{\"at\":1}}'"),
    ] {
        books.tamper(break_it).await;
        let loaded = books.store.accounts_load(&[ann.id, bob.id], Scope::All).await.expect("load");
        let [Err(corrupt), Ok(fine)] = &loaded[..] else { panic!("{break_it}: {loaded:?}") };
        assert_eq!((corrupt.id, fine), (ann.id, &bob), "{break_it}");
        assert!(!corrupt.problem.is_empty());
        books.tamper(mend_it).await;
    }
    books.load(ann.id).await;
}

#[tokio::test]
async fn an_answer_is_used_only_as_it_stands() {
    let books = Books::new().await;
    let account = books.commit(rich(books.open_account("ann").await)).await;
    let key = account.intents[0].key.clone();
    let mut early = changes(account.clone());
    early.used_intents.push((key.clone(), Answer::Failed));
    assert_eq!(books.refused(early).await, "intent_is_used_once");
    books.store.intent_answer(account.id, &key, Answer::Succeeded, NOW).await.expect("answer");
    let account = books.load(account.id).await;
    assert_eq!(account.intents[0].answer, Some(Answer::Succeeded));
    let mut wrong = changes(account.clone());
    wrong.used_intents.push((key.clone(), Answer::Failed));
    assert_eq!(books.refused(wrong).await, "intent_is_used_once");
    let mut right = changes(account);
    right.used_intents.push((key, Answer::Succeeded));
    assert_eq!(books.commit(right).await.intents.len(), 2);
}
