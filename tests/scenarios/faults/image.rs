//! An image that is not there, not for this machine, not as it was promised, or slow to come.

use std::time::Duration;

use berth_kit::image::Flaw;
use berth_kit::{Fault, Image, OwnEngine, World};
use serde_json::json;

use super::{container, fails, gets_over, gives_up, waits};
use crate::BERTH;
use crate::steps::until;

/// A layer that no other test has: the engine fetches a layer once for all pulls.
const BYTES: usize = 300_000;

/// An image with such a layer, and the pattern of its fetches in the journal.
fn layered(world: &World) -> (String, String) {
    let image = Image::demo_app().layer_of_random(BYTES);
    let built = image.build();
    let pushed = world.registry.push(&world.name, "v1", &built);
    (pushed.by_tag(), format!("registry GET blob {}", built.layers.last().unwrap()))
}

#[tokio::test]
async fn an_image_that_is_not_there_fails_at_once() {
    let world = World::start().await;
    let missing = world.app_image().by_tag().replace(":v1", ":v2");
    let agent = fails(&world, &format!("berth image={missing}")).await;
    gives_up(&world, &agent, 3, &[&format!("cannot resolve {missing}"), "manifest unknown"]).await;
    assert_eq!(container(&world.engine, &world).await, "gone");
}

#[tokio::test]
async fn an_image_that_is_denied_fails_at_once() {
    let world = World::builder().private_registry().start().await;
    let image = world.app_image().by_tag();
    let agent = fails(&world, &format!("berth image={image} registry_auth=none")).await;
    gives_up(&world, &agent, 3, &[&format!("cannot resolve {image}"), "no basic auth credentials"]).await;
    assert_eq!(container(&world.engine, &world).await, "gone");
}

#[tokio::test]
async fn an_image_for_another_machine_is_never_started() {
    let other = if cfg!(target_arch = "aarch64") { "amd64" } else { "arm64" };
    let alone = async || {
        let world = World::start().await;
        let image = world.push("v1", &Image::demo_app().built_for(other));
        let agent = fails(&world, &format!("berth image={} port=0:8080", image.by_tag())).await;
        let words = [&image.by_digest(), &format!("is built for {other}, and this machine is "), "build it for linux/"];
        gives_up(&world, &agent, 3, &words.map(|word: &str| word)).await;
        assert_eq!(container(&world.engine, &world).await, "gone");
    };
    let listed = async || {
        let world = World::start().await;
        let image = world.registry.push_list(&world.name, "v1", &Image::demo_app().built_for(other).build());
        let agent = fails(&world, &format!("berth image={} port=0:8080", image.by_tag())).await;
        gives_up(&world, &agent, 3, &["cannot pull", "no matching manifest for linux/"]).await;
        assert_eq!(container(&world.engine, &world).await, "gone");
    };
    tokio::join!(alone(), listed());
}

#[tokio::test]
async fn an_image_that_this_engine_cannot_unpack_fails_at_once() {
    let with = async |flaw: Flaw, words: &[&str]| {
        let world = World::start().await;
        let image = world.push("v1", &Image::demo_app().with(flaw));
        let agent = fails(&world, &format!("berth image={} port=0:8080", image.by_tag())).await;
        gives_up(&world, &agent, 3, words).await;
        assert_eq!(container(&world.engine, &world).await, "gone");
    };
    tokio::join!(
        // In the engine's own words, which each has for itself: `adapters engine::pulls`.
        with(Flaw::NotATar, &["cannot pull", "; "]),
        with(Flaw::DiffId, &["cannot pull", "; build and push it again"]),
    );
}

#[tokio::test]
async fn a_registry_that_is_down_for_20_s_is_waited_for() {
    let world = World::start().await;
    world.user_data(&format!("berth image={} port=0:8080", world.app_image().by_tag()));
    world.registry.stop_listening();
    let agent = world.launch(BERTH.as_ref()).await;
    waits(&world, &agent, "digest", &["cannot resolve", "connection refused"]).await;
    until("20 s later", async || agent.status().await["now_seconds"].as_f64() > Some(20.0)).await;
    assert_eq!(agent.http("/ready").await.json()["status"], "starting");
    world.registry.start_listening();
    gets_over(&world, &agent).await;
    assert_eq!(container(&world.engine, &world).await, "running");
}

