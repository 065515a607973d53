//! Walks a document's tree and notes all that is wrong on the way.
//!
//! What reads something gives `None` when it noted a problem, so a caller reads all of its keys first
//! and puts them together with `?` afterwards.

use std::cell::RefCell;

use super::document::{Member, Node, Shape};
use super::problem::{Place, Problem};

/// Longest text that a message repeats.
const SHOWN: usize = 60;

/// The problems of one file so far.
pub struct Report {
    file: String,
    problems: RefCell<Vec<Problem>>,
}

impl Report {
    pub fn new(file: String) -> Self {
        Self { file, problems: RefCell::default() }
    }

    pub fn note(&self, place: Place, message: String) {
        self.problems.borrow_mut().push(Problem { file: self.file.clone(), place, message });
    }

    /// Those of the document first, then those of each timeline entry, by lines where they are known.
    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| (problem.place.entry, problem.place.line));
        problems
    }
}

/// A node, with the way to it.
#[derive(Clone)]
pub struct Value<'a> {
    node: &'a Node,
    key: String,
    entry: Option<usize>,
    report: &'a Report,
}

impl<'a> Value<'a> {
    pub fn document(node: &'a Node, report: &'a Report) -> Self {
        Self { node, key: String::new(), entry: None, report }
    }

    pub fn place(&self) -> Place {
        Place { line: self.node.line, column: None, entry: self.entry, key: self.key.clone() }
    }

    /// Notes a problem here.
    pub fn note(&self, message: impl Into<String>) {
        self.report.note(self.place(), message.into());
    }

    /// Notes a problem here, and so reads nothing.
    pub fn fail<T>(&self, message: impl Into<String>) -> Option<T> {
        self.note(message);
        None
    }

    /// Notes that what stands here isn't what it has to be.
    pub fn refuse<T>(&self, what_it_must_be: &str) -> Option<T> {
        self.fail(format!("{}: {what_it_must_be}", self.shown()))
    }

    /// What stands here, as a message shows it.
    fn shown(&self) -> String {
        match &self.node.shape {
            Shape::Table(_) => "a table".to_owned(),
            Shape::List(_) => "a list".to_owned(),
            Shape::String(text) => shown(text),
            Shape::Integer(integer) => format!("the integer {integer}"),
            Shape::Bool(flag) => format!("the boolean {flag}"),
            Shape::Other(what) => (*what).to_owned(),
        }
    }

    pub fn as_str(&self) -> Option<&'a str> {
        match &self.node.shape {
            Shape::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_integer(&self) -> Option<i64> {
        match self.node.shape {
            Shape::Integer(integer) => Some(integer),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self.node.shape {
            Shape::Bool(flag) => Some(flag),
            _ => None,
        }
    }

    /// A list's items.
    pub fn list(&self, what: &str) -> Option<Vec<Self>> {
        let Shape::List(items) = &self.node.shape else { return self.refuse(what) };
        Some(items.iter().enumerate().map(|(index, node)| self.item(index, node)).collect())
    }

    /// The item of a list of tables whose `key` is this text; notes nothing.
    pub fn item_with(&self, key: &str, text: &str) -> Option<Self> {
        let Shape::List(items) = &self.node.shape else { return None };
        let has_it = |node: &Node| match &node.shape {
            Shape::Table(members) => {
                members.iter().any(|member| member.key == key && member.node.shape == Shape::String(text.to_owned()))
            }
            _ => false,
        };
        let (index, node) = items.iter().enumerate().find(|(_, node)| has_it(node))?;
        Some(self.item(index, node))
    }

    fn item(&self, index: usize, node: &'a Node) -> Self {
        Self { node, key: format!("{}[{index}]", self.key), ..self.clone() }
    }

    /// The entries of a timeline: each is numbered from 1 and begins the path of its keys.
    pub fn entries(&self, what: &str) -> Option<Vec<Self>> {
        let items = self.list(what)?.into_iter().enumerate();
        Some(items.map(|(index, item)| Self { key: String::new(), entry: Some(index + 1), ..item }).collect())
    }

    /// A table, whichever keys it has.
    pub fn table(&self, what: &str) -> Option<Table<'a>> {
        let Shape::Table(members) = &self.node.shape else { return self.refuse(what) };
        let table = Table { value: self.clone(), members };
        for (index, member) in members.iter().enumerate() {
            if members.iter().take(index).any(|earlier| earlier.key == member.key) {
                table.note_at(member, "this key is given twice");
            }
        }
        Some(table)
    }
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or(text)),
        None => format!("{text:?}"),
    }
}

