//! Where berth's config is in bytes that may hold anything: a script, a cloud-config, a MIME multi-part, gzip, nothing.
//!
//! ```text
//!   gzip ─▶ MIME ─▶ part text/x-berth ─▶ ┬ first line is `#berth`              TOML
//!                └▶ other parts ─┐       ├ first character is `{`              JSON
//!                                └──────▶┴ first line that begins `#berth …`   the one line
//! ```

use std::io::Read;

use super::fault::At;
use super::mime;
use super::value::Reason;

/// What gzip may unpack to: user-data itself is at most 16 KB.
const UNPACKED: u64 = 1 << 20;

/// What a document or a line of berth may be long; Secrets Manager holds as much.
const LONGEST: usize = 64 << 10;

/// gzip in MIME in gzip, at most this deep.
const DEEPEST: usize = 3;

/// A config, not yet read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The MIME part that holds it, counted from 1.
    pub(super) part: Option<usize>,
    /// What it is.
    pub(super) form: Form,
}

/// The forms of a config.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
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

/// Why there is no saying.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// The MIME part, counted from 1.
    pub(super) part: Option<usize>,
    /// Where in there.
    pub(super) at: At,
    /// Why.
    pub(super) reason: Reason,
}

/// Finds the config in user-data; none is an answer too.
pub(super) fn in_user_data(bytes: &[u8]) -> Result<Option<Found>, Unreadable> {
    search(bytes, 0)
}

/// Finds the config in a file of its own, where TOML needs no `#berth` at its head.
pub(super) fn in_file(bytes: &[u8]) -> Result<Form, Unreadable> {
    let unpacked = unpack(bytes)?;
    let text = text(&unpacked)?;
    Ok(if text.trim_start().starts_with('{') { Form::Json(text.to_owned()) } else { Form::Toml(text.to_owned()) })
}

fn search(bytes: &[u8], depth: usize) -> Result<Option<Found>, Unreadable> {
    let bytes = unpack(bytes)?;
    match mime::parts(&bytes) {
        Some(parts) if depth < DEEPEST => search_parts(&parts, depth),
        _ => Ok(form(&bytes)?.map(|form| Found { part: None, form })),
    }
}

fn search_parts(parts: &[mime::Part], depth: usize) -> Result<Option<Found>, Unreadable> {
    let numbered = || parts.iter().zip(1..);
    let mut own = numbered().filter(|(part, _)| part.content_type == "text/x-berth");
    if let Some((part, number)) = own.next() {
        let fault = |at, reason: &'static str| Unreadable { part: Some(number), at, reason: reason.into() };
        if own.next().is_some() {
            return Err(Unreadable {
                part: None,
                at: At::Within,
                reason: "has more than one text/x-berth part".into(),
            });
        }
        let body = part.body.as_deref();
        let body = body.ok_or_else(|| fault(At::Within, "has a Content-Transfer-Encoding that cannot be undone"))?;
        return match search(body, depth + 1) {
            Ok(Some(found)) => Ok(Some(Found { part: Some(number), ..found })),
            Ok(None) => Err(fault(At::Within, NOTHING)),
            Err(unreadable) => Err(Unreadable { part: Some(number), ..unreadable }),
        };
    }
    // A script or a cloud-config in a multi-part may carry the line as well; what else is in there is not ours.
    Ok(numbered().find_map(|(part, number)| {
        let body = unpack(part.body.as_deref()?).ok()?;
        let form = line(&body).ok()??;
        Some(Found { part: Some(number), form })
    }))
}

/// What a document that must hold a config and holds none is told.
pub(super) const NOTHING: &str = "holds no config: it is a line that begins with `berth ` or `#berth `, TOML below a first line \
     `#berth`, or a JSON object";

fn form(bytes: &[u8]) -> Result<Option<Form>, Unreadable> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if first.trim_ascii_end() == b"#berth" {
        return Ok(Some(Form::Toml(text(bytes)?.to_owned())));
    }
    if bytes.trim_ascii_start().starts_with(b"{") {
        return Ok(Some(Form::Json(text(bytes)?.to_owned())));
    }
    line(bytes)
}

