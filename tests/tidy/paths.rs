//! Every path of the sources that the documentation names exists.

use std::fs;
use std::path::Path;

/// The folders of the sources that a page names files of.
const FOLDERS: [&str; 5] = ["agent/", "docs/", "packaging/", "systemd/", "tests/"];

/// The paths that a page names, each between backticks and without a placeholder, with the line.
fn named(page: &str) -> Vec<(usize, &str)> {
    let lines = page.lines().enumerate();
    lines
        .flat_map(|(at, line)| line.split('`').skip(1).step_by(2).map(move |code| (at + 1, code)))
        // The first word: `tests/with-engine COMMAND`.
        .map(|(at, code)| (at, code.split(' ').next().unwrap_or_default()))
        .filter(|(_, path)| FOLDERS.iter().any(|folder| path.starts_with(folder)))
        .filter(|(_, path)| !path.contains(['*', '…', '<', ':']))
        .collect()
}

#[test]
fn paths_in_the_documentation_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = 0;
    let mut missing = Vec::new();
    for page in super::links::pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for (line, path) in named(&text) {
            found += 1;
            if !root.join(path).exists() {
                missing.push(format!("{}:{line}: {path} is missing", page.display()));
            }
        }
    }
    assert!(found > 50, "only {found} paths were found");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn a_path_is_found_between_backticks_and_a_placeholder_is_none() {
    let page = "`agent/a.rs` agent/b.rs `tests/run NAME`\n`packaging/x/*.tf` `berth run` `tests/adapters/…`";
    assert_eq!(named(page), [(1, "agent/a.rs"), (1, "tests/run")]);
}
