//! Scenario files: what happened, second by second, for the simulator to play.

use std::path::Path;

use rules::{Policy, PriceList, Timestamp};

use super::chronicle::Chronicle;
use super::document::{self, Format, Node};
use super::problem::Problems;
use super::reader::{Report, Value};
use super::verbs::{self, Verb};
use super::{policy, prices, words};

const KEYS: &[&str] = &["config", "plans", "timeline", "until"];

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scenario {
    pub policy: Policy,
    /// In force from the beginning.
    pub plans: PriceList,
    /// In the order of time; the first is entry 1.
    pub timeline: Vec<Entry>,
    pub until: Timestamp,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub at: Timestamp,
    pub verb: Verb,
}

impl Scenario {
    pub fn read(path: &Path) -> Result<Self, Problems> {
        Self::of(&path.display().to_string(), &document::load(path)?)
    }

    /// Reads a text; `file` is only a name for the problems.
    pub fn parse(file: &str, text: &str, format: Format) -> Result<Self, Problems> {
        Self::of(file, &document::parse(file, text, format)?)
    }

    fn of(file: &str, node: &Node) -> Result<Self, Problems> {
        let report = Report::new(file.to_owned());
        let scenario = scenario(&Value::document(node, &report));
        Problems::checked(report.into_problems(), scenario)
    }
}

fn scenario(document: &Value<'_>) -> Option<Scenario> {
    let table = document.table("a scenario is a table")?;
    table.only(KEYS);
    let policy = table.or("config", Policy::default(), policy::read);
    let plans = table.need("plans", prices::plans);
    let until = table.need("until", words::time);
    let entries = table.need("timeline", |value| value.entries("the timeline is a list of entries"));

    let mut chronicle = Chronicle::new(policy.as_ref().map(|policy| policy.currency), until);
    if let (Some(list), Some(value)) = (&plans, table.get("plans")) {
        chronicle.list(Timestamp::BEGINNING, list, value);
    }
    let timeline: Option<Vec<Option<Entry>>> =
        entries.map(|entries| entries.iter().map(|value| entry(value, &mut chronicle)).collect());
    chronicle.check_lists();

    let timeline = timeline?.into_iter().collect::<Option<Vec<Entry>>>();
    Some(Scenario { policy: policy?, plans: plans?, timeline: timeline?, until: until? })
}

fn entry<'a>(value: &Value<'a>, chronicle: &mut Chronicle<'a>) -> Option<Entry> {
    let table = value.table("an entry is a table");
    let at = table.as_ref().and_then(|table| table.need("at", words::time));
    let verb = table.as_ref().and_then(verbs::read);
    chronicle.next(table.as_ref(), at, verb.as_ref());
    Some(Entry { at: at?, verb: verb? })
}