/// The first line that begins with `berth ` or `#berth `. In a script, `berth` at the start of a line is also the command:
/// there, only what is followed by `key=…` is the config.
fn line(bytes: &[u8]) -> Result<Option<Form>, Unreadable> {
    let script = bytes.starts_with(b"#!");
    for (line, number) in bytes.split(|byte| *byte == b'\n').zip(1..) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let begins = |prefix: &&&str| line.starts_with(prefix.as_bytes());
        let Some(prefix) = BEGINNINGS.iter().find(begins) else { continue };
        let words = line.get(prefix.len()..).unwrap_or_default();
        let first = words.trim_ascii_start().split(u8::is_ascii_whitespace).next().unwrap_or_default();
        if script && !prefix.starts_with('#') && !first.contains(&b'=') {
            continue;
        }
        let indent = prefix.len();
        return match std::str::from_utf8(words) {
            Ok(words) if words.len() <= LONGEST => {
                Ok(Some(Form::Line { words: words.to_owned(), line: number, indent }))
            }
            Ok(_) => Err(Unreadable { part: None, at: At::Line(number, 1), reason: TOO_LONG.into() }),
            Err(error) => {
                let column =
                    words.get(..error.valid_up_to()).map_or(0, |good| String::from_utf8_lossy(good).chars().count());
                Err(Unreadable { part: None, at: At::Line(number, indent + column + 1), reason: "not UTF-8".into() })
            }
        };
    }
    Ok(None)
}

/// How the one line begins.
const BEGINNINGS: [&str; 5] = ["berth ", "berth\t", "#berth ", "#berth\t", "#berth: "];

const TOO_LONG: &str = "longer than 64 KiB";

fn text(bytes: &[u8]) -> Result<&str, Unreadable> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let fault = |at, reason: &'static str| Unreadable { part: None, at, reason: reason.into() };
    if bytes.len() > LONGEST {
        return Err(fault(At::Within, TOO_LONG));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let lines = good.split(|byte| *byte == b'\n');
        let column = lines.clone().next_back().map_or(0, |line| String::from_utf8_lossy(line).chars().count());
        fault(At::Line(lines.count(), column + 1), "not UTF-8")
    })
}

