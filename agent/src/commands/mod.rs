//! The commands that are not the agent itself. Each says what it found on standard output, what went wrong on standard
//! error, and ends with an exit code; nothing here decides anything about the instance.

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use crate::edge::aws::Aws;
use crate::edge::http::Http;
use crate::edge::imds::{Imds, ImdsError};
use crate::fault::{Class, Fault};

pub mod bake;
pub mod check;
pub mod doctor;
pub mod drain;
pub mod drained;
pub mod exec;
mod figures;
pub mod handover;
pub mod policy;
pub mod status;
pub mod status_watch;
pub mod timeline;
pub mod wait;

/// The exit code of a command whose answer is no. The agent itself never ends with it.
pub const NO: u8 = 1;

/// Prints what was asked for. A reader that went away is no fault of ours.
pub fn say(text: &str) {
    let _ = stdout().write_all(text.as_bytes());
}

/// Prints what somebody should know beside the answer.
fn note(text: &str) {
    let _ = writeln!(stderr(), "berth: {text}");
}

/// Prints why it did not work, and ends so.
pub fn failed(code: impl Into<u8>, reason: &str) -> ExitCode {
    let _ = writeln!(stderr(), "berth: {reason}");
    ExitCode::from(code.into())
}

/// The clients that the agent uses, as this process's environment sets them.
fn aws() -> Result<(Imds, Aws), ImdsError> {
    let env = |name: &str| std::env::var(name).ok();
    let http = Http::default();
    let imds = Imds::from_env(&env, http.clone())?;
    Ok((imds.clone(), Aws::new(http, imds, &env)))
}

/// An error with its sources, in one sentence.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    Fault::from_error(Class::Broken, error).reason
}

#[cfg(test)]
mod fake;
