//! Opening: settings, migrations, what is refused.

use store::{Commit, Opening, Store, StoreError};

use crate::books::{Books, NOTHING_DUE, NOW, STAMP};

#[tokio::test]
async fn opens_twice_and_beside() {
    let books = Books::new().await;
    Store::open(&books.url(), Opening::serving(NOW)).await.expect("again");
    Store::open(&books.url(), Opening::beside()).await.expect("beside");
}

#[tokio::test]
async fn another_schema_is_refused() {
    let books = Books::new().await;
    let decided = crate::books::changes(books.open_account("ann").await);
    books.tamper("insert into bursar_migrations values (99, 'later', 0)").await;
    // Also to whoever was there before the newer one: nothing of it is written any more.
    let commit = [Commit { changes: decided, due: NOTHING_DUE }];
    let (bob, store) = (crate::books::account("bob"), &books.store);
    for refused in [
        store.refuse_changes().await,
        store.heartbeat(NOW).await,
        store.commit(&commit, STAMP, None).await.map(|_| ()),
        store.account_insert(&bob, &NOTHING_DUE, NOW).await.map(|_| ()),
    ] {
        let error = refused.expect_err("left behind");
        assert!(matches!(error, StoreError::SchemaTooNew { found: 99, .. }), "{error}");
    }
    for opening in [Opening::serving(NOW), Opening::beside(), Opening::reading()] {
        let error = Store::open(&books.url(), opening).await.expect_err("newer");
        assert!(matches!(error, StoreError::SchemaTooNew { found: 99, .. }), "{error}");
    }
    books.tamper("delete from bursar_migrations where version > 3").await;
    let error = Store::open(&books.url(), Opening::beside()).await.expect_err("older");
    assert!(matches!(error, StoreError::SchemaTooOld { found: 3, .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_refused() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let path = directory.path().join("file.db");
    let url = format!("sqlite:{}", path.display());
    let error = Store::open(&url, Opening::beside()).await.expect_err("missing");
    assert!(matches!(error, StoreError::NoSuchDatabase { .. }), "{error}");
    std::fs::write(&path, "a text that is long enough to be looked at, and no database at all".repeat(20))
        .expect("write");
    let error = Store::open(&url, Opening::serving(NOW)).await.expect_err("text");
    assert!(matches!(error, StoreError::NotADatabase { .. }), "{error}");
    for (url, wanted) in [
        ("postgres://bursar:secret@127.0.0.1:1/books", "postgres database books at 127.0.0.1:1 cannot be reached"),
        ("mysql:x", "postgres://USER@HOST/DATABASE"),
        ("sqlite::memory:", "sqlite:PATH"),
    ] {
        let error = Store::open(url, Opening::beside()).await.expect_err(url).to_string();
        assert!(error.contains(wanted) && !error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_database_that_others_use_is_refused() {
    let books = Books::new().await;
    books.tamper("drop table bursar_migrations").await;
    let error = Store::open(&books.url(), Opening::serving(NOW)).await.expect_err("another's");
    assert!(error.to_string().contains("give it a database of its own"), "{error}");
}

#[tokio::test]
async fn many_write_at_once() {
    let books = Books::new().await;
    let mut tasks = Vec::new();
    for index in 0..8 {
        let store = books.store.clone();
        tasks.push(tokio::spawn(async move {
            let account = crate::books::account(&format!("a{index}"));
            store.account_insert(&account, &crate::books::NOTHING_DUE, NOW).await
        }));
    }
    for task in tasks {
        task.await.expect("a task").expect("an account");
    }
    assert_eq!(books.store.account_ids_range().await.expect("range").map(|(_, last)| last.0), Some(8));
}

#[tokio::test]
async fn two_programs_write_to_one_file() {
    let books = Books::new().await;
    let beside = Store::open(&books.url(), Opening::beside()).await.expect("open");
    for (store, name) in [(&books.store, "ann"), (&beside, "bob"), (&books.store, "cid")] {
        store.account_insert(&crate::books::account(name), &crate::books::NOTHING_DUE, NOW).await.expect("insert");
    }
    assert!(books.store.account_id("bob").await.expect("id").is_some());
    assert!(beside.account_id("cid").await.expect("id").is_some());
    beside.close().await;
}

/// Whoever only reads has nothing to change by.
#[tokio::test]
async fn books_that_are_opened_to_be_read_are_not_changed() {
    let books = Books::new().await;
    books.open_account("ann").await;
    let reading = Store::open(&books.url(), Opening::reading()).await.expect("open");
    assert!(reading.account_id("ann").await.expect("id").is_some());
    let error = reading.heartbeat(NOW).await.expect_err("only read");
    assert!(matches!(error, StoreError::OnlyRead), "{error}");
    reading.close().await;
}
