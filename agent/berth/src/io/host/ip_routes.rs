//! Which versions of IP have a route from this host to others.
//!
//! Only the kernel is asked: `connect` on a UDP socket looks for a route and a source address and sends nothing (udp(7)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// An address beyond every router, for each version: addresses for documentation (RFC 5737, RFC 3849), which no network uses.
const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const FAR6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// Whether IPv4 has a route to others. In an IPv6-only subnet of EC2, DHCP gives an address in 169.254.0.0/16, from which only the services of the
/// instance itself can be reached.
pub fn has_ipv4() -> bool {
    leads_to(FAR)
}

/// Whether IPv6 has a route to others.
pub fn has_ipv6() -> bool {
    leads_to(FAR6)
}

fn leads_to(far: IpAddr) -> bool {
    let any: IpAddr = if far.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let source = || -> std::io::Result<SocketAddr> {
        let socket = UdpSocket::bind((any, 0))?;
        // Any port: nothing is sent there.
        socket.connect((far, 443))?;
        socket.local_addr()
    };
    source().is_ok_and(|source| match source.ip() {
        IpAddr::V4(address) => !address.is_link_local(),
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    })
}
