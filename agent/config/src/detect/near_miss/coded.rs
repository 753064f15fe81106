//! Texts that have a config after decoding. They are errors and are not decoded, because cloud-init and readers see them as
//! they are.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// An encoding that user-data must not have.
pub(crate) struct Encoding {
    /// Decodes it; none if the text is not in this encoding.
    pub(crate) undo: fn(&[u8]) -> Option<Vec<u8>>,
    /// What it is, and what to do.
    pub(crate) fix: &'static str,
}

/// Every encoding, in the order in which they are tried.
pub(crate) static ENCODINGS: [Encoding; 7] = [
    Encoding { undo: base64, fix: "looks like base64 of a config: encode it once; EC2 decodes user-data once" },
    Encoding { undo: without_nul, fix: "is not UTF-8: NUL bytes between the characters; save the text as UTF-8" },
    Encoding { undo: json_text, fix: "is a JSON string: write the text without the quotes, or a JSON object" },
    Encoding {
        undo: unescape,
        fix: "`\\n` is in the text as two characters where a line should end: write real line ends (`printf`, `echo -e` or a heredoc)",
    },
    Encoding {
        undo: percent,
        fix: "looks like URL-encoded text (`%20`, `%3D`): user-data is not decoded; write the plain text",
    },
    Encoding {
        undo: html,
        fix: "looks like HTML-escaped text (`&quot;`, `&#35;`): user-data is not decoded; write the plain text",
    },
    Encoding {
        undo: quoted_printable,
        fix: "looks like quoted-printable (`=3D`) outside a MIME part: write the plain text",
    },
];

/// The shortest base64 that is decoded: a word of a dozen letters is not base64.
const SHORTEST: usize = 16;

fn base64(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=').collect();
    // Text that is cut within a group of four characters is decoded up to the group.
    text.truncate(if text.len() % 4 == 1 { text.len() - 1 } else { text.len() });
    if text.len() < SHORTEST {
        return None;
    }
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let plain =
        [STANDARD, URL_SAFE].iter().find_map(|alphabet| GeneralPurpose::new(alphabet, lenient).decode(&text).ok())?;
    // A word can be base64 by chance, and then decodes to noise.
    let is_meant = plain.starts_with(b"\x1f\x8b")
        || is_utf16(&plain)
        || !plain.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace());
    is_meant.then_some(plain)
}

/// Whether this is UTF-16, PowerShell's default: every other byte is NUL.
fn is_utf16(bytes: &[u8]) -> bool {
    let nul = |first: usize| bytes.iter().skip(first).step_by(2).filter(|byte| **byte == 0).count();
    bytes.len() >= SHORTEST && nul(0).max(nul(1)) * 5 >= bytes.len() * 2
}

fn without_nul(bytes: &[u8]) -> Option<Vec<u8>> {
    bytes.contains(&0).then(|| bytes.iter().copied().filter(|byte| *byte != 0).collect())
}

fn json_text(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = bytes.trim_ascii();
    if !text.starts_with(b"\"") {
        return None;
    }
    serde_json::from_slice::<String>(text).ok().map(String::into_bytes)
}

fn unescape(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?;
    if !text.contains("\\n") && !text.contains("\\r") {
        return None;
    }
    let ends = text.replace("\\r\\n", "\n").replace("\\n", "\n").replace("\\r", "\n");
    Some(ends.replace("\\t", "\t").replace("\\\"", "\"").into_bytes())
}

fn percent(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.contains(&b'%') {
        return None;
    }
    let plain = decode(bytes, b'%')?;
    // In form encoding `+` is a space, and `%2B` a plus sign.
    let form = bytes.contains(&b'+') && !bytes.contains(&b' ');
    Some(plain.into_iter().map(|byte| if form && byte == b'+' { b' ' } else { byte }).collect())
}

fn quoted_printable(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?;
    // `=` before two hex digits may be a value; quoted-printable also encodes `=` itself.
    if !text.contains("=3D") {
        return None;
    }
    let joined = text.replace("=\r\n", "").replace("=\n", "");
    decode(joined.as_bytes(), b'=')
}

/// Replaces this sign and two hex digits by their byte; none if there is no such sequence.
fn decode(bytes: &[u8], sign: u8) -> Option<Vec<u8>> {
    let (mut plain, mut rest, mut found) = (Vec::with_capacity(bytes.len()), bytes, false);
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.first_chunk::<2>().filter(|_| *byte == sign);
        let value = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        rest = match value {
            Some(value) => {
                found = true;
                plain.push(value);
                after.get(2..).unwrap_or_default()
            }
            None => {
                plain.push(*byte);
                after
            }
        };
    }
    found.then_some(plain)
}

fn html(bytes: &[u8]) -> Option<Vec<u8>> {
    const NAMED: [(&str, &str); 6] =
        [("lt", "<"), ("gt", ">"), ("quot", "\""), ("apos", "'"), ("nbsp", " "), ("amp", "&")];
    let text = std::str::from_utf8(bytes).ok()?;
    let (mut plain, mut rest, mut found) = (String::with_capacity(text.len()), text, false);
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let escaped = after.split_once(';').and_then(|(name, after)| {
            let number = name.strip_prefix('#').and_then(|digits| match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => digits.parse().ok(),
            });
            let char = number.and_then(char::from_u32).map(String::from);
            let named = || NAMED.iter().find(|(known, _)| *known == name).map(|(_, char)| (*char).to_owned());
            Some((char.or_else(named)?, after))
        });
        match escaped {
            Some((char, after)) => {
                found = true;
                plain.push_str(&char);
                rest = after;
            }
            None => {
                plain.push('&');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    found.then(|| plain.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The decoded text.
    fn undone(code: fn(&[u8]) -> Option<Vec<u8>>, text: &str) -> Option<String> {
        code(text.as_bytes()).map(|plain| String::from_utf8_lossy(&plain).into_owned())
    }

    #[test]
    fn every_encoding_is_undone() {
        let line = || Some("#x\nberth image=x:1 a=\"b\"".to_owned());
        assert_eq!(undone(base64, "I3gKYmVydGggaW1hZ2U9eDox\nIGE9ImIi"), line());
        assert_eq!(undone(base64, "I3gKYmVydGggaW1hZ2U9eDoxIGE9ImI"), Some("#x\nberth image=x:1 a=\"b".into()), "cut");
        assert_eq!(undone(without_nul, "b\0e\0"), Some("be".into()));
        assert_eq!(undone(json_text, " \"#x\\nberth image=x:1 a=\\\"b\\\"\"\n"), line());
        assert_eq!(undone(unescape, "#x\\r\\nberth image=x:1 a=\\\"b\\\""), line());
        assert_eq!(undone(percent, "%23x%0aberth+image=x:1+a=%22b%22"), line());
        assert_eq!(undone(percent, "%23x%0Aberth image=x:1 a=%22b%22"), line());
        assert_eq!(undone(html, "&#35;x&#xA;berth image=x:1 a=&quot;b&quot;"), line());
        assert_eq!(undone(quoted_printable, "#x=0Aberth im=\nage=3Dx:1 a=3D\"b\""), line());
    }

    #[test]
    fn other_texts_are_not_taken_for_encoded() {
        for text in ["", "hello world", "berth image=x:1", "a & b; c && d", "100 % sure", "a = b"] {
            for (n, code) in ENCODINGS.iter().enumerate() {
                assert_eq!(undone(code.undo, text), None, "{n}: {text}");
            }
        }
        assert_eq!(undone(base64, "thisisawordofmanyletters"), None);
    }
}
