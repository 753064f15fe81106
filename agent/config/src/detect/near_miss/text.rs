//! Texts that are a config in a form that is not supported.

use crate::detect::foreign::Foreign;
use crate::keys::Key;

/// The position of a config in another form, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misread {
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// The column, counted from 1.
    pub(crate) column: usize,
    /// What it is, and what to do.
    pub(crate) fix: &'static str,
}

/// Recognises a form, by its line and column.
struct Recogniser {
    /// Whether user-data of this kind can be in this form.
    fits: fn(Foreign) -> bool,
    find: fn(&[&str]) -> Option<(usize, usize)>,
    fix: &'static str,
}

/// Every form, in the order in which they are tried.
static RECOGNISERS: [Recogniser; 8] = [
    Recogniser {
        fits: |kind| kind != Foreign::Script,
        find: mime,
        fix: "looks like MIME and cannot be parsed: the first line must be a header (`MIME-Version: 1.0`), not indented, and the parts need their boundary",
    },
    Recogniser {
        fits: |kind| kind == Foreign::Text,
        find: |lines| at(lines, |line| line.contains("\"image\"") && line.contains(':')),
        fix: "looks like JSON: the user-data must be one object, `{\"image\": …}`, with no comments and nothing around it",
    },
    Recogniser {
        fits: |kind| kind != Foreign::Script,
        find: yaml_block,
        fix: "looks like YAML, which is not supported: write `#berth image=… port=…` on one line, or TOML, or JSON",
    },
    Recogniser {
        fits: |_| true,
        find: late_head,
        fix: "TOML needs `#berth` as the first line of the user-data; elsewhere, write `#berth image=… port=…` on one line",
    },
    Recogniser {
        fits: |kind| kind == Foreign::Text,
        find: |lines| {
            at_the_top(lines, |line| {
                key(line).is_some_and(|(_, rest)| {
                    rest.starts_with('=') && rest.len() > 1 && !rest[1..].starts_with([' ', '"', '\''])
                })
            })
        },
        fix: "looks like the one-line form without `berth `: write `berth image=… port=…`",
    },
    Recogniser {
        fits: |kind| kind == Foreign::Text,
        find: |lines| at_the_top(lines, |line| key(line).is_some_and(|(_, rest)| rest.trim_start().starts_with('='))),
        fix: "looks like TOML: it needs `#berth` as its first line, and no table `[berth]` around the keys",
    },
    Recogniser {
        fits: |kind| kind == Foreign::Text,
        find: |lines| at_the_top(lines, |line| key(line).is_some_and(|(_, rest)| rest.trim_start().starts_with(':'))),
        fix: "looks like YAML, which is not supported: write `#berth image=… port=…` on one line, or TOML, or JSON",
    },
    Recogniser {
        fits: |kind| kind == Foreign::Text,
        find: |lines| at(lines, |line| line.to_ascii_uppercase().contains("BERTH_IMAGE=")),
        fix: "berth reads no such variables: write `berth image=… port=…`",
    },
];

/// The form of a text that has no config but was meant as one.
pub(crate) fn misread(text: &str, kind: Foreign) -> Option<Misread> {
    let lines: Vec<&str> = text.lines().collect();
    RECOGNISERS.iter().filter(|form| (form.fits)(kind)).find_map(|form| {
        let (line, column) = (form.find)(&lines)?;
        Some(Misread { line, column, fix: form.fix })
    })
}

/// The first bytes of compressed data that is not gzip, which no program on an instance decompresses.
const COMPRESSED: [(&[u8], &str); 6] = [
    (b"\x1f\x8b", "is compressed with gzip more than once: compress it once"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd: only gzip is supported"),
    (b"\xfd7zXZ\0", "is compressed with xz: only gzip is supported"),
    (b"BZh", "is compressed with bzip2: only gzip is supported"),
    (b"PK\x03\x04", "is a zip archive: only gzip is supported"),
    (b"\x78", "is compressed with zlib: only gzip is supported (the file format, with its header)"),
];

/// The compression of bytes that berth cannot decompress.
pub(crate) fn foreign_compression(bytes: &[u8]) -> Option<&'static str> {
    let found = COMPRESSED.iter().find(|(magic, _)| bytes.starts_with(magic))?;
    // The first two bytes of zlib are divisible by 31 (RFC 1950), and the second is not a letter.
    let is_zlib = |bytes: &[u8]| matches!(bytes.first_chunk::<2>(), Some(head @ [_, 0x01 | 0x9c | 0xda]) if u16::from_be_bytes(*head) % 31 == 0);
    (found.0 != b"\x78" || is_zlib(bytes)).then_some(found.1)
}

/// The first line that matches, and the column of its first character.
fn at(lines: &[&str], is: impl Fn(&str) -> bool) -> Option<(usize, usize)> {
    let (line, number) = lines.iter().zip(1..).find(|(line, _)| is(line))?;
    Some((number, indent(line) + 1))
}

/// The first line that matches and has the least indentation: deeper lines belong to the tables of another document.
fn at_the_top(lines: &[&str], is: impl Fn(&str) -> bool) -> Option<(usize, usize)> {
    let least = lines.iter().filter(|line| !line.trim().is_empty()).map(|line| indent(line)).min()?;
    at(lines, |line| indent(line) == least && is(line))
}

fn indent(line: &str) -> usize {
    line.chars().take_while(|char| char.is_whitespace()).count()
}

