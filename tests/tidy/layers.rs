//! Invariants 1 and 2: the crate that decides and the crate that validates depend on nothing that could reach the outside.

use std::path::Path;
use std::process::Command;

/// Runtimes, HTTP, TLS, the engine, system calls. With them everything of the AWS SDK.
const OUTSIDE: [&str; 8] = ["tokio", "mio", "hyper", "rustls", "bollard", "nix", "socket2", "tracing"];

#[test]
fn what_decides_and_what_validates_reach_no_runtime_no_http_and_no_system_crate() {
    for package in ["berth-core", "berth-config"] {
        let crates = crates_below(package);
        assert!(crates.iter().any(|name| name == "serde"), "the tree of {package} was not read: {crates:?}");
        let reached: Vec<&String> = crates.iter().filter(|name| is_outside(name)).collect();
        assert!(reached.is_empty(), "{package} depends on {reached:?}: docs/architecture.md, invariant 1");
    }
}

#[test]
fn the_binary_reaches_what_the_others_must_not() {
    let crates = crates_below("berth");
    for name in OUTSIDE.iter().chain(&["aws-config"]) {
        assert!(
            crates.iter().any(|found| found == name),
            "{name} is not found below berth, so it would be found nowhere"
        );
    }
    assert!(is_outside("aws-config") && is_outside("hyper-util") && !is_outside("serde"));
}

fn is_outside(name: &str) -> bool {
    name.starts_with("aws-")
        || OUTSIDE.iter().any(|outside| name == *outside || name.starts_with(&format!("{outside}-")))
}

/// The names of the crates that this one is built from, as cargo lists them.
fn crates_below(package: &str) -> Vec<String> {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--package",
            package,
        ])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .output()
        .expect("cargo tree");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let lines = String::from_utf8(tree.stdout).expect("text");
    lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}
