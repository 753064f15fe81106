//! Tables of contents of the pages in docs/ that are long, and what a heading's anchor is.

use std::fmt::Write;

/// Longer pages have one.
pub(crate) const LONG: usize = 120;

/// The anchor that a heading gets when it is shown (`## A b` is `a-b`), and its words; none for another line.
pub(crate) fn heading(line: &str) -> Option<(usize, &str, String)> {
    let level = line.bytes().take_while(|byte| *byte == b'#').count();
    let words = line.get(level..)?.strip_prefix(' ').filter(|_| level > 0)?.trim();
    let kept = words.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
    Some((level, words, kept.replace(' ', "-")))
}

/// The list of a page's sections, and of what is below those of a very long page.
pub(crate) fn of(page: &str) -> String {
    let mut text = String::new();
    let mut fenced = false;
    for line in page.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if let Some((2, words, anchor)) = heading(line).filter(|_| !fenced) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "- [{words}](#{anchor})");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;
    use crate::made;

    #[test]
    fn a_page_that_is_long_begins_with_its_contents() {
        let mut seen = 0;
        for entry in fs::read_dir(made::page("")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(&path).unwrap_or_default();
            // These are made as a whole, with a table in front.
            let is_made = ["commands.md", "troubleshooting.md"].contains(&name.as_str());
            let sections = of(&text).lines().count();
            if !name.ends_with(".md") || is_made || text.lines().count() <= LONG || sections < 3 {
                continue;
            }
            seen += 1;
            if made::is_update() && made::with(&text, "contents", "").is_none() {
                let begin = text.find("\n## ").unwrap() + 1;
                let (before, after) = text.split_at(begin);
                fs::write(&path, format!("{before}{}\n{after}", made::empty("contents"))).unwrap();
            }
            made::holds(&name, "contents", &of(&text));
        }
        assert!(seen > 3, "only {seen} pages are long");
    }

    #[test]
    fn headings_in_code_are_none() {
        assert_eq!(
            of("# T\n## The `/ready` endpoint\n```\n## no\n```\n### x\n#### y\n"),
            "- [The `/ready` endpoint](#the-ready-endpoint)\n"
        );
    }
}
