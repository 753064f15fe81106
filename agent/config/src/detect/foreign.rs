//! User-data without a config of berth, which another program reads.

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use strum::{IntoStaticStr, VariantArray};

use crate::keys::Key;

/// What user-data without a config looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Foreign {
    /// Nothing, or only spaces.
    Empty,
    /// It begins with `#!`.
    Script,
    /// One of the forms of cloud-init.
    CloudInit,
    /// A config for Ignition (Fedora CoreOS, Flatcar).
    Ignition,
    /// A JSON object without keys of berth.
    Json,
    /// A MIME multi-part.
    MultiPart,
    /// Some other text.
    Text,
    /// Not text.
    Binary,
}

crate::read_as_word!(Foreign);

/// The first characters of cloud-init's forms (cloud-init: `INCLUSION_TYPES_MAP` in handlers/__init__.py).
const CLOUD_INIT: [&str; 5] = ["#cloud-", "#include", "#part-handler", "## template:", "#upstart-job"];

impl Foreign {
    /// The kind of bytes that are neither MIME nor JSON.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let begins = bytes.trim_ascii_start();
        if begins.is_empty() {
            return Self::Empty;
        }
        if begins.starts_with(b"#!") {
            return Self::Script;
        }
        if CLOUD_INIT.iter().any(|start| begins.starts_with(start.as_bytes())) {
            return Self::CloudInit;
        }
        let is_text = std::str::from_utf8(bytes)
            .is_ok_and(|text| !text.chars().any(|char| char.is_control() && !char.is_whitespace()));
        if is_text { Self::Text } else { Self::Binary }
    }
}

/// The program that a JSON object is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Berth, with or without errors.
    Berth,
    /// Another program, with a config of berth in a string.
    Nested,
    /// Another program.
    Other(Foreign),
}

/// The owner of a text that begins with `{`, by its keys; `holds` decides whether a string in it is a config.
pub(crate) fn json(text: &str, holds: impl Fn(&str) -> bool) -> Owner {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        // A broken object is parsed again, for the position and the message.
        let is_ignition = text.contains("\"ignition\"") && !text.contains("berth") && !text.contains("\"image\"");
        return if is_ignition { Owner::Other(Foreign::Ignition) } else { Owner::Berth };
    };
    let Some(members) = value.as_object() else { return Owner::Berth };
    let nests = |value: &Value| value.as_object().is_some_and(|inner| inner.contains_key("image"));
    if members.is_empty() || members.iter().any(|(key, value)| Key::is_meant(key) || nests(value)) {
        return Owner::Berth;
    }
    if members.contains_key("ignition") {
        return Owner::Other(Foreign::Ignition);
    }
    if texts(&value).any(holds) { Owner::Nested } else { Owner::Other(Foreign::Json) }
}

/// Every string in a value. serde_json limits the depth.
fn texts(value: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    match value {
        Value::String(text) => Box::new(std::iter::once(text.as_str())),
        Value::Array(values) => Box::new(values.iter().flat_map(texts)),
        Value::Object(members) => Box::new(members.values().flat_map(texts)),
        _ => Box::new(std::iter::empty()),
    }
}

/// `a script`
impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty",
            Self::Script => "a script",
            Self::CloudInit => "for cloud-init",
            Self::Ignition => "for Ignition",
            Self::Json => "a JSON object with none of berth's keys",
            Self::MultiPart => "a MIME multi-part without a config",
            Self::Text => "a text without a config",
            Self::Binary => "no text",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_an_object_say_whose_it_is() {
        for (text, expected) in [
            ("{}", Owner::Berth),
            ("{\"port\": 80}", Owner::Berth),
            ("{\"imgae\": \"x:1\"}", Owner::Berth),
            ("{\"probe\": {\"interval\": \"1s\"}}", Owner::Berth),
            ("{\"healthcheck\": \"/h\"}", Owner::Berth),
            ("{\"app\": {\"image\": \"x:1\"}}", Owner::Berth),
            ("{\"image\": ", Owner::Berth),
            ("{{ template }}", Owner::Berth),
            ("{\"ignition\": {\"version\": \"3.3.0\"}}", Owner::Other(Foreign::Ignition)),
            ("{\"ignition\": {\"version\": \"3.3.0\"},}", Owner::Other(Foreign::Ignition)),
            ("{\"ignition\": {}, \"image\": \"x:1\"}", Owner::Berth),
            ("{\"cluster\": \"web\"}", Owner::Other(Foreign::Json)),
            ("{\"containers\": [{\"image\": \"x:1\"}]}", Owner::Other(Foreign::Json)),
            ("{\"data\": [\"config\"]}", Owner::Nested),
        ] {
            assert_eq!(json(text, |text| text == "config"), expected, "{text}");
        }
    }

    #[test]
    fn user_data_of_others_is_known_by_its_beginning() {
        for (bytes, expected) in [
            (&b" \n"[..], Foreign::Empty),
            (b"#!/bin/sh\n", Foreign::Script),
            (b"  #!/bin/sh\n", Foreign::Script),
            (b"#cloud-config\n", Foreign::CloudInit),
            (b"#cloud-boothook\n", Foreign::CloudInit),
            (b"## template: jinja\n", Foreign::CloudInit),
            (b"#include\nhttps://x\n", Foreign::CloudInit),
            (b"hello", Foreign::Text),
            (b"<powershell>\r\n", Foreign::Text),
            (b"\x7fELF\x01", Foreign::Binary),
            (b"\xff", Foreign::Binary),
        ] {
            assert_eq!(Foreign::of(bytes), expected, "{bytes:?}");
        }
    }
}
