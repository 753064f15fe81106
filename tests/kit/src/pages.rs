//! What the documentation shows of the binary's output is what the binary prints.
//!
//! A page marks such a block with `<!-- screen: NAME, by UPDATE_EXPECT=1 cargo test -p berth --test TEST -->`; the block below it is
//! compared, and written with `UPDATE_EXPECT=1`.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Tests that write into one page write one after the other.
static TURN: Mutex<()> = Mutex::new(());

/// Compares the block `name` of `docs/FILE` with what was printed; `test` is what remakes it, as cargo takes it.
///
/// # Panics
/// If the page has no such block, or shows something else.
#[track_caller]
pub fn shows(file: &str, name: &str, test: &str, text: &str) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file);
    let before = fs::read_to_string(&page).expect("a page");
    let after = with(&before, name, test, text).unwrap_or_else(|| panic!("docs/{file} shows no {name}"));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(page, after).expect("a page that can be written");
    } else {
        assert!(before == after, "docs/{file} does not show {name} as it is:\n{text}");
    }
}

/// The page with another text in the block of this name; none if it has no such block.
fn with(page: &str, name: &str, test: &str, text: &str) -> Option<String> {
    let marker = format!("<!-- screen: {name}, by UPDATE_EXPECT=1 cargo test -p berth --test {test} -->\n");
    let (before, rest) = page.split_once(&marker)?;
    let is_of_block = |line: &&str| line.starts_with("    ") || line.trim().is_empty();
    let after: usize = rest.split_inclusive('\n').take_while(is_of_block).map(str::len).sum();
    let indent =
        |line: &str| if line.trim().is_empty() { "\n".to_owned() } else { format!("    {}\n", line.trim_end()) };
    let block: String = text.trim_end().lines().map(indent).collect();
    Some(format!("{before}{marker}\n{block}\n{}", &rest[after..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_ends_where_the_text_goes_on() {
        let marker = "<!-- screen: x, by UPDATE_EXPECT=1 cargo test -p berth --test screens -->\n";
        let page = format!("a\n{marker}\n    old\n\n      older\n\nb\n    c\n");
        let made = format!("a\n{marker}\n    1\n\n      2\n\nb\n    c\n");
        assert_eq!(with(&page, "x", "screens", "1\n\n  2\n\n").as_deref(), Some(made.as_str()));
        assert_eq!(with(&made, "x", "screens", "1\n\n  2").as_deref(), Some(made.as_str()));
        assert_eq!(with(&page, "y", "screens", "1"), None);
    }
}
