//! All that a life of accounts asks of the database, listened to.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use rules::{AccountId, DueKind, Micros, Mode, Period, ReceiptKind};
use store::{InvoiceState, NewRun, RunId, ServiceFilter, ShardProgress};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::books::{self, NOW};
use crate::living::{self, Life};

pub const BIG: [&str; 14] = [
    "audit_log",
    "requests",
    "api_keys",
    "transfers",
    "events",
    "services",
    "invoices",
    "invoice_lines",
    "credit_notes",
    "intents",
    "receipts",
    "due",
    "accounts",
    "runs",
];

/// The statements that sqlx logs.
#[derive(Clone, Default)]
struct Statements(Arc<Mutex<BTreeSet<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        // The summary is cut short, or all there is.
        if field.name() == "db.statement" && !value.is_empty() || self.0.is_empty() && field.name() == "summary" {
            self.0 = value.trim().to_owned();
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

impl<S: tracing::Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            let mut text = Text(String::new());
            event.record(&mut text);
            self.0.lock().expect("the statements").insert(text.0);
        }
    }
}

fn progress_of(run: RunId) -> ShardProgress {
    let (moved, counts) = Default::default();
    ShardProgress {
        run,
        shard: 0,
        worker: "w".to_owned(),
        up_to: AccountId(0),
        done: 0,
        moved,
        counts,
        claimed_until: None,
    }
}

/// What a request asks.
async fn access(store: &store::Store) {
    let digest = "d".repeat(64);
    let (prefix, name, created_by, expires_at) = ("0a1b", "panel", "ann", None);
    let scope = store::KeyScope::Panel;
    let new =
        store::NewKey { prefix, digest: &digest, name, scope, account: None, made_by: None, created_by, expires_at };
    store.key_insert(&new, NOW).await.expect("kept");
    let key = store.key("0a1b").await.expect("readable").expect("the key").id;
    store.keys().await.expect("keys");
    store.keys_used(&[key], NOW).await.expect("noted");
    store.id_secret("secret").await.expect("made");
    let (idempotency_key, digest) = ("once".to_owned(), "body".to_owned());
    let repeatable = store::Repeatable { key, idempotency_key, digest };
    let note = store::Note::new(store::NewNote {
        request: "r".to_owned(),
        at: NOW,
        actor: "key:panel".to_owned(),
        action: "adjust".to_owned(),
        object: "account ann".to_owned(),
        account: Some(AccountId(1)),
        repeatable: Some(repeatable.clone()),
    });
    store.note_alone(&note).await.expect("kept");
    store.request_done(key, "once").await.expect("readable");
    store.request_answer(&repeatable, (200, "{}")).await.expect("kept");
    store.audit_seal(10).await.expect("sealed");
    store.audit_head().await.expect("readable");
    store.audit_page(None, 0, 10).await.expect("the log");
    store.audit_page(Some(AccountId(1)), 0, 10).await.expect("the log");
    store.audit_hash(1).await.expect("readable");
    store.request_parts_done(key, "once").await.expect("readable");
    store.requests_forget(NOW, 10).await.expect("forgotten");
    store.keys_forget(NOW, 10).await.expect("forgotten");
    store.key_revoke("0a1b", "ann", NOW).await.expect("revoked");
    store.account_name(AccountId(1)).await.expect("a name");
    store.service_numbered(AccountId(1), 0).await.expect("a service");
    store.events_page(AccountId(1), 0, 10).await.expect("events");
}

