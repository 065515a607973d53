//! Price lists, and the revision that moves with all that decisions are made with.

use rules::{Outage, PriceList, Timestamp, TransferKind};
use store::{Commit, Outcome, Revision, Stamp};

use crate::books::{Books, NOTHING_DUE, NOW, STAMP, book, changes, units};

#[tokio::test]
async fn the_revision_moves_with_price_lists_and_outages() {
    let books = Books::new().await;
    let store = &books.store;
    let mut revision = store.revision().await.expect("a revision");
    assert_eq!(revision, Revision::FIRST);
    let outage = Outage::new(NOW, NOW.plus_days(1));
    store.heartbeat(NOW).await.expect("heartbeat");
    assert_eq!(store.revision().await.expect("a revision"), revision);
    for change in 0..2 {
        match change {
            0 => store.price_list_insert(&PriceList::new(), Timestamp::BEGINNING, "ann", NOW).await.expect("a list"),
            _ => store.outage_insert(outage, NOW).await.expect("an outage"),
        }
        let moved = store.revision().await.expect("a revision");
        assert_ne!(moved, revision, "{change}");
        revision = moved;
    }
    // The same outage again is no news.
    store.outage_insert(outage, NOW).await.expect("an outage");
    assert_eq!(store.revision().await.expect("a revision"), revision);
}

#[tokio::test]
async fn what_was_decided_with_an_older_revision_writes_nothing() {
    let books = Books::new().await;
    let ann = books.open_account("ann").await;
    let mut decided = changes(ann.clone());
    book(&mut decided, TransferKind::Deposit, units(10));
    let batch = [Commit { changes: decided, due: NOTHING_DUE }];
    books.store.price_list_insert(&PriceList::new(), Timestamp::BEGINNING, "ann", NOW).await.expect("a list");
    let dump = books.dump().await;
    let outcomes = books.store.commit(&batch, STAMP, None).await.expect("commit");
    assert_eq!(outcomes, [Outcome::Stale]);
    assert_eq!(books.dump().await, dump);
    let revision = books.store.revision().await.expect("a revision");
    let outcomes = books.store.commit(&batch, Stamp { revision, ..STAMP }, None).await.expect("commit");
    assert_eq!(outcomes, [Outcome::Written]);
}
