//! Services and metadata that do not answer, answer late, or answer something else.

use std::time::Duration;

use berth_kit::{Agent, Fault, World};

use super::{completions, container, gets_over, reported, waits};
use crate::steps::until;
use crate::{BERTH, SOON};

const TEN_MINUTES: Duration = Duration::from_secs(600);

/// An instance that needs every service.
async fn needing_all() -> World {
    let world = World::builder().private_registry().start().await;
    let image = world.app_image();
    world.secrets.put("prod/api", r#"{"PASSWORD":"a value that nobody prints"}"#);
    world.parameters.put_secure("/prod/key", "another one");
    world.user_data(&format!(
        "berth image={} port=0:8080 health=/health registry_auth=ecr secrets=prod/api secret.KEY=ssm:/prod/key",
        image.by_tag()
    ));
    world
}

async fn survives(script: impl Fn(&World)) -> (World, Agent) {
    let world = needing_all().await;
    script(&world);
    let agent = world.launch(BERTH.as_ref()).await;
    gets_over(&world, &agent).await;
    assert_eq!(container(&world.engine, &world).await, "running");
    (world, agent)
}

#[tokio::test]
async fn services_that_throttle_five_times_are_asked_again() {
    let world = needing_all().await;
    let calls = [
        "imds GET",
        "secretsmanager",
        "ssm",
        "ecr",
        "autoscaling DescribeAutoScalingInstances",
        "autoscaling CompleteLifecycleAction",
    ];
    for call in calls {
        world.fault(call, Fault::Throttle).times(5);
    }
    world.fault("imds GET", Fault::Status(503)).times(5);
    let agent = world.launch(BERTH.as_ref()).await;
    waits(&world, &agent, "identity", &["429"]).await;
    waits(&world, &agent, "identity", &["503"]).await;
    let throttled =
        |operation: &str| format!("{operation} failed with 400 Bad Request ThrottlingException: Rate exceeded");
    let services = ["secretsmanager:GetSecretValue", "ssm:GetParameters", "ecr:GetAuthorizationToken"].map(throttled);
    waits(&world, &agent, "secrets", &services.each_ref().map(String::as_str)).await;
    gets_over(&world, &agent).await;
    for call in calls {
        let throttled = world.journal.count(&format!("{call} !Throttle"));
        assert_eq!(throttled, 5, "{call}:\n{}", world.journal.text());
    }
    // The app serves even if the group cannot be reached; the log has each failed call.
    for call in ["DescribeAutoScalingInstances", "CompleteLifecycleAction"] {
        let line = format!("autoscaling:{call} failed with 400 Bad Request Throttling: Rate exceeded");
        assert_eq!(agent.log_text().matches(&line).count(), 5, "{line}:\n{}", agent.log_text());
    }
    assert_eq!(container(&world.engine, &world).await, "running");
}

#[tokio::test]
async fn a_clock_that_is_ten_minutes_off_is_reported_and_corrected() {
    let off = async |set: fn(&World), reported_as: &str| {
        let world = needing_all().await;
        set(&world);
        // The second call is the one that would succeed.
        world.fault("secretsmanager", Fault::Delay(Duration::ZERO)).times(1);
        world.fault("secretsmanager", Fault::Hang).always();
        let agent = world.launch(BERTH.as_ref()).await;
        waits(&world, &agent, "secrets", &["the clock of this host is ", reported_as]).await;
        world.faults.clear();
        gets_over(&world, &agent).await;
        assert_eq!(container(&world.engine, &world).await, "running");
    };
    tokio::join!(
        off(|world| world.aws.set_clock_ahead(TEN_MINUTES), " s behind"),
        off(|world| world.aws.set_clock_behind(TEN_MINUTES), " s ahead")
    );
}

#[tokio::test]
async fn metadata_that_goes_away_during_the_boot_is_waited_for() {
    let world = needing_all().await;
    let credentials = "imds GET meta-data/iam/security-credentials/";
    world.fault(credentials, Fault::Hang).always();
    let agent = world.launch(BERTH.as_ref()).await;
    world.journal.wait_for(credentials, SOON).await;
    world.imds.stop_listening();
    world.faults.clear();
    waits(&world, &agent, "secrets", &["cannot be signed", "refused"]).await;
    world.imds.start_listening();
    gets_over(&world, &agent).await;
    assert_eq!(container(&world.engine, &world).await, "running");
}

#[tokio::test]
async fn metadata_that_comes_up_late_is_waited_for() {
    let world = World::builder().imds_closed().start().await;
    let image = world.app_image();
    world.user_data(&format!("berth image={} port=0:8080", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    waits(&world, &agent, "identity", &["refused"]).await;
    world.imds.start_listening();
    gets_over(&world, &agent).await;
}

#[tokio::test]
async fn broken_answers_are_asked_for_again() {
    survives(|world| {
        world.fault("secretsmanager", Fault::Status(503)).times(1);
        world.fault("ssm", Fault::Cut).times(1);
        world.fault("autoscaling DescribeAutoScalingInstances", Fault::Status(500)).times(1);
        world.fault("registry GET manifest", Fault::Status(502)).times(1);
        world.fault("registry GET blob", Fault::Cut).times(1);
        world.fault("imds GET", Fault::Status(500)).times(1);
    })
    .await;
}

#[tokio::test]
async fn expired_tokens_are_renewed() {
    survives(|world| {
        world.fault("imds GET", Fault::ExpiredToken).times(1);
        world.fault("secretsmanager", Fault::ExpiredToken).times(1);
    })
    .await;
}

#[tokio::test]
async fn an_error_page_is_never_taken_for_a_value() {
    let (world, _agent) = survives(|world| {
        world.fault("imds GET dynamic/instance-identity/document", Fault::ErrorPage(200)).times(1);
        world.fault("imds GET user-data", Fault::ErrorPage(503)).times(1);
    })
    .await;
    assert!(world.journal.count("imds GET dynamic/instance-identity/document") >= 2, "{}", world.journal.text());
}

const NOT_COMPLETED: [&str; 3] = [
    "the launch hook",
    "autoscaling:CompleteLifecycleAction is not allowed",
    "must allow autoscaling:CompleteLifecycleAction on arn:aws:autoscaling:us-east-2:123456789012:autoScalingGroup:*:",
];

/// A healthy app whose launch hook the role may not complete.
async fn not_completed(more: &str) -> (World, Agent) {
    let world = World::start().await;
    let image = world.app_image();
    world.fault("autoscaling CompleteLifecycleAction", Fault::AccessDenied).always();
    // The call hangs, so the test can look first.
    world.fault("autoscaling SetInstanceHealth", Fault::Hang).always();
    world.ami_defaults("drain = { settle = \"1s\", idle = \"500ms\" }\nstop_timeout = \"2s\"");
    world.user_data(&format!("berth image={} port=0:8080 health=/health {more}", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    reported(&world, &agent, "failed", "", &NOT_COMPLETED).await;
    let metrics = agent.http("/metrics").await.text();
    for sample in ["berth_hook_failed 1", "berth_refused_total{call=\"complete_hook\"} 1", "berth_ready 0"] {
        assert!(metrics.lines().any(|line| line == sample), "{sample}:\n{metrics}");
    }
    (world, agent)
}

#[tokio::test]
async fn a_launch_hook_that_the_role_may_not_complete_is_a_failed_boot() {
    let (world, agent) = not_completed("").await;
    world.journal.wait_for("autoscaling SetInstanceHealth", SOON).await;
    // The stop and the report to the group are under way at the same time.
    until("stopped", async || container(&world.engine, &world).await == "stopped").await;
    world.faults.clear();
    assert_eq!(agent.exit_within(SOON).await, 3, "{}", agent.log_text());
    let console = world.console_text();
    assert!(NOT_COMPLETED.iter().all(|words| console.contains(words)), "{console}");
    assert_eq!((completions(&world), world.autoscaling.health().as_deref()), (Vec::new(), Some("Unhealthy")));
    assert_eq!(world.journal.count("autoscaling CompleteLifecycleAction"), 1, "{}", world.journal.text());
}

#[tokio::test]
async fn a_launch_hook_that_the_role_may_not_complete_is_held_with_heartbeats() {
    let (world, agent) = not_completed("boot.on_failure=hold lifecycle.heartbeat=1s").await;
    agent.phase_within("hold", SOON).await;
    world.journal.wait_for_count("autoscaling RecordLifecycleActionHeartbeat 200", 2, SOON).await;
    assert_eq!(container(&world.engine, &world).await, "running");
    assert_eq!(agent.http("/ready").await.status, 503);
    agent.signal("TERM");
    world.faults.clear();
    assert_eq!(agent.exit_within(SOON).await, 0, "{}", agent.log_text());
}

/// A permission that was removed after the boot. No hook waits any more, so it is not needed.
#[tokio::test]
async fn an_agent_that_is_started_again_in_service_needs_no_right_to_complete() {
    let world = World::start().await;
    let image = world.app_image();
    world.user_data(&format!(
        "berth image={} port=0:8080 lifecycle.group={} lifecycle.launch_hook=launch",
        image.by_tag(),
        world.autoscaling.group()
    ));
    let agent = world.launch(BERTH.as_ref()).await;
    gets_over(&world, &agent).await;
    agent.kill9().await;
    world.fault("autoscaling CompleteLifecycleAction", Fault::AccessDenied).always();
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    agent.log_within("InstanceDescribed InService", SOON).await;
    assert_eq!(agent.http("/ready").await.status, 200, "{}", agent.log_text());
    assert_eq!(container(&world.engine, &world).await, "running");
}
