//! A real Docker Engine pulls from the registry and runs what it pulled.

use std::time::Duration;

use berth_kit::client::{over_tcp, request};
use berth_kit::text::sha256_hex;
use berth_kit::{Fault, Image, World};
use serde_json::{Value, json};

/// A pull without a login: the error that the engine reported, if any.
async fn pull(world: &World, reference: &str) -> Result<(), String> {
    let answer = world.engine.pull(reference, None).await;
    let lines = answer.text();
    let error = lines.lines().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        Some(line["errorDetail"]["message"].as_str().or_else(|| line["message"].as_str())?.to_owned())
    });
    error.map_or(Ok(()), Err)
}

/// Runs an image of the world: the address of the app.
async fn run(world: &World, image: &str, config: Value) -> std::net::SocketAddr {
    let mut wanted = config;
    wanted["Image"] = json!(image);
    wanted["Labels"] = json!({ "berth.instance": world.instance_id });
    wanted["HostConfig"] = json!({ "PortBindings": { "8080/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "0" }] } });
    let path = format!("/containers/create?name={}", world.container());
    let created = world.engine.call("POST", &path, Some(wanted)).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let started = world.engine.call("POST", &format!("/containers/{}/start", world.container()), None).await;
    assert_eq!(started.status, 204, "{}", started.text());
    let inspected = world.engine.inspect(&world.container()).await.unwrap();
    let port = inspected["NetworkSettings"]["Ports"]["8080/tcp"][0]["HostPort"].as_str().unwrap();
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let up = async { while over_tcp(address, request("GET", "/health")).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(20), up).await.unwrap();
    address
}

#[tokio::test]
async fn an_engine_pulls_by_tag_and_by_digest_and_the_app_answers() {
    let world = World::start().await;
    let image = world.push("v1", &Image::demo_app().env("GREETING", "good day").cmd(&["one", "two"]).user("1234"));
    pull(&world, &image.by_digest()).await.unwrap();
    pull(&world, &image.by_tag()).await.unwrap();
    let facts = world.engine.image(&image.by_tag()).await.unwrap();
    assert_eq!(facts["RepoDigests"], json!([image.by_digest()]));

    let address = run(&world, &image.by_tag(), json!({ "Env": ["TWO=2"] })).await;
    let get = async |path: &str| over_tcp(address, request("GET", path)).await.unwrap();
    assert_eq!(get("/health").await.status, 200);
    assert_eq!(get("/env/GREETING").await.text(), sha256_hex(b"good day"));
    assert_eq!(get("/env/NONE").await.status, 404);
    assert_eq!(get("/args").await.text(), "/app\none\ntwo");
    assert_eq!(get("/uid").await.text(), "1234");
    assert_eq!(get("/file?path=/noise-1").await.text().len(), 64);
    let probed = world.engine.exec(&world.container(), &["/app", "probe"]).await;
    assert_eq!(probed.0, 0);
    berth_kit::agent::post(address, "/sick").await;
    assert_eq!(get("/health").await.status, 503);
    assert_eq!(world.engine.exec(&world.container(), &["/app", "probe"]).await.0, 1);
    assert!(world.engine.logs(&world.container()).await.contains("listening on port 8080"));
}

#[tokio::test]
async fn the_demo_app_hashes_as_everybody_does() {
    let world = World::start().await;
    let lengths = [0, 1, 55, 56, 63, 64, 65, 119, 120, 200];
    let value = |length: usize| "x".repeat(length);
    let image = world.push("v1", &Image::demo_app());
    pull(&world, &image.by_tag()).await.unwrap();
    let variables: Vec<String> = lengths.iter().map(|&length| format!("L{length}={}", value(length))).collect();
    let address = run(&world, &image.by_tag(), json!({ "Env": variables })).await;
    for length in lengths {
        let answer = over_tcp(address, request("GET", &format!("/env/L{length}"))).await.unwrap();
        assert_eq!(answer.text(), sha256_hex(value(length).as_bytes()), "{length}");
    }
}

#[tokio::test]
async fn a_dropped_world_leaves_nothing_in_the_engine() {
    let world = World::start().await;
    let image = world.push("v1", &Image::demo_app().volume("/data"));
    pull(&world, &image.by_tag()).await.unwrap();
    run(&world, &image.by_tag(), json!({})).await;
    let (engine, container) = (world.engine.clone(), world.container());
    let volume = engine.inspect(&container).await.unwrap()["Mounts"][0]["Name"].as_str().unwrap().to_owned();
    drop(world);
    assert_eq!(engine.inspect(&container).await, None);
    assert_eq!(engine.image(&image.by_tag()).await, None);
    assert_eq!(engine.image(&image.by_digest()).await, None);
    assert_eq!(engine.call("GET", &format!("/volumes/{volume}"), None).await.status, 404);
}

#[tokio::test]
async fn a_private_registry_wants_the_credentials_of_ecr() {
    let world = World::builder().private_registry().start().await;
    let image = world.app_image();
    let refused = pull(&world, &image.by_tag()).await.unwrap_err();
    assert!(refused.contains("no basic auth credentials"), "{refused}");
    world.journal.in_order(&["registry 401"]);
    world.engine.pull(&image.by_tag(), Some(("AWS", &world.ecr.password()))).await;
    assert!(world.engine.image(&image.by_digest()).await.is_some());
}

#[tokio::test]
async fn what_is_not_there_or_denied_is_said_in_the_registrys_words() {
    let world = World::start().await;
    let image = world.app_image();
    let other = pull(&world, &format!("{}:v2", image.repository)).await.unwrap_err();
    assert!(other.contains("manifest unknown"), "{other}");
    world.registry.deny(&world.name);
    let denied = pull(&world, &image.by_tag()).await.unwrap_err();
    assert!(denied.contains("denied"), "{denied}");
}

#[tokio::test]
async fn a_wrong_digest_is_noticed_by_the_engine() {
    let world = World::start().await;
    let image = world.app_image();
    world.fault("registry GET manifest", Fault::WrongDigest).always();
    let wrong = pull(&world, &image.by_digest()).await.unwrap_err();
    assert!(wrong.contains("verification failed") || wrong.contains("digest"), "{wrong}");
}

#[tokio::test]
async fn a_blob_that_is_cut_is_fetched_again_from_where_it_ended() {
    let world = World::start().await;
    let image = Image::demo_app().layer_of_random(300_000).build();
    let pushed = world.registry.push(&world.name, "v1", &image);
    world.fault(&format!("registry GET blob {}", image.layers[2]), Fault::Cut);
    pull(&world, &pushed.by_tag()).await.unwrap();
    world.journal.in_order(&["registry GET blob 200 !Cut", "registry GET blob 206"]);
}

#[tokio::test]
async fn an_image_of_several_architectures_is_known_by_the_digest_of_its_list() {
    let world = World::start().await;
    let image = Image::demo_app().build();
    let pushed = world.registry.push_list(&world.name, "v1", &image);
    assert_ne!(pushed.digest, image.digest);
    pull(&world, &pushed.by_tag()).await.unwrap();
    let facts = world.engine.image(&pushed.by_tag()).await.unwrap();
    assert_eq!(facts["RepoDigests"], json!([pushed.by_digest()]));
}

#[tokio::test]
async fn a_slow_registry_shows_the_progress_of_a_pull() {
    let world = World::start().await;
    world.registry.bandwidth(400_000);
    let image = world.push("v1", &Image::scratch().layer_of_random(600_000));
    let printed = world.engine.pull(&image.by_tag(), None).await.text();
    let currents = printed.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["status"] == "Downloading").then(|| line["progressDetail"]["current"].as_u64())?
    });
    assert!(currents.count() > 3, "{printed}");
}
