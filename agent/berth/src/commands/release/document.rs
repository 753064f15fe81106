//! The document of a release as text: the comment in its head, and another image in its place.

use berth_config::printable::one_line;

/// Begins the comment that a publisher writes.
const COMMENT: &str = "# published ";
/// The longest notes, in bytes.
const LONGEST_NOTES: usize = 1000;

/// What kind of text a document is, as far as a comment is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The one line, perhaps in a script.
    Line,
    /// TOML below `#berth`.
    Toml,
    /// JSON, which has no comments.
    Json,
    /// MIME, gzip, UTF-16: nothing is changed in it.
    Packed,
}

/// What a publisher wrote in the head of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comment<'t> {
    pub(super) time: &'t str,
    pub(super) notes: Option<&'t str>,
}

/// The form of a document. It may be invalid: the config decides that.
pub(super) fn form(bytes: &[u8]) -> Form {
    let Ok(text) = std::str::from_utf8(bytes) else { return Form::Packed };
    let first = text.trim_start_matches('\u{feff}').trim_start().lines().next().unwrap_or_default();
    let is_header = |name: &str| first.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name));
    if text.contains('\0') || is_header("mime-version:") || is_header("content-type:") {
        Form::Packed
    } else if first.starts_with('{') {
        Form::Json
    } else if is_head(first) {
        Form::Toml
    } else {
        Form::Line
    }
}

/// A document from a file whose name says that it is TOML: with the line `#berth` that it needs elsewhere.
pub(super) fn from_toml_file(bytes: Vec<u8>) -> Vec<u8> {
    match form(&bytes) {
        Form::Line => [b"#berth\n", bytes.as_slice()].concat(),
        _ => bytes,
    }
}

/// The text with this comment in its head, in the place of an earlier one; none if its form has no place for it.
pub(super) fn with_comment(bytes: &[u8], time: &str, notes: Option<&str>) -> Option<Vec<u8>> {
    let form = form(bytes);
    let text = std::str::from_utf8(bytes).ok().filter(|_| matches!(form, Form::Line | Form::Toml))?;
    let end = match (text.contains("\r\n"), text.contains('\n'), text.contains('\r')) {
        (true, ..) => "\r\n",
        (_, false, true) => "\r",
        _ => "\n",
    };
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let at = after_head(text, form, end, mark);
    let (head, rest) = text.split_at_checked(at)?;
    let rest = match is_comment(rest) {
        true => rest.split_once(end).map_or("", |(_, rest)| rest),
        false => rest,
    };
    let notes = notes.map(|notes| format!(": {}", one_line(&words(notes), LONGEST_NOTES))).unwrap_or_default();
    let between = if head.len() == mark || head.ends_with(end) { "" } else { end };
    Some(format!("{head}{between}{COMMENT}{time}{notes}{end}{rest}").into_bytes())
}

/// The comment of a publisher, if there is one.
pub(super) fn comment(bytes: &[u8]) -> Option<Comment<'_>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.trim_start_matches('\u{feff}').split(['\n', '\r']).filter(|line| !line.trim().is_empty());
    let line = lines.by_ref().take(3).find(|line| is_comment(line))?;
    let rest = line.strip_prefix(COMMENT)?;
    let (time, notes) = rest.split_once(": ").map_or((rest, None), |(time, notes)| (time, Some(notes)));
    Some(Comment { time, notes })
}

/// Every text in which one value behind the word `image` is another. Which of them is meant the config says: this knows neither
/// comments nor tables. `replaced` is given the value as it is written.
pub(super) fn with_other_image(text: &str, replaced: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut texts = Vec::new();
    for (at, word) in text.match_indices("image") {
        let Some((head, rest)) = text.split_at_checked(at + word.len()) else { continue };
        let Some((skipped, value)) = value(rest) else { continue };
        let Some(other) = replaced(value) else { continue };
        let behind = rest.get(skipped + value.len()..).unwrap_or_default();
        let before = rest.get(..skipped).unwrap_or_default();
        texts.push(format!("{head}{before}{other}{behind}"));
    }
    texts
}

/// The value behind a key, without its quotes, and how many bytes are before it.
fn value(rest: &str) -> Option<(usize, &str)> {
    let space = |text: &str| text.len() - text.trim_start_matches([' ', '\t', '\n', '\r']).len();
    // The quote of a key.
    let mut at = usize::from(rest.starts_with(['"', '\'']));
    at += space(rest.get(at..)?);
    rest.get(at..)?.strip_prefix(['=', ':'])?;
    at += 1;
    at += space(rest.get(at..)?);
    let value = rest.get(at..)?;
    match value.chars().next()? {
        quote @ ('"' | '\'') => {
            let inside = value.get(1..)?;
            Some((at + 1, inside.split_once(quote)?.0))
        }
        _ => Some((at, value.split([' ', '\t', '\n', '\r', '"', '\'']).next()?)),
    }
}

