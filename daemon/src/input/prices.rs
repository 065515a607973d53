//! Price lists: the `plans` of a file, of a scenario or of its `set_prices` (rule 2).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rules::{Component, Mode, Plan, PriceBook, PriceList, Quantity, Tier, Timestamp};

use super::document;
use super::problem::{Problem, Problems};
use super::reader::{Report, Table, Value};
use super::words;

const MOST_TERM_MONTHS: u32 = 120;

const A_LIST: &str = "a price list is a table with `plans`";
const LIST_KEYS: &[&str] = &["effective_at", "plans"];
const PLAN_KEYS: &[&str] = &["id", "mode", "price", "currency", "term_months", "components", "options"];
const COMPONENT_KEYS: &[&str] = &["unit_price", "tiers", "included", "metered", "shrink_erases"];
const TIER_KEYS: &[&str] = &["up_to", "unit_price"];

/// A file with a price list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PriceListFile {
    pub path: PathBuf,
    /// Without it, the list was always there.
    pub effective_at: Option<Timestamp>,
    pub plans: PriceList,
}

impl PriceListFile {
    pub fn since(&self) -> Timestamp {
        self.effective_at.unwrap_or(Timestamp::BEGINNING)
    }
}

/// Reads files with price lists, all of them or none, and gives them in the order in which they take
/// effect. Each must fit over those before it; no plan stands in two files of the same second.
pub fn read_price_lists(paths: &[PathBuf]) -> Result<Vec<PriceListFile>, Problems> {
    let mut problems: Vec<Problem> = Vec::new();
    let mut documents = Vec::new();
    for path in paths {
        match document::load(path) {
            Ok(node) => documents.push((path, node, Report::new(path.display().to_string()))),
            Err(unread) => problems.extend(unread.into_vec()),
        }
    }
    let mut files: Vec<(PriceListFile, Option<Value<'_>>)> = Vec::new();
    for (path, node, report) in &documents {
        let value = Value::document(node, report);
        let Some(table) = value.table(A_LIST) else { continue };
        table.only(LIST_KEYS);
        if let Some(file) = price_list(&table, path) {
            files.push((file, table.get("plans")));
        }
    }
    files.sort_by_key(|(file, _)| file.since());
    let mut book = PriceBook::default();
    let mut named: BTreeMap<(&str, Timestamp), &PriceListFile> = BTreeMap::new();
    for (file, value) in &files {
        let Some(value) = value else { continue };
        for id in file.plans.keys() {
            if let Some(other) = named.insert((id, file.since()), file) {
                let other = other.path.display();
                plan_of(value, id).note(format!("plan `{id}` stands in {other} too, and from the same second"));
            }
        }
        lay(&mut book, file.since(), &file.plans, value);
    }
    let files = files.into_iter().map(|(file, _)| file).collect();
    problems.extend(documents.into_iter().flat_map(|(_, _, report)| report.into_problems()));
    Problems::checked(problems, Some(files))
}

/// Reads a price list that came in a request, beside keys that are the request's own.
pub fn read_price_list(source: &str, text: &str, beside: &[&str]) -> Result<PriceListFile, Problems> {
    let node = document::parse(source, text, document::Format::Json)?;
    let report = Report::new(source.to_owned());
    let list = Value::document(&node, &report).table(A_LIST).and_then(|table| {
        table.only(&[LIST_KEYS, beside].concat());
        price_list(&table, Path::new(source))
    });
    Problems::checked(report.into_problems(), list)
}

fn price_list(table: &Table<'_>, path: &Path) -> Option<PriceListFile> {
    let effective_at = table.maybe("effective_at", words::time);
    let plans = table.need("plans", plans);
    Some(PriceListFile { path: path.to_owned(), effective_at: effective_at?, plans: plans? })
}

/// Lays a list over the older ones and notes why, where it doesn't fit; `value` is the list as written.
pub fn lay(book: &mut PriceBook, since: Timestamp, list: &PriceList, value: &Value<'_>) {
    for conflict in book.lay(since, list.clone()).err().into_iter().flatten() {
        plan_of(value, &conflict.plan).note(conflict.to_string());
    }
}

fn plan_of<'a>(list: &Value<'a>, id: &str) -> Value<'a> {
    list.item_with("id", id).unwrap_or_else(|| list.clone())
}

