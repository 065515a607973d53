//! Keys, requests that may come again, and the audit log.

use std::sync::Arc;

use rules::{Changes, TransferKind};
use store::{Commit, KeyId, KeyScope, NewKey, NewNote, Note, Outcome, Repeatable, StoreError, Told};

use crate::books::{Books, NOTHING_DUE, NOW, STAMP, book, changes, units};

async fn key(books: &Books, prefix: &str) -> KeyId {
    let digest = "d".repeat(64);
    let (scope, account, expires_at) = (KeyScope::Panel, None, Some(NOW.plus_secs(60)));
    let new =
        NewKey { prefix, digest: &digest, name: "panel", scope, account, made_by: None, created_by: "ann", expires_at };
    books.store.key_insert(&new, NOW).await.expect("kept");
    books.store.key(prefix).await.expect("readable").expect("the key").id
}

fn note(request: &str, key: KeyId) -> NewNote {
    let repeatable = Repeatable { key, idempotency_key: "once".to_owned(), digest: "body".to_owned() };
    NewNote {
        request: request.to_owned(),
        at: NOW,
        actor: "key:panel".to_owned(),
        action: "adjust".to_owned(),
        object: "account ann".to_owned(),
        account: None,
        repeatable: Some(repeatable),
    }
}

#[tokio::test]
async fn a_key_is_good_until_it_expires_or_is_revoked() {
    let books = Books::new().await;
    let (store, id) = (&books.store, key(&books, "0a1b2c3d4e5f").await);
    let known = store.key("0a1b2c3d4e5f").await.expect("readable").expect("the key");
    assert!(known.is_good(NOW) && known.is_good(NOW.plus_secs(59)) && !known.is_good(NOW.plus_secs(60)));
    store.keys_used(&[id], NOW.plus_secs(5)).await.expect("noted");
    assert!(store.key_revoke("0a1b2c3d4e5f", "bob", NOW.plus_secs(9)).await.expect("revoked"));
    assert!(!store.key_revoke("0a1b2c3d4e5f", "eve", NOW.plus_secs(10)).await.expect("asked"));
    let listed = store.keys().await.expect("keys");
    let [revoked] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((revoked.last_used_at, revoked.revoked_at), (Some(NOW.plus_secs(5)), Some(NOW.plus_secs(9))));
    assert!(!revoked.is_good(NOW));
    for (what, forged) in [
        ("api_key_stays", "update api_keys set scope = 'admin'"),
        ("api_key_stays", "update api_keys set revoked_at = null, revoked_by = null"),
        (
            "api_key_prefix_is_free",
            "insert into api_keys (prefix, digest, name, scope, created_at, created_by)
            select prefix, digest, name, scope, created_at, created_by from api_keys",
        ),
        (
            "api_key_is_of_an_account",
            "insert into api_keys (prefix, digest, name, scope, created_at, created_by)
            select 'x', digest, name, 'account', created_at, created_by from api_keys",
        ),
    ] {
        let refused = books.try_sql(forged).await.expect_err(forged).to_string();
        assert!(refused.contains(what) || refused.contains("UNIQUE"), "{forged}: {refused}");
    }
    let secret = store.id_secret("first").await.expect("made");
    assert_eq!((secret.as_str(), store.id_secret("second").await.expect("kept").as_str()), ("first", "first"));
}

