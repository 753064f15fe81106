//! Parts of the pages in docs/ as blocks, so that a manual page and the documentation are one text.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use crate::text::{Block, Inline, Line};

/// The blocks of a text in Markdown. A table becomes terms, its first column the term; a link becomes its text, and one that is alone
/// in parentheses is left out.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut builder = Builder::default();
    let text = without_asides(text);
    for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
        builder.take(event);
    }
    builder.done
}

/// The text without ` ([why](#because))`, and the same behind a line's end.
fn without_asides(text: &str) -> String {
    let mut parts = text.split("([");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let target = part.split_once("](").and_then(|(words, rest)| Some((words, rest.split_once("))")?)));
        match target {
            Some((words, (target, rest))) if !words.contains(['[', '(']) && !target.contains(['(', ')', ' ']) => {
                kept.truncate(kept.trim_end().len());
                // What follows may be the next word of the line.
                kept.push_str(rest);
            }
            _ => {
                kept.push_str("([");
                kept.push_str(part);
            }
        }
    }
    kept
}

/// A sentence in Markdown.
pub fn sentence(text: &str) -> Line {
    let first = blocks(text).into_iter().next();
    match first {
        Some(Block::Paragraph(line)) => line,
        _ => Vec::new(),
    }
}

/// What stands below a heading (`## Layers`) up to the next one that is not below it; none if there is no such heading.
pub fn section<'t>(page: &'t str, heading: &str) -> Option<&'t str> {
    let level = heading.bytes().take_while(|byte| *byte == b'#').count();
    let begin = page.match_indices(heading).find(|(at, found)| {
        let is_line = *at == 0 || page[..*at].ends_with('\n');
        is_line && page[at + found.len()..].starts_with('\n')
    });
    let rest = &page[begin?.0 + heading.len()..];
    let is_end = |line: &str| {
        let marks = line.bytes().take_while(|byte| *byte == b'#').count();
        (1..=level).contains(&marks) && line[marks..].starts_with(' ')
    };
    let mut end = rest.len();
    let mut at = 0;
    let mut fenced = false;
    for line in rest.split_inclusive('\n') {
        fenced ^= line.starts_with("```");
        if !fenced && is_end(line) {
            end = at;
            break;
        }
        at += line.len();
    }
    Some(&rest[..end])
}

/// Where text goes at the moment.
#[derive(Debug, Default)]
struct Builder {
    done: Vec<Block>,
    /// Lists and entries that are open, the innermost last.
    open: Vec<Open>,
    line: Line,
    is_emphasis: bool,
    code: Option<String>,
    /// The cells of the row so far.
    row: Option<Vec<Line>>,
    is_head: bool,
}

#[derive(Debug)]
enum Open {
    List(Option<u64>),
    Entry(Vec<Block>),
}

impl Builder {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.begin(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                Some(code) => code.push_str(&text),
                None => self.push(&text),
            },
            Event::Code(text) => self.line.push(Inline::Code(text.into_string())),
            Event::SoftBreak | Event::HardBreak => self.push(" "),
            _ => {} // comments and rules are not for a manual page
        }
    }

    fn push(&mut self, text: &str) {
        match (self.is_emphasis, self.line.last_mut()) {
            (false, Some(Inline::Plain(last))) | (true, Some(Inline::Emphasis(last))) => last.push_str(text),
            (false, _) => self.line.push(Inline::Plain(text.to_owned())),
            (true, _) => self.line.push(Inline::Emphasis(text.to_owned())),
        }
    }

    fn begin(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::CodeBlock(CodeBlockKind::Indented | CodeBlockKind::Fenced(_)) => self.code = Some(String::new()),
            Tag::Emphasis | Tag::Strong => self.is_emphasis = true,
            Tag::List(number) => {
                // A text in front of a list inside of an entry is its first paragraph.
                self.end_text();
                self.open.push(Open::List(*number));
            }
            Tag::Item => self.open.push(Open::Entry(Vec::new())),
            Tag::TableHead => (self.is_head, self.row) = (true, Some(Vec::new())),
            Tag::TableRow => self.row = Some(Vec::new()),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph => self.end_text(),
            TagEnd::Heading(HeadingLevel::H1) => self.line.clear(),
            TagEnd::Heading(_) => {
                let line = std::mem::take(&mut self.line);
                self.add(Block::Heading(line));
            }
            TagEnd::CodeBlock => {
                let code = self.code.take().unwrap_or_default();
                self.add(Block::Code(code));
            }
            TagEnd::Emphasis | TagEnd::Strong => self.is_emphasis = false,
            TagEnd::Item => {
                self.end_text();
                let Some(Open::Entry(blocks)) = self.open.pop() else { return };
                let number = match self.open.last_mut() {
                    Some(Open::List(Some(number))) => {
                        *number += 1;
                        Some(*number - 1)
                    }
                    _ => None,
                };
                self.add(Block::Entry(number, blocks));
            }
            TagEnd::List(_) => drop(self.open.pop()),
            TagEnd::TableCell => {
                let line = std::mem::take(&mut self.line);
                self.row.get_or_insert_default().push(line);
            }
            TagEnd::TableHead | TagEnd::TableRow => {
                let cells = self.row.take().unwrap_or_default();
                if !std::mem::take(&mut self.is_head) {
                    self.add_row(cells);
                }
            }
            _ => {}
        }
    }

    fn end_text(&mut self) {
        if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            self.add(Block::Paragraph(line));
        }
    }

    fn add_row(&mut self, cells: Vec<Line>) {
        let mut cells = cells.into_iter();
        let term = cells.next().unwrap_or_default();
        let blocks = cells.filter(|cell| !cell.is_empty()).map(Block::Paragraph).collect();
        self.add(Block::Term(term, blocks));
    }

    fn add(&mut self, block: Block) {
        match self.open.iter_mut().rev().find_map(|open| match open {
            Open::Entry(blocks) => Some(blocks),
            Open::List(_) => None,
        }) {
            Some(blocks) => blocks.push(block),
            None => self.done.push(block),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{line, paragraph};

    #[test]
    fn text_tables_lists_and_code_become_blocks() {
        let text = "One `two` [three](x.md)\nfour.\n\n| a | b |\n|---|---|\n| `c` | d |\n\n1. e\n2. f\n\n    g\n    h\n\n    code\n";
        let found = blocks(text);
        assert_eq!(found[0], paragraph("One `two` three four."));
        assert_eq!(found[1], Block::Term(line("`c`"), vec![paragraph("d")]));
        assert_eq!(found[2], Block::Entry(Some(1), vec![paragraph("e")]));
        assert_eq!(blocks("a\n\n    code\n"), [paragraph("a"), Block::Code("code\n".to_owned())]);
        assert_eq!(blocks("- a\n- b\n")[1], Block::Entry(None, vec![paragraph("b")]));
    }

    #[test]
    fn a_link_that_is_an_aside_is_left_out() {
        assert_eq!(blocks("One\n([why](#x)); two ([a](b) c) d.")[0], paragraph("One; two (a c) d."));
    }

    #[test]
    fn a_section_ends_at_the_next_heading_of_its_level() {
        let page = "# T\n\n## A\n\na\n\n### B\n\nb\n\n```\n## no\n```\n## C\nc\n";
        assert_eq!(section(page, "## A"), Some("\n\na\n\n### B\n\nb\n\n```\n## no\n```\n"));
        assert_eq!(section(page, "### B"), Some("\n\nb\n\n```\n## no\n```\n"));
        assert_eq!(section(page, "## D"), None);
    }
}
