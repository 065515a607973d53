use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rules::{Account, AccountId, Changes, Micros};
use store::{NewNote, Note, ReceiptRow, Told};

use crate::testing::{Bench, at, units};
use crate::till::{Deposit, Paid};

const BILLING: &str = "bill_instances";
const START: &str = "2026-03-01T12:00:00Z";

fn deposit(account: AccountId, payment: &str, amount: Micros) -> Deposit {
    static REQUEST: AtomicU32 = AtomicU32::new(0);
    let note = Note::new(NewNote {
        request: REQUEST.fetch_add(1, Ordering::Relaxed).to_string(),
        at: at(START),
        actor: "test".to_owned(),
        action: "deposit".to_owned(),
        object: payment.to_owned(),
        account: Some(account),
        repeatable: None,
    });
    let tells = |before: &Account, changes: &Changes, kept: ReceiptRow| Told {
        before: Some(before.wallet.to_string()),
        answer: Some((201, format!("{} {} {}", kept.payment, kept.amount, changes.account.wallet))),
        ..Told::default()
    };
    let payment = payment.to_owned();
    Deposit { account, provider: "test", payment, amount, note: Arc::new(note), tells: Box::new(tells) }
}

/// Hands them in all at once.
async fn pay(bench: &Bench, deposits: Vec<Deposit>) -> Vec<Paid> {
    let paying = deposits.into_iter().map(|deposit| {
        let office = bench.office.clone();
        tokio::spawn(async move { office.deposit(deposit).await })
    });
    let mut paid = Vec::new();
    for paying in paying.collect::<Vec<_>>() {
        paid.push(paying.await.expect("no panic"));
    }
    paid
}

/// Twenty accounts with an instance each, disabled for want of money.
async fn poor() -> (Bench, Vec<AccountId>) {
    let bench = Bench::at(START).await;
    let mut accounts = Vec::new();
    for number in 0..20 {
        accounts.push(bench.customer(&format!("poor-{number:02}"), "daily", 10).await);
    }
    bench.advance("2026-03-03T00:00:00Z");
    bench.run(BILLING).await.expect("a run");
    bench.advance("2026-03-03T09:00:00Z");
    (bench, accounts)
}

#[tokio::test]
async fn many_at_once_leave_the_books_of_one_by_one() {
    let (alone, accounts) = poor().await;
    for (number, account) in accounts.iter().enumerate() {
        alone.receive(*account, &format!("p-{number}"), 25).await;
        alone.office.settle_and_collect(&[*account], alone.now()).await.expect("settled");
    }

    let (together, accounts) = poor().await;
    let commits = || together.office.meter.commits.read()[""].count;
    let before = commits();
    let deposits: Vec<Deposit> = accounts
        .iter()
        .enumerate()
        .map(|(number, account)| deposit(*account, &format!("p-{number}"), units(25)))
        .collect();
    let notes: Vec<Arc<Note>> = deposits.iter().map(|deposit| deposit.note.clone()).collect();
    assert_eq!(pay(&together, deposits).await, [Paid::Booked; 20]);
    assert!(commits() - before < 10, "{} commits", commits() - before);
    assert_eq!(together.books().await, alone.books().await);
    for (number, note) in notes.iter().enumerate() {
        let wallet = together.wallet(&format!("poor-{number:02}")).await;
        assert_eq!(note.answer(), Some((201, format!("p-{number} 25.000000 {wallet}"))));
        let known = together.office.store.receipt("test", &format!("p-{number}"), rules::ReceiptKind::Deposit).await;
        let known = known.expect("asked").expect("a receipt");
        assert_eq!((known.received_at, known.effective_at), (together.now(), Some(together.now())));
    }
    while together.office.store.audit_seal(100).await.expect("sealed") > 0 {}
    let logged = together.office.store.audit_page(None, 0, 100).await.expect("a page");
    assert_eq!(logged.iter().filter(|row| row.action == "deposit" && row.account.is_some()).count(), 20);
    together.verified().await;
}

