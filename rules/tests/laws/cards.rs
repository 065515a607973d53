//! Answers of cards are history (rule 11.7): late, unknown and never twice.

use std::collections::VecDeque;

use rules::{Answer, EventKind, LineKind, Micros, Mode, Progress, ReceiptKind, Refusal, TransferKind};

use crate::invariants;
use crate::world::{
    Books, Cards, World, at, component, create, in_trial, kinds, list, micros, plan, set_quantity, usage, with_card,
};

const ISSUED: &str = "2027-04-01T00:00:00Z";

fn answers(answers: &[Answer]) -> Cards {
    Cards::Queued(VecDeque::from(answers.to_vec()))
}

/// An account with one monthly server of 12.00, created at the start of March.
fn invoiced(cards: &[Answer]) -> (World, Books) {
    let mut world = World::new(list([("cloud", plan(Mode::Monthly, "12"))]));
    world.cards = answers(cards);
    let mut books = world.open(with_card("ann"), at("2027-03-01T00:00:00Z"));
    let created = world.act(&mut books, &create("cloud", "cloud"), at("2027-03-01T00:00:00Z"));
    assert_eq!(created, Ok(Some(Ok(()))));
    (world, books)
}

fn failures(books: &Books) -> usize {
    books.events.iter().filter(|event| event.kind == EventKind::PaymentFailed).count()
}

#[test]
fn a_pending_try_is_the_last_one_and_no_failure() {
    let (mut world, mut books) = invoiced(&[Answer::Pending]);
    assert_eq!(world.settle(&mut books, at("2027-04-30T00:00:00Z")), Ok(Progress::Settled));
    assert_eq!((books.charges.len(), failures(&books)), (1, 0));
    let invoice = &books.account().invoices[0];
    assert!(invoice.overdue && invoice.to_pay() == micros("24"));
    invariants::hold(&world, &books);
}

#[test]
fn a_late_success_is_a_wallet_credit_once() {
    let (mut world, mut books) = invoiced(&[Answer::Pending]);
    assert_eq!(world.settle(&mut books, at("2027-04-02T00:00:00Z")), Ok(Progress::Settled));
    // The customer has paid by then; the card's money stays in the wallet.
    books.receive(ReceiptKind::Deposit, micros("24"), at("2027-04-03T00:00:00Z"));
    while books.late.is_empty() {
        let key = books.charges[0].0.key.clone();
        books.late.insert(key);
        books.receive(ReceiptKind::LateCardSuccess, micros("24"), at("2027-04-04T00:00:00Z"));
    }
    assert_eq!(world.settle(&mut books, at("2027-04-30T00:00:00Z")), Ok(Progress::Settled));
    assert_eq!(
        kinds(&books),
        [
            TransferKind::InvoiceIssued,
            TransferKind::Deposit,
            TransferKind::InvoicePaidByWallet,
            TransferKind::CardCredit
        ]
    );
    assert_eq!(books.wallet(), micros("24"));
    invariants::hold(&world, &books);
    // And pays the next invoice before the card is asked.
    world.cards = answers(&[]);
    assert_eq!(world.settle(&mut books, at("2027-05-01T00:00:00Z")), Ok(Progress::Settled));
    assert_eq!(books.wallet(), micros("12"));
}

#[test]
fn what_is_being_tried_is_not_paid_from_elsewhere() {
    for (answer, wallet) in [(Answer::Succeeded, "30"), (Answer::Failed, "6"), (Answer::Pending, "6")] {
        let (mut world, mut books) = invoiced(&[]);
        assert_eq!(world.settle(&mut books, at("2027-04-01T00:01:00Z")), Ok(Progress::AwaitsAnswer));
        books.receive(ReceiptKind::Deposit, micros("30"), at("2027-04-01T00:01:30Z"));
        assert_eq!(world.settle(&mut books, at("2027-04-01T00:02:00Z")), Ok(Progress::AwaitsAnswer));
        assert_eq!(kinds(&books), [TransferKind::InvoiceIssued], "nothing moves while the card is asked");
        world.cards = answers(&[answer]);
        assert_eq!(world.settle(&mut books, at("2027-04-01T00:03:00Z")), Ok(Progress::Settled));
        assert_eq!(books.wallet(), micros(wallet), "{answer:?}");
        let paid_at = books.invoices[&0].paid_at;
        let expected = if answer == Answer::Succeeded { ISSUED } else { "2027-04-01T00:01:30Z" };
        assert_eq!(paid_at, Some(at(expected)));
        invariants::hold(&world, &books);
    }
}

/// An account in its trial with a covered server, whose every further unit is overage.
fn in_a_trial() -> (World, Books) {
    let mut cloud = plan(Mode::Monthly, "100");
    cloud.components.insert("cpu".to_owned(), component("0", "10"));
    cloud.components.insert("traffic_gb".to_owned(), rules::Component { metered: true, ..component("0", "0.01") });
    let mut world = World::new(list([("cloud", cloud)]));
    world.cards = answers(&[]);
    let mut books = world.open(in_trial("ann"), at("2027-03-15T00:00:00Z"));
    let created = world.act(&mut books, &create("cloud", "cloud"), at("2027-03-16T00:00:00Z"));
    assert_eq!(created, Ok(Some(Ok(()))));
    (world, books)
}

