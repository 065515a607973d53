//! What falls due is found; what is parked waits.

use rules::{AccountId, DueKind, Timestamp};
use store::{Backlog, Commit, Outcome};

use crate::books::{Books, NOTHING_DUE, NOW, STAMP, changes};

const ALL: (AccountId, AccountId) = (AccountId(0), AccountId(i64::MAX));

impl Books {
    async fn due_at(&self, id: AccountId, kind: DueKind, at: Option<Timestamp>) {
        let due = NOTHING_DUE.map(|(other, _)| (other, at.filter(|_| other == kind)));
        let batch = [Commit { changes: changes(self.load(id).await), due }];
        assert_eq!(self.store.commit(&batch, STAMP, None).await.expect("commit"), [Outcome::Written]);
    }

    async fn due(&self, kind: DueKind, now: Timestamp) -> Vec<i64> {
        let due = self.store.accounts_due(kind, now, ALL.0, ALL.1, 100).await.expect("due");
        due.into_iter().map(|id| id.0).collect()
    }
}

#[tokio::test]
async fn due_accounts_are_found_by_kind_second_and_range() {
    let books = Books::new().await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d"] {
        ids.push(books.open_account(name).await.id);
    }
    for kind in DueKind::ALL {
        assert_eq!(books.store.next_due(kind).await.expect("next"), None);
        books.due_at(ids[0], kind, Some(NOW.plus_secs(9))).await;
        books.due_at(ids[1], kind, Some(NOW.plus_secs(5))).await;
        books.due_at(ids[2], kind, Some(NOW.plus_secs(7))).await;
        assert_eq!(books.store.next_due(kind).await.expect("next"), Some(NOW.plus_secs(5)), "{kind:?}");
        assert_eq!(books.due(kind, NOW.plus_secs(4)).await, [0; 0]);
        assert_eq!(books.due(kind, NOW.plus_secs(7)).await, [2, 3]);
        assert_eq!(books.store.accounts_due_count(kind, NOW.plus_secs(9)).await.expect("count"), 3);
        let page = books.store.accounts_due(kind, NOW.plus_secs(9), ids[0], ids[1], 100).await.expect("due");
        assert_eq!(page, [ids[1]]);
        let first = books.store.accounts_due(kind, NOW.plus_secs(9), ALL.0, ALL.1, 1).await.expect("due");
        assert_eq!(first, [ids[0]]);
        books.due_at(ids[1], kind, None).await;
        assert_eq!(books.due(kind, NOW.plus_secs(8)).await, [3]);
        books.due_at(ids[0], kind, None).await;
        books.due_at(ids[2], kind, None).await;
        assert_eq!(books.store.next_due(kind).await.expect("next"), None);
    }
}

#[tokio::test]
async fn a_new_account_is_found_due() {
    let books = Books::new().await;
    let due = NOTHING_DUE.map(|(kind, _)| (kind, Some(NOW)));
    let id = books.store.account_insert(&crate::books::account("ann"), &due, NOW).await.expect("insert");
    for kind in DueKind::ALL {
        assert_eq!(books.due(kind, NOW).await, [id.0], "{kind:?}");
    }
}

