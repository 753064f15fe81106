//! TOML and JSON documents as flat keys: `[probe]` with `interval` and `{"probe":{"interval":…}}` both say
//! `probe.interval`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::de::{DeTable, DeValue};

use crate::error::At;
use crate::parse::syntax;
use crate::value::{Reason, Value};

/// How deep tables may lie in each other; the deepest key there is has two levels.
const DEEPEST: usize = 8;

/// What a document says: `Ok` a key with its value, `Err` what is wrong there; each with its place.
#[derive(Default)]
pub(crate) struct Said {
    /// Keys with values, in the order of the document.
    pub(crate) keys: Vec<(At, String, Value)>,
    /// ConfigErrors; the key is empty where the syntax is broken.
    pub(crate) errors: Vec<(At, String, Reason)>,
}

/// Reads TOML.
pub(crate) fn toml(text: &str) -> Said {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut said = Said::default();
    if errors.is_empty() {
        let nodes = toml_table(table.get_ref(), &lines, 0);
        said.flatten("", nodes);
        said.keys.sort_by_key(|(at, ..)| match at {
            At::Line(line, column) => (*line, *column),
            _ => (0, 0),
        });
    }
    for error in errors {
        // The message is one of the parser's own sentences; only its Display would quote the document.
        let at = error.span().map_or(At::Within, |span| lines.at(span.start));
        let mend = error.span().and_then(|span| syntax::of_toml(lines.around(span.start)));
        let reason = mend.map_or_else(|| error.message().to_owned(), str::to_owned);
        said.errors.push((at, String::new(), format!("not TOML: {reason}").into()));
    }
    said
}

/// Reads a JSON object.
pub(crate) fn json(text: &str) -> Said {
    let mut said = Said::default();
    match serde_json::from_str::<Node>(text) {
        Ok(Node::Table(members)) => said.flatten("", members),
        Ok(_) => said.errors.push((At::Within, String::new(), "not a JSON object".into())),
        Err(error) => {
            let lines = Lines::of(text);
            let (line, column) = (error.line(), error.column().max(1));
            let offset = lines.starts.get(line.saturating_sub(1)).map_or(text.len(), |start| start + column - 1);
            let what = match error.classify() {
                serde_json::error::Category::Eof => "it ends too early",
                _ => syntax::of_json(text, offset).unwrap_or("a syntax error"),
            };
            said.errors.push((At::Line(line, column), String::new(), format!("not JSON: {what}").into()));
        }
    }
    said
}

type Member = (At, String, Node);

/// A value of either language.
enum Node {
    Text(String),
    List(Vec<Node>),
    Table(Vec<Member>),
    Null,
}

impl Said {
    fn flatten(&mut self, path: &str, members: Vec<Member>) {
        let depth = path.split('.').count();
        for (at, name, node) in members {
            let key = if path.is_empty() { name } else { format!("{path}.{name}") };
            match node {
                Node::Table(_) if depth > DEEPEST => self.errors.push((at, key, "lies too deep".into())),
                Node::Table(members) if members.is_empty() => {
                    // An empty table of a known name says nothing, and is no error.
                    if !crate::keys::KEYS.iter().any(|known| known.name.starts_with(&format!("{key}."))) {
                        self.errors.push((at, key, "is an empty table".into()));
                    }
                }
                Node::Table(members) => self.flatten(&key, members),
                Node::Text(text) => self.keys.push((at, key, Value::Text(text))),
                Node::Null => self.errors.push((at, key, "is null: leave the key out".into())),
                Node::List(nodes) => {
                    let texts =
                        nodes.into_iter().map(|node| if let Node::Text(text) = node { Some(text) } else { None });
                    match texts.collect::<Option<Vec<_>>>() {
                        Some(texts) => self.keys.push((at, key, Value::List(texts))),
                        None => {
                            let mut reason = "is a list of something else than plain values".to_owned();
                            if let Some(example) = crate::keys::key_docs::example(&key) {
                                reason.push_str(&format!(": write each entry as one text, as in `{example}`"));
                            }
                            self.errors.push((at, key, reason.into()));
                        }
                    }
                }
            }
        }
    }
}

fn toml_table(table: &DeTable<'_>, lines: &Lines<'_>, depth: usize) -> Vec<Member> {
    let member = |(key, value): (&toml::Spanned<toml::de::DeString<'_>>, &toml::Spanned<DeValue<'_>>)| {
        (lines.at(key.span().start), key.get_ref().to_string(), toml_node(value.get_ref(), lines, depth))
    };
    table.iter().map(member).collect()
}

fn toml_node(value: &DeValue<'_>, lines: &Lines<'_>, depth: usize) -> Node {
    match value {
        DeValue::String(text) => Node::Text(text.to_string()),
        DeValue::Integer(number) => Node::Text(number.to_string()),
        DeValue::Float(number) => Node::Text(number.to_string()),
        DeValue::Boolean(switch) => Node::Text(switch.to_string()),
        DeValue::Datetime(time) => Node::Text(time.to_string()),
        // Deeper than any key lies: told as such by the caller, so what is in there does not matter.
        DeValue::Array(_) | DeValue::Table(_) if depth > 2 * DEEPEST => Node::Null,
        DeValue::Array(elements) => {
            Node::List(elements.iter().map(|element| toml_node(element.get_ref(), lines, depth + 1)).collect())
        }
        DeValue::Table(table) => Node::Table(toml_table(table, lines, depth + 1)),
    }
}

/// serde_json bounds the depth to 128 by itself. A key that is given twice is kept twice, so that it can be told.
impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Node;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Text(value.to_string()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Text(value.to_string()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Text(value.to_string()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Text(value.to_string()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Text(value.to_owned()))
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Node, A::Error> {
                let mut nodes = Vec::new();
                while let Some(node) = elements.next_element()? {
                    nodes.push(node);
                }
                Ok(Node::List(nodes))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
                let mut nodes = Vec::new();
                while let Some((key, node)) = members.next_entry()? {
                    nodes.push((At::Within, key, node));
                }
                Ok(Node::Table(nodes))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Where each line of a text begins.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(ends).collect() }
    }

    /// The line that this byte is in.
    fn around(&self, offset: usize) -> &'a str {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default()
    }

    fn at(&self, offset: usize) -> At {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = self.text.get(start..offset).map_or(0, |text| text.chars().count());
        At::Line(line, before + 1)
    }
}
