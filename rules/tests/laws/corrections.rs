//! What admins take back (rules 3.6, 6.12, 6.13).

use proptest::prelude::*;
use rules::{Answer, EventKind, Kind, Micros, Mode, PriceList, ReceiptKind, Refusal, Standing, TransferKind};

use crate::history::{History, raws};
use crate::invariants;
use crate::world::{
    Books, Cards, World, account, adjust, at, cancel, change_plan, create, credit, disable, enable, kinds, list,
    micros, plan, signed_amount, void, with_card, write_off,
};

/// What the account has less what it owes.
fn position(books: &Books) -> i64 {
    books.wallet().get() - books.account().open_total().expect("a total").get()
}

fn paid_by_cards(books: &Books) -> i64 {
    let paid = books.transfers.iter().filter(|transfer| transfer.kind == TransferKind::InvoicePaidByCard);
    paid.map(|transfer| transfer.amount.get()).sum()
}

proptest! {
    /// After any history: taken back, the current period of each service cost nothing.
    #[test]
    fn a_period_taken_back_nets_to_zero(raw in raws(40)) {
        let (mut world, mut books, _) = History::of(&raw).play();
        let now = books.account().settled_at;
        for service in books.account().services {
            let before = (books.wallet(), books.transfers.len(), position(&books));
            let acted = world.act(&mut books, &void(&service.name), now).expect("settleable");
            if acted != Some(Ok(())) {
                prop_assert_eq!((books.wallet(), books.transfers.len(), position(&books)), before);
                continue;
            }
            let reversal = books.transfers[before.1].clone();
            let own = books.transfers.iter().filter(|transfer| transfer.service == Some(service.number));
            let group = own.filter(|transfer| Some(transfer.number) >= reversal.corrects);
            let net: i64 = group.clone().map(|transfer| signed_amount(transfer).get()).sum();
            let roundings = i64::try_from(group.count()).expect("a count");
            prop_assert!(net == 0 || reversal.amount.is_zero() && net > 0 && 2 * net <= roundings, "{} is left", net);
            prop_assert_eq!(position(&books), before.2 + reversal.amount.get());
            // Once: nothing is left to take back.
            let again = world.act(&mut books, &void(&service.name), now);
            prop_assert_eq!(again, Ok(Some(Err(Refusal::InvalidState))));
        }
        invariants::hold(&world, &books);
    }

    /// After any payments: a credit note gives back exactly the invoice, and issued anew it costs the same again.
    #[test]
    fn a_credit_note_conserves_money(raw in raws(40), anew in any::<bool>()) {
        let (mut world, mut books, _) = History::of(&raw).play();
        let now = books.account().settled_at;
        for invoice in books.invoices.clone().into_values() {
            let before = (position(&books), paid_by_cards(&books));
            let action = credit(invoice.number, anew.then_some(&[("name", "Ann")]));
            let Ok(Some(Ok(()))) = world.act(&mut books, &action, now) else { continue };
            let back = if anew { 0 } else { invoice.total.get() };
            let by_cards = paid_by_cards(&books) - before.1;
            prop_assert_eq!(position(&books), before.0 + back + by_cards);
            prop_assert_eq!(world.act(&mut books, &action, now), Ok(Some(Err(Refusal::InvalidState))));
        }
        invariants::hold(&world, &books);
    }
}

fn plans() -> PriceList {
    list([
        ("day", plan(Mode::Daily, "2.40")),
        ("day-large", plan(Mode::Daily, "4.80")),
        ("term", plan(Mode::Term, "30")),
        ("month", plan(Mode::Monthly, "12")),
        ("free", plan(Mode::Daily, "0")),
    ])
}

struct Case {
    world: World,
    books: Books,
}

impl Case {
    fn new(opened: &str) -> Self {
        let world = World::new(plans());
        let books = world.open(account("ann"), at(opened));
        Self { world, books }
    }

