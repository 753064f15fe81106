//! An app that nobody can ask: healthy once it has run for `probe.running_for`, and a failed start if it exits before.

use berth_kit::{Agent, World};
use serde_json::Value;

use crate::faults::{fails, gives_up};
use crate::steps::container;
use crate::{BERTH, SOON};

/// Milliseconds of the day, of `2026-11-28T19:42:49.469495Z`.
fn of_day(time: &str) -> f64 {
    let time = time.split_once('T').expect(time).1.trim_end_matches('Z');
    time.split(':').fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().expect(time)) * 1000.0
}

/// When the agent began to serve, by its log, counted from the start of the container by the engine; in milliseconds.
fn served_after(agent: &Agent, container: &Value) -> f64 {
    let log = agent.log_text();
    let is_served = |line: &&str| line.contains("CompleteHook") && line.contains("CONTINUE");
    let served: Value = serde_json::from_str(log.lines().find(is_served).expect(&log)).expect(&log);
    let [served, started] =
        [&served["timestamp"], &container["State"]["StartedAt"]].map(|at| of_day(at.as_str().unwrap()));
    (served - started).rem_euclid(86_400_000.0)
}

#[tokio::test]
async fn a_worker_that_exits_after_four_seconds_is_abandoned() {
    let world = World::start().await;
    let image = world.app_image().by_tag();
    let line =
        format!("berth image={image} env.EXIT_AT_START=1 env.EXIT_AFTER_MS=4000 probe.running_for=5s restart.limit=1");
    let agent = fails(&world, &line).await;
    let words = ["the app exited with code 1 before it had run for 5s (probe.running_for), after 1 restarts"];
    gives_up(&world, &agent, 3, &words).await;
}

/// A busy machine may wake the agent late once, not every time; never is it early.
#[tokio::test]
async fn a_worker_that_runs_is_ready_five_seconds_after_its_start_and_no_later_than_5_3() {
    let mut all = Vec::new();
    for _ in 0..5 {
        let world = World::start().await;
        world.user_data(&format!("berth image={} probe.running_for=5s", world.app_image().by_tag()));
        let agent = world.launch(BERTH.as_ref()).await;
        agent.ready_within(SOON).await;
        world.autoscaling.wait_for_state("InService", SOON).await;
        let after = served_after(&agent, &container(&world).await);
        assert!((5000.0..SOON.as_secs_f64() * 1000.0).contains(&after), "{after} ms\n{}", agent.log_text());
        if after < 5300.0 {
            return;
        }
        all.push(after);
    }
    panic!("always late: {all:?} ms");
}

#[tokio::test]
async fn a_program_that_is_not_in_the_image_ends_the_boot_at_its_first_start() {
    let world = World::start().await;
    let agent = fails(&world, &format!("berth image={} entrypoint=/no-such-program", world.app_image().by_tag())).await;
    let words = ["the app exited with code 127 (the program, or the interpreter that it names, is not in the image)"];
    gives_up(&world, &agent, 3, &words).await;
    assert_eq!(agent.log_text().matches("> StartContainer").count(), 1);
}
