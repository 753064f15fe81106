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

/// Requests of the load balancer during the attack.
const PROBES: usize = 100;
/// Below the 7 s after which the agent closes a silent connection: a client that waits for those is not let in. `bench hostile` measures how
/// fast an answer really is, on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(5);
/// The endpoint holds at most 256 connections. The rest are the agent's own, and connections that were just closed.
const DESCRIPTORS: usize = 512;
/// KiB that these connections and the boot may take of memory that is the agent's own; it is half as much.
const MEMORY: u64 = 10 << 10;

/// Asks as a load balancer does, on a connection of its own: how long the answer took, or what came instead of 200.
#[expect(clippy::disallowed_methods, reason = "the clock of the test itself")]
async fn probe(address: SocketAddr) -> Result<Duration, String> {
    let began = Instant::now();
    let asked = client::over_tcp(address, client::request("GET", "/ready"));
    match tokio::time::timeout(SOON, asked).await {
        Ok(Ok(answer)) if answer.status == 200 => Ok(began.elapsed()),
        Ok(Ok(answer)) => Err(format!("status {}", answer.status)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {SOON:?}")),
    }
}

/// What became of some probes.
#[derive(Default)]
struct Probes {
    took: Vec<Duration>,
    lost: Vec<String>,
}

impl Probes {
    fn note(&mut self, probed: Result<Duration, String>) {
        match probed {
            Ok(took) => self.took.push(took),
            Err(why) => self.lost.push(why),
        }
    }

    fn none_is_lost(&self, of: usize) {
        assert_eq!((self.took.len(), &self.lost[..]), (of, &[][..]));
    }

    /// Half of them, since a test beside others may get no core for seconds.
    fn half_are_in_time(&mut self) {
        self.took.sort();
        assert!(self.took[self.took.len() / 2] < PATIENCE, "{:?}", self.took);
    }
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
async fn a_boot_under_attack_ends_ready_no_probe_is_lost_and_half_are_answered_within_5_s() {
    let world = World::start().await;
    let image = world.app_image();
    world.user_data(&format!("berth image={} network=none health=none probe.running_for=0s", image.by_tag()));
    let agent = world.launch(Path::new(BERTH)).await;
    let address = agent.endpoint().await;
    let before = memory(&agent);
    let hostile = Hostile::at(address);
    agent.ready_within(SOON).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    // All are connected, and some came again after the agent closed their connections.
    let returned = berth_kit::hostile::ALL + 200;
    until("the endpoint is full", async || descriptors(&agent) > 256 && hostile.connected() > returned).await;

    let (mut most, mut biggest, mut probes, connected) = (0, 0, Probes::default(), hostile.connected());
    for _ in 0..PROBES {
        probes.note(probe(address).await);
        (most, biggest) = (most.max(descriptors(&agent)), biggest.max(memory(&agent)));
    }
    probes.none_is_lost(PROBES);
    probes.half_are_in_time();
    assert!(hostile.connected() > connected || most > 256, "the attack was over");
    let grown = biggest.saturating_sub(before);
    assert!(most <= DESCRIPTORS, "{most} file descriptors are open");
    assert!(grown < MEMORY, "{grown} KiB more than before");

    drop(hostile);
    until("the connections are closed", async || descriptors(&agent) < 64).await;
    probe(address).await.unwrap();
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the clock of the test itself")]
async fn an_agent_that_may_open_few_files_answers_every_probe_and_is_not_busy_with_accepting() {
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
    let mut probes = Probes::default();
    for _ in 0..20 {
        probes.note(probe(address).await);
    }
    probes.none_is_lost(20);
    probes.half_are_in_time();
    // To accept again and again what cannot be accepted would keep a core busy.
    let (worked, took) = (cpu(&agent) - worked, began.elapsed());
    assert!(worked < took / 2 + Duration::from_millis(200), "{worked:?} of {took:?} were CPU time");
}

/// CPU time of the agent so far.
fn cpu(agent: &Agent) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", agent.pid())).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // In hundredths of a second: USER_HZ, which Linux has fixed at 100.
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
