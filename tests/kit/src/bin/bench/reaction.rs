//! How soon the agent reacts, in runs of its own: each gives all three times, and each time begins at a moment within the
//! agent's round of asking that chance chooses.

use std::path::Path;
use std::time::{Duration, Instant};

use berth_kit::{WebSocket, World};

use crate::{BOUND, answers, rounds};

/// Lives.
const ROUNDS: usize = 10;
/// `lifecycle.poll` and `drain.idle` are the defaults; so is the interval of probes while the app starts, 100 ms.
const POLL: Duration = Duration::from_secs(2);
const IDLE: Duration = Duration::from_secs(2);
const PROBE_CEILING: Duration = Duration::from_millis(100);

struct Life {
    to_ready: Duration,
    to_503: Duration,
    to_completed: Duration,
}

/// Measures and prints.
pub(crate) async fn measure(berth: &Path) {
    let mut lives = Vec::new();
    for _ in 0..rounds(ROUNDS) {
        lives.push(live(berth).await);
    }
    println!("| from … to …, {} lives | median | worst | bound |", lives.len());
    println!("|---|---:|---:|---:|");
    let row = |what: &str, of: fn(&Life) -> Duration, bound: Duration| {
        let mut times: Vec<_> = lives.iter().map(of).collect();
        times.sort();
        let (median, worst) = (times[times.len() / 2].as_secs_f64(), times[times.len() - 1].as_secs_f64());
        println!("| {what} | {median:.3} s | {worst:.3} s | {:.3} s |", bound.as_secs_f64());
    };
    row(
        "the app answers … `/ready` 200, while it starts",
        |life| life.to_ready,
        PROBE_CEILING + Duration::from_millis(50),
    );
    row("the metadata changes … `/ready` 503", |life| life.to_503, POLL + Duration::from_millis(100));
    row("the last connection closes … the hook is completed", |life| life.to_completed, IDLE + Duration::from_secs(1));
}

async fn live(berth: &Path) -> Life {
    let world = World::start().await;
    let image = world.app_image();
    let delay = 1000 + fastrand::u64(..100);
    world.user_data(&format!(
        "berth image={} port=0:8080 health=/health drain.settle=1s env.START_DELAY_MS={delay}",
        image.by_tag()
    ));
    let agent = world.launcher(berth).env("BERTH_LOG", "info").start().await;
    let endpoint = agent.endpoint().await;
    let app = agent.app_address().await;
    let (answered, ready) = tokio::join!(answers(app, "/health", 200), answers(endpoint, "/ready", 200));
    world.autoscaling.wait_for_state("InService", BOUND).await;

    let socket = WebSocket::open(app).await.unwrap();
    sometime(POLL).await;
    let changed = Instant::now();
    world.autoscaling.terminate();
    world.autoscaling.enter_wait();
    let unready = answers(endpoint, "/ready", 503).await;

    while agent.status().await["connections"] != 1 {
        assert!(changed.elapsed() < BOUND, "the connection is not counted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sometime(Duration::from_millis(500)).await;
    let closed = Instant::now();
    socket.close().await.unwrap();
    while world.autoscaling.completions().len() < 2 {
        assert!(closed.elapsed() < BOUND, "the hook is not completed");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let to_completed = closed.elapsed();
    agent.exit_within(BOUND).await;
    Life { to_ready: ready.saturating_duration_since(answered), to_503: unready - changed, to_completed }
}

async fn sometime(within: Duration) {
    tokio::time::sleep(within.mul_f64(fastrand::f64())).await;
}
