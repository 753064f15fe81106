//! MIME multi-part messages (RFC 2045, 2046), as far as user-data needs them: parts, their type and transfer encoding.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// The deepest nesting of multi-parts.
const DEEPEST: usize = 4;

/// The most parts.
const MOST: usize = 100;

/// One part that is not a multi-part.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// In lowercase, without parameters: `text/x-berth`.
    pub(crate) content_type: String,
    /// The decoded content; none if its transfer encoding is broken or unknown.
    pub(crate) body: Option<Vec<u8>>,
}

/// The parts, flat, in order; none if this is not a MIME message.
pub(crate) fn parts(message: &[u8]) -> Option<Vec<Part>> {
    let (headers, _) = split_headers(message)?;
    let is_mime = headers.iter().any(|(name, value)| {
        name == "mime-version" || (name == "content-type" && value.to_ascii_lowercase().starts_with("multipart/"))
    });
    if !is_mime {
        return None;
    }
    let mut parts = Vec::new();
    collect(message, 0, &mut parts);
    Some(parts)
}

fn collect(message: &[u8], depth: usize, parts: &mut Vec<Part>) {
    let (headers, body) = split_headers(message).unwrap_or((Vec::new(), message));
    let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let (content_type, boundary) = content_type(header("content-type").unwrap_or("text/plain"));
    if parts.len() >= MOST {
        return;
    }
    match boundary {
        Some(boundary) if content_type.starts_with("multipart/") && depth < DEEPEST => {
            for part in split_at_boundary(body, &boundary) {
                collect(part, depth + 1, parts);
            }
        }
        _ => {
            let encoding = header("content-transfer-encoding").unwrap_or("7bit").trim().to_ascii_lowercase();
            parts.push(Part { content_type, body: decode(&encoding, body) });
        }
    }
}

/// The name in lowercase, and the value.
type Header = (String, String);

/// The unfolded headers, with names in lowercase, and the body; none if the first line is not a header.
fn split_headers(message: &[u8]) -> Option<(Vec<Header>, &[u8])> {
    let mut headers: Vec<Header> = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let (line, after) = split_line(rest);
        rest = after;
        let line = String::from_utf8_lossy(line);
        if line.trim().is_empty() {
            break;
        }
        if line.starts_with([' ', '\t']) {
            headers.last_mut()?.1.push_str(line.trim_end());
            continue;
        }
        let (name, value) = line.split_once(':')?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return None;
        }
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some((headers, rest))
}

/// A line without its end, and the rest.
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = match text.iter().position(|byte| *byte == b'\n') {
        Some(at) => text.split_at(at + 1),
        None => (text, &[][..]),
    };
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

/// `multipart/mixed; boundary="==A=="`
fn content_type(header: &str) -> (String, Option<String>) {
    let (kind, mut rest) = header.split_once(';').unwrap_or((header, ""));
    let mut boundary = None;
    while let Some((name, value)) = rest.split_once('=') {
        let value = value.trim_start();
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => value.split_at(value.find(';').unwrap_or(value.len())),
        };
        if name.trim_matches([';', ' ', '\t']).eq_ignore_ascii_case("boundary") {
            boundary = Some(value.trim_end().to_owned()).filter(|boundary| !boundary.is_empty());
        }
        rest = after;
    }
    (kind.trim().to_ascii_lowercase(), boundary)
}

/// The parts between the lines `--boundary`, up to `--boundary--` or the end.
fn split_at_boundary<'a>(body: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let open = format!("--{boundary}");
    let close = format!("--{boundary}--");
    let (mut parts, mut start, mut rest) = (Vec::new(), None, body);
    let part = |from: usize, to: usize| {
        let part = body.get(from..to).unwrap_or_default();
        let part = part.strip_suffix(b"\n").unwrap_or(part);
        part.strip_suffix(b"\r").unwrap_or(part)
    };
    while !rest.is_empty() {
        let at = body.len() - rest.len();
        let (line, after) = split_line(rest);
        rest = after;
        let line = line.trim_ascii_end();
        if line == open.as_bytes() || line == close.as_bytes() {
            parts.extend(start.map(|from| part(from, at)));
            start = (line == open.as_bytes()).then_some(body.len() - rest.len());
            if start.is_none() {
                return parts;
            }
        }
    }
    parts.extend(start.map(|from| body.get(from..).unwrap_or_default()));
    parts
}

