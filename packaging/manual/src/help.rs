//! What stands below the flags in `--help`, taken apart: what is said, examples, variables.

use crate::text::{Block, line};

/// The parts of a help text. What it says of exit codes is left out: [`crate::exits`] has it whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Help {
    /// Paragraphs, and lines that are shown as they are.
    pub said: Vec<Block>,
    /// Commands, a line each.
    pub examples: Option<String>,
}

impl Help {
    /// The parts of this text.
    pub fn parse(text: &str) -> Self {
        let mut help = Self::default();
        let mut is_environment = false;
        for part in text.split("\n\n") {
            let mut words = Vec::new();
            let mut code = String::new();
            for row in part.lines() {
                match row.strip_prefix("  ") {
                    Some(shown) => code.push_str(&format!("{shown}\n")),
                    None => words.push(row),
                }
            }
            let heading = words.join(" ");
            match heading.as_str() {
                "Examples:" | "Example:" => help.examples = Some(code),
                // The manual pages say more of each variable than fits into a help text.
                "Environment:" => is_environment = true,
                _ => {
                    // `Exit codes: …` may be the end of a paragraph.
                    let kept = heading.split("Exit code").next().unwrap_or_default().trim_end();
                    if !kept.is_empty() {
                        help.said.push(Block::Paragraph(line(kept)));
                    }
                    if !code.is_empty() && !is_environment {
                        help.said.push(Block::Code(code));
                    }
                }
            }
        }
        help
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::paragraph;

    #[test]
    fn a_help_text_has_what_is_said_and_examples() {
        let help = Help::parse(
            "One\ntwo:\n  a b\n\nExamples:\n  x\n  y\n\nThree. Exit codes: 0 no.\nmore\n\nExit codes of z: 1.",
        );
        let said = vec![paragraph("One two:"), Block::Code("a b\n".to_owned()), paragraph("Three.")];
        assert_eq!(help, Help { said, examples: Some("x\ny\n".to_owned()) });
        assert_eq!(Help::parse("Environment:\n  A  b\n     c\n\nExit codes: 0"), Help::default());
    }
}
