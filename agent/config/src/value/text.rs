//! Characters that a person takes for others, and text that is printed on one line.

use crate::value::printable::one_line;

/// How many characters of an unknown key are shown.
const MOST_SHOWN: usize = 40;

/// Quotes that text editors insert, and that are no quotes to a shell or a parser.
pub(crate) const TYPOGRAPHIC: [char; 9] = ['“', '”', '„', '‟', '‘', '’', '‚', '«', '»'];

/// A key for printing: at most 40 characters, on one line, without control characters.
pub(crate) fn shown(key: &str) -> String {
    one_line(key, MOST_SHOWN)
}
