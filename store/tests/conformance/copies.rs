//! The fence around a copy.

use store::{Commit, NewFence, NewNote, Note, Opening, Store, StoreError};

use crate::books::{Books, NOTHING_DUE, NOW, STAMP, account, changes};

const FENCE: NewFence<'_> = NewFence { taken_at: None, at: NOW, by: "ann", reason: "a copy" };

fn is_fenced<T: std::fmt::Debug>(found: &store::Result<T>) -> bool {
    matches!(found, Err(StoreError::Fenced { .. }))
}

#[tokio::test]
async fn behind_its_fence_nothing_is_changed() {
    let books = Books::new().await;
    let store = &books.store;
    let decided = [Commit { changes: changes(books.open_account("ann").await), due: NOTHING_DUE }];
    store.heartbeat(NOW.plus_secs(-60)).await.expect("alive");
    assert_eq!(store.fence().await.expect("readable"), None);
    assert!(!store.fence_lift(NOW, "ann", "none").await.expect("asked"));
    assert!(store.fence_raise(FENCE).await.expect("raised"));
    assert!(!store.fence_raise(NewFence { reason: "again", ..FENCE }).await.expect("it stands"));
    let before = books.dump().await;
    for refused in [
        store.refuse_changes().await,
        store.refuse_fenced().await,
        store.heartbeat(NOW).await,
        store.commit(&decided, STAMP, None).await.map(|_| ()),
        store.account_insert(&account("bob"), &NOTHING_DUE, NOW).await.map(|_| ()),
        store.move_begin("a-move", "elsewhere", NOW).await,
    ] {
        assert!(is_fenced(&refused), "{refused:?}");
    }
    for opening in [Opening::serving(NOW), Opening::beside(), Opening::reading()] {
        let copy = Store::open(&books.url(), opening).await.expect("to be read");
        assert!(copy.account_id("ann").await.expect("readable").is_some());
        assert!(copy.fence().await.expect("readable").is_some());
        copy.close().await;
    }
    assert_eq!(books.dump().await, before);
    let fence = store.fence().await.expect("readable").expect("one");
    // Unless somebody knows better: the last second at which somebody was alive.
    assert_eq!((fence.taken_at, fence.raised_at, fence.reason.as_str()), (NOW.plus_secs(-60), NOW, "a copy"));

    let note = Note::new(NewNote {
        request: "r".to_owned(),
        at: NOW,
        actor: "cli:ann".to_owned(),
        action: "fence lift".to_owned(),
        object: String::new(),
        account: None,
        repeatable: None,
    });
    assert!(store.noting(note.into()).fence_lift(NOW, "ann", "it is gone").await.expect("lifted"));
    assert!(!store.fence_lift(NOW, "ann", "again").await.expect("asked"));
    store.commit(&decided, STAMP, None).await.expect("they go on");
    assert_eq!(store.audit_seal(10).await.expect("sealed"), 1);
    let log = store.audit_page(None, 0, 10).await.expect("the log");
    assert_eq!(log.iter().map(|row| row.action.as_str()).collect::<Vec<_>>(), ["fence lift"]);
    let lifted = store.fences().await.expect("readable").pop().expect("one").lifted;
    assert_eq!(lifted, Some((NOW, "ann".to_owned(), "it is gone".to_owned())));
    // What was stays, and another one may come.
    for statement in ["update fences set lifted_at = 1", "update fences set reason = 'x'", "delete from fences"] {
        let refused = books.try_sql(statement).await.expect_err(statement);
        assert!(refused.contains("fence_"), "{statement}: {refused}");
    }
    assert!(store.fence_raise(NewFence { taken_at: Some(NOW), ..FENCE }).await.expect("raised"));
    assert_eq!(store.fences().await.expect("readable").len(), 2);
}

/// A copy that came back has its fence and another name than its original.
#[tokio::test]
async fn a_restored_copy_is_called_otherwise() {
    let books = Books::new().await;
    let before = books.dump().await;
    books.store.fence_restored(FENCE).await.expect("fenced");
    books.store.fence_restored(NewFence { reason: "twice", ..FENCE }).await.expect("fenced");
    let fences = books.store.fences().await.expect("readable");
    assert_eq!(fences.iter().map(|fence| fence.reason.as_str()).collect::<Vec<_>>(), ["a copy"]);
    let after = books.dump().await;
    let named = |dump: &str| dump.split("identity").nth(1).and_then(|rest| rest.lines().nth(1)).map(str::to_owned);
    assert!(named(&before).is_some() && named(&before) != named(&after), "{after}");
}

#[tokio::test]
async fn who_serves_books_elsewhere_finds_a_copy() {
    let books = Books::new().await;
    assert_eq!(books.store.come_home(NOW, "w").await.expect("home"), None);
    assert_eq!(books.store.come_home(NOW, "w").await.expect("home"), None);
    if !crate::ON_POSTGRES {
        return;
    }
    let copy = books.copy().await;
    assert!(copy.store.come_home(NOW, "w").await.expect("asked").is_some());
    assert!(copy.store.come_home(NOW, "w").await.expect("asked").is_some());
    assert!(copy.store.fence_lift(NOW, "ann", "moved").await.expect("lifted"));
    assert_eq!(copy.store.come_home(NOW, "w").await.expect("home"), None);
}
