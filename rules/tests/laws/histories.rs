//! Laws over random histories of an account.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rules::{Action, DAY, LedgerAccount, LineKind, Micros, OrderChange, Progress, Timestamp, TransferKind};

use crate::history::{Entry, History, Setup, Verb, raws};
use crate::invariants;
use crate::world::{Books, World, account, adjust, at, create, mixed};

/// Settles now and then before an entry, and leaves cards that wait without an answer now and then.
struct Restless {
    state: u64,
    since: Option<Timestamp>,
}

impl Restless {
    fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(1);
        mixed(self.state, "restless") % end
    }

    fn before(&mut self, world: &mut World, books: &mut Books, entry: &Entry) {
        // Before a price list or an outage is known, nothing from then on is settled.
        let last = match entry.verb {
            Verb::SetPrices(_) => entry.at.plus_secs(-1),
            Verb::Outage(since) => since.plus_secs(-1),
            _ => entry.at,
        };
        let mut from = self.since.unwrap_or(entry.at).secs();
        self.since = Some(entry.at);
        for _ in 0..self.below(4) {
            let span = u64::try_from(last.secs() - from).unwrap_or_default();
            if last.secs() < from {
                return;
            }
            let secs = if self.below(4) == 0 { span } else { self.below(span + 1) };
            let at = Timestamp::from_secs(from + i64::try_from(secs).expect("a span"));
            from = at.secs();
            match self.below(3) {
                // The answer comes later, when the account has been settled in vain.
                0 => drop(world.settle_once(books, at).expect("settleable")),
                _ => settle_twice(world, books, at),
            }
        }
    }
}

/// What was settled is settled: a second time changes nothing.
fn settle_twice(world: &mut World, books: &mut Books, at: Timestamp) {
    assert_eq!(world.settle(books, at), Ok(Progress::Settled));
    invariants::at_rest(books);
    let before = books.clone();
    assert_eq!(world.settle(books, at), Ok(Progress::Settled));
    assert_eq!(*books, before);
}

proptest! {
    #[test]
    fn books_hold(raw in raws(60)) {
        let (world, books, _) = History::of(&raw).play();
        invariants::hold(&world, &books);
    }

    /// Rule 11: when a job happened to run never shows in the books.
    #[test]
    fn settling_in_between_changes_nothing(raw in raws(60), seed in any::<u64>()) {
        let history = History::of(&raw);
        let (_, calm, outcomes) = history.play();
        let mut restless = Restless { state: seed, since: None };
        let (_, books, others) = history.play_with(|world, books, entry| restless.before(world, books, entry));
        prop_assert_eq!(&others, &outcomes);
        same(&books, &calm);
    }

    /// A price list that is published early prices nothing early.
    #[test]
    fn knowing_the_price_lists_before_changes_nothing(raw in raws(40)) {
        let history = History::of(&raw);
        let (_, calm, outcomes) = history.play();
        let mut early = history.clone();
        early.entries.retain(|entry| matches!(entry.verb, Verb::SetPrices(_)));
        let mut known = Some(early.entries);
        let mut later = history.clone();
        for entry in &mut later.entries {
            if matches!(entry.verb, Verb::SetPrices(_)) {
                entry.verb = Verb::Publish;
            }
        }
        let (_, books, others) = later.play_with(|world, _, _| {
            for entry in known.take().unwrap_or_default() {
                if let Verb::SetPrices(list) = entry.verb {
                    world.prices.lay(entry.at, list).expect("a list that keeps what it must");
                }
            }
        });
        prop_assert_eq!(&others, &outcomes);
        same(&books, &calm);
    }
}

