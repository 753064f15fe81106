//! What goes wrong around a boot, and what becomes of it: what may pass is tried again, what cannot fails at once.

use std::time::Duration;

use berth_kit::{Fault, Image, World};

use crate::{BERTH, SOON};

async fn survives(script: impl Fn(&World)) -> World {
    let world = World::start().await;
    let image = world.app_image();
    world.secrets.put("prod/api", r#"{"PASSWORD":"a value that nobody prints"}"#);
    world.parameters.put_secure("/prod/key", "another one");
    world.user_data(&format!(
        "berth image={} port=0:8080 health=/health secrets=prod/api secret.KEY=ssm:/prod/key",
        image.by_tag()
    ));
    script(&world);
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    world.journal.wait_for("autoscaling CompleteLifecycleAction CONTINUE", SOON).await;
    assert_eq!(world.autoscaling.completions().len(), 1);
    world
}

#[tokio::test]
async fn throttled_services_are_asked_again() {
    let world = survives(|world| {
        world.fault("secretsmanager", Fault::Throttle).times(2);
        world.fault("ssm", Fault::Throttle).times(1);
        world.fault("autoscaling", Fault::Throttle).times(2);
        world.fault("imds GET", Fault::Throttle).times(2);
    })
    .await;
    assert!(world.journal.count("secretsmanager GetSecretValue") >= 3, "{}", world.journal.text());
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
    let world = survives(|world| {
        world.fault("imds GET dynamic/instance-identity/document", Fault::ErrorPage(200)).times(1);
        world.fault("imds GET user-data", Fault::ErrorPage(503)).times(1);
    })
    .await;
    assert!(world.journal.count("imds GET dynamic/instance-identity/document") >= 2, "{}", world.journal.text());
}

#[tokio::test]
async fn a_layer_with_other_bytes_than_its_digest_never_runs() {
    let world = survives(|world| world.fault("registry GET blob", Fault::WrongDigest).times(1)).await;
    assert!(world.journal.count("registry GET blob") > 2, "{}", world.journal.text());
}

#[tokio::test]
async fn metadata_that_comes_up_late_is_waited_for() {
    let world = World::builder().imds_closed().start().await;
    let image = world.app_image();
    world.user_data(&format!("berth image={} port=0:8080", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.log_within("Identify: ", Duration::from_secs(10)).await;
    assert_eq!(agent.http("/ready").await.status, 503);
    world.imds.start_listening();
    agent.ready_within(SOON).await;
}

/// Boots what cannot boot: the exit code, the console's line, and what `/ready` said on the way.
async fn fails(world: &World, line: &str, reason: &str) {
    world.user_data(line);
    let agent = world.launch(BERTH.as_ref()).await;
    assert_eq!(agent.exit_within(SOON).await, 3, "{}", agent.log_text());
    assert!(world.console_text().contains(reason), "{reason:?} is not in {:?}", world.console_text());
    assert!(agent.log_text().contains(reason), "{reason:?} is not in\n{}", agent.log_text());
    let results: Vec<String> = world.autoscaling.completions().into_iter().map(|one| one.result).collect();
    assert_eq!(results, ["ABANDON"]);
}

#[tokio::test]
async fn an_image_that_is_not_there_fails_at_once() {
    let world = World::start().await;
    let missing = world.app_image().by_tag().replace(":v1", ":v2");
    fails(&world, &format!("berth image={missing}"), "v2").await;
}

#[tokio::test]
async fn an_image_that_is_denied_fails_at_once() {
    let world = World::builder().private_registry().start().await;
    let image = world.app_image().by_tag();
    fails(&world, &format!("berth image={image} registry_auth=none"), "no basic auth credentials").await;
}

#[tokio::test]
async fn a_secret_that_is_denied_names_the_action_that_is_missing() {
    let world = World::start().await;
    let image = world.app_image().by_tag();
    world.secrets.put("prod/api", r#"{"PASSWORD":"x"}"#);
    world.secrets.deny("prod/api");
    fails(&world, &format!("berth image={image} secrets=prod/api"), "secretsmanager:GetSecretValue").await;
}

#[tokio::test]
async fn an_app_that_never_gets_healthy_is_abandoned_with_the_probe_s_reason() {
    let world = World::start().await;
    let image = world.app_image().by_tag();
    let line = format!("berth image={image} port=0:8080 health=/no-such-page probe.start_timeout=3s stop_timeout=1s");
    fails(&world, &line, "probe.start_timeout").await;
}

#[tokio::test]
async fn an_app_that_exits_is_started_again_and_then_given_up() {
    let world = World::start().await;
    let image = world.app_image().by_tag();
    let line = format!("berth image={image} port=0:8080 env.EXIT_AT_START=7 restart.limit=2 restart.backoff=100ms");
    fails(&world, &line, "exited with code 7").await;
}

#[tokio::test]
async fn a_failed_boot_is_held_for_debugging_although_its_hook_fails_again_and_again() {
    let world = World::start().await;
    world.fault("autoscaling RecordLifecycleActionHeartbeat", Fault::Throttle).times(1);
    world.fault("autoscaling RecordLifecycleActionHeartbeat", Fault::Status(503)).times(1);
    world.autoscaling.refuse_although_active(1);
    let missing = world.app_image().by_tag().replace(":v1", ":v2");
    world.user_data(&format!("berth image={missing} boot.on_failure=hold lifecycle.heartbeat=1s"));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.phase_within("hold", SOON).await;
    let ready = agent.http("/ready").await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["status"], "failed");
    assert!(ready.json()["reason"].as_str().unwrap().contains("v2"), "{}", ready.text());
    world.journal.wait_for_count("autoscaling RecordLifecycleActionHeartbeat 200", 2, SOON).await;
    assert_eq!(world.journal.count("autoscaling RecordLifecycleActionHeartbeat"), 5, "{}", world.journal.text());
    assert_eq!(agent.http("/ready").await.status, 503);
    assert!(world.autoscaling.completions().is_empty());
    agent.signal("TERM");
    assert_eq!(agent.exit_within(SOON).await, 0);
}

#[tokio::test]
async fn a_private_registry_is_logged_in_to_with_ecr_s_token() {
    let world = World::builder().private_registry().start().await;
    let image = world.push("v1", &Image::demo_app());
    world.user_data(&format!("berth image={} port=0:8080 registry_auth=ecr", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    assert_eq!(world.journal.count("ecr GetAuthorizationToken"), 1);
}

#[tokio::test]
async fn a_private_registry_is_logged_in_to_with_a_secret() {
    let world = World::start().await;
    let image = world.push("v1", &Image::demo_app());
    world.registry.require("somebody", "p>a?s~s\u{fc}word");
    world.secrets.put("registry", r#"{"username":"somebody","password":"p>a?s~süword"}"#);
    world.user_data(&format!("berth image={} port=0:8080 registry_auth=registry", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
}
