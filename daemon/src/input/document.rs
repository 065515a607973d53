//! A document as it was written, TOML or JSON, as one kind of tree.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem, Problems};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Toml,
    Json,
}

impl Format {
    /// By the file's extension; without one that says so, by the text: no TOML begins with a brace.
    pub fn of(file: &Path, text: &str) -> Self {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("toml") => Self::Toml,
            Some("json") => Self::Json,
            _ if text.trim_start().starts_with('{') => Self::Json,
            _ => Self::Toml,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Where it begins; the lines of JSON are not known.
    pub line: Option<usize>,
    pub shape: Shape,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shape {
    /// In the order in which the keys stand. JSON may have a key twice.
    Table(Vec<Member>),
    List(Vec<Node>),
    String(String),
    Integer(i64),
    Bool(bool),
    /// What no key takes, in the words of a message.
    Other(&'static str),
}

impl Node {
    /// Says where all of it stands, of a document that is one line of a file.
    pub fn stands_on(&mut self, line: usize) {
        self.line = Some(line);
        match &mut self.shape {
            Shape::Table(members) => {
                for member in members {
                    member.line = Some(line);
                    member.node.stands_on(line);
                }
            }
            Shape::List(items) => items.iter_mut().for_each(|item| item.stands_on(line)),
            Shape::String(_) | Shape::Integer(_) | Shape::Bool(_) | Shape::Other(_) => {}
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    pub key: String,
    pub line: Option<usize>,
    pub node: Node,
}

/// Reads and parses a file.
pub fn load(path: &Path) -> Result<Node, Problems> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Problems::of_file(file.clone(), format!("can't be read: {error}")))?;
    parse(&file, &text, Format::of(path, &text))
}

/// What the syntax forbids is told by line and column; `file` is only a name for the problems.
pub fn parse(file: &str, text: &str, format: Format) -> Result<Node, Problems> {
    match format {
        Format::Toml => parse_toml(file, text),
        Format::Json => parse_json(file, text),
    }
}

const BEYOND_64_BITS: Shape = Shape::Other("an integer beyond 64 bits");

fn parse_toml(file: &str, text: &str) -> Result<Node, Problems> {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let line = Some(1);
        return Ok(Node { line, shape: toml_table(table.into_inner(), &lines) });
    }
    let problem = |error: toml::de::Error| {
        let start = error.span().map(|span| span.start);
        let place = Place {
            line: start.map(|start| lines.line(start)),
            column: start.map(|start| lines.column(text, start)),
            ..Place::default()
        };
        Problem { file: file.to_owned(), place, message: format!("not TOML: {}", error.message()) }
    };
    let mut problems: Vec<Problem> = errors.into_iter().map(problem).collect();
    problems.sort_by_key(|problem| problem.place.line);
    // What goes wrong on a line after its first error mostly comes from that one.
    problems.dedup_by_key(|problem| problem.place.line);
    Err(problems.into())
}

fn toml_table(table: DeTable<'_>, lines: &Lines) -> Shape {
    let mut members: Vec<(usize, Member)> = table
        .into_iter()
        .map(|(key, value)| {
            let start = key.span().start;
            let line = Some(lines.line(start));
            (start, Member { key: key.into_inner().into_owned(), line, node: toml_node(value, lines) })
        })
        .collect();
    members.sort_by_key(|(start, _)| *start);
    Shape::Table(members.into_iter().map(|(_, member)| member).collect())
}

fn toml_node(value: Spanned<DeValue<'_>>, lines: &Lines) -> Node {
    let Range { start, .. } = value.span();
    let shape = match value.into_inner() {
        DeValue::String(text) => Shape::String(text.into_owned()),
        DeValue::Integer(integer) => {
            i64::from_str_radix(integer.as_str(), integer.radix()).map_or(BEYOND_64_BITS, Shape::Integer)
        }
        DeValue::Float(_) => Shape::Other("a float"),
        DeValue::Boolean(flag) => Shape::Bool(flag),
        DeValue::Datetime(_) => Shape::Other("a date or time without quotes"),
        DeValue::Array(items) => Shape::List(items.into_iter().map(|item| toml_node(item, lines)).collect()),
        DeValue::Table(table) => toml_table(table, lines),
    };
    Node { line: Some(lines.line(start)), shape }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let after_feeds = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(feed, _)| feed + 1);
        Self(std::iter::once(0).chain(after_feeds).collect())
    }

    fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }

    fn column(&self, text: &str, offset: usize) -> usize {
        let start = self.0.get(self.line(offset) - 1).copied().unwrap_or_default();
        text.get(start..offset).map_or(1, |before| before.chars().count() + 1)
    }
}