#[tokio::test]
async fn a_request_is_written_with_its_change_and_once() {
    let books = Books::new().await;
    let (store, key) = (&books.store, key(&books, "0a1b2c3d4e5f").await);
    let ann = books.open_account("ann").await;
    let commit = async |noted: &store::Store, account: &rules::Account| {
        let mut moved: Changes = changes(account.clone());
        book(&mut moved, TransferKind::Deposit, units(1));
        noted.tell_note(&moved);
        let batch = [Commit { changes: moved, due: NOTHING_DUE }];
        noted.commit(&batch, STAMP, None).await
    };
    let one = Arc::new(Note::new(note("r1", key)).telling(|changes| Told {
        after: Some(changes.account.wallet.to_string()),
        answer: Some((201, "{}".to_owned())),
        ..Told::default()
    }));
    let noted = store.noting(one);
    assert_eq!(commit(&noted, &ann).await.expect("committed"), [Outcome::Written]);
    // A stale decision leaves nothing behind.
    let mut second = note("r2", key);
    second.repeatable = None;
    let stale = store.noting(Arc::new(Note::new(second)));
    assert_eq!(commit(&stale, &ann).await.expect("asked"), [Outcome::Stale]);
    // Another try of the same request is told so, and writes nothing.
    let moved = books.load(ann.id).await;
    let again = store.noting(Arc::new(Note::new(note("r3", key))));
    assert!(matches!(commit(&again, &moved).await, Err(StoreError::DoneBefore)));
    assert_eq!(books.load(ann.id).await, moved);
    let known = store.request_done(key, "once").await.expect("readable").expect("the request");
    assert_eq!((known.at, known.answer), (NOW, Some((201, "{}".to_owned()))));
    // What is not sealed yet has no place in the log.
    assert_eq!(store.audit_page(None, 0, 9).await.expect("the log"), []);
    assert_eq!(store.audit_seal(9).await.expect("sealed"), 1);
    let log = store.audit_page(None, 0, 9).await.expect("the log");
    let [row] = log.as_slice() else { panic!("{log:?}") };
    assert_eq!((row.request.as_str(), row.after.as_deref()), ("r1", Some("1.000000")));
    // After a day nobody asks for the answer any more.
    assert_eq!(store.requests_forget(NOW.plus_secs(1), 10).await.expect("forgotten"), 1);
    assert_eq!(store.request_done(key, "once").await.expect("readable"), None);
}

#[tokio::test]
async fn an_answer_that_came_late_is_kept_and_stays() {
    let books = Books::new().await;
    let (store, key) = (&books.store, key(&books, "0a1b2c3d4e5f").await);
    let new = note("r1", key);
    let repeatable = new.repeatable.clone().expect("repeatable");
    store.note_alone(&Note::new(new)).await.expect("kept");
    assert_eq!(store.request_done(key, "once").await.expect("readable").expect("the request").answer, None);
    for body in ["first", "second"] {
        store.request_answer(&repeatable, (200, body)).await.expect("kept");
    }
    let known = store.request_done(key, "once").await.expect("readable").expect("the request");
    assert_eq!(known.answer, Some((200, "first".to_owned())));
}

#[tokio::test]
async fn the_audit_log_is_sealed_in_its_order_and_stays() {
    let books = Books::new().await;
    let store = &books.store;
    assert_eq!(store.audit_seal(10).await.expect("sealed"), 0);
    for number in 0..5 {
        let mut new = note(&format!("r{number}"), KeyId(0));
        new.repeatable = None;
        store.note_alone(&Note::new(new)).await.expect("kept");
    }
    let waiting = |count, oldest| store::Backlog { count, oldest };
    assert_eq!(store.audit_backlog().await.expect("all"), waiting(5, Some(NOW)));
    assert_eq!(store.audit_seal(3).await.expect("sealed"), 3);
    assert_eq!(store.audit_backlog().await.expect("some"), waiting(2, Some(NOW)));
    assert_eq!(store.audit_seal(3).await.expect("sealed"), 2);
    assert_eq!(store.audit_backlog().await.expect("none"), waiting(0, None));
    let log = store.audit_page(None, 0, 9).await.expect("the log");
    let mut before = String::new();
    for (row, place) in log.iter().zip(1..) {
        let (sealed, hash) = row.seal.clone().expect("a seal");
        assert_eq!((sealed, &hash), (place, &row.hash(&before).expect("a hash")));
        before = hash;
    }
    assert_eq!(store.audit_hash(5).await.expect("readable").as_ref(), Some(&before));
    assert_eq!(store.audit_hash(6).await.expect("readable"), None);
    assert_eq!(store.audit_head().await.expect("readable"), (5, before));
    assert_eq!(store.verify(None, &rules::Policy::default()).await.expect("verified"), []);
    for forged in ["update audit_log set actor = 'nobody'", "delete from audit_log", "update audit_log set hash = 'x'"]
    {
        let refused = books.try_sql(forged).await.expect_err(forged).to_string();
        assert!(refused.contains("audit_log_"), "{forged}: {refused}");
    }
}

