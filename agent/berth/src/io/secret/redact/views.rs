//! Decoded forms of one text: each view undoes one encoding, and knows where in the text its bytes come from.

use zeroize::Zeroizing;

/// Bytes, each with the position in the text of what it was decoded from.
pub(super) struct DecodedView {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    from: Vec<u32>,
    end: u32,
}

/// The decoded form of the beginning of a text: at most four bytes, and how many bytes they were decoded from.
struct DecodedBytes {
    bytes: [u8; 4],
    len: usize,
    used: usize,
}

impl DecodedBytes {
    fn byte(byte: u8, used: usize) -> Self {
        Self { bytes: [byte, 0, 0, 0], len: 1, used }
    }

    fn nothing(used: usize) -> Self {
        Self { bytes: [0; 4], len: 0, used }
    }

    fn character(character: char, used: usize) -> Self {
        let mut bytes = [0; 4];
        let len = character.encode_utf8(&mut bytes).len();
        Self { bytes, len, used }
    }
}

impl DecodedView {
    /// The text without control sequences, and with `\n` at the end of every line.
    pub(super) fn plain(text: &[u8]) -> Self {
        let end = u32::try_from(text.len()).unwrap_or(u32::MAX);
        Self::of(text, |at| u32::try_from(at).unwrap_or(u32::MAX), end, strip)
    }

    /// Without the backslashes of JSON and of programming languages.
    pub(super) fn unescaped(&self) -> Self {
        self.through(unescape)
    }

    /// Without the percent signs of a URL.
    pub(super) fn percent_decoded(&self) -> Self {
        self.through(percent)
    }

    /// The same of a form, in which `+` is a space.
    pub(super) fn form_decoded(&self) -> Self {
        self.through(form)
    }

    fn through(&self, step: fn(&[u8]) -> DecodedBytes) -> Self {
        Self::of(&self.bytes, |at| self.from.get(at).copied().unwrap_or(self.end), self.end, step)
    }

    fn of(text: &[u8], place: impl Fn(usize) -> u32, end: u32, step: fn(&[u8]) -> DecodedBytes) -> Self {
        // No step makes more bytes than it uses, so nothing grows and leaves a copy behind.
        let mut view =
            Self { bytes: Zeroizing::new(Vec::with_capacity(text.len())), from: Vec::with_capacity(text.len()), end };
        let mut at = 0;
        while let Some(rest @ [_, ..]) = text.get(at..) {
            let piece = step(rest);
            for byte in piece.bytes.iter().take(piece.len) {
                view.bytes.push(*byte);
                view.from.push(place(at));
            }
            at += piece.used.max(1);
        }
        view
    }

    /// Where in the text this byte comes from.
    pub(super) fn place(&self, at: usize) -> usize {
        self.from.get(at).copied().unwrap_or(self.end) as usize
    }

    /// Where in the text these bytes end: where the next decoded byte begins.
    pub(super) fn end_of(&self, last: usize) -> usize {
        let of = self.place(last);
        (last..self.bytes.len()).map(|at| self.place(at)).find(|place| *place > of).unwrap_or(self.end as usize)
    }
}

/// ECMA-48 control sequences (colours, titles) are removed, a carriage return ends a line.
fn strip(rest: &[u8]) -> DecodedBytes {
    match rest {
        [b'\r', b'\n', ..] => DecodedBytes::byte(b'\n', 2),
        [b'\r', ..] => DecodedBytes::byte(b'\n', 1),
        [0x1b, b'[', sequence @ ..] => {
            let parameters = sequence.iter().take_while(|byte| (0x20..=0x3f).contains(*byte)).count();
            let last = sequence.get(parameters).is_some_and(|byte| (0x40..=0x7e).contains(byte));
            DecodedBytes::nothing(2 + parameters + usize::from(last))
        }
        // A title ends with BEL or ESC \; one without an end is ignored after its line.
        [0x1b, b']', title @ ..] => match title.iter().position(|byte| matches!(byte, 0x07 | 0x1b | b'\n')) {
            Some(end) if title.get(end) == Some(&0x07) => DecodedBytes::nothing(3 + end),
            Some(end) if title.get(end..end + 2) == Some(b"\x1b\\") => DecodedBytes::nothing(4 + end),
            _ => DecodedBytes::nothing(2),
        },
        [0x1b, ..] => DecodedBytes::nothing(1),
        [byte, ..] => DecodedBytes::byte(*byte, 1),
        [] => DecodedBytes::nothing(1),
    }
}