/// Where a comment goes: behind the line that says what the text is.
fn after_head(text: &str, form: Form, end: &str, mark: usize) -> usize {
    let body = text.get(mark..).unwrap_or_default();
    let space = body.len() - body.trim_start().len();
    let first = body.get(space..).unwrap_or_default().split(end).next().unwrap_or_default();
    let after = (mark + space + first.len() + end.len()).min(text.len());
    let says_what = ["#!", "#cloud-", "#include", "#part-handler", "## template"];
    match form {
        Form::Toml => after,
        _ if says_what.iter().any(|begin| first.starts_with(begin)) => after,
        _ => mark,
    }
}

fn is_head(line: &str) -> bool {
    line.starts_with('#') && line.trim_start_matches(['#', ' ', '\t']).trim_end() == "berth"
}

fn is_comment(text: &str) -> bool {
    let year = text.strip_prefix(COMMENT).and_then(|rest| rest.get(..5));
    year.is_some_and(|year| year.ends_with('-') && year.bytes().take(4).all(|byte| byte.is_ascii_digit()))
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commented(text: &str, notes: Option<&str>) -> Option<String> {
        with_comment(text.as_bytes(), "2026-11-21T03:34:32Z", notes).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_comment_is_in_the_head_where_the_form_has_a_place() {
        for (text, with) in [
            ("berth image=x:1", "# published T\nberth image=x:1"),
            ("#berth image=x:1\n", "# published T\n#berth image=x:1\n"),
            ("#!/bin/sh\n#berth image=x:1\n", "#!/bin/sh\n# published T\n#berth image=x:1\n"),
            ("#cloud-config\r\n#berth image=x:1\r\n", "#cloud-config\r\n# published T\r\n#berth image=x:1\r\n"),
            ("#berth\nimage = 'x:1'\n", "#berth\n# published T\nimage = 'x:1'\n"),
            ("\n#berth\nimage = 'x:1'\n", "\n#berth\n# published T\nimage = 'x:1'\n"),
            ("\u{feff}#berth\nimage = 'x:1'", "\u{feff}#berth\n# published T\nimage = 'x:1'"),
            ("\u{feff}berth image=x:1", "\u{feff}# published T\nberth image=x:1"),
            ("#berth", "#berth\n# published T\n"),
            ("", "# published T\n"),
        ] {
            let with = with.replace("T", "2026-11-21T03:34:32Z");
            let once = commented(text, None).unwrap();
            assert_eq!(once, with, "{text:?}");
            // It takes the place of an earlier one.
            let twice = with_comment(once.as_bytes(), "2026-12-01T00:00:00Z", Some("again\n now")).unwrap();
            let twice = String::from_utf8(twice).unwrap();
            assert_eq!(twice, with.replace("2026-11-21T03:34:32Z", "2026-12-01T00:00:00Z: again now"));
            let read = comment(twice.as_bytes()).unwrap();
            assert_eq!(read, Comment { time: "2026-12-01T00:00:00Z", notes: Some("again now") });
        }
        for text in
            ["{\"image\":\"x:1\"}", "MIME-Version: 1.0\n\nberth image=x:1", "content-type: text/x-berth\n", "b\0e"]
        {
            assert_eq!(commented(text, None), None, "{text:?}");
        }
        assert_eq!(with_comment(b"\x1f\x8b\x08", "T", None), None);
    }

    #[test]
    fn only_the_comment_of_a_publisher_is_one() {
        for text in ["berth image=x:1", "# published by Anna\nberth image=x:1", "{}", "\n\n"] {
            assert_eq!(comment(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(comment(b"# published 2026-11-21T03:34:32Z\nx").unwrap().notes, None);
        let kept = commented("# published by Anna\nberth image=x:1", None).unwrap();
        assert_eq!(kept, "# published 2026-11-21T03:34:32Z\n# published by Anna\nberth image=x:1");
    }

    #[test]
    fn every_value_behind_the_word_is_a_candidate_and_nothing_else_changes() {
        for (text, expected) in [
            ("berth image=x:1 port=80", vec!["berth image=NEW port=80"]),
            ("berth image='x:1' port=80", vec!["berth image='NEW' port=80"]),
            ("berth 'image=x:1'", vec!["berth 'image=NEW'"]),
            ("#berth\nimage = \"x:1\" # image: why\n", vec!["#berth\nimage = \"NEW\" # image: why\n"]),
            ("{\"image\" : \"x:1\",\n \"a\":1}", vec!["{\"image\" : \"NEW\",\n \"a\":1}"]),
            ("# image=x:1\nberth image=x:1", vec!["# image=NEW\nberth image=x:1", "# image=x:1\nberth image=NEW"]),
            ("berth image=y:1 command='image'", vec![]),
            ("image", vec![]),
            ("image=", vec![]),
            ("image='x:1", vec![]),
        ] {
            let replaced = |value: &str| (value == "x:1").then(|| "NEW".to_owned());
            assert_eq!(with_other_image(text, replaced), expected, "{text}");
        }
    }

    #[test]
    fn a_toml_file_gets_the_line_that_it_needs_elsewhere() {
        let of = |text: &str| String::from_utf8(from_toml_file(text.into())).unwrap();
        assert_eq!(of("image = 'x:1'\n"), "#berth\nimage = 'x:1'\n");
        assert_eq!(of("#berth\nimage = 'x:1'\n"), "#berth\nimage = 'x:1'\n");
        assert_eq!(of("{}"), "{}");
    }
}
