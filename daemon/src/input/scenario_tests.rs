//! What is refused before a scenario is played, and that the project's own scenarios are not.

use std::path::{Path, PathBuf};

use rules::{Action, Micros, Mode, Timestamp};

use super::document::Format;
use super::problem::{Problem, Problems};
use super::scenario::Scenario;
use super::verbs::{Verb, Whose};

/// Around a timeline whose entries are given without braces and, but for a time of their own, without `at`.
fn with_timeline(entries: &[&str]) -> String {
    let entry = |keys: &&str| match keys.contains("\"at\"") {
        true => format!("{{{keys}}}"),
        false => format!("{{\"at\": \"2026-01-05T10:00:00Z\", {keys}}}"),
    };
    let timeline: Vec<String> = entries.iter().map(entry).collect();
    format!(
        r#"{{"plans": [{{"id": "dms", "mode": "daily", "price": "2.40", "options": {{"vpn": "0.1"}}}}],
            "timeline": [{}], "until": "2026-03-01T00:00:00Z"}}"#,
        timeline.join(", ")
    )
}

fn problems_of(document: &str) -> Vec<Problem> {
    Scenario::parse("f", document, Format::Json).expect_err(document).into_vec()
}

/// The document has this problem alone.
fn assert_refused(document: &str, entry: Option<usize>, key: &str, part: &str) {
    let problems = problems_of(document);
    let [problem] = problems.as_slice() else { panic!("{document}\n{}", Problems::from(problems)) };
    assert_eq!((problem.place.entry, problem.place.key.as_str()), (entry, key), "{document}\n{problem}");
    assert!(problem.message.contains(part), "{document}\n{problem}\nsays nothing of: {part}");
}

