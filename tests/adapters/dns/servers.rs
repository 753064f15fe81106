//! Name servers on one port, which answer what a test makes of each query.

use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use berth::io::http::dns::Resolver;
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

/// Servers that answer what `reply` makes of each query, over UDP and TCP on one port; count the questions.
pub(crate) struct NameServers {
    pub(crate) resolver: Resolver,
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

/// All on the same port, since the resolver has one for all.
pub(crate) async fn name_servers(hosts: &str, servers: Vec<(&str, Reply)>) -> NameServers {
    let addresses: Vec<IpAddr> = servers.iter().map(|(address, _)| address.parse().unwrap()).collect();
    let (port, sockets) = loop {
        let first = UdpSocket::bind((addresses[0], 0)).await.unwrap();
        let port = first.local_addr().unwrap().port();
        drop(first);
        // The port may be somebody else's at another address, or over TCP: take another then.
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
    let resolver = Resolver {
        hosts: hosts.path().into(),
        resolv_conf: resolv_conf.path().into(),
        port,
        timeout: Duration::from_millis(200),
    };
    NameServers { resolver, asked, hosts, resolv_conf }
}

fn serve(udp: UdpSocket, tcp: TcpListener, reply: Reply, count: Arc<AtomicUsize>) {
    let (over_tcp, tcp_count) = (reply.clone(), count.clone());
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, from) = udp.recv_from(&mut buffer).await.unwrap();
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
    /// How often each was asked.
    pub(crate) fn asked(&self) -> Vec<usize> {
        self.asked.iter().map(|count| count.load(Ordering::SeqCst)).collect()
    }
}
