//! A container that cannot be made or started, or that is not what it should be.

use std::net::TcpListener;

use berth_kit::World;
use serde_json::json;

use super::{container, fails, gives_up};
use crate::steps::own_address;

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let world = World::start().await;
    let address = own_address();
    let _holder = TcpListener::bind(address).unwrap();
    let agent = fails(&world, &format!("berth image={} port={address}:8080", world.app_image().by_tag())).await;
    let words = ["the container does not start", &address.to_string(), "address already in use"];
    gives_up(&world, &agent, 3, &words).await;
    assert_eq!(container(&world.engine, &world).await, "stopped");
}

#[tokio::test]
async fn a_container_of_somebody_else_s_keeps_its_name() {
    let world = World::start().await;
    let (image, name) = (world.app_image(), world.container());
    assert_eq!(world.engine.pull(&image.by_tag(), None).await.status, 200);
    let made = json!({ "Image": image.by_tag() });
    let made = world.engine.call("POST", &format!("/containers/create?name={name}"), Some(made)).await.json();
    let id = made["Id"].as_str().unwrap();
    world.engine.call("POST", &format!("/containers/{id}/start"), None).await;
    let agent = fails(&world, &format!("berth image={} port=0:8080", image.by_tag())).await;
    let by = format!("is in use by the container {} of {}, which berth did not create", &id[..12], image.by_tag());
    gives_up(&world, &agent, 3, &[&name, &by, "remove that container, or set another `name`"]).await;
    let after = world.engine.inspect(&name).await.expect("it is not removed");
    assert_eq!((&after["Id"], &after["State"]["Running"]), (&id.into(), &true.into()));
}

#[tokio::test]
async fn an_app_that_exits_is_started_again_and_then_given_up() {
    let world = World::start().await;
    let image = world.app_image().by_tag();
    let line = format!("berth image={image} port=0:8080 env.EXIT_AT_START=7 restart.limit=2 restart.backoff=100ms");
    let agent = fails(&world, &line).await;
    gives_up(&world, &agent, 3, &["the app exited with code 7, after 2 restarts"]).await;
    // Its own output can be read.
    assert_eq!(container(&world.engine, &world).await, "stopped");
    assert_eq!(world.engine.logs(&world.container()).await.matches("EXIT_AT_START=7").count(), 3);
}

#[tokio::test]
async fn an_app_that_never_gets_healthy_is_abandoned_with_the_probe_s_reason() {
    let world = World::start().await;
    let image = world.app_image().by_tag();
    let line = format!("berth image={image} port=0:8080 health=/no-such-page probe.start_timeout=8s stop_timeout=1s");
    let agent = fails(&world, &line).await;
    let words = ["the app was not healthy within 8s (probe.start_timeout)", "/no-such-page answers 404"];
    gives_up(&world, &agent, 3, &words).await;
    assert_eq!(container(&world.engine, &world).await, "stopped");
}
