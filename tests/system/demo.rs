//! The first command of the README.

use std::fs;

use crate::support::program::{Ended, bursar};

#[test]
fn the_demo_bills_a_night_explains_a_charge_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (home, scratch) = (folder.path().join("home"), folder.path().join("scratch"));
    for folder in [&home, &scratch] {
        fs::create_dir(folder).expect("a folder");
    }
    let mut demo = bursar(&["demo"]);
    let ended =
        demo.current_dir(&home).env("HOME", &home).env("TMPDIR", &scratch).output().expect("the program starts");
    let Ended { status, out, err } = ended.into();
    assert_eq!(status, Some(0), "{out}{err}");
    assert!(!err.contains("ERROR") && !err.contains("WARN"), "{err}");
    for folder in [&home, &scratch] {
        let left: Vec<_> = fs::read_dir(folder).expect("a folder").collect();
        assert!(left.is_empty(), "it left {left:?}");
    }

    let services = number_before(&out, " services");
    assert!((400..=600).contains(&services), "{services} services\n{out}");
    // Something of everything, and in the last column what a host's night is about; the 1st is not every night.
    for (row, tonight) in [
        ("days and terms charged", true),
        ("instances disabled", true),
        ("invoices issued", false),
        ("accounts suspended", false),
    ] {
        let line = out.lines().find(|line| line.contains(row)).unwrap_or_else(|| panic!("no row `{row}` in\n{out}"));
        let cells: Vec<&str> = line.split(['│', '┆']).map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells.len(), 4, "{cells:?}");
        let columns = if tonight { &cells[3..] } else { &cells[1..] };
        assert!(columns.iter().any(|cell| *cell != "-"), "{cells:?}");
    }
    let explained = out.split_once("explained:\n").expect("an explanation").1;
    let sentence = explained.split_once("\n\n").expect("its end").0;
    assert!(sentence.contains(" was charged for "), "{sentence}");
    let (amount, formula) = sentence.lines().last().and_then(|line| line.split_once(" of plan ")).expect("a formula");
    let amount = amount.split(": ").last().expect("an amount");
    let terms = formula.split(['(', ')']).nth(1).expect("what it is made of");
    assert_eq!(terms.split(" + ").map(product).sum::<i128>(), product(amount), "{sentence}");
    assert!(out.trim_end().ends_with("The books verify: every invariant holds."), "{out}");
}

/// What `5000 × 0.008 cpe` comes to, in the square of a millionth.
fn product(term: &str) -> i128 {
    const MILLION: i128 = 1_000_000;
    let micros = |word: &str| {
        let (whole, decimals) = word.split_once('.').unwrap_or((word, ""));
        Some(whole.parse::<i128>().ok()? * MILLION + format!("{decimals:0<6}").parse::<i128>().ok()?)
    };
    match term.split_whitespace().filter_map(micros).collect::<Vec<_>>()[..] {
        [amount] => amount * MILLION,
        [quantity, price] => quantity * price,
        _ => panic!("no product: {term}"),
    }
}

/// The digits before a word.
fn number_before(text: &str, word: &str) -> u32 {
    let before = text.split_once(word).expect(word).0;
    before.rsplit(|letter: char| !letter.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).expect(word)
}

#[test]
fn a_demo_that_is_kept_can_be_looked_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept");
    let kept = kept.to_str().expect("UTF-8");
    let ended: Ended = bursar(&["demo", "--keep", kept]).output().expect("the program starts").into();
    assert_eq!(ended.status, Some(0), "{}{}", ended.out, ended.err);
    let url = format!("sqlite:{kept}/books.db");
    let verified: Ended = bursar(&["verify", "--database-url", &url]).output().expect("the program starts").into();
    let verifies = verified.status == Some(0) && verified.out.starts_with("The books verify.\n");
    assert!(verifies, "{}{}", verified.out, verified.err);
    let again: Ended = bursar(&["demo", "--keep", kept]).output().expect("the program starts").into();
    assert_eq!(again.status, Some(1));
    assert!(again.err.contains("there are books already"), "{}", again.err);
}
