//! The boot path from one line of user-data to a healthy app and a completed hook.

use std::time::Duration;

use berth_kit::{Image, World};

use crate::{BERTH, SOON};

#[tokio::test]
async fn one_line_boots_by_tag_and_the_hook_is_completed_once() {
    let world = World::start().await;
    let image = world.app_image();
    world.user_data(&format!("berth image={} port=0:8080 health=/health", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    assert_eq!(agent.app("/").await.status, 200);
    world.journal.wait_for("autoscaling CompleteLifecycleAction CONTINUE", Duration::from_secs(10)).await;
    world.journal.in_order(&[
        "imds GET user-data",
        "registry GET manifest",
        "autoscaling CompleteLifecycleAction CONTINUE",
    ]);
    assert_eq!(world.autoscaling.completions().len(), 1);
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
