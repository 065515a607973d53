//! Why an amount is what it is: a formula that anybody can work out again, from the basis that is kept beside it.

use crate::basis::{Basis, HOURS_OF_MONTH, Priced};
use crate::money::{Currency, Micros, Price};
use crate::prices::{PriceBook, PricePart};
use crate::time::{HOUR, Period, Timestamp};

/// As in `2.60 USD: 3.90 of plan acs-small (2.40 + 150 × 0.01 cpe) × 57600 s / 86400 s`. The book says what
/// the price was made of.
pub fn explain(basis: &Basis, amount: Micros, currency: Currency, book: &PriceBook) -> String {
    let formula = match basis {
        Basis::Share { of, part, whole } => format!("{}{}", priced(of, book), share(*part, *whole)),
        Basis::Change { old, new, part, whole } => {
            format!("({} − {old} before){}", priced(new, book), share(*part, *whole))
        }
        Basis::Months { of, part } => format!("{}{}", priced(of, book), months(*part)),
        Basis::Upgrade { level, new, part } => {
            format!("({} − {level} billed already){}", priced(new, book), months(*part))
        }
        Basis::Hours { of, part } => format!("{}{}", priced(of, book), hours(*part)),
        Basis::Overage { of, worth, cover, hourly, part } => {
            let above = format!("({worth} a month − {cover} covered by the trial)");
            let plan = &of.order.plan;
            match hourly {
                true => format!("{above} / {HOURS_OF_MONTH} of plan {plan}{}", hours(*part)),
                false => format!("{above} of plan {plan}{}", months(*part)),
            }
        }
        Basis::NewOverage { above, worth, part } => {
            format!("({worth} − {above} charged already) above the trial's cover{}", months(*part))
        }
        Basis::Usage { plan, component, used, included, price } => {
            let (used, included) = (plain(*used), plain(*included));
            format!("{price} for {used} {component} of plan {plan}, of which {included} are included")
        }
        Basis::TrialTraffic { units, price } => {
            format!("{price} for {} units of traffic above the trial's allowance", plain(*units))
        }
        Basis::PaidBefore { period } => {
            format!("from {} to {} it was paid before the account was brought in", period.from, period.to)
        }
    };
    let rounded = if basis.exact() == amount.exact() { "" } else { ", rounded" };
    format!("{} {currency}: {formula}{rounded}", Price::of(amount))
}

/// `3.90 of plan acs-small (2.40 + 150 × 0.01 cpe)`.
fn priced(priced: &Priced, book: &PriceBook) -> String {
    let Priced { order, list, price } = priced;
    let parts = book.parts(order, list.unwrap_or(Timestamp::BEGINNING)).unwrap_or_default();
    let made_of_one = parts.len() < 2;
    // A book that says something else now cannot explain what was then.
    if made_of_one || parts.iter().map(PricePart::price).sum::<Price>() != *price {
        return format!("{price} of plan {}", order.plan);
    }
    let parts: Vec<String> = parts.iter().map(part_of_price).collect();
    format!("{price} of plan {} ({})", order.plan, parts.join(" + "))
}

fn part_of_price(part: &PricePart<'_>) -> String {
    let unit_price = Price::of(part.unit_price);
    match (part.name, part.units) {
        (None, _) => unit_price.to_string(),
        (Some(name), None) => format!("{unit_price} {name}"),
        (Some(name), Some(units)) => format!("{} × {unit_price} {name}", plain(units)),
    }
}

fn share(part: Period, whole: Period) -> String {
    if part == whole { String::new() } else { format!(" × {} s / {} s", part.secs(), whole.secs()) }
}

fn hours(part: Period) -> String {
    format!(" × {} s / {HOUR} s", part.secs())
}

/// Each calendar month by its seconds.
fn months(period: Period) -> String {
    let shares: Vec<(Period, Period)> = period.by_month().collect();
    match shares.as_slice() {
        [(part, month)] => share(*part, *month),
        shares => {
            let each = shares.iter().map(|(part, month)| format!("{} s / {} s", part.secs(), month.secs()));
            format!(" × ({})", each.collect::<Vec<_>>().join(" + "))
        }
    }
}

