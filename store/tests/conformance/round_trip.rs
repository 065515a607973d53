//! What is committed is what is loaded.

use rules::TransferKind;
use store::Outcome;

use crate::books::{Books, NOTHING_DUE, STAMP, add_daily, book, changes, units};

#[tokio::test]
async fn a_stale_decision_writes_nothing() {
    let books = Books::new().await;
    let account = books.open_account("ann").await;
    let mut first = changes(account.clone());
    book(&mut first, TransferKind::Deposit, units(10));
    add_daily(&mut first, "s1");
    let after = books.commit(first.clone()).await;
    assert_eq!(after.version, account.version + 1);
    assert_eq!(after.wallet, units(10));
    assert_eq!(after.services, first.account.services);
    let batch = [store::Commit { changes: first, due: NOTHING_DUE }];
    assert_eq!(books.store.commit(&batch, STAMP, None).await.expect("commit"), [Outcome::Stale]);
    assert_eq!(books.load(account.id).await, after);
}
