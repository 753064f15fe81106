//! A log that is not read stops nothing: the agent's stderr is a pipe that holds a few lines.

use std::io::{BufRead as _, BufReader, PipeReader};
use std::time::{Duration, Instant};

use berth_kit::{Agent, World};
use serde_json::Value;

use crate::steps::until;
use crate::{BERTH, SOON};

/// An answer that waits for the log would never come. This is for a wait that ends: so many times longer than with a log that takes every line.
const TIMES: u32 = 20;
/// What would end the agent by default, and is only named in the log.
const HARMLESS: [&str; 10] = ["HUP", "USR1", "USR2", "ALRM", "VTALRM", "PROF", "IO", "PWR", "XCPU", "XFSZ"];

async fn serving_unread(world: &World) -> (Agent, PipeReader) {
    world
        .user_data(&format!("berth image={} port=0:8080 drain.settle=1s drain.idle=100ms", world.app_image().by_tag()));
    let (agent, log) = world.launcher(BERTH.as_ref()).start_unread().await;
    agent.ready_within(SOON).await;
    (agent, log)
}

/// Lines of the log that were dropped, as the metrics have it.
async fn dropped(agent: &Agent) -> u64 {
    let text = agent.http("/metrics").await.text();
    let name = "berth_log_lines_dropped_total ";
    let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}in {text}"));
    value.parse().unwrap()
}

/// Each of these signals is a line of the log.
async fn until_lines_are_dropped(agent: &Agent) {
    until("lines are dropped", async || {
        for signal in HARMLESS {
            agent.signal(signal);
        }
        dropped(agent).await > 0
    })
    .await;
}

/// Half of 50 answers take at most so long.
#[expect(clippy::disallowed_methods, reason = "how long an answer takes is measured")]
async fn median_answer(agent: &Agent) -> Duration {
    let mut took = Vec::new();
    for _ in 0..50 {
        let began = Instant::now();
        assert_eq!(agent.http("/ready").await.status, 200);
        took.push(began.elapsed());
    }
    took.sort();
    took[took.len() / 2]
}

#[tokio::test]
async fn an_agent_whose_log_nobody_reads_answers_as_fast_and_drains() {
    let world = World::start().await;
    let (agent, _log) = serving_unread(&world).await;
    let before = median_answer(&agent).await;
    until_lines_are_dropped(&agent).await;
    let after = median_answer(&agent).await;
    assert!(after < (before * TIMES).max(Duration::from_millis(50)), "{before:?} before, {after:?} after");

    agent.signal("TERM");
    assert_eq!(agent.exit_within(SOON).await, 0);
    let container = world.engine.inspect(&world.container()).await.expect("it is kept");
    assert_eq!(container["State"]["Running"], false);
}

#[tokio::test]
async fn a_log_that_is_read_again_says_how_many_lines_it_has_not() {
    let world = World::start().await;
    let (agent, log) = serving_unread(&world).await;
    until_lines_are_dropped(&agent).await;
    let lost = dropped(&agent).await;
    let reader = std::thread::spawn(move || {
        let mut lines = BufReader::new(log).lines();
        lines.find_map(|line| {
            let line: Value = serde_json::from_str(&line.unwrap()).expect("each line is whole");
            line["message"].as_str()?.starts_with("lines of the log were dropped").then(|| line["dropped"].as_u64())?
        })
    });
    until("the log is read", async || reader.is_finished()).await;
    let reported = reader.join().unwrap();
    assert!(reported >= Some(lost), "{reported:?} and not {lost}");
}

#[tokio::test]
async fn signals_that_mean_nothing_are_named_in_the_log_and_change_nothing() {
    let world = World::start().await;
    world.user_data(&format!("berth image={} port=0:8080", world.app_image().by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    let before = world.engine.inspect(&world.container()).await.unwrap()["State"]["StartedAt"].clone();
    for signal in HARMLESS {
        agent.signal(signal);
        agent.log_within(&format!("SIG{signal} is ignored"), SOON).await;
    }
    assert_eq!(agent.http("/ready").await.status, 200);
    let after = world.engine.inspect(&world.container()).await.unwrap()["State"]["StartedAt"].clone();
    assert_eq!(before, after);
    agent.signal("TERM");
    assert_eq!(agent.exit_within(SOON).await, 0);
}