fn decode(encoding: &str, body: &[u8]) -> Option<Vec<u8>> {
    match encoding {
        "7bit" | "8bit" | "binary" | "" => Some(body.to_vec()),
        "base64" => {
            let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
            let text: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
            GeneralPurpose::new(&STANDARD, lenient).decode(text).ok()
        }
        "quoted-printable" => quoted_printable(body),
        _ => None,
    }
}

/// RFC 2045, 6.7: `=3D` is a byte, `=` at the end of a line joins it with the next.
fn quoted_printable(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'=', [b'\n', after @ ..] | [b'\r', b'\n', after @ ..]) => after,
            (b'=', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                out.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
                after
            }
            (b'=', _) => return None,
            (plain, after) => {
                out.push(*plain);
                after
            }
        };
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, expected: &[(&str, &str)]) {
        for message in [message.to_owned(), message.replace('\n', "\r\n")] {
            let parts = parts(message.as_bytes()).expect("a MIME message");
            let reported: Vec<_> = parts
                .iter()
                .map(|part| {
                    let body =
                        part.body.as_deref().map_or("broken".into(), |body| String::from_utf8_lossy(body).into_owned());
                    (part.content_type.as_str(), body.replace("\r\n", "\n"))
                })
                .collect();
            let expected: Vec<_> = expected.iter().map(|(kind, body)| (*kind, (*body).to_owned())).collect();
            assert_eq!(reported, expected, "{message}");
        }
    }

    #[test]
    fn parts_are_found_whatever_the_case_folding_and_quoting_of_their_headers() {
        check(
            "Content-Type: MULTIPART/Mixed;\n  charset=us-ascii;\n\tBoundary=\"=x; y=\"\nMIME-Version: 1.0\n\nignored\n\
             --=x; y=\nContent-type: Text/X-Berth; charset=\"utf-8\"\n\nberth image=x:1\n\
             --=x; y=  \nContent-Type: text/x-shellscript\n\n#!/bin/sh\n\n--=x; y=--\nignored",
            &[("text/x-berth", "berth image=x:1"), ("text/x-shellscript", "#!/bin/sh\n")],
        );
        check("mime-version: 1.0\ncontent-type: text/x-berth\n\nberth x=1\n", &[("text/x-berth", "berth x=1\n")]);
    }

    #[test]
    fn transfer_encodings_are_undone() {
        let with = |encoding: &str, body: &str| {
            format!(
                "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: text/x-berth\n\
                 Content-Transfer-Encoding: {encoding}\n\n{body}\n--B--\n"
            )
        };
        check(&with("BASE64", "YmVydGgg\naW1hZ2U9eDox"), &[("text/x-berth", "berth image=x:1")]);
        check(&with("base64", "YmVydGg"), &[("text/x-berth", "berth")]);
        check(&with("base64", "%%%"), &[("text/x-berth", "broken")]);
        check(&with("quoted-printable", "a=3Db=\nc =C3=A4"), &[("text/x-berth", "a=bc ä")]);
        check(&with("quoted-printable", "a=zz"), &[("text/x-berth", "broken")]);
        check(&with("8bit", "ä"), &[("text/x-berth", "ä")]);
        check(&with("x-rot13", "a"), &[("text/x-berth", "broken")]);
    }

    #[test]
    fn multi_parts_nest_to_a_bound_and_need_no_end() {
        check(
            "Content-Type: multipart/mixed; boundary=A\n\n--A\nContent-Type: multipart/mixed; boundary=B\n\n\
             --B\n\none\n--B\n\ntwo\n--B--\n--A\n\nthree",
            &[("text/plain", "one"), ("text/plain", "two"), ("text/plain", "three")],
        );
        let mut deep = String::from("MIME-Version: 1.0\n");
        for n in 0..100 {
            deep.push_str(&format!("Content-Type: multipart/mixed; boundary=B{n}\n\n--B{n}\n"));
        }
        assert_eq!(parts(deep.as_bytes()).map(|parts| parts.len()), Some(1));
        let many = format!("Content-Type: multipart/mixed; boundary=B\n\n{}", "--B\n\nx\n".repeat(1000));
        assert_eq!(parts(many.as_bytes()).map(|parts| parts.len()), Some(MOST));
    }

    #[test]
    fn what_is_no_message_is_none() {
        for text in ["", "#!/bin/sh\n", "berth image=x:1", "Subject: x\n\nbody", "a b: c\n", "{\"mime-version\": 1}"] {
            assert_eq!(parts(text.as_bytes()), None, "{text}");
        }
    }
}
