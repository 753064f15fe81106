//! Characters that a person takes for others, and text that is printed on one line.

/// How many characters of an unknown key are shown.
const MOST_SHOWN: usize = 40;

/// Quotes that text editors insert, and that are no quotes to a shell or a parser.
pub(crate) const TYPOGRAPHIC: [char; 9] = ['“', '”', '„', '‟', '‘', '’', '‚', '«', '»'];

/// Whether a character is invisible: zero-width spaces and joiners, soft hyphens, marks of direction and of byte order.
pub(crate) fn is_invisible(char: char) -> bool {
    matches!(char, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A key for printing: at most 40 characters, on one line, without control characters.
pub(crate) fn shown(key: &str) -> String {
    let mut out = String::new();
    for char in key.chars().take(MOST_SHOWN) {
        if char.is_ascii_graphic() || char.is_alphanumeric() {
            out.push(char);
        } else {
            out.extend(char.escape_unicode());
        }
    }
    if key.chars().nth(MOST_SHOWN).is_some() {
        out.push('…');
    }
    out
}

/// The character, escaped if it is a control character, because those move the cursor of a terminal.
pub(crate) fn printable(char: char) -> impl Iterator<Item = char> {
    let plain = Some(char).filter(|char| !char.is_control());
    let escaped = plain.is_none().then(|| char.escape_default());
    plain.into_iter().chain(escaped.into_iter().flatten())
}
