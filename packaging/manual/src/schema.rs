//! The tables of docs/socket.md, from the JSON Schemas in docs/schema.

use std::fmt::Write as _;

use serde_json::Value;

/// A table for the document itself and for each type in it: its fields, or its words.
fn tables(schema: &Value, without: &[&str]) -> String {
    let mut text = if schema["properties"].is_object() { fields(schema) } else { String::new() };
    let types = schema["$defs"].as_object().into_iter().flatten();
    for (name, shape) in types.filter(|(name, _)| !without.contains(&name.as_str())) {
        let description = shape["description"].as_str().unwrap_or_default();
        let _ = write!(text, "\n**`{name}`**: {}\n\n", cell(description));
        text.push_str(&if shape["properties"].is_object() { fields(shape) } else { words(shape) });
    }
    text
}

fn fields(shape: &Value) -> String {
    let mut text = String::from("| field | type | meaning |\n|---|---|---|\n");
    for (name, field) in shape["properties"].as_object().into_iter().flatten() {
        let meaning = cell(field["description"].as_str().unwrap_or_default());
        let _ = writeln!(text, "| `{name}` | {} | {meaning} |", kind(field));
    }
    text
}

/// The words of an enum, or the types that it may be.
fn words(shape: &Value) -> String {
    let refers = |key: &str| shape[key].as_array().is_some_and(|all| all.iter().any(|one| one["$ref"].is_string()));
    let head = if refers("oneOf") || refers("anyOf") { "one of" } else { "word" };
    let mut text = format!("| {head} | meaning |\n|---|---|\n");
    let all = ["oneOf", "anyOf"].into_iter().filter_map(|key| shape[key].as_array()).flatten();
    for one in all {
        let meaning = cell(one["description"].as_str().unwrap_or_default());
        match (&one["const"], &one["enum"]) {
            (Value::String(word), _) => drop(writeln!(text, "| `{word}` | {meaning} |")),
            (_, Value::Array(words)) => {
                for word in words.iter().filter_map(Value::as_str) {
                    let _ = writeln!(text, "| `{word}` | |");
                }
            }
            _ => drop(writeln!(text, "| {} | {meaning} |", kind(one))),
        }
    }
    for word in shape["enum"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let _ = writeln!(text, "| `{word}` | |");
    }
    text
}

/// The type of a field in a few words.
fn kind(field: &Value) -> String {
    if let Some(name) = field["$ref"].as_str() {
        return format!("`{}`", name.rsplit('/').next().unwrap_or(name));
    }
    if let Some(any) = field["anyOf"].as_array() {
        return any.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    let one = |name: &str| match name {
        "array" => format!("list of {}", kind(&field["items"])),
        "object" => match &field["additionalProperties"] {
            Value::Object(_) => format!("object of {}", kind(&field["additionalProperties"])),
            _ => "object".to_owned(),
        },
        other => other.to_owned(),
    };
    match &field["type"] {
        Value::String(name) => one(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).map(one).collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    }
}

/// A sentence that fits a cell, without the paths of Rust.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|").replace("[`", "`").replace("`]", "`")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;
    use crate::made;

    fn schema(file: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(made::page("schema").join(file)).unwrap()).unwrap()
    }

    #[test]
    fn the_page_has_every_field_of_every_schema() {
        let status = schema("status.json");
        let known: Vec<&str> = status["$defs"].as_object().unwrap().keys().map(String::as_str).collect();
        made::holds("socket.md", "status", &tables(&status, &[]));
        made::holds("socket.md", "events", &tables(&schema("events.json"), &known));
        made::holds("socket.md", "timeline", &tables(&schema("timeline.json"), &known));
        let life = schema("last-life.json");
        made::holds("socket.md", "last life", &fields(&life["$defs"]["Ending"]));
    }

    #[test]
    fn a_type_is_named_as_a_person_would() {
        let field = |text: &str| kind(&serde_json::from_str(text).unwrap());
        assert_eq!(field(r#"{"type":["number","null"]}"#), "number or null");
        assert_eq!(field(r##"{"anyOf":[{"$ref":"#/$defs/PullView"},{"type":"null"}]}"##), "`PullView` or null");
        assert_eq!(field(r##"{"type":"array","items":{"$ref":"#/$defs/StepView"}}"##), "list of `StepView`");
    }
}
