//! What tables call an entry, an invoice, a line and an event, so that they can be asked about:
//! `ann/t12`, `ann/i3`, `ann/i3/2`, `ann/e7`; and so of what was refused, `ann/r3`.

use std::fmt;
use std::str::FromStr;

use crate::input::arguments;

/// Of an account, by its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference {
    pub account: String,
    pub to: Referred,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Referred {
    Entry(i64),
    Event(i64),
    Refusal(i64),
    Invoice(i64),
    Line { invoice: i64, position: i64 },
}

pub fn entry(account: &str, number: i64) -> String {
    format!("{account}/t{number}")
}

pub fn event(account: &str, number: i64) -> String {
    format!("{account}/e{number}")
}

pub fn refusal(account: &str, number: i64) -> String {
    format!("{account}/r{number}")
}

pub fn invoice(account: &str, number: i64) -> String {
    format!("{account}/i{number}")
}

pub fn line(account: &str, invoice: i64, position: i64) -> String {
    format!("{account}/i{invoice}/{position}")
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self.to {
            Referred::Entry(number) => entry(&self.account, number),
            Referred::Event(number) => event(&self.account, number),
            Referred::Refusal(number) => refusal(&self.account, number),
            Referred::Invoice(number) => invoice(&self.account, number),
            Referred::Line { invoice, position } => line(&self.account, invoice, position),
        })
    }
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| {
            "it is a reference as tables show it: ann/t12 for an entry, ann/i3 for an invoice, ann/i3/2 for a line, \
            ann/e7 for an event, ann/r3 for what was refused"
                .to_owned()
        })
    }
}

fn parse(text: &str) -> Option<Reference> {
    let mut parts = text.split('/');
    let account = arguments::name(parts.next()?).ok()?;
    let (kind, number) = parts.next().and_then(|part| part.split_at_checked(1))?;
    let number = whole(number)?;
    let to = match (kind, parts.next()) {
        ("t", None) => Referred::Entry(number),
        ("e", None) => Referred::Event(number),
        ("r", None) => Referred::Refusal(number),
        ("i", None) => Referred::Invoice(number),
        ("i", Some(position)) => Referred::Line { invoice: number, position: whole(position)? },
        _ => return None,
    };
    parts.next().is_none().then_some(Reference { account, to })
}

fn whole(digits: &str) -> Option<i64> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| all_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_they_are_printed() {
        for text in ["ann/t12", "ann.b_c-d/e0", "ann/i3", "ann/i3/2", "ann/r3"] {
            assert_eq!(text.parse::<Reference>().expect(text).to_string(), text);
        }
        for bad in
            ["", "ann", "ann/", "ann/t", "ann/x1", "ann/t-1", "ann/t1/2", "ann/i1/2/3", "/t1", "ann/t１", "ann/ü1"]
        {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }
}
