//! Verify finds each fault that is put into sound books.

use std::collections::BTreeSet;

use crate::living::half_a_year;

/// What is done to the file, and the invariants that it breaks.
const BREAKS: &[(&str, &[&str])] = &[
    (
        "update transfers set debit = 'bank' where account_id = 1 and number = 0",
        &["posting_is_legal", "foreign_keys_hold"],
    ),
    ("update transfers set currency = 'EUR' where account_id = 1 and number = 3", &["currency_is_the_accounts"]),
    ("update accounts set wallet = wallet + 1 where id = 1", &["wallet_is_its_sum"]),
    ("update accounts set brought_in = brought_in - 1 where id = 1", &["brought_in_is_its_sum"]),
    (
        "update transfers set amount = amount + 1 where account_id = 1 and kind = 'deposit' and number = 0",
        &["wallet_is_its_sum", "brought_in_is_its_sum", "money_is_booked"],
    ),
    (
        "update transfers set amount = 1, basis = null where account_id = 1 and number = 1",
        &["wallet_is_its_sum", "amount_has_a_basis"],
    ),
    (
        "update transfers set amount = amount - 1 where account_id = 1 and number = 1",
        &["wallet_is_its_sum", "amount_follows_from_its_basis"],
    ),
    (
        "update transfers set kind = 'card_credit', number = -1 where account_id = 1 and number = 0",
        &["numbers_have_no_gap", "money_is_booked"],
    ),
    (
        "update transfers set number = 100000 where account_id = 1 and number = 0",
        &["numbers_have_no_gap", "charge_is_covered"],
    ),
    ("delete from events where account_id = 1 and number = 2", &["numbers_have_no_gap"]),
    ("update accounts set next_service = next_service + 1 where id = 1", &["numbers_have_no_gap"]),
    ("update accounts set next_invoice = next_invoice + 1 where id = 2", &["numbers_have_no_gap"]),
    (
        "update invoices set total = total + 10000 where account_id = 2 and number = 0",
        &["invoice_is_its_lines", "invoice_is_booked", "receivable_is_what_is_open", "invoice_state_fits"],
    ),
    (
        "update invoices set paid = paid - 10000, paid_at = null where account_id = 2 and number = 0",
        &["invoice_is_booked", "receivable_is_what_is_open", "due_follows_from_state"],
    ),
    (
        "update invoices set paid_at = null where account_id = 2 and number = 0",
        &["invoice_state_fits", "due_follows_from_state"],
    ),
    (
        "update invoice_lines set amount = amount + 10000 where account_id = 2 and invoice = 0 and position = 1",
        &[
            "invoice_is_its_lines",
            "amount_follows_from_its_basis",
            "revenue_ties_to_sales",
            "billed_is_the_ledgers_sales",
        ],
    ),
    (
        "update invoice_lines set period_from = period_from - 86400
        where account_id = 2 and kind = 'month' and invoice = (
            select max(invoice) from invoice_lines where account_id = 2 and kind = 'month'
        )",
        &["lines_do_not_overlap"],
    ),
    (
        "update transfers set period_to = period_to + 3600 where account_id = 1 and number = 1",
        &["periods_do_not_overlap"],
    ),
    (
        "update transfers set period_to = period_to - 3600 where account_id = 1 and number = 1",
        &["periods_leave_no_gap"],
    ),
    ("update accounts set daily_paid_until = daily_paid_until + 86400 where id = 3", &["what_runs_is_charged"]),
    (
        "update transfers set period_to = period_to - 1 where account_id = 3 and service = (
            select number from services where name = 't3'
        )",
        &["what_runs_is_charged", "paid_period_is_charged"],
    ),
    ("update services set finished = true where name = 's3'", &["finished_fits_state"]),
    ("update services set finished = false where name = 'h1'", &["finished_fits_state"]),
    (
        "update invoice_lines set kind = 'usage' where account_id = 2 and kind = 'month' and invoice = (
            select max(invoice) from invoice_lines where account_id = 2 and kind = 'month'
        )",
        &["server_is_billed_whole"],
    ),
    (
        "update invoice_lines set kind = 'usage' where account_id = 2 and kind = 'month' and invoice = (
            select min(invoice) from invoice_lines where account_id = 2 and kind = 'month'
        )",
        &["server_is_billed_whole"],
    ),
    ("update services set paid_to = paid_to + 1 where name = 's1'", &["paid_period_is_charged"]),
    (
        "update services set state = 'active', reason = null, stage = null, ends_with_period = false where name = 't1'",
        &["what_runs_is_paid", "finished_fits_state", "due_follows_from_state"],
    ),
    (
        "update receipts set applied_at = null, effective_at = null where id = 1",
        &["receipt_is_applied", "money_is_booked"],
    ),
    ("delete from receipts where id = 1", &["money_is_booked"]),
    ("update receipts set amount = amount + 1 where id = 1", &["money_is_booked"]),
    (
        "update intents set answer = null, answered_at = null where key = (
            select min(key) from intents where used_at is not null
        )",
        &["used_intent_is_answered", "money_is_booked"],
    ),
    (
        "update intents set late_answer = 'succeeded', late_at = 1 where key = (
            select min(key) from intents where answer = 'pending'
        )",
        &["late_success_is_money"],
    ),
    ("update accounts set suspended_for = 'fraud' where id = 2", &["reason_fits_state", "account_is_readable"]),
    ("update services set meter = '{' where name = 'm2'", &["account_is_readable"]),
    ("update transfers set basis = '{}' where account_id = 1 and number = 1", &["row_is_readable"]),
    ("update events set reason = 'rain' where account_id = 1 and reason is not null", &["row_is_readable"]),
    // Times that nothing can count with.
    ("update accounts set opened_at = -62135596801 where id = 1", &["account_is_readable"]),
    ("update services set created_at = 9223372036854775807 where name = 'h1'", &["account_is_readable"]),
    ("update transfers set effective_at = 253402300800 where account_id = 1 and number = 1", &["row_is_readable"]),
    ("update events set at = -9223372036854775808 where account_id = 1 and number = 0", &["row_is_readable"]),
    ("update events set service = 77 where account_id = 1 and number = 0", &["foreign_keys_hold"]),
    // What was corrected.
    (
        "update transfers set amount = amount - 1 where account_id = 4 and kind = 'reversal' and number = (
            select min(number) from transfers where account_id = 4 and kind = 'reversal'
        )",
        &["wallet_is_its_sum", "charge_is_covered", "reversal_is_its_periods_net", "billed_is_the_ledgers_sales"],
    ),
    (
        "update transfers set corrects = 0 where account_id = 4 and kind = 'reversal' and number = (
            select min(number) from transfers where account_id = 4 and kind = 'reversal'
        )",
        &["reversal_is_its_periods_net", "periods_do_not_overlap"],
    ),
    (
        "update invoices set credited_at = credited_at + 1 where account_id = 4 and number = 0",
        &["credit_note_is_its_invoice"],
    ),
    ("delete from credit_notes where account_id = 4 and invoice = 1", &["credit_note_is_its_invoice"]),
    (
        "update transfers set amount = amount - 1 where account_id = 4 and kind = 'invoice_credited' and invoice = 0",
        &[
            "credit_note_is_its_invoice",
            "receivable_is_what_is_open",
            "revenue_ties_to_sales",
            "billed_is_the_ledgers_sales",
        ],
    ),
    (
        "update transfers set amount = amount - 1 where account_id = 4 and kind = 'payment_returned' and invoice = 0",
        &["credit_note_is_its_invoice", "receivable_is_what_is_open", "wallet_is_its_sum", "charge_is_covered"],
    ),
    (
        "update invoices set written_off = written_off - 1 where account_id = 4 and written_off > 0",
        &["invoice_is_booked", "invoice_state_fits", "receivable_is_what_is_open"],
    ),
    (
        "update invoices set reissues = 3, reissue = 1 where account_id = 4 and number = 4",
        &["reissue_is_its_invoice", "foreign_keys_hold"],
    ),
    (
        "update invoice_lines set period_to = period_to - 1 where account_id = 4 and invoice = 0 and position = 1",
        &["reissue_is_its_invoice"],
    ),
    (
        "update invoices set credited_at = null where account_id = 4 and number = 0",
        &[
            "credit_note_is_its_invoice",
            "reissue_is_its_invoice",
            "lines_do_not_overlap",
            "revenue_ties_to_sales",
            "billed_is_the_ledgers_sales",
        ],
    ),
    ("insert into closings values (1780272000, 1782864000, 1782864000, 'admin')", &[]),
    (
        "update transfers set earned_from = period_from + 1 where account_id = 1 and kind = 'period' and number = (
            select min(number) from transfers where account_id = 1 and kind = 'period'
        )",
        &["closed_months_earn_no_more"],
    ),
    ("insert into closings values (1782864000, 1785542400, 1785542400, 'admin')", &["closed_month_is_settled"]),
    (
        "update invoices set series = 'INV', public_number = 7 where account_id = 4 and number = 0",
        &["public_numbers_have_no_gap"],
    ),
    (
        "insert into audit_log (at, actor, request, action, object, result, sealed, hash)
        values (1, 'ann', 'r', 'adjust', 'account ann', 'done', 1, 'of something else')",
        &["audit_log_is_chained"],
    ),
    ("drop index service_period_is_charged_once", &["guards_are_in_place"]),
    // What it was priced by.
    ("update price_lists set body = replace(body, '\"price\":6000000', '\"price\":6000001')", &["price_is_its_lists"]),
    (
        "update transfers set basis = replace(basis, '\"list\":null', '\"list\":86400')
        where account_id = 1 and number = 1",
        &["price_is_its_lists"],
    ),
    // What no list knows.
    ("update services set plan = 'gone' where name = 't3'", &["order_is_priced"]),
    ("update services set options = '[\"gone\"]' where name = 's3'", &["order_is_priced"]),
    // One invoice a month.
    (
        "update invoices set issued_at = (
            select max(issued_at) from invoices where account_id = 2
        ) where account_id = 2 and number = 0",
        &["month_is_invoiced_once", "billed_is_the_ledgers_sales", "invoice_state_fits"],
    ),
    (
        "update invoices set issued_at = issued_at + 1 where account_id = 2 and number = 0",
        &["month_is_invoiced_once", "invoice_state_fits"],
    ),
    // Months.
    (
        "update transfers set period_to = period_to + 1 where account_id = 4 and kind = 'reversal' and number = (
            select min(number) from transfers where account_id = 4 and kind = 'reversal'
        )",
        &["reversal_is_its_periods_net", "revenue_follows_from_its_rows"],
    ),
    (
        "update transfers set effective_at = effective_at - 3456000
        where account_id = 2 and kind = 'invoice_issued' and invoice = 0",
        &["billed_is_the_ledgers_sales"],
    ),
    // A daemon lived for a year more, and did nothing.
    (
        "insert into heartbeats values (1, 1814400000, 1780000000)",
        &["due_is_done_in_time", "document_is_numbered_in_time"],
    ),
    (
        "insert into receipts (provider, payment, kind, account_id, amount, received_at)
            values ('stripe', 'pi_late', 'deposit', 3, 1000000, 1790000000);
        insert into heartbeats values (1, 1814400000, 1780000000)",
        &["receipt_is_applied_in_time", "due_is_done_in_time", "document_is_numbered_in_time"],
    ),
    (
        "update intents set answer = null, answered_at = null where key = (
            select min(key) from intents where used_at is not null
        );
        insert into heartbeats values (1, 1814400000, 1780000000)",
        &[
            "used_intent_is_answered",
            "money_is_booked",
            "intent_is_answered_in_time",
            "due_is_done_in_time",
            "document_is_numbered_in_time",
        ],
    ),
    (
        "insert into runs (job, slots, asked_by, starts_at, state, opened_at, total, done, moved, counts)
            values ('bill_instances', 1, 'test', 0, 'running', 0, 0, 0, '{}', '{}');
        insert into heartbeats values (1, 1814400000, 1780000000)",
        &["run_ends_in_time", "due_is_done_in_time", "document_is_numbered_in_time"],
    ),
];