    /// Does it, and tells the wallet after it or why it was refused.
    fn act(&mut self, when: &str, action: rules::Action) -> String {
        let acted = self.world.act(&mut self.books, &action, at(when)).expect("settleable").expect("an answer");
        invariants::hold(&self.world, &self.books);
        acted.map_or_else(|refusal| refusal.name().to_owned(), |()| self.books.wallet().to_string())
    }

    fn settle(&mut self, until: &str) {
        self.world.settle(&mut self.books, at(until)).expect("settleable");
        invariants::hold(&self.world, &self.books);
    }
}

#[test]
fn an_instance_is_taken_back_and_begins_anew() {
    let mut case = Case::new("2026-11-20T00:00:00Z");
    case.act("2026-11-20T00:00:00Z", adjust("100"));
    assert_eq!(case.act("2026-11-20T08:00:00Z", create("s", "day")), "98.400000");
    assert_eq!(case.act("2026-11-20T20:00:00Z", change_plan("s", "day-large")), "98.000000");
    assert_eq!(case.act("2026-11-20T22:00:00Z", void("s")), "100.000000");
    let reversal = case.books.transfers.last().expect("a transfer").clone();
    assert_eq!((reversal.kind, reversal.amount, reversal.corrects), (TransferKind::Reversal, micros("2"), Some(1)));
    assert_eq!((reversal.author.as_deref(), reversal.reason.as_deref()), (Some("admin"), Some("test")));
    assert_eq!(case.books.account().brought_in, Micros::ZERO, "a credit is no deposit");
    // Nothing is paid any more: enabled again, it is charged from its own second, and at midnight.
    assert_eq!(case.act("2026-11-20T22:00:00Z", void("s")), "invalid_state");
    assert_eq!(case.act("2026-11-20T22:00:01Z", change_plan("s", "day")), "100.000000");
    assert_eq!(case.act("2026-11-20T23:00:00Z", enable("s")), "99.900000");
    case.settle("2026-11-21T00:00:00Z");
    assert_eq!(case.books.wallet(), micros("97.5"));
    // At the very second of a midnight the whole day comes back, and cannot begin again in that second.
    assert_eq!(case.act("2026-11-21T00:00:00Z", void("s")), "99.900000");
    assert_eq!(case.act("2026-11-21T00:00:00Z", enable("s")), "invalid_state");
    assert_eq!(case.act("2026-11-21T12:00:00Z", enable("s")), "98.700000");
    // Disabled, it stays disabled; enabling is no longer free.
    assert_eq!(case.act("2026-11-21T13:00:00Z", disable("s")), "98.700000");
    assert_eq!(case.act("2026-11-21T14:00:00Z", void("s")), "99.900000");
    assert_eq!(case.act("2026-11-21T18:00:00Z", enable("s")), "99.300000");
}

#[test]
fn a_term_is_taken_back_and_ends() {
    let mut case = Case::new("2026-01-10T12:00:00Z");
    case.act("2026-01-10T12:00:00Z", adjust("70"));
    assert_eq!(case.act("2026-01-10T12:00:00Z", create("t", "term")), "40.000000");
    assert_eq!(case.act("2026-02-20T12:00:00Z", void("t")), "40.000000");
    assert_eq!(case.act("2026-02-20T12:00:00Z", enable("t")), "not_allowed");
    let ended = case.books.events.iter().any(|event| event.kind == EventKind::ServiceCancelled);
    assert!(ended && !case.books.account().services[0].is_living());
    // What was cancelled without a refund can still be taken back while its period runs.
    assert_eq!(case.act("2026-02-21T12:00:00Z", create("u", "term")), "10.000000");
    assert_eq!(case.act("2026-02-22T12:00:00Z", cancel("u", rules::CancelWhen::Now)), "10.000000");
    assert_eq!(case.act("2026-02-23T12:00:00Z", void("u")), "40.000000");
    case.settle("2026-06-01T00:00:00Z");
    assert_eq!(case.books.wallet(), micros("40"));
}

