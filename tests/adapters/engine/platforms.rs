//! `platform`: which image of a multi-platform one is resolved, pulled, looked for and made a container of.

use std::time::Duration;

use berth::io::docker::{Engine, EngineError, Mounted};
use berth_config::{Config, ImageRef, Layers, PinnedImage};
use berth_core::message::error::ErrorClass;
use berth_kit::{Image, World};

use super::bench::{Bench, SLEEP, engine, within};

const STALL: Duration = Duration::from_secs(60);

/// A machine of the other kind than this one, in Go's words.
const OTHER: &str = if cfg!(target_arch = "aarch64") { "amd64" } else { "arm64" };
const HERE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// The engine, asked for images of this architecture.
fn asked_for(architecture: &str) -> Engine {
    engine().with_platform(config(architecture).platform.as_ref())
}

fn config(architecture: &str) -> Config {
    let mut layers = Layers::new();
    layers.add_words(&["image=x:1".to_owned(), format!("platform=linux/{architecture}")]);
    layers.resolve().unwrap()
}

fn image(architecture: &'static str) -> Image {
    Image::scratch().layer_of_random(10_000).entrypoint(&[architecture]).built_for(architecture)
}

fn reference(world: &World) -> ImageRef {
    let (registry, repository) = (world.registry.host(), world.name.clone());
    ImageRef { registry, repository, tag: Some("v1".to_owned()), digest: None }
}

async fn pull(engine: &Engine, image: &PinnedImage) -> Result<(), EngineError> {
    within(engine.pull(image, None, STALL, |_| {})).await
}

#[tokio::test]
async fn of_several_images_under_one_digest_it_is_the_one_of_the_platform() {
    for (architecture, other) in [(OTHER, HERE), (HERE, OTHER)] {
        let world = World::start().await;
        let built = [image(HERE).build(), image(OTHER).build()];
        let pushed = world.registry.push_all(&world.name, "v1", &built);
        let (reference, engine) = (reference(&world), asked_for(architecture));
        let pinned = engine.resolve_digest(&reference, None).await.unwrap();
        assert_eq!(pinned, reference.at(pushed.digest), "the digest of the list");
        assert_eq!(engine.inspect_image(&pinned).await.unwrap(), None);
        pull(&engine, &pinned).await.unwrap();
        let facts = engine.inspect_image(&pinned).await.unwrap().expect("it is here");
        assert_eq!(facts.entrypoint, [architecture]);

        assert_eq!(asked_for(other).inspect_image(&pinned).await.unwrap(), None, "not the other one");
        // An engine with a store of its own keeps one image under a digest, one with containerd's all of them.
        match pull(&asked_for(other), &pinned).await {
            Ok(()) => assert!(asked_for(other).inspect_image(&pinned).await.unwrap().is_some()),
            Err(error) => {
                assert_eq!(error.class(), ErrorClass::Broken, "{error}");
                assert!(error.to_string().contains("`platform`: this engine keeps one image"), "{error}");
            }
        }
        assert!(engine.inspect_image(&pinned).await.unwrap().is_some(), "still here");
    }
}

#[tokio::test]
async fn a_platform_that_the_image_is_not_built_for_is_final() {
    let world = World::start().await;
    let pushed = world.registry.push_all(&world.name, "v1", &[image(HERE).build(), image(OTHER).build()]);
    let reference = reference(&world);
    let error = asked_for("s390x").resolve_digest(&reference, None).await.unwrap_err();
    assert!(matches!(error, EngineError::OtherPlatform { .. }) && error.class() == ErrorClass::Broken, "{error}");
    let built_for = format!("is built for linux/{HERE}, linux/{OTHER}, not for linux/s390x (`platform`)");
    assert!(error.to_string().contains(&built_for), "{error}");
    let error = pull(&asked_for("s390x"), &reference.at(pushed.digest)).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Broken, "{error}");
}

#[tokio::test]
async fn a_single_image_of_another_platform_is_final() {
    let world = World::start().await;
    let built = image(HERE).build();
    world.registry.push(&world.name, "v1", &built);
    let pinned = reference(&world).at(built.digest);
    let engine = asked_for(OTHER);
    let error = pull(&engine, &pinned).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Broken, "{error}");
    assert!(error.to_string().contains(OTHER), "{error}");
    // The machine's own, it is taken for what it is.
    pull(&asked_for(HERE), &pinned).await.unwrap();
    assert!(asked_for(HERE).inspect_image(&pinned).await.unwrap().is_some());
    assert_eq!(engine.inspect_image(&pinned).await.unwrap(), None);
}

#[tokio::test]
async fn a_container_is_made_of_the_image_of_its_platform() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&[SLEEP]).await;
    let creation = bench.creation(&image, |own| own.platform = config(HERE).platform).await;
    bench.create(&creation, None).await;
    let creation = bench.creation(&image, |own| own.platform = config(OTHER).platform).await;
    let error = bench.engine.create(&creation, Mounted::Nothing).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Broken, "{error}");
    assert!(error.to_string().contains("`platform`: build the image for that platform"), "{error}");
}
