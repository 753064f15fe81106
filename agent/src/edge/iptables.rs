//! Rules of the kernel's packet filter, set by the `iptables` commands: what comes in through one interface for one address is
//! dropped. Docker needs the same commands, so they are where Docker is.
//!
//! The rules stand in the chain PREROUTING of the table `raw`, which no engine flushes and which comes before every address
//! translation (docs/decisions/0006-metadata-block-by-bridge.md). Each bears a mark in its comment, by which it is found again.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use crate::fault::Class;

/// For one command: it takes milliseconds, but waits for its turn behind others that change the filter.
const LIMIT: Duration = Duration::from_secs(10);
/// So many seconds the command itself waits for its turn; without that it would fail at once.
const TURN: &str = "5";
/// There if the kernel speaks IPv6. Not `/proc/net`: the unit shows the agent processes only (`ProcSubset=pid`).
const IPV6: &str = "/proc/self/net/if_inet6";

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
pub enum IptablesError {
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
        /// Its first line.
        message: String,
        /// Its exit code, none if a signal ended it.
        code: Option<i32>,
    },
}

impl IptablesError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Run { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => Class::Broken,
                io::ErrorKind::PermissionDenied => Class::Denied,
                _ => Class::Transient,
            },
            Self::TooLong { .. } => Class::Transient,
            Self::Refused { message, .. } if is_permission(message) => Class::Denied,
            // RESOURCE_PROBLEM of xtables.h: somebody else was at it.
            Self::Refused { code: Some(4) | None, .. } => Class::Transient,
            Self::Refused { .. } => Class::Broken,
        }
    }
}

/// Makes sure that there is a rule of this mark for each of these, in front of all others; for which there was none.
pub async fn ensure(mark: &str, dropped: &BTreeSet<Dropped>) -> Result<Vec<Dropped>, IptablesError> {
    let mut missing = Vec::new();
    for command in commands() {
        let standing: BTreeSet<Dropped> = marked(command, mark).await?.iter().filter_map(|rule| read(rule)).collect();
        for one in dropped.difference(&standing).filter(|one| command_for(one.address) == command) {
            let address = one.address.to_string();
            let what = ["-i", &one.interface, "-d", &address, "-m", "comment", "--comment", mark, "-j", "DROP"];
            run(command, &[&["-I", "PREROUTING"], &what[..]].concat()).await?;
            missing.push(one.clone());
        }
    }
    Ok(missing)
}

/// Removes every rule of this mark.
pub async fn remove(mark: &str) -> Result<(), IptablesError> {
    for command in commands() {
        for rule in marked(command, mark).await? {
            let words: Vec<&str> = rule.iter().map(String::as_str).collect();
            run(command, &[&["-D"], &words[..]].concat()).await?;
        }
    }
    Ok(())
}

/// A command for each version of IP that the kernel speaks.
fn commands() -> impl Iterator<Item = &'static str> {
    let six = Path::new(IPV6).exists().then_some("ip6tables");
    ["iptables"].into_iter().chain(six)
}

fn command_for(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "iptables" } else { "ip6tables" }
}

/// The rules of this mark, each as the words after `-A`.
async fn marked(command: &'static str, mark: &str) -> Result<Vec<Vec<String>>, IptablesError> {
    let listed = run(command, &["-S", "PREROUTING"]).await?;
    let rules = listed.lines().filter_map(|line| line.strip_prefix("-A "));
    let words = rules.map(|rule| rule.split_whitespace().map(|word| word.trim_matches('"').to_owned()));
    Ok(words.map(Vec::from_iter).filter(|rule| after(rule, "--comment") == Some(mark)).collect())
}

/// What a rule drops, as far as it is one of this kind.
fn read(rule: &[String]) -> Option<Dropped> {
    let address = after(rule, "-d")?.split('/').next()?.parse().ok()?;
    Some(Dropped { interface: after(rule, "-i")?.to_owned(), address })
}

/// The word that follows this one.
fn after<'a>(rule: &'a [String], flag: &str) -> Option<&'a str> {
    rule.iter().skip_while(|word| *word != flag).nth(1).map(String::as_str)
}

/// One command on the table `raw`: what it printed.
async fn run(command: &'static str, words: &[&str]) -> Result<String, IptablesError> {
    let mut process = Command::new(command);
    process.args(["-w", TURN, "-t", "raw"]).args(words).stdin(Stdio::null()).kill_on_drop(true);
    // Of the agent's environment it needs nothing but where commands are, and some of it is nobody else's business.
    process.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    let ended = tokio::time::timeout(LIMIT, process.output()).await;
    let Output { status, stdout, stderr } = ended
        .map_err(|_| IptablesError::TooLong { command })?
        .map_err(|source| IptablesError::Run { command, source })?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&stderr).lines().next().unwrap_or("nothing").to_owned();
    Err(IptablesError::Refused { command, message, code: status.code() })
}

fn is_permission(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["permission denied", "operation not permitted"].iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_as_either_command_lists_it() {
        let words = |rule: &str| rule.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let rule = words("PREROUTING -d 169.254.169.254/32 -i docker0 -m comment --comment berth-imds-1f -j DROP");
        let address = "169.254.169.254".parse().unwrap();
        assert_eq!(read(&rule), Some(Dropped { interface: "docker0".to_owned(), address }));
        assert_eq!(after(&rule, "--comment"), Some("berth-imds-1f"));
        let rule = words("PREROUTING -d fd00:ec2::254/128 -i br-0123456789ab -j DROP");
        assert_eq!(read(&rule).unwrap().address, "fd00:ec2::254".parse::<IpAddr>().unwrap());
        assert_eq!(read(&words("PREROUTING -i docker0 -j DROP")), None);
        assert_eq!(after(&words("PREROUTING -i"), "-i"), None);
    }

    #[test]
    fn what_no_other_attempt_changes_is_told_from_what_passes() {
        let refused = |message: &str, code| {
            IptablesError::Refused { command: "iptables", message: message.to_owned(), code: Some(code) }.class()
        };
        let forbidden =
            "iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)";
        assert_eq!(refused(forbidden, 4), Class::Denied);
        assert_eq!(refused("can't initialize iptables table `raw': Operation not permitted", 3), Class::Denied);
        assert_eq!(refused("Another app is currently holding the xtables lock.", 4), Class::Transient);
        assert_eq!(refused("can't initialize iptables table `raw': Table does not exist", 3), Class::Broken);
        let run = |kind: io::ErrorKind| IptablesError::Run { command: "iptables", source: kind.into() }.class();
        assert_eq!(run(io::ErrorKind::NotFound), Class::Broken);
        assert_eq!(run(io::ErrorKind::PermissionDenied), Class::Denied);
    }
}
