//! Markers in secrets, and who looks for them.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::support::program::Ended;

/// What was marked, and where it may be.
#[derive(Clone, Debug)]
pub struct Canary {
    pub what: &'static str,
    pub text: String,
    /// The table that it is to live in, if there is one.
    pub home: Option<&'static str>,
}

impl Canary {
    pub fn new(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, text: text.into(), home: None }
    }

    pub fn living_in(self, table: &'static str) -> Self {
        Self { home: Some(table), ..self }
    }

    fn is_in(&self, text: &str) -> bool {
        let written = serde_json::to_string(&self.text).expect("a text");
        // As it is, and as JSON and a URL write it.
        let in_url: String = self.text.bytes().map(in_url).collect();
        [self.text.as_str(), written.trim_matches('"'), &in_url].iter().any(|form| text.contains(form))
    }
}

fn in_url(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).into()
    } else {
        format!("%{byte:02X}")
    }
}

/// All that came out somewhere.
#[derive(Debug, Default)]
pub struct Seen(Vec<(String, String)>);

impl Seen {
    pub fn add(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.0.push((place.into(), text.into()));
    }

    pub fn ended(&mut self, place: &str, ended: &Ended) {
        self.add(format!("stdout of {place}"), &ended.out);
        self.add(format!("stderr of {place}"), &ended.err);
    }

    /// Where which of them came out.
    pub fn leaks(&self, canaries: &[Canary]) -> Vec<String> {
        let mut leaks = Vec::new();
        for (place, text) in &self.0 {
            let here = canaries.iter().filter(|canary| canary.is_in(text));
            leaks.extend(here.map(|canary| format!("{} in {place}:\n{}", canary.what, lines_with(text, canary))));
        }
        leaks
    }

    /// What may be the number of a card, in places whose names begin so.
    pub fn card_numbers(&self, places: &[&str]) -> Vec<String> {
        let there = self.0.iter().filter(|(place, _)| places.iter().any(|begins| place.starts_with(begins)));
        there.flat_map(|(_, text)| card_numbers(text)).collect()
    }
}

fn lines_with(text: &str, canary: &Canary) -> String {
    text.lines().filter(|line| canary.is_in(line)).take(3).collect::<Vec<_>>().join("\n")
}

/// The canaries in a database that are where they do not live, and those that are not where they do.
pub fn strayed(dump: &str, canaries: &[Canary]) -> BTreeSet<String> {
    let mut strayed = BTreeSet::new();
    let mut missing: Vec<&Canary> = canaries.iter().filter(|canary| canary.home.is_some()).collect();
    // A text may break a line: what follows belongs to the row before.
    let mut table = String::new();
    for line in dump.lines() {
        if let Some(rest) = line.strip_prefix("INSERT INTO ") {
            let name = rest.split([' ', '(']).next().unwrap_or_default();
            name.trim_matches('"').trim_start_matches("public.").clone_into(&mut table);
        }
        for canary in canaries.iter().filter(|canary| canary.is_in(line)) {
            if canary.home == Some(table.as_str()) {
                missing.retain(|missing| missing.text != canary.text);
            } else {
                strayed.insert(format!("{} in the table {table}", canary.what));
            }
        }
    }
    strayed.extend(missing.into_iter().map(|canary| format!("{} nowhere", canary.what)));
    strayed
}

/// Every row of a database, as a statement that would write it.
pub fn dump(url: &str, password: &str) -> String {
    const OF_FILE: &str = "import sqlite3, sys\nfor row in sqlite3.connect(sys.argv[1]).iterdump(): print(row)";
    let mut command = match url.strip_prefix("sqlite:") {
        Some(path) => {
            let mut python = Command::new("python3");
            python.args(["-c", OF_FILE, path]);
            python
        }
        None => {
            let mut dump = Command::new("pg_dump");
            dump.args(["--data-only", "--inserts", "--schema=public", url]).env("PGPASSWORD", password);
            dump
        }
    };
    let ended: Ended = command.output().expect("it starts").into();
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    assert!(ended.out.contains("INSERT INTO "), "{}", ended.out);
    ended.out
}

/// What others on the machine see of a process.
pub fn of_process(id: u32, what: &str) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{id}/{what}")).expect("it lives")).into_owned()
}

/// Groups of digits as cards have them, in one or with single blanks or dashes between them, that pass the check of
/// card numbers.
fn card_numbers(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let letters: Vec<char> = text.chars().collect();
    let mut start = 0;
    while start < letters.len() {
        let mut end = start;
        let (mut digits, mut gaps) = (String::new(), Vec::new());
        while end < letters.len() {
            let is_gap = [' ', '-'].contains(&letters[end]) && letters.get(end + 1).is_some_and(char::is_ascii_digit);
            match letters[end] {
                digit if digit.is_ascii_digit() => digits.push(digit),
                _ if is_gap && !digits.is_empty() => gaps.push(digits.len()),
                _ => break,
            }
            end += 1;
        }
        let apart =
            |index: Option<usize>| index.and_then(|index| letters.get(index)).is_none_or(|c| !c.is_alphanumeric());
        // Four by four, or as American Express has them; other numbers beside one another are no card.
        let is_grouped = gaps.iter().all(|at| at % 4 == 0) && (gaps.is_empty() || gaps.len() > 2) || gaps == [4, 10];
        if (13..=19).contains(&digits.len())
            && is_grouped
            && is_luhn(&digits)
            && apart(start.checked_sub(1))
            && apart(Some(end))
        {
            found.push(digits);
        }
        start = end.max(start) + 1;
    }
    found
}

fn is_luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit - b'0');
            match place % 2 {
                0 => digit,
                _ if digit > 4 => 2 * digit - 9,
                _ => 2 * digit,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[test]
fn canaries_are_found_wherever_they_are() {
    let canary = Canary::new("a password", "a b/\"c").living_in("homes");
    let mut seen = Seen::default();
    for text in ["x a b/\"c y", "{\"x\": \"a b/\\\"c\"}", "redis://:a%20b%2F%22c@h", "a b / c"] {
        seen.add(text, text);
    }
    assert_eq!(seen.leaks(std::slice::from_ref(&canary)).len(), 3);
    let dump = "INSERT INTO public.homes VALUES (1, 'a b/\"c');\nINSERT INTO \"others\" VALUES(1,'x\na b/\"c');\n";
    assert_eq!(
        strayed(dump, std::slice::from_ref(&canary)),
        BTreeSet::from(["a password in the table others".to_owned()])
    );
    assert_eq!(strayed("", &[canary]), BTreeSet::from(["a password nowhere".to_owned()]));
}

#[test]
fn card_numbers_are_found() {
    for (text, is_found) in [
        ("paid by 4111 1111 1111 1111.", true),
        ("4242424242424242", true),
        ("\"3782-822463-10005\"", true),
        ("4111111111111112", false),
        ("a4111111111111111", false),
        ("2026-11-30 21:00:00", false),
        ("411111111111", false),
    ] {
        assert_eq!(!card_numbers(text).is_empty(), is_found, "{text}");
    }
}
