//! moto, somebody else's AWS: one process for all tests of this binary, and botocore, somebody else's client.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, OnceLock};

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The interpreter that knows moto and botocore, installed at the first use.
fn python() -> &'static Path {
    static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
        let installed = Command::new(root().join("tests/install-moto")).stderr(Stdio::inherit()).output().unwrap();
        assert!(installed.status.success(), "tests/install-moto failed");
        String::from_utf8(installed.stdout).unwrap().trim().into()
    });
    &PYTHON
}

/// moto's address. It ends with this process: it reads the pipe that only this process holds.
pub(crate) fn base() -> String {
    static MOTO: OnceLock<(Child, u16)> = OnceLock::new();
    let (_, port) = MOTO.get_or_init(|| serve("serve_moto.py", &[]));
    format!("http://127.0.0.1:{port}")
}

/// Starts one of the scripts beside this file that serve until their input ends, and print their port.
pub(crate) fn serve(script: &str, arguments: &[&Path]) -> (Child, u16) {
    let mut child = Command::new(python())
        .arg(root().join("tests/edges").join(script))
        .args(arguments)
        .env("AWS_ACCESS_KEY_ID", "unused")
        .env("AWS_SECRET_ACCESS_KEY", "unused")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().parse().expect("the server did not start"))
}

/// Runs one of the scripts beside this file with botocore at hand: JSON in, JSON out.
pub(crate) fn botocore(script: &str, input: &serde_json::Value) -> serde_json::Value {
    let mut child = Command::new(python())
        .arg(root().join("tests/edges").join(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{script} failed");
    serde_json::from_slice(&output.stdout).unwrap()
}
