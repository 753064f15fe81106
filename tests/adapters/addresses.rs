//! Which addresses the agent asks on a host without IPv4, and on others: each test in a network of its own, in which the addresses of EC2 are the kit's
//! or nobody's.

use std::io::Write as _;
use std::net::Ipv6Addr;
use std::time::Duration;

use berth::io::aws::autoscaling;
use berth::io::aws::imds::{Imds, ImdsError};
use berth::io::aws::{Aws, Service};
use berth::io::host::ip_routes;
use berth::io::http::Http;
use berth::io::http::dns::Resolver;
use berth_core::message::error::{ErrorClass, JobError};
use berth_kit::World;
use berth_kit::network::{Outside, alone, ip};
use berth_kit::world::{METADATA, METADATA6};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::server::{Server, answer};

const UP: &str = "link set lo up";
const HAS_IPV4: &str = "address add 169.254.169.254/32 dev lo";
const HAS_IPV6: &str = "address add fd00:ec2::254/128 dev lo nodad";
/// A way out, at the other end of which is nobody.
const OUT: [&str; 3] = ["link add out type veth peer name nobody", "link set out up", "link set nobody up"];

fn with(env: &'static [(&str, &str)]) -> Imds {
    let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Imds::from_env(&env, Http::default()).unwrap()
}

/// One without any variable in the environment.
fn imds() -> Imds {
    with(&[])
}

async fn world(outside: &Outside, metadata: impl Into<std::net::IpAddr>) -> World {
    World::builder().alone(outside, metadata).start().await
}

#[test]
fn without_ipv4_the_metadata_is_asked_by_ipv6() {
    alone(&[UP, "address delete 127.0.0.1/8 dev lo", HAS_IPV6], async |outside| {
        let world = world(&outside, METADATA6).await;
        let imds = imds();
        assert_eq!(imds.identity().await.unwrap().instance_id, world.instance_id);
        assert_eq!((imds.base(), imds.asked().as_str()), ("http://[fd00:ec2::254]", "http://[fd00:ec2::254]"));
        assert_eq!(world.journal.count("imds PUT token"), 1);
        assert!(imds.is_ipv6_only());
    });
}

#[test]
fn where_ipv4_answers_ipv6_is_not_asked() {
    alone(&[UP, HAS_IPV4, HAS_IPV6], async |outside| {
        let (four, six) = (world(&outside, METADATA).await, world(&outside, METADATA6).await);
        let imds = imds();
        imds.identity().await.unwrap();
        imds.snapshot().await.unwrap();
        assert_eq!(imds.base(), "http://169.254.169.254");
        // Also not when it is gone later.
        four.imds.stop_listening();
        let gone = async {
            loop {
                if let Err(error) = imds.snapshot().await {
                    return error;
                }
            }
        };
        let error = tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
        assert!(matches!(error, ImdsError::Unreachable { .. }), "{error:?}");
        assert_eq!(six.journal.entries().len(), 0);
    });
}

#[test]
fn where_ipv4_refuses_ipv6_is_not_asked() {
    alone(&[UP, HAS_IPV4, HAS_IPV6], async |outside| {
        let six = world(&outside, METADATA6).await;
        let error = imds().identity().await.unwrap_err();
        assert!(matches!(error, ImdsError::Unreachable { .. }), "{error:?}");
        assert_eq!(six.journal.entries().len(), 0);
    });
}

#[test]
fn what_the_environment_says_is_asked_and_nothing_else() {
    const MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
    alone(&[UP, HAS_IPV6], async |outside| {
        let six = world(&outside, METADATA6).await;
        let error = with(&[(MODE, "IPv4")]).identity().await.unwrap_err();
        assert!(matches!(error, ImdsError::Unreachable { .. }), "{error:?}");
        assert_eq!(six.journal.entries().len(), 0);
        with(&[(MODE, "IPv6")]).identity().await.unwrap();
    });
}

#[test]
fn before_there_is_a_route_both_are_tried_until_one_answers() {
    alone(&[UP], async |outside| {
        let imds = imds();
        for _ in 0..2 {
            let error = imds.identity().await.unwrap_err();
            assert_eq!(error.class(), ErrorClass::Transient);
            let text = JobError::from_error(error.class(), &error).reason;
            let of = |address| format!("cannot connect to http://{address}: Network is unreachable (os error 101)");
            let (four, six) = (of("169.254.169.254"), of("[fd00:ec2::254]"));
            assert_eq!(text, format!("IMDS request for a token failed by IPv4 ({four}) and by IPv6: {six}"));
        }
        assert_eq!(imds.asked(), "http://169.254.169.254, http://[fd00:ec2::254]");
        ip(HAS_IPV6);
        let six = world(&outside, METADATA6).await;
        assert_eq!(imds.identity().await.unwrap().instance_id, six.instance_id);
        ip(HAS_IPV4);
        let four = world(&outside, METADATA).await;
        imds.identity().await.unwrap();
        six.imds.expire_tokens();
        imds.identity().await.unwrap();
        assert_eq!(four.journal.entries().len(), 0, "the first that answered stays");
    });
}

#[test]
fn an_ipv4_address_that_does_not_answer_is_not_used_either() {
    let lines =
        [&[UP, HAS_IPV6], &OUT[..], &["address add 10.0.0.10/24 dev out", "route add default dev out"]].concat();
    alone(&lines, async |outside| {
        let six = world(&outside, METADATA6).await;
        let imds = imds();
        assert_eq!(imds.identity().await.unwrap().instance_id, six.instance_id);
        assert!(!imds.is_ipv6_only(), "IPv4 leads to others");
    });
}