#[test]
fn an_action_that_waits_counts_at_its_own_second() {
    for (answer, wallet) in
        [(Answer::Succeeded, "14.829999"), (Answer::Failed, "4.999999"), (Answer::Pending, "4.999999")]
    {
        let (mut world, mut books) = in_a_trial();
        let asked = at("2027-03-16T00:00:00Z");
        assert_eq!(world.act(&mut books, &set_quantity("cloud", "cpu", "1"), asked), Ok(None));
        books.receive(ReceiptKind::Deposit, micros("4.999999"), at("2027-03-18T00:00:00Z"));
        assert_eq!(world.settle(&mut books, at("2027-03-20T00:00:00Z")), Ok(Progress::AwaitsAnswer));
        assert_eq!(books.transfers, []);
        world.cards = answers(&[answer]);
        assert_eq!(world.settle(&mut books, at("2027-03-20T00:00:00Z")), Ok(Progress::Settled));
        assert_eq!(books.wallet(), micros(wallet), "{answer:?}");
        let changed = books.events.iter().find(|event| event.kind == EventKind::ServiceChanged);
        assert_eq!(changed.map(|event| event.at), (answer == Answer::Succeeded).then_some(asked));
        invariants::hold(&world, &books);
    }
}

/// The outcome of an action is its own, not that of one that waited before it.
#[test]
fn an_action_behind_one_that_waits_has_its_own_outcome() {
    let (mut world, mut books) = in_a_trial();
    let first = at("2027-03-16T12:00:00Z");
    let act = |world: &mut World, books: &mut Books, action, when| world.act(books, &action, when);
    assert_eq!(act(&mut world, &mut books, usage("cloud", "traffic_gb", "1500"), first), Ok(Some(Ok(()))));
    assert_eq!(act(&mut world, &mut books, set_quantity("cloud", "cpu", "1"), first), Ok(None));
    // Its card answers, and the next one, of the midnight's traffic, does not yet.
    world.cards = answers(&[Answer::Succeeded]);
    let later = at("2027-03-17T06:00:00Z");
    assert_eq!(act(&mut world, &mut books, create("none", "none"), later), Ok(None));
    assert_eq!(kinds(&books), [TransferKind::CardCredit]);
    world.cards = answers(&[Answer::Failed]);
    assert_eq!(act(&mut world, &mut books, create("none", "none"), later), Ok(Some(Err(Refusal::NotFound))));
    assert_eq!(failures(&books), 1);
    invariants::hold(&world, &books);
}

/// Two that wait, one behind the other: each is done once, or refused for itself.
#[test]
fn two_actions_that_wait_end_each_for_itself() {
    for (answer, acted) in [(Answer::Succeeded, Ok(())), (Answer::Failed, Err(Refusal::PaymentFailed))] {
        let (mut world, mut books) = in_a_trial();
        let (first, second) = (at("2027-03-16T12:00:00Z"), at("2027-03-17T12:00:00Z"));
        assert_eq!(world.act(&mut books, &set_quantity("cloud", "cpu", "1"), first), Ok(None));
        world.cards = answers(&[Answer::Succeeded, answer]);
        assert_eq!(world.act(&mut books, &set_quantity("cloud", "cpu", "2"), second), Ok(Some(acted)));
        let changes = books.events.iter().filter(|event| event.kind == EventKind::ServiceChanged);
        let seconds: Vec<_> = changes.map(|event| event.at).collect();
        assert_eq!(seconds, if acted.is_ok() { vec![first, second] } else { vec![first] });
        assert_eq!(kinds(&books).len(), seconds.len());
        invariants::hold(&world, &books);
    }
}

/// Traffic whose charge failed is tried again the next midnight; one without an answer is not (rules 7.4, 11.7).
#[test]
fn pending_traffic_is_not_charged_again() {
    for (answer, tries) in [(Answer::Failed, 4), (Answer::Pending, 1)] {
        let (mut world, mut books) = in_a_trial();
        let reported = world.act(&mut books, &usage("cloud", "traffic_gb", "1500"), at("2027-03-16T12:00:00Z"));
        assert_eq!(reported, Ok(Some(Ok(()))));
        world.cards = Cards::Always(answer);
        assert_eq!(world.settle(&mut books, at("2027-03-20T12:00:00Z")), Ok(Progress::Settled));
        assert_eq!((books.charges.len(), failures(&books)), (tries, if tries > 1 { tries } else { 0 }));
        assert_eq!(books.wallet(), Micros::ZERO);
        world.cards = answers(&[]);
        invariants::hold(&world, &books);
    }
}

/// Nobody pays twice where a try is unknown and the traffic is invoiced all the same.
#[test]
fn an_unknown_charge_is_invoiced_and_its_money_comes_back() {
    let (mut world, mut books) = in_a_trial();
    let reported = world.act(&mut books, &usage("cloud", "traffic_gb", "1500"), at("2027-03-16T12:00:00Z"));
    assert_eq!(reported, Ok(Some(Ok(()))));
    world.cards = answers(&[Answer::Pending, Answer::Failed]);
    assert_eq!(world.settle(&mut books, at("2027-05-01T00:00:00Z")), Ok(Progress::Settled));
    let overage: Vec<_> = books.lines.iter().filter(|(_, line)| line.kind == LineKind::TrialOverage).collect();
    assert_eq!(overage.len(), 1);
    assert_eq!(overage[0].1.amount, micros("5"));
    let key = books.charges[0].0.key.clone();
    books.late.insert(key);
    books.receive(ReceiptKind::LateCardSuccess, micros("5"), at("2027-05-01T12:00:00Z"));
    assert_eq!(world.settle(&mut books, at("2027-05-01T13:00:00Z")), Ok(Progress::Settled));
    assert_eq!(books.invoices[&0].paid, micros("5"));
    invariants::hold(&world, &books);
}
