//! What the database itself refuses, whoever asks.

use rules::{Invoice, Line, LineKind, Micros, Period, TransferKind, Tries};

use crate::books::{Books, NOW, add_daily, book, changes, units};

/// Books with a daily instance charged for a day, and an invoice with a line.
async fn charged() -> Books {
    let books = Books::new().await;
    let account = books.open_account("ann").await;
    let mut changes = changes(account);
    let service = add_daily(&mut changes, "s1");
    book(&mut changes, TransferKind::Deposit, units(20));
    book(&mut changes, TransferKind::Period, units(2));
    let period = Period::new(NOW, NOW.next_midnight());
    let charge = changes.transfers.last_mut().expect("a transfer");
    charge.service = Some(service);
    charge.period = Some(period);
    let of = rules::Priced { order: crate::books::order("p"), list: None, price: rules::Price::of(units(5)) };
    let basis = rules::Basis::Months { of, part: period };
    let tries = Tries { made: 0, first_is_due: true, first_failed_at: None, done_until: NOW, new_card_at: None };
    let (total, paid) = (units(5), Micros::ZERO);
    changes.invoices.push(Invoice {
        number: 0,
        issued_at: NOW,
        total,
        paid,
        credited: Micros::ZERO,
        written_off: Micros::ZERO,
        paid_at: None,
        credited_at: None,
        overdue: false,
        tries,
    });
    changes.lines.push((0, Line { service, kind: LineKind::Month, period, amount: units(5), basis }));
    changes.account.next.invoice = 1;
    changes.account.next.event = 1;
    let kind = rules::EventKind::InvoiceIssued;
    changes.events.push(rules::Event { number: 0, at: NOW, kind, service: None, invoice: Some(0) });
    books.commit(changes).await;
    books
}

