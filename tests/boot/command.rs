//! Other programs: what they print, or why they failed.

use std::ffi::OsStr;
use std::process::Command;

/// Runs it to its end: its standard output.
pub(crate) fn run<W: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    words: impl IntoIterator<Item = W>,
) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(words);
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let printed = [output.stdout, output.stderr].concat();
        Err(format!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&printed).trim_end()))
    }
}
