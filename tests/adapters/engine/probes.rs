//! The probes: over HTTP and TCP against a few lines of server, in a container against the engine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use berth::io::app::probe::probe;
use berth_config::{HttpProbe, Layers, Port, ProbeMethod, Protocol};
use berth_core::message::container::{Address, ContainerId, RunningContainer};
use berth_core::message::probe_failure::ProbeFailureKind as Kind;
use bollard::query_parameters::TopOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::bench::{Bench, SLEEP, engine, within, words};

pub(super) const LONG: Duration = Duration::from_secs(30);

/// An app on loopback whose server answers this to everything, and then closes; or says nothing at all.
async fn app(answer: &'static [u8]) -> (RunningContainer, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if answer.is_empty() {
                silent.push(stream);
                continue;
            }
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer).await;
        }
    });
    (at(Ipv4Addr::LOCALHOST.into()), port)
}

pub(super) fn at(address: IpAddr) -> RunningContainer {
    with(Address::At(address))
}

fn with(address: Address) -> RunningContainer {
    RunningContainer {
        id: ContainerId("unused".to_owned()),
        address,
        published: Vec::new(),
        healthcheck: None,
        shim: false,
        running_for: Duration::ZERO,
    }
}

async fn ask(app: &RunningContainer, how: &ProbeMethod, port: Option<u16>) -> Result<(), String> {
    probe(&engine(), app, how, port, &HttpProbe::default(), LONG).await.map_err(|failure| failure.reason)
}

/// What these words of a config make of an HTTP probe.
pub(super) fn http_probe(words: &str) -> HttpProbe {
    let mut layers = Layers::new();
    layers.add_user_data(format!("berth image=x:1 {words}").as_bytes());
    layers.resolve().unwrap().probe.http
}

#[tokio::test]
async fn statuses_200_to_399_are_healthy_and_no_others() {
    let answers: [(&[u8], Result<(), &str>); 5] = [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Ok(())),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Ok(())),
        (b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n", Ok(())),
        (
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nbad",
            Err("/health answers 503, expected 200-399"),
        ),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Err("/health answers 404, expected 200-399")),
    ];
    for (answer, expected) in answers {
        let (app, port) = app(answer).await;
        let how = ProbeMethod::Path("/health".to_owned());
        assert_eq!(ask(&app, &how, Some(port)).await, expected.map_err(str::to_owned));
    }
}

#[tokio::test]
async fn the_config_says_which_answers_are_healthy() {
    let answers: [(&[u8], u16); 3] = [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", 302),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", 401),
    ];
    for (answer, status) in answers {
        let (app, port) = app(answer).await;
        for (expect, healthy) in [("200", status == 200), ("200-299,401", status != 302), ("401", status == 401)] {
            let http = http_probe(&format!("probe.expect={expect}"));
            for how in [ProbeMethod::Path("/x".into()), ProbeMethod::Port { tls: false, port, path: "/x".into() }] {
                let answer = probe(&engine(), &app, &how, Some(port), &http, LONG).await;
                let expected = format!("/x answers {status}, expected {expect}");
                let result = answer.map_err(|failure| (failure.kind, failure.reason));
                assert_eq!(result, if healthy { Ok(()) } else { Err((Kind::Status, expected)) });
            }
        }
    }
}

#[tokio::test]
async fn the_app_is_asked_as_the_host_that_the_config_names() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = tokio::spawn(async move {
        let mut hosts = Vec::new();
        while hosts.len() < 3 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..read]).to_ascii_lowercase();
            hosts.extend(request.lines().filter_map(|line| line.strip_prefix("host: ")).map(str::to_owned));
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
        hosts
    });
    let named = http_probe("probe.host=app.example.com:8443");
    for (how, http) in [
        (ProbeMethod::Path("/".into()), &HttpProbe::default()),
        (ProbeMethod::Path("/".into()), &named),
        (ProbeMethod::Url(format!("http://{address}/")), &named),
    ] {
        assert_eq!(probe(&engine(), &at(address.ip()), &how, Some(address.port()), http, LONG).await, Ok(()));
    }
    assert_eq!(seen.await.unwrap(), [address.to_string().as_str(), "app.example.com:8443", "app.example.com:8443"]);
}

#[tokio::test]
async fn an_endless_body_does_not_hold_the_probe() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n").await;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    });
    let how = ProbeMethod::Path("/".to_owned());
    assert_eq!(ask(&at(Ipv4Addr::LOCALHOST.into()), &how, Some(port)).await, Ok(()));
}

