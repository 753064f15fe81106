//! The `aws` commands of the documentation are the CLI's own, and those of the quick start do what it says, on moto: aws_commands.py.

use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn the_aws_commands_of_the_documentation_can_be_typed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let installed = |script: &str| {
        let output = Command::new(root.join(script)).stderr(Stdio::inherit()).output().expect("the script");
        assert!(output.status.success(), "{script} failed");
        String::from_utf8(output.stdout).expect("a path").trim().to_owned()
    };
    let aws = Path::new(&installed("tests/install-aws")).join("aws");
    let mut held = Command::new(installed("tests/install-moto"));
    held.arg(root.join("tests/tidy/aws_commands.py")).arg(env!("CARGO_BIN_EXE_berth")).arg(aws);
    let held = held.output().expect("python");
    let stdout = String::from_utf8_lossy(&held.stdout);
    assert!(held.status.success(), "{stdout}{}", String::from_utf8_lossy(&held.stderr));
}