#[test]
fn only_what_is_paid_for_can_be_taken_back() {
    let mut case = Case::new("2026-11-20T00:00:00Z");
    assert_eq!(case.act("2026-11-20T00:00:00Z", void("s")), "not_found");
    case.act("2026-11-20T01:00:00Z", create("m", "month"));
    assert_eq!(case.act("2026-11-20T02:00:00Z", void("m")), "not_allowed");
    case.act("2026-11-20T03:00:00Z", adjust("1"));
    assert_eq!(case.act("2026-11-20T23:00:00Z", create("s", "day")), "0.900000");
    assert_eq!(case.act("2026-11-21T00:00:00Z", void("s")), "invalid_state");
    // A free period is taken back as well.
    assert_eq!(case.act("2026-11-21T01:00:00Z", create("f", "free")), "0.900000");
    assert_eq!(case.act("2026-11-21T02:00:00Z", void("f")), "0.900000");
    assert_eq!(case.act("2026-11-21T03:00:00Z", enable("f")), "0.900000");
}

#[test]
fn what_is_taken_back_pays_open_invoices() {
    let mut case = Case::new("2026-03-31T12:00:00Z");
    case.act("2026-03-31T12:00:00Z", adjust("30"));
    case.act("2026-03-31T12:00:00Z", create("m", "month"));
    assert_eq!(case.act("2026-03-31T12:00:00Z", create("t", "term")), "0.000000");
    case.settle("2026-04-09T00:00:00Z");
    assert_eq!(case.books.account().standing, Standing::Suspended(rules::SuspendReason::Unpaid));
    assert_eq!(case.act("2026-04-09T00:00:00Z", void("t")), "17.810000");
    assert_eq!(case.books.account().standing, Standing::Active);
    let services = case.books.account().services;
    assert!(services.iter().any(|service| matches!(&service.kind, Kind::Term(_)) && !service.is_living()));
}

/// An invoice of 20.00, of which the wallet paid 5.00 at issue.
fn partly_paid() -> Case {
    let mut case = Case::new("2026-03-11T16:00:00Z");
    case.act("2026-03-11T16:00:00Z", create("m", "month"));
    case.act("2026-03-12T00:00:00Z", adjust("5"));
    case.settle("2026-04-01T00:00:00Z");
    assert_eq!(case.books.account().open_total(), Ok(micros("14.87")));
    case
}

#[test]
fn an_invoice_is_credited_and_issued_anew() {
    let mut case = partly_paid();
    case.settle("2026-04-08T00:00:00Z");
    assert!(case.books.account().standing.is_suspended());
    assert_eq!(case.act("2026-04-09T00:00:00Z", credit(0, None)), "5.000000");
    assert_eq!(case.books.account().standing, Standing::Active, "nothing overdue is left");
    assert_eq!(case.books.invoices[&0].credited, micros("14.87"));
    assert_eq!(case.act("2026-04-09T00:00:00Z", credit(0, None)), "invalid_state");
    assert_eq!(case.act("2026-04-09T00:00:00Z", write_off(0)), "invalid_state");
    assert_eq!(case.act("2026-04-09T00:00:00Z", credit(7, None)), "not_found");

    let mut case = partly_paid();
    assert_eq!(case.act("2026-04-03T00:00:00Z", credit(0, Some(&[("company", "Ann AG")]))), "0.000000");
    let anew = &case.books.invoices[&1];
    assert_eq!((anew.issued_at, anew.total, anew.paid), (at("2026-04-03T00:00:00Z"), micros("19.87"), micros("5")));
    // And once more: what was corrected before stays.
    assert_eq!(case.act("2026-04-03T00:00:00Z", credit(1, Some(&[("name", "Ann")]))), "0.000000");
    let last = case.books.reissues.last().expect("a reissue");
    let buyer: Vec<_> = last.buyer.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!((last.number, last.of, last.times), (2, 1, 2));
    assert_eq!(buyer, [("company", "Ann AG"), ("name", "Ann")]);
    case.settle("2026-06-01T00:00:00Z");
}

