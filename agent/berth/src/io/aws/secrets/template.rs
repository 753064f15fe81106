//! Fills in a template: the text of `secret.NAME` with the values of its secrets in their places, unchanged.
//!
//! Nothing is encoded: the text may be a URL, JSON or a line of `key=value`, and each would need another encoding
//! (docs/decisions/0013-secret-templates.md).

use std::collections::BTreeMap;

use berth_config::{Config, Piece, SecretRef, SecretValue, Template};
use berth_core::message::error::{ErrorClass, JobError};

use crate::io::secret::Secret;

/// The references of the key `secret.NAME`, each of a template with its place.
pub(super) fn places<'v>(
    name: &'v str,
    value: &'v SecretValue,
) -> impl Iterator<Item = (&'v SecretRef, Option<String>)> {
    let (one, template) = match value {
        SecretValue::Reference(reference) => (Some((reference, None)), None),
        SecretValue::Template(template) => (None, Some(template)),
    };
    let placed = template.into_iter().flat_map(Template::references);
    one.into_iter().chain(placed.map(|(reference, at)| (reference, Some(place(name, at)))))
}

fn place(name: &str, at: usize) -> String {
    format!("secret.{name} at character {at}")
}

/// The text with every value in its place, or every error of it.
pub(super) fn fill_in(
    name: &str,
    template: &Template,
    value: impl Fn(&SecretRef) -> Result<Secret, JobError>,
) -> Result<Secret, Vec<JobError>> {
    let (mut parts, mut errors) = (Vec::new(), Vec::new());
    for (reference, at) in template.references() {
        let text = value(reference).and_then(|part| match std::str::from_utf8(part.expose()) {
            Ok(_) => Ok(part),
            Err(_) => {
                let reason = format!("{reference}: the value is binary, and only text can be put into a text");
                Err(JobError::new(ErrorClass::Broken, reason))
            }
        });
        match text {
            Ok(part) => parts.push(part),
            Err(error) => errors.push(JobError::new(error.class, format!("{}: {}", place(name, at), error.reason))),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut next = parts.iter();
    let pieces: Vec<&[u8]> = template
        .pieces()
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.as_bytes(),
            Piece::Secret { .. } => next.next().map(Secret::expose).unwrap_or_default(),
        })
        .collect();
    let whole = pieces.concat();
    Ok(Secret::of_parts(whole, parts))
}

/// Warnings about fetched values. They hold no value, only that it has such a character.
pub fn remarks(config: &Config, values: &BTreeMap<String, Secret>) -> Vec<String> {
    let mut remarks = Vec::new();
    for (name, value) in &config.secret {
        let (SecretValue::Template(template), Some(secret)) = (value, values.get(name)) else { continue };
        let in_user_info = template.in_user_info();
        for ((reference, at), part) in template.references().zip(secret.parts()) {
            if in_user_info.contains(&at) && needs_encoding(part.expose()) {
                remarks.push(format!(
                    "`{}`: the value of {reference} holds a character that has to be percent-encoded in a URL (such as `@`, `/`, `#` or a line \
                     end), and it was put in as it is: store it encoded, or give the app the parts by names of their own",
                    place(name, at)
                ));
            }
        }
    }
    remarks
}

/// Whether these bytes must be encoded in the user or the password of a URL (RFC 3986, section 3.2.1): neither unreserved nor a
/// sub-delimiter nor `%` of an encoded byte. `:` may be in a password, and parsers disagree about it in a user.
fn needs_encoding(bytes: &[u8]) -> bool {
    bytes.iter().enumerate().any(|(at, byte)| match byte {
        b'%' => !bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        byte => !byte.is_ascii_alphanumeric() && !b"-._~!$&'()*+,;=:".contains(byte),
    })
}

#[cfg(test)]
mod tests {
    use berth_config::Layers;

    use super::*;

    fn config(template: &str) -> Config {
        let mut layers = Layers::new();
        layers.add_words(&["image=x:1".to_owned(), format!("secret.X={template}")]);
        layers.resolve().unwrap()
    }

    fn filled_in(config: &Config, values: &[(&str, &[u8])]) -> Result<Secret, Vec<String>> {
        let SecretValue::Template(template) = &config.secret["X"] else { panic!("no template") };
        let find = |reference: &SecretRef| {
            let found = values.iter().find(|(name, _)| *name == reference.to_string());
            found
                .map(|(_, value)| Secret::new(*value))
                .ok_or_else(|| JobError::new(ErrorClass::Broken, format!("{reference}: absent")))
        };
        fill_in("X", template, find).map_err(|errors| errors.into_iter().map(|error| error.reason).collect())
    }

    #[test]
    fn values_are_put_in_as_they_are_and_known_alone() {
        let config = config("$${a} ${db#u}:${db#p}@${db#u}/é");
        let secret = filled_in(&config, &[("db#u", b"app"), ("db#p", "p@ss/$${x} ${a}ü".as_bytes())]).unwrap();
        assert_eq!(String::from_utf8_lossy(secret.expose()), "${a} app:p@ss/$${x} ${a}ü@app/é");
        let parts: Vec<_> = secret.parts().iter().map(|part| String::from_utf8_lossy(part.expose())).collect();
        assert_eq!(parts, ["app", "p@ss/$${x} ${a}ü", "app"]);
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }

    #[test]
    fn every_part_that_cannot_be_filled_in_is_reported_with_its_position_and_without_its_value() {
        let config = config("a ${one} ${two} ${three}");
        let errors = filled_in(&config, &[("two", b"hunter2\xff"), ("three", b"x")]).unwrap_err();
        assert_eq!(
            errors,
            [
                "secret.X at character 3: one: absent",
                "secret.X at character 10: two: the value is binary, and only text can be put into a text",
            ]
        );
    }

    #[test]
    fn a_part_of_a_url_that_needs_encoding_is_remarked_on_without_its_value() {
        let config = config("postgres://${u}:${p}@${h}/${d}");
        for (password, is_remarked) in [
            ("hunter2", false),
            ("a-b._~!$&'()*+,;=:", false),
            ("a%40b", false),
            ("hunter2@", true),
            ("hunter2/", true),
            ("hunter2\n", true),
            ("100%", true),
            ("100%4", true),
            ("ü", true),
        ] {
            let values = [("u", &b"app"[..]), ("p", password.as_bytes()), ("h", b"db:5432"), ("d", b"a/b")];
            let values = BTreeMap::from([("X".to_owned(), filled_in(&config, &values).unwrap())]);
            let shown = remarks(&config, &values);
            assert_eq!(shown.len(), usize::from(is_remarked), "{password}: {shown:?}");
            assert!(
                shown.iter().all(|remark| remark.starts_with("`secret.X at character 17`: the value of p ")),
                "{shown:?}"
            );
            assert!(!shown.concat().contains("hunter2"), "{shown:?}");
        }
        let plain = self::config("user=${u}");
        let values = BTreeMap::from([("X".to_owned(), filled_in(&plain, &[("u", b"a@b")]).unwrap())]);
        assert!(remarks(&plain, &values).is_empty());
    }
}
