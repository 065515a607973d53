//! The words that all documents share: names, times, currencies, decimals, whole numbers, choices.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use rules::{Currency, Micros, Quantity, Timestamp, parse_decimal};

use super::reader::Value;

pub const PRICE_DIGITS: usize = 6;
pub const AMOUNT_DIGITS: usize = 9;
const SUM_DIGITS: usize = 12;
const LONGEST_NAME: usize = 64;

/// 0001-01-01T00:00:00Z: the year 0 is none.
pub const EARLIEST: Timestamp = Timestamp::from_secs(-62_135_596_800);
/// 9899-12-31T23:59:59Z: whatever begins by then ends in a year that is written with four digits.
pub const LATEST: Timestamp = Timestamp::from_secs(250_246_627_199);

pub const A_NAME: &str = "a name begins with a letter or a digit and goes on with those, dots, dashes and underscores, \
    up to 64 characters, all of them ASCII";
const A_PRICE: &str = "a price is a decimal like \"12\" or \"0.50\", up to 6 digits and 6 decimals, not negative";
pub const A_QUANTITY: &str =
    "a quantity is a decimal like \"20\" or \"0.5\", up to 6 digits and 6 decimals, not negative";
const AN_AMOUNT: &str = "an amount is a decimal like \"12\" or \"0.50\", up to 9 digits and 6 decimals, not negative";
pub const A_POSITIVE_AMOUNT: &str =
    "the amount is a decimal like \"12\" or \"0.50\", up to 9 digits and 6 decimals, above zero";
const A_BALANCE: &str = "a balance is a decimal like \"12\" or \"-0.50\", up to 9 digits and 6 decimals";
const A_SUM: &str = "a sum is a decimal like \"12\" or \"-0.50\", up to 12 digits and 6 decimals";
pub const A_SIGNED_AMOUNT: &str =
    "the amount is a decimal like \"12\" or \"-0.50\", up to 9 digits and 6 decimals, not zero";

