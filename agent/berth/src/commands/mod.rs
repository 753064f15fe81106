//! The commands other than the agent itself. Each prints its result on standard output and its errors on standard error, and ends
//! with an exit code. Nothing here decides anything about the instance.

use std::io::{ErrorKind, Write, stderr, stdout};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use berth_core::message::error::{ErrorClass, JobError};

use crate::io::aws::Aws;
use crate::io::aws::imds::{Imds, ImdsError};
use crate::io::http::dns::Resolver;
use crate::io::http::{Http, VariableError};
use berth_config::printable::one_line;

pub mod bake;
pub mod check;
pub mod doctor;
pub mod drain;
pub mod drained;
pub mod exec;
pub mod handover;
mod humanize;
mod paint;
pub mod policy;
pub mod release;
mod sheet;
pub mod status;
pub mod timeline;
pub mod wait;

/// The exit code of a command whose condition is not met. The agent itself never ends with it.
pub const NO: u8 = 1;
/// In bytes, far longer than any line of an error.
const LONGEST_LINE: usize = 4000;

/// Whether a write to standard output failed.
static UNPRINTED: AtomicBool = AtomicBool::new(false);

/// Prints the result. A closed pipe is no error; any other failure is reported once, and [`ended`] turns it into exit code 1.
pub fn say(text: &str) {
    let mut out = stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        unprinted(&error);
    }
}

/// Reports that standard output cannot be written.
fn unprinted(error: &std::io::Error) {
    if error.kind() != ErrorKind::BrokenPipe && !UNPRINTED.swap(true, Ordering::Relaxed) {
        note(&format!("cannot write to standard output: {error}"));
    }
}

/// The exit code of a command: 1 instead of 0 if its result could not be printed.
pub fn ended(code: ExitCode) -> ExitCode {
    if code == ExitCode::SUCCESS && UNPRINTED.load(Ordering::Relaxed) { NO.into() } else { code }
}

/// Prints a remark on standard error.
pub fn note(text: &str) {
    let _ = writeln!(stderr(), "berth: {text}");
}

/// Prints why the command failed; its exit code.
pub fn failed(code: impl Into<u8>, reason: &str) -> ExitCode {
    for line in reason.lines() {
        let _ = writeln!(stderr(), "berth: {line}");
    }
    ExitCode::from(code.into())
}

/// Text from elsewhere, fit to be printed: line by line, without control characters.
fn plain(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| one_line(line, LONGEST_LINE)).collect();
    lines.join("\n")
}

/// The environment is invalid.
#[derive(Debug, thiserror::Error)]
enum EnvironmentError {
    #[error(transparent)]
    Imds(#[from] ImdsError),
    #[error(transparent)]
    Proxy(#[from] VariableError),
}

/// The agent's clients, configured by this process's environment.
fn aws() -> Result<(Imds, Aws), EnvironmentError> {
    let env = |name: &str| std::env::var(name).ok();
    let http = Http::from_env(&env, Resolver::default())?;
    let imds = Imds::from_env(&env, http.clone())?;
    Ok((imds.clone(), Aws::new(http, imds, &env)))
}

/// The same, for a command that may also run outside of an instance.
async fn aws_anywhere() -> Result<(Imds, Aws), EnvironmentError> {
    let env = |name: &str| std::env::var(name).ok();
    let http = Http::from_env(&env, Resolver::default())?;
    let imds = Imds::from_env(&env, http.clone())?;
    Ok((imds.clone(), Aws::anywhere(http, imds).await))
}

/// An error with its sources, in one sentence.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    JobError::from_error(ErrorClass::Broken, error).reason
}

#[cfg(test)]
mod fake;
