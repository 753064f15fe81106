//! Removes the values of secrets from the app's output.
//!
//! A value is searched as it is, in the escapes of JSON (also twice), percent-encoded, in base64 (also inside a longer token, as
//! in `Authorization: Basic …`) and in hex; a value of several lines also line by line, a JSON value also by each string in it,
//! a URL also by its password. `[secret NAME]` replaces it.
//!
//! Values shorter than [`SHORTEST`], and `true`, `false` and `null`, are left: they would be found in every line.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::io::secret::Secret;

use views::DecodedView;

mod views;

/// The least bytes of a value that is searched.
pub const SHORTEST: usize = 4;
/// The most bytes that an encoding makes of one: `\u0000`.
const WIDEST: usize = 6;
/// Characters of a secret's name that are shown.
const NAME: usize = 40;

/// The values to remove.
#[derive(Default)]
pub struct Redactor {
    names: Vec<String>,
    needles: Vec<Needle>,
    longest: usize,
}

struct Needle {
    /// The index of its name.
    of: usize,
    bytes: Zeroizing<Vec<u8>>,
    /// Whether it is part of a base64 token, which is removed as a whole.
    in_token: bool,
}

impl Redactor {
    /// For these values.
    pub fn new<'s>(secrets: impl IntoIterator<Item = (&'s str, &'s Secret)>) -> Self {
        let mut redactor = Self::default();
        for (name, secret) in secrets {
            redactor.add(name, secret.expose());
        }
        redactor
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        let of = self.names.len();
        let usual = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
        self.names.push(name.chars().take(NAME).map(|c| if usual(c) { c } else { '?' }).collect());
        for form in forms(value) {
            // In the same form as the searched text: without control sequences.
            let plain = DecodedView::plain(&form).bytes;
            if plain.len() < SHORTEST || is_ordinary(&plain) {
                continue;
            }
            self.longest = self.longest.max(plain.len());
            let tokens = (0..3).flat_map(|before| inside_base64(&form, before)).map(|bytes| (bytes, true));
            let hex = [hex(&form, b"0123456789abcdef"), hex(&form, b"0123456789ABCDEF")].map(|bytes| (bytes, false));
            for (bytes, in_token) in [(plain, false)].into_iter().chain(tokens).chain(hex) {
                if bytes.len() >= SHORTEST && !self.needles.iter().any(|one| one.bytes == bytes) {
                    self.needles.push(Needle { of, bytes, in_token });
                }
            }
        }
    }

    /// The text without any value, and without control sequences. `is_cut`: it may begin in the middle of a value; then as much of its first line is
    /// removed as the longest value has.
    pub fn redact(&self, text: &[u8], is_cut: bool) -> Zeroizing<Vec<u8>> {
        let plain = DecodedView::plain(text);
        let mut found = Vec::new();
        self.search(&plain, &mut found);
        let escapes = |view: &DecodedView| view.bytes.contains(&b'\\');
        let percents = |view: &DecodedView| view.bytes.contains(&b'%') || view.bytes.contains(&b'+');
        if percents(&plain) {
            self.search(&plain.percent_decoded(), &mut found);
            self.search(&plain.form_decoded(), &mut found);
        }
        if escapes(&plain) {
            let once = plain.unescaped();
            self.search(&once, &mut found);
            if percents(&once) {
                self.search(&once.percent_decoded(), &mut found);
            }
            if escapes(&once) {
                self.search(&once.unescaped(), &mut found);
            }
        }
        if is_cut && self.longest > 0 {
            let line = plain.bytes.iter().position(|byte| *byte == b'\n').map_or(plain.bytes.len(), |end| end + 1);
            let end = line.min(self.longest.saturating_mul(WIDEST));
            found.push((0..plain.place(end), None));
        }
        self.without(&plain, found)
    }

    fn search(&self, view: &DecodedView, found: &mut Vec<(Range<usize>, Option<usize>)>) {
        for needle in &self.needles {
            let [first, ..] = needle.bytes[..] else { continue };
            let mut at = 0;
            while let Some(skipped) = view.bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == first))
            {
                at += skipped;
                if !view.bytes.get(at..).is_some_and(|rest| rest.starts_with(&needle.bytes)) {
                    at += 1;
                    continue;
                }
                let (mut begin, mut end) = (at, at + needle.bytes.len());
                if needle.in_token {
                    let in_token = |at: &usize| view.bytes.get(*at).is_some_and(|byte| is_base64(*byte));
                    begin = (0..begin).rev().take_while(in_token).last().unwrap_or(begin);
                    end = (end..view.bytes.len()).take_while(in_token).last().map_or(end, |last| last + 1);
                }
                found.push((view.place(begin)..view.end_of(end - 1), Some(needle.of)));
                at = end;
            }
        }
    }

    /// The view without these ranges of the text it was made from.
    fn without(&self, view: &DecodedView, mut found: Vec<(Range<usize>, Option<usize>)>) -> Zeroizing<Vec<u8>> {
        found.sort_by_key(|(range, _)| (range.start, usize::MAX - range.end));
        let mut kept = Zeroizing::new(Vec::with_capacity(view.bytes.len() + found.len() * (NAME + 16)));
        let (mut next, mut gone_until) = (found.iter().peekable(), 0);
        for (at, byte) in view.bytes.iter().enumerate() {
            let place = view.place(at);
            while let Some((range, of)) = next.next_if(|(range, _)| range.start <= place) {
                if range.end > gone_until {
                    // An overlapping value is removed with the one before it.
                    if range.start >= gone_until {
                        let name = of.and_then(|of| self.names.get(of));
                        kept.extend(name.map(|name| format!("[secret {name}]")).unwrap_or_default().bytes());
                    }
                    gone_until = range.end;
                }
            }
            if place >= gone_until {
                kept.push(*byte);
            }
        }
        kept
    }
}

