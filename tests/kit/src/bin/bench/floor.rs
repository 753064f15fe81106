//! The floor: pull, create, start and the first 200 through the bare Engine API, with the registry's password at hand.
//!
//! Where the image is present nothing is pulled and nobody asked whether it is still the right one.

use std::collections::BTreeMap;

use berth_kit::World;
use berth_kit::registry::Pushed;
use serde_json::json;

use crate::ways::{Boot, Stopwatch};
use crate::{answers, free_address};

pub(crate) async fn boot(world: &World, image: &Pushed, cold: bool) -> Boot {
    let (name, password, port) = (world.container(), world.ecr.password(), free_address().port().to_string());
    let mut watch = Stopwatch::start();
    if cold {
        let pulled = world.engine.pull(&image.by_tag(), Some(("AWS", &password))).await;
        assert!(pulled.status == 200 && !pulled.text().contains("errorDetail"), "{}", pulled.text());
        watch.lap("pull");
    }
    let wanted = json!({
        "Image": image.by_tag(), "ExposedPorts": {"8080/tcp": {}}, "Env": ["PASSWORD=not looked at"],
        "HostConfig": {"Init": true, "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}]}},
    });
    let created = world.engine.call("POST", &format!("/containers/create?name={name}"), Some(wanted)).await;
    assert_eq!(created.status, 201, "{}", created.text());
    watch.lap("create");
    let started = world.engine.call("POST", &format!("/containers/{name}/start"), None).await;
    assert_eq!(started.status, 204, "{}", started.text());
    watch.lap("start");
    let inspected = world.engine.inspect(&name).await.unwrap();
    let address = inspected["NetworkSettings"]["IPAddress"].as_str().unwrap();
    answers(format!("{address}:8080").parse().unwrap(), "/health", 200).await;
    watch.lap("healthy");
    let steps = watch.steps();
    let ready = steps.last().map_or(0.0, |step| step.until);
    Boot { ready, completed: ready, steps, calls: BTreeMap::new(), usage: None }
}
