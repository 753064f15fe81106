//! Published ports as `docker run -p` writes them, and which of them conflict.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde::Serialize;
use strum::IntoStaticStr;

use crate::value::Reason;

/// One published port, as `docker run -p` means it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Port {
    /// The address on the host; none is every address.
    pub host_ip: Option<IpAddr>,
    /// The port on the host; 0 lets the engine choose.
    pub host: u16,
    /// The port in the container.
    pub container: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// The protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

impl Protocol {
    /// `tcp` or `udp`, as the engine spells it.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

impl Port {
    /// Parses `8080`, `80:8080`, `127.0.0.1:80:8080`, `[::1]:80:8080`, each with or without `/tcp` or `/udp`. A single port is the same
    /// on both sides, because a load balancer must know the host port.
    pub(crate) fn parse(text: &str) -> Result<Self, Reason> {
        const EXPECTED: &str = "is not a port like `8080`, `80:8080` or `127.0.0.1:80:8080/udp`";
        let (ports, protocol) = match text.split_once('/') {
            None => (text, Protocol::Tcp),
            Some((ports, "tcp")) => (ports, Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some(_) => return Err("has a protocol other than `/tcp` and `/udp`".into()),
        };
        if ports.contains('-') {
            return Err("is a range: list the ports one by one".into());
        }
        let (address, ports) = match ports.strip_prefix('[') {
            Some(rest) => {
                let (address, ports) = rest.split_once("]:").ok_or(EXPECTED)?;
                (Some(IpAddr::V6(address.parse::<Ipv6Addr>().map_err(|_| EXPECTED)?)), ports)
            }
            None if ports.matches(':').count() >= 2 => {
                let (address, ports) = ports.split_once(':').ok_or(EXPECTED)?;
                let address = address.parse().map_err(|_| "does not begin with an IP address: IPv6 needs `[…]`")?;
                (Some(IpAddr::V4(address)), ports)
            }
            None => (None, ports),
        };
        let (host, container) = match ports.split_once(':') {
            Some((host, container)) => (number(host).ok_or(EXPECTED)?, number(container).ok_or(EXPECTED)?),
            None if address.is_some() => {
                return Err("needs two ports after the address: `ADDRESS:HOST:CONTAINER`".into());
            }
            None => (number(ports).ok_or(EXPECTED)?, number(ports).ok_or(EXPECTED)?),
        };
        if container == 0 {
            return Err("has container port 0: only the host port may be 0, as in `0:8080`".into());
        }
        Ok(Self { host_ip: address, host, container, protocol })
    }

    /// Whether the config leaves the TCP port on the host open.
    pub fn is_open(&self) -> bool {
        self.protocol == Protocol::Tcp && self.host == 0
    }

    /// Whether other hosts reach this TCP port of the container by it.
    pub(crate) fn is_reached_at(&self, container: u16) -> bool {
        let is_loopback = self.host_ip.is_some_and(|address| address.to_canonical().is_loopback());
        self.protocol == Protocol::Tcp && self.container == container && !is_loopback
    }

    /// Whether both need the same host port.
    pub(crate) fn clashes(&self, other: &Self) -> bool {
        self.protocol == other.protocol
            && self.host != 0
            && self.host == other.host
            && overlap(self.host_ip, other.host_ip)
    }

    /// Whether this uses the port of the readiness endpoint.
    pub(crate) fn takes(&self, listen: SocketAddr) -> bool {
        self.protocol == Protocol::Tcp
            && self.host != 0
            && self.host == listen.port()
            && overlap(self.host_ip, Some(listen.ip()))
    }
}

/// `0.0.0.0:80 -> 8080/tcp`
impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host_ip {
            Some(address) => write!(f, "{}", SocketAddr::new(address, self.host))?,
            None => write!(f, "{}", self.host)?,
        }
        write!(f, " -> {}/{}", self.container, self.protocol.word())
    }
}

fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn overlap(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return true };
    one == other
        || (one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified()))
        // [::] includes IPv4, unless net.ipv6.bindv6only is set.
        || (one.is_ipv6() && one.is_unspecified())
        || (other.is_ipv6() && other.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let reported = Port::parse(text).map_or_else(|reason| reason.to_string(), |port| port.to_string());
        assert_eq!(reported, expected, "{text}");
    }

    #[test]
    fn ports_are_docker_s() {
        check("8080", "8080 -> 8080/tcp");
        check("80:8080", "80 -> 8080/tcp");
        check("0:8080", "0 -> 8080/tcp");
        check("53:53/udp", "53 -> 53/udp");
        check("127.0.0.1:80:8080/tcp", "127.0.0.1:80 -> 8080/tcp");
        check("[::1]:80:8080", "[::1]:80 -> 8080/tcp");
    }

    #[test]
    fn an_invalid_port_is_an_error() {
        const EXPECTED: &str = "is not a port like `8080`, `80:8080` or `127.0.0.1:80:8080/udp`";
        for text in ["http", "", "80:", ":80", "65536", "+80", "-", "[::1]", "[::g]:1:2", "[::1]80:80", " 80", "1:2:"] {
            assert!(Port::parse(text).is_err(), "{text}");
        }
        check("http", EXPECTED);
        check("65536", EXPECTED);
        check("+80", EXPECTED);
        check("0", "has container port 0: only the host port may be 0, as in `0:8080`");
        check("80/sctp", "has a protocol other than `/tcp` and `/udp`");
        check("8000-8010:8000-8010", "is a range: list the ports one by one");
        check("::1:80:80", "does not begin with an IP address: IPv6 needs `[…]`");
        check("[::1]:80", "needs two ports after the address: `ADDRESS:HOST:CONTAINER`");
    }

    #[test]
    fn two_ports_clash_where_their_addresses_overlap() {
        let clash = |one: &str, other: &str| Port::parse(one).unwrap().clashes(&Port::parse(other).unwrap());
        assert!(clash("80", "80:81"));
        assert!(clash("127.0.0.1:80:1", "80:2"));
        assert!(clash("0.0.0.0:80:1", "127.0.0.1:80:2"));
        assert!(clash("[::]:80:1", "127.0.0.1:80:2"));
        assert!(!clash("127.0.0.1:80:1", "127.0.0.2:80:2"));
        assert!(!clash("[::1]:80:1", "0.0.0.0:80:2"));
        assert!(!clash("80", "80/udp"));
        assert!(!clash("0:80", "0:81"));
    }
}
