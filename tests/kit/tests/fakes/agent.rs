//! How the kit runs the agent, tried with a stand-in that shows what it was given.

use std::path::Path;
use std::time::Duration;

use berth_kit::World;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};

const SECOND: Duration = Duration::from_secs(1);

fn stub() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fakes/stub-agent"))
}

#[tokio::test]
async fn the_agent_sees_the_world_and_nothing_of_the_tests_environment() {
    let world = World::start().await;
    let agent = world.launcher(stub()).env("EXTRA", "1").arg("boot.timeout=5s").arg("exit=3").start().await;
    assert_eq!(agent.exit_within(10 * SECOND).await, 3);
    let log = agent.log_text();
    assert!(log.contains(&format!("AWS_EC2_METADATA_SERVICE_ENDPOINT={}", world.imds.endpoint())), "{log}");
    assert!(log.contains(&format!("AWS_ENDPOINT_URL={}", world.aws.endpoint())), "{log}");
    assert!(log.contains("EXTRA=1") && log.contains("listen=127.0.0.1:0 boot.timeout=5s exit=3"), "{log}");
    assert!(!log.contains("CARGO"), "{log}");
    assert!(world.run_dir().starts_with("/dev/shm") && world.run_dir().join("berth.sock").as_os_str().len() < 100);
}

#[tokio::test]
async fn a_held_agent_comes_no_further_than_the_next_line() {
    let world = World::start().await;
    let (agent, mut held) =
        world.launcher(stub()).arg(format!("lines={}", world.run_dir().display())).start_held().await;
    let been = |line| world.run_dir().join(line).exists();
    // What it was given comes first.
    while held.next(10 * SECOND).await.expect("it runs") != "first" {}
    assert!(!been("second") && agent.runs());
    assert_eq!(held.next(10 * SECOND).await.as_deref(), Some("second"));
    assert!(been("first") && !been("third"));
    let long = held.next(10 * SECOND).await.expect("it runs");
    assert_eq!((long.len(), long.trim_start_matches('0')), (10_000, ""), "in more than one part");
    agent.kill9().await;
    assert!(!been("third") && agent.log_text().contains("second"));
    drop(held);

    let (free, held) = world.launcher(stub()).arg("exit=3").start_held().await;
    drop(held);
    assert_eq!(free.exit_within(10 * SECOND).await, 3);
    free.log_within("arguments:", 10 * SECOND).await;
}

#[tokio::test]
#[should_panic(expected = "AWS_ENDPOINT_URL is not an address on loopback")]
async fn an_agent_that_could_reach_the_real_aws_is_not_started() {
    let world = World::builder().no_group().start().await;
    world.launcher(stub()).env("AWS_ENDPOINT_URL", "http://169.254.169.254").start().await;
}

#[tokio::test]
#[should_panic(expected = "AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2 is not an address on loopback")]
async fn an_agent_whose_balancer_is_elsewhere_is_not_started() {
    let world = World::builder().no_group().start().await;
    let elsewhere = "https://elasticloadbalancing.us-east-2.amazonaws.com";
    world.launcher(stub()).env("AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2", elsewhere).start().await;
}

#[tokio::test]
async fn signals_and_a_crash_end_the_agent() {
    let world = World::start().await;
    let agent = world.launch(stub()).await;
    agent.log_within("arguments:", 10 * SECOND).await;
    assert!(agent.runs());
    agent.signal("TERM");
    assert_eq!(agent.exit_within(10 * SECOND).await, 128 + 15);
    let again = world.relaunch(stub()).await;
    again.kill9().await;
    assert_eq!(again.exit_within(SECOND).await, 128 + 9);
    assert!(!again.runs());
}

#[tokio::test]
async fn a_dropped_agent_is_killed() {
    let world = World::start().await;
    let agent = world.launch(stub()).await;
    agent.log_within("arguments:", 10 * SECOND).await;
    let process = format!("/proc/{}/comm", agent.pid());
    assert!(Path::new(&process).exists());
    drop(agent);
    let gone = async {
        while Path::new(&process).exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(10 * SECOND, gone).await.unwrap();
}

#[tokio::test]
async fn readiness_and_phase_are_read_from_the_agent_s_own_sockets() {
    let world = World::start().await;
    let agent = world.launch(stub()).await;
    let endpoint = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = endpoint.local_addr().unwrap();
    let socket = UnixListener::bind(agent.socket()).unwrap();
    let status =
        format!(r#"{{"phase":"serve","listen":"{address}","container":{{"ports":[{{"host_address":"{address}"}}]}}}}"#);
    let sockets = async {
        loop {
            tokio::select! {
                stream = socket.accept() => say(stream.unwrap().0, "200 OK", &status).await,
                stream = endpoint.accept() => say(stream.unwrap().0, "200 OK", "here").await,
            }
        }
    };
    let looks = async {
        agent.phase_within("serve", 5 * SECOND).await;
        assert_eq!(agent.endpoint().await, address);
        agent.ready_within(5 * SECOND).await;
        assert_eq!(agent.http("/version").await.text(), "here");
        assert_eq!(agent.app("/").await.status, 200);
    };
    tokio::select! { () = looks => {} () = sockets => {} }
}

#[tokio::test]
#[should_panic(expected = "the agent ended without the phase serve")]
async fn a_wait_for_a_phase_ends_with_the_agent() {
    let world = World::start().await;
    let agent = world.launcher(stub()).arg("exit=2").start().await;
    agent.phase_within("serve", 30 * SECOND).await;
}

async fn say(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, status: &str, body: &str) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await;
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    let _ = stream.write_all(answer.as_bytes()).await;
}
