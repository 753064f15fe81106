//! Rules of the kernel's packet filter: packets that arrive through one interface for one address are dropped.
//!
//! They are set with `iptables` and `ip6tables`, which Docker needs as well as long as it keeps its own rules with them. A host whose
//! Docker does not (`firewall-backend=nftables` since Docker Engine 29) may have only `nft`, and then that is used. The kernel asks
//! the rules of all tools, so it does not matter which one the engine uses. Each rule has a mark, by which it is found again.

use std::collections::BTreeSet;

use berth_core::message::error::ErrorClass;

pub use rule::{Dropped, FilterError};

mod iptables;
mod nft;
mod rule;

/// Makes sure that there is a rule with this mark for each of these, before all others; returns those that had none.
pub async fn ensure(mark: &str, dropped: &BTreeSet<Dropped>) -> Result<Vec<Dropped>, FilterError> {
    match iptables::ensure(mark, dropped).await {
        Err(error) if error.class() == ErrorClass::Broken => {
            nft::ensure(mark, dropped).await.map_err(|nft| both(error, nft))
        }
        ensured => ensured,
    }
}

/// Removes every rule with this mark, whichever tool set it: the tools of the host may have changed meanwhile.
pub async fn remove(mark: &str) -> Result<(), FilterError> {
    match (iptables::remove(mark).await, nft::remove(mark).await) {
        // Where iptables works, nft may be missing or find a kernel without nftables.
        (Ok(()), _) => Ok(()),
        (Err(error), nft) if error.class() == ErrorClass::Broken => nft.map_err(|nft| both(error, nft)),
        (Err(error), _) => Err(error),
    }
}

/// The error to report when neither tool worked: that of the installed tool, else that none is installed.
fn both(iptables: FilterError, nft: FilterError) -> FilterError {
    match (iptables.is_missing_command(), nft.is_missing_command()) {
        (true, true) => FilterError::Missing,
        (true, false) => nft,
        (false, _) => iptables,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn of_two_tools_that_fail_the_one_that_is_there_is_reported() {
        let missing = |command| run_error(command, io::ErrorKind::NotFound);
        let refused = |command| FilterError::Refused { command, message: "no".to_owned(), code: Some(1) };
        let reported = |iptables, nft| both(iptables, nft).to_string();
        let neither = "neither iptables nor nft is in the PATH; install iptables or nftables";
        assert_eq!(reported(missing("iptables"), missing("nft")), neither);
        assert_eq!(reported(missing("iptables"), refused("nft")), "nft failed: no");
        assert_eq!(reported(refused("iptables"), missing("nft")), "iptables failed: no");
        assert_eq!(reported(refused("iptables"), refused("nft")), "iptables failed: no");
    }

    fn run_error(command: &'static str, kind: io::ErrorKind) -> FilterError {
        FilterError::Run { command, source: kind.into() }
    }
}
