//! A host port that the engine chooses (`port=0:8080`) and that is taken. It is asked of an engine of the test's own, in a network
//! namespace of its own with few ports: which port the shared engine chooses next is chance.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use berth::io::docker::Engine;
use berth_config::{Port, Protocol};
use berth_core::message::container::ContainerId;
use berth_core::message::error::ErrorClass;
use berth_kit::OwnEngine;

use super::bench::within;
use super::test_network::{TestNetwork, sh};

/// What the namespace gives to choose from, and how many of the first are taken: more than an engine tries by itself.
const RANGE: &str = "40000 40039";
const TAKEN: u16 = 15;

/// Programs that listen in the namespace; gone when they are dropped.
struct Listeners(Vec<Child>);

impl Listeners {
    async fn on(namespace: &str, ports: impl Iterator<Item = u16>) -> Self {
        let listen = |port: u16| {
            let mut command = Command::new("nsenter");
            command.arg(format!("--net=/run/netns/{namespace}"));
            command.args(["/bin/busybox", "nc", "-l", "-p", &port.to_string()]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
        };
        let listeners = Self(ports.map(listen).collect());
        // State 0A is LISTEN (include/net/tcp_states.h).
        let listening = |child: &Child| {
            let of = |table: &str| fs::read_to_string(format!("/proc/{}/net/{table}", child.id())).unwrap_or_default();
            let lines = |table: &str| of(table).lines().filter(|line| line.contains(" 0A ")).count();
            lines("tcp") + lines("tcp6")
        };
        within(async {
            while listeners.0.iter().map(listening).max() < Some(listeners.0.len()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        listeners
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn published(host: u16) -> Port {
    Port { host_ip: None, host, container: 8080, protocol: Protocol::Tcp }
}

#[tokio::test]
async fn a_taken_port_that_the_engine_chose_is_another_one_at_the_next_attempt() {
    let Some(net) = TestNetwork::open_beside_an_engine() else { return };
    let namespace = net.instance.clone().unwrap();
    sh(&format!("nsenter --net=/run/netns/{namespace} sh -c 'echo {RANGE} > /proc/sys/net/ipv4/ip_local_port_range'"));
    let mut own = OwnEngine::in_namespace(&namespace);
    own.start().await;
    let image = tempfile::tempdir().unwrap();
    let root = image.path().display();
    sh(&format!("mkdir {root}/bin && cp /bin/busybox {root}/bin && ln -s busybox {root}/bin/sleep"));
    sh(&format!("tar -C {root} -c . | docker -H {} import - app", own.host()));
    let create = |publish: &str| {
        let line = format!("docker -H {} create -p {publish} app sleep 600", own.host());
        let created = Command::new("sh").args(["-c", &line]).output().unwrap();
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        ContainerId(String::from_utf8_lossy(&created.stdout).trim().to_owned())
    };
    let first: u16 = RANGE.split(' ').next().unwrap().parse().unwrap();
    let _taken = Listeners::on(&namespace, first..first + TAKEN).await;

    let engine = Engine::new(Some(&own.host())).unwrap();
    let (id, ports) = (create("8080"), [published(0)]);
    let mut refused = 0;
    let started = loop {
        match within(engine.start(&id, &ports)).await {
            Ok(started) => break started,
            Err(error) => {
                assert_eq!(error.class(), ErrorClass::Transient, "{error}");
                assert!(error.to_string().contains("address already in use"), "{error}");
                refused += 1;
            }
        }
        assert!(refused <= TAKEN, "it chooses the same port again and again");
    };
    assert!(refused > 0, "none of the ports that it chose was taken");
    assert!(!started.published.is_empty());
    assert!(started.published.iter().all(|(_, host)| host.port() >= first + TAKEN), "{:?}", started.published);

    let fixed = format!("{first}:8080");
    let (id, ports) = (create(&fixed), [published(first)]);
    let refused = within(engine.start(&id, &ports)).await.unwrap_err();
    assert_eq!(refused.class(), ErrorClass::Misconfigured, "{refused}");
    sh(&format!("docker -H {} ps -aq | xargs docker -H {} rm -f", own.host(), own.host()));
}
