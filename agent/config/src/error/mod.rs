//! What is wrong with a config. Every error has its location and its key, and none shows a value, because a line may contain by
//! mistake what should have been a secret.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::error::code::Code;
use crate::keys::Key;
use crate::keys::key_docs;
use crate::keys::suggest::Unknown;
use crate::value::text::shown;

pub(crate) mod code;

/// The most errors of one config that are reported; hostile input could cause thousands.
const MOST_REPORTED: usize = 100;

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// `user-data`, `user-data part 2`, a file's name, a pointer, `command line`.
    pub source: Arc<str>,
    /// The position in the source.
    pub at: Position,
}

/// A position in a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Position {
    /// Unknown: the key identifies it, as in JSON.
    Within,
    /// Line and column in characters, both counted from 1.
    Line(usize, usize),
    /// The word of a command line, counted from 1.
    Word(usize),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        match self.at {
            Position::Within => Ok(()),
            Position::Line(line, column) => write!(f, " line {line} column {column}"),
            Position::Word(word) => write!(f, " word {word}"),
        }
    }
}

/// One thing that is wrong with a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where; none if something is missing.
    pub location: Option<Location>,
    /// The key; none for a word without `=` and for a syntax error.
    pub key: Option<String>,
    /// The kind of error.
    pub code: Code,
    /// What is wrong and what to do, without a value.
    pub reason: Cow<'static, str>,
    /// The key that was most likely meant, as it would be written.
    pub suggestion: Option<String>,
}

impl ConfigError {
    /// The key for printing.
    pub fn shown_key(&self) -> Option<String> {
        self.key.as_deref().map(shown)
    }

    /// An explanation: what the key takes, or what the code means.
    pub fn help(&self) -> Cow<'static, str> {
        let key = match self.code {
            Code::UnknownKey => self.suggestion.as_deref(),
            Code::InvalidValue | Code::Missing => self.key.as_deref(),
            _ => None,
        };
        key.and_then(key_docs::help).map_or(Cow::Borrowed(self.code.about()), Cow::Owned)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "`{}`: ", shown(key))?;
        }
        f.write_str(&self.reason)
    }
}

/// Every error of a config, by location; one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigErrors {
    reported: Vec<ConfigError>,
    more: usize,
}

impl ConfigErrors {
    /// The errors, at most a hundred.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.reported.iter()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.reported.len() + self.more
    }

    /// How many errors are not reported.
    pub fn more(&self) -> usize {
        self.more
    }

    /// Whether there are no errors.
    pub fn is_empty(&self) -> bool {
        self.reported.is_empty()
    }

    /// Sorts the errors by location; those without a location come last.
    pub(crate) fn sort(&mut self) {
        self.reported.sort_by(|one, other| {
            (one.location.is_none(), &one.location).cmp(&(other.location.is_none(), &other.location))
        });
    }

    /// Adds an error. The reason is only computed if the error is reported.
    pub(crate) fn add<R: Into<Cow<'static, str>>>(
        &mut self,
        code: Code,
        location: Option<Location>,
        key: Option<&str>,
        reason: impl FnOnce() -> R,
    ) {
        self.push(|| ConfigError {
            location,
            key: key.map(str::to_owned),
            code,
            reason: reason().into(),
            suggestion: None,
        });
    }

    /// Adds an unknown key.
    pub(crate) fn add_unknown(&mut self, location: Location, key: &str) {
        self.push(|| {
            let Unknown { reason, meant } = Key::unknown(key);
            ConfigError {
                location: Some(location),
                key: Some(key.to_owned()),
                code: Code::UnknownKey,
                reason: reason.into(),
                suggestion: meant,
            }
        });
    }

    fn push(&mut self, error: impl FnOnce() -> ConfigError) {
        if self.reported.len() < MOST_REPORTED {
            self.reported.push(error());
        } else {
            self.more += 1;
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.reported.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
