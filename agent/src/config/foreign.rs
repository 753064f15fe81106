//! What user-data is that holds no config of berth's: somebody else's, and left to them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What user-data without a config looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Foreign {
    /// Nothing, or only spaces.
    Empty,
    /// It begins with `#!`.
    Script,
    /// One of the forms that cloud-init reads.
    CloudInit,
    /// A config for Ignition (Fedora CoreOS, Flatcar).
    Ignition,
    /// A JSON object with none of berth's keys.
    Json,
    /// A MIME multi-part.
    MultiPart,
    /// Some other text.
    Text,
    /// No text at all.
    Binary,
}

/// How the forms begin that cloud-init reads (cloud-init: `INCLUSION_TYPES_MAP` in handlers/__init__.py).
const CLOUD_INIT: [&str; 5] = ["#cloud-", "#include", "#part-handler", "## template:", "#upstart-job"];

impl Foreign {
    /// What these bytes look like, if they are neither MIME nor JSON.
    pub(super) fn of(bytes: &[u8]) -> Self {
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