#[test]
fn every_invariant_is_broken_once() {
    // What checks the file itself is left out there.
    let broken = BREAKS.iter().flat_map(|(_, found)| found.iter()).chain(&["file_is_sound"]);
    let broken: BTreeSet<&str> = broken.copied().collect();
    assert_eq!(broken, store::INVARIANTS.iter().map(|(name, _)| *name).collect());
}

/// While an admin keeps work back nothing is late, nor right after a silence.
#[tokio::test]
async fn what_waits_for_a_reason_is_not_late() {
    let life = half_a_year().await;
    for reason in [
        "update heartbeats set alive_since = 1814300000",
        "insert into job_controls (job, cron, cron_since, slots_after) values ('bill_instances', '', 0, 1814399000)",
        "insert into job_controls values ('bill_instances', 'daily', '', 0, 0, 1, 'ann', 'moving')",
    ] {
        let copy = life.books.copy().await;
        copy.tamper(&format!("insert into heartbeats values (1, 1814400000, 1780000000); {reason}")).await;
        assert_eq!(life.faults_of(&copy, None).await, [], "{reason}");
    }
}

#[tokio::test]
async fn each_fault_is_found() {
    let life = half_a_year().await;
    let sound = life.books.dump().await;
    let mut wrong = Vec::new();
    for (fault, wanted) in BREAKS {
        let copy = life.books.copy().await;
        assert_eq!(copy.dump().await, sound);
        copy.tamper(fault).await;
        assert!(copy.dump().await != sound || fault.starts_with("drop"), "{fault}: changed nothing");
        let faults = life.faults_of(&copy, None).await;
        let found: BTreeSet<&str> = faults.iter().map(|fault| fault.invariant).collect();
        // A file that breaks a check says so as well.
        let found: BTreeSet<&str> = found.into_iter().filter(|name| *name != "file_is_sound").collect();
        if found != wanted.iter().copied().collect() {
            wrong.push((fault, faults.clone()));
        }
        if let Some(account) = faults.iter().find_map(|fault| fault.account) {
            let of_one = life.faults_of(&copy, Some(account)).await;
            assert!(!of_one.is_empty() && of_one.iter().all(|fault| fault.account == Some(account)), "{of_one:?}");
        }
    }
    for (fault, faults) in &wrong {
        eprintln!("{fault}");
        faults.iter().for_each(|fault| eprintln!("    {fault}"));
    }
    assert!(wrong.is_empty(), "{} faults are found as something else", wrong.len());
}

