//! Price lists, and the revision that moves with all that decisions are made with.

use rules::{Basis, Outage, Period, PriceList, Priced, Timestamp, TransferKind};
use store::{Commit, Outcome, Published, Revision, Stamp, Withdrawal};

use crate::books::{Books, NOTHING_DUE, NOW, STAMP, add_daily, book, changes, units};

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

fn list(plan: &str, price: i64) -> PriceList {
    let plan_of = rules::Plan {
        mode: rules::Mode::Daily,
        price: units(price),
        currency: None,
        term_months: 1,
        components: Default::default(),
        options: Default::default(),
        private: false,
    };
    PriceList::from([(plan.to_owned(), plan_of)])
}

#[tokio::test]
async fn a_list_is_published_as_it_was_looked_at() {
    let books = Books::new().await;
    let store = &books.store;
    books.open_account("ann").await;
    let seen = store.revision().await.expect("a revision");
    let publish = |at: Timestamp, seen| {
        let list = list("dms", 1);
        async move { store.price_list_publish(&list, at, seen, "ann", NOW).await.expect("asked") }
    };
    assert_eq!(publish(NOW, seen).await, Published::Settled(NOW));
    assert_eq!(publish(NOW.plus_secs(1), seen).await, Published::Done(1));
    assert_eq!(publish(NOW.plus_secs(2), seen).await, Published::Moved);
    assert_eq!(store.price_lists().await.expect("lists").len(), 1);
}

#[tokio::test]
async fn a_withdrawn_list_stays_and_is_laid_no_more() {
    let books = Books::new().await;
    let store = &books.store;
    let ann = books.open_account("ann").await;
    for (price, at) in [(1, Timestamp::BEGINNING), (9, NOW.plus_days(1))] {
        store.price_list_insert(&list("dms", price), at, "ann", NOW).await.expect("a list");
    }
    let order = crate::books::order("dms");
    let price = async || store.price_book().await.expect("a book").price(&order, NOW.plus_days(2));
    assert_eq!(price().await, Ok(rules::Price::of(units(9))));
    let revision = store.revision().await.expect("a revision");
    let withdraw = async |id| store.price_list_withdraw(id, "bob", "a slip", NOW).await.expect("asked");
    assert_eq!(withdraw(7).await, Withdrawal::NoSuchList);
    assert_eq!(withdraw(1).await, Withdrawal::NeededBy { list: 2, plan: "dms".to_owned() });
    assert_eq!(withdraw(2).await, Withdrawal::Done);
    assert_eq!(withdraw(2).await, Withdrawal::Already);
    assert_eq!(price().await, Ok(rules::Price::of(units(1))));
    let gone = store.price_lists().await.expect("lists").remove(1).withdrawn.expect("withdrawn");
    assert_eq!((gone.at, gone.by.as_str(), gone.reason.as_str()), (NOW, "bob", "a slip"));

    // What was decided with it and comes now is refused.
    let mut decided = changes(ann);
    book(&mut decided, TransferKind::Deposit, units(10));
    let batch = [Commit { changes: decided, due: NOTHING_DUE }];
    let outcomes = store.commit(&batch, Stamp { revision, ..STAMP }, None).await.expect("commit");
    assert_eq!(outcomes, [Outcome::Stale]);
    for change in ["update price_lists set body = '{}' where id = 1", "delete from price_lists"] {
        assert!(books.try_sql(change).await.expect_err(change).contains("published_list_"), "{change}");
    }
}

#[tokio::test]
async fn a_list_that_something_was_charged_by_is_not_withdrawn() {
    let books = Books::new().await;
    let store = &books.store;
    store.price_list_insert(&list("dms", 1), Timestamp::BEGINNING, "ann", NOW).await.expect("a list");
    store.price_list_insert(&list("dms", 2), NOW, "ann", NOW).await.expect("a list");
    let stamp = Stamp { revision: store.revision().await.expect("a revision"), ..STAMP };
    let mut decided = changes(books.open_account("ann").await);
    book(&mut decided, TransferKind::Deposit, units(10));
    let number = add_daily(&mut decided, "s1");
    book(&mut decided, TransferKind::Period, units(2));
    let day = Period::day_of(NOW);
    let whole = Period::new(NOW, NOW.next_midnight());
    let charge = decided.transfers.last_mut().expect("the charge");
    let of = Priced { order: crate::books::order("dms"), list: Some(NOW), price: rules::Price::of(units(2)) };
    charge.service = Some(number);
    charge.period = Some(whole);
    charge.basis = Some(Basis::Share { of, part: whole, whole: day });
    // It is charged right after somebody looked whether it can be withdrawn.
    let Ok(look) = store.price_list_look(2).await.expect("looked") else { panic!("nothing was charged by it") };
    let outcomes = store.commit(&[Commit { changes: decided, due: NOTHING_DUE }], stamp, None).await.expect("commit");
    assert_eq!(outcomes, [Outcome::Written]);
    let late = store.price_list_withdraw_looked(&look, "bob", "a slip", NOW).await.expect("asked");
    assert!(matches!(late, Some(Withdrawal::Used(_))), "{late:?}");
    let withdrawn = store.price_list_withdraw(2, "bob", "a slip", NOW).await.expect("asked");
    let Withdrawal::Used(by) = withdrawn else { panic!("{withdrawn:?}") };
    assert!(by.starts_with("account `ann`: service `s1`: period 1/1 of "), "{by}");
    assert_eq!(store.price_lists().await.expect("lists")[1].withdrawn, None);
    // Another list was published since somebody looked: the look counts no more.
    store.price_list_insert(&list("other", 1), NOW, "ann", NOW).await.expect("a list");
    let Ok(look) = store.price_list_look(3).await.expect("looked") else { panic!("nothing was charged by it") };
    store.price_list_insert(&list("third", 1), NOW, "ann", NOW).await.expect("a list");
    assert_eq!(store.price_list_withdraw_looked(&look, "bob", "a slip", NOW).await.expect("asked"), None);
}
