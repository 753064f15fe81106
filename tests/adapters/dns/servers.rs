//! Name servers on one port, which answer what a test makes of each query.
//!
//! A busy core may hold up a resolver, or a server, for longer than a short time limit. So the limit is the default of resolv.conf, 5 s,
//! except where a test is about silence.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use berth::io::http::dns::Resolver;
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::timeout;

/// Servers that answer what `reply` makes of each query, over UDP and TCP on one port, and count the questions.
pub(crate) struct NameServers {
    pub(crate) resolver: Resolver,
    addresses: Vec<SocketAddr>,
    asked: Vec<Arc<AtomicUsize>>,
    pub(crate) hosts: NamedTempFile,
    pub(crate) resolv_conf: NamedTempFile,
}

pub(crate) type Answers = Vec<Vec<u8>>;
/// A query, and whether it came over TCP.
pub(crate) type Reply = Arc<dyn Fn(&[u8], bool) -> Answers + Send + Sync>;

pub(crate) async fn name_server(
    hosts: &str,
    reply: impl Fn(&[u8], bool) -> Answers + Send + Sync + 'static,
) -> NameServers {
    name_servers(hosts, vec![("127.0.0.1", Arc::new(reply))]).await
}

/// For one question to a server that answers, and for an acknowledgement. Not reached.
const LONG: Duration = Duration::from_secs(60);

/// For one question to a server that is silent.
pub(crate) const SHORT: Duration = Duration::from_millis(200);

/// The servers acknowledge it and do not count it.
const MARK: &[u8] = b"";

/// All on the same port, since the resolver has one port for all servers.
pub(crate) async fn name_servers(hosts: &str, servers: Vec<(&str, Reply)>) -> NameServers {
    let addresses: Vec<IpAddr> = servers.iter().map(|(address, _)| address.parse().unwrap()).collect();
    let (port, sockets) = loop {
        let first = UdpSocket::bind((addresses[0], 0)).await.unwrap();
        let port = first.local_addr().unwrap().port();
        drop(first);
        // At another address, or over TCP, the port may be in use: then take another.
        let mut sockets = Vec::new();
        for address in &addresses {
            match (UdpSocket::bind((*address, port)).await, TcpListener::bind((*address, port)).await) {
                (Ok(udp), Ok(tcp)) => sockets.push((udp, tcp)),
                _ => break,
            }
        }
        if sockets.len() == addresses.len() {
            break (port, sockets);
        }
    };
    let mut asked = Vec::new();
    for ((_, reply), (udp, tcp)) in servers.iter().zip(sockets) {
        let count = Arc::new(AtomicUsize::new(0));
        asked.push(count.clone());
        serve(udp, tcp, reply.clone(), count);
    }
    let file = |text: &str| {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    };
    let lines: String = addresses.iter().map(|address| format!("nameserver {address}\n")).collect();
    let (hosts, resolv_conf) =
        (file(hosts), file(&format!("# a comment\nsearch example.com\n{lines}options ndots:5 edns0 trust-ad\n")));
    let resolver = Resolver { hosts: hosts.path().into(), resolv_conf: resolv_conf.path().into(), port, timeout: LONG };
    let addresses = addresses.into_iter().map(|address| (address, port).into()).collect();
    NameServers { resolver, addresses, asked, hosts, resolv_conf }
}

fn serve(udp: UdpSocket, tcp: TcpListener, reply: Reply, count: Arc<AtomicUsize>) {
    let (over_tcp, tcp_count) = (reply.clone(), count.clone());
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, from) = udp.recv_from(&mut buffer).await.unwrap();
            if buffer[..length] == *MARK {
                udp.send_to(MARK, from).await.unwrap();
                continue;
            }
            count.fetch_add(1, Ordering::SeqCst);
            for answer in reply(&buffer[..length], false) {
                udp.send_to(&answer, from).await.unwrap();
            }
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let length = stream.read_u16().await.unwrap();
            let mut query = vec![0; length.into()];
            stream.read_exact(&mut query).await.unwrap();
            tcp_count.fetch_add(1, Ordering::SeqCst);
            for answer in over_tcp(&query, true) {
                stream.write_u16(answer.len() as u16).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        }
    });
}

impl NameServers {
    /// How often each was asked. A question may still lie in a server's socket: one more datagram behind it, once acknowledged, says
    /// that it was counted.
    pub(crate) async fn asked(&self) -> Vec<usize> {
        for server in &self.addresses {
            let any: IpAddr =
                if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let socket = UdpSocket::bind((any, 0)).await.unwrap();
            socket.send_to(MARK, server).await.unwrap();
            timeout(LONG, socket.recv(&mut [0; 1])).await.expect("the server acknowledges").unwrap();
        }
        self.asked.iter().map(|count| count.load(Ordering::SeqCst)).collect()
    }
}
