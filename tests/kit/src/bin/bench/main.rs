//! `make bench`: what berth costs and gains, measured in one run on one machine, as ratios.
//!
//! `bench` measures everything, `bench PART…` some of it: `boots` (beside the bash that it replaces and beside the bare engine
//! calls), `power` (the same from power-on, on machines with systemd), `idle`, `reaction`, `hostile`, `pigz`. What is printed is Markdown for docs/performance.md, and `boots` draws docs/boot.svg.
//! BERTH_BIN is the shipped binary, AWS_CLI the directory of the `aws` that the bash calls; BENCH_ROUNDS makes a trial short.
//!
//! Nothing here is an absolute promise: a machine's speed drifts, the ratio of runs that follow each other does not.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on stops, and it reads the clock"
)]

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use berth_kit::{client, clock};

mod boots;
mod ways;

#[path = "../../../../boot/command.rs"]
mod command;
#[path = "../../../../boot/hardware.rs"]
mod hardware;
#[allow(dead_code, reason = "tests/boot uses the rest")]
#[path = "../../../../boot/network.rs"]
mod network;
mod power;

mod berth;
mod floor;
mod user_data;

mod hostile;
mod idle;
mod pigz;
mod process;
mod reaction;

mod picture;
mod table;

/// The parts, in the order in which they are measured.
const PARTS: [&str; 6] = ["boots", "power", "idle", "reaction", "hostile", "pigz"];
/// For anything to happen.
const BOUND: Duration = Duration::from_secs(120);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let berth = PathBuf::from(std::env::var_os("BERTH_BIN").expect("BERTH_BIN names the berth binary"));
    // It is started in another directory than this one.
    let berth = berth.canonicalize().expect("BERTH_BIN is there");
    let mut parts: Vec<String> = std::env::args().skip(1).collect();
    if parts.is_empty() {
        parts = PARTS.map(str::to_owned).into();
    }
    println!("{}\n", machine().await);
    for part in parts {
        eprintln!("bench: {part}");
        match part.as_str() {
            "boots" => boots::measure(&berth).await,
            "power" => power::measure(&berth),
            "idle" => idle::measure(&berth).await,
            "reaction" => reaction::measure(&berth).await,
            "hostile" => hostile::measure(&berth).await,
            "pigz" => pigz::measure().await,
            other => panic!("no part is called {other}; there are {PARTS:?}"),
        }
        println!();
    }
}

/// Where and when it was measured.
async fn machine() -> String {
    let engine = berth_kit::engine::Engine::default().call("GET", "/version", None).await.json();
    let cores = std::thread::available_parallelism().unwrap();
    let date = clock::iso8601(SystemTime::now());
    let word = |key: &str| engine[key].as_str().unwrap_or("?").to_owned();
    let (date, version, kernel) = (&date[..10], word("Version"), word("KernelVersion"));
    format!("{date}, {cores} cores, Docker Engine {version}, Linux {kernel}, registry and services on loopback.")
}

/// How many rounds: as a rule this many, in a trial what BENCH_ROUNDS says.
fn rounds(usual: usize) -> usize {
    std::env::var("BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// The repository.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Asks every few milliseconds until the answer is this; when it came. The first packet to a container whose cable was just
/// plugged in can be lost, so no request is waited for long.
async fn answers(address: SocketAddr, path: &str, status: u16) -> Instant {
    let began = Instant::now();
    loop {
        let asked = client::over_tcp(address, client::request("GET", path));
        if let Ok(Ok(answer)) = tokio::time::timeout(Duration::from_millis(50), asked).await
            && answer.status == status
        {
            return Instant::now();
        }
        assert!(began.elapsed() < BOUND, "{path} at {address} never answered {status}");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}
