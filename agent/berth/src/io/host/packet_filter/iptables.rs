//! The rules by `iptables` and `ip6tables`, of either kind (on nftables or legacy). They stand in the chain PREROUTING of the table
//! `raw`, which no engine flushes and which comes before every address translation (docs/decisions/0006-metadata-block-by-bridge.md).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use super::rule::{Dropped, FilterError, after, run, words};

/// Seconds for which the command itself waits for the lock of the tables; without that it would fail at once.
const TURN: &str = "5";
/// Exists if the kernel has IPv6. Not `/proc/net`: the unit shows the agent processes only (`ProcSubset=pid`).
const IPV6: &str = "/proc/self/net/if_inet6";

/// As [`super::ensure`].
pub(super) async fn ensure(mark: &str, dropped: &BTreeSet<Dropped>) -> Result<Vec<Dropped>, FilterError> {
    let mut missing = Vec::new();
    for command in commands() {
        let standing: BTreeSet<Dropped> = marked(command, mark).await?.iter().filter_map(|rule| read(rule)).collect();
        for one in dropped.difference(&standing).filter(|one| command_for(one.address) == command) {
            let address = one.address.to_string();
            let what = ["-i", &one.interface, "-d", &address, "-m", "comment", "--comment", mark, "-j", "DROP"];
            raw(command, &[&["-I", "PREROUTING"], &what[..]].concat()).await?;
            missing.push(one.clone());
        }
    }
    Ok(missing)
}

/// As [`super::remove`].
pub(super) async fn remove(mark: &str) -> Result<(), FilterError> {
    for command in commands() {
        for rule in marked(command, mark).await? {
            let words: Vec<&str> = rule.iter().map(String::as_str).collect();
            raw(command, &[&["-D"], &words[..]].concat()).await?;
        }
    }
    Ok(())
}

/// A command for each version of IP that the kernel has.
fn commands() -> impl Iterator<Item = &'static str> {
    let six = Path::new(IPV6).exists().then_some("ip6tables");
    ["iptables"].into_iter().chain(six)
}

fn command_for(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "iptables" } else { "ip6tables" }
}

/// The rules with this mark, each as the words after `-A`.
async fn marked(command: &'static str, mark: &str) -> Result<Vec<Vec<String>>, FilterError> {
    let listed = raw(command, &["-S", "PREROUTING"]).await?;
    let rules = listed.lines().filter_map(|line| line.strip_prefix("-A "));
    Ok(rules.map(words).filter(|rule| after(rule, "--comment") == Some(mark)).collect())
}

/// The packets that a rule drops; none if it is not a rule of berth.
fn read(rule: &[String]) -> Option<Dropped> {
    let address = after(rule, "-d")?.split('/').next()?.parse().ok()?;
    Some(Dropped { interface: after(rule, "-i")?.to_owned(), address })
}

/// Runs one command on the table `raw`; returns its output.
async fn raw(command: &'static str, words: &[&str]) -> Result<String, FilterError> {
    run(command, &[&["-w", TURN, "-t", "raw"], words].concat()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_as_either_command_lists_it() {
        let rule = words("PREROUTING -d 169.254.169.254/32 -i docker0 -m comment --comment berth-imds-1f -j DROP");
        let address = "169.254.169.254".parse().unwrap();
        assert_eq!(read(&rule), Some(Dropped { interface: "docker0".to_owned(), address }));
        assert_eq!(after(&rule, "--comment"), Some("berth-imds-1f"));
        let rule = words("PREROUTING -d fd00:ec2::254/128 -i br-0123456789ab -j DROP");
        assert_eq!(read(&rule).unwrap().address, "fd00:ec2::254".parse::<IpAddr>().unwrap());
        assert_eq!(read(&words("PREROUTING -i docker0 -j DROP")), None);
        assert_eq!(after(&words("PREROUTING -i"), "-i"), None);
    }
}