/// The value, and the parts of it that an app may write alone.
fn forms(value: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let value = value.trim_ascii();
    let mut forms = Vec::new();
    add_text(value, &mut forms);
    if matches!(value, [b'{' | b'[', ..])
        && let Ok(json) = serde_json::from_slice(value)
    {
        add_strings(json, &mut forms);
    }
    forms
}

/// A text, its lines, and the password of a URL.
fn add_text(text: &[u8], forms: &mut Vec<Zeroizing<Vec<u8>>>) {
    let own = |bytes: &[u8]| Zeroizing::new(bytes.to_vec());
    forms.push(own(text));
    if text.contains(&b'\n') {
        forms.extend(text.split(|byte| *byte == b'\n').map(|line| own(line.trim_ascii())));
    }
    if let Some(password) = url_password(text) {
        forms.push(own(password));
        forms.push(DecodedView::plain(password).percent_decoded().bytes);
    }
}

fn add_strings(json: serde_json::Value, forms: &mut Vec<Zeroizing<Vec<u8>>>) {
    match json {
        serde_json::Value::String(text) => add_text(Zeroizing::new(text.into_bytes()).trim_ascii(), forms),
        serde_json::Value::Array(values) => values.into_iter().for_each(|value| add_strings(value, forms)),
        serde_json::Value::Object(fields) => fields.into_iter().for_each(|(_, value)| add_strings(value, forms)),
        serde_json::Value::Number(number) => forms.push(Zeroizing::new(number.to_string().into_bytes())),
        serde_json::Value::Null | serde_json::Value::Bool(_) => {}
    }
}

/// `scheme://user:PASSWORD@host`
fn url_password(value: &[u8]) -> Option<&[u8]> {
    let begin = value.windows(3).position(|three| three == b"://")? + 3;
    let authority = value.get(begin..)?.split(|byte| matches!(byte, b'/' | b'?' | b'#')).next()?;
    let user = authority.get(..authority.iter().rposition(|byte| *byte == b'@')?)?;
    user.get(user.iter().position(|byte| *byte == b':')? + 1..)
}

fn is_ordinary(value: &[u8]) -> bool {
    [&b"true"[..], b"false", b"null"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// The characters that base64 makes of the value alone, after this many other bytes (modulo 3), in both alphabets. The characters at its ends encode
/// other bytes as well, and are left out.
fn inside_base64(value: &[u8], before: usize) -> Vec<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(before + value.len()));
    bytes.resize(before, 0);
    bytes.extend_from_slice(value);
    // Six bits a character: those that begin in the bytes before, or end in the bytes after, are shared.
    let own = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
    let of = |engine: &base64::engine::GeneralPurpose| {
        let text = Zeroizing::new(engine.encode(&*bytes).into_bytes());
        Zeroizing::new(text.get(own.clone()).unwrap_or_default().to_vec())
    };
    vec![of(&STANDARD_NO_PAD), of(&URL_SAFE_NO_PAD)]
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte)
}

fn hex(value: &[u8], digits: &[u8; 16]) -> Zeroizing<Vec<u8>> {
    let digit = |nibble: u8| digits.get(usize::from(nibble)).copied().unwrap_or_default();
    let mut text = Zeroizing::new(Vec::with_capacity(value.len() * 2));
    for byte in value {
        text.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    text
}

#[cfg(test)]
mod tests;
