//! Characters: which ones a person mistakes for others, and how a text is printed on one line.

/// How much of an unknown key is shown.
const MOST_SHOWN: usize = 40;

/// The quotes of text editors, which no shell and no parser takes for quotes.
pub(crate) const TYPOGRAPHIC: [char; 9] = ['“', '”', '„', '‟', '‘', '’', '‚', '«', '»'];

/// Whether a character takes no place on a screen: zero-width spaces and joiners, soft hyphens, marks of direction and of byte order.
pub(crate) fn is_invisible(char: char) -> bool {
    matches!(char, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A key as it may be printed: a bounded part of it, on one line, without control characters.
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

/// Control characters would move the terminal's cursor.
pub(crate) fn printable(char: char) -> impl Iterator<Item = char> {
    let plain = Some(char).filter(|char| !char.is_control());
    let escaped = plain.is_none().then(|| char.escape_default());
    plain.into_iter().chain(escaped.into_iter().flatten())
}
