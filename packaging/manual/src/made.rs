//! The made parts of the pages in docs/, between two comments:
//!
//! ```text
//! <!-- made: NAME, by UPDATE_EXPECT=1 cargo test -p berth-manual -->
//! <!-- end of NAME -->
//! ```

#![allow(clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Tests that write into one page write one after the other.
static TURN: Mutex<()> = Mutex::new(());

/// A page of docs/.
pub(crate) fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// Whether what is not as it should be is written instead of being an error, as expect-test has it.
pub(crate) fn is_update() -> bool {
    std::env::var_os("UPDATE_EXPECT").is_some()
}

/// A made part with nothing in it yet.
pub(crate) fn empty(name: &str) -> String {
    format!("<!-- made: {name}, by UPDATE_EXPECT=1 cargo test -p berth-manual -->\n<!-- end of {name} -->\n")
}

/// Panics unless the page has this text between the comments of this name; with `UPDATE_EXPECT=1` it gets the text instead.
#[track_caller]
pub(crate) fn holds(file: &str, name: &str, text: &str) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let path = page(file);
    let before = fs::read_to_string(&path).unwrap_or_default();
    let after = with(&before, name, text).unwrap_or_else(|| panic!("docs/{file} has no made part {name}"));
    if before == after {
        return;
    }
    assert!(is_update(), "docs/{file}: {name} is not as made: UPDATE_EXPECT=1 cargo test -p berth-manual");
    fs::write(&path, after).unwrap_or_else(|error| panic!("docs/{file}: {error}"));
}

/// The page with another text in its made part; none if it has none of this name.
pub(crate) fn with(page: &str, name: &str, text: &str) -> Option<String> {
    let begin = format!("<!-- made: {name}, by UPDATE_EXPECT=1 cargo test -p berth-manual -->\n");
    let end = format!("<!-- end of {name} -->\n");
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n{end}{after}", text.trim_matches('\n').to_owned() + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_made_part_changes() {
        let page = "a\n<!-- made: x, by UPDATE_EXPECT=1 cargo test -p berth-manual -->\nold\n<!-- end of x -->\nb\n";
        let made =
            "a\n<!-- made: x, by UPDATE_EXPECT=1 cargo test -p berth-manual -->\n\nnew\n\n<!-- end of x -->\nb\n";
        assert_eq!(with(page, "x", "new\n").as_deref(), Some(made));
        assert_eq!(with(made, "x", "new").as_deref(), Some(made));
        assert_eq!(with(page, "y", "new"), None);
    }
}
