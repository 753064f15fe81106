//! The own resolver. A static binary must not load the host's libnss modules, which `getaddrinfo` does on many hosts.
//!
//! ```text
//!   literal address → /etc/hosts → localhost → the nameservers of /etc/resolv.conf: A and AAAA side by side over UDP,
//!                                              again over TCP when the answer is truncated, two rounds over all servers
//! ```
//! Both files are read afresh for every name: they change during a boot. Left out on purpose, because only full names of
//! endpoints are looked up: `search` and `ndots`, a cache, EDNS, and the modules of nsswitch.conf.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::connect::dns::Name;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use message::{Answer, Query, RecordType};

mod message;

/// How long one server may take for one question.
const PER_QUESTION: Duration = Duration::from_secs(2);
/// How often every server is asked.
const ROUNDS: usize = 2;
/// resolv.conf(5): MAXNS.
const MAX_SERVERS: usize = 3;

/// Looks names up.
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
    /// The servers say that there is no such name, or that it has no address.
    #[error("no such host: {name}")]
    NotFound {
        /// The name.
        name: String,
    },
    /// It cannot be a name.
    #[error("{name:?} is not a host name")]
    NotAName {
        /// What was asked for.
        name: String,
    },
    /// No server gave a usable answer.
    #[error("{name} was not resolved: {why}")]
    NoAnswer {
        /// The name.
        name: String,
        /// The last server and what it did.
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
        // RFC 6761: never asked of a server.
        if full.eq_ignore_ascii_case("localhost") || full.to_ascii_lowercase().ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into()]);
        }
        self.ask_servers(full).await
    }

    async fn ask_servers(&self, name: &str) -> Result<Vec<IpAddr>, DnsError> {
        let servers = nameservers(&std::fs::read(&self.resolv_conf).unwrap_or_default());
        let (four, six) =
            tokio::join!(self.ask(&servers, name, RecordType::A), self.ask(&servers, name, RecordType::Aaaa));
        // One family without an answer does not hide the other's addresses.
        match (four, six) {
            (Ok(mut addresses), Ok(more)) => {
                addresses.extend(more);
                if addresses.is_empty() { Err(DnsError::NotFound { name: name.to_owned() }) } else { Ok(addresses) }
            }
            (Ok(addresses), Err(_)) | (Err(_), Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// One record type, from the first server that knows; empty when the name has none of it.
    async fn ask(&self, servers: &[IpAddr], name: &str, kind: RecordType) -> Result<Vec<IpAddr>, DnsError> {
        let mut why = String::from("no nameserver");
        for server in servers.iter().cycle().take(servers.len() * ROUNDS) {
            let Some(query) = Query::new(name, kind) else {
                return Err(DnsError::NotAName { name: name.to_owned() });
            };
            let server = SocketAddr::new(*server, self.port);
            match timeout(self.timeout, exchange(server, &query)).await {
                Ok(Ok(Answer::Addresses(addresses))) => return Ok(addresses),
                Ok(Ok(Answer::NoSuchName)) => return Err(DnsError::NotFound { name: name.to_owned() }),
                Ok(Ok(Answer::Refused(code))) => why = format!("{server} answered with code {code}"),
                Ok(Err(error)) => why = format!("{server}: {error}"),
                Err(_) => why = format!("{server} did not answer within {:?}", self.timeout),
            }
        }
        Err(DnsError::NoAnswer { name: name.to_owned(), why })
    }
}

/// Asks one server once: over UDP, and over TCP if the answer did not fit.
async fn exchange(server: SocketAddr, query: &Query) -> io::Result<Answer> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    // Connected: the kernel drops what others send, and tells a refused port at once.
    socket.connect(server).await?;
    socket.send(query.bytes()).await?;
    let mut buffer = [0; 1500];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // What does not answer this very question is not ours: wait on for what does.
        match query.read(buffer.get(..length).unwrap_or_default()) {
            None => continue,
            Some(read) if read.truncated => break,
            Some(read) => return Ok(read.answer),
        }
    }
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.bytes().len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query.bytes()].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    match query.read(&answer) {
        Some(read) => Ok(read.answer),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "an answer to another question")),
    }
}

/// Every address that hosts(5) gives the name, IPv4 first.
fn in_hosts(file: &[u8], name: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = lines(file)
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let address = words.next()?.parse().ok()?;
            words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
        })
        .collect();
    found.sort_by_key(IpAddr::is_ipv6);
    found
}

/// The servers of resolv.conf(5); this host if it names none, or is missing.
fn nameservers(file: &[u8]) -> Vec<IpAddr> {
    let mut servers: Vec<IpAddr> = lines(file)
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            if words.next() != Some("nameserver") {
                return None;
            }
            words.next()?.parse().ok()
        })
        .take(MAX_SERVERS)
        .collect();
    if servers.is_empty() {
        servers.push(Ipv4Addr::LOCALHOST.into());
    }
    servers
}

/// The lines that are text, without comments.
fn lines(file: &[u8]) -> impl Iterator<Item = &str> {
    file.split(|byte| *byte == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok())
        .map(|line| line.split(['#', ';']).next().unwrap_or_default())
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
            // The connector puts the port in.
            Ok(addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect::<Vec<_>>().into_iter())
        })
    }
}
