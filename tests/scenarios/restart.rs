//! What stops and starts again: the agent killed, the app gone, the instance asked to end.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use berth_kit::{Agent, World, client};
use serde_json::Value;
use tokio::task::{JoinHandle, LocalSet};

use crate::steps::{container, ready_answers, until};
use crate::{BERTH, SOON};

/// A client that asks the app again and again, each time on a connection of its own.
struct Client {
    answers: Rc<Cell<usize>>,
    asking: JoinHandle<()>,
}

impl Client {
    /// Fails the test, when it is stopped or waited for, if one question was not answered as it should.
    fn start(app: SocketAddr) -> Self {
        let answers = Rc::<Cell<usize>>::default();
        let counted = Rc::clone(&answers);
        let asking = tokio::task::spawn_local(async move {
            loop {
                let answer = client::over_tcp(app, client::request("GET", "/")).await;
                assert_eq!(answer.expect("the app answers").status, 200);
                counted.set(counted.get() + 1);
            }
        });
        Self { answers, asking }
    }

    /// Waits for so many more answers.
    async fn hears(&self, more: usize) {
        let enough = self.answers.get() + more;
        until("the app answered", async || {
            assert!(!self.asking.is_finished(), "one question was not answered");
            self.answers.get() >= enough
        })
        .await;
    }
}

async fn exits(agent: &Agent, code: i32) {
    // It goes without an answer.
    let _ = client::over_tcp(agent.app_address().await, client::request("GET", &format!("/exit?code={code}"))).await;
}