/// What is due before an action is done with it, and can be taken back by it.
#[test]
fn what_was_not_settled_yet_is_taken_back() {
    let mut case = Case::new("2026-03-11T16:00:00Z");
    case.act("2026-03-11T16:00:00Z", create("m", "month"));
    case.act("2026-03-12T00:00:00Z", adjust("25"));
    assert_eq!(case.act("2026-04-03T00:00:00Z", credit(0, Some(&[]))), "5.130000");
    assert_eq!(case.books.invoices[&1].total, micros("19.87"));
    case.act("2026-04-03T12:00:00Z", create("s", "day"));
    assert_eq!(case.act("2026-04-04T12:00:00Z", void("s")), "3.930000");
}

#[test]
fn a_saved_card_is_charged_for_an_invoice_that_is_issued_anew() {
    let mut case = Case::new("2026-03-11T16:00:00Z");
    case.books = case.world.open(with_card("ann"), at("2026-03-11T16:00:00Z"));
    case.world.cards = Cards::Queued([Answer::Failed, Answer::Succeeded].into());
    case.act("2026-03-11T16:00:00Z", create("m", "month"));
    case.settle("2026-04-01T00:00:00Z");
    // What the first one's tries still were to be, ends with it.
    assert_eq!(case.act("2026-04-01T12:00:00Z", credit(0, Some(&[]))), "0.000000");
    assert_eq!(case.books.invoices[&1].paid_at, Some(at("2026-04-01T12:00:00Z")));
    case.settle("2026-04-20T00:00:00Z");
    assert_eq!(case.books.charges.len(), 2);
}

/// What a card paid is money from outside wherever it lies: it can leave as it came (rule 3.4).
#[test]
fn what_a_card_paid_can_be_refunded_once_it_is_credited() {
    let mut case = Case::new("2026-03-11T16:00:00Z");
    case.books = case.world.open(with_card("ann"), at("2026-03-11T16:00:00Z"));
    case.act("2026-03-11T16:00:00Z", create("m", "month"));
    case.act("2026-03-12T00:00:00Z", adjust("5"));
    case.settle("2026-04-01T00:00:00Z");
    assert_eq!((case.books.invoices[&0].paid, case.books.account().brought_in), (micros("19.87"), Micros::ZERO));
    assert_eq!(case.act("2026-04-02T00:00:00Z", credit(0, None)), "19.870000");
    assert_eq!(
        kinds(&case.books)[4..],
        [TransferKind::InvoiceCredited, TransferKind::PaymentReturned, TransferKind::CardPaymentReturned,]
    );
    assert_eq!(case.books.account().brought_in, micros("14.87"), "the bonus stays one");
    // Its own lines wait for nobody any more; the rest of the month is.
    assert_eq!(case.act("2026-04-02T00:00:00Z", cancel("m", rules::CancelWhen::Now)), "19.870000");
    case.settle("2026-05-01T00:00:00Z");
    let closed = rules::Action::CloseAccount { rest: Some(rules::Rest::Refund) };
    assert_eq!(case.act("2026-05-01T00:00:00Z", closed), "0.000000");
    let sent = case.books.transfers.iter().rev().find(|transfer| transfer.kind == TransferKind::RefundSent);
    assert_eq!(sent.map(|sent| sent.amount), Some(micros("14.87")));
}

#[test]
fn what_is_open_is_written_off() {
    let mut case = partly_paid();
    case.settle("2026-04-08T00:00:00Z");
    assert!(case.books.account().standing.is_suspended());
    assert_eq!(case.act("2026-04-09T00:00:00Z", write_off(0)), "0.000000");
    assert_eq!(case.books.account().standing, Standing::Active);
    assert_eq!(case.books.invoices[&0].written_off, micros("14.87"));
    assert_eq!(kinds(&case.books).last(), Some(&TransferKind::WriteOff));
    assert_eq!(case.act("2026-04-09T00:00:00Z", write_off(0)), "invalid_state");
    assert_eq!(case.act("2026-04-09T00:00:00Z", credit(0, None)), "invalid_state");
    // What comes in later is the wallet's.
    case.books.receive(ReceiptKind::Deposit, micros("10"), at("2026-04-10T00:00:00Z"));
    case.settle("2026-04-10T00:00:00Z");
    assert_eq!(case.books.wallet(), micros("10"));
}
