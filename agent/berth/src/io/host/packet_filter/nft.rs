//! The rules by `nft`, in a table of berth's own: `inet berth`, which has both versions of IP. Its chain has the priority of the table `raw` of
//! iptables, before every address translation.

use std::collections::BTreeSet;

use super::rule::{Dropped, FilterError, after, run, words};

const COMMAND: &str = "nft";
const CHAIN: &str = "inet berth prerouting";
/// Both commands do nothing if the object exists. -300 is the priority of `raw` (`NF_IP_PRI_RAW` of linux/netfilter_ipv4.h).
const CREATE: &str = "add table inet berth; \
                      add chain inet berth prerouting { type filter hook prerouting priority -300; policy accept; };";

/// As [`super::ensure`]. All rules of one call are set in one transaction.
pub(super) async fn ensure(mark: &str, dropped: &BTreeSet<Dropped>) -> Result<Vec<Dropped>, FilterError> {
    let standing: BTreeSet<Dropped> = marked(mark).await?.iter().filter_map(|rule| read(rule)).collect();
    let missing: Vec<Dropped> = dropped.difference(&standing).cloned().collect();
    if !missing.is_empty() {
        let inserts: String = missing.iter().map(|one| insert(one, mark)).collect();
        run(COMMAND, &[&format!("{CREATE}{inserts}")]).await?;
    }
    Ok(missing)
}

/// As [`super::remove`].
pub(super) async fn remove(mark: &str) -> Result<(), FilterError> {
    let rules = marked(mark).await?;
    let handles = rules.iter().filter_map(|rule| after(rule, "handle"));
    let deletes: String = handles.map(|handle| format!("delete rule {CHAIN} handle {handle};")).collect();
    if !deletes.is_empty() {
        run(COMMAND, &[&deletes]).await?;
    }
    Ok(())
}

fn insert(dropped: &Dropped, mark: &str) -> String {
    let Dropped { interface, address } = dropped;
    let family = if address.is_ipv4() { "ip" } else { "ip6" };
    format!(" insert rule {CHAIN} iifname \"{interface}\" {family} daddr {address} drop comment \"{mark}\";")
}

/// The rules with this mark; none if there is no such chain.
async fn marked(mark: &str) -> Result<Vec<Vec<String>>, FilterError> {
    let listed = match run(COMMAND, &["-a", "list", "chain", "inet", "berth", "prerouting"]).await {
        Err(FilterError::Refused { message, .. }) if message.contains("No such file or directory") => String::new(),
        listed => listed?,
    };
    Ok(listed.lines().map(words).filter(|rule| after(rule, "comment") == Some(mark)).collect())
}

/// The packets that a rule drops; none if it is not a rule of berth.
fn read(rule: &[String]) -> Option<Dropped> {
    Some(Dropped { interface: after(rule, "iifname")?.to_owned(), address: after(rule, "daddr")?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_as_it_is_listed() {
        let listed = "\t\tiifname \"docker0\" ip daddr 169.254.169.254 drop comment \"berth-imds-1f\" # handle 4";
        let rule = words(listed);
        let dropped = Dropped { interface: "docker0".to_owned(), address: "169.254.169.254".parse().unwrap() };
        assert_eq!(read(&rule).as_ref(), Some(&dropped));
        assert_eq!((after(&rule, "comment"), after(&rule, "handle")), (Some("berth-imds-1f"), Some("4")));
        assert!(insert(&dropped, "berth-imds-1f").contains(listed.split(" # ").next().unwrap().trim()));

        let rule =
            words("iifname \"br-0123456789ab\" ip6 daddr fd00:ec2::254 drop comment \"berth-imds-1f\" # handle 5");
        let dropped = read(&rule).unwrap();
        assert_eq!(dropped.address.to_string(), "fd00:ec2::254");
        assert!(insert(&dropped, "x").contains("ip6 daddr fd00:ec2::254"));
        assert_eq!(read(&words("type filter hook prerouting priority raw; policy accept;")), None);
    }
}