fn parse_json(file: &str, text: &str) -> Result<Node, Problems> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let node = Node::deserialize(&mut deserializer).and_then(|node| deserializer.end().map(|()| node));
    node.map_err(|error| {
        let place = Place { line: Some(error.line()), column: Some(error.column()), ..Place::default() };
        // The error's own text ends with its place.
        let text = error.to_string();
        let message = text.split(" at line ").next().unwrap_or(&text);
        vec![Problem { file: file.to_owned(), place, message: format!("not JSON: {message}") }].into()
    })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor).map(|shape| Self { line: None, shape })
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Shape, E> {
        Ok(Shape::Bool(flag))
    }

    fn visit_i64<E: de::Error>(self, integer: i64) -> Result<Shape, E> {
        Ok(Shape::Integer(integer))
    }

    fn visit_u64<E: de::Error>(self, integer: u64) -> Result<Shape, E> {
        Ok(i64::try_from(integer).map_or(BEYOND_64_BITS, Shape::Integer))
    }

    #[expect(clippy::disallowed_types, reason = "a float is recognised here to be refused; its value is dropped")]
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Other("a float"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Shape, E> {
        Ok(Shape::String(text.to_owned()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Shape, E> {
        Ok(Shape::Other("null"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Shape::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Shape, A::Error> {
        let mut table = Vec::new();
        while let Some((key, node)) = members.next_entry()? {
            table.push(Member { key, line: None, node });
        }
        Ok(Shape::Table(table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_problem(text: &str, format: Format) -> String {
        let problems = parse("f", text, format).expect_err("bad syntax");
        problems.as_slice().first().expect("at least one").to_string()
    }

    #[test]
    fn toml_keeps_the_order_of_keys_and_their_lines() {
        let text = "z = 1\n\n[[list]]\nb = \"x\"\na = [1,\n  2]\n\n[[list]]\n\n[table.inner]\nk = true\n";
        let Shape::Table(members) = parse("f", text, Format::Toml).expect("TOML").shape else { panic!("a table") };
        let lines: Vec<(&str, Option<usize>)> =
            members.iter().map(|member| (member.key.as_str(), member.node.line)).collect();
        assert_eq!(lines, [("z", Some(1)), ("list", Some(3)), ("table", Some(10))]);
        let Shape::List(items) = &members[1].node.shape else { panic!("a list") };
        assert_eq!(items.iter().map(|item| item.line).collect::<Vec<_>>(), [Some(3), Some(8)]);
        let Shape::Table(first) = &items[0].shape else { panic!("a table") };
        let keys: Vec<(&str, Option<usize>)> = first.iter().map(|member| (member.key.as_str(), member.line)).collect();
        assert_eq!(keys, [("b", Some(4)), ("a", Some(5))]);
        let Shape::List(numbers) = &first[1].node.shape else { panic!("a list") };
        assert_eq!(numbers[1].line, Some(6));
    }

    #[test]
    fn json_keeps_the_order_and_doubles_of_keys() {
        let text = r#"{"b": 1, "a": [null, 1.5, "x", false], "b": 18446744073709551615}"#;
        let Shape::Table(members) = parse("f", text, Format::Json).expect("JSON").shape else { panic!("a table") };
        let keys: Vec<&str> = members.iter().map(|member| member.key.as_str()).collect();
        assert_eq!(keys, ["b", "a", "b"]);
        assert_eq!(members[2].node.shape, BEYOND_64_BITS);
        let Shape::List(items) = &members[1].node.shape else { panic!("a list") };
        let shapes: Vec<Shape> = items.iter().map(|item| item.shape.clone()).collect();
        let expected =
            [Shape::Other("null"), Shape::Other("a float"), Shape::String("x".to_owned()), Shape::Bool(false)];
        assert_eq!(shapes, expected);
    }

    #[test]
    fn bad_syntax_has_a_line_and_a_column() {
        assert_eq!(first_problem("{\"a\": 1,\n  b}", Format::Json), "f:2:3: not JSON: key must be a string");
        assert_eq!(first_problem("{} x", Format::Json), "f:1:4: not JSON: trailing characters");
        assert!(first_problem("a = 1\nü = 2\nb = = 3", Format::Toml).starts_with("f:2:1: not TOML: "));
        assert!(first_problem("a = 1\nb = = 3", Format::Toml).starts_with("f:2:5: not TOML: "));
        assert!(first_problem("a = 1\na = 2", Format::Toml).contains("duplicate key"));
    }

    #[test]
    fn the_format_is_the_extensions_or_the_texts() {
        for (file, text, format) in [
            ("a.toml", "{", Format::Toml),
            ("a.json", "", Format::Json),
            ("a", " {}", Format::Json),
            ("a", "a = 1", Format::Toml),
        ] {
            assert_eq!(Format::of(Path::new(file), text), format, "{file}");
        }
    }
}