#[test]
fn an_entry_that_is_wrong_by_itself_is_refused() {
    const OPEN: &str = r#""do": "open_account", "account": "ann""#;
    for (entry, key, part) in [
        (r#""do": "fly""#, "do", "\"fly\": it is one of \"open_account\", \"card\""),
        (r#""account": "ann""#, "", "`do` is missing"),
        (r#""do": 7"#, "do", "the integer 7: it is one of"),
        (r#""do": "open_account""#, "", "`account` is missing"),
        (r#""do": "open_account", "account": "ann", "name": "x""#, "name", "`at`, `do`, `account`, `currency`"),
        (r#""do": "open_account", "account": "ann", "account": "bob""#, "account", "given twice"),
        (r#""do": "open_account", "account": """#, "account", "\"\": a name begins"),
        (r#""do": "open_account", "account": "-ann""#, "account", "a name begins"),
        (r#""do": "open_account", "account": "ann b""#, "account", "a name begins"),
        (r#""do": "open_account", "account": "änn""#, "account", "a name begins"),
        (r#""do": "open_account", "account": null"#, "account", "null: a name begins"),
        (r#""do": "open_account", "account": "ann", "currency": "usd""#, "currency", "ISO 4217"),
        (r#""do": "open_account", "account": "ann", "currency": "XAU""#, "currency", "ISO 4217"),
        (r#""do": "open_account", "account": "ann", "trial": "yes""#, "trial", "true or false"),
        (r#""do": "open_account", "account": "ann", "resume_on_deposit": 1"#, "resume_on_deposit", "true or false"),
        (r#""do": "open_account", "account": "ann", "card": "visa""#, "card", "\"none\", \"succeeds\", \"fails\""),
        (r#""do": "card", "account": "ann""#, "", "`card` is missing"),
        (r#""do": "card", "account": "ann", "card": true"#, "card", "the boolean true: it is one of"),
        (r#""do": "card", "account": "ann", "card": "none", "new": true"#, "", "is not a `new` one"),
        (r#""do": "deposit", "account": "ann""#, "", "`amount` is missing"),
        (r#""do": "deposit", "account": "ann", "amount": 50"#, "amount", "the integer 50: the amount is a decimal"),
        (r#""do": "deposit", "account": "ann", "amount": 0.5"#, "amount", "a float: the amount is a decimal"),
        (r#""do": "deposit", "account": "ann", "amount": "0.00""#, "amount", "above zero"),
        (r#""do": "deposit", "account": "ann", "amount": "-5""#, "amount", "above zero"),
        (r#""do": "deposit", "account": "ann", "amount": "1234567890""#, "amount", "9 digits"),
        (r#""do": "deposit", "account": "ann", "amount": "0.1234567""#, "amount", "6 decimals"),
        (r#""do": "deposit", "account": "ann", "amount": "1,50""#, "amount", "a decimal like"),
        (
            r#""do": "deposit", "account": "ann", "amount": "1.005""#,
            "amount",
            "an amount in USD has at most 2 decimals",
        ),
        (r#""do": "dispute", "account": "ann", "amount": "0""#, "amount", "above zero"),
        (r#""do": "dispute", "account": "ann", "amount": "0.001""#, "amount", "an amount in USD has at most 2"),
        (r#""do": "adjust", "account": "ann", "amount": "-0", "reason": "x""#, "amount", "not zero"),
        (r#""do": "adjust", "account": "ann", "amount": "+5", "reason": "x""#, "amount", "a decimal like"),
        (r#""do": "adjust", "account": "ann", "amount": "5""#, "", "`reason` is missing"),
        (r#""do": "adjust", "account": "ann", "amount": "5", "reason": 5"#, "reason", "it is text"),
        (r#""do": "create_service", "account": "ann", "service": "s""#, "", "`plan` is missing"),
        (r#""do": "create_service", "account": "ann", "service": ".s", "plan": "dms""#, "service", "a name begins"),
        (r#""do": "create_service", "account": "ann", "service": "s", "plan": "d/s""#, "plan", "a name begins"),
        (
            r#""do": "create_service", "account": "ann", "service": "s", "plan": "dms", "quantities": {"a b": "1"}"#,
            "quantities.\"a b\"",
            "a name begins",
        ),
        (
            r#""do": "create_service", "account": "ann", "service": "s", "plan": "dms", "quantities": {"a": "1234567"}"#,
            "quantities.a",
            "up to 6 digits",
        ),
        (
            r#""do": "create_service", "account": "ann", "service": "s", "plan": "dms", "quantities": ["a"]"#,
            "quantities",
            "a list: quantities are a table",
        ),
        (
            r#""do": "create_service", "account": "ann", "service": "s", "plan": "dms", "options": ["a", "b", "a"]"#,
            "options[2]",
            "`a` stands twice",
        ),
        (
            r#""do": "create_service", "account": "ann", "service": "s", "plan": "dms", "options": ["_"]"#,
            "options[0]",
            "a name begins",
        ),
        (
            r#""do": "create_service", "account": "ann", "service": "s", "plan": "dms", "options": {"a": true}"#,
            "options",
            "a table: the options chosen are a list",
        ),
        (r#""do": "enable", "service": "s", "account": "ann""#, "account", "unknown key"),
        (r#""do": "disable""#, "", "`service` is missing"),
        (r#""do": "change", "service": "s""#, "", "at least one of"),
        (r#""do": "change", "service": "s", "confirm_data_loss": true"#, "", "at least one of"),
        (r#""do": "change", "service": "s", "plan": "b", "confirm_data_loss": "true""#, "confirm_data_loss", "true or"),
        (r#""do": "change", "service": "s", "options": ["a", "a"]"#, "options[1]", "`a` stands twice"),
        (r#""do": "extend", "service": "s", "when": "now""#, "when", "unknown key"),
        (r#""do": "cancel", "service": "s", "when": "later""#, "when", "\"now\", \"period_end\""),
        (r#""do": "uncancel", "service": 1"#, "service", "a name begins"),
        (r#""do": "removed", "service": """#, "service", "a name begins"),
        (r#""do": "usage", "service": "s", "component": "t""#, "", "`quantity` is missing"),
        (r#""do": "usage", "service": "s", "component": "t", "quantity": "-1""#, "quantity", "not negative"),
        (r#""do": "set_prices""#, "", "`plans` is missing"),
        (
            r#""do": "set_prices", "plans": [{"id": "x", "mode": "yearly", "price": "1"}]"#,
            "plans[0].mode",
            "\"hourly\"",
        ),
        (r#""do": "suspend_account", "account": "ann", "reason": "unpaid""#, "reason", "\"admin\", \"fraud\""),
        (r#""do": "restore_account", "account": "ann", "reason": "x""#, "reason", "unknown key"),
        (r#""do": "close_account", "account": "ann", "rest": "keep""#, "rest", "\"waive\", \"refund\""),
        (r#""at": "2026-02-29T00:00:00Z", "do": "enable", "service": "s""#, "at", "a time is a string like"),
        (r#""at": 5, "do": "enable", "service": "s""#, "at", "the integer 5: a time is a string like"),
        (r#""at": "2026-03-01T00:00:01Z", "do": "enable", "service": "s""#, "at", "is after `until`"),
        (r#""do": "outage", "since": "2026-01-04""#, "since", "a time is a string like"),
        (r#""do": "outage""#, "", "`since` is missing"),
    ] {
        // Before it stands an entry that is right, and nothing that follows from the wrong one.
        let first = r#""at": "2026-01-01T00:00:00Z", "do": "open_account", "account": "first""#;
        assert_refused(&with_timeline(&[first, entry]), Some(2), key, part);
    }
    assert!(Scenario::parse("f", &with_timeline(&[OPEN]), Format::Json).is_ok());
    assert_refused(&with_timeline(&[]).replace("[]", "[7]"), Some(1), "", "an entry is a table");
}

#[test]
fn an_entry_that_does_not_fit_those_before_it_is_refused() {
    const OPEN: &str = r#""do": "open_account", "account": "ann""#;
    const CREATE: &str = r#""do": "create_service", "account": "ann", "service": "s", "plan": "nowhere""#;
    const OUTAGE: &str = r#""at": "2026-01-06T00:00:00Z", "do": "outage", "since": "#;
    let outage = |since: &str| format!("{OUTAGE}\"{since}\"");
    for (entries, entry, key, part) in [
        (vec![OPEN, CREATE, OPEN], 3, "", "`ann` is opened by entry 1 already"),
        (vec![CREATE, CREATE], 2, "", "`s` is created by entry 1 already"),
        (
            vec![OPEN, r#""at": "2026-01-05T09:59:59Z", "do": "enable", "service": "s""#],
            2,
            "at",
            "2026-01-05T09:59:59Z is before 2026-01-05T10:00:00Z, the time of entry 1",
        ),
        (
            vec![
                r#""do": "open_account", "account": "yuki", "currency": "JPY""#,
                r#""do": "deposit", "account": "yuki", "amount": "100""#,
                r#""do": "deposit", "account": "yuki", "amount": "100.5""#,
            ],
            3,
            "amount",
            "an amount in JPY has no decimals",
        ),
        (
            vec![
                r#""do": "open_account", "account": "kim", "currency": "KWD""#,
                r#""do": "dispute", "account": "kim", "amount": "1.005""#,
                r#""do": "dispute", "account": "kim", "amount": "1.0005""#,
            ],
            3,
            "amount",
            "an amount in KWD has at most 3 decimals",
        ),
        (
            vec![OPEN, r#""do": "deposit", "account": "ann", "amount": "5.000""#],
            2,
            "amount",
            "an amount in USD has at most 2 decimals",
        ),
        (vec![OPEN, &outage("2026-01-05T12:00:01Z")], 2, "since", "12 hours or more"),
        (vec![OPEN, &outage("2026-01-07T12:00:00Z")], 2, "since", "12 hours or more"),
        (vec![OPEN, &outage("2026-01-05T10:00:00Z")], 2, "since", "entry 1 is of 2026-01-05T10:00:00Z"),
        (
            vec![
                r#""at": "2026-01-05T00:00:00Z", "do": "outage", "since": "2026-01-03T00:00:00Z""#,
                &outage("2026-01-04T00:00:00Z"),
            ],
            2,
            "since",
            "entry 1 is of 2026-01-05T00:00:00Z",
        ),
        (
            vec![
                r#""do": "set_prices", "plans": [{"id": "dms", "mode": "hourly", "price": "1", "options": {"vpn": "1"}}]"#,
            ],
            1,
            "plans[0]",
            "plan `dms`: keeps its mode `daily`",
        ),
        (
            vec![
                r#""do": "set_prices", "plans": [{"id": "a", "mode": "term", "term_months": 12, "price": "1"}]"#,
                r#""do": "set_prices", "plans": [{"id": "b", "mode": "term", "price": "1"}, {"id": "a", "mode": "term", "price": "1"}]"#,
            ],
            2,
            "plans[1]",
            "plan `a`: keeps its term_months 12",
        ),
    ] {
        assert_refused(&with_timeline(&entries), Some(entry), key, part);
    }
    let good =
        [OPEN, &outage("2026-01-05T10:00:01Z"), r#""at": "2026-01-06T00:00:00Z", "do": "enable", "service": "s""#];
    assert!(Scenario::parse("f", &with_timeline(&good), Format::Json).is_ok());
}

#[test]
fn amounts_of_an_account_that_names_no_currency_are_in_the_configs() {
    let deposit = r#""do": "deposit", "account": "ann", "amount": "1.5""#;
    for entries in [vec![deposit], vec![r#""do": "open_account", "account": "ann""#, deposit]] {
        let document = with_timeline(&entries).replacen('{', r#"{"config": {"currency": "JPY"}, "#, 1);
        assert_refused(&document, Some(entries.len()), "amount", "JPY has no decimals");
    }
}

#[test]
fn lists_of_prices_count_by_their_seconds() {
    let list = |at: &str, mode: &str| {
        let plan = format!(r#"{{"id": "new", "mode": "{mode}", "price": "1"}}"#);
        format!(r#""at": "{at}", "do": "set_prices", "plans": [{plan}]"#)
    };
    let (late, early) = (list("2026-02-01T00:00:00Z", "daily"), list("2026-01-01T00:00:00Z", "hourly"));
    let problems = problems_of(&with_timeline(&[&late, &early]));
    let places: Vec<(Option<usize>, &str)> =
        problems.iter().map(|problem| (problem.place.entry, problem.place.key.as_str())).collect();
    assert_eq!(places, [(Some(1), "plans[0]"), (Some(2), "at")]);
}

#[test]
fn the_document_itself_is_checked() {
    let good = with_timeline(&[]);
    for (from, to, key, part) in [
        ("\"until\"", "\"till\"", "", "`until` is missing"),
        ("2026-03-01T00:00:00Z", "2026-03-01", "until", "a time is a string like"),
        ("\"timeline\": []", "\"timeline\": {}", "timeline", "a table: the timeline is a list"),
        ("\"2.40\"", "2.40", "plans[0].price", "a float: a price is a decimal"),
    ] {
        let document = good.replace(from, to);
        let problems = problems_of(&document);
        let found = problems.iter().any(|problem| problem.place.key == key && problem.message.contains(part));
        assert!(found, "{document}\n{}", Problems::from(problems));
    }
    assert_refused("[]", None, "", "a list: a scenario is a table");
    let bad_config = good.replacen('{', r#"{"config": {"grace_days": -1}, "#, 1);
    assert_refused(&bad_config, None, "config.grace_days", "from 0 to");
}

#[test]
fn all_problems_are_told_at_once_in_their_order() {
    let document =
        with_timeline(&[r#""do": "deposit", "account": "a b", "amount": "x", "currency": "USD""#, r#""do": "enable""#])
            .replace("2.40", "-2.40");
    let told = Scenario::parse("shop.json", &document, Format::Json).expect_err("five problems").to_string();
    let begins: Vec<String> = told.lines().map(|line| line.chars().take(36).collect()).collect();
    let expected = [
        "shop.json: plans[0].price: \"-2.40\": a",
        "shop.json: entry 1: currency: unknown",
        "shop.json: entry 1: account: \"a b\": a",
        "shop.json: entry 1: amount: \"x\": the ",
        "shop.json: entry 2: the key `service`",
        "5 problems",
    ];
    assert_eq!(begins, expected.map(|line| line.chars().take(36).collect::<String>()));
}

#[test]
fn toml_says_the_same_and_knows_the_lines() {
    let text = r#"
until = 2026-03-01T00:00:00Z

[[plans]]
id = "dms"
mode = "daily"
price = 2.40

[[timeline]]
at = "2026-01-05T10:00:00Z"
do = "open_account"
account = "ann"

[[timeline]]
at = "2026-01-05T10:00:00Z"
do = "deposit"
account = "ann"
amonut = "10.00"
"#;
    let problems = Scenario::parse("f.toml", text, Format::Toml).expect_err("four problems").to_string();
    let expected = "\
f.toml:2: until: a date or time without quotes: a time is a string like \"2026-01-05T10:00:00Z\": UTC, whole seconds, in quotes
f.toml:7: plans[0].price: a float: a price is a decimal like \"12\" or \"0.50\", up to 6 digits and 6 decimals, not negative
f.toml:14: entry 2: the key `amount` is missing
f.toml:18: entry 2: amonut: unknown key; allowed here: `at`, `do`, `account`, `amount`
4 problems";
    assert_eq!(problems, expected);
}

fn scenario_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios");
    let paths = std::fs::read_dir(folder).expect("the scenarios").map(|file| file.expect("a file").path());
    paths
        .filter(|path| path.to_string_lossy().ends_with(".json"))
        .filter(|path| !path.to_string_lossy().ends_with(".expected.json"))
        .collect()
}

#[test]
fn the_projects_scenarios_are_read() {
    let files = scenario_files();
    assert!(files.len() >= 11, "{files:?}");
    for file in files {
        let scenario = Scenario::read(&file);
        assert!(scenario.is_ok(), "{}", scenario.expect_err("problems"));
    }
}

#[test]
fn what_was_written_is_what_is_read() {
    let at = |text: &str| Timestamp::parse(text).expect("a time");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios");
    let quarter = Scenario::read(&folder.join("quarter.json")).expect("a good scenario");
    assert_eq!(quarter.until, at("2026-04-15T00:00:00Z"));
    assert_eq!(quarter.plans["cloud-h"].mode, Mode::Hourly);
    assert_eq!(quarter.plans["cloud-h"].components["cpu"].tiers.len(), 2);
    let Verb::Act { whose, action: Action::Change { service, change, confirm_data_loss } } = &quarter.timeline[20].verb
    else {
        panic!("entry 21 is a change")
    };
    assert_eq!((whose, service.as_str()), (&Whose::Service("vps1".to_owned()), "vps1"));
    assert_eq!(change.quantities.as_ref().expect("given")["disk_gb"], Micros::new(40_000_000));
    assert_eq!((&change.plan, &change.options, *confirm_data_loss), (&None, &None, true));
    let outage = Scenario::read(&folder.join("outage.json")).expect("a good scenario");
    assert_eq!(outage.timeline[14].verb, Verb::Outage { since: at("2026-01-30T18:00:00Z") });
}
