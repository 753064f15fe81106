//! Every link of the documentation leads to a file that is there, and to a heading that is in it.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn links_in_the_documentation_resolve() {
    let pages = pages();
    assert!(pages.iter().any(|page| page.ends_with("README.md")), "the pages were not found: {pages:?}");
    let broken: Vec<String> = pages.iter().flat_map(|page| broken_links(page)).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_link_is_not_code_and_a_heading_becomes_its_anchor() {
    let text =
        "[a](one.md) `[no](two.md)` [b](https://x.y/z)\n```\n[no](three.md)\n```\n![i](four.svg \"title\") [c](#five)";
    assert_eq!(links(text), [(1, "one.md"), (1, "https://x.y/z"), (5, "four.svg"), (5, "#five")]);
    assert_eq!(anchor("## 2. The `/ready` endpoint, in short"), Some("2-the-ready-endpoint-in-short".to_owned()));
    assert_eq!(anchor("text"), None);
    assert_eq!(anchors("# a\n```\n# b\n```\n## c d").collect::<Vec<_>>(), ["a", "c-d"]);
}

/// Every page of the repository.
pub(crate) fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository");
    let mut folders = vec![root.join("docs"), root.join("tests"), root.join("systemd"), root.join("packaging")];
    let mut found = markdown_in(&root).0;
    while let Some(folder) = folders.pop() {
        let (pages, inner) = markdown_in(&folder);
        found.extend(pages);
        folders.extend(inner);
    }
    found
}

/// The pages of a folder, and the folders in it; nothing if there is no such folder.
fn markdown_in(folder: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    (files.into_iter().filter(|file| file.extension().is_some_and(|e| e == "md")).collect(), folders)
}

fn broken_links(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).expect("a page");
    let here = page.parent().expect("a folder");
    let broken = links(&text).into_iter().filter(|(_, link)| !link.contains("://") && !resolves(link, page, here));
    broken.map(|(line, link)| format!("{}:{line}: {link} leads nowhere", page.display())).collect()
}

fn resolves(link: &str, page: &Path, here: &Path) -> bool {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.to_owned() } else { here.join(file) };
    if heading.is_empty() {
        return target.exists();
    }
    fs::read_to_string(target).is_ok_and(|text| anchors(&text).any(|anchor| anchor == heading))
}

/// The targets of the links outside of code, each with its line.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        // Between backticks is code: every second piece.
        for piece in line.split('`').step_by(2).filter(|_| !fenced) {
            let targets = piece.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
            found.extend(targets.map(|target| (at + 1, target)));
        }
    }
    found
}

/// The anchors of a page; what looks like a heading in code is none.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    let mut fenced = false;
    text.lines().filter_map(move |line| {
        fenced ^= line.trim_start().starts_with("```");
        anchor(line).filter(|_| !fenced)
    })
}

/// The anchor that a heading gets when it is shown.
fn anchor(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').trim();
    let kept = heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
    Some(kept.replace(' ', "-"))
}