#[tokio::test]
async fn each_payment_counts_once_however_many_come_for_one_account() {
    let bench = Bench::at(START).await;
    let (ann, bob) = (bench.open("ann", 0).await, bench.open("bob", 0).await);
    let mut deposits: Vec<Deposit> = (0..10).map(|number| deposit(ann, &format!("p-{number}"), units(1))).collect();
    deposits.push(deposit(bob, "p-3", units(1)));
    deposits.push(deposit(ann, "p-4", units(1)));
    let paid = pay(&bench, deposits).await;
    assert_eq!(paid.iter().filter(|paid| **paid == Paid::Booked).count(), 10, "{paid:?}");
    assert_eq!(paid.iter().filter(|paid| **paid == Paid::NotHere).count(), 2, "{paid:?}");
    let both = bench.wallet("ann").await.get() + bench.wallet("bob").await.get();
    assert_eq!(Micros::new(both), units(10));
    bench.verified().await;
}

#[tokio::test]
async fn what_is_not_simple_is_left_and_keeps_nobody() {
    let bench = Bench::at(START).await;
    let closed = bench.open("closed", 0).await;
    bench.act(closed, rules::Action::CloseAccount { rest: None }).await;
    let (known, waits, ann) =
        (bench.open("known", 0).await, bench.customer("waits", "daily", 10).await, bench.open("ann", 0).await);
    bench.receive(known, "p-1", 5).await;
    crate::enrol(&bench.office.store, bench.now()).await.expect("enrolled");
    bench.office.store.job_pause(BILLING, "test", "test", bench.now()).await.expect("paused");
    bench.advance("2026-03-02T00:00:00Z");
    bench.office.reload().await.expect("read");
    let before = bench.books().await;
    let deposits = vec![
        deposit(closed, "p-0", units(5)),
        deposit(known, "p-1", units(5)),
        deposit(waits, "p-2", units(5)),
        deposit(ann, "p-3", Micros::new(5_000_001)),
        deposit(AccountId(99), "p-4", units(5)),
    ];
    let notes: Vec<Arc<Note>> = deposits.iter().map(|deposit| deposit.note.clone()).collect();
    assert_eq!(pay(&bench, deposits).await, [Paid::NotHere; 5]);
    assert_eq!(bench.books().await, before);
    assert!(notes.iter().all(|note| note.answer().is_none()));
    assert_eq!(bench.office.store.audit_seal(100).await.expect("asked"), 0);
    assert_eq!(
        pay(&bench, vec![deposit(closed, "p-0", units(5)), deposit(ann, "p-3", units(5))]).await,
        [Paid::NotHere, Paid::Booked]
    );
}

#[tokio::test]
async fn a_commit_that_is_cut_off_leaves_nothing_of_any() {
    let bench = Bench::at(START).await;
    let (ann, bob) = (bench.open("ann", 0).await, bench.open("bob", 0).await);
    let before = bench.books().await;
    let mut cut = 0;
    loop {
        bench.office.store.cut_after(cut);
        let deposits = vec![deposit(ann, "p-1", units(5)), deposit(bob, "p-2", units(5))];
        let paid = bench.office.book(&deposits).await;
        if paid == [Paid::Booked; 2] {
            break;
        }
        assert_eq!(paid, [Paid::NotHere; 2]);
        assert_eq!(bench.books().await, before, "after {cut} statements");
        assert_eq!(bench.office.store.accounts_with_receipts(10).await.expect("asked"), []);
        cut += 1;
    }
    assert!(cut > 5, "{cut} statements");
    assert_eq!((bench.wallet("ann").await, bench.wallet("bob").await), (units(5), units(5)));
    bench.verified().await;
}

/// Another daemon works on the same accounts meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_daemons_none_books_over_the_other() {
    let bench = Bench::at(START).await;
    let ann = bench.open("ann", 0).await;
    let other = bench.another_office().await;
    let (mut here, mut there) = (0, 0);
    for number in 0..20 {
        let (ours, theirs) = tokio::join!(
            bench.office.deposit(deposit(ann, &format!("here-{number}"), units(1))),
            other.deposit(deposit(ann, &format!("there-{number}"), units(1)))
        );
        here += i64::from(ours == Paid::Booked);
        there += i64::from(theirs == Paid::Booked);
    }
    assert!(here + there >= 20, "{here} and {there}");
    assert_eq!(bench.wallet("ann").await, units(here + there));
    bench.verified().await;
}