/// The key at the start of a line, if only berth has such a key, and the rest of the line.
fn key(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start().trim_start_matches(['-', '"', '\'']);
    let end = line.find(|char: char| !(char.is_ascii_alphanumeric() || "_.".contains(char))).unwrap_or(line.len());
    let (key, rest) = line.split_at_checked(end)?;
    let rest = rest.trim_start_matches(['"', '\'']);
    // `name`, `user`, `port` and others are common keys of other programs.
    let own = key == "image"
        || (key == "config" && rest.starts_with("=s"))
        || (key.contains('.') && Key::find(key).is_some());
    own.then_some((key, rest))
}

/// A `text/x-berth` part that the parser of multi-parts does not find.
pub(crate) fn own_part(text: &str) -> Option<Misread> {
    const BOUNDARY: &str = "is a part that cannot be found: the `boundary` in the header of the multi-part must be in double quotes or without quotes, and its \
         lines `--BOUNDARY` must not be indented; multi-parts may be nested at most three deep";
    let lines: Vec<&str> = text.lines().collect();
    mime(&lines).map(|(line, column)| Misread { line, column, fix: BOUNDARY })
}

/// The first commented key in a TOML document that has only comments.
pub(crate) fn commented_keys(text: &str) -> Option<usize> {
    let mut below = text.lines().zip(1..).skip_while(|(line, _)| line.trim().is_empty()).skip(1);
    let is_comment = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if !below.clone().all(|(line, _)| is_comment(line)) {
        return None;
    }
    let is_key = |line: &str| {
        let (key, value) = line.trim_start_matches([' ', '\t', '#']).split_once('=')?;
        Key::find(key.trim()).filter(|_| !value.trim().is_empty()).map(drop)
    };
    below.find(|(line, _)| is_key(line).is_some()).map(|(_, number)| number)
}

fn mime(lines: &[&str]) -> Option<(usize, usize)> {
    at(lines, |line| {
        let line = line.trim_start().to_ascii_lowercase();
        line.starts_with("content-type:") && line.contains("text/x-berth")
    })
}

/// A line `berth:`, in a comment or not, with `image` in one of the lines below.
fn yaml_block(lines: &[&str]) -> Option<(usize, usize)> {
    const SOON: usize = 30;
    let marks = |char: char| char.is_whitespace() || "#-\"'|".contains(char);
    let (line, column) = at(lines, |line| line.trim_matches(marks).eq_ignore_ascii_case("berth:"))?;
    let holds = |line: &&str| {
        let line = line.to_ascii_lowercase();
        let below = line.trim_start_matches(marks).strip_prefix("image");
        below.is_some_and(|rest| rest.trim_start_matches(marks).starts_with([':', '=']))
    };
    lines.iter().skip(line).take(SOON).any(holds).then_some((line, column))
}

/// `#berth` alone, not as the first line, with `image` below it.
fn late_head(lines: &[&str]) -> Option<(usize, usize)> {
    let (line, column) =
        at(lines, |line| line.starts_with('#') && line.trim_start_matches(['#', ' ', '\t']).trim_end() == "berth")?;
    let holds =
        |line: &&str| line.trim_start().strip_prefix("image").is_some_and(|rest| rest.trim_start().starts_with('='));
    lines.iter().skip(line).any(holds).then_some((line, column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_recognised_at_its_place() {
        let reported = |text: &str| misread(text, Foreign::of(text.as_bytes())).map(|it| (it.line, it.column, it.fix));
        for (n, text, place) in [
            (0, "  MIME-Version: 1.0\n  Content-Type: text/x-berth\n", (2, 3)),
            (1, "// x\n[{\"image\": \"x:1\"}]", (2, 1)),
            (2, "#cloud-config\nberth:\n  image: x:1\n", (2, 1)),
            (2, "#cloud-config\n#berth:\n#  image: x:1\n", (2, 1)),
            (3, "#!/bin/sh\n#berth\nimage = 'x:1'\n", (2, 1)),
            (4, "image=x:1 port=80\n", (1, 1)),
            (4, "port=80\nsecret.A=b\n", (2, 1)),
            (4, "config=ssm:/x\n", (1, 1)),
            (4, "--image=x:1\n", (1, 1)),
            (5, "  image = 'x:1'\n  [env]\n  A = 1\n", (1, 3)),
            (5, "[berth]\nimage='x:1'\n", (2, 1)),
            (6, "port: 80\nimage: x:1\n", (2, 1)),
            (7, "A=1\nexport BERTH_IMAGE=x:1\n", (2, 1)),
        ] {
            assert_eq!(reported(text), Some((place.0, place.1, RECOGNISERS[n].fix)), "{text}");
        }
        for text in [
            "services:\n  web:\n    image: x:1\n",
            "name=web\nport=80\n",
            "#!/bin/sh\nimage=x:1\n",
            "#cloud-config\nimage: x\n",
            "#cloud-config\nberth:\n  port: 80\n",
            "Images=1\n",
        ] {
            assert_eq!(reported(text), None, "{text}");
        }
    }

    #[test]
    fn what_only_gzip_could_be_is_named() {
        assert!(foreign_compression(b"\x28\xb5\x2f\xfd\0").is_some_and(|fix| fix.contains("zstd")));
        assert!(foreign_compression(b"\x78\x9c\0").is_some_and(|fix| fix.contains("zlib")));
        assert_eq!(foreign_compression(b"x: y"), None);
        assert_eq!(foreign_compression(b"#cloud-config"), None);
    }
}
