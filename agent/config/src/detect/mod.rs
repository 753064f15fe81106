//! Finds berth's config in bytes that can be anything: a script, a cloud-config, a MIME multi-part, gzip, nothing.
//!
//! ```text
//!   gzip ─▶ UTF-16 ─▶ MIME ─▶ part text/x-berth ─▶ ┬ first line is `#berth`        TOML
//!                          └▶ other parts ─┐       ├ first character is `{`        JSON
//!                                          └──────▶├ a line that begins `#berth …` the one line
//!                                                  ├ almost one of these           refused (near_miss)
//!                                                  └ none of these                 another program's (foreign.rs)
//! ```

use crate::detect::found::{ConfigForm, Detected, FoundConfig, LONGEST, Refusal, TOO_LONG, one_of, text, within};
use crate::detect::packed::{from_utf16, unpack};
use crate::error::Position;
use foreign::{Foreign, Owner};
use near_miss::{BerthLine, ENCODINGS, Misread, NearMiss};

pub(crate) mod foreign;
pub(crate) mod found;
pub(crate) mod mime;
pub(crate) mod near_miss;
pub(crate) mod packed;

/// The deepest nesting of gzip, MIME and base64.
const DEEPEST: usize = 3;

/// Finds the config in user-data.
pub(crate) fn in_user_data(bytes: &[u8]) -> Detected {
    search(bytes, 0)
}

/// Finds the config in a file, where TOML needs no first line `#berth`.
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
            // A part that was split wrongly, or not at all, because of its boundary.
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

/// A script or a cloud-config in a multi-part may have the line too; a document is a config only in a part of type `text/x-berth`.
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

/// The error of a document that must have a config and has none.
pub(crate) const NOTHING: &str = "has no config: a config is a line that begins with `berth ` or `#berth `, TOML below a first line \
     `#berth`, or a JSON object";

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

/// Whether this is `#berth`, with or without spaces around its parts.
fn is_head(line: &[u8]) -> bool {
    let mark = line.iter().take_while(|byte| b"# \t".contains(byte)).count();
    let name = line.get(mark..).unwrap_or_default().trim_ascii_end();
    line.starts_with(b"#") && name == b"berth"
}

/// A TOML document. The one line in it is an error, because TOML ignores it as a comment.
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

/// A JSON object: berth's, or another program's.
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

/// Searches for the one line, and for near misses.
fn lines(bytes: &[u8], depth: usize) -> Detected {
    let kind = Foreign::of(bytes);
    let (mut configs, mut misses) = (Vec::new(), Vec::new());
    // Old editors end a line with only CR.
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

/// Checks that a line is UTF-8 and not too long.
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

#[cfg(test)]
mod tests;