#[tokio::test]
async fn a_login_that_expires_during_the_boot_is_fetched_again() {
    let world = World::builder().private_registry().start().await;
    let image = world.app_image().by_digest();
    world.fault("registry GET manifest", Fault::ExpiredToken).always();
    world.fault("ecr", Fault::Delay(Duration::ZERO)).times(1);
    world.fault("ecr", Fault::Hang).always();
    world.user_data(&format!("berth image={image} port=0:8080 registry_auth=ecr"));
    let agent = world.launch(BERTH.as_ref()).await;
    waits(&world, &agent, "login, pull", &["cannot pull", "authorization token has expired"]).await;
    world.faults.clear();
    gets_over(&world, &agent).await;
    assert_eq!(world.journal.count("ecr GetAuthorizationToken"), 2, "{}", world.journal.text());
    assert_eq!(container(&world.engine, &world).await, "running");
}

#[tokio::test]
async fn a_pull_that_stands_still_is_cut_and_tried_again() {
    let world = World::start().await;
    let (image, layer) = layered(&world);
    world.fault(&layer, Fault::Stall).times(1);
    world.fault(&layer, Fault::Hang).always();
    world.user_data(&format!("berth image={image} port=0:8080"));
    let agent = world.launch(BERTH.as_ref()).await;
    waits(&world, &agent, "pull", &["no progress for 60 s while pulling"]).await;
    world.faults.clear();
    gets_over(&world, &agent).await;
    assert_eq!(container(&world.engine, &world).await, "running");
}

#[tokio::test]
async fn a_layer_that_is_cut_in_the_middle_is_fetched_again() {
    // An engine tries it again by itself, for a minute; this one soon leaves it to the agent.
    let Some(mut own) = OwnEngine::new() else { return };
    own.settings(&json!({ "max-download-attempts": 1 }));
    own.start().await;
    let world = World::start().await;
    let (image, layer) = layered(&world);
    // Once more than it tries.
    world.fault(&layer, Fault::Cut).times(2);
    world.fault(&layer, Fault::Hang).always();
    world.user_data(&format!("berth image={image} port=0:8080"));
    let agent = world.launcher(BERTH.as_ref()).env("DOCKER_HOST", own.host()).start().await;
    // containerd's image store asks for the rest by itself, as often as it takes, and stands still where that hangs.
    let words = match std::env::var("BERTH_ENGINE").as_deref() {
        Ok("sid-containerd") => ["no progress for 60 s", "while pulling"],
        _ => ["cannot pull", "unexpected EOF"],
    };
    waits(&world, &agent, "pull", &words).await;
    world.faults.clear();
    gets_over(&world, &agent).await;
    assert_eq!(container(&own.engine(), &world).await, "running");
}

#[tokio::test]
async fn a_layer_with_other_bytes_than_its_digest_never_runs() {
    let world = World::start().await;
    let (image, layer) = layered(&world);
    world.fault(&layer, Fault::WrongDigest).times(1);
    world.fault(&layer, Fault::Hang).always();
    world.user_data(&format!("berth image={image} port=0:8080"));
    let agent = world.launch(BERTH.as_ref()).await;
    waits(&world, &agent, "pull", &["cannot pull", "failed"]).await;
    assert_eq!(container(&world.engine, &world).await, "gone");
    world.faults.clear();
    gets_over(&world, &agent).await;
    assert_eq!(container(&world.engine, &world).await, "running");
}

#[tokio::test]
async fn a_disk_that_is_full_fails_the_pull_at_once() {
    let Some(mut own) = OwnEngine::new() else { return };
    own.small_disk(24);
    own.start().await;
    let world = World::start().await;
    let image = world.push("v1", &Image::demo_app().layer_of_random(32 << 20)).by_tag();
    super::doom(&world, &format!("berth image={image} port=0:8080"));
    let agent = world.launcher(BERTH.as_ref()).env("DOCKER_HOST", own.host()).start().await;
    gives_up(&world, &agent, 3, &["cannot pull", "no space left on device"]).await;
    assert_eq!(container(&own.engine(), &world).await, "gone");
}
