//! `secret.NAME`: one reference, or a text that holds several, each as `${reference}`.
//!
//! `$${` is the text `${`; every other `$` is itself. What is written inside the braces is what `secret.NAME` takes alone.

use std::fmt::{self, Write};

use serde::Serialize;

use crate::value::printable::escaped;
use crate::value::secret_like;
use crate::value::secret_ref::SecretRef;
use crate::value::{Reason, Reasons};

/// What one name of the app gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum SecretValue {
    /// One secret, or one key of it.
    Reference(SecretRef),
    /// A text with the values of several in their places.
    Template(Template),
}

/// A text with references in it: at least one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Template(Vec<Piece>);

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Piece {
    /// Text as it is.
    Text(String),
    /// In its place comes the value.
    Secret {
        /// Of which secret.
        reference: SecretRef,
        /// Where its `${` is in the value of the key: in characters, counted from 1.
        at: usize,
    },
}

impl From<SecretRef> for SecretValue {
    fn from(reference: SecretRef) -> Self {
        Self::Reference(reference)
    }
}

impl SecretValue {
    /// Reads a reference, or a template, which holds a `${`.
    pub(crate) fn parse(text: &str) -> Result<Self, Reasons> {
        if text.contains("${") {
            return Template::parse(text).map(Self::Template);
        }
        SecretRef::parse(text).map(Self::Reference).map_err(|reason| {
            if was_a_template(text) { Reason::from(format!("{reason}; {REPLACED}")).into() } else { reason.into() }
        })
    }

    /// Every secret that it is made of, in their order; one that is there twice comes twice.
    pub fn references(&self) -> impl Iterator<Item = &SecretRef> {
        let (one, template) = match self {
            Self::Reference(reference) => (Some(reference), None),
            Self::Template(template) => (None, Some(template)),
        };
        one.into_iter().chain(template.into_iter().flat_map(Template::references).map(|(reference, _)| reference))
    }
}

/// What happens to templates on their way, without a word.
const REPLACED: &str = "if it had `${…}` for secrets, another program has replaced them: Terraform needs `$${…}`, Fn::Sub of CloudFormation \
                        `${!…}`, and a shell single quotes";

/// Characters that no reference has and that a text around references often does.
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
                // What is never closed ends the search: nobody knows where it was to end.
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

    /// The pieces, in their order.
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The references with their places, in their order.
    pub fn references(&self) -> impl Iterator<Item = (&SecretRef, usize)> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Secret { reference, at } => Some((reference, *at)),
            Piece::Text(_) => None,
        })
    }

    /// Places of the references between `://` and the `@` of a URL, where a value that holds one of its separators changes what the URL
    /// means.
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

    /// Whether its text holds a password, beside the references.
    pub(crate) fn holds_password(&self) -> bool {
        secret_like::is_in(&self.with(|_| "$".to_owned()))
    }

    /// The text with this in the place of every reference.
    fn with(&self, shown: impl Fn(&SecretRef) -> String) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Secret { reference, .. } => shown(reference),
        });
        pieces.collect()
    }
}

/// What stands between `${` and `}`.
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

/// As it can be written, for people: without control characters, and without its text where that holds a password.
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

    /// The pieces in one line: text as it is, references in angle brackets with their places.
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
    fn a_value_without_a_reference_in_braces_is_one_reference_as_ever() {
        for text in ["prod/db#user", "ssm:/prod/key", "prod/db#$x"] {
            let reference = SecretRef::parse(text).unwrap();
            let json = serde_json::to_value(&reference).unwrap();
            assert_eq!(SecretValue::parse(text), Ok(SecretValue::Reference(reference.clone())));
            // Else the fingerprint would be another one, and an upgrade would make every container again.
            assert_eq!(serde_json::to_value(SecretValue::Reference(reference)).unwrap(), json);
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_place() {
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
    fn a_template_that_another_program_filled_in_is_told_so() {
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
