//! The resolver, against a name server of our own.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use berth::edge::dns::{DnsError, Resolver};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

/// A server that answers what `reply` makes of each query, over UDP and TCP on one port; counts the questions.
struct NameServer {
    resolver: Resolver,
    asked: Arc<AtomicUsize>,
    _files: [NamedTempFile; 2],
}

type Answers = Vec<Vec<u8>>;

async fn name_server(hosts: &str, reply: impl Fn(&[u8], bool) -> Answers + Send + Sync + 'static) -> NameServer {
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        // The same port over TCP may be somebody else's: take another then.
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            break (udp, tcp);
        }
    };
    let port = udp.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, reply) = (asked.clone(), Arc::new(reply));
    let over_tcp = reply.clone();
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
            for answer in over_tcp(&query, true) {
                stream.write_u16(answer.len() as u16).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        }
    });
    let file = |text: &str| {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    };
    let (hosts, resolv_conf) =
        (file(hosts), file("# a comment\nsearch example.com\nnameserver 127.0.0.1\noptions ndots:5\n"));
    let resolver = Resolver {
        hosts: hosts.path().into(),
        resolv_conf: resolv_conf.path().into(),
        port,
        timeout: Duration::from_millis(200),
    };
    NameServer { resolver, asked, _files: [hosts, resolv_conf] }
}

/// The header and question of the query turned into an answer with these flags and records.
fn response(query: &[u8], flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let mut answer = query.to_vec();
    answer[2..4].copy_from_slice(&flags.to_be_bytes());
    answer[7] = records.len() as u8;
    records.iter().for_each(|record| answer.extend(record));
    answer
}

const GOOD: u16 = 0x8180;
const TRUNCATED: u16 = 0x8380;

fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let mut record = owner.to_vec();
    record.extend(kind.to_be_bytes());
    record.extend([0, 1, 0, 0, 0, 60]);
    record.extend((data.len() as u16).to_be_bytes());
    record.extend(data);
    record
}

/// A pointer to the name in the question.
const ASKED: &[u8] = &[0xc0, 12];
const ALIAS: &[u8] = b"\x05alias\x04test\x00";

fn is_aaaa(query: &[u8]) -> bool {
    query[query.len() - 3] == 28
}

fn address(query: &[u8]) -> Vec<u8> {
    if is_aaaa(query) { record(ASKED, 28, &[0xfd; 16]) } else { record(ASKED, 1, &[10, 0, 0, 1]) }
}

fn v6() -> IpAddr {
    [0xfd_u8; 16].into()
}

const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

#[tokio::test]
async fn ipv4_comes_before_ipv6() {
    let server = name_server("", |query, _| vec![response(query, GOOD, &[address(query)])]).await;
    assert_eq!(server.resolver.lookup("api.test").await.unwrap(), [V4, v6()]);
    assert_eq!(server.resolver.lookup("API.test.").await.unwrap(), [V4, v6()]);
}

