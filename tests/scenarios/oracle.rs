//! Whole lives, and the commands that call AWS: botocore's models allow every request that the shipped binary sends.

use std::time::Duration;

use berth_kit::{Fault, World, oracle};

use crate::bake::bake;
use crate::commands::{berth, err, out};
use crate::{BERTH, SOON};

/// An instance that needs everything that a config can ask AWS for.
async fn instance() -> World {
    let world = World::builder().private_registry().start().await;
    for secret in ["prod/api", "prod/jwt"] {
        world.secrets.put(secret, r#"{"KEY":"value"}"#);
    }
    let arn = world.secrets.put("prod/db", r#"{"password":"new"}"#);
    world.parameters.put_secure("/prod/key", "value");
    let image = world.app_image().by_tag();
    let line = format!(
        "berth image={image} port=0:8080 health=/health registry_auth=ecr secrets=prod/api,prod/jwt secret.KEY=ssm:/prod/key \
         secret.OLD={arn}:password:AWSCURRENT: lifecycle.heartbeat=1s lifecycle.poll=500ms"
    );
    world.parameters.put("/prod/berth", &line);
    world
        .ami_defaults("listen = \"127.0.0.1:0\"\nstop_timeout = \"2s\"\ndrain = { settle = \"1s\", idle = \"500ms\" }");
    world.user_data("berth config=ssm:/prod/berth");
    world
}

#[track_caller]
fn asked_for(world: &World, operations: &[&str]) {
    assert_eq!(oracle::agree(world).into_iter().collect::<Vec<_>>(), operations);
}

#[tokio::test]
async fn a_boot_with_heartbeats_and_a_drain() {
    let world = instance().await;
    world.fault("registry GET blob", Fault::Delay(Duration::from_secs(3)));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    assert!(world.autoscaling.heartbeats() > 0, "{}", world.journal.text());
    world.autoscaling.terminate();
    world.journal.wait_for("CompleteLifecycleAction CONTINUE terminate 400", SOON).await;
    world.autoscaling.enter_wait();
    assert_eq!(agent.exit_within(SOON).await, 0, "{}", agent.log_text());
    assert_eq!(world.autoscaling.completions().len(), 2);
    asked_for(
        &world,
        &[
            "autoscaling CompleteLifecycleAction",
            "autoscaling DescribeAutoScalingInstances",
            "autoscaling DescribeLifecycleHooks",
            "autoscaling RecordLifecycleActionHeartbeat",
            "ecr GetAuthorizationToken",
            "secretsmanager BatchGetSecretValue",
            "secretsmanager GetSecretValue",
            "ssm GetParameters",
        ],
    );
}

#[tokio::test]
async fn a_launch_that_is_abandoned_and_one_that_is_called_unhealthy() {
    let abandoned = instance().await;
    abandoned.secrets.deny("prod/jwt");
    let agent = abandoned.launch(BERTH.as_ref()).await;
    assert_eq!(agent.exit_within(SOON).await, 3, "{}", agent.log_text());
    assert_eq!(
        abandoned.journal.count("CompleteLifecycleAction ABANDON launch 200"),
        1,
        "{}",
        abandoned.journal.text()
    );
    oracle::agree(&abandoned);

    let unhealthy = instance().await;
    unhealthy.fault("autoscaling CompleteLifecycleAction", Fault::AccessDenied).always();
    let agent = unhealthy.launch(BERTH.as_ref()).await;
    assert_eq!(agent.exit_within(SOON).await, 3, "{}", agent.log_text());
    assert_eq!(unhealthy.autoscaling.health().as_deref(), Some("Unhealthy"));
    assert!(oracle::agree(&unhealthy).contains("autoscaling SetInstanceHealth"));
}

#[tokio::test]
async fn the_doctor_and_a_bake() {
    let world = instance().await;
    let examined = berth(&world, &["doctor"]).await;
    assert_eq!(examined.status.code(), Some(0), "{}{}", out(&examined), err(&examined));
    asked_for(
        &world,
        &[
            "autoscaling DescribeAutoScalingInstances",
            "autoscaling DescribeLifecycleHooks",
            "ecr GetAuthorizationToken",
            "secretsmanager BatchGetSecretValue",
            "secretsmanager GetSecretValue",
            "ssm GetParameters",
        ],
    );

    let builder = World::builder().private_registry().start().await;
    let image = builder.app_image().by_tag();
    builder.ami_defaults(&format!("image = \"{image}\"\nregistry_auth = \"ecr\"\nlisten = \"127.0.0.1:0\"\n"));
    let baked = bake(&builder, &[]).await;
    assert_eq!(baked.status.code(), Some(0), "{}{}", out(&baked), err(&baked));
    asked_for(&builder, &["ecr GetAuthorizationToken"]);
}
