//! Numbers beyond the ledger's 64 bits are refused, never wrapped.

use proptest::prelude::*;
use rules::{
    Action, Component, Micros, Mode, OutOfRange, Plan, PriceBook, Progress, ReceiptKind, Refusal, Tier, Unpriced,
    Unsettleable,
};

use crate::invariants;
use crate::world::{Books, World, account, adjust, at, create, list, micros, plan, usage};

const TOO_LARGE: Unsettleable = Unsettleable::OutOfRange(OutOfRange);

fn open(plan: Plan, wallet: i64) -> (World, Books) {
    let mut world = World::new(list([("plan", plan)]));
    let mut books = world.open(account("ann"), at("2027-01-15T00:00:00Z"));
    if wallet != 0 {
        books.receive(ReceiptKind::Deposit, Micros::new(wallet), at("2027-01-15T00:00:00Z"));
    }
    assert_eq!(world.settle(&mut books, at("2027-01-15T00:00:00Z")), Ok(Progress::Settled));
    (world, books)
}

fn largest(mode: Mode) -> Plan {
    Plan { price: Micros::new(i64::MAX), ..plan(mode, "0") }
}

/// `unit_price × quantity` on top of the largest price.
fn beyond(mode: Mode) -> Plan {
    let tiers = vec![Tier { up_to: None, unit_price: Micros::new(i64::MAX) }];
    let units = Component { included: Micros::ZERO, tiers, metered: false, shrink_erases: false };
    Plan { components: [("units".to_owned(), units)].into(), ..largest(mode) }
}

fn order(units: i64) -> Action {
    Action::CreateService {
        service: "s".to_owned(),
        plan: "plan".to_owned(),
        quantities: [("units".to_owned(), Micros::new(units))].into(),
        options: [].into(),
    }
}

/// A list that is gone gives nothing away: what is due stays due.
#[test]
fn what_no_list_knows_cannot_be_settled() {
    for mode in Mode::ALL {
        let (mut world, mut books) = open(plan(mode, "1.00"), 10_000_000);
        let start = at("2027-01-15T00:00:00Z");
        assert_eq!(world.act(&mut books, &create("s", "plan"), start), Ok(Some(Ok(()))), "{mode}");
        world.prices = PriceBook::default();
        let before = (books.account().clone(), books.transfers.clone());
        let unpriced = Unpriced { plan: "plan".to_owned(), name: None };
        let settled = world.settle(&mut books, at("2027-02-15T00:00:00Z"));
        assert_eq!(settled, Err(Unsettleable::Unpriced(unpriced)), "{mode}");
        assert_eq!((books.account().clone(), books.transfers.clone()), before, "{mode}");
    }
}

#[test]
fn a_prepaid_charge_beyond_the_range_is_beyond_every_wallet() {
    for mode in [Mode::Daily, Mode::Term] {
        for units in [1, 1_000_000, i64::MAX] {
            let (mut world, mut books) = open(beyond(mode), i64::MAX);
            let acted = world.act(&mut books, &order(units), at("2027-01-15T00:00:00Z"));
            assert_eq!(acted, Ok(Some(Err(Refusal::InsufficientFunds))), "{mode} of {units}");
        }
        // What it just covers is charged; the next period is not covered.
        let (mut world, mut books) = open(largest(mode), i64::MAX);
        let acted = world.act(&mut books, &create("s", "plan"), at("2027-01-15T00:00:00Z"));
        assert_eq!(acted, Ok(Some(Ok(()))));
        assert_eq!(world.settle(&mut books, at("2027-03-15T00:00:00Z")), Ok(Progress::Settled));
        assert_eq!(books.wallet(), Micros::ZERO);
        invariants::hold(&world, &books);
    }
}

#[test]
fn an_upgrade_beyond_the_range_is_beyond_every_wallet() {
    for mode in [Mode::Daily, Mode::Term] {
        let (mut world, mut books) = open(Plan { price: Micros::ZERO, ..beyond(mode) }, i64::MAX);
        assert_eq!(world.act(&mut books, &order(0), at("2027-01-15T00:00:00Z")), Ok(Some(Ok(()))));
        let change = crate::world::set_quantity("s", "units", "9000000000000");
        let acted = world.act(&mut books, &change, at("2027-01-15T00:00:01Z"));
        assert_eq!(acted, Ok(Some(Err(Refusal::InsufficientFunds))), "{mode}");
    }
}

