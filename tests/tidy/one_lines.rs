//! The apps of docs/examples.md are configs.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn the_ten_apps_of_the_documentation_fit_in_one_line() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let lines: Vec<&str> = page.lines().filter(|line| line.starts_with("berth image=")).collect();
    assert_eq!(lines.len(), 10, "{lines:#?}");
    let refused: Vec<String> =
        lines.into_iter().filter_map(|line| refusal(line).map(|why| format!("{line}\n{why}"))).collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

/// Why a line is no config, if it is none.
fn refusal(line: &str) -> Option<String> {
    let mut check = Command::new(env!("CARGO_BIN_EXE_berth"));
    check.args(["check", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut check = check.spawn().expect("berth");
    check.stdin.take().expect("a pipe").write_all(line.as_bytes()).expect("a pipe that is read");
    let checked = check.wait_with_output().expect("its end");
    (!checked.status.success()).then(|| String::from_utf8_lossy(&checked.stderr).into_owned())
}