#[tokio::test]
async fn every_constraint_refuses_its_case() {
    let books = charged().await;
    let transfer = |columns: &str, values: &str| {
        format!(
            "insert into transfers (account_id, number, currency, effective_at, recorded_at, {columns})
            values (1, 99, 'USD', 0, 0, {values})"
        )
    };
    let kind = "kind, debit, credit, amount";
    let service = |mode: &str, state: &str, columns: &str, values: &str| {
        format!(
            "insert into services (account_id, number, name, created_at, plan, quantities, options, finished, mode, state{columns})
            values (1, 99, 'new', 0, 'p', '{{}}', '[]', false, '{mode}', '{state}'{values})"
        )
    };
    let event = |columns: &str, values: &str| {
        format!("insert into events (account_id, number, at, recorded_at, kind{columns}) values ({values})")
    };
    let line = |keys: &str| {
        format!(
            "insert into invoice_lines (account_id, invoice, service, reissue, position, kind, period_from, period_to, amount, basis)
            values ({keys}, 9, 'usage', 0, 0, 1, '')"
        )
    };
    // Once the ledger's floor is above all rows, they may go, but for what others refer to.
    let purged = |deletes: &str| {
        let floor = NOW.secs() + 1;
        format!("begin; update ledger_floor set deletable_before = {floor}; {deletes}; commit")
    };
    let paid = ", paid_from, paid_to";
    let cases: Vec<(String, &str)> = vec![
        (transfer(kind, "'deposit', 'cash:provider', 'wallet', 0"), "transfer_amount_is_positive"),
        (transfer(kind, "'deposit', 'cash:provider', 'wallet', -1"), "transfer_amount_is_positive"),
        (transfer(kind, "'deposit', 'wallet', 'wallet', 1"), "transfer_moves"),
        (transfer(kind, "'deposit', 'wallet', 'cash:provider', 1"), "FOREIGN KEY"),
        (transfer(kind, "'gift', 'promotions', 'wallet', 1"), "FOREIGN KEY"),
        (transfer(kind, "'period', 'wallet', 'sales', 1"), "transfer_of_period_names_it"),
        (transfer(kind, "'bonus', 'promotions', 'wallet', 1"), "transfer_by_hand_is_signed"),
        (transfer(&format!("{kind}, period_from"), "'deposit', 'cash:provider', 'wallet', 1, 5"), "transfer_period_is_ordered"),
        (
            transfer(&format!("{kind}, period_from, period_to"), "'deposit', 'cash:provider', 'wallet', 1, 5, 5"),
            "transfer_period_is_ordered",
        ),
        (transfer(&format!("{kind}, service"), "'deposit', 'cash:provider', 'wallet', 1, 7"), "FOREIGN KEY"),
        (transfer(&format!("{kind}, invoice"), "'deposit', 'cash:provider', 'wallet', 1, 7"), "FOREIGN KEY"),
        (transfer(kind, "'deposit', 'cash:provider', 'wallet', 'much'"), "cannot store TEXT"),
        ("update accounts set state = 'asleep'".into(), "account_state_is_known"),
        ("update accounts set state = 'suspended'".into(), "account_reason_fits_state"),
        ("update accounts set suspended_for = 'unpaid'".into(), "account_reason_fits_state"),
        ("update accounts set trial_ends_at = 5".into(), "account_trial_is_whole"),
        ("update accounts set trial_ended = false".into(), "account_trial_is_whole"),
        (
            "insert into accounts (id, name, currency, opened_at, recorded_at, version, settled_at, state, verified,
                resume_on_deposit, wallet, brought_in, daily_paid_until, invoiced_until, next_transfer, next_event,
                next_service, next_invoice, next_charge)
            select 99, 'bob', 'dollar', opened_at, recorded_at, version, settled_at, state, verified,
                resume_on_deposit, wallet, brought_in, daily_paid_until, invoiced_until, next_transfer, next_event,
                next_service, next_invoice, next_charge from accounts"
                .into(),
            "account_currency_is_a_code",
        ),
        (service("yearly", "active", "", ""), "service_mode_is_known"),
        (service("daily", "active", paid, ", 1, 2"), "service_state_fits_mode"),
        (service("daily", "enabled", "", ""), "service_paid_fits_mode"),
        (service("daily", "enabled", paid, ", 2, 1"), "service_paid_fits_mode"),
        (service("daily", "disabled", paid, ", 1, 2"), "service_reason_fits_state"),
        (service("daily", "disabled", ", paid_from, paid_to, reason", ", 1, 2, 'fraud'"), "service_stop_fits_state"),
        (service("daily", "disabled", ", paid_from, paid_to, reason, stopped_at", ", 1, 2, 'rain', 1"), "service_reason_is_known"),
        (service("term", "cancelled", paid, ", 1, 2"), "service_term_fits_mode"),
        (service("term", "active", ", paid_from, paid_to, term_months, anchor", ", 1, 2, 1, 1"), "service_ending_fits_state"),
        (
            service("term", "suspended", ", paid_from, paid_to, term_months, anchor, reason", ", 1, 2, 1, 1, 'unpaid'"),
            "service_stage_fits_state",
        ),
        (service("hourly", "active", "", ""), "service_meter_fits_mode"),
        ("update invoices set paid = 6000000".into(), "invoice_paid_within_total"),
        ("update invoices set paid = total".into(), "invoice_paid_fits_state"),
        ("update invoices set paid_at = 1".into(), "invoice_paid_fits_state"),
        ("update invoices set public_number = 1".into(), "invoice_number_is_whole"),
        ("insert into invoice_lines select account_id, invoice, 2, service, kind, period_from, period_to, amount, basis, net, tax, tax_rate_code, reissue, earned_from from invoice_lines".into(), "invoice_lines.period_from"),
        ("insert into due values (1, 'daily', 5)".into(), "due_kind_is_known"),
        ("insert into due values (7, 'term', 5)".into(), "FOREIGN KEY"),
        ("insert into outages values (5, 5, 5)".into(), "outage_is_ordered"),
        ("insert into receipts (provider, payment, kind, account_id, amount, received_at) values ('p', 'x', 'deposit', 1, 0, 1)".into(), "receipt_amount_is_positive"),
        ("insert into receipts (provider, payment, kind, account_id, amount, received_at) values ('p', 'x', 'gift', 1, 1, 1)".into(), "receipt_kind_is_known"),
        ("insert into receipts (provider, payment, kind, account_id, amount, received_at, applied_at) values ('p', 'x', 'deposit', 1, 1, 1, 1)".into(), "receipt_applied_has_second"),
        ("insert into intents (account_id, key, purpose, card, amount, due_at, recorded_at) values (1, 'k', '', 'c', 0, 0, 0)".into(), "intent_amount_is_positive"),
        ("insert into intents (account_id, key, purpose, card, amount, due_at, recorded_at, used_at) values (1, 'k', '', 'c', 1, 0, 0, 1)".into(), "intent_used_is_answered"),
        ("insert into runs (job, asked_by, slots, starts_at, state, opened_at, total, done, moved, counts) values ('j', 'a', 1, 1, 'done', 1, 0, 0, '', '')".into(), "run_end_fits_state"),
        ("insert into runs (job, asked_by, slots, starts_at, state, opened_at, finished_at, total, done, moved, counts) values ('j', 'a', 1, 1, 'cancelled', 1, 1, 0, 0, '', '')".into(), "run_cancelled_is_whole"),
        ("insert into runs (job, slot, asked_by, slots, starts_at, state, opened_at, finished_at, cancelled_by, cancelled_for, total, done, moved, counts) values ('j', 1, 'a', 1, 1, 'cancelled', 1, 1, 'b', 'c', 0, 0, '', '')".into(), "run_cancelled_had_not_begun"),
        (event("", "7, 99, 0, 0, 'x'"), "FOREIGN KEY"),
        (event(", service", "1, 99, 0, 0, 'x', 7"), "FOREIGN KEY"),
        (event(", invoice", "1, 99, 0, 0, 'x', 7"), "FOREIGN KEY"),
        (line("1, 7, 0, 0"), "FOREIGN KEY"),
        (line("1, 0, 7, 0"), "FOREIGN KEY"),
        (line("1, 0, 0, 1"), "FOREIGN KEY"),
        (
            "insert into invoices (account_id, number, issued_at, recorded_at, total, paid, overdue, tries_made, first_try_due, tries_done_until)
            values (7, 0, 0, 0, 5, 0, false, 0, true, 0)"
                .into(),
            "FOREIGN KEY",
        ),
        (purged("delete from events; delete from invoices"), "FOREIGN KEY"),
        (purged("delete from invoice_lines; delete from invoices"), "FOREIGN KEY"),
        (
            purged(&format!(
                "{}; delete from invoice_lines; delete from events; delete from invoices",
                transfer(&format!("{kind}, invoice"), "'deposit', 'cash:provider', 'wallet', 1, 0")
            )),
            "FOREIGN KEY",
        ),
        (purged("delete from transfers; delete from services"), "FOREIGN KEY"),
        ("delete from accounts".into(), "FOREIGN KEY"),
        ("delete from services".into(), "FOREIGN KEY"),
        ("delete from postings where kind = 'period'".into(), "FOREIGN KEY"),
    ];
    for (sql, wanted) in cases {
        let refused = books.try_sql(&sql).await.expect_err(&sql);
        let wanted = if crate::ON_POSTGRES { on_postgres(wanted) } else { wanted };
        assert!(refused.contains(wanted), "{sql}: {refused}, not {wanted}");
    }
}

