//! Compiles the demo app (demo_app.rs) with the compiler that builds the kit, so that no test hunts for a binary.
#![expect(clippy::expect_used, reason = "a build that cannot go on says so and ends")]

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=demo_app.rs");
    println!("cargo::rerun-if-changed=demo_app");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("demo-app");
    let status = Command::new(env::var_os("RUSTC").expect("cargo sets RUSTC"))
        .args(["--edition=2024", "--crate-name=demo_app", "--crate-type=bin"])
        .arg("--target")
        .arg(env::var("TARGET").expect("cargo sets TARGET"))
        // Static: it runs in images that hold nothing else.
        .args(["-C", "target-feature=+crt-static", "-C", "opt-level=s", "-C", "strip=symbols", "-C", "panic=abort"])
        .arg("-o")
        .arg(&out)
        .arg("demo_app.rs")
        .status()
        .expect("the compiler runs");
    assert!(status.success(), "the demo app does not compile");
}
