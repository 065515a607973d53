//! Who the customers are, and what invoices say of it.

use std::collections::BTreeMap;

use rules::{Account, Invoice, Line, LineKind, Micros, Period, Tries};

use crate::books::{Books, NOW, add_daily, changes, units};

/// Issues the account's next invoice, with a line of its instance.
async fn issue(books: &Books, account: Account) -> Account {
    let mut changes = changes(account);
    let number = changes.account.next.invoice;
    let service = match changes.account.services.first() {
        Some(service) => service.number,
        None => add_daily(&mut changes, "s1"),
    };
    let of = rules::Priced { order: crate::books::order("p"), list: None, price: rules::Price::of(units(5)) };
    let from = NOW.plus_days(u32::try_from(number).expect("small"));
    let period = Period::new(from, from.plus_days(1));
    let basis = rules::Basis::Months { of, part: period };
    let tries = Tries { made: 0, first_is_due: true, first_failed_at: None, done_until: NOW, new_card_at: None };
    let (total, zero) = (units(5), Micros::ZERO);
    changes.invoices.push(Invoice {
        number,
        issued_at: NOW,
        total,
        paid: zero,
        credited: zero,
        written_off: zero,
        paid_at: None,
        credited_at: None,
        overdue: false,
        tries,
    });
    changes.lines.push((number, Line { service, kind: LineKind::Month, period, amount: total, basis }));
    changes.account.next.invoice = number + 1;
    books.commit(changes).await
}

#[tokio::test]
async fn an_invoice_says_of_its_buyer_what_was_known_as_it_was_issued() {
    let books = Books::new().await;
    let store = &books.store;
    let ann = books.open_account("ann").await;
    assert_eq!(store.account_details(ann.id).await.expect("details"), BTreeMap::new());
    let ann = issue(&books, ann).await;
    let some = |text: &str| Some(text.to_owned());
    let first = [("email", some("a@b")), ("company", some("Ann AG")), ("language", some("de"))].into();
    store.account_details_change(ann.id, &first).await.expect("changed");
    let ann = issue(&books, ann).await;
    let second = [("email", None), ("person", some("Ann"))].into();
    store.account_details_change(ann.id, &second).await.expect("changed");
    let ann = issue(&books, ann).await;
    let known = store.account_details(ann.id).await.expect("details");
    let known: Vec<_> = known.iter().map(|(column, text)| (*column, text.as_str())).collect();
    assert_eq!(known, [("company", "Ann AG"), ("language", "de"), ("person", "Ann")]);
    let mut buyers = Vec::new();
    for number in 0..3 {
        let buyer = store.invoice(ann.id, number).await.expect("readable").expect("an invoice").buyer;
        buyers.push(buyer.into_iter().map(|(key, text)| format!("{key} {text}")).collect::<Vec<_>>());
    }
    assert_eq!(buyers, [vec![], vec!["company Ann AG", "email a@b"], vec!["company Ann AG", "name Ann"]]);
}

#[tokio::test]
async fn a_payment_method_is_of_one_account() {
    let books = Books::new().await;
    let (ann, bob) = (books.open_account("ann").await, books.open_account("bob").await);
    let method = [("provider", Some("stripe".to_owned())), ("payment_method", Some("pm_1".to_owned()))].into();
    books.store.account_details_change(ann.id, &method).await.expect("changed");
    assert!(books.store.account_details_change(bob.id, &method).await.is_err());
    let asked = [("stripe", "pm_1"), ("stripe", "pm_2"), ("paypal", "pm_1")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(books.store.payment_methods_taken(&asked).await.expect("asked"), asked[..1]);
}