#[tokio::test]
async fn silence_a_closed_port_and_nonsense_are_different_failures() {
    let how = ProbeMethod::Path("/health".to_owned());
    let (silent, port) = app(b"").await;
    let late = probe(&engine(), &silent, &how, Some(port), &HttpProbe::default(), Duration::from_millis(50)).await;
    let late = late.unwrap_err();
    assert_eq!((late.kind, late.reason.as_str()), (Kind::TimedOut, "no answer within 0.05 s"));

    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    assert_eq!(ask(&silent, &how, Some(free)).await, Err(format!("127.0.0.1:{free}: connection refused")));

    let (odd, port) = app(b"SSH-2.0-OpenSSH\r\n").await;
    let reason = ask(&odd, &how, Some(port)).await.unwrap_err();
    assert!(reason.contains("is not HTTP") && reason.ends_with("health=https:PORT/path`"), "{reason}");
}

#[tokio::test]
async fn an_address_is_asked_as_the_host_sees_it() {
    let (app, port) = app(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(ask(&app, &ProbeMethod::Url(format!("http://{host}:{port}/x?y=z")), None).await, Ok(()));
    }
    for (url, says) in [
        ("http://app.example/", "neither an IP address nor localhost"),
        ("ftp://127.0.0.1/", "not an http:// or https:// URL"),
        ("127.0.0.1:80", "not an http:// or https:// URL"),
    ] {
        let reason = ask(&app, &ProbeMethod::Url(url.to_owned()), None).await.unwrap_err();
        assert!(reason.contains(says), "{reason}");
    }
}

#[tokio::test]
async fn a_port_that_accepts_is_healthy() {
    let (app, port) = app(b"").await;
    assert_eq!(ask(&app, &ProbeMethod::Tcp(None), Some(port)).await, Ok(()));
    assert_eq!(ask(&app, &ProbeMethod::Tcp(Some(port)), Some(1)).await, Ok(()));
    assert!(ask(&app, &ProbeMethod::Tcp(Some(1)), Some(port)).await.is_err());
    assert_eq!(ask(&app, &ProbeMethod::Tcp(None), None).await, Err("the config has no TCP port to probe".to_owned()));
}

#[tokio::test]
async fn only_a_network_mode_without_addresses_is_advised_to_ask_by_a_command() {
    for how in [ProbeMethod::Tcp(Some(80)), ProbeMethod::Path("/".to_owned())] {
        let never =
            probe(&engine(), &with(Address::Never), &how, Some(80), &HttpProbe::default(), LONG).await.unwrap_err();
        assert!(never.reason.contains("no address of its own; probe it with health=cmd:"), "{never}");
        assert_eq!((never.kind, never.kind.lasting_after()), (Kind::NoAddress, Some(Duration::ZERO)));
        let dead =
            probe(&engine(), &with(Address::NotNow), &how, Some(80), &HttpProbe::default(), LONG).await.unwrap_err();
        assert_eq!(
            (dead.reason.as_str(), dead.kind.lasting_after()),
            ("the container does not run, or is on no network", None)
        );
    }
    assert_eq!(ask(&with(Address::Never), &ProbeMethod::None, None).await, Ok(()));
}

#[tokio::test]
async fn a_missing_command_and_a_failing_command_are_different_failures() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&[SLEEP]).await;
    let creation = bench.creation(&image, |_| {}).await;
    let app = bench.run(&creation, None).await;
    for (command, kind) in [
        (&["nope"][..], Kind::CommandNotFound),
        (&["/nope"], Kind::CommandNotFound),
        (&["/etc/passwd"], Kind::CommandNotFound),
        (&["/bin/sh", "-c", "nope -f http://localhost/"], Kind::CommandNotFound),
        (&["/bin/sh", "-c", "exit 3"], Kind::CommandFailed),
    ] {
        let failure = probe(&bench.engine, &app, &ProbeMethod::Cmd(words(command)), None, &HttpProbe::default(), LONG)
            .await
            .unwrap_err();
        assert_eq!(failure.kind, kind, "{command:?}: {failure}");
    }
}

/// The probe has 300 ms for its connections, and a lost packet is sent again only after a second. A busy machine may need longer than 300 ms to
/// empty the queue; then the probe fails as it must, and the next one is tried.
#[tokio::test]
async fn a_first_packet_that_is_lost_does_not_cost_the_probe() {
    for _ in 0..20 {
        match probed_with_a_lost_packet().await {
            Ok(()) => return,
            Err(reason) => assert!(reason.ends_with("no connection within 300 ms"), "{reason}"),
        }
    }
    panic!("the probe never gets through");
}

