//! A failure that a property finds is kept: proptest writes its seed into a folder that git tracks, and every run tries it first.

use std::path::Path;
use std::process::Command;

fn git(arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new("git").current_dir(root).args(arguments).output().expect("git");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn no_property_forgets_its_failures() {
    let forgetful = git(&["grep", "-n", "failure_persistence", "--", "*.rs", ":!tests/tidy"]);
    assert_eq!(forgetful, "", "a failing case is lost with the run: leave `failure_persistence` at its default");
    for folder in ["agent/config", "agent/core", "agent/berth", "tests"] {
        let file = format!("{folder}/proptest-regressions/x.txt");
        assert_eq!(git(&["check-ignore", &file]), "", "git must track {file}");
    }
    let properties = git(&["grep", "-l", "proptest! {", "--", "agent", "tests", ":!tests/tidy"]);
    assert!(properties.lines().count() > 5, "the properties were not found: {properties}");
}