fn unescape(rest: &[u8]) -> DecodedBytes {
    let [b'\\', escape @ ..] = rest else { return DecodedBytes::byte(rest.first().copied().unwrap_or_default(), 1) };
    match escape {
        [b'r', b'\\', b'n', ..] => DecodedBytes::nothing(2),
        [b'n' | b'r', ..] => DecodedBytes::byte(b'\n', 2),
        [b't', ..] => DecodedBytes::byte(b'\t', 2),
        [b'b', ..] => DecodedBytes::byte(0x08, 2),
        [b'f', ..] => DecodedBytes::byte(0x0c, 2),
        [b'x', digits @ ..] => match hex(digits, 2) {
            Some(byte) => DecodedBytes::byte(u8::try_from(byte).unwrap_or_default(), 4),
            None => DecodedBytes::byte(b'\\', 1),
        },
        [b'u', b'{', digits @ ..] => {
            let count = digits.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            let character = hex(digits, count).and_then(char::from_u32);
            match (character, digits.get(count)) {
                (Some(character), Some(b'}')) => DecodedBytes::character(character, 4 + count),
                _ => DecodedBytes::byte(b'\\', 1),
            }
        }
        [b'u', digits @ ..] => match hex(digits, 4) {
            Some(high @ 0xd800..=0xdbff) => {
                let low = digits.get(4..).and_then(|rest| rest.strip_prefix(b"\\u")).and_then(|rest| hex(rest, 4));
                let pair = low.filter(|low| (0xdc00..=0xdfff).contains(low));
                let character =
                    pair.and_then(|low| char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)));
                character.map_or(DecodedBytes::byte(b'\\', 1), |character| DecodedBytes::character(character, 12))
            }
            Some(number) => match char::from_u32(number) {
                Some(character) => DecodedBytes::character(character, 6),
                None => DecodedBytes::byte(b'\\', 1),
            },
            None => DecodedBytes::byte(b'\\', 1),
        },
        [byte, ..] if byte.is_ascii_punctuation() || *byte == b' ' => DecodedBytes::byte(*byte, 2),
        _ => DecodedBytes::byte(b'\\', 1),
    }
}

fn percent(rest: &[u8]) -> DecodedBytes {
    let decoded = rest.strip_prefix(b"%").and_then(|digits| hex(digits, 2)).and_then(|byte| u8::try_from(byte).ok());
    match decoded {
        Some(byte) => DecodedBytes::byte(byte, 3),
        None => DecodedBytes::byte(rest.first().copied().unwrap_or_default(), 1),
    }
}

fn form(rest: &[u8]) -> DecodedBytes {
    if rest.first() == Some(&b'+') { DecodedBytes::byte(b' ', 1) } else { percent(rest) }
}

fn hex(digits: &[u8], count: usize) -> Option<u32> {
    let digits = digits.get(..count).filter(|digits| (1..=6).contains(&digits.len()))?;
    digits.iter().try_fold(0, |number, digit| Some(number * 16 + char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        String::from_utf8_lossy(&DecodedView::plain(text.as_bytes()).bytes).into_owned()
    }

    #[test]
    fn what_steers_a_terminal_is_taken_out() {
        assert_eq!(plain("\x1b[1;32mINFO\x1b[0m up\r\nnext\rover"), "INFO up\nnext\nover");
        assert_eq!(plain("\x1b]0;title\x07a\x1b]0;title\x1b\\b"), "ab");
        assert_eq!(plain("\x1b]never ends\nnext"), "never ends\nnext");
        assert_eq!(plain("\x1b[2J\x1b[\x1bcx\x1b"), "cx");
    }

    #[test]
    fn what_is_escaped_is_read() {
        let unescaped =
            |text: &str| String::from_utf8_lossy(&DecodedView::plain(text.as_bytes()).unescaped().bytes).into_owned();
        assert_eq!(unescaped(r#"\"a\\b\/c\n\u00e4\ud83d\ude00\u{e9}\x41"#), "\"a\\b/c\nä😀éA");
        assert_eq!(unescaped(r"a\r\nb"), "a\nb");
        assert_eq!(unescaped(r"C:\dir \u12 \ud83d \x4 \"), r"C:\dir \u12 \ud83d \x4 \");
    }

    #[test]
    fn a_place_in_a_view_is_known_in_the_text() {
        let view = DecodedView::plain(b"\x1b[1ma%2Fb\\u00e4c").percent_decoded().unescaped();
        assert_eq!(&**view.bytes, "a/bäc".as_bytes());
        assert_eq!((view.place(1), view.end_of(1)), (5, 8));
        assert_eq!((view.place(3), view.end_of(3)), (9, 15), "the first byte of two that one escape is");
        assert_eq!((view.place(5), view.end_of(5)), (15, 16));
    }
}
