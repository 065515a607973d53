//! The books as people read them, of a life that the rules wrote.

use crate::books::NOW;
use crate::living::half_a_year;

const MOVE: (&str, &str, rules::Timestamp) = ("a-move", "a place", NOW);

#[tokio::test]
async fn verify_finds_no_fault_with_what_the_rules_wrote() {
    let life = half_a_year().await;
    assert_eq!(life.faults().await, []);
    let store = &life.books.store;
    let invoices = store.invoices(None).await.expect("invoices");
    assert!(invoices.len() > 4 && invoices.iter().all(|invoice| !invoice.lines.is_empty()), "{invoices:?}");
    assert!(invoices.is_sorted_by_key(|invoice| (invoice.issued_at, invoice.account.clone(), invoice.number)));
    let of_lines = |invoice: &store::InvoiceRow| invoice.lines.iter().map(|line| line.amount.get()).sum::<i64>();
    assert!(invoices.iter().all(|invoice| of_lines(invoice) == invoice.total.get()));
    let events = store.events(None).await.expect("events");
    assert!(events.is_sorted_by_key(|event| (event.at, event.account.clone(), event.number)));
    let ann = store.account_id("ann").await.expect("id").expect("ann");
    let ledger = store.ledger(Some(ann)).await.expect("ledger");
    let wallet: i64 = ledger.iter().filter_map(store::LedgerRow::wallet_amount).map(rules::Micros::get).sum();
    assert_eq!(wallet, life.books.load(ann).await.wallet.get());
    assert_eq!(store.transfer(ann, 3).await.expect("one").as_ref(), ledger.iter().find(|row| row.number == 3));
    assert!(store.ledger(None).await.expect("ledger").len() > ledger.len());
}

/// To a database of the other kind and back to one of its own, nothing is lost or changed.
#[tokio::test]
async fn books_are_moved_whole() {
    let life = half_a_year().await;
    let directory = tempfile::TempDir::new().expect("a directory");
    let file = format!("sqlite:{}", directory.path().join("moved.db").display());
    let there = match crate::ON_POSTGRES {
        true => file,
        false => crate::servers::new_database(),
    };
    let open =
        async |url: &str| store::Store::open(url, store::Opening::serving(crate::books::NOW)).await.expect("open");
    let there = open(&there).await;
    let mut tables = Vec::new();
    life.books.store.move_to(&there, MOVE, |moved| tables.push((moved.table, moved.rows))).await.expect("moved");
    assert!(tables.iter().any(|moved| moved.0 == "transfers" && moved.1 > 50), "{tables:?}");
    let back = crate::books::Books::new().await;
    there.move_to(&back.store, MOVE, |_| {}).await.expect("moved back");
    // Where they came from, and what they are called, is each one's own.
    back.try_sql("delete from moves").await.expect("deleted");
    for books in [&back, &life.books] {
        books.try_sql("update identity set name = 'either'").await.expect("renamed");
    }
    assert_eq!(back.dump().await, life.books.dump().await);
    assert_eq!(life.faults_of(&back, None).await, []);
    // What comes next does not take the place of what was moved.
    back.open_account("new").await;
    let twice = life.books.store.move_to(&there, MOVE, |_| {}).await;
    assert!(twice.is_err(), "books are moved into empty ones only");
}