/// A quantity without the zeros behind its last decimal.
fn plain(quantity: Micros) -> String {
    let text = quantity.to_string();
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::prices::{Component, Mode, Order, Plan, Tier};

    fn micros(text: &str) -> Micros {
        crate::money::parse_decimal(text, 9, true).expect("a decimal")
    }

    fn price(text: &str) -> Price {
        Price::of(micros(text))
    }

    fn period(from: &str, to: &str) -> Period {
        let at = |text: &str| Timestamp::parse(text).expect("a time");
        Period::new(at(from), at(to))
    }

    fn book() -> PriceBook {
        let tiers = vec![
            Tier { up_to: Some(micros("100")), unit_price: micros("0.02") },
            Tier { up_to: None, unit_price: micros("0.01") },
        ];
        let cpe = Component { included: micros("50"), tiers, metered: false, shrink_erases: false };
        let plan = Plan {
            mode: Mode::Daily,
            price: micros("2.40"),
            currency: None,
            term_months: 1,
            components: [("cpe".to_owned(), cpe)].into(),
            options: [("vpn".to_owned(), micros("0.25"))].into(),
            private: false,
        };
        let mut book = PriceBook::default();
        book.lay(Timestamp::BEGINNING, [("dms".to_owned(), plan)].into()).expect("the first list");
        book
    }

    fn order(cpe: Option<&str>, options: &[&str]) -> Priced {
        let quantities: BTreeMap<_, _> = cpe.map(|cpe| ("cpe".to_owned(), micros(cpe))).into_iter().collect();
        let options: BTreeSet<_> = options.iter().map(|option| (*option).to_owned()).collect();
        let order = Order { plan: "dms".to_owned(), quantities, options };
        let price = book().price(&order, Timestamp::BEGINNING).expect("known");
        Priced { order, list: None, price }
    }

    const DAY: (&str, &str) = ("2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z");

    #[test]
    fn a_share_of_a_price_names_all_that_the_price_is_made_of() {
        let of = order(Some("250"), &["vpn"]);
        let (part, whole) = (period("2026-11-23T08:00:00Z", DAY.1), period(DAY.0, DAY.1));
        let text = explain(&Basis::Share { of, part, whole }, micros("3.766667"), Currency::USD, &book());
        let parts = "2.40 + 100 × 0.02 cpe + 100 × 0.01 cpe + 0.25 vpn";
        assert_eq!(text, format!("3.766667 USD: 5.65 of plan dms ({parts}) × 57600 s / 86400 s, rounded"));
    }

    #[test]
    fn a_whole_period_at_the_plain_price_is_short() {
        let whole = period(DAY.0, DAY.1);
        let basis = Basis::Share { of: order(None, &[]), part: whole, whole };
        assert_eq!(explain(&basis, micros("2.40"), Currency::USD, &book()), "2.40 USD: 2.40 of plan dms");
        // A book that was corrected since does not contradict what was charged.
        let other = Priced { price: price("9.00"), ..order(Some("60"), &[]) };
        let basis = Basis::Share { of: other, part: whole, whole };
        assert_eq!(explain(&basis, micros("9"), Currency::USD, &book()), "9.00 USD: 9.00 of plan dms");
    }

    #[test]
    fn each_basis_has_its_formula() {
        let two_months = period("2027-01-10T00:00:00Z", "2027-02-03T00:00:00Z");
        let month = period("2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z");
        let day = period(DAY.0, DAY.1);
        let of = || order(None, &[]);
        let (worth, cover) = (price("131.40"), price("100"));
        for (basis, amount, formula) in [
            (
                Basis::Change { old: price("1.20"), new: of(), part: day, whole: day },
                "1.20",
                "(2.40 of plan dms − 1.20 before)",
            ),
            (
                Basis::Months { of: of(), part: two_months },
                "1.874654",
                "2.40 of plan dms × (1900800 s / 2678400 s + 172800 s / 2419200 s), rounded",
            ),
            (
                Basis::Upgrade { level: price("1"), new: of(), part: month },
                "1.40",
                "(2.40 of plan dms − 1.00 billed already)",
            ),
            (Basis::Hours { of: of(), part: day }, "57.60", "2.40 of plan dms × 86400 s / 3600 s"),
            (
                Basis::Overage { of: of(), worth, cover, hourly: true, part: day },
                "1.032329",
                "(131.40 a month − 100.00 covered by the trial) / 730 of plan dms × 86400 s / 3600 s, rounded",
            ),
            (
                Basis::Overage { of: of(), worth, cover, hourly: false, part: month },
                "31.40",
                "(131.40 a month − 100.00 covered by the trial) of plan dms",
            ),
            (
                Basis::NewOverage { above: price("5"), worth: price("25"), part: month },
                "20",
                "(25.00 − 5.00 charged already) above the trial's cover",
            ),
            (
                Basis::Usage {
                    plan: "dms".to_owned(),
                    component: "traffic_gb".to_owned(),
                    used: micros("1250.5"),
                    included: micros("1000"),
                    price: price("2.505"),
                },
                "2.51",
                "2.505 for 1250.5 traffic_gb of plan dms, of which 1000 are included, rounded",
            ),
            (
                Basis::TrialTraffic { units: micros("150"), price: price("3") },
                "3",
                "3.00 for 150 units of traffic above the trial's allowance",
            ),
        ] {
            let text = explain(&basis, micros(amount), Currency::USD, &book());
            assert_eq!(text, format!("{} USD: {formula}", price(amount)));
        }
    }
}