#[test]
fn an_instance_with_link_local_ipv4_only_reaches_others_by_ipv6_only() {
    // As in an IPv6-only subnet, where DHCP gives an address for the services of the instance itself.
    let lines = [
        &[UP, HAS_IPV4],
        &OUT[..],
        &["address add 169.254.1.74/32 dev out", "address add 2001:db8:1::5/64 dev out nodad"],
    ];
    let routes = ["-4 route add default dev out", "-6 route add default dev out"];
    alone(&lines.concat(), async move |outside| {
        let four = world(&outside, METADATA).await;
        let imds = imds();
        imds.identity().await.unwrap();
        assert_eq!((imds.base(), imds.is_ipv6_only()), ("http://169.254.169.254", false), "no IPv6 either");
        ip(routes[1]);
        assert!(imds.is_ipv6_only(), "without an IPv4 route");
        ip(routes[0]);
        assert!(imds.is_ipv6_only(), "with one that leaves by a link-local address");
        assert!(!ip_routes::has_ipv4() && ip_routes::has_ipv6());
        ip("address add 10.0.0.10/24 dev out");
        ip("-4 route replace default dev out src 10.0.0.10");
        assert!(!imds.is_ipv6_only() && ip_routes::has_ipv4());
        assert_eq!(four.journal.count("imds PUT token"), 1);
    });
}

#[test]
fn without_ipv4_endpoints_are_dual_stack_unless_the_environment_says_otherwise() {
    alone(&[UP, HAS_IPV6], async |outside| {
        let _world = world(&outside, METADATA6).await;
        for (value, endpoint) in [
            (None, "https://ssm.us-east-2.api.aws"),
            (Some("true"), "https://ssm.us-east-2.api.aws"),
            (Some("false"), "https://ssm.us-east-2.amazonaws.com"),
        ] {
            let env = |name: &str| (name == "AWS_USE_DUALSTACK_ENDPOINT").then_some(value).flatten().map(str::to_owned);
            let imds = imds();
            let aws = Aws::new(Http::default(), imds.clone(), &env);
            aws.locate(&imds.identity().await.unwrap());
            assert_eq!(aws.endpoint(Service::Ssm, None).await.unwrap(), endpoint, "{value:?}");
        }
        // One that is named stays as it is: the SDK refuses a custom endpoint that shall be dual-stack.
        let env = |name: &str| (name == "AWS_ENDPOINT_URL").then(|| "http://[::1]:1".to_owned());
        let imds = imds();
        let aws = Aws::new(Http::default(), imds.clone(), &env);
        aws.locate(&imds.identity().await.unwrap());
        let error = autoscaling::describe_instance(&aws, "i-0123").await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Transient, "{error}");
    });
}

#[test]
fn without_a_domain_in_the_metadata_the_endpoint_follows_from_the_region() {
    alone(&[UP], async |_| {
        for (region, endpoint) in [
            ("us-east-2", "https://ssm.us-east-2.amazonaws.com"),
            ("us-gov-west-1", "https://ssm.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "https://ssm.cn-north-1.amazonaws.com.cn"),
            ("us-iso-east-1", "https://ssm.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", "https://ssm.us-isob-east-1.sc2s.sgov.gov"),
            ("eusc-de-east-1", "https://ssm.eusc-de-east-1.amazonaws.eu"),
        ] {
            let document = json!({
                "instanceId": "i-0123456789abcdef0", "region": region, "availabilityZone": format!("{region}a"),
                "accountId": "123456789012",
            });
            let server = Server::start(move |seen| match (&*seen.method, &*seen.path) {
                ("PUT", _) => answer(200, "t0ken"),
                (_, path) if path.ends_with("/document") => answer(200, document.to_string()),
                _ => answer(404, ""),
            })
            .await;
            let imds = Imds::at(&server.base.parse().unwrap(), Http::default());
            let aws = Aws::new(Http::default(), imds.clone(), &|_| None);
            aws.locate(&imds.identity().await.unwrap());
            assert_eq!(aws.endpoint(Service::Ssm, None).await.unwrap(), endpoint);
            assert!(!server.asked().iter().any(|asked| asked.contains("services/")), "{:?}", server.asked());
        }
    });
}

#[test]
fn an_ipv4_address_that_leads_nowhere_costs_less_than_the_time_for_a_connection() {
    let silent = [&[UP], &OUT[..], &["address add 10.0.0.10/24 dev out", "route add default dev out"]].concat();
    for lines in [&[UP][..], &silent] {
        alone(lines, async |_| {
            let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            tokio::spawn(async move {
                loop {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    // Each fails if the client was in a hurry and left.
                    let _ = stream.read(&mut [0; 1024]).await;
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
                }
            });
            let mut hosts = tempfile::NamedTempFile::new().unwrap();
            hosts.write_all(b"192.0.2.7 both.example\n::1 both.example\n").unwrap();
            let http = Http::with(Resolver { hosts: hosts.path().to_owned(), ..Resolver::default() });
            let request = Request::get(format!("http://both.example:{port}/")).body(Full::<Bytes>::default()).unwrap();
            // Of 3 s for a connection each of the two addresses would get a half, one after the other. A busy machine may need as long
            // once, not every time.
            let mut answered = None;
            for _ in 0..5 {
                answered = http.send(request.clone(), Duration::from_millis(1400), 1024).await.ok();
                if answered.is_some() {
                    break;
                }
            }
            assert_eq!(answered.expect("an answer within 1.4 s").status(), 204);
        });
    }
}
