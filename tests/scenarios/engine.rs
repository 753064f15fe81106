//! The engine beside a serving app: away and back, and what the kernel does to a container.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use berth_kit::agent::post;
use berth_kit::{World, client};
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::steps::{container, ready_answers, until};
use crate::{BERTH, SOON};

/// A socket in front of the real engine's, which can be closed as by an engine that is restarted.
struct Relay {
    directory: TempDir,
    engine: PathBuf,
    connections: Arc<Mutex<JoinSet<()>>>,
}

impl Relay {
    fn open(world: &World) -> Self {
        let engine = PathBuf::from(world.engine.host().trim_start_matches("unix://"));
        let directory = tempfile::Builder::new().prefix("berth").tempdir().unwrap();
        let relay = Self { directory, engine, connections: Arc::default() };
        relay.reopen();
        relay
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    /// Cuts every connection and refuses new ones.
    fn close(&self) {
        self.connections.lock().unwrap().abort_all();
        std::fs::remove_file(self.path()).unwrap();
    }

    fn reopen(&self) {
        let listener = UnixListener::bind(self.path()).unwrap();
        let (engine, connections) = (self.engine.clone(), Arc::clone(&self.connections));
        let open = async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let engine = engine.clone();
                connections.lock().unwrap().spawn(async move {
                    let mut engine = UnixStream::connect(engine).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut engine).await;
                });
            }
        };
        self.connections.lock().unwrap().spawn(open);
    }
}

#[tokio::test]
async fn an_engine_that_was_away_is_asked_again_and_the_app_served_all_along() {
    let world = World::start().await;
    let image = world.app_image();
    world.user_data(&format!("berth image={} port=0:8080 health=/health probe.interval=200ms", image.by_tag()));
    let relay = Relay::open(&world);
    let host = format!("unix://{}", relay.path().display());
    let agent = world.launcher(BERTH.as_ref()).env("DOCKER_HOST", host).start().await;
    agent.ready_within(SOON).await;
    let before = container(&world).await;

    relay.close();
    until("asked in vain", async || agent.log_text().matches("Failed WatchContainer").count() >= 3).await;
    assert_eq!(agent.http("/ready").await.status, 200);
    assert_eq!(agent.app("/").await.status, 200);
    relay.reopen();
    let watched = |log: &str| log.rfind("> WatchContainer") > log.rfind("Failed WatchContainer");
    until("watched again", async || watched(&agent.log_text())).await;
    let after = container(&world).await;
    assert_eq!((&after["Id"], &after["State"]["StartedAt"]), (&before["Id"], &before["State"]["StartedAt"]));
    assert_eq!(agent.status().await["restarts"], 0);

    // And watched indeed: the next exit is heard.
    let _ = client::over_tcp(agent.app_address().await, client::request("GET", "/exit?code=7")).await;
    until("a restart", async || agent.status().await["restarts"] == 1).await;
    agent.ready_within(SOON).await;
}

#[tokio::test]
async fn an_app_that_stays_unhealthy_is_restarted() {
    let world = World::start().await;
    let image = world.app_image();
    world.user_data(&format!(
        "berth image={} port=0:8080 health=/health probe.interval=200ms restart.backoff=4s",
        image.by_tag()
    ));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    let before = container(&world).await;
    assert_eq!(post(agent.app_address().await, "/sick").await.status, 200);
    assert_eq!(ready_answers(&agent, 503).await["status"], "unhealthy");
    let reason = "the app stays unhealthy: /health answers 503";
    until(reason, async || agent.status().await["reason"].as_str().unwrap().starts_with(reason)).await;
    assert_eq!(agent.http("/ready").await.json()["reason"], "the app fails its health check");
    agent.ready_within(SOON).await;
    assert_eq!(agent.status().await["restarts"], 1);
    let after = container(&world).await;
    assert_eq!(after["Id"], before["Id"], "the same container");
    assert_ne!(after["State"]["StartedAt"], before["State"]["StartedAt"]);
}

#[tokio::test]
async fn an_app_that_the_kernel_killed_for_memory_is_reported_so_and_started_again() {
    let world = World::start().await;
    let image = world.app_image();
    world
        .user_data(&format!("berth image={} port=0:8080 health=/health memory=32m restart.backoff=2s", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    // It goes without an answer.
    let _ = client::over_tcp(agent.app_address().await, client::request("GET", "/eat?mb=64")).await;
    let answer = ready_answers(&agent, 503).await;
    assert_eq!(answer["reason"], "the app exited");
    assert_eq!(agent.status().await["reason"], "the app was killed by the kernel, out of memory (code 137)");
    agent.ready_within(SOON).await;
    assert_eq!(agent.status().await["restarts"], 1);
}
