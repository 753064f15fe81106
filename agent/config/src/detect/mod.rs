//! Where berth's config is in bytes that may hold anything: a script, a cloud-config, a MIME multi-part, gzip, nothing.
//!
//! ```text
//!   gzip ─▶ UTF-16 ─▶ MIME ─▶ part text/x-berth ─▶ ┬ first line is `#berth`        TOML
//!                          └▶ other parts ─┐       ├ first character is `{`        JSON
//!                                          └──────▶├ a line that begins `#berth …` the one line
//!                                                  ├ almost one of these           refused (near_miss)
//!                                                  └ nothing of the kind           somebody else's (foreign.rs)
//! ```

use crate::detect::packed::{from_utf16, unpack};
use crate::error::Position;
use crate::value::Reason;
use foreign::{Foreign, Owner};
use near_miss::{BerthLine, ENCODINGS, Misread, NearMiss};

pub(crate) mod foreign;
pub(crate) mod mime;
pub(crate) mod near_miss;
pub(crate) mod packed;

/// What a document or a line of berth may be long; Secrets Manager holds as much.
const LONGEST: usize = 64 << 10;

/// gzip in MIME in base64, at most this deep.
const DEEPEST: usize = 3;

/// What is in user-data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Detected {
    /// A config, not yet read.
    Config(FoundConfig),
    /// Almost a config, or more than one: every place, with what to do.
    Refused(Vec<Refusal>),
    /// Nothing of berth's.
    Foreign(Foreign),
}

/// A config, not yet read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FoundConfig {
    /// The MIME part that holds it, counted from 1.
    pub(crate) part: Option<usize>,
    /// What it is.
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

/// Why what is there is not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The MIME part, counted from 1.
    pub(crate) part: Option<usize>,
    /// Where in there.
    pub(crate) at: Position,
    /// Why, and what to do.
    pub(crate) reason: Reason,
}

impl Refusal {
    fn new(at: Position, reason: impl Into<Reason>) -> Self {
        Self { part: None, at, reason: reason.into() }
    }
}

fn within(reason: &'static str) -> Refusal {
    Refusal::new(Position::Within, reason)
}

impl From<Refusal> for Detected {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(vec![refusal])
    }
}

impl Detected {
    fn found(form: ConfigForm) -> Self {
        Self::Config(FoundConfig { part: None, form })
    }

    /// As seen from the message that this is a part of.
    fn in_part(mut self, number: usize) -> Self {
        match &mut self {
            Self::Config(found) => found.part = Some(number),
            Self::Refused(refusals) => refusals.iter_mut().for_each(|refusal| refusal.part = Some(number)),
            Self::Foreign(_) => {}
        }
        self
    }
}

/// Finds the config in user-data.
pub(crate) fn in_user_data(bytes: &[u8]) -> Detected {
    search(bytes, 0)
}

/// Finds the config in a file of its own, where TOML needs no `#berth` at its head.
pub(crate) fn in_file(bytes: &[u8]) -> Result<ConfigForm, Refusal> {
    let unpacked = unpack(bytes).map_err(within)?;
    let decoded = from_utf16(&unpacked);
    let text = text(&decoded)?;
    let begins = |line: &str| line.starts_with("berth") || line.starts_with("#berth");
    if let Some((_, number)) = text.lines().zip(1..).find(|(line, _)| begins(line) && is_line(line)) {
        const IN_A_FILE: &str =
            "is the one-line form, which is for user-data: a file is TOML, `image = \"…\"`, or a JSON object";
        return Err(Refusal::new(Position::Line(number, 1), IN_A_FILE));
    }
    Ok(if text.trim_start().starts_with('{') {
        ConfigForm::Json(text.to_owned())
    } else {
        ConfigForm::Toml(text.to_owned())
    })
}

fn search(bytes: &[u8], depth: usize) -> Detected {
    let unpacked = match unpack(bytes) {
        Ok(unpacked) => unpacked,
        Err(reason) => return within(reason).into(),
    };
    let bytes = from_utf16(&unpacked);
    match mime::parts(&bytes) {
        Some(parts) if depth < DEEPEST => match search_parts(&parts, depth) {
            // A part that was split wrongly, or not at all, for its boundary.
            Detected::Foreign(kind) => near_miss::own_part(&String::from_utf8_lossy(&bytes))
                .map_or(Detected::Foreign(kind), |miss| {
                    Refusal::new(Position::Line(miss.line, miss.column), miss.fix).into()
                }),
            detected => detected,
        },
        _ => document(&bytes, depth),
    }
}