/// A list of plans: those in which nothing is wrong.
pub fn plans(value: &Value<'_>) -> Option<PriceList> {
    let mut list = PriceList::new();
    for item in value.list("a price list is a list of plans")? {
        let Some((id, plan)) = plan(&item) else { continue };
        if list.insert(id.clone(), plan).is_some() {
            item.note(format!("plan `{id}` stands in this list already"));
        }
    }
    Some(list)
}

pub fn plan(value: &Value<'_>) -> Option<(String, Plan)> {
    let table = value.table("a plan is a table")?;
    table.only(PLAN_KEYS);
    let id = table.need("id", words::name);
    let mode = table.need("mode", words::one_of(&Mode::ALL.map(|mode| (mode.name(), mode))));
    let price = table.need("price", words::price);
    let currency = table.maybe("currency", words::currency);
    let term_months = table.or("term_months", 1, |value| match mode {
        Some(Mode::Term) | None => words::whole(1..=MOST_TERM_MONTHS)(value),
        Some(other) => value.fail(format!("only a term plan has `term_months`, this one is {other}")),
    });
    let components = table.or("components", BTreeMap::new(), |value| {
        let what = "components are a table like { cpu = { unit_price = \"5.00\" } }";
        words::named(value, what, |component_value| component(component_value, mode))
    });
    let options = table.or("options", BTreeMap::new(), |value| {
        words::named(value, "options are a table of prices, like { backup = \"6.00\" }", words::price)
    });
    let plan = Plan {
        mode: mode?,
        price: price?,
        currency: currency?,
        term_months: term_months?,
        components: components?,
        options: options?,
        private: false,
    };
    Some((id?, plan))
}

fn component(value: &Value<'_>, mode: Option<Mode>) -> Option<Component> {
    let table = value.table("a component is a table like { unit_price = \"5.00\" }")?;
    table.only(COMPONENT_KEYS);
    let included = table.or("included", Quantity::ZERO, words::quantity);
    let metered = table.or("metered", false, words::flag);
    let shrink_erases = table.or("shrink_erases", false, words::flag);
    let unit_price = table.maybe("unit_price", words::price);
    let graduated = table.maybe("tiers", tiers);
    let tiers = match (table.get("unit_price"), table.get("tiers")) {
        (Some(_), Some(_)) | (None, None) => value.fail("a component has either a `unit_price` or `tiers`"),
        (Some(_), None) => unit_price.flatten().map(|unit_price| vec![Tier { up_to: None, unit_price }]),
        (None, Some(_)) => graduated.flatten(),
    };
    if metered == Some(true) && shrink_erases == Some(true) {
        value.note("a component is not both `metered` and `shrink_erases`: what is reported can't be lowered");
    }
    if let (Some(true), Some(mode @ (Mode::Daily | Mode::Term))) = (metered, mode) {
        value.note(format!("only monthly and hourly plans have metered components, this one is {mode}"));
    }
    Some(Component { included: included?, tiers: tiers?, metered: metered?, shrink_erases: shrink_erases? })
}

fn tiers(value: &Value<'_>) -> Option<Vec<Tier>> {
    let items = value.list("tiers are a list like [{ up_to = \"100\", unit_price = \"0.10\" }, { unit_price = … }]")?;
    let Some(last) = items.len().checked_sub(1) else { return value.fail("there is at least one tier") };
    let mut reached = Quantity::ZERO;
    let read: Vec<Option<Tier>> = items
        .iter()
        .enumerate()
        .map(|(index, item)| {
            let table = item.table("a tier is a table like { up_to = \"100\", unit_price = \"0.10\" }")?;
            table.only(TIER_KEYS);
            let unit_price = table.need("unit_price", words::price);
            let up_to = if index == last {
                table.or("up_to", None, |end| end.fail("the last tier has no end: leave `up_to` out"))
            } else {
                table.need("up_to", |end| rising(end, &mut reached).map(Some))
            };
            Some(Tier { up_to: up_to?, unit_price: unit_price? })
        })
        .collect();
    read.into_iter().collect()
}

