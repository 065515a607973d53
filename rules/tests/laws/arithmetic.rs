//! Laws of shares, months, terms and rounding.

use proptest::prelude::*;
use rules::{
    Basis, Component, DAY, HOUR, Micros, Mode, Period, Price, PriceBook, Priced, Quantity, Term, TermState, Tier,
    Timestamp, round_to_micros, round_to_minor,
};

use crate::world::{at, component, list, order, plan};

const SOME_YEARS: std::ops::Range<i64> = 1_700_000_000..2_100_000_000;

/// Prices up to a million, to the pico-unit.
fn prices() -> impl Strategy<Value = Price> {
    (0..=1_000_000_000_000_000_000_i128).prop_map(Price::from_pico)
}

fn of(price: Price) -> Priced {
    Priced { order: order("plan"), list: None, price }
}

/// The bases that are a price times a time.
fn bases(price: Price, whole: Period, part: Period) -> [Basis; 8] {
    let half = Price::from_pico(price.pico() / 2);
    [
        Basis::Share { of: of(price), part, whole },
        Basis::Change { old: price, new: of(half), part, whole },
        Basis::Months { of: of(price), part },
        Basis::Upgrade { level: half, new: of(price), part },
        Basis::Hours { of: of(price), part },
        Basis::Overage { of: of(price), worth: price, cover: half, hourly: true, part },
        Basis::Overage { of: of(price), worth: price, cover: half, hourly: false, part },
        Basis::NewOverage { above: half, worth: price, part },
    ]
}

/// `[from, to)` cut at some of its seconds.
fn pieces(whole: Period, cuts: &[u64]) -> Vec<Period> {
    let secs = u64::try_from(whole.secs()).expect("a period");
    let mut seconds: Vec<Timestamp> =
        cuts.iter().map(|cut| whole.from.plus_secs(i64::try_from(cut % secs).expect("a second"))).collect();
    seconds.extend([whole.from, whole.to]);
    seconds.sort();
    seconds.windows(2).map(|pair| Period::new(pair[0], pair[1])).collect()
}

