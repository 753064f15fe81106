//! An engine that is late, and one that is restarted: each a real one, of the test's own.

use berth_kit::{Agent, Image, OwnEngine, World};

use super::{container, gets_over, reported, waits};
use crate::steps::until;
use crate::{BERTH, SOON};

#[tokio::test]
async fn an_engine_that_is_not_up_for_20_s_is_waited_for() {
    let Some(mut own) = OwnEngine::new() else { return };
    let world = World::start().await;
    world.user_data(&format!("berth image={} port=0:8080", world.app_image().by_tag()));
    let agent = world.launcher(BERTH.as_ref()).env("DOCKER_HOST", own.host()).start().await;
    let socket = own.host().replace("unix://", "");
    waits(&world, &agent, "engine", &[&socket]).await;
    until("20 s later", async || agent.status().await["now_seconds"].as_f64() > Some(20.0)).await;
    assert_eq!(agent.http("/ready").await.json()["status"], "starting");
    own.start().await;
    gets_over(&world, &agent).await;
    assert_eq!(container(&own.engine(), &world).await, "running");
}

#[tokio::test]
async fn an_engine_that_is_restarted_in_the_middle_of_a_pull_pulls_again() {
    let Some(mut own) = OwnEngine::new() else { return };
    own.start().await;
    let world = World::start().await;
    let image = world.push("v1", &Image::demo_app().layer_of_random(2_000_000));
    world.registry.bandwidth(100_000);
    world.user_data(&format!("berth image={} port=0:8080", image.by_tag()));
    let agent = world.launcher(BERTH.as_ref()).env("DOCKER_HOST", own.host()).start().await;
    until("in the middle of the pull", async || agent.status().await["pull"]["bytes_pulled"].as_u64() > Some(0)).await;
    own.stop();
    agent.log_within("connection closed mid-response", SOON).await;
    waits(&world, &agent, "pull", &["cannot pull", "Socket not found", own.host().trim_start_matches("unix://")]).await;
    world.registry.bandwidth(10_000_000);
    own.start().await;
    gets_over(&world, &agent).await;
    assert_eq!(container(&own.engine(), &world).await, "running");
}

#[tokio::test]
async fn an_engine_that_is_restarted_while_the_app_is_asked_has_it_started_again() {
    let Some(mut own) = OwnEngine::new() else { return };
    own.start().await;
    let world = World::start().await;
    let image = world.app_image().by_tag();
    // Asked through the engine, too, and not well before it is restarted.
    world.user_data(&format!(
        "berth image={image} port=0:8080 health='cmd:/app probe' env.START_DELAY_MS=5000 restart.backoff=100ms"
    ));
    let agent = world.launcher(BERTH.as_ref()).env("DOCKER_HOST", own.host()).start().await;
    until("asked", async || !agent.status().await["probes"][0].is_null()).await;
    own.stop();
    let away =
        format!("cannot run a command in the container: Socket not found: {}", own.host().replace("unix://", ""));
    reported(&world, &agent, "starting", "/app: ", &[&away]).await;
    own.start().await;
    gets_over(&world, &agent).await;
    assert_eq!(container(&own.engine(), &world).await, "running");
    assert!(agent.status().await["restarts"].as_u64() > Some(0));
}

/// A serving app with a secret, beside an engine of its own.
async fn serving(own: &mut OwnEngine, more: &str) -> (World, Agent) {
    own.start().await;
    let world = World::start().await;
    world.secrets.put("prod/api", r#"{"KEY":"value"}"#);
    let image = world.app_image().by_tag();
    world.user_data(&format!("berth image={image} port=0:8080 health=/health secrets=prod/api stop_timeout=1s {more}"));
    let agent = world.launcher(BERTH.as_ref()).env("DOCKER_HOST", own.host()).start().await;
    agent.ready_within(SOON).await;
    assert!(world.run_dir().join("secrets").exists());
    (world, agent)
}

#[tokio::test]
async fn an_engine_that_hangs_before_the_drain_cuts_it_short_and_leaves_no_secret_behind() {
    let Some(mut own) = OwnEngine::new() else { return };
    let (world, agent) = serving(&mut own, "drain.settle=300ms drain.timeout=1s").await;
    own.hang();
    agent.signal("TERM");
    assert_eq!(agent.exit_within(SOON).await, 5, "{}", agent.log_text());
    assert!(!world.run_dir().join("secrets").exists(), "{}", agent.log_text());
    assert!(world.console_text().contains("cut short"), "{}", world.console_text());
}

#[tokio::test]
async fn an_engine_that_dies_in_the_settle_time_takes_the_app_along_and_that_is_reported() {
    let Some(mut own) = OwnEngine::new() else { return };
    let (world, agent) = serving(&mut own, "drain.settle=30s").await;
    agent.signal("TERM");
    agent.phase_within("drain", SOON).await;
    own.stop();
    own.start().await;
    assert_eq!(agent.exit_within(SOON).await, 5, "{}", agent.log_text());
    let console = world.console_text();
    assert!(console.contains("cut short") && console.contains("before it was stopped"), "{console}");
}