/// The same in PostgreSQL's words, which has a name where SQLite has columns.
fn on_postgres(refusal: &str) -> &str {
    match refusal {
        "FOREIGN KEY" => "violates foreign key constraint",
        "cannot store TEXT" => "invalid input syntax for type bigint",
        "invoice_lines.period_from" => "line_period_is_billed_once",
        named => named,
    }
}

#[tokio::test]
async fn what_is_booked_stays() {
    let books = charged().await;
    for (sql, wanted) in [
        ("update transfers set amount = 1", "transfer_stays"),
        ("update transfers set reason = null", "transfer_stays"),
        ("delete from transfers where number = 1", "transfer_is_kept"),
        ("update invoices set total = 6000000", "issued_invoice_stays"),
        ("update invoices set issued_at = 1", "issued_invoice_stays"),
        ("delete from invoices", "invoice_is_kept"),
        ("update invoice_lines set amount = 1", "issued_line_stays"),
        ("update accounts set name = 'another'", "account_name_stays"),
        ("update accounts set currency = 'EUR'", "account_name_stays"),
        ("delete from invoice_lines", "line_is_kept"),
        ("update events set at = 1", "event_stays"),
        ("delete from events", "event_is_kept"),
    ] {
        let refused = books.try_sql(sql).await.expect_err(sql);
        assert!(refused.contains(wanted), "{sql}: {refused}");
    }
    if crate::ON_POSTGRES {
        for (table, wanted) in [
            ("services", "services_stay"),
            ("invoices cascade", "invoices_stay"),
            ("postings", "postings_stay"),
            ("accounts", "foreign key"),
        ] {
            let refused = books.try_sql(&format!("truncate {table}")).await.expect_err(table);
            assert!(refused.contains(wanted), "{table}: {refused}");
        }
    }
    // A purge moves the floor in its own transaction; only then do old rows go.
    let purge = format!(
        "begin; update ledger_floor set deletable_before = {}; delete from transfers where number = 1; commit",
        NOW.secs() + 1
    );
    books.try_sql(&purge).await.expect("a purge");
}

