//! What a rule drops, and the commands that set and list the rules.

use std::io;
use std::net::IpAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use berth_core::message::error::ErrorClass;
use tokio::process::Command;

/// For one command: it takes milliseconds, but waits for its turn behind others that change the filter.
const LIMIT: Duration = Duration::from_secs(10);

/// The packets that a rule drops.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dropped {
    /// The interface of the host through which they arrive.
    pub interface: String,
    /// Their destination.
    pub address: IpAddr,
}

/// Why a rule cannot be set, found or removed.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// Neither `iptables` nor `nft` is installed.
    #[error("neither iptables nor nft is in the PATH; install iptables or nftables")]
    Missing,
    /// The command cannot be started.
    #[error("cannot run {command}")]
    Run {
        /// Which.
        command: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The command did not end.
    #[error("{command} did not end within {} s", LIMIT.as_secs())]
    TooLong {
        /// Which.
        command: &'static str,
    },
    /// The command failed.
    #[error("{command} failed: {message}")]
    Refused {
        /// Which.
        command: &'static str,
        /// The first line that it wrote to stderr, or how it ended.
        message: String,
        /// Its exit code, none if a signal ended it.
        code: Option<i32>,
    },
}

impl FilterError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Missing => ErrorClass::Broken,
            Self::Run { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => ErrorClass::Broken,
                io::ErrorKind::PermissionDenied => ErrorClass::Denied,
                _ => ErrorClass::Transient,
            },
            Self::TooLong { .. } => ErrorClass::Transient,
            Self::Refused { message, .. } if is_permission(message) => ErrorClass::Denied,
            // RESOURCE_PROBLEM of xtables.h: another program changes the rules at this moment.
            Self::Refused { code: Some(4) | None, .. } => ErrorClass::Transient,
            Self::Refused { .. } => ErrorClass::Broken,
        }
    }

    pub(super) fn is_missing_command(&self) -> bool {
        matches!(self, Self::Run { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// The word that follows this one.
pub(super) fn after<'a>(rule: &'a [String], word: &str) -> Option<&'a str> {
    rule.iter().skip_while(|one| *one != word).nth(1).map(String::as_str)
}

/// The words of a rule as a tool lists it, without quotes.
pub(super) fn words(rule: &str) -> Vec<String> {
    rule.split_whitespace().map(|word| word.trim_matches('"').to_owned()).collect()
}

/// Runs one command; returns its output.
pub(super) async fn run(command: &'static str, words: &[&str]) -> Result<String, FilterError> {
    let mut process = Command::new(command);
    process.args(words).stdin(Stdio::null()).kill_on_drop(true);
    // It needs only PATH, and the agent's environment may hold credentials.
    process.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    let ended = tokio::time::timeout(LIMIT, process.output()).await;
    let Output { status, stdout, stderr } =
        ended.map_err(|_| FilterError::TooLong { command })?.map_err(|source| FilterError::Run { command, source })?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    // A command that crashed wrote no message: its exit status is reported.
    let message = String::from_utf8_lossy(&stderr).lines().next().map_or_else(|| status.to_string(), str::to_owned);
    Err(FilterError::Refused { command, message, code: status.code() })
}

fn is_permission(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["permission denied", "operation not permitted"].iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lasting_failure_is_not_a_transient_one() {
        let refused = |message: &str, code| {
            FilterError::Refused { command: "iptables", message: message.to_owned(), code: Some(code) }.class()
        };
        let forbidden =
            "iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)";
        assert_eq!(refused(forbidden, 4), ErrorClass::Denied);
        assert_eq!(refused("can't initialize iptables table `raw': Operation not permitted", 3), ErrorClass::Denied);
        assert_eq!(refused("Error: Could not process rule: Operation not permitted", 1), ErrorClass::Denied);
        assert_eq!(refused("Another app is currently holding the xtables lock.", 4), ErrorClass::Transient);
        assert_eq!(refused("can't initialize iptables table `raw': Table does not exist", 3), ErrorClass::Broken);
        assert_eq!(run_error("iptables", io::ErrorKind::NotFound).class(), ErrorClass::Broken);
        assert_eq!(run_error("iptables", io::ErrorKind::PermissionDenied).class(), ErrorClass::Denied);
    }

    #[tokio::test]
    async fn a_command_that_wrote_nothing_is_reported_by_how_it_ended() {
        let failure = |script| async move { run("sh", &["-c", script]).await.unwrap_err().to_string() };
        assert_eq!(failure("kill -KILL $$").await, "sh failed: signal: 9 (SIGKILL)");
        assert_eq!(failure("exit 3").await, "sh failed: exit status: 3");
        assert_eq!(failure("echo no >&2; echo more >&2; exit 3").await, "sh failed: no");
        assert_eq!(run("sh", &["-c", "echo yes"]).await.unwrap(), "yes\n");
    }

    fn run_error(command: &'static str, kind: io::ErrorKind) -> FilterError {
        FilterError::Run { command, source: kind.into() }
    }
}
