//! The same words as arguments of commands: each is read, or refused with what it should be.

use std::ops::RangeInclusive;

use rules::{Currency, Micros, Quantity, Timestamp, parse_decimal};

use super::words;

const TIMES: RangeInclusive<Timestamp> = words::EARLIEST..=words::LATEST;

pub fn name(text: &str) -> Result<String, String> {
    if words::is_name(text) { Ok(text.to_owned()) } else { Err(words::A_NAME.to_owned()) }
}

pub fn currency(code: &str) -> Result<Currency, String> {
    Currency::parse(code).ok_or_else(|| "a currency is a code of ISO 4217 like USD, EUR or JPY".to_owned())
}

pub fn positive_amount(text: &str) -> Result<Micros, String> {
    let amount = parse_decimal(text, words::AMOUNT_DIGITS, false).filter(|amount| amount.is_positive());
    amount.ok_or_else(|| words::A_POSITIVE_AMOUNT.replace('"', ""))
}

pub fn signed_amount(text: &str) -> Result<Micros, String> {
    let amount = parse_decimal(text, words::AMOUNT_DIGITS, true).filter(|amount| !amount.is_zero());
    amount.ok_or_else(|| words::A_SIGNED_AMOUNT.replace('"', ""))
}

pub fn quantity(text: &str) -> Result<Quantity, String> {
    parse_decimal(text, words::PRICE_DIGITS, false).ok_or_else(|| words::A_QUANTITY.replace('"', ""))
}

/// As in `cpu=4`.
pub fn component_quantity(text: &str) -> Result<(String, Quantity), String> {
    let (component, count) = text.split_once('=').ok_or("it is a component and how much of it, like cpu=4")?;
    Ok((name(component)?, quantity(count)?))
}

/// A second, as the books write it.
pub fn second(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "a time is like 2027-01-01T00:00:00Z: UTC, whole seconds".to_owned())
}

/// A second, or a day, which is its first second.
pub fn time(text: &str) -> Result<Timestamp, String> {
    let time = Timestamp::parse(text).or_else(|| Timestamp::parse(&format!("{text}T00:00:00Z")));
    time.filter(|time| TIMES.contains(time))
        .ok_or_else(|| "a time is UTC in whole seconds like 2026-01-05T10:00:00Z, or a day like 2026-01-05".to_owned())
}

pub fn text(text: &str) -> Result<String, String> {
    const LONGEST: usize = 500;
    match text.trim() {
        "" => Err("it is a text, not empty".to_owned()),
        text if text.chars().count() > LONGEST
            || text.chars().any(|letter| letter.is_control() || misleads(letter)) =>
        {
            Err(format!("it is one line of at most {LONGEST} letters, without marks that turn its direction"))
        }
        text => Ok(text.to_owned()),
    }
}

/// Marks that have text read in another order than it is written in, and breaks of lines that are no controls.
pub fn misleads(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_word_is_refused_with_what_it_should_be() {
        let days = ["2026-01-05", "2026-01-05T00:00:00Z"].map(|text| time(text).expect("a time"));
        assert_eq!(days[0], days[1]);
        assert_eq!(component_quantity("cpu=0.5"), Ok(("cpu".to_owned(), Micros::new(500_000))));
        assert_eq!(signed_amount("-1.5"), Ok(Micros::new(-1_500_000)));
        assert_eq!(text(" paid at the desk ").as_deref(), Ok("paid at the desk"));
        for refused in [
            name("-ann").is_err(),
            currency("usd").is_err(),
            positive_amount("0").is_err(),
            positive_amount("-1").is_err(),
            signed_amount("0.00").is_err(),
            signed_amount("1e3").is_err(),
            quantity("-1").is_err(),
            component_quantity("cpu").is_err(),
            component_quantity("=4").is_err(),
            time("2026-02-30").is_err(),
            time("0000-12-31").is_err(),
            text("  ").is_err(),
            text("two\nlines").is_err(),
            text("abc\u{202e}fed").is_err(),
        ] {
            assert!(refused);
        }
    }
}
