//! Public numbers: which documents get which, and that nobody comes in between.

use rules::DocumentPolicy;
use store::Store;

use crate::living::{at, half_a_year};

/// Invoices in the order of their numbers.
async fn numbered(store: &Store) -> Vec<(i64, i64, String, i64)> {
    let invoices = store.invoices(None).await.expect("invoices").into_iter();
    let mut numbered: Vec<_> = invoices
        .filter_map(|row| Some((row.public.clone()?.1, row.issued_at.secs(), row.account.clone(), row.number)))
        .collect();
    numbered.sort();
    numbered
}

#[tokio::test]
async fn documents_are_numbered_in_the_order_of_issue_and_name() {
    let life = half_a_year().await;
    let (store, policy) = (&life.books.store, DocumentPolicy::default());
    let waiting = store.documents_without_number().await.expect("a count");
    let backlog = store.documents_backlog().await.expect("a backlog");
    assert_eq!(backlog.count, waiting);
    let mut unnumbered = store.documents_to_number().await.expect("documents");
    assert_eq!(store.number_documents(&mut unnumbered, &policy).await.expect("numbered"), waiting);
    assert_eq!(store.documents_backlog().await.expect("none"), store::Backlog::default());
    assert!(unnumbered.is_empty());
    assert_eq!(store.documents_without_number().await.expect("a count"), 0);
    let numbered = numbered(store).await;
    assert!(numbered.len() > 5, "{numbered:?}");
    assert_eq!(backlog.oldest.map(rules::Timestamp::secs), numbered.first().map(|first| first.1));
    let mut ordered = numbered.clone();
    ordered.sort_by_key(|(_, issued_at, account, number)| (*issued_at, account.clone(), *number));
    assert_eq!(numbered, ordered);
    assert_eq!(numbered.iter().map(|row| row.0).collect::<Vec<_>>(), (1..).take(numbered.len()).collect::<Vec<_>>());
    assert_eq!(life.faults().await, []);
}

#[tokio::test]
async fn what_was_read_too_early_is_read_again() {
    let life = half_a_year().await;
    let (store, policy) = (&life.books.store, DocumentPolicy::default());
    // Another daemon numbers the same.
    let (mut ours, mut theirs) =
        (store.documents_to_number().await.expect("ours"), store.documents_to_number().await.expect("theirs"));
    assert!(store.number_documents(&mut theirs, &policy).await.expect("numbered") > 0);
    let before = numbered(store).await;
    assert_eq!(store.number_documents(&mut ours, &policy).await.expect("asked"), 0);
    assert!(ours.is_empty());
    assert_eq!(numbered(store).await, before);
    // An account is settled late: its invoice is older than those that were read.
    let [first, last] = ["2026-03-01T00:00:00Z", "2026-07-01T00:00:00Z"].map(|time| at(time).secs());
    let without = |at: i64| {
        format!("update invoices set series = null, public_number = null where account_id = 1 and issued_at = {at}")
    };
    life.books.tamper(&without(last)).await;
    let mut ours = store.documents_to_number().await.expect("ours");
    assert!(!ours.is_empty());
    life.books.tamper(&without(first)).await;
    assert_eq!(store.number_documents(&mut ours, &policy).await.expect("asked"), 0);
    assert!(ours.is_empty());
    let mut again = store.documents_to_number().await.expect("again");
    assert_eq!(store.number_documents(&mut again, &policy).await.expect("numbered"), 2);
}
