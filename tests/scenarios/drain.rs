//! The drain: in the right order whatever comes first, with the hook completed once, and as fast as the app's clients allow.

use std::time::{Duration, SystemTime};

use berth_kit::{Agent, Fault, Image, WebSocket, World, client};

use crate::steps::{container, until};
use crate::{BERTH, SOON};

/// Short waits, for a short test. The line may override them.
const QUICK: &str = r#"
    stop_timeout = "2s"
    drain = { settle = "1s", idle = "500ms", timeout = "20s" }
    lifecycle = { poll = "500ms" }
"#;

/// One poll of the metadata.
const STATE: &str = "imds GET meta-data/autoscaling/target-lifecycle-state";

/// A serving instance whose launch is over.
async fn serving(more: &str) -> (World, Agent) {
    let world = World::start().await;
    let agent = serving_in(&world, more).await;
    (world, agent)
}

async fn serving_in(world: &World, more: &str) -> Agent {
    let image = world.app_image();
    world.ami_defaults(QUICK);
    world.user_data(&format!("berth image={} port=0:8080 health=/health {more}", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    agent
}

fn results(world: &World) -> Vec<String> {
    world.autoscaling.completions().into_iter().map(|one| format!("{} {}", one.hook, one.result)).collect()
}

async fn app_runs(world: &World) -> bool {
    container(world).await["State"]["Running"] == true
}

#[tokio::test]
async fn a_terminated_instance_turns_503_drains_stops_and_then_completes_the_hook() {
    let (world, agent) = serving("").await;
    world.autoscaling.terminate();
    until("503", async || agent.http("/ready").await.status == 503).await;
    assert_eq!(agent.http("/ready").await.json()["status"], "draining");
    assert!(app_runs(&world).await, "the app serves until load balancers have seen the 503");
    assert_eq!(agent.app("/").await.status, 200);
    world.autoscaling.enter_wait();
    assert_eq!(agent.exit_within(SOON).await, 0);
    assert!(!app_runs(&world).await);
    assert_eq!(results(&world), ["launch CONTINUE", "terminate CONTINUE"]);
    assert!(world.console_text().contains("drained"), "{}", world.console_text());
}

#[tokio::test]
async fn completing_is_tried_until_the_hook_is_active() {
    let (world, agent) = serving("").await;
    world.autoscaling.terminate();
    world.journal.wait_for_count("autoscaling CompleteLifecycleAction", 2, SOON).await;
    assert!(agent.runs(), "refused, and tried again");
    assert!(!app_runs(&world).await);
    world.autoscaling.refuse_although_active(1);
    world.autoscaling.enter_wait();
    assert_eq!(agent.exit_within(SOON).await, 0);
    assert_eq!(results(&world), ["launch CONTINUE", "terminate CONTINUE"]);
}

#[tokio::test]
async fn an_expired_hook_is_given_up() {
    let (world, agent) = serving("").await;
    world.autoscaling.terminate();
    world.autoscaling.enter_wait();
    world.autoscaling.time_out();
    assert_eq!(agent.exit_within(SOON).await, 0);
    assert_eq!(
        results(&world),
        ["launch CONTINUE", "terminate ABANDON"],
        "the latter is the timeout's, not the agent's"
    );
    assert!(world.console_text().contains("expired"), "{}", world.console_text());
}

#[tokio::test]
async fn a_request_in_flight_is_answered_and_heartbeats_cover_it() {
    let (world, agent) = serving("lifecycle.heartbeat=1s").await;
    let address = agent.app_address().await;
    let slow = tokio::spawn(async move { client::over_tcp(address, client::request("GET", "/slow?ms=6000")).await });
    until("a connection", async || connections(&world).await > 0).await;
    world.autoscaling.terminate();
    world.autoscaling.enter_wait();
    assert_eq!(slow.await.unwrap().unwrap().status, 200);
    assert_eq!(agent.exit_within(SOON).await, 0);
    assert!(world.autoscaling.heartbeats() >= 3, "{} heartbeats", world.autoscaling.heartbeats());
    assert_eq!(results(&world), ["launch CONTINUE", "terminate CONTINUE"]);
}

/// Established connections to the app's port, as its own namespace lists them.
async fn connections(world: &World) -> usize {
    let pid = container(world).await["State"]["Pid"].to_string();
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    table.lines().filter(|line| line.contains(":1F90") && line.contains(" 01 ")).count()
}

#[tokio::test]
async fn a_websocket_is_served_until_it_closes_by_itself_and_the_drain_waits_for_it() {
    let (world, agent) = serving("").await;
    let mut socket = WebSocket::open(agent.app_address().await).await.unwrap();
    world.autoscaling.terminate();
    world.autoscaling.enter_wait();
    until("counted for some seconds", async || {
        socket.echo("still here").await.expect("it is served");
        agent.log_text().matches("ConnectionsCounted 1").count() >= 6
    })
    .await;
    assert!(app_runs(&world).await);
    socket.close().await.unwrap();
    assert_eq!(agent.exit_within(SOON).await, 0);
    assert_eq!(results(&world), ["launch CONTINUE", "terminate CONTINUE"]);
}

#[tokio::test]
async fn a_websocket_that_never_closes_is_cut_by_the_timeout() {
    let (world, agent) = serving("drain.timeout=4s").await;
    let mut socket = WebSocket::open(agent.app_address().await).await.unwrap();
    world.autoscaling.terminate();
    world.autoscaling.enter_wait();
    agent.log_within("ConnectionsCounted 1", SOON).await;
    socket.echo("until the end").await.unwrap();
    assert_eq!(agent.exit_within(SOON).await, 5);
    socket.echo("after the end").await.unwrap_err();
    assert_eq!(results(&world), ["launch CONTINUE", "terminate CONTINUE"]);
    assert!(world.console_text().contains("cut short"), "{}", world.console_text());
}

#[tokio::test]
async fn sigterm_drains_in_a_group_without_an_active_hook() {
    let (world, agent) = serving("").await;
    agent.signal("TERM");
    assert_eq!(agent.exit_within(SOON).await, 0);
    assert_eq!(results(&world), ["launch CONTINUE"]);
}

#[tokio::test]
async fn sigterm_and_the_group_at_once_complete_the_hook_once() {
    let (world, agent) = serving("").await;
    agent.signal("TERM");
    world.autoscaling.terminate();
    // The load balancer still deregisters the instance.
    world.journal.wait_for_count("autoscaling CompleteLifecycleAction terminate 400", 2, SOON).await;
    assert!(agent.runs(), "the group's hook is waited for");
    world.autoscaling.enter_wait();
    assert_eq!(agent.exit_within(SOON).await, 0);
    assert_eq!(results(&world), ["launch CONTINUE", "terminate CONTINUE"]);
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a spot notice has a moment of wall time")]
async fn a_second_notice_brings_a_nearer_deadline_and_no_second_drain() {
    let (world, agent) = serving("drain.settle=10m").await;
    world.autoscaling.terminate();
    world.autoscaling.enter_wait();
    agent.phase_within("drain", SOON).await;
    world.imds.spot_interruption("terminate", SystemTime::now() + Duration::from_secs(16));
    assert_eq!(agent.exit_within(SOON).await, 5, "drain.settle was cut short");
    assert_eq!(agent.log_text().matches("> StopContainer").count(), 1);
    assert_eq!(results(&world), ["launch CONTINUE", "terminate CONTINUE"]);
}

#[tokio::test]
async fn sigterm_during_a_drain_changes_nothing_and_a_second_means_now() {
    let (world, agent) = serving("drain.settle=30s").await;
    world.autoscaling.terminate();
    agent.phase_within("drain", SOON).await;
    agent.signal("TERM");
    agent.log_within("SIGTERM", SOON).await;
    assert!(agent.runs() && app_runs(&world).await);
    agent.signal("TERM");
    // A drain that settles to its end has 0.
    assert_eq!(agent.exit_within(SOON).await, 5);
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a spot notice has a moment of wall time")]
async fn spot_takes_the_instance_out_at_once_and_completes_the_hook_too() {
    let (world, agent) = serving("").await;
    world.autoscaling.put("Terminating", None);
    world.autoscaling.enter_wait();
    world.imds.target_state(Some("InService"));
    world.imds.spot_interruption("terminate", SystemTime::now() + Duration::from_secs(120));
    until("503", async || agent.http("/ready").await.status == 503).await;
    assert_eq!(agent.exit_within(SOON).await, 0);
    assert_eq!(results(&world), ["launch CONTINUE", "terminate CONTINUE"]);
}

/// A notice while the image is pulled.
async fn leaves_the_boot(notice: impl Fn(&World)) {
    let world = World::start().await;
    // A layer that no other test has: the engine fetches a layer once for all pulls, and this one never comes.
    let image = world.push("v1", &Image::scratch().layer_of_random(1024));
    world.fault("registry GET blob", Fault::Hang).always();
    world.ami_defaults(QUICK);
    world.user_data(&format!("berth image={} port=0:8080", image.by_digest()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.log_within("> PullImage", SOON).await;
    world.autoscaling.put("Terminating", Some("InService"));
    notice(&world);
    agent.phase_within("drain", SOON).await;
    world.autoscaling.enter_wait();
    assert_eq!(agent.exit_within(SOON).await, 0);
    assert_eq!(results(&world), ["terminate CONTINUE"]);
    assert!(world.engine.inspect(&world.container()).await.is_none());
}

#[tokio::test]
async fn a_notice_during_the_boot_starts_nothing() {
    leaves_the_boot(|world| world.imds.target_state(Some("Terminated"))).await;
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a spot notice has a moment of wall time")]
async fn spot_during_the_boot_starts_nothing() {
    leaves_the_boot(|world| world.imds.spot_interruption("terminate", SystemTime::now() + Duration::from_secs(60)))
        .await;
}

#[tokio::test]
async fn an_agent_killed_during_a_drain_drains_again_when_it_comes_back() {
    let (world, agent) = serving("drain.settle=5s").await;
    world.autoscaling.terminate();
    agent.phase_within("drain", SOON).await;
    agent.kill9().await;
    assert!(app_runs(&world).await);
    let again = world.relaunch(BERTH.as_ref()).await;
    again.phase_within("drain", SOON).await;
    assert!(app_runs(&world).await, "its clients keep their time");
    world.autoscaling.enter_wait();
    assert_eq!(again.exit_within(SOON).await, 0);
    assert!(!app_runs(&world).await);
    assert_eq!(results(&world), ["launch CONTINUE", "terminate CONTINUE"]);
}

#[tokio::test]
async fn metadata_that_stumbles_is_not_a_notice() {
    let (world, agent) = serving("").await;
    world.imds.expire_tokens();
    for fault in [Fault::Throttle, Fault::Status(503), Fault::ErrorPage(200), Fault::ErrorPage(500), Fault::Cut] {
        world.fault(STATE, fault).times(1);
    }
    let looks = async |more: usize| {
        let sofar = world.journal.count(STATE);
        world.journal.wait_for_count(STATE, sofar + more, SOON).await;
    };
    looks(9).await;
    for state in [None, Some(""), Some("Sideways"), Some("InService")] {
        world.imds.target_state(state);
        looks(3).await;
        assert_eq!(agent.http("/ready").await.status, 200, "{state:?}");
    }
    assert_eq!(agent.http("/ready").await.status, 200);
    world.autoscaling.terminate();
    world.autoscaling.enter_wait();
    assert_eq!(agent.exit_within(SOON).await, 0);
}

#[tokio::test]
async fn standby_is_503_with_the_app_running_and_comes_back() {
    let (world, agent) = serving("").await;
    world.autoscaling.put("Standby", Some("Standby"));
    until("standby", async || agent.http("/ready").await.json()["status"] == "standby").await;
    assert_eq!(agent.app("/").await.status, 200);
    world.autoscaling.put("InService", Some("InService"));
    until("ready", async || agent.http("/ready").await.status == 200).await;
}

#[tokio::test]
async fn a_warm_pool_prepares_waits_and_boots_when_it_is_called() {
    let world = World::start().await;
    let image = world.app_image();
    world.autoscaling.put("Warmed:Pending", Some("Warmed:Stopped"));
    world.autoscaling.enter_wait();
    world.secrets.put("prod/api", r#"{"PASSWORD":"not before it serves"}"#);
    world.ami_defaults(QUICK);
    world.user_data(&format!("berth image={} port=0:8080 secrets=prod/api", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.phase_within("warm", SOON).await;
    assert_eq!(agent.http("/ready").await.json()["status"], "warm");
    until("the hook", async || world.autoscaling.completions().len() == 1).await;
    assert_eq!(world.journal.count("secretsmanager"), 0);
    assert!(world.engine.inspect(&world.container()).await.is_none());

    let pulls = || agent.log_text().matches("> PullImage").count();
    let before = pulls();
    world.autoscaling.put("Pending", Some("InService"));
    world.autoscaling.enter_wait();
    agent.ready_within(SOON).await;
    until("the second hook", async || world.autoscaling.completions().len() == 2).await;
    assert_eq!(pulls(), before, "the layers were here");
}

#[tokio::test]
async fn rotated_secrets_reach_the_app_by_a_restart() {
    let world = World::start().await;
    let image = world.app_image();
    world.secrets.put("prod/api", r#"{"PASSWORD":"first"}"#);
    world.user_data(&format!("berth image={} port=0:8080 secrets=prod/api secrets_refresh=2s", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    let before = agent.app("/env/PASSWORD").await.text();
    world.secrets.put("prod/api", r#"{"PASSWORD":"second"}"#);
    agent.log_within("SecretsChecked changed", SOON).await;
    until("restarted", async || agent.status().await["restarts"] == 1).await;
    until("ready", async || agent.http("/ready").await.status == 200).await;
    assert_ne!(agent.app("/env/PASSWORD").await.text(), before);
}

#[tokio::test]
async fn in_steady_state_no_service_of_aws_is_called() {
    let (world, agent) = serving("").await;
    let services = ["autoscaling", "secretsmanager", "ssm", "ecr"];
    let calls = || services.map(|service| world.journal.count(service));
    let before = calls();
    let polls = world.journal.count(STATE);
    world.journal.wait_for_count(STATE, polls + 10, SOON).await;
    assert_eq!(calls(), before);
    assert_eq!(agent.http("/ready").await.status, 200);
}

/// A new root volume, and a boot of the same instance: the engine knows nothing of what it had.
async fn reboots_with_an_empty_disk(world: &World) {
    world.engine.remove(&world.container()).await;
    assert_eq!(world.engine.inspect(&world.container()).await, None);
}

#[tokio::test]
async fn a_root_volume_replacement_drains_completes_the_termination_hook_and_boots_again() {
    // The second word says nothing by itself: the group says what it does.
    for word in ["ReplacingRootVolume", "RootVolumeReplaced"] {
        let (world, agent) = serving("").await;
        world.autoscaling.replace_root_volume(word);
        until("503", async || agent.http("/ready").await.status == 503).await;
        world.autoscaling.enter_wait();
        assert_eq!(agent.exit_within(SOON).await, 0);
        assert_eq!(results(&world), ["launch CONTINUE", "terminate CONTINUE"]);
        assert!(world.console_text().contains("replacing the root volume"), "{}", world.console_text());

        reboots_with_an_empty_disk(&world).await;
        world.autoscaling.put("RootVolumeReplaced", Some(word));
        let agent = world.launch(BERTH.as_ref()).await;
        agent.ready_within(SOON).await;
        agent.log_within("InstanceDescribed RootVolumeReplaced", SOON).await;
        assert_eq!(agent.http("/ready").await.status, 200, "{}", agent.log_text());
        world.autoscaling.put("InService", Some("InService"));
        assert_eq!(results(&world).len(), 2, "no launch hook follows a replacement");
    }
}

#[tokio::test]
async fn a_drain_that_was_cut_short_is_retained_by_a_group_that_retains() {
    let (world, agent) = serving("drain.timeout=1s drain.on_failure=abandon").await;
    world.autoscaling.retain_on_abandon();
    let mut socket = WebSocket::open(agent.app_address().await).await.unwrap();
    socket.echo("here").await.unwrap();
    world.autoscaling.terminate();
    world.autoscaling.enter_wait();
    assert_eq!(agent.exit_within(SOON).await, 5);
    assert_eq!(results(&world), ["launch CONTINUE", "terminate ABANDON"]);
    assert_eq!(world.autoscaling.state().as_deref(), Some("Terminating:Retained"));
    assert!(world.console_text().contains("cut short"), "{}", world.console_text());

    // Started again by a person, it finds that there is nothing to complete.
    let agent = world.launch(BERTH.as_ref()).await;
    assert_eq!(agent.exit_within(SOON).await, 0, "{}", agent.log_text());
    assert!(world.console_text().contains("expired, the instance is Terminating:Retained"), "{}", world.console_text());
}

#[tokio::test]
async fn a_signal_ends_the_waiting_for_an_api_that_is_away_but_not_the_drain() {
    let world = World::start().await;
    // The hook's timeout is not known.
    let named = format!(
        "lifecycle.group={} lifecycle.launch_hook=launch lifecycle.terminate_hook=terminate",
        world.autoscaling.group()
    );
    let agent = serving_in(&world, &named).await;
    world.fault("autoscaling", Fault::Status(503)).always();
    world.autoscaling.terminate();
    world.journal.wait_for_count("autoscaling CompleteLifecycleAction", 2, SOON).await;
    let until = async || {
        let status = agent.status().await;
        let find = |one: &serde_json::Value| one["name"] == "termination_hook";
        status["deadlines"].as_array().unwrap().iter().find(|one| find(one)).unwrap()["at_seconds"].as_f64().unwrap()
    };
    let before = until().await;
    agent.signal("TERM");
    agent.log_within("Signalled SIGTERM", SOON).await;
    let after = until().await;
    let phase_since = agent.status().await["phase_since_seconds"].as_f64().unwrap();
    // 1 s of settling, 20 s for connections, 2 s for the stop, and a minute.
    assert!((before - phase_since - 83.0).abs() < 0.1, "{before}, {phase_since}");
    assert!(after < before && agent.runs(), "{after}, {before}");
    agent.signal("TERM");
    assert_eq!(agent.exit_within(SOON).await, 5);
}