#[tokio::test]
async fn literal_addresses_hosts_and_localhost_are_asked_of_nobody() {
    let hosts = "127.0.0.1 localhost # api.test\n::5 api.test API2.test\n10.9.9.9\tapi2.TEST\nnonsense api.test\n\n";
    let server = name_server(hosts, |_, _| vec![]).await;
    let look = async |name: &str| server.resolver.lookup(name).await.unwrap();
    assert_eq!(look("192.0.2.1").await, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(look("[::1]").await, ["::1".parse::<IpAddr>().unwrap()]);
    assert_eq!(look("api.test").await, ["::5".parse::<IpAddr>().unwrap()]);
    assert_eq!(look("api2.test").await, ["10.9.9.9".parse::<IpAddr>().unwrap(), "::5".parse().unwrap()]);
    assert_eq!(look("app.localhost").await, [IpAddr::from(Ipv4Addr::LOCALHOST)]);
    assert_eq!(server.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_chain_of_aliases_is_followed_in_any_order() {
    let server = name_server("", |query, _| {
        let (kind, data): (u16, &[u8]) = if is_aaaa(query) { (28, &[0xfd; 16]) } else { (1, &[10, 0, 0, 1]) };
        let stray = record(b"\x05stray\x00", kind, data);
        vec![response(query, GOOD, &[record(ALIAS, kind, data), stray, record(ASKED, 5, ALIAS)])]
    })
    .await;
    assert_eq!(server.resolver.lookup("api.test").await.unwrap(), [V4, v6()]);
}

#[tokio::test]
async fn a_truncated_answer_is_asked_for_again_over_tcp() {
    let server = name_server("", |query, tcp| {
        if tcp {
            vec![response(query, GOOD, &[address(query)])]
        } else {
            vec![response(query, TRUNCATED, &[vec![0xc0]])] // cut within a record
        }
    })
    .await;
    assert_eq!(server.resolver.lookup("api.test").await.unwrap(), [V4, v6()]);
}

#[tokio::test]
async fn a_forged_answer_is_passed_over() {
    let server = name_server("", |query, _| {
        let kind = if is_aaaa(query) { 28 } else { 1 };
        let evil = if is_aaaa(query) { record(ASKED, kind, &[6; 16]) } else { record(ASKED, kind, &[6; 4]) };
        let mut other_id = response(query, GOOD, std::slice::from_ref(&evil));
        other_id[0] ^= 1;
        let mut other_question = response(query, GOOD, std::slice::from_ref(&evil));
        other_question[13] ^= 1;
        let question_not_answer = response(query, 0x0100, &[evil]);
        vec![other_id, other_question, question_not_answer, b"x".to_vec(), response(query, GOOD, &[address(query)])]
    })
    .await;
    assert_eq!(server.resolver.lookup("api.test").await.unwrap(), [V4, v6()]);
}

#[tokio::test]
async fn a_name_that_is_not_there_is_not_asked_for_twice() {
    let server = name_server("", |query, _| vec![response(query, 0x8183, &[])]).await;
    let error = server.resolver.lookup("absent.test").await.unwrap_err();
    assert_eq!(error.to_string(), "no such host: absent.test");
    assert_eq!(server.asked.load(Ordering::SeqCst), 2);
    let server = name_server("", |query, _| vec![response(query, GOOD, &[])]).await;
    assert!(matches!(server.resolver.lookup("empty.test").await, Err(DnsError::NotFound { .. })));
}

#[tokio::test]
async fn one_family_is_enough() {
    let server = name_server("", |query, _| {
        if is_aaaa(query) { vec![response(query, 0x8182, &[])] } else { vec![response(query, GOOD, &[address(query)])] }
    })
    .await;
    assert_eq!(server.resolver.lookup("api.test").await.unwrap(), [V4]);
}

#[tokio::test]
async fn a_server_that_is_silent_or_failing_is_asked_in_two_rounds() {
    for (reply, why) in [(None, "did not answer within 200ms"), (Some(0x8182), "answered with code 2")] {
        let server =
            name_server("", move |query, _| reply.map(|flags| response(query, flags, &[])).into_iter().collect()).await;
        let error = server.resolver.lookup("api.test").await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(server.asked.load(Ordering::SeqCst), 4);
    }
}

#[tokio::test]
async fn without_a_resolv_conf_this_host_is_asked() {
    let mut server = name_server("", |query, _| vec![response(query, GOOD, &[address(query)])]).await;
    server.resolver.resolv_conf = "/nonexistent/resolv.conf".into();
    server.resolver.hosts = "/nonexistent/hosts".into();
    assert_eq!(server.resolver.lookup("api.test").await.unwrap(), [V4, v6()]);
}

#[tokio::test]
async fn what_cannot_be_a_name_is_refused() {
    let server = name_server("", |_, _| vec![]).await;
    for name in ["", ".", "a..b", &"x".repeat(64), &"x.".repeat(130)] {
        assert!(matches!(server.resolver.lookup(name).await, Err(DnsError::NotAName { .. })), "{name}");
    }
    assert_eq!(server.asked.load(Ordering::SeqCst), 0);
}
