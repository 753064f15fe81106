//! `berth shim PROGRAM ARGS…`: the few lines that run inside the container. They set the secret environment and become the
//! app, so that `docker inspect` and the disk show no value.
//!
//! ```text
//!   (tini ─▶) /.berth/berth shim /app --serve
//!                 │ reads /.berth/secrets/env, NAME=VALUE between NULs, on tmpfs
//!                 └ execs /app --serve: same process id, so signals and exit codes pass through untouched
//! ```
//! It must come before everything else in `main`: no runtime, no thread, no flag parser. The image may be empty but for the app,
//! its user anybody, its root file system read-only. No core dump is written of it; the app gets the limit that it would have
//! without the shim.

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

/// The shim itself failed, as `docker run` has it.
const OWN_FAILURE: u8 = 125;
/// The program cannot be executed, as shells have it.
const NOT_EXECUTABLE: u8 = 126;
/// The program is not there, as shells have it.
const NOT_FOUND: u8 = 127;

/// Whether this process was started as the shim.
pub fn is_shim(mut args: impl Iterator<Item = OsString>) -> bool {
    args.nth(1).is_some_and(|word| word == WORD)
}

/// Becomes the program with the secret environment; returns only if that fails. `args`: the program and its arguments.
pub fn run(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    // A kernel that refuses this is no reason not to start the app.
    let former = core_dump::suspend();
    let Some(program) = args.next() else {
        return fail(OWN_FAILURE, "no program to run");
    };
    let file = format!("{DIRECTORY}/{FILE}");
    let values = match std::fs::read(&file) {
        Ok(values) => values,
        Err(error) => return fail(OWN_FAILURE, &format!("cannot read {file}: {error}")),
    };
    // The search for the program goes by the PATH that the app will have.
    let mut command = Command::new(&program);
    command.args(args).envs(variables(&values));
    let _ = former.and_then(core_dump::allow);
    let error = command.exec();
    let code = match error.kind() {
        ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_EXECUTABLE,
    };
    fail(code, &format!("cannot run {}: {error}", program.to_string_lossy()))
}

/// The variables of the file, in its order. What has no name is passed over: the agent writes none.
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
    fn an_entry_without_a_name_is_passed_over() {
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
