//! `berth shim PROGRAM ARGS…`: runs inside the container. It sets the secret environment and becomes the app, so that
//! `docker inspect` and the disk hold no value.
//!
//! ```text
//!   (tini ─▶) /.berth/berth shim /app --serve
//!                 │ reads /.berth/secrets/env, NAME=VALUE between NULs, on tmpfs
//!                 └ execs /app --serve: same process id, so signals and exit codes are the app's own
//! ```
//! It runs before everything else in `main`: no runtime, no thread, no flag parser. The image may hold only the app, run as any
//! user, and have a read-only root file system. No core dump is written of the shim; the app gets the limit that it has without
//! the shim.

use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::core_dump;

/// The word that the container's entry point has after the binary.
pub const WORD: &str = "shim";
/// Where the binary is mounted in the container.
pub const BINARY: &str = "/.berth/berth";
/// Where the directory with the values is mounted in the container.
pub const DIRECTORY: &str = "/.berth/secrets";
/// The file in that directory.
pub const FILE: &str = "env";

/// The shim itself failed, as in `docker run`.
const OWN_FAILURE: u8 = 125;
/// The program cannot be executed, as in shells.
const NOT_EXECUTABLE: u8 = 126;
/// The program is not found, as in shells.
const NOT_FOUND: u8 = 127;

/// Whether this process was started as the shim.
pub fn is_shim(mut args: impl Iterator<Item = OsString>) -> bool {
    args.nth(1).is_some_and(|word| word == WORD)
}

/// Becomes the program with the secret environment; returns only if that fails. `args`: the program and its arguments.
pub fn run(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    // The app starts even if the kernel refuses this.
    let limit = core_dump::suspend();
    let Some(program) = args.next() else {
        return fail(OWN_FAILURE, "no program to run");
    };
    let file = format!("{DIRECTORY}/{FILE}");
    let values = match std::fs::read(&file) {
        Ok(values) => values,
        Err(error) => return fail(OWN_FAILURE, &format!("cannot read {file}: {error}")),
    };
    // The program is searched in the PATH of the app.
    let mut command = Command::new(&program);
    command.args(args).envs(variables(&values));
    let _ = limit.and_then(core_dump::allow);
    let error = command.exec();
    let code = match error.kind() {
        ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_EXECUTABLE,
    };
    fail(code, &format!("cannot run {}: {error}", program.to_string_lossy()))
}

/// The variables of the file, in its order. An entry without a name is skipped; the agent writes none.
pub fn variables(file: &[u8]) -> impl Iterator<Item = (&OsStr, &OsStr)> {
    file.split(|byte| *byte == 0).filter_map(|entry| {
        let equals = entry.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
        let (name, value) = entry.split_at_checked(equals)?;
        Some((OsStr::from_bytes(name), OsStr::from_bytes(value.get(1..)?)))
    })
}

fn fail(code: u8, sentence: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "berth shim: {sentence}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &[u8]) -> Vec<(&str, &str)> {
        variables(file).map(|(name, value)| (name.to_str().unwrap(), value.to_str().unwrap())).collect()
    }

    #[test]
    fn a_value_may_hold_newlines_and_equals_signs_and_nothing() {
        assert_eq!(read(b"A=x\ny=z\0B=\0"), [("A", "x\ny=z"), ("B", "")]);
    }

    #[test]
    fn an_entry_without_a_name_is_skipped() {
        assert_eq!(read(b"\0=x\0plain\0A=1"), [("A", "1")]);
    }

    #[test]
    fn only_the_first_word_makes_it_the_shim() {
        let args = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>().into_iter();
        assert!(is_shim(args(&["berth", "shim", "/app"])));
        assert!(!is_shim(args(&["berth", "run", "shim"])));
        assert!(!is_shim(args(&["shim"])));
    }
}