#[tokio::test]
async fn parked_accounts_wait_for_their_next_try() {
    let books = Books::new().await;
    let ann = books.open_account("ann").await.id;
    let bob = books.open_account("bob").await.id;
    for kind in [DueKind::Daily, DueKind::Term] {
        for id in [ann, bob] {
            books.due_at(id, kind, Some(NOW)).await;
        }
        assert_eq!(books.store.park(ann, "it broke", NOW, NOW.plus_secs(60)).await.expect("park"), 1);
        assert_eq!(books.store.park(ann, "again", NOW.plus_secs(9), NOW.plus_secs(120)).await.expect("park"), 2);
        assert_eq!(books.due(kind, NOW.plus_secs(119)).await, [bob.0]);
        assert_eq!(books.due(kind, NOW.plus_secs(120)).await, [ann.0, bob.0]);
        // For a look ahead they all count, page by page.
        for (after, limit, found) in
            [(ALL.0, 100, &[ann, bob][..]), (ALL.0, 1, &[ann]), (ann, 100, &[bob]), (bob, 1, &[])]
        {
            let due = books.store.accounts_due_or_held(kind, NOW, after, limit).await.expect("due");
            assert_eq!(due, found);
        }
        for (later, count) in [(119, 1), (120, 2)] {
            assert_eq!(books.store.accounts_due_count(kind, NOW.plus_secs(later)).await.expect("count"), count);
        }
        let parked = books.store.parked().await.expect("list");
        assert_eq!(parked.len(), 1);
        assert_eq!((parked[0].name.as_str(), parked[0].error.as_str(), parked[0].parked_at), ("ann", "again", NOW));
        books.store.unpark(&[ann, bob]).await.expect("unpark");
        assert!(books.store.parked().await.expect("list").is_empty());
        assert_eq!(books.due(kind, NOW).await, [ann.0, bob.0]);
    }
}

#[tokio::test]
async fn a_backlog_is_counted_since_its_oldest() {
    let books = Books::new().await;
    let (ann, bob) = (books.open_account("ann").await.id, books.open_account("bob").await.id);
    let (kind, store) = (DueKind::Term, &books.store);
    let backlog = |count, oldest| Backlog { count, oldest };
    assert_eq!(store.due_backlog(kind, NOW).await.expect("none"), backlog(0, None));
    books.due_at(ann, kind, Some(NOW.plus_secs(-60))).await;
    books.due_at(bob, kind, Some(NOW.plus_secs(9))).await;
    assert_eq!(store.due_backlog(kind, NOW).await.expect("one"), backlog(1, Some(NOW.plus_secs(-60))));
    assert_eq!(store.due_backlog(DueKind::Trial, NOW).await.expect("another kind"), backlog(0, None));
    assert_eq!(store.due_backlog(kind, NOW.plus_secs(9)).await.expect("both").count, 2);
    // What is parked is told as that alone.
    assert_eq!(store.parked_backlog().await.expect("none"), backlog(0, None));
    store.park(ann, "it broke", NOW, NOW.plus_secs(60)).await.expect("park");
    store.park(ann, "again", NOW.plus_secs(9), NOW.plus_secs(60)).await.expect("park");
    assert_eq!(store.due_backlog(kind, NOW.plus_secs(9)).await.expect("one"), backlog(1, Some(NOW.plus_secs(9))));
    assert_eq!(store.parked_backlog().await.expect("one"), backlog(1, Some(NOW)));
}

#[tokio::test]
async fn one_daemon_tries_what_is_parked() {
    let books = Books::new().await;
    let ann = books.open_account("ann").await.id;
    books.store.park(ann, "it broke", NOW, NOW).await.expect("park");
    let until = NOW.plus_secs(60);
    let (one, other) = tokio::join!(books.store.parked_claim(NOW, until, 10), books.store.parked_claim(NOW, until, 10));
    assert_eq!([one.expect("claim"), other.expect("claim")].concat(), [ann]);
    // If that one died at it, another one does.
    assert_eq!(books.store.parked_claim(until, until.plus_secs(60), 10).await.expect("claim"), [ann]);
}

#[tokio::test]
async fn accounts_are_listed_in_ranges() {
    let books = Books::new().await;
    assert_eq!(books.store.account_ids_range().await.expect("range"), None);
    for name in ["b", "B", "a"] {
        books.open_account(name).await;
    }
    assert_eq!(books.store.account_ids_range().await.expect("range"), Some((AccountId(1), AccountId(3))));
    let ids = books.store.account_ids(AccountId(1), AccountId(3), 10).await.expect("ids");
    assert_eq!(ids, [AccountId(2), AccountId(3)]);
    let by_name = books.store.accounts_by_name("", 2).await.expect("accounts");
    assert_eq!(by_name.iter().map(|account| account.name.as_str()).collect::<Vec<_>>(), ["B", "a"]);
}
