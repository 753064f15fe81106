//! The inputs and outputs in the module's README are its variables and outputs.

use std::process::Command;

use crate::moto::{python, root};

#[test]
fn the_readme_of_the_module_has_its_inputs_and_outputs() {
    let mut command = Command::new(python());
    command.arg(root().join("packaging/terraform/tables"));
    // UPDATE_EXPECT=1, as for everything that is made.
    if std::env::var_os("UPDATE_EXPECT").is_none() {
        command.arg("--check");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
