//! Connections to a real container, held open, and the count that decides when a drain is over.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use berth::io::docker::Engine;
use berth_config::{ImageRef, Port, Protocol};
use berth_core::message::container::{Address, ContainerId, RunningContainer};
use berth_core::message::error::JobError;
use berth_kit::image::DEMO_APP;
use bollard::exec::StartExecOptions;
use bollard::models::ExecConfig;

use super::bench::{Bench, unique, within, words};

fn address(app: &RunningContainer) -> IpAddr {
    let Address::At(address) = app.address else { panic!("it has no address") };
    address
}

/// Waits until the count is that. It may be another for a moment: a connection that the kernel has closed is seen as closed
/// only when the other end has answered.
async fn counted(engine: &Engine, app: &RunningContainer, expected: u32) {
    let mut last = None;
    let wait = async {
        while last != Some(expected) {
            last = Some(engine.connections(&app.id).await.unwrap());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), wait).await;
    assert!(in_time.is_ok(), "{last:?} connections are counted, not {expected}");
}

/// Connects as soon as somebody listens.
async fn connect(at: SocketAddr) -> TcpStream {
    within(async {
        loop {
            match TcpStream::connect(at) {
                Ok(stream) => return stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    })
    .await
}

fn ask(stream: &mut TcpStream, path: &str) {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: app\r\n\r\n").unwrap();
}

fn answered(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
}

/// The host's address on the container's network.
async fn host_seen_from(bench: &Bench, app: &RunningContainer) -> IpAddr {
    let mut networks = bench.inspect(&app.id).await.network_settings.unwrap().networks.unwrap();
    networks.remove("bridge").unwrap().gateway.unwrap().parse().unwrap()
}

/// Starts a command in the container and waits for nothing.
async fn leave_running(bench: &Bench, app: &RunningContainer, command: &[&str]) {
    let command = ExecConfig { cmd: Some(words(command)), ..Default::default() };
    let exec = bench.docker.create_exec(&app.id.0, command).await.unwrap().id;
    let detached = StartExecOptions { detach: true, ..Default::default() };
    bench.docker.start_exec(&exec, Some(detached)).await.unwrap();
}

async fn demo_app(bench: &mut Bench) -> ImageRef {
    bench.image(&[], &[("app", DEMO_APP, 0o755)], &["ENTRYPOINT [\"/app\"]"]).await
}

#[tokio::test]
async fn every_client_is_counted_until_it_has_gone() {
    let mut bench = Bench::new().await;
    let image = demo_app(&mut bench).await;
    let port = Port { host_ip: Some(Ipv4Addr::LOCALHOST.into()), host: 0, container: 8080, protocol: Protocol::Tcp };
    let creation = bench.creation(&image, |config| config.ports = vec![port]).await;
    let app = bench.run(&creation, None).await;
    let (own, published) = (SocketAddr::new(address(&app), 8080), app.published[0].1);
    let silent = connect(own).await;
    counted(&bench.engine, &app, 1).await;

    let mut idle = connect(published).await;
    ask(&mut idle, "/");
    answered(&mut idle);
    let mut busy = connect(published).await;
    ask(&mut busy, "/slow?ms=1500");
    counted(&bench.engine, &app, 3).await;

    drop(silent);
    counted(&bench.engine, &app, 2).await;
    drop(idle);
    counted(&bench.engine, &app, 1).await;
    // A client that has sent everything still waits for the answer.
    busy.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(bench.engine.connections(&app.id).await.unwrap(), 1);
    answered(&mut busy);
    drop(busy);
    counted(&bench.engine, &app, 0).await;
}

#[tokio::test]
async fn what_the_app_opens_itself_and_what_asks_inside_are_no_clients() {
    let mut bench = Bench::new().await;
    let image = bench.image(&["sh", "sleep", "httpd", "nc", "cat"], &[], &[]).await;
    let creation = bench.creation(&image, |config| config.command = Some(words(&["httpd", "-f", "-p", "8080"]))).await;
    let app = bench.run(&creation, None).await;
    drop(connect(SocketAddr::new(address(&app), 8080)).await);
    let database = TcpListener::bind((host_seen_from(&bench, &app).await, 0)).unwrap();
    let to_database = database.local_addr().unwrap();
    for to in ["127.0.0.1 8080".to_owned(), format!("{} {}", to_database.ip(), to_database.port())] {
        leave_running(&bench, &app, &["sh", "-c", &format!("sleep 600 | nc {to}")]).await;
    }
    let _query = database.accept().unwrap();
    // 0100007F:1F90 is 127.0.0.1:8080, 01 is ESTABLISHED: the end of the client inside.
    let inside = words(&[
        "sh",
        "-c",
        "case $(cat /proc/net/tcp) in *' 0100007F:'????' 0100007F:1F90 01 '*) ;; *) exit 1 ;; esac",
    ]);
    within(async { while bench.engine.exec(&app, &inside, Duration::from_secs(10)).await.unwrap() != 0 {} }).await;
    assert_eq!(bench.engine.connections(&app.id).await.unwrap(), 0);
    let _client = connect(SocketAddr::new(address(&app), 8080)).await;
    counted(&bench.engine, &app, 1).await;
}

#[tokio::test]
async fn on_the_host_s_network_clients_of_other_processes_are_not_the_app_s() {
    let mut bench = Bench::new().await;
    let image = demo_app(&mut bench).await;
    let beside = bench.creation(&image, |_| {}).await;
    let beside = bench.run(&beside, None).await;
    // Not loopback: what comes from there is no client's.
    let host = host_seen_from(&bench, &beside).await;
    let free = TcpListener::bind((host, 0)).unwrap().local_addr().unwrap();
    let creation = bench
        .creation(&image, |config| {
            config.network = Some("host".to_owned());
            config.env.insert("PORT".to_owned(), free.port().to_string());
            config.ports =
                vec![Port { host_ip: None, host: free.port(), container: free.port(), protocol: Protocol::Tcp }];
        })
        .await;
    let app = bench.run(&creation, None).await;
    let other = TcpListener::bind((host, 0)).unwrap();
    let _others: Vec<_> = (0..3).map(|_| TcpStream::connect(other.local_addr().unwrap()).unwrap()).collect();
    let client = connect(free).await;
    counted(&bench.engine, &app, 1).await;
    drop(client);
    counted(&bench.engine, &app, 0).await;
}

#[tokio::test]
async fn the_clients_of_a_container_that_does_not_run_are_not_counted() {
    let mut bench = Bench::new().await;
    let image = demo_app(&mut bench).await;
    let creation = bench.creation(&image, |_| {}).await;
    let app = bench.run(&creation, None).await;
    let _client = connect(SocketAddr::new(address(&app), 8080)).await;
    counted(&bench.engine, &app, 1).await;
    bench.engine.stop(&app.id, Duration::ZERO).await.unwrap();
    for id in [app.id.clone(), ContainerId(unique("gone"))] {
        let error = bench.engine.connections(&id).await.unwrap_err();
        assert!(JobError::from_error(error.class(), &error).reason.contains("does not run"), "{error:?}");
    }
}

#[tokio::test]
async fn an_engine_that_does_not_answer_counts_nothing() {
    let engine = Engine::new(Some("unix:///nowhere/docker.sock")).unwrap();
    let error = engine.connections(&ContainerId("any".to_owned())).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot count the connections of the container");
}
