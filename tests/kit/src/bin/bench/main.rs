//! `make bench`: berth beside the bare engine calls (the floor), in one run, as ratios.
//!
//! Both boot the same kind of image, new in every round, from the same registry on loopback, turn by turn: A B A B … Nothing
//! here is an absolute promise; a machine's speed drifts, the ratio of neighbours in time does not. The berth binary is the
//! shipped one (BERTH_BIN). `bench reaction` measures the reaction times alone.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on stops, and it reads the clock"
)]

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use berth_kit::{Image, World, client};
use serde_json::json;

mod hostile;
mod reaction;

/// Rounds; the medians are told.
const ROUNDS: usize = 7;
/// The image's size beside the app.
const LAYER: usize = 24 * 1024 * 1024;
/// For anything to happen.
const BOUND: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let berth = PathBuf::from(std::env::var_os("BERTH_BIN").expect("BERTH_BIN names the berth binary"));
    if std::env::args().nth(1).as_deref() == Some("hostile") {
        return hostile::measure(&berth).await;
    }
    if std::env::args().nth(1).as_deref() != Some("reaction") {
        boots(&berth).await;
    }
    reaction::measure(&berth).await;
}

async fn boots(berth: &Path) {
    let (mut floor, mut cold, mut bound, mut resident) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floor.push(engine_alone().await);
        let boot = with_berth(berth).await;
        cold.push(boot.ready);
        resident.push(boot.resident);
        bound.push(exec_to_bound(berth).await);
    }
    let ratios: Vec<f64> = cold.iter().zip(&floor).map(|(cold, floor)| cold / floor).collect();
    let size = fs::metadata(berth).unwrap().len();
    println!("| what | median | min | max | goal |");
    println!("|---|---:|---:|---:|---|");
    row("bare engine calls: pull, create, start, first 200", "s", &floor, "");
    row("berth: exec to `/ready` 200", "s", &cold, "");
    row("cold boot, berth over bare calls, round by round", "×", &ratios, "≤ 1.10");
    row("exec to the bound endpoint", "ms", &bound, "≤ 10");
    row("resident memory, serving", "MiB", &resident, "≤ 7");
    println!("| binary | {:.2} MB | | | ≤ 7 |", size as f64 / 1e6);
}

fn row(what: &str, unit: &str, values: &[f64], goal: &str) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (min, median, max) = (sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
    println!("| {what} | {median:.3} {unit} | {min:.3} | {max:.3} | {goal} |");
}

/// What a person would type, as engine calls, up to the first 200 of the app.
async fn engine_alone() -> f64 {
    let world = World::start().await;
    let image = world.push("v1", &Image::demo_app().layer_of_random(LAYER));
    let name = world.container();
    let began = Instant::now();
    let pulled = world.engine.pull(&image.by_tag(), None).await;
    assert_eq!(pulled.status, 200);
    let wanted = json!({
        "Image": image.by_tag(), "HostConfig": {"Init": true, "PortBindings": {"8080/tcp": [{"HostPort": "0"}]}},
        "ExposedPorts": {"8080/tcp": {}}, "Labels": {"berth.instance": world.instance_id},
    });
    let created = world.engine.call("POST", &format!("/containers/create?name={name}"), Some(wanted)).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let started = world.engine.call("POST", &format!("/containers/{name}/start"), None).await;
    assert_eq!(started.status, 204, "{}", started.text());
    let inspected = world.engine.inspect(&name).await.unwrap();
    let address = inspected["NetworkSettings"]["IPAddress"].as_str().unwrap();
    answers(format!("{address}:8080").parse().unwrap(), "/health", 200).await;
    began.elapsed().as_secs_f64()
}

struct Boot {
    /// Seconds.
    ready: f64,
    /// MiB.
    resident: f64,
}

async fn with_berth(berth: &Path) -> Boot {
    let world = World::start().await;
    let image = world.push("v1", &Image::demo_app().layer_of_random(LAYER));
    world.secrets.put("prod/api", r#"{"PASSWORD":"not looked at"}"#);
    world.user_data(&format!("berth image={} port=0:8080 health=/health secrets=prod/api", image.by_tag()));
    let began = Instant::now();
    let agent = world.launcher(berth).env("BERTH_LOG", "info").start().await;
    answers(agent.endpoint().await, "/ready", 200).await;
    let ready = began.elapsed().as_secs_f64();
    world.autoscaling.wait_for_state("InService", BOUND).await;
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")).unwrap();
    Boot { ready, resident: kilobytes.trim().parse::<f64>().unwrap() / 1024.0 }
}

/// Milliseconds from exec to a connection that the endpoint accepts; the process is started without the kit's own work.
async fn exec_to_bound(berth: &Path) -> f64 {
    let world = World::start().await;
    let address = free_address();
    let mut command = world.launcher(berth).env("BERTH_LOG", "info").command();
    command.arg("run").arg(format!("listen={address}")).stderr(Stdio::null()).stdout(Stdio::null());
    let began = Instant::now();
    let mut child = command.spawn().unwrap();
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < BOUND, "the endpoint was never bound");
        std::thread::yield_now();
    }
    let took = began.elapsed().as_secs_f64() * 1e3;
    child.kill().unwrap();
    child.wait().unwrap();
    took
}

/// Asks every few milliseconds until the answer is this; when it came.
async fn answers(address: SocketAddr, path: &str, status: u16) -> Instant {
    let began = Instant::now();
    loop {
        let answer = client::over_tcp(address, client::request("GET", path)).await;
        if answer.is_ok_and(|answer| answer.status == status) {
            return Instant::now();
        }
        assert!(began.elapsed() < BOUND, "{path} at {address} never answered {status}");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}
