//! A config that is not validated.

use berth_kit::World;

use super::{container, fails, gives_up};
use crate::{BERTH, SOON};

/// The only requests are those to the metadata, and then those to the group.
fn asks_for_nothing(world: &World) {
    let entries = world.journal.entries();
    let others = entries.iter().position(|entry| entry.service != "imds").expect("a call to the group");
    assert!(entries[others..].iter().any(|entry| entry.operation == "CompleteLifecycleAction"));
    let strange = |service: &str| !["imds", "autoscaling"].contains(&service);
    assert!(!entries.iter().any(|entry| strange(entry.service)), "{}", world.journal.text());
}

#[tokio::test]
async fn every_error_is_reported_at_once_and_the_launch_is_abandoned() {
    let world = World::start().await;
    let line = "berth imgae=app:v1 port=80800 helth=/health probe.interval=5 secrets=hunter2hunter2//";
    let agent = fails(&world, line).await;
    let words =
        ["`imgae`", "did you mean `image`", "`port`", "`helth`", "did you mean `health`", "`probe.interval`", "column"];
    gives_up(&world, &agent, 2, &words).await;
    assert!(!agent.log_text().contains("hunter2"), "no value is shown: {}", agent.log_text());
    asks_for_nothing(&world);
    assert_eq!(container(&world.engine, &world).await, "gone");
}

#[tokio::test]
async fn an_image_that_is_not_pinned_is_not_asked_for() {
    let latest = async |image: &str, words: &[&str]| {
        let world = World::start().await;
        let image = image.replace("APP", &world.app_image().repository);
        let agent = fails(&world, &format!("berth image={image} port=0:8080 secrets=prod/api")).await;
        gives_up(&world, &agent, 2, words).await;
        asks_for_nothing(&world);
        assert_eq!(container(&world.engine, &world).await, "gone");
    };
    tokio::join!(latest("APP:latest", &["`image`", "`latest`"]), latest("APP", &["`image`", "is not pinned"]));
}

#[tokio::test]
async fn an_error_on_the_command_line_is_reported_before_any_request() {
    let world = World::start().await;
    let agent = world.launcher(BERTH.as_ref()).arg("prot=80").start().await;
    assert_eq!(agent.exit_within(SOON).await, 2);
    assert!(agent.log_text().contains("did you mean `port`"), "{}", agent.log_text());
    assert_eq!(world.journal.text(), "");
}
