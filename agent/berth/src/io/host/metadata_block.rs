//! `imds=block`: keeps a container from the instance metadata by rules for the packets that arrive through its bridge.
//!
//! ```text
//!   container ──veth──▶ bridge ──▶ raw PREROUTING: -i BRIDGE -d 169.254.169.254 DROP      other addresses go on
//!   host ───────────────────────────────────────────────────────────────────────▶ its own way to the metadata
//! ```
//! The rules are set before the container starts and stay until it is removed. They outlive agent and engine in the kernel. So there is a note on
//! tmpfs for each container, written first and deleted last, from which this agent and the next know the containers and their bridges. Rules and
//! notes both end when the instance reboots.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use berth_core::message::container::ContainerId;
use berth_core::message::error::ErrorClass;
use http::Uri;

use crate::io::host::packet_filter::{self, Dropped, FilterError};

/// The address of the metadata service on every instance (EC2 user guide, "Access instance metadata").
const IPV4: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));
/// The same on IPv6.
const IPV6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254));

/// The interfaces of this network namespace.
const INTERFACES: &str = "/sys/class/net";

/// The containers that are kept from the metadata, and the addresses that are blocked.
#[derive(Clone, Debug)]
pub struct MetadataBlock {
    notes: PathBuf,
    addresses: BTreeSet<IpAddr>,
}

/// Why a container cannot be kept from the metadata, or the rules cannot be removed.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// A rule here would have no effect.
    #[error(
        "cannot enforce imds=block: the engine's bridge {0} does not exist here, so the engine runs in another network namespace than berth"
    )]
    NoSuchBridge(String),
    /// The packet filter refused.
    #[error("cannot enforce imds=block")]
    Filter(#[source] FilterError),
    /// The note could not be written, read or deleted.
    #[error("cannot enforce imds=block: cannot {doing} {path}")]
    Note {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl BlockError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NoSuchBridge(_) => ErrorClass::Misconfigured,
            Self::Filter(error) => error.class(),
            Self::Note { .. } => ErrorClass::Transient,
        }
    }
}

job_error_from!(BlockError);

/// Whether the packet filter can be changed: removes the rules of a container that does not exist.
pub async fn try_filter() -> Result<(), BlockError> {
    packet_filter::remove("berth-imds-nobody").await.map_err(BlockError::Filter)
}

impl MetadataBlock {
    /// The block with its notes in this run directory. `endpoint` is the agent's own endpoint of the metadata: another address than the usual ones is
    /// blocked as well.
    pub fn new(run_dir: &Path, endpoint: &str) -> Self {
        let own = endpoint.parse::<Uri>().ok().and_then(|uri| uri.host()?.trim_matches(['[', ']']).parse().ok());
        // Inside the container, loopback is the container's own.
        let own = own.filter(|address: &IpAddr| !address.is_loopback());
        Self { notes: run_dir.join("imds"), addresses: [IPV4, IPV6].into_iter().chain(own).collect() }
    }

    /// Blocks the metadata for packets from these bridges, in the name of this container; returns the bridges that had no rule. Without any bridge
    /// there is nothing to block.
    pub async fn hold(&self, id: &ContainerId, bridges: &[String]) -> Result<BTreeSet<String>, BlockError> {
        if let Some(bridge) = bridges.iter().find(|bridge| !is_here(bridge)) {
            return Err(BlockError::NoSuchBridge(bridge.clone()));
        }
        if bridges.is_empty() {
            return Ok(BTreeSet::new());
        }
        self.write_note(id, &bridges.join("\n"))?;
        let each = |bridge: &String| {
            let interface = bridge.clone();
            self.addresses.iter().map(move |address| Dropped { interface: interface.clone(), address: *address })
        };
        let missing = packet_filter::ensure(&mark(id), &bridges.iter().flat_map(each).collect()).await;
        Ok(missing.map_err(BlockError::Filter)?.into_iter().map(|dropped| dropped.interface).collect())
    }