fn search_parts(parts: &[mime::Part], depth: usize) -> Detected {
    let is_own = |part: &mime::Part| part.content_type == "text/x-berth";
    if parts.iter().filter(|part| is_own(part)).count() > 1 {
        return Refusal::new(Position::Within, "has more than one text/x-berth part").into();
    }
    let detected = parts.iter().zip(1..).map(|(part, number)| {
        match &part.body {
            None if is_own(part) => {
                Refusal::new(Position::Within, "has a Content-Transfer-Encoding that cannot be decoded").into()
            }
            None => Detected::Foreign(Foreign::MultiPart),
            Some(body) if is_own(part) => own_part(body, depth),
            Some(body) => other_part(body, depth),
        }
        .in_part(number)
    });
    let detected: Vec<_> = detected.collect();
    let count = detected.iter().filter(|one| matches!(one, Detected::Config(_))).count();
    let (mut found, mut refused) = (None, Vec::new());
    for one in detected {
        match one {
            Detected::Foreign(_) => {}
            Detected::Refused(refusals) => refused.extend(refusals),
            Detected::Config(FoundConfig { part, form }) if count > 1 => {
                refused.push(Refusal { part, at: form.at(), reason: one_of(count) });
            }
            Detected::Config(one) => found = Some(one),
        }
    }
    match (found, refused.is_empty()) {
        (Some(found), true) => Detected::Config(found),
        (None, true) => Detected::Foreign(Foreign::MultiPart),
        _ => Detected::Refused(refused),
    }
}

fn own_part(body: &[u8], depth: usize) -> Detected {
    match search(body, depth + 1) {
        Detected::Foreign(_) => Refusal::new(Position::Within, NOTHING).into(),
        detected => detected,
    }
}

/// A script or a cloud-config in a multi-part may carry the line as well; a document is berth's only in a part of its own type.
fn other_part(body: &[u8], depth: usize) -> Detected {
    const WRONG_TYPE: &str = "is a config in a part of another type: give the part `Content-Type: text/x-berth`";
    let Ok(body) = unpack(body) else { return Detected::Foreign(Foreign::MultiPart) };
    match document(&from_utf16(&body), depth + 1) {
        Detected::Config(FoundConfig { form: ConfigForm::Json(text), .. }) if text.trim() == "{}" => {
            Detected::Foreign(Foreign::Json)
        }
        Detected::Config(FoundConfig { form: form @ (ConfigForm::Json(_) | ConfigForm::Toml(_)), .. }) => {
            Refusal::new(form.at(), WRONG_TYPE).into()
        }
        detected => detected,
    }
}

impl ConfigForm {
    /// Where it begins.
    fn at(&self) -> Position {
        match self {
            Self::Line { line, .. } => Position::Line(*line, 1),
            Self::Toml(_) | Self::Json(_) => Position::Line(1, 1),
        }
    }
}

/// What a document that must hold a config and holds none is reported.
pub(crate) const NOTHING: &str = "has no config: a config is a line that begins with `berth ` or `#berth `, TOML below a first line \
     `#berth`, or a JSON object";

fn one_of(count: usize) -> Reason {
    format!("is one of {count} configs, and only one is read: merge them, or remove the others").into()
}

fn document(bytes: &[u8], depth: usize) -> Detected {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if let Some(fix) = near_miss::foreign_compression(bytes) {
        return Refusal::new(Position::Within, fix).into();
    }
    let begins = bytes.trim_ascii_start();
    let first = begins.split(|byte| *byte == b'\n' || *byte == b'\r').next().unwrap_or_default();
    if is_head(first) {
        return match text(bytes) {
            Ok(text) => toml(text),
            Err(refusal) => refusal.into(),
        };
    }
    if begins.starts_with(b"{") {
        return match text(bytes) {
            Ok(text) => json(text, depth),
            Err(refusal) => refusal.into(),
        };
    }
    lines(bytes, depth)
}

/// `#berth`, also with spaces around its parts.
fn is_head(line: &[u8]) -> bool {
    let mark = line.iter().take_while(|byte| b"# \t".contains(byte)).count();
    let name = line.get(mark..).unwrap_or_default().trim_ascii_end();
    line.starts_with(b"#") && name == b"berth"
}