#[test]
fn an_invoice_beyond_the_range_cannot_be_settled_and_changes_nothing() {
    let (mut world, mut books) = open(largest(Mode::Monthly), 1);
    assert_eq!(world.act(&mut books, &create("s", "plan"), at("2027-01-15T00:00:00Z")), Ok(Some(Ok(()))));
    assert_eq!(world.settle(&mut books, at("2027-01-31T23:59:59Z")), Ok(Progress::Settled));
    let before = books.clone();
    for _ in 0..2 {
        assert_eq!(world.settle(&mut books, at("2027-02-01T00:00:00Z")), Err(TOO_LARGE));
        assert_eq!(world.act(&mut books, &adjust("1"), at("2027-02-01T00:00:00Z")), Err(TOO_LARGE));
        assert_eq!(books, before);
    }
    // A line that alone is too large is never begun.
    let (mut world, mut books) = open(beyond(Mode::Monthly), 1);
    let before = books.clone();
    assert_eq!(world.act(&mut books, &order(i64::MAX), at("2027-01-15T00:00:00Z")), Err(TOO_LARGE));
    assert_eq!(books, before);
}

#[test]
fn a_wallet_beyond_the_range_is_refused() {
    let (mut world, mut books) = open(plan(Mode::Daily, "1"), i64::MAX);
    assert_eq!(world.act(&mut books, &adjust("0.000001"), at("2027-01-16T00:00:00Z")), Err(TOO_LARGE));
    books.receive(ReceiptKind::Deposit, Micros::new(1), at("2027-01-16T00:00:00Z"));
    assert_eq!(world.settle(&mut books, at("2027-01-16T00:00:00Z")), Err(TOO_LARGE));
    assert_eq!(books.wallet(), Micros::new(i64::MAX));
    let charge = Action::Adjust { amount: Micros::new(i64::MIN), author: "a".to_owned(), reason: "r".to_owned() };
    let (mut world, mut books) = open(plan(Mode::Daily, "1"), 5);
    let acted = world.act(&mut books, &charge, at("2027-01-16T00:00:00Z"));
    assert_eq!(acted, Ok(Some(Err(Refusal::InsufficientFunds))));
}

#[test]
fn usage_beyond_the_range_is_refused() {
    let traffic = Component { metered: true, ..crate::world::component("0", "1") };
    let metered = Plan { components: [("gb".to_owned(), traffic)].into(), ..plan(Mode::Monthly, "1") };
    let (mut world, mut books) = open(metered, 0);
    let now = at("2027-01-15T00:00:00Z");
    assert_eq!(world.act(&mut books, &create("s", "plan"), now), Ok(Some(Ok(()))));
    let all = Action::Usage { service: "s".to_owned(), component: "gb".to_owned(), quantity: Micros::new(i64::MAX) };
    assert_eq!(world.act(&mut books, &all, now), Ok(Some(Ok(()))));
    let before = books.clone();
    assert_eq!(world.act(&mut books, &usage("s", "gb", "0.000001"), now), Err(TOO_LARGE));
    assert_eq!(books, before);
}

proptest! {
    /// Whatever the prices, quantities and money: done, refused or reported, and the books hold.
    #[test]
    fn nothing_wraps(
        mode in prop::sample::select(Mode::ALL.to_vec()),
        price in huge(),
        unit_price in huge(),
        quantities in prop::collection::vec(huge(), 1..4),
        wallet in huge(),
        days in 1..80_u32,
    ) {
        let mut plan = beyond(mode);
        plan.price = Micros::new(price);
        let tier = Tier { up_to: None, unit_price: Micros::new(unit_price) };
        plan.components.values_mut().for_each(|units| units.tiers = vec![tier.clone()]);
        let (mut world, mut books) = open(plan, wallet);
        let mut now = at("2027-01-15T00:00:00Z");
        let mut acted = world.act(&mut books, &order(quantities[0]), now);
        for quantity in &quantities[1..] {
            prop_assert!(matches!(acted, Ok(Some(_)) | Err(TOO_LARGE)), "{:?}", acted);
            now = now.plus_secs(3601);
            let units = Micros::new(*quantity).to_string();
            acted = world.act(&mut books, &crate::world::set_quantity("s", "units", &units), now);
        }
        let settled = world.settle(&mut books, now.plus_days(days));
        prop_assert!(matches!(settled, Ok(Progress::Settled) | Err(TOO_LARGE)), "{:?}", settled);
        invariants::hold(&world, &books);
        prop_assert!(books.wallet() >= micros("0"));
    }
}

/// Small, large and at the end of the range.
fn huge() -> impl Strategy<Value = i64> {
    prop_oneof![0..1_000_i64, 0..=i64::MAX, (i64::MAX - 1000)..=i64::MAX]
}
