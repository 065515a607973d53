//! What was refused is kept for a while, the last of each account.

use store::NewRefusal;

use crate::books::{Books, NOW};

#[tokio::test]
async fn the_last_refusals_of_each_account_are_kept() {
    let books = Books::new().await;
    let (ann, bob) = (books.open_account("ann").await.id, books.open_account("bob").await.id);
    let stood = [("wallet", "0.00 USD".to_owned())].into();
    for secs in 0..102 {
        let new = NewRefusal {
            account: ann,
            at: NOW.plus_secs(secs),
            action: "enable",
            service: Some("web-1"),
            code: "insufficient_funds",
            why: "it needs more",
            author: "cli:ann",
            stood: &stood,
        };
        books.store.refusal_insert(&new).await.expect("kept");
        if secs == 0 {
            let of_bob = NewRefusal { account: bob, service: None, action: "restore_account", ..new };
            books.store.refusal_insert(&of_bob).await.expect("kept");
        }
    }
    let all = books.store.refusals(ann, 1_000).await.expect("refusals");
    let numbers: Vec<i64> = all.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (2..102).rev().collect::<Vec<_>>());
    let newest = books.store.refusal(ann, 101).await.expect("readable").expect("one");
    assert_eq!((&newest, newest.at, newest.stood["wallet"].as_str()), (&all[0], NOW.plus_secs(101), "0.00 USD"));
    assert_eq!(books.store.refusal(ann, 1).await.expect("readable"), None);
    let of_bob = books.store.refusals(bob, 5).await.expect("refusals");
    let known: Vec<_> = of_bob.iter().map(|row| (row.number, row.action.as_str(), row.service.as_deref())).collect();
    assert_eq!(known, [(0, "restore_account", None)]);
}
