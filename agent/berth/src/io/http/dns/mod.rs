//! Resolves names. A static binary must not load the host's libnss modules, which `getaddrinfo` does on many hosts.
//!
//! ```text
//!   literal address → /etc/hosts → localhost → the nameservers of /etc/resolv.conf, in their order, two rounds:
//!                                              A and AAAA side by side over UDP, again over TCP if the answer is truncated
//! ```
//! Both files are read for every name: they change during a boot. Only full names of endpoints are looked up, a few a boot, so
//! `search`, `ndots`, a cache and the modules of nsswitch.conf are left out. Why it is not hickory-resolver:
//! docs/decisions/0002-static-glibc-own-resolver.md.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{Either, select};
use hyper_util::client::legacy::connect::dns::Name;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use message::{Answer, Query, RecordType};

pub mod message;

/// For one question to one server.
const PER_QUESTION: Duration = Duration::from_secs(2);
/// How many times every server is asked.
const ROUNDS: usize = 2;
/// resolv.conf(5): MAXNS.
const MAX_SERVERS: usize = 3;
/// How long the addresses of one family wait for those of the other (RFC 8305 section 3). Where a network drops the questions for one family, a
/// lookup that has the other's addresses does not wait for the timeout.
const OTHER_FAMILY: Duration = Duration::from_millis(500);

/// Resolves names.
#[derive(Clone, Debug)]
pub struct Resolver {
    /// `/etc/hosts`
    pub hosts: PathBuf,
    /// `/etc/resolv.conf`
    pub resolv_conf: PathBuf,
    /// The servers' port, 53.
    pub port: u16,
    /// For one question to one server.
    pub timeout: Duration,
}

/// Why a name has no address.
#[derive(Clone, Debug, Error)]
pub enum DnsError {
    /// The servers report that the name does not exist or has no address.
    #[error("no such host: {name}")]
    NotFound {
        /// The name.
        name: String,
    },
    /// It is not a valid name.
    #[error("{name:?} is not a host name")]
    NotAName {
        /// What was to be resolved.
        name: String,
    },
    /// No server gave a usable answer.
    #[error("{name} was not resolved: {why}")]
    NoAnswer {
        /// The name.
        name: String,
        /// The last server and its error.
        why: String,
    },
}

impl Default for Resolver {
    fn default() -> Self {
        Self { hosts: "/etc/hosts".into(), resolv_conf: "/etc/resolv.conf".into(), port: 53, timeout: PER_QUESTION }
    }
}

impl Resolver {
    /// The addresses of a name, IPv4 first; never empty.
    pub async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, DnsError> {
        let literal = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        if let Ok(address) = literal.parse() {
            return Ok(vec![address]);
        }
        let full = name.strip_suffix('.').unwrap_or(name);
        let listed = in_hosts(&std::fs::read(&self.hosts).unwrap_or_default(), full);
        if !listed.is_empty() {
            return Ok(listed);
        }
        // RFC 6761: no server is asked.
        if full.eq_ignore_ascii_case("localhost") || full.to_ascii_lowercase().ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into()]);
        }
        self.ask_servers(full).await
    }

    async fn ask_servers(&self, name: &str) -> Result<Vec<IpAddr>, DnsError> {
        let servers = Servers::read(&std::fs::read(&self.resolv_conf).unwrap_or_default(), self);
        let four = pin!(servers.ask(name, RecordType::A));
        let six = pin!(servers.ask(name, RecordType::Aaaa));
        let (four, six) = match select(four, six).await {
            Either::Left((four, six)) => {
                let six = other_family(&four, six).await;
                (Some(four), six)
            }
            Either::Right((six, four)) => (other_family(&six, four).await, Some(six)),
        };
        // One family without an answer does not hide the other's addresses.
        let (mut addresses, mut failed) = (Vec::new(), None);
        for found in [four, six].into_iter().flatten() {
            match found {
                Ok(more) => addresses.extend(more),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            _ if !addresses.is_empty() => Ok(addresses),
            Some(error) => Err(error),
            None => Err(DnsError::NotFound { name: name.to_owned() }),
        }
    }
}

