//! Text from elsewhere as it may be printed: on one line, of bounded length, and unable to steer a terminal.
//!
//! The config, AWS, the engine, a registry and the app all write text that berth shows in a log, in an error or on a terminal. Each of them
//! goes through here.

/// The text with every character escaped that a terminal would not show as itself: control characters (`\n`, `\u{1b}`), spaces that are not
/// the plain one, and what is invisible.
pub fn escaped(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(|char| {
        let plain = Some(char).filter(|char| is_plain(*char));
        let escaped = plain.is_none().then(|| char.escape_default());
        plain.into_iter().chain(escaped.into_iter().flatten())
    })
}

/// The text on one line of at most `limit` bytes, escaped as [`escaped`] does it. What is cut off is shown by `…`.
pub fn one_line(text: &str, limit: usize) -> String {
    let kept_bytes = limit.saturating_sub('…'.len_utf8());
    let (mut line, mut cut) = (String::new(), 0);
    for char in text.chars() {
        if is_plain(char) {
            line.push(char);
        } else {
            line.extend(char.escape_default());
        }
        if line.len() <= kept_bytes {
            cut = line.len();
        }
        if line.len() > limit {
            line.truncate(cut);
            line.push('…');
            break;
        }
    }
    line
}

/// A service's message on one line of at most `limit` bytes. Its line ends and indentation are spaces, since it is prose.
pub fn message(text: &str, limit: usize) -> String {
    let words = text.split(|char: char| char.is_whitespace() || char.is_control()).filter(|word| !word.is_empty());
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > limit {
            break;
        }
    }
    one_line(&line, limit)
}

fn is_plain(char: char) -> bool {
    // The space of Chinese and Japanese text is as wide as a letter.
    matches!(char, ' ' | '\u{3000}') || !(char.is_control() || char.is_whitespace() || is_invisible(char))
}

/// Whether a character takes no place on a screen, or turns the direction of the text after it (Unicode Standard Annex #9): zero-width
/// spaces and joiners, soft hyphens, marks of direction and of byte order.
pub fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        assert_eq!(one_line("a\n\u{1b}[2J\tb c", 100), "a\\n\\u{1b}[2J\\tb c");
        assert_eq!(
            one_line("a\u{202e}b\u{2028}c\u{a0}d\u{200b}e\u{feff}", 100),
            "a\\u{202e}b\\u{2028}c\\u{a0}d\\u{200b}e\\u{feff}"
        );
        assert_eq!(escaped("é\u{0}").collect::<String>(), "é\\u{0}");
    }

    #[test]
    fn a_message_is_prose_on_one_line() {
        assert_eq!(message("a\n\tb  c\u{1b}[0m", 100), "a b c [0m");
        assert_eq!(message(&"word ".repeat(1000), 20), "word word word wo…");
    }

    proptest! {
        #[test]
        fn no_text_is_longer_than_its_limit_or_more_than_one_line(text in "\\PC{0,40}|[\\x00-\\x9f\u{2028}é]{0,40}", limit in 3_usize..60) {
            for line in [one_line(&text, limit), message(&text, limit)] {
                prop_assert!(line.len() <= limit, "{line:?}");
                prop_assert!(line.chars().all(is_plain), "{line:?}");
            }
        }
    }
}