/// The statements, and the books that they were asked of.
pub async fn all() -> (BTreeSet<String>, Life) {
    let statements = Statements::default();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(statements.clone())).expect("alone");
    let life = living::half_a_year().await;
    let store = &life.books.store;
    let (first, last) = (AccountId(0), AccountId(i64::MAX));
    for kind in DueKind::ALL {
        store.accounts_due(kind, NOW, first, last, 100).await.expect("due");
        store.accounts_due_count(kind, NOW).await.expect("count");
        store.next_due(kind).await.expect("next");
        store.accounts_due_or_held(kind, NOW, first, 10).await.expect("due");
    }
    for kind in DueKind::ALL {
        store.due_backlog(kind, NOW).await.expect("a backlog");
    }
    store.parked_backlog().await.expect("a backlog");
    store.audit_backlog().await.expect("a backlog");
    store.intents_backlog().await.expect("a backlog");
    store.receipts_backlog().await.expect("a backlog");
    store.documents_backlog().await.expect("a backlog");
    store.account_ids(first, last, 10).await.expect("ids");
    store.account_ids_range().await.expect("range");
    store.account_id("ann").await.expect("id");
    store.service_owner("s1").await.expect("owner");
    store.accounts_with_receipts(10).await.expect("receipts");
    store.accounts_with_receipts_due(NOW, first, last, 10).await.expect("receipts");
    store.accounts_with_receipts_due_count(NOW).await.expect("count");
    store.accounts_by_name("", 10).await.expect("accounts");
    store.accounts_page(Some("active"), "", 10).await.expect("accounts");
    store.accounts_page(None, "", 10).await.expect("accounts");
    for account in [None, Some(AccountId(1))] {
        let filter = ServiceFilter { account, state: Some("active"), mode: Some(Mode::Term), shown_only: true };
        store.services_page(&filter, "", 10).await.expect("services");
        for state in [None, Some(InvoiceState::Open), Some(InvoiceState::Overdue), Some(InvoiceState::Paid)] {
            store.invoices_page(account, state, (AccountId(0), 0), 10).await.expect("invoices");
        }
    }
    store.service("s1").await.expect("service");
    store.invoice(AccountId(1), 0).await.expect("invoice");
    store.statement(AccountId(1), Period::new(NOW, NOW.plus_secs(9)), None, 9).await.expect("statement");
    store.intents_open(10).await.expect("intents");
    store.intents_open_of(&[AccountId(1), AccountId(2)]).await.expect("intents");
    store.invoices_numbered(AccountId(1), &[0, 1]).await.expect("invoices");
    store.invoices_printed("INV-000001").await.expect("invoices");
    store.documents_without_number().await.expect("count");
    let documents = rules::DocumentPolicy::default();
    store.numbers_ahead(&documents).await.expect("numbers");
    let mut unnumbered = store.documents_to_number().await.expect("documents");
    store.number_documents(&mut unnumbered, &documents).await.expect("numbered");
    store.revenue(Period::month_of(living::at("2026-03-01T00:00:00Z"))).await.expect("revenue");
    store.closings().await.expect("closings");
    store.settled_until().await.expect("a second");
    store.close_refused(Period::month_of(living::at("2026-01-01T00:00:00Z"))).await.expect("asked");
    store.accounts_behind(NOW, AccountId(0), 10).await.expect("accounts");
    let month = Period::month_of(living::at("2026-01-01T00:00:00Z"));
    let closing = store::Closing { month, closed_at: month.to, author: "ann".to_owned() };
    assert_eq!(store.close_month(&closing).await.expect("asked"), Ok(()));
    let (author, reason, invoice) = ("ann".to_owned(), "test".to_owned(), 0);
    for action in [
        rules::Action::Void { service: "s3".to_owned(), author: author.clone(), reason: reason.clone() },
        rules::Action::CreditInvoice { invoice, author, reason, reissue: None },
    ] {
        store.accounts_load(&[AccountId(1), AccountId(3)], store::Scope::For(&action)).await.expect("accounts");
    }
    store.trail_from(AccountId(1), 0, 0).await.expect("trail");
    store.wallet_entry_before(AccountId(1), NOW).await.expect("entry");
    store.issue_of(AccountId(1), 0).await.expect("entry");
    store.event(AccountId(1), 0).await.expect("event");
    store.event_before(AccountId(1), 9, "service.disabled", Some(0)).await.expect("event");
    store.transfers_of_service(AccountId(1), 0, NOW, 9).await.expect("transfers");
    store.events_of_service(AccountId(1), 0, 9).await.expect("events");
    store.receipt("manual", "r", ReceiptKind::Deposit).await.expect("receipt");
    store.deposits_known([("manual", "r"), ("other", "s")].into_iter()).await.expect("receipts");
    store.receipts_at(AccountId(1), ReceiptKind::Deposit, Micros::ZERO, NOW).await.expect("receipts");
    store.ledger(Some(AccountId(1))).await.expect("ledger");
    store.transfer(AccountId(1), 1).await.expect("transfer");
    store.invoices(Some(AccountId(1))).await.expect("invoices");
    store.events(Some(AccountId(1))).await.expect("events");
    store.verify(None, &rules::Policy::default()).await.expect("verify");
    store.names_taken(&["ann".to_owned()], &["s1".to_owned()]).await.expect("names");
    store.printed_taken(&[("R".to_owned(), "1".to_owned())]).await.expect("numbers");
    store.series_that_count(&[("INV".to_owned(), 1)].into()).await.expect("series");
    store.payment_methods_taken(&[("stripe".to_owned(), "pm_1".to_owned())]).await.expect("methods");
    store.account_details(AccountId(1)).await.expect("details");
    store.account_details_change(AccountId(1), &[("email", None)].into()).await.expect("changed");
    store.refusals(AccountId(1), 9).await.expect("refusals");
    store.refusal(AccountId(1), 0).await.expect("refusal");
    let stood = Default::default();
    let new = store::NewRefusal {
        account: AccountId(1),
        at: NOW,
        action: "enable",
        service: None,
        code: "invalid_state",
        why: "x",
        author: "ann",
        stood: &stood,
    };
    store.refusal_insert(&new).await.expect("kept");
    access(store).await;
    store.import("hash").await.expect("import");
    let given_up = store::GivenUp { at: NOW, by: "ann".to_owned(), reason: "lost".to_owned() };
    store.import_give_up("hash", &given_up).await.expect("given up");
    store.services_after((AccountId(1), 0), 10).await.expect("services");
    let (mode, term_months, price) = (rules::Mode::Daily, 1, books::units(1));
    let (components, options) = Default::default();
    let plan = rules::Plan { mode, price, currency: None, term_months, components, options, private: false };
    let list = [("none".to_owned(), plan)].into();
    store.price_list_insert(&list, NOW, "ann", NOW).await.expect("a list");
    let revision = store.revision().await.expect("one");
    store.price_list_publish(&list, NOW, revision, "ann", NOW).await.expect("asked");
    let policy = rules::Policy::default();
    store.policy_keep(&policy, NOW).await.expect("kept");
    store.policy_followed(&policy).await.expect("followed");
    store.policy().await.expect("a policy");
    store.price_list_withdraw(1, "ann", "", NOW).await.expect("withdrawn");
    let shards = [(first, last)];
    let (slot, covered) = (Some(NOW), [NOW.plus_secs(-9)]);
    let new = NewRun {
        job: "job",
        due_kind: None,
        slot,
        asked_by: "",
        starts_at: NOW,
        retry_of: None,
        one_at_a_time: false,
        covered: &covered,
        preview: None,
        held_for: None,
        shards: &shards,
        total: 0,
        now: NOW,
    };
    let run = store.run_open(&new).await.expect("open").expect("a run").id;
    store.run_start(run, NOW).await.expect("start");
    store.shard_claim(run, 0, "w", NOW, NOW).await.expect("claim");
    store.shard_finish(&progress_of(run), NOW).await.expect("finish");
    store.runs_heal(NOW).await.expect("heal");
    store.last_slot("job").await.expect("slot");
    store.newest_ended("job").await.expect("runs");
    store.last_success("job").await.expect("a second");
    store.runs(Some("job"), 10).await.expect("runs");
    store.runs_unfinished().await.expect("runs");
    store.holds().await.expect("holds");
    store.runs_to_compare("job", 7).await.expect("runs");
    store.slots("job", 7).await.expect("slots");
    store.run_release(run, "", &[], NOW).await.expect("not held");
    store.job_controls().await.expect("controls");
    store.come_home(NOW, "w").await.expect("home");
    store.extent().await.expect("counted");
    let fence = store::NewFence { taken_at: None, at: NOW, by: "ann", reason: "a copy" };
    store.fence_restored(fence).await.expect("raised");
    store.refuse_fenced().await.expect_err("a fence");
    store.fence_lift(NOW, "ann", "gone").await.expect("lifted");
    store.fences().await.expect("fences");

    let heard = statements.0.lock().expect("the statements").clone();
    assert!(heard.len() > 60, "{}", heard.len());
    let verbs = ["select", "insert", "update", "delete"];
    (heard.into_iter().filter(|text| verbs.iter().any(|verb| text.starts_with(verb))).collect(), life)
}
