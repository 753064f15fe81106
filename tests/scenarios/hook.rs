//! The launch hook as the group sees it.

use std::time::Duration;

use berth_kit::{Fault, World};

use crate::{BERTH, SOON};

#[tokio::test]
async fn a_hook_that_is_not_active_yet_is_completed_once_it_is() {
    let world = World::builder().pending().start().await;
    let image = world.app_image();
    world.user_data(&format!("berth image={} port=0:8080", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    world.journal.wait_for("autoscaling DescribeAutoScalingInstances", SOON).await;
    world.journal.wait_for("autoscaling CompleteLifecycleAction", SOON).await;
    world.autoscaling.refuse_although_active(1);
    world.autoscaling.enter_wait();
    world.autoscaling.wait_for_state("InService", SOON).await;
    assert_eq!(world.autoscaling.completions().len(), 1);
}

#[tokio::test]
async fn a_host_outside_any_group_simply_has_no_hook() {
    let world = World::builder().no_group().start().await;
    let image = world.app_image();
    world.user_data(&format!("berth image={} port=0:8080", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    agent.log_within("in no group", SOON).await;
    assert_eq!(world.journal.count("autoscaling CompleteLifecycleAction"), 0);
}

#[tokio::test]
async fn names_from_the_config_make_it_one_call() {
    let world = World::start().await;
    let image = world.app_image();
    let group = world.autoscaling.group().to_owned();
    world.user_data(&format!(
        "berth image={} port=0:8080 lifecycle.group={group} lifecycle.launch_hook=launch",
        image.by_tag()
    ));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    assert_eq!(world.journal.count("autoscaling"), 1, "{}", world.journal.text());
}

#[tokio::test]
async fn a_group_that_the_metadata_name_is_asked_for_its_hooks_only() {
    let world = World::start().await;
    world.autoscaling.show_in_tags();
    let image = world.app_image();
    world.user_data(&format!("berth image={} port=0:8080", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    world.journal.wait_for("autoscaling CompleteLifecycleAction CONTINUE 200", SOON).await;
    world.journal.in_order(&["autoscaling DescribeLifecycleHooks 200", "autoscaling CompleteLifecycleAction"]);
    assert_eq!(world.journal.count("autoscaling"), 2, "{}", world.journal.text());

    // Without the group's word the next agent has to find out that there is nothing to complete any more.
    agent.kill9().await;
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    world.journal.wait_for("autoscaling DescribeAutoScalingInstances", SOON).await;
    assert_eq!(world.autoscaling.completions().len(), 1);
}

#[tokio::test]
async fn a_slow_pull_is_covered_by_heartbeats() {
    let world = World::start().await;
    let image = world.app_image();
    world.fault("registry GET blob", Fault::Delay(Duration::from_secs(4))).times(2);
    world.user_data(&format!("berth image={} port=0:8080 lifecycle.heartbeat=1s", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    let heartbeats = world.autoscaling.heartbeats();
    assert!(heartbeats >= 2, "{heartbeats} heartbeats");
    assert_eq!(agent.status().await["lifecycle"]["heartbeats"], heartbeats);
}

/// The metadata name a group, and nobody may say whether a hook waits.
#[tokio::test]
async fn a_group_that_may_not_be_asked_is_a_failed_boot_and_outside_a_group_it_is_none() {
    let world = World::start().await;
    let image = world.app_image();
    world.fault("autoscaling", Fault::AccessDenied).always();
    world.user_data(&format!("berth image={} port=0:8080", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    assert_eq!(agent.exit_within(SOON).await, 3, "{}", agent.log_text());
    let console = world.console_text();
    for words in [
        "autoscaling:DescribeAutoScalingInstances",
        "`berth policy`",
        "must allow autoscaling:SetInstanceHealth on arn:",
    ] {
        assert!(console.contains(words), "{words}:\n{console}");
    }

    let world = World::builder().no_group().start().await;
    let image = world.app_image();
    world.fault("autoscaling", Fault::AccessDenied).always();
    world.user_data(&format!("berth image={} port=0:8080", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    agent.log_within("Failed DescribeInstance", SOON).await;
    assert_eq!(agent.http("/ready").await.status, 200);
    let state = agent.status().await["lifecycle"]["hooks"][0]["reason"].to_string();
    assert!(state.contains("autoscaling:DescribeAutoScalingInstances"), "{state}");
}

#[tokio::test]
async fn a_heartbeat_that_is_not_allowed_is_a_warning_and_a_metric() {
    let world = World::start().await;
    let image = world.app_image();
    world.fault("registry GET blob", Fault::Delay(Duration::from_secs(4))).times(2);
    world.fault("autoscaling RecordLifecycleActionHeartbeat", Fault::AccessDenied).always();
    world.user_data(&format!("berth image={} port=0:8080 lifecycle.heartbeat=1s", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    let metrics = agent.http("/metrics").await.text();
    assert!(metrics.contains("berth_refused_total{call=\"record_heartbeat\"}"), "{metrics}");
    let warned =
        |line: &str| line.contains("\"WARN\"") && line.contains("RecordLifecycleActionHeartbeat is not allowed");
    assert!(agent.log_text().lines().any(warned), "{}", agent.log_text());
    world.autoscaling.wait_for_state("InService", SOON).await;
}