/// A TOML document; the one line in it, a comment for TOML, would be passed over.
fn toml(text: &str) -> Detected {
    const COMMENTED: &str = "is a comment: below the line `#berth`, write keys without `#`; only the one-line form, `#berth image=…`, may be a comment";
    const MIXED: &str = "is the one-line form, below a line `#berth` that announces TOML: remove the line `#berth`, or write this line as TOML";
    if let Some((_, number)) = text.lines().zip(1..).find(|(line, _)| is_line(line)) {
        return Refusal::new(Position::Line(number, 1), MIXED).into();
    }
    match near_miss::commented_keys(text) {
        Some(number) => Refusal::new(Position::Line(number, 1), COMMENTED).into(),
        None => Detected::found(ConfigForm::Toml(text.to_owned())),
    }
}

fn is_line(line: &str) -> bool {
    matches!(near_miss::look(line, false), Some(BerthLine::Config { words, .. }) if words.contains('='))
}

/// A JSON object: berth's, or that of somebody else.
fn json(text: &str, depth: usize) -> Detected {
    const INSIDE: &str = "the config is a string inside a JSON object: use that string alone as the user-data";
    let holds = |text: &str| depth < DEEPEST && is_berths(&search(text.as_bytes(), depth + 1));
    match foreign::json(text, holds) {
        Owner::Berth => Detected::found(ConfigForm::Json(text.to_owned())),
        Owner::Nested => within(INSIDE).into(),
        Owner::Other(foreign) => Detected::Foreign(foreign),
    }
}

fn is_berths(detected: &Detected) -> bool {
    !matches!(detected, Detected::Foreign(_))
}

/// Looks for the one line, and for what is almost one.
fn lines(bytes: &[u8], depth: usize) -> Detected {
    let kind = Foreign::of(bytes);
    let (mut configs, mut misses) = (Vec::new(), Vec::new());
    // Old editors end a line with CR alone.
    let end = if bytes.contains(&b'\n') { b'\n' } else { b'\r' };
    for (raw, number) in bytes.split(|byte| *byte == end).zip(1..) {
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        match near_miss::look(&String::from_utf8_lossy(raw), kind == Foreign::Script) {
            None => {}
            Some(BerthLine::NearMiss(miss)) => misses.push((number, miss)),
            Some(BerthLine::Config { words, indent }) => configs.push((number, checked(raw, words, number, indent))),
        }
    }
    if let [(number, _)] = configs.as_slice()
        && let Some(next) = bytes.split(|byte| *byte == end).nth(*number)
        && near_miss::goes_on(&String::from_utf8_lossy(next), kind == Foreign::Script)
    {
        return Refusal::new(
            Position::Line(number + 1, 1),
            "continues the config of the line before: write everything on one line",
        )
        .into();
    }
    let certain = misses.iter().filter(|(_, miss)| miss.certain).count();
    if configs.len() == 1 && certain == 0 {
        return configs
            .pop()
            .map_or(Detected::Foreign(kind), |(_, config)| config.map_or_else(Detected::from, Detected::found));
    }
    if configs.is_empty() {
        if let Some(code) = ENCODINGS
            .iter()
            .filter(|_| depth < DEEPEST)
            .find(|code| (code.undo)(bytes).is_some_and(|plain| is_berths(&search(&plain, depth + 1))))
        {
            return Refusal::new(Position::Within, code.fix).into();
        }
    } else {
        misses.retain(|(_, miss)| miss.certain);
    }
    let count = configs.len();
    let at = |number: usize, column: usize| Position::Line(number, column);
    let mut refused: Vec<_> = configs
        .into_iter()
        .filter(|_| count > 1)
        .map(|(number, _)| Refusal::new(at(number, 1), one_of(count)))
        .collect();
    refused.extend(
        misses.into_iter().map(|(number, NearMiss { column, reason, .. })| Refusal::new(at(number, column), reason)),
    );
    if !refused.is_empty() {
        return Detected::Refused(refused);
    }
    match near_miss::misread(&String::from_utf8_lossy(bytes), kind) {
        Some(Misread { line, column, fix }) => Refusal::new(Position::Line(line, column), fix).into(),
        None => Detected::Foreign(kind),
    }
}

/// The words of a line that are text and not too many.
fn checked(raw: &[u8], words: String, line: usize, indent: usize) -> Result<ConfigForm, Refusal> {
    match std::str::from_utf8(raw) {
        Err(error) => {
            let good = String::from_utf8_lossy(raw.get(..error.valid_up_to()).unwrap_or_default());
            Err(Refusal::new(Position::Line(line, good.chars().count() + 1), "not UTF-8"))
        }
        Ok(_) if words.len() > LONGEST => Err(Refusal::new(Position::Line(line, 1), TOO_LONG)),
        Ok(_) => Ok(ConfigForm::Line { words, line, indent }),
    }
}

