//! A failed boot that is kept (`boot.on_failure=hold`), and what ends that.

use berth_kit::{Agent, Fault, World};

use super::{completions, container, reported};
use crate::commands::berth;
use crate::{BERTH, SOON};

/// An app that runs and is never well: kept, to be looked at, with heartbeats.
async fn held() -> (World, Agent) {
    let world = World::start().await;
    world.ami_defaults("drain = { settle = \"1s\", idle = \"500ms\" }\nstop_timeout = \"2s\"");
    world.user_data(&format!(
        "berth image={} port=0:8080 health=/no-such-page probe.start_timeout=8s boot.on_failure=hold \
         lifecycle.heartbeat=1s lifecycle.poll=500ms",
        world.app_image().by_tag()
    ));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.phase_within("hold", SOON).await;
    reported(&world, &agent, "failed", "", &["(probe.start_timeout)", "/no-such-page answers 404"]).await;
    world.journal.wait_for_count("autoscaling RecordLifecycleActionHeartbeat 200", 2, SOON).await;
    assert!(completions(&world).is_empty());
    assert_eq!(container(&world.engine, &world).await, "running");
    let report: serde_json::Value = serde_json::from_slice(&berth(&world, &["doctor", "--json"]).await.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "agent").expect("the check");
    assert_eq!(check["verdict"], "warn", "{check}");
    assert!(check["found"].as_str().unwrap().contains("/no-such-page answers 404"), "{check}");
    assert!(check["advice"].as_str().unwrap().contains("berth handover"), "{check}");
    (world, agent)
}

#[tokio::test]
async fn a_signal_or_a_person_ends_a_hold_and_the_app_is_stopped() {
    let by_signal = async || {
        let (world, agent) = held().await;
        agent.signal("TERM");
        (agent.exit_within(SOON).await, completions(&world), container(&world.engine, &world).await)
    };
    let by_a_person = async || {
        let (world, agent) = held().await;
        let asked = berth(&world, &["drain", "--reason", "seen enough", "--wait"]).await;
        assert_eq!(asked.status.code(), Some(0));
        assert!(world.console_text().contains("seen enough"), "{}", world.console_text());
        (agent.exit_within(SOON).await, completions(&world), container(&world.engine, &world).await)
    };
    let (one, other) = tokio::join!(by_signal(), by_a_person());
    // The launch hook is left to its own timeout.
    assert_eq!(one, (0, Vec::new(), "stopped"));
    assert_eq!(other, one);
}

#[tokio::test]
async fn a_group_that_terminates_the_instance_ends_a_hold_and_gets_its_hook_completed() {
    let (world, agent) = held().await;
    world.autoscaling.terminate();
    agent.phase_within("drain", SOON).await;
    world.autoscaling.enter_wait();
    assert_eq!(agent.exit_within(SOON).await, 0);
    assert_eq!(completions(&world), ["terminate CONTINUE"]);
    assert_eq!(container(&world.engine, &world).await, "stopped");
}

#[tokio::test]
async fn a_failed_boot_is_held_although_its_hook_fails_again_and_again() {
    let world = World::start().await;
    world.fault("autoscaling RecordLifecycleActionHeartbeat", Fault::Throttle).times(1);
    world.fault("autoscaling RecordLifecycleActionHeartbeat", Fault::Status(503)).times(1);
    world.autoscaling.refuse_although_active(1);
    let missing = world.app_image().by_tag().replace(":v1", ":v2");
    world.user_data(&format!("berth image={missing} boot.on_failure=hold lifecycle.heartbeat=1s"));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.phase_within("hold", SOON).await;
    reported(&world, &agent, "failed", "", &[&missing, "manifest unknown"]).await;
    world.journal.wait_for_count("autoscaling RecordLifecycleActionHeartbeat 200", 2, SOON).await;
    assert_eq!(world.journal.count("autoscaling RecordLifecycleActionHeartbeat"), 5, "{}", world.journal.text());
    assert_eq!(agent.http("/ready").await.status, 503);
    assert!(completions(&world).is_empty());
    agent.signal("TERM");
    assert_eq!(agent.exit_within(SOON).await, 0);
}
