//! The pages of docs/ as a package holds them: without links to what only the sources have.

use std::path::{Component, Path, PathBuf};

/// A page whose links out of docs/ are words. `path` is where it is below docs/.
pub fn page(path: &Path, text: &str) -> String {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut fenced = false;
    let mut shipped = String::with_capacity(text.len());
    // The words of a link may be on two lines.
    let mut paragraph = String::new();
    for line in text.split_inclusive('\n') {
        let is_fence = line.trim_start().starts_with("```");
        if is_fence || fenced || line.starts_with("    ") || line.trim().is_empty() {
            shipped.push_str(&without_links(folder, &std::mem::take(&mut paragraph)));
            shipped.push_str(line);
        } else {
            paragraph.push_str(line);
        }
        fenced ^= is_fence;
    }
    shipped.push_str(&without_links(folder, &paragraph));
    shipped
}

fn without_links(folder: &Path, text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((words, behind)) = rest.split_once("](") {
        let Some((target, after)) = behind.split_once(')') else { break };
        let file = target.split('#').next().unwrap_or_default();
        let outside = outside(folder, file);
        match (outside, words.rfind('[')) {
            (Some(path), Some(begin)) => {
                let (before, words) = (&words[..begin], &words[begin + 1..]);
                kept.push_str(before.strip_suffix('!').unwrap_or(before));
                kept.push_str(words);
                // Where the words are not the path already.
                if !words.trim_matches('`').ends_with(path.as_str()) {
                    kept.push_str(&format!(" (`{path}` in the sources)"));
                }
            }
            _ => {
                kept.push_str(words);
                kept.push_str("](");
                kept.push_str(target);
                kept.push(')');
            }
        }
        rest = after;
    }
    kept.push_str(rest);
    kept
}

/// The path in the sources of what is not below docs/.
fn outside(folder: &Path, file: &str) -> Option<String> {
    if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
        return None;
    }
    let mut path = PathBuf::from("docs");
    for part in folder.join(file).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
    }
    (!path.starts_with("docs")).then(|| path.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;
    use crate::made;

    #[test]
    fn a_link_to_the_sources_becomes_words() {
        let of = |path: &str, text: &str| page(Path::new(path), text);
        assert_eq!(
            of("a.md", "see [b](b.md#c) and [the unit](../systemd/README.md).\n"),
            "see [b](b.md#c) and the unit (`systemd/README.md` in the sources).\n"
        );
        assert_eq!(
            of("decisions/a.md", "[x](../b.md) [`agent/src/x.rs`](../../agent/src/x.rs)"),
            "[x](../b.md) `agent/src/x.rs`"
        );
        assert_eq!(of("a.md", "[x](https://y.z/../a)"), "[x](https://y.z/../a)");
        assert_eq!(of("a.md", "```\n[x](../y)\n```\n    [x](../y)\n"), "```\n[x](../y)\n```\n    [x](../y)\n");
    }

    #[test]
    fn what_is_shipped_has_no_dead_link() {
        let root = made::page("");
        let mut folders = vec![root.clone()];
        let mut seen = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "md") {
                    let below = path.strip_prefix(&root).unwrap();
                    let text = page(below, &fs::read_to_string(&path).unwrap());
                    let mut fenced = false;
                    for line in text.lines() {
                        fenced ^= line.trim_start().starts_with("```");
                        let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
                        for target in targets.filter(|target| !fenced && !target.is_empty() && !target.contains("://"))
                        {
                            seen += 1;
                            let file = path.parent().unwrap().join(target);
                            let is_there =
                                file.canonicalize().is_ok_and(|file| file.starts_with(root.canonicalize().unwrap()));
                            assert!(
                                is_there || line.starts_with("    "),
                                "{}: {target} is not shipped",
                                below.display()
                            );
                        }
                    }
                }
            }
        }
        assert!(seen > 50, "only {seen} links were found");
    }
}
