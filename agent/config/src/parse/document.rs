//! TOML and JSON documents as flat keys: `[probe]` with `interval` and `{"probe":{"interval":…}}` are both
//! `probe.interval`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::de::{DeTable, DeValue};

use crate::error::Position;
use crate::parse::syntax;
use crate::value::{Reason, Value};

/// The deepest nesting of tables; the deepest key has two levels.
const DEEPEST: usize = 8;

/// The content of a document, with positions.
#[derive(Default)]
pub(crate) struct Document {
    /// Keys with values, in the order of the document.
    pub(crate) keys: Vec<(Position, String, Value)>,
    /// Everything that is not a key with a value.
    pub(crate) defects: Vec<Defect>,
}

/// Something in a document that is not a key with a value.
pub(crate) struct Defect {
    /// Where.
    pub(crate) at: Position,
    /// The form.
    pub(crate) kind: DefectKind,
}

/// Why something in a document is not a key with a value.
pub(crate) enum DefectKind {
    /// The document cannot be parsed here; the sentence says why.
    Syntax(Reason),
    /// The key is nested deeper than any known key.
    TooDeep(String),
    /// The key is a table without keys.
    EmptyTable(String),
    /// The value is JSON's null.
    Null(String),
    /// The value is a list with lists or tables in it.
    NestedList(String),
}

/// Parses TOML.
pub(crate) fn toml(text: &str) -> Document {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut document = Document::default();
    if errors.is_empty() {
        let nodes = toml_table(table.get_ref(), &lines, 0);
        document.flatten("", nodes);
        document.keys.sort_by_key(|(at, ..)| match at {
            Position::Line(line, column) => (*line, *column),
            _ => (0, 0),
        });
    }
    for error in errors {
        // The message is a sentence of the parser; only its Display quotes the document.
        let at = error.span().map_or(Position::Within, |span| lines.at(span.start));
        let fix = error.span().and_then(|span| syntax::of_toml(lines.around(span.start)));
        let reason = fix.map_or_else(|| error.message().to_owned(), str::to_owned);
        document.defect(at, DefectKind::Syntax(format!("not TOML: {reason}").into()));
    }
    document
}

/// Parses a JSON object.
pub(crate) fn json(text: &str) -> Document {
    let mut document = Document::default();
    match serde_json::from_str::<Node>(text) {
        Ok(Node::Table(members)) => document.flatten("", members),
        Ok(_) => document.defect(Position::Within, DefectKind::Syntax("not a JSON object".into())),
        Err(error) => {
            let lines = Lines::of(text);
            let (line, column) = (error.line(), error.column().max(1));
            let offset = lines.starts.get(line.saturating_sub(1)).map_or(text.len(), |start| start + column - 1);
            let what = match error.classify() {
                serde_json::error::Category::Eof => "it ends too early",
                _ => syntax::of_json(text, offset).unwrap_or("a syntax error"),
            };
            document.defect(Position::Line(line, column), DefectKind::Syntax(format!("not JSON: {what}").into()));
        }
    }
    document
}

type Member = (Position, String, Node);

/// A value of TOML or JSON.
enum Node {
    Text(String),
    List(Vec<Node>),
    Table(Vec<Member>),
    Null,
}

impl Document {
    fn flatten(&mut self, path: &str, members: Vec<Member>) {
        let depth = path.split('.').count();
        for (at, name, node) in members {
            let key = if path.is_empty() { name } else { format!("{path}.{name}") };
            match node {
                Node::Table(_) if depth > DEEPEST => self.defect(at, DefectKind::TooDeep(key)),
                Node::Table(members) if members.is_empty() => self.defect(at, DefectKind::EmptyTable(key)),
                Node::Table(members) => self.flatten(&key, members),
                Node::Text(text) => self.keys.push((at, key, Value::Text(text))),
                Node::Null => self.defect(at, DefectKind::Null(key)),
                Node::List(nodes) => {
                    let texts =
                        nodes.into_iter().map(|node| if let Node::Text(text) = node { Some(text) } else { None });
                    match texts.collect::<Option<Vec<_>>>() {
                        Some(texts) => self.keys.push((at, key, Value::List(texts))),
                        None => self.defect(at, DefectKind::NestedList(key)),
                    }
                }
            }
        }
    }

    fn defect(&mut self, at: Position, kind: DefectKind) {
        self.defects.push(Defect { at, kind });
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
        DeValue::Boolean(value) => Node::Text(value.to_string()),
        DeValue::Datetime(time) => Node::Text(time.to_string()),
        // Deeper than any key: the caller reports it, so the content does not matter.
        DeValue::Array(_) | DeValue::Table(_) if depth > 2 * DEEPEST => Node::Null,
        DeValue::Array(elements) => {
            Node::List(elements.iter().map(|element| toml_node(element.get_ref(), lines, depth + 1)).collect())
        }
        DeValue::Table(table) => Node::Table(toml_table(table, lines, depth + 1)),
    }
}

/// serde_json limits the depth to 128. A key that is given twice is kept twice, so that it is reported.
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
                    nodes.push((Position::Within, key, node));
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

    /// The line of this byte.
    fn around(&self, offset: usize) -> &'a str {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default()
    }

    fn at(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = self.text.get(start..offset).map_or(0, |text| text.chars().count());
        Position::Line(line, before + 1)
    }
}

#[cfg(test)]
mod tests {
    use crate::Layers;

    fn errors(user_data: &str) -> String {
        let mut layers = Layers::new();
        layers.add_user_data(user_data.as_bytes());
        layers.resolve().map_or_else(|errors| errors.to_string(), |_| "none".into())
    }

    #[test]
    fn what_is_not_a_key_with_a_value_is_an_error_of_its_key() {
        let deep = format!("{}1{}", "{\"a\":".repeat(12), "}".repeat(12));
        for (members, expected) in [
            (
                "\"port\": [[80]]",
                "`port`: is a list with lists or tables in it: write each entry as one text, as in `port=8080`",
            ),
            ("\"labels\": {}", "`labels`: is an empty table"),
            ("\"port\": null", "`port`: is null: remove the key"),
            ("\"prot\": null", "`prot`: unknown key, did you mean `port`?"),
            ("\"probe\": {}", "none"),
            (&format!("\"env\": {{\"A\": {deep}}}"), "is nested too deeply"),
        ] {
            let reported = errors(&format!("{{\"image\": \"x:1\", {members}}}"));
            assert!(reported.contains(expected) && reported.lines().count() == 1, "{members}: {reported}");
        }
    }
}
