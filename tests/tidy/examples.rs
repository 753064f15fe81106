//! The examples of packaging/ are read, deployed to moto as far as it goes, and held against the binary: examples.py.

use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn the_examples_of_packaging_fit_the_agent_and_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let installed =
        Command::new(root.join("tests/install-moto")).stderr(Stdio::inherit()).output().expect("the script");
    assert!(installed.status.success(), "tests/install-moto failed");
    let python = String::from_utf8(installed.stdout).expect("a path");

    let lint = Path::new(python.trim()).with_file_name("cfn-lint");
    let template = root.join("packaging/cloudformation/berth.yaml");
    let linted = Command::new(lint).arg(template).output().expect("cfn-lint");
    assert!(linted.status.success(), "{}", String::from_utf8_lossy(&linted.stdout));

    let mut held = Command::new(python.trim());
    held.arg(root.join("tests/tidy/examples.py")).arg(env!("CARGO_BIN_EXE_berth"));
    let held = held.output().expect("python");
    let told = String::from_utf8_lossy(&held.stdout);
    assert!(held.status.success(), "{told}{}", String::from_utf8_lossy(&held.stderr));
}
