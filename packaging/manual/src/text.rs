//! Text as people read it, before it is set for a pager or for a browser.

/// A piece of a paragraph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inline {
    /// Words.
    Plain(String),
    /// What is typed or shown as it is.
    Code(String),
    /// What stands for something else, or is stressed.
    Emphasis(String),
}

/// Pieces that follow each other.
pub type Line = Vec<Inline>;

/// A part of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A heading inside a section.
    Heading(Line),
    /// A paragraph.
    Paragraph(Line),
    /// Lines that are shown as they are.
    Code(String),
    /// A term and what is said of it.
    Term(Line, Vec<Block>),
    /// An entry of a list, with its number if the list has an order.
    Entry(Option<u64>, Vec<Block>),
}

/// A sentence without marks, but for backticks around code.
pub fn line(text: &str) -> Line {
    let piece = |(at, piece): (usize, &str)| match at % 2 {
        0 => Inline::Plain(piece.to_owned()),
        _ => Inline::Code(piece.to_owned()),
    };
    text.split('`').enumerate().filter(|(_, piece)| !piece.is_empty()).map(piece).collect()
}

/// A paragraph of such a sentence.
pub fn paragraph(text: &str) -> Block {
    Block::Paragraph(line(text))
}

/// A term that is typed, and a sentence about it.
pub fn term(word: &str, about: &str) -> Block {
    Block::Term(vec![Inline::Code(word.to_owned())], vec![paragraph(about)])
}

/// The same as Markdown, on one line.
pub fn to_markdown(line: &[Inline]) -> String {
    let piece = |piece: &Inline| match piece {
        Inline::Plain(text) => text.clone(),
        Inline::Code(text) => format!("`{text}`"),
        Inline::Emphasis(text) => format!("*{text}*"),
    };
    line.iter().map(piece).collect()
}