const TOO_LONG: &str = "longer than 64 KiB";

fn text(bytes: &[u8]) -> Result<&str, Refusal> {
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn reported(bytes: &[u8]) -> String {
        match in_user_data(bytes) {
            Detected::Foreign(_) => "none".into(),
            Detected::Config(FoundConfig { part, form }) => {
                let form = match form {
                    ConfigForm::Line { words, line, indent } => format!("line {line} from {indent}: {words}"),
                    ConfigForm::Toml(text) => format!("TOML {text:?}"),
                    ConfigForm::Json(text) => format!("JSON {text:?}"),
                };
                part.map_or(form.clone(), |part| format!("part {part}, {form}"))
            }
            Detected::Refused(refusals) => {
                let reported = |Refusal { part, at, reason }: &Refusal| format!("{part:?} {at:?} {reason}");
                refusals.iter().map(reported).collect::<Vec<_>>().join("; ")
            }
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(reported(text.as_bytes()), expected);
        assert_eq!(reported(&gzip(text.as_bytes())), expected, "packed");
    }

    #[test]
    fn the_line_is_found_wherever_it_may_be() {
        check("berth image=x:1", "line 1 from 6: image=x:1");
        check("#berth image=x:1\n", "line 1 from 7: image=x:1");
        check("#berth: image=x:1\n", "line 1 from 8: image=x:1");
        check("#cloud-config\n#berth image=x:1\npackages: []\n", "line 2 from 7: image=x:1");
        check("#!/bin/bash\r\nset -e\r\n#berth image=x:1\r\necho\r\n", "line 3 from 7: image=x:1");
        check("\u{feff}berth a=1", "line 1 from 6: a=1");
        check("  #cloud-config\r  # berth a=1\r", "line 2 from 10: a=1");
        check("berth \n", "line 1 from 6: ");
    }

    #[test]
    fn the_command_in_a_script_is_not_the_line() {
        check("#!/bin/sh\nberth wait ready --timeout=5m\n#berth a=1\n", "line 3 from 7: a=1");
        check("#!/bin/sh\nberth wait ready\n", "none");
        check("#!/bin/sh\n  berth a=1\n", "line 2 from 8: a=1");
        check("berth wait\n", "line 1 from 6: wait");
    }

    #[test]
    fn documents_are_told_by_their_first_line_or_character() {
        check("#berth\nimage = 'x:1'\n", "TOML \"#berth\\nimage = 'x:1'\\n\"");
        check("#berth \r\nimage = 'x:1'", "TOML \"#berth \\r\\nimage = 'x:1'\"");
        check(" \n{\"image\":\"x:1\"}", "JSON \" \\n{\\\"image\\\":\\\"x:1\\\"}\"");
        check("\n#berth\nimage = 'x:1'\n", "TOML \"\\n#berth\\nimage = 'x:1'\\n\"");
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
            "Some(2) Within has a Content-Transfer-Encoding that cannot be decoded",
        );
        check(&message("text/x-berth", "7bit", "hello"), &format!("Some(2) Within {NOTHING}"));
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
    fn a_file_with_the_one_line_is_not_an_empty_file() {
        for text in ["#berth image=x:1\n", "# defaults\nberth image=x:1\n"] {
            let refused = in_file(text.as_bytes()).unwrap_err();
            assert!(refused.reason.starts_with("is the one-line form, which is for user-data"), "{text}");
        }
        for text in ["#berth\nimage = 'x:1'\n", "# berth image=x:1 as an example\n", "image = 'x:1' # berth\n"] {
            assert_eq!(in_file(text.as_bytes()), Ok(ConfigForm::Toml(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        assert_eq!(reported(b"\x1f\x8bnothing"), "None Within begins like gzip and cannot be decompressed");
        assert_eq!(reported(&gzip(&vec![b' '; (1 << 20) + 1])), "None Within decompresses to more than 1 MiB");
        assert_eq!(reported(b"x\nberth a=\xff"), "None Line(2, 9) not UTF-8");
        assert_eq!(reported(b"#berth\na='\xff'"), "None Line(2, 4) not UTF-8");
        check(&format!("berth {}", "x".repeat(70_000)), "None Line(1, 1) longer than 64 KiB");
        check(&format!("{{{}", "x".repeat(70_000)), "None Within longer than 64 KiB");
        assert_eq!(reported(b"\xff\xfe#!/bin/sh"), "none");
    }
}
