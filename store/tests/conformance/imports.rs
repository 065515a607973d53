//! Imports: batches that come in whole, once, and in order.

use rules::{
    AccountId, Arrival, ArrivingInvoice, ArrivingService, Context, Currency, Mode, Policy, PriceBook, Timestamp,
    bring_in, due_seconds,
};
use store::{ArrivingAccount, Import, Revision};

use crate::books::{Books, NOW, order, units};

fn import(accounts: u64) -> Import {
    let (hash, file, author) = ("h".to_owned(), "f".to_owned(), "ann".to_owned());
    Import { hash, file, author, at: NOW, accounts, up_to: 0, finished_at: None }
}

/// With a daily instance, an open invoice, and a wallet of so much.
fn arriving(name: &str, wallet: i64) -> ArrivingAccount {
    let opened_at = NOW.plus_secs(-30 * rules::DAY);
    let service = ArrivingService {
        name: format!("{name}-1"),
        created_at: opened_at,
        order: order("dms"),
        mode: Mode::Daily,
        months: 1,
        stopped: None,
        ends_with_period: false,
        paid_until: NOW.next_midnight(),
        anchor: opened_at,
    };
    let arrival = Arrival {
        name: name.to_owned(),
        currency: Currency::USD,
        opened_at,
        suspended_for: None,
        resume_on_deposit: false,
        wallet: units(wallet),
        services: vec![service],
        invoices: vec![ArrivingInvoice { issued_at: NOW, open: units(7), overdue: false }],
    };
    let (prices, policy) = (PriceBook::default(), Policy::default());
    let cx = Context { prices: &prices, policy: &policy, outages: &[] };
    let changes = bring_in(arrival, &cx, NOW).expect("in range");
    let due = due_seconds(&changes.account, &cx);
    let printed = vec![("R".to_owned(), format!("R-{name}"), 9)];
    ArrivingAccount { changes, due, details: [("email", format!("{name}@example.org"))].into(), printed }
}

#[tokio::test]
async fn batches_come_in_once_and_in_order() {
    let books = Books::new().await;
    let store = &books.store;
    let import = import(3);
    let numbers = [("R".to_owned(), 8)].into();
    store.import_begin(&import, &Default::default(), &numbers).await.expect("begun");
    let batch = [arriving("ann", 5), arriving("bob", -5)];
    let bring = async |from, batch: &[ArrivingAccount]| {
        store.import_batch(&import, from, batch, Revision::FIRST, NOW).await.expect("asked")
    };
    assert!(bring(0, &batch).await);
    let dump = books.dump().await;
    assert!(!bring(0, &batch).await, "the same batch again");
    assert!(!bring(1, &batch).await, "a batch from elsewhere");
    assert_eq!(books.dump().await, dump);
    let known = store.import("h").await.expect("asked").expect("begun");
    assert_eq!((known.up_to, known.finished_at), (2, None));
    assert!(bring(2, &[arriving("cid", 0)]).await);
    assert_eq!(store.import("h").await.expect("asked").expect("begun").finished_at, Some(NOW));
    assert_eq!(store.import("other").await.expect("asked"), None);

    for (id, name, wallet) in [(1, "ann", 5), (2, "bob", -5), (3, "cid", 0)] {
        let account = books.load(AccountId(id)).await;
        assert_eq!((account.name.as_str(), account.wallet, account.brought_in), (name, units(wallet), units(0)));
        assert_eq!((account.settled_at, account.daily_paid_until), (NOW, NOW.next_midnight()));
        assert_eq!(account.invoices[0].to_pay(), units(7));
    }
    let violations = store.verify(None).await.expect("verify");
    assert!(violations.is_empty(), "{violations:?}");
    let (accounts, services) =
        store.names_taken(&["ann".into(), "zoe".into()], &["ann-1".into(), "zoe-1".into()]).await.expect("asked");
    assert_eq!((accounts, services), (vec!["ann".to_owned()], vec!["ann-1".to_owned()]));
}

#[tokio::test]
async fn a_batch_that_is_cut_off_or_decided_with_older_prices_leaves_nothing() {
    let books = Books::new().await;
    let store = &books.store;
    let import = import(2);
    store.import_begin(&import, &Default::default(), &Default::default()).await.expect("begun");
    let batch = [arriving("ann", 5), arriving("bob", 0)];
    let dump = books.dump().await;
    for statements in 0..8 {
        store.cut_after(statements);
        let cut = store.import_batch(&import, 0, &batch, Revision::FIRST, NOW).await;
        assert!(matches!(cut, Err(store::StoreError::CutOff)), "{statements}: {cut:?}");
        assert_eq!(books.dump().await, dump, "{statements}");
    }
    store.price_list_insert(&Default::default(), Timestamp::BEGINNING, "ann", NOW).await.expect("a list");
    assert!(!store.import_batch(&import, 0, &batch, Revision::FIRST, NOW).await.expect("asked"));
    let revision = store.revision().await.expect("a revision");
    assert!(store.import_batch(&import, 0, &batch, revision, NOW).await.expect("asked"));
}

#[tokio::test]
async fn an_import_never_goes_back() {
    let books = Books::new().await;
    let mut import = import(0);
    books.store.import_begin(&import, &Default::default(), &Default::default()).await.expect("begun");
    assert_eq!(books.store.import("h").await.expect("asked").expect("begun").finished_at, Some(NOW));
    import.hash = "i".to_owned();
    import.accounts = 1;
    books.store.import_begin(&import, &Default::default(), &Default::default()).await.expect("begun");
    assert!(books.store.import_batch(&import, 0, &[arriving("ann", 1)], Revision::FIRST, NOW).await.expect("asked"));
    let back = books.try_sql("update imports set up_to = 0, finished_at = null where hash = 'i'").await;
    assert!(back.expect_err("refused").contains("import_goes_on"));
}
