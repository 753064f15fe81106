//! Rules of the kernel's packet filter: what comes in through one interface for one address is dropped.
//!
//! They are set with `iptables` and `ip6tables`, which Docker needs as well as long as it keeps its own rules with them. A host whose
//! Docker does not (`firewall-backend=nftables` since Docker Engine 29) may have only `nft`, and then that is used. The kernel asks
//! the rules of all tools, so it does not matter which one the engine uses. Each rule bears a mark, by which it is found again.

mod iptables;
mod nft;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use berth_core::message::error::ErrorClass;

/// For one command: it takes milliseconds, but waits for its turn behind others that change the filter.
const LIMIT: Duration = Duration::from_secs(10);

/// What is dropped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dropped {
    /// Through which interface of the host it comes in.
    pub interface: String,
    /// For whom it is.
    pub address: IpAddr,
}

/// Why a rule could not be set, found or removed.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// Neither `iptables` nor `nft` is there.
    #[error("neither iptables nor nft is in the PATH; install iptables or nftables")]
    Missing,
    /// The command did not begin.
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
    /// The command said no.
    #[error("{command} says: {message}")]
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

    fn is_missing_command(&self) -> bool {
        matches!(self, Self::Run { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Makes sure that there is a rule of this mark for each of these, in front of all others; for which there was none.
pub async fn ensure(mark: &str, dropped: &BTreeSet<Dropped>) -> Result<Vec<Dropped>, FilterError> {
    match iptables::ensure(mark, dropped).await {
        Err(error) if error.class() == ErrorClass::Broken => {
            nft::ensure(mark, dropped).await.map_err(|nft| both(error, nft))
        }
        ensured => ensured,
    }
}

/// Removes every rule of this mark, by whichever tool it was set: what the host has may have changed meanwhile.
pub async fn remove(mark: &str) -> Result<(), FilterError> {
    match (iptables::remove(mark).await, nft::remove(mark).await) {
        // Where iptables works, nft may be missing or find a kernel without nftables.
        (Ok(()), _) => Ok(()),
        (Err(error), nft) if error.class() == ErrorClass::Broken => nft.map_err(|nft| both(error, nft)),
        (Err(error), _) => Err(error),
    }
}

/// The error to report when neither tool worked: that of the tool that is there, else that there is none.
fn both(iptables: FilterError, nft: FilterError) -> FilterError {
    match (iptables.is_missing_command(), nft.is_missing_command()) {
        (true, true) => FilterError::Missing,
        (true, false) => nft,
        (false, _) => iptables,
    }
}

/// The word that follows this one.
fn after<'a>(rule: &'a [String], word: &str) -> Option<&'a str> {
    rule.iter().skip_while(|one| *one != word).nth(1).map(String::as_str)
}

/// The words of a rule as a tool lists it, without quotes.
fn words(rule: &str) -> Vec<String> {
    rule.split_whitespace().map(|word| word.trim_matches('"').to_owned()).collect()
}

/// One command: what it printed.
async fn run(command: &'static str, words: &[&str]) -> Result<String, FilterError> {
    let mut process = Command::new(command);
    process.args(words).stdin(Stdio::null()).kill_on_drop(true);
    // Of the agent's environment it needs nothing but where commands are, and some of it is nobody else's business.
    process.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    let ended = tokio::time::timeout(LIMIT, process.output()).await;
    let Output { status, stdout, stderr } =
        ended.map_err(|_| FilterError::TooLong { command })?.map_err(|source| FilterError::Run { command, source })?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    // A command that crashed wrote nothing; then it is how it ended.
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
    fn what_no_other_attempt_changes_is_told_from_what_passes() {
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

    #[test]
    fn of_two_tools_that_fail_the_one_that_is_there_is_reported() {
        let missing = |command| run_error(command, io::ErrorKind::NotFound);
        let refused = |command| FilterError::Refused { command, message: "no".to_owned(), code: Some(1) };
        let reported = |iptables, nft| both(iptables, nft).to_string();
        let neither = "neither iptables nor nft is in the PATH; install iptables or nftables";
        assert_eq!(reported(missing("iptables"), missing("nft")), neither);
        assert_eq!(reported(missing("iptables"), refused("nft")), "nft says: no");
        assert_eq!(reported(refused("iptables"), missing("nft")), "iptables says: no");
        assert_eq!(reported(refused("iptables"), refused("nft")), "iptables says: no");
    }

    #[tokio::test]
    async fn a_command_that_wrote_nothing_is_reported_by_how_it_ended() {
        let said = |script| async move { run("sh", &["-c", script]).await.unwrap_err().to_string() };
        assert_eq!(said("kill -KILL $$").await, "sh says: signal: 9 (SIGKILL)");
        assert_eq!(said("exit 3").await, "sh says: exit status: 3");
        assert_eq!(said("echo no >&2; echo more >&2; exit 3").await, "sh says: no");
        assert_eq!(run("sh", &["-c", "echo yes"]).await.unwrap(), "yes\n");
    }

    fn run_error(command: &'static str, kind: io::ErrorKind) -> FilterError {
        FilterError::Run { command, source: kind.into() }
    }
}
