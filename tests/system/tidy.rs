//! The house's order, as far as a machine can see it.

mod jobs_list;
mod sources;
mod walls;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sources::{Source, all_sources, modules};

use crate::support::program::repository;

/// Who speaks to a database beside the store: floors of benchmarks, and tests that are a database's admin.
const SPEAK_SQL: [&str; 12] = [
    "benches/src/http/floor.rs",
    "benches/src/midnight/",
    "benches/src/wake.rs",
    "tests/support/canaries.rs",
    "tests/support/faults.rs",
    "tests/support/night.rs",
    "tests/support/servers.rs",
    "tests/system/backup.rs",
    "tests/system/canaries.rs",
    "tests/system/daemons.rs",
    "tests/system/migrate.rs",
    "tests/system/systemd/secrets.rs",
];

/// Asserts that nothing was found, and lists what was.
pub fn none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

#[test]
fn sql_stands_in_the_store_alone() {
    let in_store = all_sources().into_iter().filter(|source| source.is_in("store") && source.sql().is_some()).count();
    assert!(in_store > 15, "only {in_store} files with SQL were recognised in the store");
    let speaks = |source: &Source| SPEAK_SQL.iter().any(|path| source.path.starts_with(path));
    let elsewhere = all_sources().into_iter().filter(|source| !source.is_in("store") && !speaks(source));
    let found: Vec<String> = elsewhere.filter_map(|source| source.sql().map(|sql| source.at(&sql))).collect();
    none("SQL belongs into store/ and migrations/", &found);
}

#[test]
fn every_file_is_a_module_of_its_crate() {
    let modules = modules();
    let found: Vec<String> =
        all_sources().into_iter().map(|source| source.path).filter(|path| !modules.contains(path)).collect();
    none("nobody declares these as modules", &found);
}

#[test]
fn code_is_written_in_one_style() {
    const BANNED: [&str; 4] = ["\t", concat!("todo", "!"), concat!("unimplemented", "!"), concat!("dbg", "!")];
    let mut found = Vec::new();
    for source in all_sources() {
        for (line, text) in source.lines() {
            // Nobody can break a line of data; rustfmt sees to the rest of a test.
            if text.chars().count() > 120 && !source.is_test() {
                found.push(source.at(&format!("{line}: longer than 120 columns")));
            }
            for banned in BANNED.iter().filter(|banned| text.contains(*banned)) {
                found.push(source.at(&format!("{line}: {banned:?}")));
            }
        }
        if !source.is_test() && source.lines().count() > 600 {
            found.push(source.at("longer than 600 lines"));
        }
        for word in ["core", "common", "utils", "util", "services", "models"] {
            if source.path.split(['/', '.']).any(|part| part == word) {
                found.push(source.at("a name that says nothing"));
            }
        }
    }
    none("not our style", &found);
}

#[test]
fn money_and_books_know_no_floats() {
    let exact = all_sources().into_iter().filter(|source| source.is_in("rules") || source.is_in("store"));
    let found: Vec<String> =
        exact.filter(|source| source.has_word(&["f32", "f64"])).map(|source| source.path).collect();
    none("floats are banned", &found);
}

#[test]
fn one_file_reads_the_clock() {
    const READS: [&str; 3] = [concat!("SystemTime", "::now"), concat!("Instant", "::now"), concat!("Utc", "::now")];
    let others = all_sources().into_iter().filter(|source| source.path != "jobs/src/clock.rs");
    let found: Vec<String> =
        others.filter(|source| READS.iter().any(|read| source.text.contains(read))).map(|source| source.path).collect();
    none("time is an argument; only jobs/src/clock.rs reads the system's", &found);
}

#[test]
fn migrations_are_numbered_without_gaps_and_known() {
    let folder = repository().join("migrations");
    let known = text(&repository().join("store/src/schema.rs"));
    for database in ["sqlite", "postgres"].into_iter().filter(|database| folder.join(database).exists()) {
        let files = names(&folder.join(database));
        for (index, file) in files.iter().enumerate() {
            assert!(file.starts_with(&format!("{:04}_", index + 1)), "{database}/{file} is not number {}", index + 1);
            assert!(known.contains(&format!("{:?}", file)), "{file} is not in store/src/schema.rs");
        }
        assert_eq!(files, names(&folder.join("sqlite")), "the databases have the same migrations");
    }
}