pub struct Table<'a> {
    value: Value<'a>,
    members: &'a [Member],
}

impl<'a> Table<'a> {
    /// Notes every key but the allowed ones.
    pub fn only(&self, allowed: &[&str]) {
        for member in self.members.iter().filter(|member| !allowed.contains(&member.key.as_str())) {
            let allowed = allowed.join("`, `");
            self.note_at(member, &format!("unknown key; allowed here: `{allowed}`"));
        }
    }

    fn note_at(&self, member: &Member, message: &str) {
        let place = Place { line: member.line, ..self.at(member).place() };
        self.value.report.note(place, message.to_owned());
    }

    fn at(&self, member: &'a Member) -> Value<'a> {
        Value { node: &member.node, key: joined(&self.value.key, &member.key), ..self.value.clone() }
    }

    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.members.iter().find(|member| member.key == key).map(|member| self.at(member))
    }

    /// The text of a key, if it has one; notes nothing.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key)?.as_str()
    }

    /// Its keys and what they name.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        self.members.iter().map(|member| (member.key.as_str(), self.at(member)))
    }

    /// A key that must be there.
    pub fn need<T>(&self, key: &str, read: impl FnOnce(&Value<'a>) -> Option<T>) -> Option<T> {
        match self.get(key) {
            Some(value) => read(&value),
            None => self.value.fail(format!("the key `{key}` is missing")),
        }
    }

    /// A key that may be left out, then `default` holds.
    pub fn or<T>(&self, key: &str, default: T, read: impl FnOnce(&Value<'a>) -> Option<T>) -> Option<T> {
        self.get(key).map_or(Some(default), |value| read(&value))
    }

    /// A key that may be left out.
    pub fn maybe<T>(&self, key: &str, read: impl FnOnce(&Value<'a>) -> Option<T>) -> Option<Option<T>> {
        self.or(key, None, |value| read(value).map(Some))
    }

    /// The table itself, for a problem of it as a whole.
    pub fn value(&self) -> &Value<'a> {
        &self.value
    }
}

/// `plans[0]` and `price` are `plans[0].price`; a key that is not plain is quoted.
fn joined(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let key = if plain { key.to_owned() } else { shown(key) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::super::document::{Format, parse};
    use super::*;

    #[test]
    fn every_problem_of_a_table_is_noted() {
        let node = parse("f", r#"{"a": 1, "odd one": 2, "a": "long"}"#, Format::Json).expect("JSON");
        let report = Report::new("f".to_owned());
        let table = Value::document(&node, &report).table("a document is a table").expect("a table");
        table.only(&["a", "b", "c"]);
        assert_eq!(table.need("b", Value::as_integer), None);
        assert_eq!(table.or("c", 7, Value::as_integer), Some(7));
        assert_eq!(table.maybe("c", Value::as_integer), Some(None));
        let read: Option<String> = table.need("a", |value| value.refuse("it is text"));
        assert_eq!(read, None);
        let messages: Vec<String> = report.into_problems().iter().map(ToString::to_string).collect();
        assert_eq!(
            messages,
            [
                "f: a: this key is given twice",
                "f: \"odd one\": unknown key; allowed here: `a`, `b`, `c`",
                "f: the key `b` is missing",
                "f: a: the integer 1: it is text",
            ]
        );
    }
}