/// Several daemons seal at the same time, while others write.
#[tokio::test]
async fn the_log_is_one_chain_whoever_seals_it() {
    let books = Books::new().await;
    let store = &books.store;
    let write = async |number: i64| {
        let mut new = note(&format!("r{number}"), KeyId(0));
        new.repeatable = None;
        store.note_alone(&Note::new(new)).await.expect("kept");
    };
    for round in 0..20 {
        let seal = || store.audit_seal(7);
        let (_, one, other, third) = tokio::join!(write(round), seal(), seal(), seal());
        for sealed in [one, other, third] {
            sealed.expect("sealed by somebody");
        }
    }
    while store.audit_seal(7).await.expect("sealed") > 0 {}
    assert_eq!(store.audit_head().await.expect("readable").0, 20);
    assert_eq!(store.verify(None, &rules::Policy::default()).await.expect("verified"), []);
}

#[tokio::test]
async fn parts_of_a_request_are_done_each_by_itself() {
    let books = Books::new().await;
    let (store, key) = (&books.store, key(&books, "0a1b2c3d4e5f").await);
    let whole = note("r", key).repeatable.expect("repeatable");
    for number in [0, 2] {
        let mut new = note(&format!("r-{number}"), key);
        new.repeatable = Some(whole.part(number));
        store.note_alone(&Note::new(new)).await.expect("kept");
    }
    store.request_answer(&whole.part(2), (409, "{}")).await.expect("kept");
    // One of another request, whose key begins alike.
    let mut other = note("other", key);
    other.repeatable = Some(Repeatable { idempotency_key: "once-more".to_owned(), ..whole.clone() });
    store.note_alone(&Note::new(other)).await.expect("kept");
    let parts = store.request_parts_done(key, "once").await.expect("readable");
    let answers: Vec<_> = parts.iter().map(|(number, done)| (*number, done.answer.clone())).collect();
    assert_eq!(answers, [(0, None), (2, Some((409, "{}".to_owned())))]);
    assert_eq!(store.request_done(key, "once").await.expect("readable"), None);
}

#[tokio::test]
async fn keys_of_accounts_are_forgotten_behind_their_requests() {
    let books = Books::new().await;
    let panel = key(&books, "0a1b2c3d4e5f").await;
    let ann = books.open_account("ann").await;
    let digest = "d".repeat(64);
    let expires_at = Some(NOW.plus_secs(60));
    let new = NewKey {
        prefix: "111111111111",
        digest: &digest,
        name: "browser",
        scope: KeyScope::Account,
        account: Some(ann.id),
        made_by: Some(panel),
        created_by: "panel",
        expires_at,
    };
    let store = &books.store;
    store.key_insert(&new, NOW).await.expect("kept");
    let child = store.key("111111111111").await.expect("readable").expect("the key").id;
    store.note_alone(&Note::new(note("r1", child))).await.expect("kept");
    let later = NOW.plus_secs(61);
    assert_eq!(store.keys_forget(NOW, 9).await.expect("asked"), 0);
    assert_eq!(store.keys_forget(later, 9).await.expect("asked"), 0);
    store.requests_forget(later, 9).await.expect("forgotten");
    assert_eq!(store.keys_forget(later, 9).await.expect("forgotten"), 1);
    // The panel's own stays, though it is over as well.
    assert!(store.key("0a1b2c3d4e5f").await.expect("readable").is_some());
}
