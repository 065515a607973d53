//! Opening: settings, migrations, what is refused.

use store::{Opening, Store, StoreError};

use crate::books::{Books, NOW};

#[tokio::test]
async fn opens_twice_and_beside() {
    let books = Books::new().await;
    Store::open(&books.url(), Opening::serving(NOW)).await.expect("again");
    Store::open(&books.url(), Opening::beside()).await.expect("beside");
}

#[tokio::test]
async fn another_schema_is_refused() {
    let books = Books::new().await;
    books.tamper("insert into bursar_migrations values (99, 'later', 0)").await;
    // Also to whoever was there before the newer one.
    let error = books.store.heartbeat(NOW).await.expect_err("left behind");
    assert!(matches!(error, StoreError::SchemaTooNew { found: 99, .. }), "{error}");
    for opening in [Opening::serving(NOW), Opening::beside()] {
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

/// A server that may forget what it committed is no place for books.
#[tokio::test]
async fn a_server_that_forgets_is_refused() {
    if !crate::ON_POSTGRES {
        return;
    }
    let books = Books::new().await;
    let name = books.url().rsplit_once('/').expect("a database").1.to_owned();
    books.try_sql(&format!("alter database {name} set synchronous_commit = off")).await.expect("set");
    let error = Store::open(&books.url(), Opening::serving(NOW)).await.expect_err("forgets").to_string();
    assert!(error.contains("synchronous_commit = off"), "{error}");
}