proptest! {
    /// Up and down at one second nets to zero, for what is prepaid (rules 4.5, 5.5).
    #[test]
    fn up_and_down_at_one_second_nets_zero(
        daily in any::<bool>(),
        secs in 0..40 * DAY,
        configured in prop::collection::vec((any::<bool>(), 0..90_000_000_i64, 0..90_000_000_i64, any::<bool>()), 2..5),
    ) {
        let mut world = Setup::plain().world();
        let start = at("2027-01-31T09:30:00Z");
        let mut books = world.open(account("ann"), start);
        let bonus = adjust("100000");
        prop_assert_eq!(world.act(&mut books, &bonus, start), Ok(Some(Ok(()))));
        let plans = if daily { ["day", "day-large"] } else { ["term", "term-large"] };
        prop_assert_eq!(world.act(&mut books, &create("s", plans[1]), start), Ok(Some(Ok(()))));
        let now = start.plus_secs(secs);
        let change = |world: &mut World, books: &mut Books, (large, seats, disk, backup): (bool, i64, i64, bool)| {
            let plan = plans[usize::from(large)];
            let has = |name: &str| world.prices.component(plan, name, now).is_ok();
            let quantities = [("seats", seats), ("disk", disk)].into_iter().filter(|(name, _)| has(name));
            let change = OrderChange {
                plan: Some(plan.to_owned()),
                quantities: Some(quantities.map(|(name, units)| (name.to_owned(), Micros::new(units))).collect()),
                options: Some(backup.then(|| "backup".to_owned()).into_iter().collect()),
            };
            let change = Action::Change { service: "s".to_owned(), change, confirm_data_loss: true };
            world.act(books, &change, now)
        };
        prop_assert_eq!(change(&mut world, &mut books, configured[0]), Ok(Some(Ok(()))));
        let wallet = books.wallet();
        // There and back; on the way round by others, each of them rounds once.
        prop_assert_eq!(change(&mut world, &mut books, configured[1]), Ok(Some(Ok(()))));
        prop_assert_eq!(change(&mut world, &mut books, configured[0]), Ok(Some(Ok(()))));
        prop_assert_eq!(books.wallet(), wallet);
        for next in configured.iter().skip(1).chain([&configured[0]]) {
            prop_assert_eq!(change(&mut world, &mut books, *next), Ok(Some(Ok(()))));
        }
        let off = (books.wallet().get() - wallet.get()).unsigned_abs();
        prop_assert!(2 * off <= configured.len() as u64, "{} off after {} changes", off, configured.len());
        invariants::hold(&world, &books);
    }
}

/// The first difference is easier to read than two whole books.
fn same(books: &Books, calm: &Books) {
    let differs = books.transfers.iter().zip(&calm.transfers).find(|(one, other)| one != other);
    assert_eq!(differs, None, "transfers differ");
    let differs = books.events.iter().zip(&calm.events).find(|(one, other)| one != other);
    assert_eq!(differs, None, "events differ");
    assert_eq!(books.lines, calm.lines);
    assert_eq!(books.invoices, calm.invoices);
    assert_eq!(books.charges, calm.charges);
    assert_eq!(books.account(), calm.account());
    assert_eq!(books, calm);
}

/// The generator reaches deep states: all that can happen to an account happens in a few hundred histories.
#[test]
fn histories_cover_the_rules() {
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let mut events: BTreeSet<&str> = BTreeSet::new();
    let mut transfers: BTreeSet<TransferKind> = BTreeSet::new();
    let mut lines: BTreeSet<LineKind> = BTreeSet::new();
    let mut refusals: BTreeSet<&str> = BTreeSet::new();
    let mut reasons = BTreeSet::new();
    for _ in 0..200 {
        let history = History::of(&raws(60).new_tree(&mut runner).expect("a history").current());
        let (_, books, outcomes) = history.play();
        events.extend(books.events.iter().map(|event| event.kind.name()));
        reasons.extend(books.events.iter().filter_map(|event| event.kind.reason()));
        transfers.extend(books.transfers.iter().map(|transfer| transfer.kind));
        lines.extend(books.lines.iter().map(|(_, line)| line.kind));
        refusals.extend(outcomes.iter().filter_map(|outcome| outcome.err()).map(|refusal| refusal.name()));
    }
    // What is brought in has laws of its own.
    let own = |kind: &TransferKind| {
        let (debit, credit) = kind.posting();
        ![debit, credit].contains(&LedgerAccount::Opening)
    };
    assert_eq!(transfers.len(), TransferKind::ALL.iter().filter(|kind| own(kind)).count(), "{transfers:?}");
    assert_eq!(events.len(), 22, "{events:?}");
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert_eq!(refusals.len(), 10, "{refusals:?}");
    assert_eq!(reasons.len(), 5, "{reasons:?}");
}