#[tokio::test]
async fn what_no_job_would_find_in_time_is_found() {
    let life = half_a_year().await;
    assert_eq!(life.faults().await, []);
    for fault in [
        "update accounts set daily_due_at = daily_due_at + 1 where id = 3",
        "update accounts set daily_due_at = null where id = 3",
        "delete from due where account_id = 3 and kind = 'term'",
        "update due set at = at + 1 where account_id = 2 and kind = 'invoice'",
    ] {
        let copy = life.books.copy().await;
        copy.tamper(fault).await;
        let faults = life.faults_of(&copy, None).await;
        assert_eq!(
            faults.iter().map(|fault| fault.invariant).collect::<Vec<_>>(),
            ["due_follows_from_state"],
            "{fault}"
        );
    }
    // What is looked at too early is only looked at once more.
    for harmless in [
        "update due set at = at - 1 where account_id = 2 and kind = 'invoice'",
        "insert into due values (3, 'trial', 1)",
    ] {
        let copy = life.books.copy().await;
        copy.tamper(harmless).await;
        assert_eq!(life.faults_of(&copy, None).await, [], "{harmless}");
    }
}

#[tokio::test]
async fn a_guard_that_was_removed_is_missed() {
    let life = half_a_year().await;
    let of = if crate::ON_POSTGRES { " on transfers" } else { "" };
    life.books.try_sql(&format!("drop trigger transfer_stays{of}")).await.expect("drop");
    let faults = life.faults().await;
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].to_string(), "guards_are_in_place: transfer_stays is missing");
}
