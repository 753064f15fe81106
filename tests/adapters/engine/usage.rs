//! What a container and an image take, and the end of an image.

use berth::io::capacity::measure;
use berth_core::message::capacity::Capacity;
use berth_core::message::container::ContainerId;
use berth_kit::Image;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptions};

use super::bench::{Bench, SLEEP, engine, unique, within};
use super::pulls::pull;
use super::stock::{Kit, Stock};

#[tokio::test]
async fn what_the_host_has_left_is_measured_for_what_serves() {
    let mut bench = Bench::new().await;
    let image = bench.busybox(&[SLEEP]).await;
    let creation = bench.creation(&image, |_| {}).await;
    let running = bench.run(&creation, None).await;
    let capacity = within(measure(&bench.engine, &running.id, Some(&creation.image))).await.unwrap();
    let Capacity { memory_available, memory_used, disk_free, image_size } = capacity;
    // A shell that sleeps, and a static busybox.
    assert!(matches!(memory_used, Some(10_000..20_000_000)), "{memory_used:?}");
    assert!(matches!(image_size, Some(100_000..20_000_000)), "{image_size:?}");
    assert!(memory_available > Some(1_000_000) && disk_free > Some(1_000_000), "{memory_available:?} {disk_free:?}");

    let nothing = ContainerId("nothing".to_owned());
    let capacity = within(measure(&bench.engine, &nothing, None)).await.unwrap();
    assert_eq!((capacity.memory_used, capacity.image_size), (None, None));
}

#[tokio::test]
async fn an_image_is_removed_unless_a_container_uses_it() {
    let mut kit = Kit::open().await;
    let built = Image::scratch().layer_of_random(200_000).entrypoint(&["/app"]).build();
    let image = kit.put("v1", &built).await.at(built.digest);
    pull(&image, None).await.unwrap();
    let bench = Bench::new().await;
    let options = CreateContainerOptions { name: Some(unique("berth-adapters")), ..Default::default() };
    let body = ContainerCreateBody { image: Some(image.to_string()), ..Default::default() };
    let id = bench.docker.create_container(Some(options), body).await.unwrap().id;
    let is_removed = within(engine().remove_image(&image)).await;
    let is_here = engine().inspect_image(&image).await.unwrap().is_some();
    bench.docker.remove_container(&id, None::<RemoveContainerOptions>).await.unwrap();
    assert!(!is_removed.unwrap() && is_here, "the container uses it");

    assert!(within(engine().remove_image(&image)).await.unwrap());
    assert_eq!(engine().inspect_image(&image).await.unwrap(), None);
    assert!(within(engine().remove_image(&image)).await.unwrap(), "it is gone already");
}