proptest! {
    /// However a period is cut, its parts are the whole exactly, and rounded within one rounding per part.
    #[test]
    fn parts_sum_to_the_whole(
        price in prices(),
        from in SOME_YEARS,
        secs in 1..400 * DAY,
        cuts in prop::collection::vec(any::<u64>(), 0..6),
    ) {
        let whole = Period::new(Timestamp::from_secs(from), Timestamp::from_secs(from + secs));
        let parts = pieces(whole, &cuts);
        let count = i64::try_from(parts.len()).expect("a count");
        for (kind, one) in bases(price, whole, whole).iter().enumerate() {
            let each: Vec<_> = parts.iter().map(|part| bases(price, whole, *part)[kind].exact()).collect();
            let sum = each.iter().fold(Micros::ZERO.exact(), |sum, exact| sum + exact);
            prop_assert_eq!(&sum, &one.exact());
            let rounded: i64 = each.iter().map(|exact| round_to_micros(exact).expect("in range").get()).sum();
            let off = (rounded - round_to_micros(&sum).expect("in range").get()).abs();
            prop_assert!(2 * off <= count + 1, "{} parts are off by {}", count, off);
        }
    }

    #[test]
    fn whole_months_days_and_hours_cost_their_price(price in prices(), at in SOME_YEARS) {
        let second = Timestamp::from_secs(at);
        let (day, month) = (Period::day_of(second), Period::month_of(second));
        let hour = Period::new(second, second.plus_secs(HOUR));
        prop_assert_eq!(Basis::Share { of: of(price), part: day, whole: day }.exact(), price.exact());
        prop_assert_eq!(Basis::Months { of: of(price), part: month }.exact(), price.exact());
        prop_assert_eq!(Basis::Hours { of: of(price), part: hour }.exact(), price.exact());
        let year = Period::new(month.from, month.from.plus_months(12));
        let twelve = Price::from_pico(price.pico() * 12).exact();
        prop_assert_eq!(Basis::Months { of: of(price), part: year }.exact(), twelve);
    }

    /// Half away from zero: the nearest, and the same on both sides (rule 1.2).
    #[test]
    fn rounding_is_the_nearest_and_symmetric(pico in any::<i64>(), digits in 0..3_usize) {
        let exact = Price::from_pico(i128::from(pico)).exact();
        let rounded = round_to_micros(&exact).expect("in range");
        prop_assert_eq!(round_to_micros(&-exact.clone()).expect("in range").get(), -rounded.get());
        let off = i128::from(pico) - Price::of(rounded).pico();
        prop_assert!(off.abs() * 2 <= 1_000_000);
        prop_assert!(off.abs() * 2 < 1_000_000 || rounded.get().signum() == pico.signum() || rounded.is_zero());
        prop_assert!(off.abs() * 2 != 1_000_000 || Price::of(rounded).pico().abs() > i128::from(pico).abs());
        let currency = rules::Currency::parse(["JPY", "USD", "KWD"][digits]).expect("a currency");
        let minor = round_to_minor(&exact, currency).expect("in range");
        prop_assert!(minor.is_whole_minor(currency));
        let unit = i128::from(currency.minor_unit()) * 1_000_000;
        prop_assert!((i128::from(pico) - Price::of(minor).pico()).abs() * 2 <= unit);
    }

    #[test]
    fn times_are_written_as_they_are_read(secs in -62_167_219_200_i64..=253_402_300_799) {
        let second = Timestamp::from_secs(secs);
        prop_assert_eq!(Timestamp::parse(&second.to_string()), Some(second));
        prop_assert!(second.midnight() <= second && second < second.next_midnight());
        prop_assert_eq!(second.midnight().midnight(), second.midnight());
        prop_assert!(second.month_start() <= second.midnight() && second < second.next_month_start());
        prop_assert_eq!(second.month_start().month_start(), second.month_start());
    }

    /// Units cost the same however they are reported, and more units never cost less (rule 2).
    #[test]
    fn tiers_add_up(
        included in 0..50_i64,
        steps in prop::collection::vec((1..50_i64, 0..1_000_000_i64), 0..4),
        last in 0..1_000_000_i64,
        mut counts in prop::collection::vec(0..300_000_000_i64, 3),
    ) {
        let mut up_to = 0;
        let mut tiers = Vec::new();
        for (units, price) in steps {
            up_to += units;
            tiers.push(Tier { up_to: Some(Micros::new(up_to * 1_000_000)), unit_price: Micros::new(price) });
        }
        tiers.push(Tier { up_to: None, unit_price: Micros::new(last) });
        let included = Micros::new(included * 1_000_000);
        let component = Component { included, tiers, metered: false, shrink_erases: false };
        counts.sort();
        let [a, b, c] = [0, 1, 2].map(|index| Quantity::new(counts[index]));
        prop_assert_eq!(
            component.price_of_units(a, b) + component.price_of_units(b, c),
            component.price_of_units(a, c)
        );
        prop_assert!(component.price_of(a) <= component.price_of(b));
        prop_assert_eq!(component.price_of(included), Price::ZERO);
        let above = Micros::new(b.get().saturating_sub(included.get()).max(0));
        prop_assert_eq!(component.price_of(b), component.price_of_units(Quantity::ZERO, above));
        let mut plan = plan(Mode::Daily, "2.40");
        plan.components.insert("units".to_owned(), component);
        let mut book = PriceBook::default();
        book.lay(Timestamp::BEGINNING, list([("plan", plan)])).expect("a list");
        let mut order = order("plan");
        order.quantities.insert("units".to_owned(), c);
        let parts: Price = book.parts(&order, at("2027-01-01T00:00:00Z")).iter().flatten().map(|part| part.price()).sum();
        prop_assert_eq!(Ok(parts), book.price(&order, at("2027-01-01T00:00:00Z")));
    }
}

/// Days of a month, counted by hand.
fn days_of(year: i32, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Terms tile without a gap, on the anchor's day or the month's last, at the anchor's time (rule 1.5).
#[test]
fn terms_tile_for_all_anchor_days_over_ten_years() {
    for (year, month) in [2027, 2028].into_iter().flat_map(|year| (1..=12).map(move |month| (year, month))) {
        for day in 28..=days_of(year, month) {
            let anchor = at(&format!("{year}-{month:02}-{day:02}T23:59:59Z"));
            for months in [1, 3, 6, 12, 24, 36] {
                let paid = Period::new(anchor, anchor.plus_months(months));
                let term = Term { months, anchor, paid, state: TermState::Active { ends_with_period: false } };
                let mut from = anchor;
                for index in 1..=120 / months {
                    let after = month - 1 + index * months;
                    let (in_year, in_month) = (year + i32::try_from(after / 12).expect("a year"), after % 12 + 1);
                    let on_day = day.min(days_of(in_year, in_month));
                    let to = at(&format!("{in_year}-{in_month:02}-{on_day:02}T23:59:59Z"));
                    let whole = Period::new(from, to);
                    assert_eq!(term.term_at(from), whole, "{anchor} + {months} months");
                    assert_eq!(term.term_at(to.plus_secs(-1)), whole, "{anchor} + {months} months");
                    from = to;
                }
            }
        }
    }
}

#[test]
fn component_without_tiers_is_a_unit_price() {
    let cpe = component("100", "0.01");
    assert_eq!(cpe.price_of(Micros::new(250_000_000)), Price::of(Micros::new(1_500_000)));
    assert_eq!(cpe.price_of(Micros::new(99_000_000)), Price::ZERO);
}
