//! The agent before and after its work: from exec to the bound endpoint, and what it takes while nothing happens.

use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use berth_kit::World;

use crate::process::Usage;
use crate::table::{Table, Unit};
use crate::{BOUND, free_address, rounds};

/// An agent that serves is watched for so long, with every interval at its default.
const WATCHED: Duration = Duration::from_secs(60);
/// Milliseconds.
const BOUND_WITHIN: f64 = 5.0;
/// MiB.
const RESIDENT: f64 = 6.5;
/// Per cent of a core.
const CPU: f64 = 0.1;

/// Measures and prints.
pub(crate) async fn measure(berth: &Path) {
    let mut bound = Vec::new();
    for _ in 0..2 * rounds(10) {
        bound.push(exec_to_bound(berth).await);
    }
    let mut table = Table::new("the agent, bound and idle");
    table.row("exec to the bound endpoint", Unit::Milliseconds, &bound, Some(BOUND_WITHIN));

    let world = World::start().await;
    world.secrets.put("prod/api", r#"{"PASSWORD":"not looked at"}"#);
    let image = world.app_image().by_tag();
    world.user_data(&format!("berth image={image} port=0:8080 health=/health secrets=prod/api"));
    let agent = world.launcher(berth).env("BERTH_LOG", "info").start().await;
    agent.ready_within(BOUND).await;
    world.autoscaling.wait_for_state("InService", BOUND).await;
    // Past the end of the boot, to which freeing and closing belong.
    tokio::time::sleep(Duration::from_secs(5)).await;

    let (before, asked) = (Usage::of(agent.pid()), world.journal.entries().len());
    tokio::time::sleep(WATCHED).await;
    let after = Usage::of(agent.pid());
    let asked: Vec<_> = world.journal.entries().split_off(asked);
    let metadata = asked.iter().filter(|entry| entry.service == "imds").count();
    let seconds = WATCHED.as_secs_f64();
    table.row("resident memory, idle", Unit::Mebibytes, &[after.resident], Some(RESIDENT));
    table.row("… its peak since the start", Unit::Mebibytes, &[after.peak], Some(RESIDENT));
    table.row("processor, of one core", Unit::Percent, &[(after.cpu - before.cpu) / seconds * 100.0], Some(CPU));
    let minute = 60.0 / seconds;
    table.row("page faults a minute, minor", Unit::Count, &[(after.minor - before.minor) * minute], None);
    table.row("page faults a minute, major", Unit::Count, &[(after.major - before.major) * minute], None);
    table.row("calls of AWS a minute", Unit::Count, &[(asked.len() - metadata) as f64 * minute], Some(0.0));
    table.row("questions to the instance's own metadata a minute", Unit::Count, &[metadata as f64 * minute], None);
    table.print();
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