pub fn is_name(text: &str) -> bool {
    text.len() <= LONGEST_NAME
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

pub fn name(value: &Value<'_>) -> Option<String> {
    match value.as_str() {
        Some(text) if is_name(text) => Some(text.to_owned()),
        _ => value.refuse(A_NAME),
    }
}

pub fn text(value: &Value<'_>) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| value.refuse("it is text, in quotes"))
}

/// The name of a series of documents, or a number of it, as it was printed elsewhere.
pub fn series(value: &Value<'_>) -> Option<String> {
    let is_printed = |text: &str| {
        let length = text.chars().count();
        (1..=LONGEST_NAME).contains(&length) && text.trim() == text && !text.chars().any(char::is_control)
    };
    let text = value.as_str().filter(|text| is_printed(text)).map(str::to_owned);
    text.or_else(|| {
        let what = "it is as it was printed: 1 to 64 characters on one line, without a space in front or behind";
        value.refuse(what)
    })
}

pub fn flag(value: &Value<'_>) -> Option<bool> {
    value.as_bool().or_else(|| value.refuse("it is true or false, without quotes"))
}

pub fn time(value: &Value<'_>) -> Option<Timestamp> {
    let Some(time) = value.as_str().and_then(Timestamp::parse) else {
        return value.refuse("a time is a string like \"2026-01-05T10:00:00Z\": UTC, whole seconds, in quotes");
    };
    match (EARLIEST..=LATEST).contains(&time) {
        true => Some(time),
        false => value.refuse(&format!("a time is not before {EARLIEST} and not after {LATEST}")),
    }
}

pub fn currency(value: &Value<'_>) -> Option<Currency> {
    let currency = value.as_str().and_then(Currency::parse);
    currency.or_else(|| value.refuse("a currency is a code of ISO 4217 like \"USD\", \"EUR\" or \"JPY\""))
}

pub fn price(value: &Value<'_>) -> Option<Micros> {
    decimal(value, PRICE_DIGITS, false).or_else(|| value.refuse(A_PRICE))
}

pub fn quantity(value: &Value<'_>) -> Option<Quantity> {
    decimal(value, PRICE_DIGITS, false).or_else(|| value.refuse(A_QUANTITY))
}

pub fn amount(value: &Value<'_>) -> Option<Micros> {
    decimal(value, AMOUNT_DIGITS, false).or_else(|| value.refuse(AN_AMOUNT))
}

pub fn positive_amount(value: &Value<'_>) -> Option<Micros> {
    let amount = decimal(value, AMOUNT_DIGITS, false).filter(|amount| amount.is_positive());
    amount.or_else(|| value.refuse(A_POSITIVE_AMOUNT))
}

pub fn signed_amount(value: &Value<'_>) -> Option<Micros> {
    let amount = decimal(value, AMOUNT_DIGITS, true).filter(|amount| !amount.is_zero());
    amount.or_else(|| value.refuse(A_SIGNED_AMOUNT))
}

/// What a wallet holds, or owes where it is negative.
pub fn balance(value: &Value<'_>) -> Option<Micros> {
    decimal(value, AMOUNT_DIGITS, true).or_else(|| value.refuse(A_BALANCE))
}

/// What many wallets hold together.
pub fn sum(value: &Value<'_>) -> Option<Micros> {
    decimal(value, SUM_DIGITS, true).or_else(|| value.refuse(A_SUM))
}

fn decimal(value: &Value<'_>, digits: usize, signed: bool) -> Option<Micros> {
    parse_decimal(value.as_str()?, digits, signed)
}

pub fn whole(range: RangeInclusive<u32>) -> impl Fn(&Value<'_>) -> Option<u32> {
    move |value| {
        let number = value.as_integer().and_then(|number| u32::try_from(number).ok());
        number.filter(|number| range.contains(number)).or_else(|| {
            let (least, most) = (range.start(), range.end());
            value.refuse(&format!("it is a whole number from {least} to {most}, without quotes"))
        })
    }
}

/// One of a few words, and what it stands for.
pub fn one_of<T: Copy>(choices: &[(&str, T)]) -> impl Fn(&Value<'_>) -> Option<T> {
    move |value| {
        let chosen = choices.iter().find(|(word, _)| value.as_str() == Some(word));
        chosen.map(|(_, meaning)| *meaning).or_else(|| {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            value.refuse(&format!("it is one of \"{}\"", words.join("\", \"")))
        })
    }
}

/// A table whose keys are names.
pub fn named<'a, T>(
    value: &Value<'a>,
    what: &str,
    read: impl Fn(&Value<'a>) -> Option<T>,
) -> Option<BTreeMap<String, T>> {
    let mut all_good = true;
    let mut read_ones = BTreeMap::new();
    for (key, member) in value.table(what)?.iter() {
        if !is_name(key) {
            all_good = false;
            member.note(format!("the key is a name: {A_NAME}"));
        }
        if let Some(read) = read(&member) {
            read_ones.insert(key.to_owned(), read);
        } else {
            all_good = false;
        }
    }
    all_good.then_some(read_ones)
}

pub fn quantities(value: &Value<'_>) -> Option<BTreeMap<String, Quantity>> {
    named(value, "quantities are a table of components, like { \"cpu\": \"2\" }", quantity)
}

/// Options chosen: a list of names, each once.
pub fn options(value: &Value<'_>) -> Option<BTreeSet<String>> {
    let items = value.list("the options chosen are a list of names, like [\"backup\"]")?;
    let mut all_good = true;
    let mut chosen = BTreeSet::new();
    for item in &items {
        match name(item) {
            Some(name) if chosen.insert(name.clone()) => {}
            Some(name) => {
                all_good = false;
                item.note(format!("option `{name}` stands twice in the list"));
            }
            None => all_good = false,
        }
    }
    all_good.then_some(chosen)
}

#[cfg(test)]
mod tests {
    use super::super::document::{Format, parse};
    use super::super::reader::Report;
    use super::*;

    #[test]
    fn times_leave_room_for_what_begins_then() {
        for (text, refused) in [
            ("0000-12-31T23:59:59Z", true),
            ("0001-01-01T00:00:00Z", false),
            ("9899-12-31T23:59:59Z", false),
            ("9900-01-01T00:00:00Z", true),
            ("9999-12-31T23:59:59Z", true),
        ] {
            let node = parse("f", &format!("{{\"at\": \"{text}\"}}"), Format::Json).expect(text);
            let report = Report::new("f".to_owned());
            let table = Value::document(&node, &report).table("a document").expect("a table");
            assert_eq!(table.need("at", time).map(|at| at.to_string()), (!refused).then(|| text.to_owned()));
            let problems: Vec<String> = report.into_problems().iter().map(ToString::to_string).collect();
            let told = format!(
                "f: at: \"{text}\": a time is not before 0001-01-01T00:00:00Z and not after 9899-12-31T23:59:59Z"
            );
            assert_eq!(problems, if refused { vec![told] } else { Vec::new() });
        }
    }
}
