//! Characters: which ones a person mistakes for others, and how a text is printed on one line.

use crate::value::printable::one_line;

/// How much of an unknown key is shown.
const MOST_SHOWN: usize = 40;

/// The quotes of text editors, which no shell and no parser takes for quotes.
pub(crate) const TYPOGRAPHIC: [char; 9] = ['“', '”', '„', '‟', '‘', '’', '‚', '«', '»'];

/// A key as it may be printed: a bounded part of it, on one line, without control characters.
pub(crate) fn shown(key: &str) -> String {
    one_line(key, MOST_SHOWN)
}
