//! How to fix broken TOML and JSON. The parsers' own messages are about grammar.

use crate::value::text::TYPOGRAPHIC;

/// How to fix the line at which the TOML parser stopped; none if unknown.
pub(crate) fn of_toml(line: &str) -> Option<&'static str> {
    let line = line.trim();
    if line.contains(TYPOGRAPHIC) {
        return Some("typographic quotes: write plain ones");
    }
    let (key, value) = line.split_once(['=', ':'])?;
    if !key.trim().chars().all(|char| char.is_ascii_alphanumeric() || "_.-\"' ".contains(char)) || line.starts_with('[')
    {
        return None;
    }
    if line.get(key.len()..).is_some_and(|sign| sign.starts_with(':')) {
        return Some("a key has `=` behind it, not `:`");
    }
    let begins_bare = value.trim().starts_with(|char: char| char.is_alphabetic() || "/.$".contains(char));
    let begins_as_number = value.trim().starts_with(|char: char| char.is_ascii_digit());
    // `10m`, `10.0.0.1`, `1a2b/app`
    (begins_bare || begins_as_number).then_some("a text needs quotes: `key = \"value\"`")
}

/// How to fix the byte at which the JSON parser stopped.
pub(crate) fn of_json(text: &str, offset: usize) -> Option<&'static str> {
    // The parser points at a character, or after the word that it read.
    let offset = (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at))?;
    let (before, rest) = text.split_at_checked(offset)?;
    let last = before.trim_end().chars().next_back()?;
    let char = rest.chars().next()?;
    Some(match (last, char) {
        _ if TYPOGRAPHIC.contains(&char) || TYPOGRAPHIC.contains(&last) => "typographic quotes: write plain ones, `\"`",
        (',', '}' | ']') => "a comma before the end: remove it",
        ('"' | '}' | ']' | '0'..='9' | 'e' | 'l', '"') => "a comma is missing before this",
        (_, '\'') => "keys and texts need double quotes, `\"`",
        ('{' | ',', char) if char.is_alphabetic() || char == '_' => "keys and texts need double quotes, `\"`",
        (':' | '[', char) if char.is_alphabetic() || char == '/' => "keys and texts need double quotes, `\"`",
        ('"', '=') => "a key has `:` behind it, not `=`",
        (_, '/' | '#') => "JSON has no comments: remove this one",
        ('}', _) => "something stands behind the object: it must be the whole document",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::parse::document::{self, DefectKind, Document};

    fn syntax_error(document: Document) -> Option<String> {
        document.defects.into_iter().find_map(|defect| match defect.kind {
            DefectKind::Syntax(reason) => Some(reason.to_string()),
            _ => None,
        })
    }

    #[test]
    fn broken_documents_get_a_fix_and_are_never_quoted() {
        let toml = |text: &str| syntax_error(document::toml(text));
        for (text, expected) in [
            ("image = hunter2:1\n", "a text needs quotes: `key = \"value\"`"),
            ("timeout = 10m\n", "a text needs quotes: `key = \"value\"`"),
            ("image: 'x:1'\n", "a key has `=` behind it, not `:`"),
            ("image = “x:1”\n", "typographic quotes: write plain ones"),
        ] {
            assert_eq!(toml(text), Some(format!("not TOML: {expected}")), "{text}");
        }
        let json = |text: &str| syntax_error(document::json(text));
        for (text, expected) in [
            ("{\"a\": \"b\",}", "a comma before the end: remove it"),
            ("{\"a\": [\"b\", ]}", "a comma before the end: remove it"),
            ("{\"a\": \"b\" \"c\": 1}", "a comma is missing before this"),
            ("{'a': 'b'}", "keys and texts need double quotes, `\"`"),
            ("{\"a\": 'b'}", "keys and texts need double quotes, `\"`"),
            ("{a: 1}", "keys and texts need double quotes, `\"`"),
            ("{\"a\": b}", "keys and texts need double quotes, `\"`"),
            ("{“a”: 1}", "typographic quotes: write plain ones, `\"`"),
            ("{\"a\" = 1}", "a key has `:` behind it, not `=`"),
            ("{\"a\": 1} // b", "JSON has no comments: remove this one"),
            ("{\"a\": 1} x", "something stands behind the object: it must be the whole document"),
            ("{\"a\": \u{1}}", "a syntax error"),
        ] {
            assert_eq!(json(text), Some(format!("not JSON: {expected}")), "{text}");
        }
    }
}
