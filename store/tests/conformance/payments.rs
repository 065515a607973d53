//! Money from outside: answers and receipts, each counted once.

use rules::{AccountId, Answer, Intent, Micros, Purpose, ReceiptKind, Timestamp};
use store::{Answered, Backlog, NewReceipt};

use crate::books::{Books, NOW, STAMP, changes, units};

fn deposit(account: AccountId, payment: &str) -> NewReceipt<'_> {
    let (kind, amount) = (ReceiptKind::Deposit, units(5));
    NewReceipt { account, provider: "stripe", payment, kind, amount, provider_at: Some(NOW) }
}

#[tokio::test]
async fn a_receipt_is_taken_and_applied_once() {
    let books = Books::new().await;
    let ann = books.open_account("ann").await;
    let receipt = deposit(ann.id, "pi_1");
    assert!(books.store.receipt_insert(&receipt, NOW.plus_secs(5)).await.expect("first"));
    assert!(!books.store.receipt_insert(&receipt, NOW.plus_secs(6)).await.expect("again"));
    let dispute = NewReceipt { kind: ReceiptKind::Dispute, ..receipt };
    assert!(books.store.receipt_insert(&dispute, NOW.plus_secs(4)).await.expect("another kind"));
    assert_eq!(books.store.accounts_with_receipts(10).await.expect("list"), [ann.id]);
    let waiting = Backlog { count: 2, oldest: Some(NOW.plus_secs(4)) };
    assert_eq!(books.store.receipts_backlog().await.expect("both"), waiting);
    books.store.park(ann.id, "it broke", NOW, NOW.plus_secs(60)).await.expect("park");
    for (later, wanted) in [(59, &[][..]), (60, &[ann.id])] {
        let at = NOW.plus_secs(later);
        let due =
            books.store.accounts_with_receipts_due(at, AccountId(0), AccountId(i64::MAX), 10).await.expect("list");
        let count = books.store.accounts_with_receipts_due_count(at).await.expect("a count");
        assert_eq!(usize::try_from(count), Ok(due.len()));
        assert_eq!(due, wanted);
    }
    books.store.unpark(&[ann.id]).await.expect("unpark");

    let loaded = books.load(ann.id).await;
    // A decision that doesn't know of the money is stale.
    assert_ne!(loaded.version, ann.version);
    let order: Vec<_> = loaded.receipts.iter().map(|receipt| (receipt.received_at, receipt.kind)).collect();
    assert_eq!(order, [(NOW.plus_secs(4), ReceiptKind::Dispute), (NOW.plus_secs(5), ReceiptKind::Deposit)]);

    let mut applied = changes(loaded.clone());
    applied.used_receipts = loaded.receipts.iter().map(|receipt| (receipt.id, receipt.received_at)).collect();
    let after = books.commit(applied.clone()).await;
    assert!(after.receipts.is_empty());
    assert!(books.store.accounts_with_receipts(10).await.expect("list").is_empty());
    assert_eq!(books.store.receipts_backlog().await.expect("none"), Backlog::default());
    applied.account = after;
    assert_eq!(books.refused(applied).await, "receipt_is_applied_once");
}

#[tokio::test]
async fn a_receipt_is_of_its_own_account_and_no_earlier_than_it() {
    let books = Books::new().await;
    let ann = books.open_account("ann").await;
    let bob = books.open_account("bob").await;
    assert!(books.store.receipt_insert(&deposit(ann.id, "pi_1"), Timestamp::from_secs(5)).await.expect("early"));
    let id = books.load(ann.id).await.receipts[0].id;
    assert_eq!(books.load(ann.id).await.receipts[0].received_at, ann.settled_at);
    let mut stolen = changes(bob);
    stolen.used_receipts.push((id, NOW));
    assert_eq!(books.refused(stolen).await, "receipt_is_applied_once");
    let unknown = books.store.receipt_insert(&deposit(AccountId(77), "pi_2"), NOW).await;
    assert!(matches!(unknown, Err(store::StoreError::NotFound { what: "account", .. })), "{unknown:?}");
}

#[tokio::test]
async fn the_first_answer_stands_and_a_late_success_is_money() {
    let books = Books::new().await;
    let ann = books.open_account("ann").await;
    let mut asked = changes(ann);
    for (key, due_at) in [("k2", NOW), ("k1", NOW), ("k3", NOW.plus_secs(-9))] {
        let (purpose, card) = (Purpose::Traffic { at: NOW }, "pm_1".to_owned());
        asked.new_intents.push(Intent { key: key.into(), purpose, card, amount: units(3), due_at, answer: None });
    }
    let ann = books.commit(asked).await;
    let open = books.store.intents_open(10).await.expect("open");
    assert_eq!(open.iter().map(|open| open.intent.key.as_str()).collect::<Vec<_>>(), ["k3", "k1", "k2"]);
    let waiting = Backlog { count: 3, oldest: Some(STAMP.recorded_at) };
    assert_eq!(books.store.intents_backlog().await.expect("all"), waiting);

    let answers = [
        ("k1", Answer::Pending, Answered::First),
        ("k1", Answer::Pending, Answered::Known),
        ("k1", Answer::Succeeded, Answered::Late),
        ("k1", Answer::Succeeded, Answered::Known),
        ("k2", Answer::Failed, Answered::First),
        ("k2", Answer::Succeeded, Answered::Known),
        ("k3", Answer::Pending, Answered::First),
        ("k3", Answer::Failed, Answered::Late),
    ];
    for (key, answer, wanted) in answers {
        let answered = books.store.intent_answer(ann.id, key, answer, NOW.plus_secs(120)).await.expect("answer");
        assert_eq!(answered, wanted, "{key} {answer:?}");
    }
    assert!(books.store.intents_open(10).await.expect("open").is_empty());
    assert_eq!(books.store.intents_backlog().await.expect("none"), Backlog::default());
    let loaded = books.load(ann.id).await;
    let known: Vec<_> = loaded.intents.iter().map(|intent| (intent.key.as_str(), intent.answer)).collect();
    assert_eq!(known, [("k3", Some(Answer::Pending)), ("k1", Some(Answer::Pending)), ("k2", Some(Answer::Failed))]);
    let [receipt] = &loaded.receipts[..] else { panic!("{:?}", loaded.receipts) };
    assert_eq!(
        (receipt.kind, receipt.amount, receipt.received_at),
        (ReceiptKind::LateCardSuccess, units(3), NOW.plus_secs(120))
    );
    let unknown = books.store.intent_answer(ann.id, "k9", Answer::Failed, NOW).await;
    assert!(matches!(unknown, Err(store::StoreError::NotFound { what: "intent", .. })), "{unknown:?}");
    for sql in [
        "update intents set answer = 'failed' where key = 'k1'",
        "update intents set amount = 1",
        "update receipts set amount = 1",
    ] {
        assert!(books.try_sql(sql).await.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn a_key_is_one_charge() {
    let books = Books::new().await;
    for (name, refused) in [("ann", false), ("bob", true)] {
        let mut asked = changes(books.open_account(name).await);
        let (purpose, card) = (Purpose::Traffic { at: NOW }, "pm_1".to_owned());
        asked.new_intents.push(Intent {
            key: "k".into(),
            purpose,
            card,
            amount: Micros::new(1),
            due_at: NOW,
            answer: None,
        });
        if refused {
            assert_eq!(books.refused(asked).await, "intent_key_is_free");
        } else {
            books.commit(asked).await;
        }
    }
}