#[tokio::test]
async fn a_payment_goes_one_way() {
    let books = charged().await;
    books.try_sql("update invoices set paid = 2000000").await.expect("a part");
    assert!(books.try_sql("update invoices set paid = 1").await.is_err());
    books.try_sql("update invoices set paid = total, paid_at = 7").await.expect("the rest");
    assert!(books.try_sql("update invoices set paid_at = 8").await.is_err());
}

#[tokio::test]
async fn a_period_is_charged_once() {
    let books = charged().await;
    let again = |from: rules::Timestamp| {
        let books = &books;
        async move {
            let mut second = changes(books.load(rules::AccountId(1)).await);
            book(&mut second, TransferKind::Period, Micros::ZERO);
            let charge = second.transfers.last_mut().expect("a transfer");
            charge.service = Some(0);
            charge.period = Some(Period::new(from, NOW.plus_days(9)));
            second
        }
    };
    assert_eq!(books.refused(again(NOW).await).await, "service_period_is_charged_once");
    books.commit(again(NOW.plus_days(3)).await).await;
}

#[tokio::test]
async fn names_are_taken_once() {
    let books = charged().await;
    let error = books.store.account_insert(&crate::books::account("ann"), &crate::books::NOTHING_DUE, NOW).await;
    let error = error.expect_err("taken");
    assert!(matches!(&error, store::StoreError::NameTaken { what: "account", name } if name == "ann"), "{error}");
    let mut other = changes(books.open_account("bob").await);
    add_daily(&mut other, "s0");
    add_daily(&mut other, "s1");
    let batch = [store::Commit { changes: other, due: crate::books::NOTHING_DUE }];
    let error = books.store.commit(&batch, crate::books::STAMP, None).await.expect_err("taken");
    assert!(matches!(&error, store::StoreError::NameTaken { what: "service", name } if name == "s1"), "{error}");
    // Also by a service of the same account.
    let ann = books.store.account_id("ann").await.expect("id").expect("ann");
    let mut own = changes(books.load(ann).await);
    add_daily(&mut own, "s1");
    let batch = [store::Commit { changes: own, due: crate::books::NOTHING_DUE }];
    let error = books.store.commit(&batch, crate::books::STAMP, None).await.expect_err("taken");
    assert!(matches!(&error, store::StoreError::NameTaken { what: "service", name } if name == "s1"), "{error}");
    assert_eq!(books.store.service_owner("s1").await.expect("owner"), Some(rules::AccountId(1)));
    assert_eq!(books.store.service_owner("s0").await.expect("owner"), None);
    let bob = books.store.account_id("bob").await.expect("id").expect("bob");
    assert_eq!(books.load(bob).await.name, "bob");
}

#[tokio::test]
async fn every_transfer_kind_has_its_posting() {
    let books = charged().await;
    let mut all = changes(books.load(rules::AccountId(1)).await);
    for kind in TransferKind::ALL {
        book(&mut all, kind, units(1));
        let transfer = all.transfers.last_mut().expect("a transfer");
        transfer.author = Some("admin".into());
        transfer.reason = Some("a test".into());
        if kind == TransferKind::Period {
            transfer.service = Some(0);
            transfer.period = Some(Period::day_of(NOW.plus_days(4)));
        }
        transfer.corrects = (kind == TransferKind::Reversal).then_some(1);
    }
    books.commit(all).await;
}
