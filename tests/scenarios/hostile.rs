//! Hostile clients at the readiness endpoint, and a load balancer that must not notice.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use berth_kit::{Agent, Hostile, World, client};
use tokio::net::TcpStream;

use crate::steps::until;
use crate::{BERTH, SOON};

/// Questions of the load balancer during the attack.
const PROBES: usize = 100;
/// Less than the 7 s for which a silent client is borne: who waits for those is not let in. How fast an answer really is,
/// `bench hostile` measures, on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(5);
/// The endpoint holds at most 256 connections. The rest is the agent's own, and those who were just sent away.
const DESCRIPTORS: usize = 512;
/// KiB that these connections and the boot may take of memory that is the agent's own; it is half as much.
const MEMORY: u64 = 10 << 10;

/// Asks as a load balancer does, on a connection of its own, and hears 200; how long that took.
#[expect(clippy::disallowed_methods, reason = "the clock of the test itself")]
async fn probe(address: SocketAddr) -> Duration {
    let began = Instant::now();
    let asked = client::over_tcp(address, client::request("GET", "/ready"));
    let answer = tokio::time::timeout(SOON, asked).await.expect("an answer");
    assert_eq!(answer.expect("an answer, and no refusal").status, 200);
    began.elapsed()
}

/// Most of them: a test beside others may get no core for seconds.
fn in_time(mut took: Vec<Duration>) {
    took.sort();
    assert!(took[took.len() / 2] < PATIENCE, "{took:?}");
}

/// KiB that are the agent's own, without its code.
fn memory(agent: &Agent) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn descriptors(agent: &Agent) -> usize {
    fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap().count()
}

#[tokio::test]
async fn a_boot_under_attack_ends_well_and_no_probe_of_the_load_balancer_is_lost() {
    let world = World::start().await;
    let image = world.app_image();
    world.user_data(&format!("berth image={} network=none health=none probe.running_for=0s", image.by_tag()));
    let agent = world.launch(Path::new(BERTH)).await;
    let address = agent.endpoint().await;
    let before = memory(&agent);
    let hostile = Hostile::at(address);
    agent.ready_within(SOON).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    // All are there, and those come again who were sent away.
    let returned = berth_kit::hostile::ALL + 200;
    until("the house is full", async || descriptors(&agent) > 256 && hostile.connected() > returned).await;

    let (mut most, mut biggest, mut took) = (0, 0, Vec::new());
    for _ in 0..PROBES {
        took.push(probe(address).await);
        (most, biggest) = (most.max(descriptors(&agent)), biggest.max(memory(&agent)));
    }
    in_time(took);
    let grown = biggest.saturating_sub(before);
    assert!(most <= DESCRIPTORS, "{most} file descriptors are open");
    assert!(grown < MEMORY, "{grown} KiB more than before");

    drop(hostile);
    until("the connections are let go of", async || descriptors(&agent) < 64).await;
    probe(address).await;
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the clock of the test itself")]
async fn an_agent_that_may_open_few_files_lets_the_load_balancer_in_all_the_same() {
    let world = World::start().await;
    let image = world.app_image();
    world.user_data(&format!("berth image={} network=none health=none probe.running_for=0s", image.by_tag()));
    let few = tempfile::tempdir().unwrap();
    let script = few.path().join("berth");
    fs::write(&script, format!("#!/bin/sh\nulimit -n 64\nexec {BERTH} \"$@\"\n")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let agent = world.launch(&script).await;
    agent.ready_within(SOON).await;
    let address = agent.endpoint().await;

    // More than there are descriptors for, and fewer than the endpoint's limit.
    let mut idle = Vec::new();
    for _ in 0..128 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let began = Instant::now();
    let worked = cpu(&agent);
    let mut took = Vec::new();
    for _ in 0..20 {
        took.push(probe(address).await);
    }
    in_time(took);
    // To accept again and again what cannot be accepted would be a core.
    let (worked, took) = (cpu(&agent) - worked, began.elapsed());
    assert!(worked < took / 2 + Duration::from_millis(200), "{worked:?} of {took:?} were work");
}

/// What the agent has worked so far.
fn cpu(agent: &Agent) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", agent.pid())).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // In hundredths of a second: USER_HZ, which Linux has fixed at 100.
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
