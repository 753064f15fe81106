//! `secret.NAME`: one reference, or a text that holds several, each as `${reference}`.
//!
//! `$${` is the text `${`; every other `$` is text. The braces enclose what `secret.NAME` takes without them.

use std::fmt::{self, Write};

use serde::Serialize;

use crate::value::printable::escaped;
use crate::value::secret_like;
use crate::value::secret_ref::SecretRef;
use crate::value::{Reason, Reasons};

/// The value of `secret.NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum SecretValue {
    /// One secret, or one key of it.
    Reference(SecretRef),
    /// A text with references to secrets.
    Template(Template),
}

/// A text with at least one reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Template(Vec<Piece>);

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Piece {
    /// Text.
    Text(String),
    /// A reference, which the secret's value replaces.
    Secret {
        /// The secret.
        reference: SecretRef,
        /// The position of its `${` in the value of the key: in characters, counted from 1.
        at: usize,
    },
}

impl From<SecretRef> for SecretValue {
    fn from(reference: SecretRef) -> Self {
        Self::Reference(reference)
    }
}

impl SecretValue {
    /// Parses a reference, or a template, which has a `${`.
    pub(crate) fn parse(text: &str) -> Result<Self, Reasons> {
        if text.contains("${") {
            return Template::parse(text).map(Self::Template);
        }
        SecretRef::parse(text).map(Self::Reference).map_err(|reason| {
            if was_a_template(text) { Reason::from(format!("{reason}; {REPLACED}")).into() } else { reason.into() }
        })
    }

    /// Every referenced secret, in order, with repetitions.
    pub fn references(&self) -> impl Iterator<Item = &SecretRef> {
        let (one, template) = match self {
            Self::Reference(reference) => (Some(reference), None),
            Self::Template(template) => (None, Some(template)),
        };
        one.into_iter().chain(template.into_iter().flat_map(Template::references).map(|(reference, _)| reference))
    }
}

/// Programs that replace `${…}` before berth sees it.
const REPLACED: &str = "if it had `${…}` for secrets, another program has replaced them: Terraform needs `$${…}`, Fn::Sub of CloudFormation \
                        `${!…}`, and a shell single quotes";

/// Whether a text has characters that no reference has, and that text around references often has.
fn was_a_template(text: &str) -> bool {
    text.contains("://") || text.contains(":@") || text.contains([' ', ';', '"', '{'])
}

impl Template {
    fn parse(text: &str) -> Result<Self, Reasons> {
        let (mut pieces, mut reasons) = (Vec::new(), Vec::new());
        let (mut plain, mut rest, mut at) = (String::new(), text, 1);
        while let Some(char) = rest.chars().next() {
            let used = if rest.starts_with("$${") {
                plain.push_str("${");
                "$${".len()
            } else if let Some(inside) = rest.strip_prefix("${") {
                let end = inside.find('}');
                // A reference that is never closed ends the search, because its end is unknown.
                let inside = end.and_then(|end| inside.get(..end));
                match inside.ok_or("is never closed: `}` is missing".into()).and_then(reference) {
                    Ok(reference) => {
                        if !plain.is_empty() {
                            pieces.push(Piece::Text(std::mem::take(&mut plain)));
                        }
                        pieces.push(Piece::Secret { reference, at });
                    }
                    Err(reason) => reasons.push(format!("`${{` at character {at} {reason}").into()),
                }
                inside.map_or(rest.len(), |inside| "${}".len() + inside.len())
            } else {
                plain.push(char);
                char.len_utf8()
            };
            let (done, left) = rest.split_at_checked(used).unwrap_or((rest, ""));
            at += done.chars().count();
            rest = left;
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        if !reasons.is_empty() {
            return Err(Reasons(reasons));
        }
        if pieces.iter().any(|piece| matches!(piece, Piece::Secret { .. })) {
            return Ok(Self(pieces));
        }
        Err("has no reference, because `$${` is the text `${`: write `${…}` for a secret (in Terraform `$${…}`), or `env.NAME` for plain \
             text"
            .into())
    }

    /// The pieces, in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The references with their positions, in order.
    pub fn references(&self) -> impl Iterator<Item = (&SecretRef, usize)> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Secret { reference, at } => Some((reference, *at)),
            Piece::Text(_) => None,
        })
    }

    /// Positions of the references between `://` and the `@` of a URL. A value with a separator in it changes what the URL
    /// means there.
    pub fn in_user_info(&self) -> Vec<usize> {
        let (mut within, mut found, mut pending) = (false, Vec::new(), Vec::new());
        for piece in &self.0 {
            match piece {
                Piece::Secret { at, .. } if within => pending.push(*at),
                Piece::Secret { .. } => {}
                Piece::Text(text) => {
                    let mut rest = text.as_str();
                    loop {
                        if !within {
                            let Some((_, authority)) = rest.split_once("://") else { break };
                            (within, rest) = (true, authority);
                        }
                        let Some(end) = rest.find(['@', '/', '?', '#', ' ']) else { break };
                        if rest.get(end..).is_some_and(|rest| rest.starts_with('@')) {
                            found.append(&mut pending);
                        }
                        pending.clear();
                        (within, rest) = (false, rest.get(end..).unwrap_or_default());
                    }
                }
            }
        }
        found
    }

    /// Whether the text around the references has a password.
    pub(crate) fn holds_password(&self) -> bool {
        secret_like::has_secret(&self.with(|_| "$".to_owned()))
    }

    /// The text, with every reference replaced.
    fn with(&self, shown: impl Fn(&SecretRef) -> String) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Secret { reference, .. } => shown(reference),
        });
        pieces.collect()
    }
}