fn rising(value: &Value<'_>, reached: &mut Quantity) -> Option<Quantity> {
    let end = words::quantity(value)?;
    if end <= *reached {
        return value.refuse("the tiers' ends rise, the first is above zero");
    }
    *reached = end;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::super::document::{Format, parse};
    use super::*;

    /// What is wrong with a list of one plan, given by its TOML after `id` and `mode`.
    fn problems_of(mode: &str, plan: &str) -> Vec<String> {
        let text = format!("[[plans]]\nid = \"p\"\nmode = \"{mode}\"\n{plan}\n");
        let node = parse("f", &text, Format::Toml).expect(&text);
        let report = Report::new("f".to_owned());
        let table = Value::document(&node, &report).table("a list").expect("a table");
        let _ = table.need("plans", plans);
        report.into_problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_plan_against_the_rules_is_refused() {
        let priced = |components: &str| format!("price = \"1\"\ncomponents = {{ {components} }}");
        for (mode, plan, expected) in [
            ("daily", String::new(), "f:1: plans[0]: the key `price` is missing"),
            ("daily", "price = \"-1\"".to_owned(), "f:4: plans[0].price: \"-1\": a price is a decimal like"),
            ("daily", "price = \"1000000\"".to_owned(), "up to 6 digits and 6 decimals, not negative"),
            ("daily", "price = 12".to_owned(), "f:4: plans[0].price: the integer 12: a price is a decimal like"),
            ("daily", "price = \"1\"\nterm_months = 1".to_owned(), "f:5: plans[0].term_months: only a term plan"),
            ("term", "price = \"1\"\nterm_months = 0".to_owned(), "the integer 0: it is a whole number from 1 to 120"),
            ("term", "price = \"1\"\nterm_months = 121".to_owned(), "from 1 to 120"),
            ("term", "price = \"1\"\ncurrency = \"DOLLAR\"".to_owned(), "ISO 4217"),
            ("term", "price = \"1\"\nsetup = \"5\"".to_owned(), "f:5: plans[0].setup: unknown key; allowed here: `id`"),
            ("yearly", "price = \"1\"".to_owned(), "f:3: plans[0].mode: \"yearly\": it is one of \"daily\", \"term\""),
            ("daily", "price = \"1\"\noptions = { a = 1 }".to_owned(), "plans[0].options.a: the integer 1: a price is"),
            ("daily", "price = \"1\"\noptions = [\"a\"]".to_owned(), "a list: options are a table of prices"),
            ("daily", priced("\"a b\" = { unit_price = \"1\" }"), "components.\"a b\": the key is a name"),
            ("daily", priced("a = { included = \"1\" }"), "plans[0].components.a: a component has either"),
            (
                "daily",
                priced("a = { unit_price = \"1\", tiers = [{ unit_price = \"1\" }] }"),
                "either a `unit_price` or",
            ),
            ("daily", priced("a = { unit_price = \"1\", metered = true }"), "this one is daily"),
            ("term", priced("a = { unit_price = \"1\", metered = true }"), "this one is term"),
            ("hourly", priced("a = { unit_price = \"1\", metered = true, shrink_erases = true }"), "is not both"),
            (
                "hourly",
                priced("a = { unit_price = \"1\", included = \"1234567\" }"),
                "a.included: \"1234567\": a quantity",
            ),
            ("hourly", priced("a = { unit_price = \"1\", metered = 1 }"), "true or false"),
            ("daily", priced("a = { tiers = [] }"), "a.tiers: there is at least one tier"),
            (
                "daily",
                priced("a = { tiers = [{ up_to = \"1\", unit_price = \"1\" }] }"),
                "tiers[0].up_to: the last tier",
            ),
            (
                "daily",
                priced("a = { tiers = [{ unit_price = \"1\" }, { unit_price = \"2\" }] }"),
                "tiers[0]: the key `up_to` is missing",
            ),
            (
                "daily",
                priced("a = { tiers = [{ up_to = \"0\", unit_price = \"1\" }, { unit_price = \"2\" }] }"),
                "tiers[0].up_to: \"0\": the tiers' ends rise",
            ),
            (
                "daily",
                priced(
                    "a = { tiers = [{ up_to = \"2\", unit_price = \"1\" }, { up_to = \"2\", unit_price = \"1\" }, \
                     { unit_price = \"2\" }] }",
                ),
                "tiers[1].up_to: \"2\": the tiers' ends rise",
            ),
        ] {
            let problems = problems_of(mode, &plan);
            assert_eq!(problems.len(), 1, "{plan}: {problems:#?}");
            assert!(problems.iter().all(|problem| problem.contains(expected)), "{problems:#?}\nnot: {expected}");
        }
        assert!(problems_of("term", "price = \"1\"\nterm_months = 120").is_empty());
    }

    #[test]
    fn a_plan_stands_in_a_list_once() {
        let problems = problems_of("daily", "price = \"1\"\n[[plans]]\nid = \"p\"\nmode = \"hourly\"\nprice = \"1\"");
        assert_eq!(problems, ["f:5: plans[1]: plan `p` stands in this list already"]);
    }

    #[test]
    fn the_example_lists_are_read_and_fit_beside_each_other() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/prices");
        let paths: Vec<PathBuf> =
            std::fs::read_dir(folder).expect("the examples").map(|file| file.expect("a file").path()).collect();
        let files = read_price_lists(&paths).map_err(|problems| problems.to_string());
        let files = files.expect("good lists");
        let ids: Vec<&String> = files.iter().flat_map(|file| file.plans.keys()).collect();
        let distinct: std::collections::BTreeSet<&&String> = ids.iter().collect();
        assert_eq!((files.len(), distinct.len()), (3, ids.len()));
        let modes: std::collections::BTreeSet<Mode> =
            files.iter().flat_map(|file| file.plans.values()).map(|plan| plan.mode).collect();
        assert_eq!(modes.len(), Mode::ALL.len());
    }

    #[test]
    fn files_are_laid_over_each_other_in_the_order_of_their_effect() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let newer = write(
            "newer.toml",
            "effective_at = \"2026-02-01T00:00:00Z\"\n[[plans]]\nid = \"a\"\nmode = \"daily\"\nprice = \"2\"\n",
        );
        let older = write("older.json", r#"{"plans": [{"id": "a", "mode": "daily", "price": "1"}]}"#);
        let files = read_price_lists(&[newer.clone(), older.clone()]).expect("they fit");
        assert_eq!(files.iter().map(|file| &file.path).collect::<Vec<_>>(), [&older, &newer]);
        assert_eq!(files.first().map(PriceListFile::since), Some(Timestamp::BEGINNING));

        let other = write(
            "other.toml",
            "[[plans]]\nid = \"b\"\nmode = \"daily\"\nprice = \"2\"\n\n\
            [[plans]]\nid = \"a\"\nmode = \"hourly\"\nprice = \"2\"\n",
        );
        let missing = folder.path().join("missing.toml");
        let problems = read_price_lists(&[newer, older, other, missing]).expect_err("they don't fit").to_string();
        for expected in [
            "missing.toml: can't be read: ",
            "other.toml:6: plans[1]: plan `a` stands in ",
            "other.toml:6: plans[1]: plan `a`: keeps its mode `daily`, this list says `hourly`",
            "3 problems",
        ] {
            assert!(problems.contains(expected), "{problems}\nnot: {expected}");
        }
    }
}
