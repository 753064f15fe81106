//! `imds=block`: the packet filter.

use std::io;

use berth::io::host::metadata_block::BlockError;
use berth::io::host::packet_filter::FilterError;

use super::Advice::{Passes, Source};
use super::{Advice, Section, entry, rows};

rows! { block, BlockError, |error| Some(error.class());
    BlockError::NoSuchBridge(_), BlockError::NoSuchBridge("BRIDGE".to_owned()) => entry(
        Section::Block,
        "The engine runs in another network namespace than berth (a rootless engine, or one in a container), where a rule of berth's holds \
         nobody.",
        "use an engine of the host itself, or `imds=allow` and a hop limit of 1.",
        &["ip -brief link show type bridge"],
    );
    BlockError::Filter(_), BlockError::Filter(FilterError::TooLong { command: "iptables" }) => Source;
    BlockError::Note { .. }, BlockError::Note {
        doing: "write",
        path: "PATH".into(),
        source: io::Error::from_raw_os_error(28),
    } => Passes;
}

const FORBIDDEN: Advice = entry(
    Section::Block,
    "The agent may not change the packet filter.",
    "run it as root with `CAP_NET_ADMIN` and `CAP_NET_RAW`, as `berth.service` does; look for a drop-in that takes them.",
    &["systemctl show berth --property CapabilityBoundingSet"],
);

rows! { filter, FilterError, |error| Some(error.class());
    FilterError::Missing, FilterError::Missing => entry(
        Section::Block,
        "`imds=block` needs `iptables` and `ip6tables`, or `nft`. Docker brings the first two on most distributions.",
        "install one of them into the AMI.",
        &["apt-get install iptables    # Debian, Ubuntu", "dnf install iptables-nft    # Amazon Linux 2023"],
    );
    FilterError::Run { source, .. } if source.kind() == io::ErrorKind::NotFound, FilterError::Run {
        command: "ip6tables",
        source: io::Error::from_raw_os_error(2),
    } => entry(
        Section::Block,
        "One of the commands of the packet filter is not in the PATH, and the kernel speaks the version of IP that it is for.",
        "install the whole package into the AMI.",
        &["apt-get install iptables    # Debian, Ubuntu", "dnf install iptables-nft    # Amazon Linux 2023"],
    );
    FilterError::Run { source, .. } if source.kind() == io::ErrorKind::PermissionDenied, FilterError::Run {
        command: "iptables",
        source: io::Error::from_raw_os_error(13),
    } => FORBIDDEN;
    FilterError::Run { .. }, FilterError::Run { command: "iptables", source: io::Error::from_raw_os_error(4) } => Passes;
    FilterError::TooLong { .. }, FilterError::TooLong { command: "iptables" } => Passes;
    FilterError::Refused { message, .. } if message.contains("Permission denied"), FilterError::Refused {
        command: "iptables",
        message: "Fatal: can't open lock file: Permission denied".to_owned(),
        code: Some(4),
    } => FORBIDDEN;
    FilterError::Refused { code: Some(4) | None, .. }, FilterError::Refused {
        command: "iptables",
        message: "Another app is currently holding the xtables lock.".to_owned(),
        code: Some(4),
    } => Passes;
    FilterError::Refused { .. }, FilterError::Refused {
        command: "iptables",
        message: "can't initialize iptables table `raw': Table does not exist".to_owned(),
        code: Some(3),
    } => entry(
        Section::Block,
        "The kernel lacks the table `raw`, or refuses the rule for another reason, which the message names.",
        "load the module in the AMI, and see whether the rule can be set by hand.",
        &["modprobe iptable_raw", "iptables -t raw -S"],
    );
}