fn unpack(bytes: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>, Unreadable> {
    if !bytes.starts_with(b"\x1f\x8b") {
        return Ok(bytes.into());
    }
    let fault = |reason: &'static str| Unreadable { part: None, at: At::Within, reason: reason.into() };
    let mut unpacked = Vec::new();
    let mut limited = flate2::read::MultiGzDecoder::new(bytes).take(UNPACKED + 1);
    limited.read_to_end(&mut unpacked).map_err(|_| fault("begins as gzip does and cannot be unpacked"))?;
    if unpacked.len() as u64 > UNPACKED { Err(fault("unpacks to more than 1 MiB")) } else { Ok(unpacked.into()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn told(bytes: &[u8]) -> String {
        match in_user_data(bytes) {
            Ok(None) => "none".into(),
            Ok(Some(Found { part, form })) => {
                let form = match form {
                    Form::Line { words, line, indent } => format!("line {line} from {indent}: {words}"),
                    Form::Toml(text) => format!("TOML {text:?}"),
                    Form::Json(text) => format!("JSON {text:?}"),
                };
                part.map_or(form.clone(), |part| format!("part {part}, {form}"))
            }
            Err(Unreadable { part, at, reason }) => format!("{part:?} {at:?} {reason}"),
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(told(text.as_bytes()), expected);
        assert_eq!(told(&gzip(text.as_bytes())), expected, "packed");
    }

    #[test]
    fn the_line_is_found_wherever_it_may_be() {
        check("berth image=x:1", "line 1 from 6: image=x:1");
        check("#berth image=x:1\n", "line 1 from 7: image=x:1");
        check("#berth: image=x:1\n", "line 1 from 8: image=x:1");
        check("#cloud-config\n#berth image=x:1\npackages: []\n", "line 2 from 7: image=x:1");
        check("#!/bin/bash\r\nset -e\r\n#berth image=x:1\r\necho\r\n", "line 3 from 7: image=x:1");
        check("\u{feff}berth a=1", "line 1 from 6: a=1");
        check("berth a=1\nberth b=2\n", "line 1 from 6: a=1");
        check("berth \n", "line 1 from 6: ");
    }

    #[test]
    fn the_command_in_a_script_is_not_the_line() {
        check("#!/bin/sh\nberth wait ready --timeout=5m\n#berth a=1\n", "line 3 from 7: a=1");
        check("#!/bin/sh\nberth wait ready\n", "none");
        check("#!/bin/sh\n  berth a=1\n", "none");
        check("berth wait\n", "line 1 from 6: wait");
    }

    #[test]
    fn documents_are_told_by_their_first_line_or_character() {
        check("#berth\nimage = 'x:1'\n", "TOML \"#berth\\nimage = 'x:1'\\n\"");
        check("#berth \r\nimage = 'x:1'", "TOML \"#berth \\r\\nimage = 'x:1'\"");
        check(" \n{\"image\":\"x:1\"}", "JSON \" \\n{\\\"image\\\":\\\"x:1\\\"}\"");
        check("\n#berth\nimage = 'x:1'\n", "none");
        check("#berthed image=x", "none");
        check("", "none");
        check("#!/bin/sh\necho\n", "none");
    }

    #[test]
    fn a_part_of_a_multi_part_is_found_packed_or_not() {
        let message = |kind: &str, encoding: &str, body: &str| {
            format!(
                "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"B\"\n\n--B\nContent-Type: text/cloud-config\n\n\
                 #cloud-config\n--B\nContent-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n\n{body}\n--B--\n"
            )
        };
        use base64::Engine;
        let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        check(&message("text/x-berth", "7bit", "berth a=1"), "part 2, line 1 from 6: a=1");
        check(&message("text/x-berth", "7bit", "{}"), "part 2, JSON \"{}\"");
        check(&message("text/x-berth", "base64", &base64(b"berth a=1")), "part 2, line 1 from 6: a=1");
        check(&message("text/x-berth", "base64", &base64(&gzip(b"#berth\na=1"))), "part 2, TOML \"#berth\\na=1\"");
        check(
            &message("text/x-berth", "base64", "%"),
            "Some(2) Within has a Content-Transfer-Encoding that cannot be undone",
        );
        check(&message("text/x-berth", "7bit", "image=x"), &format!("Some(2) Within {NOTHING}"));
        check(&message("text/x-shellscript", "7bit", "#!/bin/sh\n#berth a=1"), "part 2, line 2 from 7: a=1");
        check(
            &message("text/x-shellscript", "base64", &base64(b"#!/bin/sh\n#berth a=1")),
            "part 2, line 2 from 7: a=1",
        );
        check(&message("text/plain", "7bit", "{}"), "none");
        let twice = message("text/x-berth", "7bit", "berth a=1\n--B\nContent-Type: text/x-berth\n\nberth b=1");
        check(&twice, "None Within has more than one text/x-berth part");
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        assert_eq!(told(b"\x1f\x8bnothing"), "None Within begins as gzip does and cannot be unpacked");
        assert_eq!(told(&gzip(&vec![b' '; (1 << 20) + 1])), "None Within unpacks to more than 1 MiB");
        assert_eq!(told(b"x\nberth a=\xff"), "None Line(2, 9) not UTF-8");
        assert_eq!(told(b"#berth\na='\xff'"), "None Line(2, 4) not UTF-8");
        check(&format!("berth {}", "x".repeat(70_000)), "None Line(1, 1) longer than 64 KiB");
        check(&format!("{{{}", "x".repeat(70_000)), "None Within longer than 64 KiB");
        assert_eq!(told(b"\xff\xfe#!/bin/sh"), "none");
    }
}