#[tokio::test]
async fn an_agent_that_was_killed_adopts_its_container_and_no_client_notices() {
    let story = async {
        let world = World::start().await;
        let image = world.app_image();
        world.secrets.put("prod/api", r#"{"KEY":"value"}"#);
        world.user_data(&format!("berth image={} port=0:8080 health=/health secrets=prod/api", image.by_digest()));
        let agent = world.launch(BERTH.as_ref()).await;
        agent.ready_within(SOON).await;
        world.autoscaling.wait_for_state("InService", SOON).await;
        let before = container(&world).await;
        let asked = world.journal.count("registry");

        let client = Client::start(agent.app_address().await);
        client.hears(20).await;
        agent.kill9().await;
        client.hears(20).await;
        let agent = world.relaunch(BERTH.as_ref()).await;
        agent.ready_within(SOON).await;
        client.hears(20).await;

        let (after, status) = (container(&world).await, agent.status().await);
        assert_eq!(after["Id"], before["Id"]);
        assert_eq!(after["State"]["StartedAt"], before["State"]["StartedAt"]);
        assert_eq!((&status["container"]["adopted"], &status["container"]["id"]), (&true.into(), &before["Id"]));
        assert_eq!(world.journal.count("registry"), asked, "{}", world.journal.text());
        // The instance is in service: no hook waits for it any more.
        until("nothing to complete", async || {
            let hook = agent.status().await["lifecycle"]["hooks"][0].clone();
            hook["state"] == "nothing_to_complete" && hook["instance_state"] == "InService"
        })
        .await;
        assert_eq!(world.autoscaling.completions().len(), 1);
        assert_eq!(world.journal.count("autoscaling CompleteLifecycleAction"), 1, "{}", world.journal.text());
    };
    LocalSet::new().run_until(story).await;
}

#[tokio::test]
async fn a_running_container_is_adopted_although_the_registry_and_the_secrets_say_no() {
    let world = World::start().await;
    let image = world.app_image();
    world.secrets.put("prod/api", r#"{"KEY":"value"}"#);
    world.user_data(&format!("berth image={} port=0:8080 health=/health secrets=prod/api", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    let before = container(&world).await;
    agent.kill9().await;

    world.secrets.deny("prod/api");
    world.registry.deny(&world.name);
    let agent = world.relaunch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    assert_eq!(container(&world).await["Id"], before["Id"]);
}

#[tokio::test]
async fn another_config_replaces_the_container() {
    let world = World::start().await;
    let image = world.app_image();
    world.user_data(&format!("berth image={} port=0:8080 health=/health env.COLOR=red", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    let before = container(&world).await;
    agent.kill9().await;

    let agent = world.launcher(BERTH.as_ref()).arg("env.COLOR=blue").start().await;
    agent.ready_within(SOON).await;
    let after = container(&world).await;
    assert_ne!(after["Id"], before["Id"]);
    assert!(after["Config"]["Env"].to_string().contains("COLOR=blue"));
    assert_eq!(agent.status().await["container"]["adopted"], false);
    assert!(world.engine.inspect(before["Id"].as_str().unwrap()).await.is_none());
}

#[tokio::test]
async fn an_app_that_exits_is_started_again_after_the_backoff() {
    let world = World::start().await;
    let image = world.app_image();
    world.secrets.put("prod/api", r#"{"KEY":"value"}"#);
    world.user_data(&format!(
        "berth image={} port=0:8080 health=/health secrets=prod/api restart.backoff=2s",
        image.by_tag()
    ));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    let before = container(&world).await;
    exits(&agent, 7).await;
    let answer = ready_answers(&agent, 503).await;
    assert_eq!(answer["status"], "unhealthy");
    assert_eq!(answer["reason"], "the app exited");
    assert_eq!(agent.status().await["reason"], "the app exited with code 7");

    agent.ready_within(SOON).await;
    let after = container(&world).await;
    assert_eq!(after["Id"], before["Id"]);
    // The jitter takes at most half of the backoff.
    let waited = between(&after["State"]["FinishedAt"], &after["State"]["StartedAt"]);
    assert!((1.0..30.0).contains(&waited), "{waited} s");
    assert_eq!(agent.status().await["restarts"], 1);
    assert_eq!(agent.app("/env/KEY").await.status, 200);
}

#[tokio::test]
async fn a_container_that_somebody_removes_is_created_again_and_that_is_one_restart() {
    let world = World::start().await;
    let image = world.app_image();
    world.secrets.put("prod/api", r#"{"KEY":"value"}"#);
    world.user_data(&format!(
        "berth image={} port=0:8080 health=/health secrets=prod/api restart.backoff=2s restart.limit=3",
        image.by_tag()
    ));
    let agent = world.launch(BERTH.as_ref()).await;
    let call = async |method: &str, path: &str| {
        let answer = world.engine.call(method, path, None).await;
        assert!(answer.status < 300, "{method} {path}: {}", answer.text());
    };
    let name = world.container();
    for (restarts, how) in ["in the backoff", "while it runs", "with its image"].into_iter().enumerate() {
        agent.ready_within(SOON).await;
        let before = container(&world).await;
        if how == "in the backoff" {
            call("POST", &format!("/containers/{name}/kill")).await;
            ready_answers(&agent, 503).await;
        }
        call("DELETE", &format!("/containers/{name}?force=true")).await;
        if how == "with its image" {
            call("DELETE", &format!("/images/{}?force=true", image.by_digest())).await;
        }
        until("a restart", async || agent.status().await["restarts"] == restarts + 1).await;
        agent.ready_within(SOON).await;
        let after = container(&world).await;
        assert_ne!(after["Id"], before["Id"], "{how}");
        assert_eq!(agent.app("/env/KEY").await.status, 200, "{how}: its secrets are there");
    }
    assert_eq!(agent.status().await["restarts"], 3);
    assert_eq!(world.autoscaling.health().as_deref(), Some("Healthy"));
}

#[tokio::test]
async fn an_app_that_exits_too_often_gives_the_instance_back() {
    let world = World::start().await;
    let image = world.app_image();
    world.user_data(&format!(
        "berth image={} port=0:8080 health=/health restart.backoff=100ms restart.limit=1",
        image.by_tag()
    ));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    exits(&agent, 7).await;
    until("a restart", async || agent.status().await["restarts"] == 1).await;
    agent.ready_within(SOON).await;
    exits(&agent, 8).await;
    assert_eq!(agent.exit_within(SOON).await, 4);
    assert_eq!(world.autoscaling.health().as_deref(), Some("Unhealthy"));
    let words = world.console_text();
    assert!(words.contains("the app cannot be kept running: the app exited with code 8, after 1 restarts"), "{words}");
}

#[tokio::test]
async fn sigterm_stops_the_app_and_ends_with_0() {
    let world = World::start().await;
    let image = world.app_image();
    world.secrets.put("prod/api", r#"{"KEY":"value"}"#);
    world.user_data(&format!(
        "berth image={} port=0:8080 health=/health secrets=prod/api stop_timeout=1h",
        image.by_tag()
    ));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    let secrets = world.run_dir().join("secrets").join(world.container());
    assert!(secrets.exists());
    agent.signal("TERM");
    assert_eq!(agent.exit_within(SOON).await, 0);
    let state = &container(&world).await["State"];
    assert_eq!((&state["Running"], &state["ExitCode"]), (&false.into(), &(128 + 15).into()));
    assert!(!secrets.exists());
}

/// An app that is deaf to its stop signal.
async fn deaf(world: &World, stop_timeout: &str) -> Agent {
    let image = world.app_image();
    world.user_data(&format!(
        "berth image={} port=0:8080 health=/health stop_signal=SIGWINCH stop_timeout={stop_timeout}",
        image.by_tag()
    ));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    let app = agent.app_address().await;
    agent.signal("TERM");
    let answer = ready_answers(&agent, 503).await;
    assert_eq!(answer["status"], "draining");
    assert_eq!(client::over_tcp(app, client::request("GET", "/")).await.unwrap().status, 200);
    agent
}

#[tokio::test]
async fn an_app_that_does_not_stop_is_killed_after_its_stop_timeout() {
    let world = World::start().await;
    let agent = deaf(&world, "3s").await;
    assert_eq!(agent.exit_within(SOON).await, 0);
    let state = &container(&world).await["State"];
    assert_eq!(state["ExitCode"], 128 + 9);
    let log = agent.log_text();
    let asked: Value =
        serde_json::from_str(log.lines().find(|line| line.contains("> StopContainer")).unwrap()).unwrap();
    let waited = between(&asked["timestamp"], &state["FinishedAt"]);
    assert!((3.0..30.0).contains(&waited), "{waited} s");
}

#[tokio::test]
async fn a_second_sigterm_means_now() {
    let world = World::start().await;
    let agent = deaf(&world, "1h").await;
    agent.signal("TERM");
    assert_eq!(agent.exit_within(SOON).await, 5);
    assert_eq!(container(&world).await["State"]["ExitCode"], 128 + 9);
}

/// Seconds between two moments of less than a day, as the engine and the log write them: `2026-11-21T03:38:41.123456789Z`.
fn between(earlier: &Value, later: &Value) -> f64 {
    (of_day(later) - of_day(earlier)).rem_euclid(86_400.0)
}

/// Seconds since midnight.
pub(crate) fn of_day(moment: &Value) -> f64 {
    let (_, time) = moment.as_str().and_then(|text| text.split_once('T')).expect("a moment");
    let figures = time.trim_end_matches('Z').split(':').map(|part| part.parse::<f64>().expect("a figure"));
    figures.fold(0.0, |sum, figure| sum * 60.0 + figure)
}