/// Parses the text between `${` and `}`.
fn reference(text: &str) -> Result<SecretRef, Reason> {
    if text.is_empty() {
        return Err("has no secret name".into());
    }
    if text.contains("${") {
        return Err("has another `${` in it: a `}` may be missing, references are not nested".into());
    }
    if text.starts_with('!') {
        return Err("begins with `!`, which only Fn::Sub of CloudFormation removes: remove it".into());
    }
    if text.trim() != text {
        return Err("has a space next to its braces: remove it".into());
    }
    SecretRef::parse(text)
}

/// As it can be written, for people: without control characters, and without its text if that has a password.
impl fmt::Display for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(reference) => reference.fmt(f),
            Self::Template(template) => template.fmt(f),
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = self.holds_password();
        for piece in &self.0 {
            match piece {
                Piece::Secret { reference, .. } => write!(f, "${{{reference}}}")?,
                Piece::Text(_) if hidden => f.write_str("…")?,
                Piece::Text(text) => {
                    for char in escaped(&text.replace("${", "$${")) {
                        f.write_char(char)?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        match SecretValue::parse(text) {
            Ok(SecretValue::Template(template)) => template,
            other => panic!("{text}: {other:?}"),
        }
    }

    /// The pieces in one line: text, and references in angle brackets with their positions.
    fn pieces(text: &str) -> String {
        let shown = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Secret { reference, at } => format!("<{at} {reference}>"),
        };
        template(text).pieces().iter().map(shown).collect()
    }

    fn reasons(text: &str) -> Vec<String> {
        SecretValue::parse(text).unwrap_err().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn references_are_read_in_their_places() {
        const ARN: &str = "arn:aws:secretsmanager:us-east-2:123456789012:secret:prod/api-AbCdEf";
        for (text, expected) in [
            (
                "postgres://${prod/db#user}:${prod/db#password}@db/app",
                "postgres://<12 prod/db#user>:<28 prod/db#password>@db/app",
            ),
            ("${a}", "<1 a>"),
            ("${a}${a}", "<1 a><5 a>"),
            ("é${a}", "é<2 a>"),
            ("${ssm:/prod/key:3}", "<1 ssm:/prod/key:3>"),
            ("x=${secretsmanager:prod/db}", "x=<3 prod/db>"),
            ("$x $ $$ ${a} $", "$x $ $$ <9 a> $"),
            ("$${x} ${a}", "${x} <7 a>"),
            ("$$${x} ${a}", "$${x} <8 a>"),
            ("{\"p\":\"${a#p}\"}", "{\"p\":\"<7 a#p>\"}"),
        ] {
            assert_eq!(pieces(text), expected, "{text}");
        }
        assert_eq!(pieces(&format!("${{{ARN}:user::}}")), format!("<1 {ARN}#user>"));
    }

    #[test]
    fn a_value_without_braces_is_one_reference() {
        for text in ["prod/db#user", "ssm:/prod/key", "prod/db#$x"] {
            let reference = SecretRef::parse(text).unwrap();
            let json = serde_json::to_value(&reference).unwrap();
            assert_eq!(SecretValue::parse(text), Ok(SecretValue::Reference(reference.clone())));
            // Another form would change the fingerprint, and an upgrade would create every container again.
            assert_eq!(serde_json::to_value(SecretValue::Reference(reference)).unwrap(), json);
        }
    }

    #[test]
    fn every_error_is_reported_with_its_position() {
        for (text, expected) in [
            ("x${", &["`${` at character 2 is never closed: `}` is missing"][..]),
            ("${a} ${b", &["`${` at character 6 is never closed: `}` is missing"]),
            ("${}", &["`${` at character 1 has no secret name"]),
            ("é${} ${}", &["`${` at character 2 has no secret name", "`${` at character 6 has no secret name"]),
            (
                "${a${b}}",
                &["`${` at character 1 has another `${` in it: a `}` may be missing, references are not nested"],
            ),
            ("${ a}", &["`${` at character 1 has a space next to its braces: remove it"]),
            ("${a#b }", &["`${` at character 1 has a space next to its braces: remove it"]),
            ("${a#}", &["`${` at character 1 has no key after `#`"]),
            (
                "${a:b}",
                &[
                    "`${` at character 1 is not a secret: write a name (letters, digits and `/_+=.@-`), `ssm:…`, or an ARN",
                ],
            ),
            (
                "${!a}",
                &["`${` at character 1 begins with `!`, which only Fn::Sub of CloudFormation removes: remove it"],
            ),
            (
                "$${a}",
                &[
                    "has no reference, because `$${` is the text `${`: write `${…}` for a secret (in Terraform `$${…}`), or \
                   `env.NAME` for plain text",
                ],
            ),
        ] {
            assert_eq!(reasons(text), expected, "{text}");
        }
    }

    #[test]
    fn a_template_that_another_program_replaced_is_explained() {
        for text in ["postgres://:@db/app", "postgres://app:hunter2@db/app", "user= password=", "{\"p\":\"\"}"] {
            let reported = reasons(text).join("\n");
            assert!(
                reported.contains("another program has replaced them: Terraform needs `$${…}`"),
                "{text}: {reported}"
            );
            assert!(!reported.contains("hunter2"), "{reported}");
        }
        assert!(!reasons("prod/db#").join("").contains("Terraform"));
    }

    #[test]
    fn the_user_and_the_password_of_a_url_are_known_by_what_is_around_them() {
        for (text, expected) in [
            ("postgres://${a#u}:${a#p}@db/app", &[12, 19][..]),
            ("postgres://app:${p}@${h}/${d}?x=${q}", &[16]),
            ("redis://:${p}@r a://${u}@x", &[10, 21]),
            ("https://${h}/x@y", &[]),
            ("https://${h}", &[]),
            ("user=${u} password=${p}", &[]),
            ("${url}", &[]),
            ("${s}://${u}@h", &[8]),
        ] {
            assert_eq!(template(text).in_user_info(), expected, "{text}");
        }
    }

    #[test]
    fn it_is_shown_as_written_but_for_a_password_in_its_text() {
        for (text, expected) in [
            ("postgres://${prod/db#user}:${prod/db#password}@db/app", None),
            ("postgres://app:${p}@db", None),
            ("$${x} $x ${a}", None),
            ("a\u{1b}[2J${a}", Some("a\\u{1b}[2J${a}")),
            ("postgres://app:hunter2@${host}/", Some("…${host}…")),
            ("postgres://${u}:hunter2@db/", Some("…${u}…")),
        ] {
            assert_eq!(SecretValue::parse(text).unwrap().to_string(), expected.unwrap_or(text));
        }
    }
}
