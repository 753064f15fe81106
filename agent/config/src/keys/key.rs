//! What a key is: its name, what it means, its default, and how its value is resolved. One row says all of it.

use std::str::FromStr;
use std::time::Duration;

use strum::VariantNames;

use crate::config::Config;
use crate::value::scalar::{duration_from, not_one_of};
use crate::value::{Reason, Reasons, Value};

/// One key, or with `.NAME` at its end a table of keys.
pub(crate) struct Key {
    /// The name: `probe.interval`, `env.NAME`.
    pub(crate) name: &'static str,
    /// What it means and in which forms, in Markdown.
    pub(crate) about: &'static str,
    /// The default.
    pub(crate) default: KeyDefault,
    /// Values as in the one line; for a table, whole words.
    pub(crate) examples: &'static [&'static str],
    /// Puts a value into the config; the second text is the NAME of a table's key.
    pub(crate) resolve: Resolve,
}

/// Keys that belong together.
pub(crate) struct Section {
    /// The heading.
    pub(crate) title: &'static str,
    /// An introduction, in Markdown; may be empty.
    pub(crate) intro: &'static str,
    /// The keys, in the order of the documentation. A long section has its keys in several files.
    pub(crate) keys: &'static [&'static [Key]],
    /// Words of Docker, Compose, ECS, launch templates and Auto Scaling groups for these keys, and for things without a key.
    pub(crate) foreign: &'static [&'static [ForeignWord]],
}

/// Words of other programs with the same meaning.
pub(crate) struct ForeignWord {
    /// The words, separated by spaces; dots are tables. A single letter is an option: `-p` and `-P` differ.
    pub(crate) words: &'static str,
    /// The key of berth; none if there is none.
    pub(crate) key: Option<&'static str>,
    /// How the value differs, or what to do without a key; may be empty if there is a key.
    pub(crate) advice: &'static str,
}

/// Words for a key of berth.
pub(super) const fn same(words: &'static str, key: &'static str, advice: &'static str) -> ForeignWord {
    ForeignWord { words, key: Some(key), advice }
}

/// Words without a key of berth.
pub(super) const fn none(words: &'static str, advice: &'static str) -> ForeignWord {
    ForeignWord { words, key: None, advice }
}

/// The default of a key.
pub(crate) enum KeyDefault {
    /// As if this value had been written.
    Value(&'static str),
    /// A description.
    Words(&'static str),
}

/// Puts a key's value into the config.
pub(crate) type Resolve = fn(&mut Config, &Value, &str) -> Result<(), Reasons>;

/// Puts a resolved value into its field; an error of any kind becomes the reasons of the value.
pub(super) fn put<T, E: Into<Reasons>>(field: &mut T, resolved: Result<T, E>) -> Result<(), Reasons> {
    *field = resolved.map_err(Into::into)?;
    Ok(())
}

/// The value of a key that is none by default.
pub(super) fn some<T>(value: &Value, resolve: impl Fn(&str) -> Result<T, Reason>) -> Result<Option<T>, Reason> {
    resolve(value.one()?).map(Some)
}

/// One of the words that an enum is spelled as.
pub(super) fn choice<T: FromStr + VariantNames>(value: &Value) -> Result<T, Reason> {
    let text = value.one()?;
    text.parse().map_err(|_| not_one_of(T::VARIANTS.iter().copied()))
}

pub(super) fn at_least(milliseconds: u64, value: &Value) -> Result<Duration, Reason> {
    duration_from(Duration::from_millis(milliseconds), value.one()?)
}
