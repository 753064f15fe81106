//! moto as the account that an example is applied to: a process for each test, so that what is left behind is the test's own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

pub(crate) use berth_kit::oracle::python;
use serde_json::Value;

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> =
        LazyLock::new(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap());
    &ROOT
}

/// An account. It ends with this value: moto reads a pipe that only this process holds.
pub(crate) struct Moto {
    _child: Child,
    pub(crate) endpoint: String,
}

impl Moto {
    pub(crate) fn start() -> Self {
        let mut child = Command::new(python())
            .arg(root().join("tests/examples/serve_moto.py"))
            .envs([("AWS_ACCESS_KEY_ID", "unused"), ("AWS_SECRET_ACCESS_KEY", "unused")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let port: u16 = port.trim().parse().expect("moto did not start");
        Self { _child: child, endpoint: format!("http://127.0.0.1:{port}") }
    }

    /// What the account has of a group, after it was held against the binary: fits.py.
    pub(crate) fn group(&self, name: &str, made_by: &str, written: &Path) -> Value {
        self.fits(&[name, made_by, written.to_str().unwrap()])
    }

    /// Nothing is left of anything.
    pub(crate) fn is_empty(&self) {
        self.fits(&["-", "gone"]);
    }

    fn fits(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new(python());
        command.arg(root().join("tests/examples/fits.py")).args([env!("CARGO_BIN_EXE_berth"), &self.endpoint]);
        let printed = command.args(arguments).output().unwrap();
        assert!(printed.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&printed.stderr));
        serde_json::from_slice(&printed.stdout).unwrap()
    }
}