    /// The same for the bridges of the note, for when the engine does not say which bridges the container has.
    pub async fn hold_as_noted(&self, id: &ContainerId) -> Result<BTreeSet<String>, BlockError> {
        let note = self.note(id);
        let text = fs::read_to_string(&note).map_err(|source| self.cannot("read", &note, source))?;
        let bridges: Vec<String> = text.lines().filter(|name| is_here(name)).map(str::to_owned).collect();
        if bridges.is_empty() { Ok(BTreeSet::new()) } else { self.hold(id, &bridges).await }
    }

    /// Written only if it changed, since this runs every few seconds.
    fn write_note(&self, id: &ContainerId, text: &str) -> Result<(), BlockError> {
        let note = self.note(id);
        if fs::read_to_string(&note).is_ok_and(|former| former == text) {
            return Ok(());
        }
        fs::create_dir_all(&self.notes).map_err(|source| self.cannot("make", &self.notes, source))?;
        fs::write(&note, text).map_err(|source| self.cannot("write", &note, source))
    }

    /// Removes the rules of this container. It is no error if there are none.
    pub async fn lift(&self, id: &ContainerId) -> Result<(), BlockError> {
        let note = self.note(id);
        if !note.exists() {
            return Ok(());
        }
        packet_filter::remove(&mark(id)).await.map_err(BlockError::Filter)?;
        fs::remove_file(&note).map_err(|source| self.cannot("delete", &note, source))
    }

    /// The containers that are blocked, or were about to be.
    pub fn held(&self) -> Result<Vec<ContainerId>, BlockError> {
        let entries = match fs::read_dir(&self.notes) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|source| self.cannot("list", &self.notes, source))?,
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.map(ContainerId).collect())
    }

    fn note(&self, id: &ContainerId) -> PathBuf {
        self.notes.join(&id.0)
    }

    fn cannot(&self, doing: &'static str, path: &Path, source: io::Error) -> BlockError {
        BlockError::Note { doing, path: path.to_owned(), source }
    }
}

/// Whether the interface is in this network namespace.
fn is_here(interface: &str) -> bool {
    Path::new(INTERFACES).join(interface).exists()
}

/// The comment of a container's rules.
fn mark(id: &ContainerId) -> String {
    format!("berth-imds-{}", id.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::aws::imds::Imds;
    use crate::io::http::Http;

    #[test]
    fn the_usual_addresses_are_blocked_and_the_one_that_the_agent_asks() {
        let blocked = |endpoint: &str| {
            let block = MetadataBlock::new(Path::new("/run/berth"), endpoint);
            block.addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>()
        };
        let usual = ["169.254.169.254", "fd00:ec2::254"];
        for endpoint in
            ["http://169.254.169.254", "http://[fd00:ec2::254]", "http://127.0.0.1:1338", "http://imds.local"]
        {
            assert_eq!(blocked(endpoint), usual, "{endpoint}");
        }
        // Whichever of the two answers later: nothing of the block depends on it.
        let imds = Imds::from_env(&|_| None, Http::default()).unwrap();
        assert_eq!(blocked(imds.base()), usual);
        assert_eq!(blocked("http://198.18.0.1:80"), ["169.254.169.254", "198.18.0.1", "fd00:ec2::254"]);
        assert_eq!(blocked("http://[2001:db8::1]:80"), ["169.254.169.254", "2001:db8::1", "fd00:ec2::254"]);
    }

    #[test]
    fn the_notes_list_the_blocked_containers_and_without_notes_there_is_none() {
        let run_dir = tempfile::tempdir().unwrap();
        let block = MetadataBlock::new(run_dir.path(), "");
        assert_eq!(block.held().unwrap(), []);
        fs::create_dir(run_dir.path().join("imds")).unwrap();
        fs::write(run_dir.path().join("imds/0123"), "").unwrap();
        assert_eq!(block.held().unwrap(), [ContainerId("0123".to_owned())]);
    }
}