/// The result of the second family; none if the first has addresses and the second takes too long.
async fn other_family(first: &LookupResult, second: impl Future<Output = LookupResult>) -> Option<LookupResult> {
    match first {
        Ok(addresses) if !addresses.is_empty() => timeout(OTHER_FAMILY, second).await.ok(),
        _ => Some(second.await),
    }
}

/// The addresses of one family; empty if the name has none of it.
type LookupResult = Result<Vec<IpAddr>, DnsError>;

/// The servers and options of resolv.conf(5).
struct Servers {
    addresses: Vec<SocketAddr>,
    rounds: usize,
    /// For one question to one server.
    timeout: Duration,
    /// `options use-vc`
    tcp_only: bool,
}

impl Servers {
    /// This host if the file names no server, or is missing. `options` may make a lookup shorter, not longer: the caller of the request decides whether
    /// to try again.
    fn read(file: &[u8], resolver: &Resolver) -> Self {
        let (conf, _unusable) = resolv_conf::Config::parse_with_errors(file);
        let servers = conf.get_nameservers_or_local();
        Self {
            addresses: servers.iter().take(MAX_SERVERS).map(|ip| SocketAddr::new(ip.into(), resolver.port)).collect(),
            rounds: ROUNDS.min(usize::try_from(conf.attempts).unwrap_or(ROUNDS)).max(1),
            timeout: resolver.timeout.min(Duration::from_secs(conf.timeout.max(1).into())),
            tcp_only: conf.use_vc,
        }
    }

    /// Asks one server after the other until one answers.
    async fn ask(&self, name: &str, kind: RecordType) -> LookupResult {
        let mut why = String::from("no nameserver");
        for server in self.addresses.iter().cycle().take(self.addresses.len() * self.rounds) {
            let Some(query) = Query::new(name, kind) else {
                return Err(DnsError::NotAName { name: name.to_owned() });
            };
            why = match timeout(self.timeout, exchange(*server, &query, self.tcp_only)).await {
                Ok(Ok(Answer::Addresses(addresses))) => return Ok(addresses),
                Ok(Ok(Answer::NoSuchName)) => return Err(DnsError::NotFound { name: name.to_owned() }),
                Ok(Ok(Answer::Refused(code))) => format!("{server} answered {code}"),
                Ok(Ok(Answer::Truncated)) => format!("{server} truncated its answer over TCP"),
                Ok(Ok(Answer::Malformed)) => format!("{server} sent a malformed answer"),
                Ok(Err(error)) => format!("{server}: {error}"),
                Err(_) => format!("{server} did not answer within {:?}", self.timeout),
            };
        }
        Err(DnsError::NoAnswer { name: name.to_owned(), why })
    }
}

/// Asks one server once: over UDP, and over TCP if the answer did not fit.
async fn exchange(server: SocketAddr, query: &Query, tcp_only: bool) -> io::Result<Answer> {
    if !tcp_only {
        let answer = over_udp(server, query).await?;
        if answer != Answer::Truncated {
            return Ok(answer);
        }
    }
    over_tcp(server, query).await
}

async fn over_udp(server: SocketAddr, query: &Query) -> io::Result<Answer> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    // Connected: the kernel drops packets of other senders, and reports a refused port at once.
    socket.connect(server).await?;
    socket.send(query.bytes()).await?;
    let mut buffer = [0; 1500];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // A message that does not answer this question is forged or late: wait for the next.
        if let Some(answer) = query.read(buffer.get(..length).unwrap_or_default()) {
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, query: &Query) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.bytes().len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query.bytes()].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    query.read(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an answer to another question"))
}

/// Every address that hosts(5) gives the name, IPv4 first.
fn in_hosts(file: &[u8], name: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = file
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let mut words = std::str::from_utf8(line).ok()?.split('#').next()?.split_ascii_whitespace();
            let address = words.next()?.parse().ok()?;
            words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
        })
        .collect();
    found.sort_by_key(IpAddr::is_ipv6);
    found
}

impl tower_service::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = DnsError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DnsError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DnsError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.lookup(name.as_str()).await?;
            // The connector sets the port.
            Ok(addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect::<Vec<_>>().into_iter())
        })
    }
}
