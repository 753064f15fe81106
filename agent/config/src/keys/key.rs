//! What a key is: its name, what it means, its default, and how its value is resolved. One row says all of it.

use std::time::Duration;

use crate::config::Config;
use crate::value::scalar::{duration_from, one_of};
use crate::value::{Reason, Reasons, Value};

/// One key, or with `.NAME` at its end a table of keys.
pub(crate) struct Key {
    /// As it is written: `probe.interval`, `env.NAME`.
    pub(crate) name: &'static str,
    /// What it means and in which forms, in Markdown.
    pub(crate) about: &'static str,
    /// What holds when it is not written.
    pub(crate) default: KeyDefault,
    /// Values as they stand in the one line; of a table, whole words.
    pub(crate) examples: &'static [&'static str],
    /// Puts a value into the config; the second text is the NAME of a table's key.
    pub(crate) resolve: Resolve,
}

/// Keys that belong together.
pub(crate) struct Section {
    /// The heading.
    pub(crate) title: &'static str,
    /// What holds for all of them, in Markdown; may be empty.
    pub(crate) intro: &'static str,
    /// The keys, in the order of the documentation.
    pub(crate) keys: &'static [Key],
    /// What docker, compose, ECS, launch templates and Auto Scaling groups call them, and what they have beside them.
    pub(crate) foreign: &'static [ForeignWord],
}

/// Words of others that mean the same.
pub(crate) struct ForeignWord {
    /// Separated by spaces; dots are tables. A single letter is an option: `-p` and `-P` are two.
    pub(crate) words: &'static str,
    /// The key that says it; none if there is none.
    pub(crate) key: Option<&'static str>,
    /// How its value differs, or what to do without a key; may be empty if there is a key.
    pub(crate) advice: &'static str,
}

/// Words for what a key of berth says.
pub(super) const fn same(words: &'static str, key: &'static str, advice: &'static str) -> ForeignWord {
    ForeignWord { words, key: Some(key), advice }
}

/// Words for what no key of berth says.
pub(super) const fn none(words: &'static str, advice: &'static str) -> ForeignWord {
    ForeignWord { words, key: None, advice }
}

/// What holds when a key is not written.
pub(crate) enum KeyDefault {
    /// As if this had been written.
    Value(&'static str),
    /// This, in words.
    Words(&'static str),
}

/// How a key's value becomes a part of the config.
pub(crate) type Resolve = fn(&mut Config, &Value, &str) -> Result<(), Reasons>;

/// Puts a resolved value into its field; an error of any kind becomes the reasons of the value.
pub(super) fn put<T, E: Into<Reasons>>(field: &mut T, resolved: Result<T, E>) -> Result<(), Reasons> {
    *field = resolved.map_err(Into::into)?;
    Ok(())
}

/// A key that has no value of its own when it is not written.
pub(super) fn some<T>(value: &Value, resolve: impl Fn(&str) -> Result<T, Reason>) -> Result<Option<T>, Reason> {
    resolve(value.one()?).map(Some)
}

pub(super) fn choice<T: Clone>(value: &Value, words: &[(&str, T)]) -> Result<T, Reason> {
    one_of(value.one()?, words)
}

pub(super) fn at_least(milliseconds: u64, value: &Value) -> Result<Duration, Reason> {
    duration_from(Duration::from_millis(milliseconds), value.one()?)
}
