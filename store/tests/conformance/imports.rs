//! Imports: batches that come in whole, once, and in order.

use rules::{
    AccountId, Action, Arrival, ArrivingInvoice, ArrivingService, Buyer, Context, Currency, DocumentPolicy, Micros,
    Mode, Policy, PriceBook, Refusal, Timestamp, act, bring_in, due_seconds,
};
use store::{ArrivingAccount, Brought, CannotClose, Closing, Commit, GivenUp, Import, Revision, Scope};

use crate::books::{Books, NOW, STAMP, order, units};

fn import(accounts: u64) -> Import {
    let (hash, file, author) = ("h".to_owned(), "f".to_owned(), "ann".to_owned());
    Import { hash, file, author, at: NOW, accounts, up_to: 0, finished_at: None, given_up: None }
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
        covered: false,
        paid_until: NOW.next_midnight(),
        anchor: opened_at,
    };
    let arrival = Arrival {
        name: name.to_owned(),
        currency: Currency::USD,
        opened_at,
        suspended_for: None,
        resume_on_deposit: false,
        trial: None,
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

/// The plan of what arrives.
async fn publish(books: &Books) {
    let list = [("dms".to_owned(), crate::living::plan(Mode::Daily, 240, &[]))].into();
    books.store.price_list_insert(&list, Timestamp::BEGINNING, "ann", NOW).await.expect("a list");
}

#[tokio::test]
async fn batches_come_in_once_and_in_order() {
    let books = Books::new().await;
    let store = &books.store;
    let import = import(3);
    let numbers = [("R".to_owned(), 8)].into();
    assert!(
        store
            .import_begin(&import, &Default::default(), &numbers, store.revision().await.expect("one"))
            .await
            .expect("asked")
    );
    assert!(
        !store
            .import_begin(&import, &Default::default(), &numbers, store.revision().await.expect("one"))
            .await
            .expect("asked"),
        "begun by somebody"
    );
    let batch = [arriving("ann", 5), arriving("bob", -5)];
    let bring = async |from, batch: &[ArrivingAccount]| {
        let brought = store.import_batch(&import, from, batch, Revision::FIRST, NOW).await.expect("asked");
        assert_ne!(brought, Brought::Closed(NOW));
        brought == Brought::Written
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

    for (id, name, wallet, open) in [(1, "ann", 0, 2), (2, "bob", -5, 7), (3, "cid", 0, 7)] {
        let account = books.load(AccountId(id)).await;
        assert_eq!((account.name.as_str(), account.wallet, account.brought_in), (name, units(wallet), units(0)));
        assert_eq!((account.settled_at, account.daily_paid_until), (NOW, NOW.next_midnight()));
        assert_eq!(account.invoices[0].to_pay(), units(open));
    }
    publish(&books).await;
    let violations = store.verify(None, &rules::Policy::default()).await.expect("verify");
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
    store
        .import_begin(&import, &Default::default(), &Default::default(), store.revision().await.expect("one"))
        .await
        .expect("begun");
    let batch = [arriving("ann", 5), arriving("bob", 0)];
    let dump = books.dump().await;
    // Each due second's row is a statement on SQLite.
    for statements in 0..if crate::ON_POSTGRES { 7 } else { 8 } {
        store.cut_after(statements);
        let cut = store.import_batch(&import, 0, &batch, Revision::FIRST, NOW).await;
        assert!(matches!(cut, Err(store::StoreError::CutOff)), "{statements}: {cut:?}");
        assert_eq!(books.dump().await, dump, "{statements}");
    }
    store.price_list_insert(&Default::default(), Timestamp::BEGINNING, "ann", NOW).await.expect("a list");
    let brought = store.import_batch(&import, 0, &batch, Revision::FIRST, NOW).await.expect("asked");
    assert_eq!(brought, Brought::Moved);
    let revision = store.revision().await.expect("a revision");
    assert_eq!(store.import_batch(&import, 0, &batch, revision, NOW).await.expect("asked"), Brought::Written);
}

/// A host that moved here credits what it billed before: what was open of it is no longer owed, what was paid of it
/// here comes back, and our sales don't move.
#[tokio::test]
async fn what_was_billed_elsewhere_is_credited_here() {
    let books = Books::new().await;
    let store = &books.store;
    let import = import(1);
    store
        .import_begin(&import, &Default::default(), &Default::default(), store.revision().await.expect("one"))
        .await
        .expect("begun");
    // The wallet pays 5.00 of the 7.00 that are open as it arrives.
    store.import_batch(&import, 0, &[arriving("ann", 5)], Revision::FIRST, NOW).await.expect("brought in");
    let (prices, policy) = (PriceBook::default(), Policy::default());
    let cx = Context { prices: &prices, policy: &policy, outages: &[] };
    let credit = |reissue: Option<Buyer>| {
        let (author, reason) = ("admin".to_owned(), "billed twice".to_owned());
        Action::CreditInvoice { invoice: 0, author, reason, reissue }
    };
    let adjust = Action::Adjust { amount: units(1), author: "admin".to_owned(), reason: "sorry".to_owned() };
    for (action, outcome) in [
        (adjust, Ok(())),
        (credit(Some(Buyer::new())), Err(Refusal::NotAllowed)),
        (credit(None), Ok(())),
        (credit(None), Err(Refusal::InvalidState)),
    ] {
        let account = books.load_with(AccountId(1), Scope::For(&action)).await;
        let changes = act(account, &cx, &action, NOW).expect("settleable");
        assert_eq!(changes.outcome, Some(outcome), "{action:?}");
        let due = due_seconds(&changes.account, &cx);
        store.commit(&[Commit { changes, due }], STAMP, None).await.expect("commit");
    }
    let account = books.load(AccountId(1)).await;
    assert_eq!((account.wallet, account.brought_in, account.invoices.len()), (units(6), Micros::ZERO, 0));
    let postings = |row: store::LedgerRow| (row.kind.name(), row.amount);
    let booked: Vec<_> = store.ledger(None).await.expect("a ledger").into_iter().rev().take(2).map(postings).collect();
    assert_eq!(booked, [("payment_returned", units(6)), ("brought_in_credited", units(7))]);
    assert_eq!(store.documents_without_number().await.expect("a count"), 1, "the credit note alone");
    let mut unnumbered = store.documents_to_number().await.expect("documents");
    store.number_documents(&mut unnumbered, &DocumentPolicy::default()).await.expect("numbered");
    let invoice = store.invoice(AccountId(1), 0).await.expect("asked").expect("an invoice");
    assert_eq!((invoice.credited, invoice.credit_note), (units(1), Some(("CN".to_owned(), 1))));
    publish(&books).await;
    let violations = store.verify(None, &rules::Policy::default()).await.expect("verify");
    assert!(violations.is_empty(), "{violations:?}");
}

/// Issued anew, an invoice names whom the account's details name, but for what is corrected: then and for later ones.
#[tokio::test]
async fn details_are_corrected_for_what_is_issued_anew() {
    let life = crate::living::half_a_year().await;
    let dan = AccountId(4);
    let credit = |invoice: i64, key: &str, value: &str| {
        let (author, reason) = ("admin".to_owned(), "moved".to_owned());
        let reissue = Some(Buyer::from([(key.to_owned(), value.to_owned())]));
        Action::CreditInvoice { invoice, author, reason, reissue }
    };
    let newest = async || life.books.store.invoices(Some(dan)).await.expect("invoices").pop().expect("an invoice");
    let before = newest().await;
    let named = |buyer: &[(&str, &str)]| -> Buyer {
        buyer.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    };
    // `company` was corrected in April, so what is issued since says it.
    let since_april = named(&[("company", "Dan AG")]);
    assert_eq!(before.buyer, since_april);
    life.act(dan, "2026-07-02T00:00:00Z", credit(before.number, "address", "1 Elm Road")).await;
    let first = newest().await;
    assert_eq!(first.buyer, named(&[("address", "1 Elm Road"), ("company", "Dan AG")]));
    life.act(dan, "2026-07-03T00:00:00Z", credit(first.number, "address", "2 Elm Road")).await;
    assert_eq!(newest().await.buyer, named(&[("address", "2 Elm Road"), ("company", "Dan AG")]));
    let old = |number: i64| life.books.store.invoice(dan, number);
    assert_eq!(old(before.number).await.expect("asked").expect("the first").buyer, since_april);
    assert_eq!(old(first.number).await.expect("asked").expect("the second").buyer, first.buyer);
    assert_eq!(life.faults().await, []);
}

#[tokio::test]
async fn an_import_never_goes_back() {
    let books = Books::new().await;
    let mut import = import(0);
    books
        .store
        .import_begin(&import, &Default::default(), &Default::default(), books.store.revision().await.expect("one"))
        .await
        .expect("begun");
    assert_eq!(books.store.import("h").await.expect("asked").expect("begun").finished_at, Some(NOW));
    import.hash = "i".to_owned();
    import.accounts = 1;
    books
        .store
        .import_begin(&import, &Default::default(), &Default::default(), books.store.revision().await.expect("one"))
        .await
        .expect("begun");
    let batch = [arriving("ann", 1)];
    books.store.import_batch(&import, 0, &batch, Revision::FIRST, NOW).await.expect("brought in");
    let back = books.try_sql("update imports set up_to = 0, finished_at = null where hash = 'i'").await;
    assert!(back.expect_err("refused").contains("import_goes_on"));
}

/// Who decided it, when and why, once; it goes on no more, and closes no month out.
#[tokio::test]
async fn one_that_is_given_up_goes_on_no_more_and_is_in_nobodys_way() {
    let books = Books::new().await;
    let store = &books.store;
    let begin = async |import: &Import| {
        let revision = store.revision().await.expect("one");
        store.import_begin(import, &Default::default(), &Default::default(), revision).await.expect("begun")
    };
    let import = import(2);
    assert!(begin(&import).await);
    let bring = async |from, name| {
        store.import_batch(&import, from, &[arriving(name, 0)], Revision::FIRST, NOW).await.expect("asked")
    };
    assert_eq!(bring(0, "ann").await, Brought::Written);
    let given_up = |reason: &str| GivenUp { at: NOW, by: "bob".to_owned(), reason: reason.to_owned() };
    let give_up = async |hash: &str, reason: &str| store.import_give_up(hash, &given_up(reason)).await.expect("asked");
    assert!(!give_up("other", "lost").await);
    assert!(give_up("h", "lost").await);
    assert!(!give_up("h", "again").await);
    let known = store.import("h").await.expect("asked").expect("begun");
    assert_eq!((known.up_to, known.given_up.as_ref()), (1, Some(&given_up("lost"))));
    assert!(!known.is_unfinished());
    assert_eq!(bring(1, "bob").await, Brought::Moved);
    assert!(!begin(&import).await, "nor does it begin anew");
    let month = rules::Period::month_of(NOW);
    books.try_sql(&format!("update accounts set settled_at = {}", month.to.secs())).await.expect("settled");
    let closing = Closing { month, closed_at: month.to, author: "ann".to_owned() };
    assert_eq!(store.close_month(&closing).await.expect("asked"), Ok(()));

    let done = Import { hash: "i".to_owned(), ..self::import(0) };
    assert!(begin(&done).await);
    assert!(!give_up("i", "late").await, "it is finished");
    let open = Import { hash: "j".to_owned(), ..self::import(1) };
    assert!(begin(&open).await);
    let hashes = |imports: Vec<Import>| imports.into_iter().map(|import| import.hash).collect::<Vec<_>>();
    assert_eq!(hashes(store.imports().await.expect("asked")), ["h", "i", "j"]);
    for (change, told) in [
        ("given_up_at = null, given_up_by = null, given_up_reason = null where hash = 'h'", "import_goes_on"),
        ("given_up_at = 1 where hash = 'j'", "giving_up_is_whole"),
        ("given_up_by = 'ann', given_up_reason = 'lost' where hash = 'j'", "giving_up_is_whole"),
        ("given_up_at = 1, given_up_by = 'ann', given_up_reason = '' where hash = 'i'", "import_has_one_end"),
    ] {
        let refused = books.try_sql(&format!("update imports set {change}")).await.expect_err(change);
        assert!(refused.contains(told), "{change}: {refused}");
    }
}

#[tokio::test]
async fn nothing_comes_into_a_month_that_is_closed_and_none_is_closed_over_an_import_that_was_cut_off() {
    let books = Books::new().await;
    let store = &books.store;
    let import = import(2);
    store
        .import_begin(&import, &Default::default(), &Default::default(), store.revision().await.expect("one"))
        .await
        .expect("begun");
    let bring = async |from, name| {
        store.import_batch(&import, from, &[arriving(name, 0)], Revision::FIRST, NOW).await.expect("asked")
    };
    assert_eq!(bring(0, "ann").await, Brought::Written);
    let sql = async |text: String| books.try_sql(&text).await.expect("changed");
    let month = rules::Period::month_of(NOW);
    let closing = Closing { month, closed_at: month.to, author: "ann".to_owned() };
    sql(format!("update accounts set settled_at = {}", month.to.secs())).await;
    let Err(CannotClose::InTheWay(obstacles)) = store.close_month(&closing).await.expect("asked") else {
        panic!("an import that was cut off is in the way")
    };
    assert_eq!(obstacles.iter().map(|one| one.what).collect::<Vec<_>>(), ["import that was cut off"]);
    sql(format!(
        "insert into closings (month_from, month_to, closed_at, author) values ({}, {}, {}, 'ann')",
        month.from.secs(),
        month.to.secs(),
        month.to.secs()
    ))
    .await;
    assert_eq!(bring(1, "bob").await, Brought::Closed(month.to));
}

/// What an import brings may take effect months before it was written: those are the first to be closed.
#[tokio::test]
async fn the_first_month_is_the_earliest_that_an_import_reaches_into() {
    let books = Books::new().await;
    let store = &books.store;
    let import = import(1);
    store
        .import_begin(&import, &Default::default(), &Default::default(), store.revision().await.expect("one"))
        .await
        .expect("begun");
    let now = NOW.plus_days(100);
    let brought = store.import_batch(&import, 0, &[arriving("ann", 5)], Revision::FIRST, now).await.expect("asked");
    assert_eq!(brought, Brought::Written);
    let month = rules::Period::month_of(NOW);
    books.try_sql(&format!("update accounts set settled_at = {}", now.secs())).await.expect("settled");
    let close = async |month: rules::Period| {
        let closing = Closing { month, closed_at: now, author: "ann".to_owned() };
        store.close_month(&closing).await.expect("asked")
    };
    assert_eq!(close(rules::Period::month_of(now)).await, Err(CannotClose::Before(month)));
    assert_eq!(close(month).await, Ok(()));
    let next = rules::Period::month_of(month.to);
    assert_eq!(close(next).await, Ok(()));
}

#[tokio::test]
async fn a_series_goes_on_from_any_number_until_its_first_one_is_given() {
    let books = Books::new().await;
    let store = &books.store;
    let sql = async |text: &str| books.try_sql(text).await.expect("changed");
    let counts = async |next: i64| store.series_that_count(&[("INV".to_owned(), next)].into()).await.expect("asked");
    assert_eq!(counts(1).await, []);
    let numbers = [("INV".to_owned(), 118)].into();
    store
        .import_begin(&import(0), &Default::default(), &numbers, store.revision().await.expect("one"))
        .await
        .expect("begun");
    assert_eq!((counts(118).await, counts(200).await), (vec![], vec![]));
    assert_eq!(counts(117).await, [("INV".to_owned(), 118)]);
    let batch = [arriving("ann", 0)];
    let import = Import { hash: "i".to_owned(), ..import(1) };
    store
        .import_begin(&import, &Default::default(), &Default::default(), store.revision().await.expect("one"))
        .await
        .expect("begun");
    store.import_batch(&import, 0, &batch, Revision::FIRST, NOW).await.expect("brought in");
    sql("insert into invoices (account_id, number, issued_at, recorded_at, total, paid, paid_at, overdue, tries_made,
            first_try_due, tries_done_until, series, public_number)
        values (1, 1, 0, 0, 0, 0, 0, false, 0, false, 0, 'INV', 118)")
    .await;
    sql("update number_series set next = 119").await;
    assert_eq!((counts(119).await, counts(200).await), (vec![], vec![("INV".to_owned(), 119)]));
    let other = Import { hash: "j".to_owned(), ..import };
    let begun = store
        .import_begin(
            &other,
            &Default::default(),
            &[("INV".to_owned(), 200)].into(),
            store.revision().await.expect("one"),
        )
        .await;
    assert!(!begun.expect("asked"), "a gap");
}

#[tokio::test]
async fn what_was_printed_elsewhere_stays_as_it_was_printed() {
    let books = Books::new().await;
    publish(&books).await;
    let (store, import) = (&books.store, import(1));
    let revision = store.revision().await.expect("one");
    let begun = store.import_begin(&import, &Default::default(), &Default::default(), revision).await;
    assert!(begun.expect("begun"));
    let brought = store.import_batch(&import, 0, &[arriving("ann", 5)], revision, NOW).await.expect("brought in");
    assert_eq!(brought, Brought::Written);
    for (change, name) in [
        ("update brought_in_invoices set printed = 'FAKE'", "brought_in_invoice_stays"),
        ("delete from brought_in_invoices", "brought_in_invoice_is_kept"),
    ] {
        let refused = books.try_sql(change).await.expect_err(change);
        assert!(refused.contains(name), "{change}: {refused}");
    }
}