#[test]
fn every_rule_that_is_named_is_in_the_rule_book() {
    let book = text(&repository().join("docs/rules.md"));
    let headings = book.lines().filter(|line| line.starts_with('#'));
    let numbers: BTreeSet<&str> =
        headings.filter_map(|line| line.split_whitespace().nth(1)).map(|number| number.trim_end_matches('.')).collect();
    let mut found = Vec::new();
    for source in all_sources().into_iter().chain(migrations()) {
        for (line, text) in source.lines() {
            let missing = rules_in(text).into_iter().filter(|rule| !numbers.contains(rule.as_str()));
            found.extend(missing.map(|rule| source.at(&format!("{line}: rule {rule}"))));
        }
    }
    none("docs/rules.md has no such heading", &found);
}

#[test]
fn rules_are_found_in_a_line() {
    for (line, rules) in [
        ("as of rule 5.2.", &["5.2"][..]),
        ("(rules 3.4 and 9.2, of rule 11)", &["3.4", "9.2", "11"]),
        ("rules 1.1 to 1.4", &["1.1", "1.4"]),
        ("Rule 7 of RULES.md section 4, rules, a rule 3-fold", &["7", "3"]),
        ("the rules moved 5.5 away", &[]),
    ] {
        assert_eq!(rules_in(line), rules, "{line}");
    }
}

/// The numbers behind the word "rule" or "rules": one, or several with `,`, `and`, `to` between them.
fn rules_in(line: &str) -> Vec<String> {
    let mut rules = Vec::new();
    let mut words = line.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let word = word.trim_start_matches(|letter: char| !letter.is_alphanumeric()).to_lowercase();
        if word != "rule" && word != "rules" {
            continue;
        }
        while let Some(next) = words.peek() {
            let number: String = next.chars().take_while(|letter| letter.is_ascii_digit() || *letter == '.').collect();
            let number = number.trim_end_matches('.');
            match number.is_empty() {
                false => rules.push(number.to_owned()),
                true if word == "rules" && !rules.is_empty() && ["and", "to", "or"].contains(next) => {}
                true => break,
            }
            let goes_on = number.is_empty() || next.ends_with(',') || word == "rules";
            words.next();
            if !goes_on {
                break;
            }
        }
    }
    rules
}

fn migrations() -> Vec<Source> {
    let folder = repository().join("migrations/sqlite");
    let read = |file: String| Source { text: text(&folder.join(&file)), path: format!("migrations/sqlite/{file}") };
    names(&folder).into_iter().map(read).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> =
        files.map(|file| file.expect("a file").file_name().to_str().expect("UTF-8").to_owned()).collect();
    names.sort();
    names
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lists at the end of the rules name what the program has, and nothing else.
#[test]
fn the_lists_of_the_rules_are_those_of_the_program() {
    let text = fs::read_to_string(repository().join("docs/rules.md")).expect("a document");
    let (_, lists) = text.split_once("\n## Lists\n").expect("the lists");
    let entries = || rules::TransferKind::ALL.into_iter().filter_map(rules::TransferKind::entry).collect();
    let known: [(&str, Vec<&str>); 5] = [
        ("Errors", rules::Refusal::ALL.map(rules::Refusal::name).into()),
        ("Wallet entries", entries()),
        ("Invoice lines", rules::LineKind::ALL.map(rules::LineKind::name).into()),
        ("Invoice states", rules::InvoiceStanding::ALL.map(rules::InvoiceStanding::name).into()),
        ("Events", rules::EventKind::ALL.map(rules::EventKind::name).into()),
    ];
    for (title, known) in known {
        let list = lists.split("### ").find_map(|list| list.strip_prefix(&format!("{title}\n")));
        let rows = list.expect(title).lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
        let told: BTreeSet<&str> = rows.flat_map(|(names, _)| names.split('`').skip(1).step_by(2)).collect();
        assert_eq!(told, known.into_iter().collect(), "{title}");
    }
}

/// The table of what `verify` checks names every invariant, in the row of what it is part of, and no other.
#[test]
fn the_invariants_are_those_of_the_documents() {
    let text = fs::read_to_string(repository().join("docs/operating/verify.md")).expect("a document");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let told: BTreeSet<(String, String)> = rows
        .flat_map(|(of, rest)| {
            let names = rest.split('`').skip(1).step_by(2).map(str::to_owned);
            names.map(move |name| (name, of.to_owned()))
        })
        .collect();
    let known = store::INVARIANTS.map(|(name, of)| (name.to_owned(), of.to_owned()));
    assert_eq!(told, known.into_iter().collect());
}