/// Probes a port whose queue is full until the first packet of the probe is lost.
async fn probed_with_a_lost_packet() -> Result<(), String> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    // The queue takes one connection. The first packet of the next one is dropped, and sent again after a second.
    let _first = TcpStream::connect(address).await.unwrap();
    let asked =
        tokio::spawn(async move { ask(&at(address.ip()), &ProbeMethod::Tcp(None), Some(address.port())).await });
    // State 02 is SYN_SENT (include/net/tcp_states.h).
    let sent = format!(":{:04X} 02 ", address.port());
    let lost = within(async {
        loop {
            match std::fs::read_to_string("/proc/net/tcp").unwrap().contains(&sent) {
                true => break true,
                false if asked.is_finished() => break false,
                false => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    })
    .await;
    let _taken = listener.accept().await.unwrap();
    let answer = asked.await.unwrap();
    assert!(lost || answer.is_err(), "no packet was lost");
    answer
}

#[tokio::test]
async fn an_app_that_does_not_listen_is_not_healthy_although_its_port_is_published() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&[SLEEP]).await;
    let port = Port { host_ip: Some(Ipv4Addr::LOCALHOST.into()), host: 0, container: 8080, protocol: Protocol::Tcp };
    let creation = bench.creation(&image, |config| config.ports = vec![port]).await;
    let app = bench.run(&creation, None).await;
    let how = ProbeMethod::Path("/".to_owned());
    let failure = probe(&bench.engine, &app, &how, Some(8080), &HttpProbe::default(), LONG).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Refused, "{failure}");

    let creation = bench
        .creation(&image, |config| {
            config.ports = vec![port];
            config.command = Some(words(&["httpd", "-f", "-p", "8080", "-h", "/bin"]));
        })
        .await;
    let app = bench.run(&creation, None).await;
    within(async {
        while probe(&bench.engine, &app, &ProbeMethod::Path("/env".to_owned()), Some(8080), &HttpProbe::default(), LONG)
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let published: SocketAddr = app.published[0].1;
    let how = ProbeMethod::Url(format!("http://{published}/env"));
    assert_eq!(probe(&bench.engine, &app, &how, None, &HttpProbe::default(), LONG).await, Ok(()));
}

#[tokio::test]
async fn a_healthcheck_is_run_when_it_is_asked_for() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&[SLEEP, "HEALTHCHECK CMD cat /well"]).await;
    let creation = bench.creation(&image, |_| {}).await;
    let app = bench.run(&creation, None).await;
    let http = HttpProbe::default();
    let ask = || probe(&bench.engine, &app, &ProbeMethod::Docker, None, &http, LONG);
    assert_eq!(ask().await.unwrap_err().reason, "/bin/sh exits with 1");
    let touch = ProbeMethod::Cmd(words(&["touch", "/well"]));
    assert_eq!(probe(&bench.engine, &app, &touch, None, &HttpProbe::default(), LONG).await, Ok(()));
    assert_eq!(ask().await, Ok(()));
    let plain = bench.busybox(&[SLEEP]).await;
    let creation = bench.creation(&plain, |_| {}).await;
    let app = bench.run(&creation, None).await;
    let none = probe(&bench.engine, &app, &ProbeMethod::Docker, None, &HttpProbe::default(), LONG).await;
    assert_eq!(none.unwrap_err().kind, Kind::NoHealthcheck);
}

/// Within its timeout the command must have started, or there would be nothing to kill: the timeout doubles until it has.
#[tokio::test]
async fn a_command_that_hangs_is_killed_and_leaves_nothing_behind() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&[SLEEP]).await;
    let creation = bench.creation(&image, |_| {}).await;
    let app = bench.run(&creation, None).await;
    let how = ProbeMethod::Cmd(words(&["sleep", "555"]));
    let is_running = async || {
        let top = bench.docker.top_processes(&app.id.0, None::<TopOptions>).await.unwrap();
        top.processes.unwrap().iter().flatten().any(|word| word.contains("555"))
    };
    let mut ran = false;
    for limit in [1, 2, 4, 8, 16].map(Duration::from_secs) {
        let http = HttpProbe::default();
        let mut probing = pin!(probe(&bench.engine, &app, &how, None, &http, limit));
        let failure = loop {
            tokio::select! {
                ended = &mut probing => break ended.unwrap_err(),
                seen = is_running() => ran |= seen,
            }
        };
        let reason = format!("sleep: timed out after {} s", limit.as_secs());
        assert_eq!((failure.kind, failure.reason), (Kind::TimedOut, reason));
        if ran {
            break;
        }
    }
    assert!(ran, "the command was never seen");
    within(async {
        while is_running().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
