//! One value as written, before it is validated, and the reasons why it is invalid.

use std::borrow::Cow;
use std::collections::BTreeMap;

pub(crate) mod arn;
pub(crate) mod container;
pub(crate) mod health;
pub(crate) mod kernel;
pub(crate) mod line;
pub(crate) mod path;
pub(crate) mod platform;
pub(crate) mod pointer;
pub(crate) mod port;
pub mod printable;
pub(crate) mod probe_http;
pub(crate) mod proxy;
pub(crate) mod reference;
pub(crate) mod s3;
pub(crate) mod scalar;
pub(crate) mod secret_like;
pub(crate) mod secret_ref;
pub(crate) mod target_group;
pub(crate) mod template;
pub(crate) mod text;
pub mod word;

/// A value as written. Numbers and booleans of TOML and JSON are kept as text.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A text: one value, or a list with commas.
    Text(String),
    /// An array of TOML or JSON: a comma in an element separates nothing.
    List(Vec<String>),
}

/// One sentence that says what is wrong with a value and never shows the value.
pub(crate) type Reason = Cow<'static, str>;

/// Every reason why one value is invalid.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reasons(pub(crate) Vec<Reason>);

impl From<&'static str> for Reasons {
    fn from(reason: &'static str) -> Self {
        Self(vec![Cow::Borrowed(reason)])
    }
}

impl From<Reason> for Reasons {
    fn from(reason: Reason) -> Self {
        Self(vec![reason])
    }
}

impl Value {
    /// The text of a key that takes a single value, not empty.
    pub(crate) fn one(&self) -> Result<&str, Reason> {
        match self.text()? {
            "" => Err("is empty".into()),
            text => Ok(text),
        }
    }

    /// The text of a key that takes a single value, maybe empty.
    pub(crate) fn text(&self) -> Result<&str, Reason> {
        match self {
            Self::Text(text) if text.contains('\0') => Err("contains a NUL byte".into()),
            Self::Text(text) => Ok(text),
            Self::List(_) => Err("takes a single value, not a list".into()),
        }
    }

    /// The elements of a list. A text is split at its commas, except at `\,`; an empty text is the
    /// empty list.
    pub(crate) fn list(&self) -> Vec<Cow<'_, str>> {
        match self {
            Self::List(elements) => elements.iter().map(|element| Cow::Borrowed(element.as_str())).collect(),
            Self::Text(text) if text.is_empty() => Vec::new(),
            Self::Text(text) => split_at_commas(text),
        }
    }

    /// Every element resolved, or the reasons of all invalid ones.
    pub(crate) fn each<T>(&self, resolve: impl Fn(&str) -> Result<T, Reason>) -> Result<Vec<T>, Reasons> {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        let elements = self.list();
        let several = elements.len() > 1;
        for (n, element) in elements.iter().enumerate() {
            let validated = match element.as_ref() {
                "" => Err("is empty".into()),
                text if text.contains('\0') => Err("contains a NUL byte".into()),
                text => resolve(text),
            };
            match validated {
                Ok(value) => good.push(value),
                Err(reason) if several => bad.push(format!("entry {} {reason}", n + 1).into()),
                Err(reason) => bad.push(reason),
            }
        }
        if bad.is_empty() { Ok(good) } else { Err(Reasons(bad)) }
    }
}

/// A map of these pairs; a duplicate key is an error.
pub(crate) fn unique(pairs: Vec<(String, String)>, twice: &'static str) -> Result<BTreeMap<String, String>, Reasons> {
    let mut map = BTreeMap::new();
    for (key, value) in pairs {
        if map.insert(key, value).is_some() {
            return Err(twice.into());
        }
    }
    Ok(map)
}

fn split_at_commas(text: &str) -> Vec<Cow<'_, str>> {
    if !text.contains("\\,") {
        return text.split(',').map(Cow::Borrowed).collect();
    }
    let mut elements = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let taken = match char {
            '\\' if chars.peek() == Some(&',') => chars.next(),
            ',' => None,
            other => Some(other),
        };
        match (taken, elements.last_mut()) {
            (Some(char), Some(last)) => last.push(char),
            _ => elements.push(String::new()),
        }
    }
    elements.into_iter().map(Cow::Owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_separate_and_escaped_commas_do_not() {
        let list = |text: &str| Value::Text(text.into()).list().join("|");
        assert_eq!(list("a,b"), "a|b");
        assert_eq!(list(r"a\,b,c"), "a,b|c");
        assert_eq!(list(r"a\b\,"), r"a\b,");
        assert_eq!(list(r"\,,"), ",|");
        assert!(Value::Text(String::new()).list().is_empty());
        assert_eq!(Value::List(vec!["a,b".into()]).list(), ["a,b"]);
    }

    #[test]
    fn every_invalid_entry_of_a_list_is_reported_with_its_number() {
        let reported = Value::Text("1,x,,4".into()).each(|text| text.parse::<u8>().map_err(|_| "is no number".into()));
        assert_eq!(reported, Err(Reasons(vec!["entry 2 is no number".into(), "entry 3 is empty".into()])));
    }
}
