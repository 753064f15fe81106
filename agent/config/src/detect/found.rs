//! What a search for a config ends with: a config that is not parsed yet, a refusal, or user-data of another program.

use crate::detect::foreign::Foreign;
use crate::error::Position;
use crate::value::Reason;

/// What is in user-data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Detected {
    /// A config that is not parsed yet.
    Config(FoundConfig),
    /// Almost a config, or more than one: every position, with what to do.
    Refused(Vec<Refusal>),
    /// User-data of another program.
    Foreign(Foreign),
}

/// A config that is not parsed yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FoundConfig {
    /// Its MIME part, counted from 1.
    pub(crate) part: Option<usize>,
    /// The form.
    pub(crate) form: ConfigForm,
}

/// The forms of a config.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ConfigForm {
    /// The words after `berth `, and where they begin.
    Line {
        /// The words.
        words: String,
        /// The line's number, from 1.
        line: usize,
        /// Characters before the words.
        indent: usize,
    },
    /// A TOML document.
    Toml(String),
    /// A JSON object.
    Json(String),
}

/// Why the user-data is not parsed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The MIME part, counted from 1.
    pub(crate) part: Option<usize>,
    /// The position in the source.
    pub(crate) at: Position,
    /// Why, and what to do.
    pub(crate) reason: Reason,
}

impl Refusal {
    pub(super) fn new(at: Position, reason: impl Into<Reason>) -> Self {
        Self { part: None, at, reason: reason.into() }
    }
}

pub(super) fn within(reason: &'static str) -> Refusal {
    Refusal::new(Position::Within, reason)
}

impl From<Refusal> for Detected {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(vec![refusal])
    }
}

impl Detected {
    pub(super) fn found(form: ConfigForm) -> Self {
        Self::Config(FoundConfig { part: None, form })
    }

    /// Sets the number of the MIME part.
    pub(super) fn in_part(mut self, number: usize) -> Self {
        match &mut self {
            Self::Config(found) => found.part = Some(number),
            Self::Refused(refusals) => refusals.iter_mut().for_each(|refusal| refusal.part = Some(number)),
            Self::Foreign(_) => {}
        }
        self
    }
}

impl ConfigForm {
    /// Where it begins.
    pub(super) fn at(&self) -> Position {
        match self {
            Self::Line { line, .. } => Position::Line(*line, 1),
            Self::Toml(_) | Self::Json(_) => Position::Line(1, 1),
        }
    }
}

pub(super) fn one_of(count: usize) -> Reason {
    format!("is one of {count} configs, and only one is read: merge them, or remove the others").into()
}

pub(super) const TOO_LONG: &str = "longer than 64 KiB";

pub(super) fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.len() > LONGEST {
        return Err(Refusal::new(Position::Within, TOO_LONG));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let lines = good.split(|byte| *byte == b'\n');
        let column = lines.clone().next_back().map_or(0, |line| String::from_utf8_lossy(line).chars().count());
        Refusal::new(Position::Line(lines.count(), column + 1), "not UTF-8")
    })
}

/// The longest document or line of berth, which is also the limit of Secrets Manager.
pub(super) const LONGEST: usize = 64 << 10;
