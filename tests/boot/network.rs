//! A network that the test has to itself, as a VPC with one subnet: the kit's fakes are in it, and the machine joins it.
//!
//! It is the calling thread's network namespace. Nobody else can reach it or be reached from it, which makes it safe to have
//! 169.254.169.254 in there, and it is gone with the test, however that ends.

use std::net::Ipv4Addr;

use nix::sched::{CloneFlags, unshare};

use crate::command;

/// Where the fakes are; the machine's gateway.
pub(crate) const FAKES: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 1);
/// Where the machine is (image.d, network-up).
pub(crate) const MACHINE: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 11);

/// Moves this thread, and what it starts afterwards, into a network of its own.
pub(crate) fn enter() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|error| format!("no network namespace of its own: {error}"))?;
    for words in [
        "link set lo up",
        "address add 169.254.169.254/32 dev lo",
        "link add subnet type bridge forward_delay 0",
        "address add 10.79.0.1/24 dev subnet",
        "link set subnet up",
    ] {
        ip(words)?;
    }
    Ok(())
}

/// Gives the process with this id, and so its whole network namespace, a card in the subnet.
pub(crate) fn plug_in(pid: &str) -> Result<(), String> {
    // The one that the machine had before its restart goes away by itself, some time later.
    let _ = ip("link delete machine");
    ip(&format!("link add machine type veth peer name eth0 netns {pid}"))?;
    ip("link set machine master subnet up")
}

fn ip(words: &str) -> Result<(), String> {
    command::run("ip", words.split(' ')).map(|_| ())
}
