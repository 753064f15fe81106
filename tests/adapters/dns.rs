//! The resolver, against name servers of this test's own.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use berth::io::http::dns::DnsError;
use tokio::time::timeout;

use servers::{Reply, SHORT, name_server, name_servers};

mod servers;

fn good() -> Reply {
    Arc::new(|query, _| vec![response(query, GOOD, &[address(query)])])
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

/// 1 for A, 28 for AAAA.
fn kind(query: &[u8]) -> u8 {
    query[query.len() - 3]
}

fn is_aaaa(query: &[u8]) -> bool {
    kind(query) == 28
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
async fn no_server_is_asked_for_literal_addresses_hosts_and_localhost() {
    let hosts = "127.0.0.1 localhost # api.test\n::5 api.test API2.test\n10.9.9.9\tapi2.TEST\nnonsense api.test\n\n";
    let server = name_server(hosts, |_, _| vec![]).await;
    let look = async |name: &str| server.resolver.lookup(name).await.unwrap();
    assert_eq!(look("192.0.2.1").await, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(look("[::1]").await, ["::1".parse::<IpAddr>().unwrap()]);
    assert_eq!(look("api.test").await, ["::5".parse::<IpAddr>().unwrap()]);
    assert_eq!(look("api2.test").await, ["10.9.9.9".parse::<IpAddr>().unwrap(), "::5".parse().unwrap()]);
    assert_eq!(look("app.localhost").await, [IpAddr::from(Ipv4Addr::LOCALHOST)]);
    assert_eq!(look("LOCALHOST.").await, [IpAddr::from(Ipv4Addr::LOCALHOST)]);
    assert_eq!(server.asked().await, [0]);
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
    assert_eq!(server.asked().await, [2]);
    let server = name_server("", |query, _| vec![response(query, GOOD, &[])]).await;
    assert!(matches!(server.resolver.lookup("empty.test").await, Err(DnsError::NotFound { .. })));
}

/// If one of the families is refused, is empty or does not exist, the other's addresses are returned.
#[tokio::test]
async fn one_family_is_enough() {
    for (other, there) in [(28, V4), (1, v6())] {
        for flags in [0x8182, GOOD, 0x8183] {
            let server = name_server("", move |query, _| {
                let records = if kind(query) == other { vec![] } else { vec![address(query)] };
                let flags = if kind(query) == other { flags } else { GOOD };
                vec![response(query, flags, &records)]
            })
            .await;
            assert_eq!(server.resolver.lookup("api.test").await.unwrap(), [there]);
        }
    }
}

#[tokio::test]
async fn a_family_whose_questions_are_dropped_holds_up_no_lookup_of_the_other() {
    for (dropped, there) in [(28, V4), (1, v6())] {
        let mut server = name_server("", move |query, _| {
            if kind(query) == dropped { vec![] } else { vec![response(query, GOOD, &[address(query)])] }
        })
        .await;
        server.resolver.timeout = Duration::from_secs(600);
        std::fs::write(&server.resolver.resolv_conf, "nameserver 127.0.0.1\noptions timeout:600\n").unwrap();
        let found = timeout(Duration::from_secs(30), server.resolver.lookup("api.test")).await;
        assert_eq!(found.expect("no wait for the other family").unwrap(), [there]);
    }
}

#[tokio::test]
async fn a_server_that_is_silent_or_failing_is_asked_in_two_rounds() {
    for (reply, why) in
        [(None, "127.0.0.1:PORT did not answer within 200ms"), (Some(0x8182), "127.0.0.1:PORT answered SERVFAIL")]
    {
        let mut server =
            name_server("", move |query, _| reply.map(|flags| response(query, flags, &[])).into_iter().collect()).await;
        if reply.is_none() {
            server.resolver.timeout = SHORT;
        }
        let error = server.resolver.lookup("api.test").await.unwrap_err();
        let why = why.replace("PORT", &server.resolver.port.to_string());
        assert_eq!(error.to_string(), format!("api.test was not resolved: {why}"));
        assert_eq!(server.asked().await, [4]);
    }
}

/// The first server is silent until the time limit, which is also the second one's for its answer. On a busy machine that one may miss a
/// short limit, so it doubles until the second one is in time.
#[tokio::test]
async fn a_silent_server_is_passed_over_when_its_time_limit_ends() {
    for limit in (0..9).map(|doubled| SHORT * 2_u32.pow(doubled)) {
        let silent: Reply = Arc::new(|_, _| vec![]);
        let mut servers =
            name_servers("", vec![("127.0.0.2", silent), ("127.0.0.1", good()), ("127.0.0.3", good())]).await;
        servers.resolver.timeout = limit;
        let found = servers.resolver.lookup("api.test").await;
        if let (Ok(found), [2, 2, 0]) = (&found, &servers.asked().await[..]) {
            assert_eq!(found[..], [V4, v6()]);
            return;
        }
    }
    panic!("the second server is never asked, or never in time");
}

#[tokio::test]
async fn the_servers_are_asked_in_their_order_until_one_knows() {
    let refuses: Reply = Arc::new(|query, _| vec![response(query, 0x8185, &[])]);
    let fails: Reply = Arc::new(|query, _| vec![response(query, 0x8182, &[])]);
    // A record whose length is more than what is left of the message.
    let malformed: Reply =
        Arc::new(|query, _| vec![response(query, GOOD, &[record(ASKED, 1, &[10; 4])[..12].to_vec()])]);
    for first in [refuses, fails, malformed] {
        let servers = name_servers("", vec![("127.0.0.2", first), ("127.0.0.1", good()), ("127.0.0.3", good())]).await;
        assert_eq!(servers.resolver.lookup("api.test").await.unwrap(), [V4, v6()]);
        assert_eq!(servers.asked().await, [2, 2, 0]);
    }
    // Nothing listens at 127.0.0.9: the kernel says so at once, without regard to the time limit.
    let mut servers = name_servers("", vec![("127.0.0.1", good())]).await;
    servers.resolver.timeout = Duration::from_secs(600);
    std::fs::write(&servers.resolv_conf, "nameserver 127.0.0.9\nnameserver 127.0.0.1\noptions timeout:600\n").unwrap();
    let found = timeout(Duration::from_secs(30), servers.resolver.lookup("api.test")).await;
    assert_eq!(found.expect("no wait for a refused port").unwrap(), [V4, v6()]);
}

#[tokio::test]
async fn a_name_server_may_have_an_ipv6_address() {
    let servers = name_servers("", vec![("::1", good())]).await;
    assert_eq!(servers.resolver.lookup("api.test").await.unwrap(), [V4, v6()]);
}

/// During a boot cloud-init, a DHCP client and systemd-resolved write them.
#[tokio::test]
async fn both_files_are_read_for_every_lookup() {
    let server = name_server("", |query, _| vec![response(query, GOOD, &[address(query)])]).await;
    std::fs::write(&server.resolv_conf, "nameserver 127.0.0.9\n").unwrap();
    server.resolver.lookup("api.test").await.unwrap_err();
    std::fs::write(&server.resolv_conf, "nameserver 127.0.0.1\n").unwrap();
    assert_eq!(server.resolver.lookup("api.test").await.unwrap(), [V4, v6()]);
    std::fs::write(&server.hosts, "10.9.9.9 api.test\n").unwrap();
    assert_eq!(server.resolver.lookup("api.test").await.unwrap(), ["10.9.9.9".parse::<IpAddr>().unwrap()]);
    std::fs::remove_file(&server.hosts).unwrap();
    assert_eq!(server.resolver.lookup("api.test").await.unwrap(), [V4, v6()]);
    assert_eq!(server.asked().await, [4]);
}

#[tokio::test]
async fn options_make_a_lookup_shorter_and_not_longer() {
    for (options, asked) in [("attempts:1", 2), ("attempts:5", 4), ("attempts:0", 2)] {
        let server = name_server("", |query, _| vec![response(query, 0x8182, &[])]).await;
        std::fs::write(&server.resolv_conf, format!("nameserver 127.0.0.1\noptions {options}\n")).unwrap();
        server.resolver.lookup("api.test").await.unwrap_err();
        assert_eq!(server.asked().await, [asked], "{options}");
    }
    let mut server = name_server("", |_, _| vec![]).await;
    for (limit, options, within) in [(60, "timeout:1 attempts:1", "1s"), (1, "timeout:30 attempts:1", "1s")] {
        server.resolver.timeout = Duration::from_secs(limit);
        std::fs::write(&server.resolv_conf, format!("nameserver 127.0.0.1\noptions {options}\n")).unwrap();
        let error = server.resolver.lookup("api.test").await.unwrap_err().to_string();
        assert!(error.ends_with(&format!("did not answer within {within}")), "{error}");
    }
}

/// `use-vc` is for networks that let no DNS through over UDP.
#[tokio::test]
async fn a_resolv_conf_can_ask_for_tcp() {
    let server =
        name_server("", |query, tcp| if tcp { vec![response(query, GOOD, &[address(query)])] } else { vec![] }).await;
    std::fs::write(&server.resolv_conf, "nameserver 127.0.0.1\noptions use-vc\n").unwrap();
    assert_eq!(server.resolver.lookup("api.test").await.unwrap(), [V4, v6()]);
}

#[tokio::test]
async fn what_hostile_servers_answer_ends_with_their_address_and_why() {
    let loops: fn(&[u8]) -> Vec<u8> = |query| {
        let at = query.len() as u8;
        response(query, GOOD, &[record(&[0xc0, at], 1, &[10; 4])])
    };
    let cnames_in_a_circle: fn(&[u8]) -> Vec<u8> =
        |query| response(query, GOOD, &[record(ASKED, 5, ALIAS), record(ALIAS, 5, ASKED)]);
    let an_address_of_five_bytes: fn(&[u8]) -> Vec<u8> =
        |query| response(query, GOOD, &[record(ASKED, kind(query).into(), &[10; 5])]);
    let more_records_than_there_are: fn(&[u8]) -> Vec<u8> = |query| {
        let mut answer = response(query, GOOD, &[address(query)]);
        answer[6] = 0xff;
        answer
    };
    for hostile in [loops, cnames_in_a_circle, an_address_of_five_bytes, more_records_than_there_are] {
        let server = name_server("", move |query, _| vec![hostile(query)]).await;
        let error = server.resolver.lookup("api.test").await.unwrap_err();
        let why = format!("127.0.0.1:{} sent a malformed answer", server.resolver.port);
        assert_eq!(error.to_string(), format!("api.test was not resolved: {why}"));
    }
    let still_truncated = name_server("", |query, _| vec![response(query, TRUNCATED, &[])]).await;
    let error = still_truncated.resolver.lookup("api.test").await.unwrap_err().to_string();
    assert!(error.ends_with("truncated its answer over TCP"), "{error}");
}

/// Addresses are in the answer section, of class IN, under the name that was asked for or one that it is an alias of.
#[tokio::test]
async fn addresses_of_other_sections_classes_and_names_are_none() {
    let in_additional: fn(&[u8]) -> Vec<u8> = |query| {
        let mut answer = response(query, GOOD, &[address(query)]);
        answer.swap(7, 11);
        answer
    };
    let of_class_chaos: fn(&[u8]) -> Vec<u8> = |query| {
        let mut chaos = address(query);
        chaos[5] = 3;
        response(query, GOOD, &[chaos])
    };
    let of_another_name: fn(&[u8]) -> Vec<u8> =
        |query| response(query, GOOD, &[record(ALIAS, kind(query).into(), &address(query)[12..])]);
    let of_the_other_family: fn(&[u8]) -> Vec<u8> = |query| {
        response(query, GOOD, &[if is_aaaa(query) { record(ASKED, 1, &[6; 4]) } else { record(ASKED, 28, &[6; 16]) }])
    };
    for answer in [in_additional, of_class_chaos, of_another_name, of_the_other_family] {
        let server = name_server("", move |query, _| vec![answer(query)]).await;
        let found = server.resolver.lookup("api.test").await;
        assert!(matches!(found, Err(DnsError::NotFound { .. })), "{found:?}");
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
    assert_eq!(server.asked().await, [0]);
}
