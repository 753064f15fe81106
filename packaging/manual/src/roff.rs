//! Manual pages: blocks set with the `man` macros, so that man-db, mandoc and `man --warnings` have nothing to say.

use std::fmt::Write;

use crate::text::{Block, Inline, Line};

/// Longer lines of text are no error, and mandoc's style check names them.
const WIDTH: usize = 78;

/// A longer word may not fit into a line of a terminal of 80 columns, behind the indents of a page.
const WORD: usize = 60;

/// A manual page.
#[derive(Clone, Debug)]
pub struct Page {
    /// `berth-check`
    pub name: String,
    /// 1 commands, 5 file formats, 8 for administrators.
    pub section: u8,
    /// What the page is about, in a few words.
    pub about: String,
    /// How it is called, or where it is.
    pub synopsis: Vec<Line>,
    /// The sections after the synopsis, each with its heading.
    pub sections: Vec<(&'static str, Vec<Block>)>,
    /// Other pages: name and section.
    pub see_also: Vec<(String, u8)>,
}

impl Page {
    /// The page as roff; sections without a word are left out. `date` is a day: 2026-11-28.
    pub fn to_roff(&self, date: &str) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            ".TH {} {} {date} \"berth {}\" berth",
            escape(&self.name.to_uppercase()),
            self.section,
            env!("CARGO_PKG_VERSION")
        );
        // No hyphens in words that somebody may copy, and the left side only aligned.
        text.push_str(".nh\n.ad l\n.SH NAME\n");
        fill(&mut text, &format!("{} \\- {}", escape(&self.name), escape(&self.about)));
        text.push_str(".SH SYNOPSIS\n");
        for (at, line) in self.synopsis.iter().enumerate() {
            text.push_str(if at > 0 { ".br\n" } else { "" });
            fill(&mut text, &set(line));
        }
        for (heading, blocks) in self.sections.iter().filter(|(_, blocks)| !blocks.is_empty()) {
            let _ = writeln!(text, ".SH {heading}");
            blocks_in(&mut text, blocks, true);
        }
        text.push_str(".SH SEE ALSO\n");
        let others: Vec<String> =
            self.see_also.iter().map(|(name, section)| format!("\\fB{}\\fR({section})", escape(name))).collect();
        fill(&mut text, &others.join(", "));
        text
    }
}

/// `is_first`: nothing stands between these blocks and the macro that began what they are in.
fn blocks_in(text: &mut String, blocks: &[Block], mut is_first: bool) {
    for block in blocks {
        match block {
            Block::Heading(line) => {
                let _ = writeln!(text, ".SS {}", set(line));
            }
            Block::Paragraph(line) => {
                text.push_str(if is_first { "" } else { ".PP\n" });
                fill(text, &set(line));
            }
            Block::Code(lines) => {
                text.push_str(if is_first { "" } else { ".PP\n" });
                text.push_str(".RS 4\n.nf\n");
                for line in lines.lines() {
                    text.push_str(&guard(&escape(line)));
                    text.push('\n');
                }
                text.push_str(".fi\n.RE\n");
            }
            Block::Term(line, blocks) => {
                // With its indent, as that of a list before it would count on.
                text.push_str(".TP 7\n");
                // The tag of a term is one line of input, whatever its length.
                let _ = writeln!(text, "{}", guard(&set(line)));
                inner(text, blocks);
            }
            Block::Entry(number, blocks) => {
                match number {
                    Some(number) => {
                        let _ = writeln!(text, ".IP {number}. 4");
                    }
                    None => text.push_str(".IP \\(bu 2\n"),
                }
                inner(text, blocks);
            }
        }
        is_first = matches!(block, Block::Heading(_));
    }
}

/// What belongs to a term or an entry: more than its first paragraph is set in by hand.
fn inner(text: &mut String, blocks: &[Block]) {
    let rest = match blocks.split_first() {
        Some((Block::Paragraph(line), rest)) => {
            fill(text, &set(line));
            rest
        }
        _ => blocks,
    };
    if !rest.is_empty() {
        text.push_str(".RS\n");
        blocks_in(text, rest, rest.len() == blocks.len());
        text.push_str(".RE\n");
    }
}

/// Lines of text, broken at spaces.
fn fill(text: &mut String, words: &str) {
    let mut line = String::new();
    for word in words.split_whitespace() {
        if !line.is_empty() && line.len() + 1 + word.len() > WIDTH {
            text.push_str(&guard(&line));
            text.push('\n');
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    text.push_str(&guard(&line));
    text.push('\n');
}

/// A line of pieces. Spaces in code do not break, so that a command is not torn.
fn set(line: &[Inline]) -> String {
    let piece = |piece: &Inline| match piece {
        Inline::Plain(text) => escape(text),
        Inline::Code(text) => format!("\\fB{}\\fR", breakable(text)),
        Inline::Emphasis(text) => format!("\\fI{}\\fR", escape(text)),
    };
    line.iter().map(piece).collect()
}

/// Code as `escape` sets it. A word that is too long for a line, such as an ARN, may break behind its separators, without a hyphen.
fn breakable(code: &str) -> String {
    if code.split(' ').all(|word| word.len() <= WORD) {
        return escape(code);
    }
    code.split_inclusive(['/', ':']).map(escape).collect::<Vec<_>>().join("\\:")
}

/// At the beginning of a line these would be requests.
fn guard(line: &str) -> String {
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() }
}

/// Text that roff shows as it is, in ASCII.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '\'' => escaped.push_str("\\(aq"),
            '`' => escaped.push_str("\\(ga"),
            '"' => escaped.push_str("\\(dq"),
            '^' => escaped.push_str("\\(ha"),
            '~' => escaped.push_str("\\(ti"),
            '…' => escaped.push_str("..."),
            char if char.is_ascii() => escaped.push(char),
            char => {
                let _ = write!(escaped, "\\[u{:04X}]", u32::from(char));
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{line, paragraph, term};

    #[test]
    fn what_would_be_a_request_or_another_character_is_shown_as_it_is() {
        assert_eq!(guard(&escape(".x -y 'z' \\")), "\\&.x \\-y \\(aqz\\(aq \\e");
        assert_eq!(escape("a … ·"), "a ... \\[u00B7]");
    }

    #[test]
    fn only_a_word_that_is_too_long_for_a_line_may_break() {
        assert_eq!(breakable("arn:x/y"), "arn:x/y");
        let id = "1".repeat(WORD);
        assert_eq!(breakable(&format!("arn:x/{id}")), format!("arn:\\:x/\\:{id}"));
    }

    #[test]
    fn a_page_has_its_sections_and_no_empty_one() {
        let page = Page {
            name: "berth-x".to_owned(),
            section: 1,
            about: "do x".to_owned(),
            synopsis: vec![line("`berth x`")],
            sections: vec![
                ("DESCRIPTION", vec![paragraph("One."), Block::Code("a\n.b".to_owned()), term("-t", "Two.")]),
                ("FILES", vec![]),
            ],
            see_also: vec![("berth".to_owned(), 1)],
        };
        let text = page.to_roff("2026-11-28");
        assert!(text.starts_with(".TH BERTH\\-X 1 2026-11-28 \"berth "), "{text}");
        assert!(text.ends_with(
            ".SH DESCRIPTION\nOne.\n.PP\n.RS 4\n.nf\na\n\\&.b\n.fi\n.RE\n.TP 7\n\\fB\\-t\\fR\nTwo.\n.SH SEE ALSO\n\\fBberth\\fR(1)\n"
        ), "{text}");
    }
}
