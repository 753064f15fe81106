//! The readiness endpoint under hostile clients: how soon a load balancer's probe is answered while they are all there, what memory
//! they take, and whether the app's boot is slowed. Each beside the same agent left alone, in turn.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use berth_kit::{Agent, Hostile, Image, World, hostile};

use crate::{BOUND, answers};

/// Boots of either kind.
const ROUNDS: usize = 3;
/// Questions of the load balancer of either kind, and the time between them.
const PROBES: usize = 1000;
const BETWEEN: Duration = Duration::from_millis(5);
/// The image's size beside the app.
const LAYER: usize = 24 * 1024 * 1024;
/// For all clients to have connected.
const ALL_THERE: Duration = Duration::from_secs(3);

/// What was measured of one life.
struct Life {
    /// Seconds from the bound endpoint to ready.
    boot: f64,
    /// Milliseconds of each probe.
    probes: Vec<f64>,
    /// MiB before the attack, its peak, and after it.
    resident: [f64; 3],
    /// Share of a core that the agent worked while the probes were asked.
    busy: f64,
}

/// Measures and prints.
pub(crate) async fn measure(berth: &Path) {
    let (mut alone, mut attacked) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(live(berth, false).await);
        attacked.push(live(berth, true).await);
    }
    let boots = |lives: &[Life]| median(lives.iter().map(|life| life.boot).collect());
    let probes = |lives: &[Life], share: f64| {
        let mut all: Vec<f64> = lives.iter().flat_map(|life| life.probes.iter().copied()).collect();
        all.sort_by(f64::total_cmp);
        all[((all.len() - 1) as f64 * share) as usize]
    };
    let resident = |at: usize| attacked.iter().map(|life| life.resident[at]).fold(0.0, f64::max);
    let ratio = median(attacked.iter().zip(&alone).map(|(one, other)| one.boot / other.boot).collect());
    println!("\n| under {} hostile clients, {ROUNDS} lives each | alone | attacked | goal |", hostile::ALL);
    println!("|---|---:|---:|---|");
    for (name, share, goal) in [("median", 0.5, ""), ("p99", 0.99, "≤ 50 ms"), ("slowest", 1.0, "")] {
        println!(
            "| a probe of `/ready`, {name} of {} | {:.2} ms | {:.2} ms | {goal} |",
            PROBES * ROUNDS,
            probes(&alone, share),
            probes(&attacked, share)
        );
    }
    println!("| bound endpoint to `/ready` 200, median | {:.3} s | {:.3} s | |", boots(&alone), boots(&attacked));
    println!("| the same, round by round | | {ratio:.2} × | not slowed |");
    let busy = |lives: &[Life]| median(lives.iter().map(|life| life.busy * 100.0).collect());
    println!("| the agent's share of a core meanwhile, median | {:.1} % | {:.1} % | |", busy(&alone), busy(&attacked));
    println!(
        "| resident: before, at the peak, after, largest | | {:.1}, {:.1}, {:.1} MiB | bounded |",
        resident(0),
        resident(1),
        resident(2)
    );
}

async fn live(berth: &Path, attacked: bool) -> Life {
    let world = World::start().await;
    let image = world.push("v1", &Image::demo_app().layer_of_random(LAYER));
    world.user_data(&format!("berth image={} port=0:8080 health=/health", image.by_tag()));
    let agent = world.launcher(berth).env("BERTH_LOG", "info").start().await;
    let address = agent.endpoint().await;
    let began = Instant::now();
    let during = attacked.then(|| Hostile::at(address));
    let boot = (answers(address, "/ready", 200).await - began).as_secs_f64();
    world.autoscaling.wait_for_state("InService", BOUND).await;
    drop(during);
    let before = resident(&agent, "VmRSS:");

    let hostile = attacked.then(|| Hostile::at(address));
    if attacked {
        tokio::time::sleep(ALL_THERE).await;
    }
    let (began, before_probes) = (Instant::now(), worked(&agent));
    // On a thread of its own, as the clients are, so that nothing but the agent is waited for.
    let probes = std::thread::spawn(move || (0..PROBES).map(|_| probe(address)).collect()).join().unwrap();
    let busy = (worked(&agent) - before_probes) / began.elapsed().as_secs_f64();
    let peak = resident(&agent, "VmHWM:");
    drop(hostile);
    tokio::time::sleep(ALL_THERE).await;
    Life { boot, probes, resident: [before, peak, resident(&agent, "VmRSS:")], busy }
}

/// Seconds that the agent has worked so far.
fn worked(agent: &Agent) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", agent.pid())).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // In hundredths of a second: USER_HZ, which Linux has fixed at 100.
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

/// Milliseconds from the first packet to the last of the answer.
fn probe(address: SocketAddr) -> f64 {
    std::thread::sleep(BETWEEN);
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).expect("a probe is never refused");
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("a probe is always answered");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    began.elapsed().as_secs_f64() * 1e3
}

/// MiB of one line of the process's status.
fn resident(agent: &Agent, what: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix(what)?.trim().strip_suffix(" kB")).unwrap();
    kilobytes.trim().parse::<f64>().unwrap() / 1024.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
