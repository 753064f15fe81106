//! Invariants 1 and 2: which room of the house may do IO, and who may name whom.
//!
//! The compiler cannot say it inside one crate, so the sources are read. A new file is a pure one unless it is named here.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms that may read a clock, a file, a socket or the environment.
const WITH_IO: [&str; 9] = ["edge", "commands", "driver", "run", "main", "cli", "logging", "core_dump", "shim"];

/// What only those rooms may name: the runtime, the clock, the outside, and the floors above.
const IO: [&str; 19] = [
    "tokio",
    "hyper",
    "bollard",
    "rustls",
    "Instant",
    "SystemTime",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "std::os::unix::net",
    "std::fs",
    "std::env",
    "std::thread",
    "std::process::Command",
    "tracing",
    "crate::edge",
    "crate::driver",
    "crate::run",
];

/// What the edge may not name: whoever decides.
const DECIDES: [&str; 8] = [
    "crate::machine",
    "crate::boot",
    "crate::serve",
    "crate::drain",
    "crate::hook",
    "crate::driver",
    "crate::run",
    "crate::commands",
];

#[test]
fn only_the_rooms_with_io_name_a_runtime_a_clock_or_the_outside() {
    let pure: Vec<PathBuf> = sources().into_iter().filter(|file| !WITH_IO.contains(&room(file).as_str())).collect();
    assert!(pure.iter().any(|file| file.ends_with("src/effect.rs")), "the sources were not found: {pure:?}");
    assert_none(pure.iter().flat_map(|file| naming(file, &IO)));
}

#[test]
fn the_edge_never_names_who_decides() {
    let edge = sources().into_iter().filter(|file| room(file) == "edge");
    assert_none(edge.flat_map(|file| naming(&file, &DECIDES)));
}

#[test]
fn only_the_driver_and_the_composition_name_the_machine() {
    let others = sources().into_iter().filter(|file| !["driver", "run", "machine"].contains(&room(file).as_str()));
    assert_none(others.flat_map(|file| naming(&file, &["crate::machine", "Machine"])));
}

#[test]
fn a_word_is_found_in_code_and_not_in_comments_tests_or_longer_words() {
    let text =
        "//! tokio\nuse tokio::net; // tokio\nlet mytokio = 1;\n/// tokio\n#[cfg(test)]\nmod tests { use tokio; }\n";
    assert_eq!(lines_naming(text, "tokio"), [2]);
    assert_eq!(lines_naming("use crate::edge::http;\nuse crate::edges;", "crate::edge"), [1]);
}

/// The module right below the crate's root that a file belongs to.
fn room(file: &Path) -> String {
    let below = file.strip_prefix(crate_src()).expect("a source").with_extension("");
    below.components().next().expect("a name").as_os_str().to_string_lossy().into_owned()
}

fn crate_src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file of the crate but the tests that have one of their own.
fn sources() -> Vec<PathBuf> {
    let mut folders = vec![crate_src()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && path.file_name().is_some_and(|n| n != "tests.rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn naming(file: &Path, words: &[&str]) -> Vec<String> {
    let text = fs::read_to_string(file).expect("a source");
    let found = words.iter().flat_map(|word| lines_naming(&text, word).into_iter().map(move |line| (line, word)));
    found.map(|(line, word)| format!("{}:{line} names {word}", file.display())).collect()
}

/// The lines (from 1) of the code in front of the tests at the end of a file that hold this word as a whole one.
fn lines_naming(text: &str, word: &str) -> Vec<usize> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let part_of_a_word = |c: char| c.is_alphanumeric() || c == '_';
    let holds = |line: &str| {
        let line = line.split("//").next().unwrap_or_default();
        line.match_indices(word).any(|(at, _)| {
            !line[..at].ends_with(part_of_a_word) && !line[at + word.len()..].starts_with(part_of_a_word)
        })
    };
    code.lines().enumerate().filter(|(_, line)| holds(line)).map(|(at, _)| at + 1).collect()
}

fn assert_none(found: impl Iterator<Item = String>) {
    let found: Vec<String> = found.collect();
    assert!(found.is_empty(), "docs/architecture.md, invariants 1 and 2:\n{}", found.join("\n"));
}
