//! What is known of an agent that ended: to the next agent, which goes on with its drain, and to people, through `berth status`.

use std::fs;
use std::time::{Duration, Instant};

use berth_kit::{Agent, WebSocket, World, client};
use serde_json::Value;

use crate::commands::{berth, err, out};
use crate::steps::{container, own_address, until};
use crate::{BERTH, SOON};

/// Short waits, for a short test. The line may override them.
const QUICK: &str = r#"
    stop_timeout = "2s"
    drain = { settle = "1s", idle = "300ms", timeout = "20s" }
    lifecycle = { poll = "500ms" }
"#;

/// A serving instance whose launch is over.
async fn serving(more: &str) -> (World, Agent) {
    let world = World::start().await;
    let image = world.app_image();
    world.ami_defaults(QUICK);
    world.user_data(&format!("berth image={} port=0:8080 health=/health {more}", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    (world, agent)
}

fn record(world: &World) -> Value {
    let text = fs::read(world.state_dir().join("last-life.json")).expect("a record");
    serde_json::from_slice(&text).expect("JSON")
}

/// What `berth status` says when no agent runs.
async fn status(world: &World) -> String {
    let printed = berth(world, &["status"]).await;
    assert_eq!(printed.status.code(), Some(1), "{}", err(&printed));
    assert!(err(&printed).contains("no berth agent is running"), "{}", err(&printed));
    out(&printed)
}

#[tokio::test]
async fn status_and_timeline_show_how_the_last_life_ended_why_and_when() {
    let (world, agent) = serving("").await;
    assert_eq!(berth(&world, &["drain", "--reason", "the disk", "--wait"]).await.status.code(), Some(0));
    assert_eq!(agent.exit_within(SOON).await, 0);

    let screen = status(&world).await;
    let mut lines = screen.lines();
    let first = lines.next().unwrap();
    assert!(
        first.starts_with("the last agent ended at 2") && first.ends_with("Z with exit code 0 (drained)"),
        "{screen}"
    );
    let second = lines.next().unwrap();
    assert!(second.starts_with("drained after ") && second.contains("berth drain (the disk)"), "{screen}");
    for fact in [world.instance_id.clone(), world.container(), "settling".to_owned(), "stopping".to_owned()] {
        assert!(screen.contains(&fact), "{fact} in\n{screen}");
    }

    let json = berth(&world, &["status", "--json"]).await;
    assert_eq!(json.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["phase"], &json["last_life"]["exit_code"]), (&"gone".into(), &0.into()));
    assert_eq!(json, record(&world));
    let phases: Vec<_> = json["phases"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(phases, ["boot", "serve", "drain", "gone"]);

    let timeline = berth(&world, &["timeline"]).await;
    assert_eq!(timeline.status.code(), Some(0), "{}", err(&timeline));
    assert!(err(&timeline).contains("no agent runs; the last agent ended at 2"), "{}", err(&timeline));
    assert!(out(&timeline).contains("\n  drain ") && !out(&timeline).contains("going on\n"), "{}", out(&timeline));
    let watched = berth(&world, &["status", "--watch"]).await;
    assert_eq!((watched.status.code(), out(&watched)), (Some(1), screen));
}

#[tokio::test]
async fn a_failed_boot_is_shown_with_its_reason() {
    let world = World::start().await;
    world.user_data(&format!("berth image={} port=0:8080", world.app_image().by_tag().replace(":v1", ":v9")));
    let agent = world.launch(BERTH.as_ref()).await;
    assert_eq!(agent.exit_within(SOON).await, 3);
    let screen = status(&world).await;
    assert!(screen.lines().next().unwrap().ends_with("with exit code 3 (the boot failed)"), "{screen}");
    assert!(screen.lines().nth(1).unwrap().starts_with("the boot failed: "), "{screen}");
}

#[tokio::test]
async fn an_agent_that_was_killed_left_no_final_status_and_status_says_so() {
    let (world, agent) = serving("").await;
    until("the record of serve", async || record(&world)["phase"] == "serve").await;
    agent.kill9().await;
    let screen = status(&world).await;
    assert!(screen.starts_with("the last agent left no final status: it was killed"), "{screen}");
    assert!(screen.contains("when it last wrote its record, at 2") && screen.contains("it was in serve"), "{screen}");
    assert_eq!(record(&world)["last_life"]["exit_code"], Value::Null);
}

#[tokio::test]
async fn a_record_that_cannot_be_written_or_read_holds_no_boot_and_no_drain_up() {
    let world = World::start().await;
    let image = world.app_image();
    world.ami_defaults(QUICK);
    world.user_data(&format!("berth image={} port=0:8080 health=/health", image.by_tag()));
    // A directory in its place cannot be replaced by a file.
    fs::create_dir_all(world.state_dir().join("last-life.json")).unwrap();
    fs::create_dir_all(world.run_dir()).unwrap();
    fs::write(world.run_dir().join("drain.json"), "not a note").unwrap();
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    agent.log_within("cannot write the record of this run: cannot write", SOON).await;
    assert!(agent.log_text().contains("is not a note of this version of berth"), "the note: {}", agent.log_text());
    agent.signal("TERM");
    assert_eq!(agent.exit_within(SOON).await, 0);
    let printed = berth(&world, &["status"]).await;
    assert!(printed.status.code() == Some(1) && err(&printed).contains("cannot read"), "{}", err(&printed));

    fs::remove_dir(world.state_dir().join("last-life.json")).unwrap();
    fs::write(world.state_dir().join("last-life.json"), "{}").unwrap();
    for command in ["status", "timeline"] {
        let printed = berth(&world, &[command]).await;
        let stderr = err(&printed);
        assert!(
            printed.status.code() == Some(1) && stderr.contains("last-life.json: it is not the record of a run"),
            "{stderr}"
        );
    }
}

#[tokio::test]
async fn what_an_earlier_life_left_in_an_ami_suppresses_no_boot() {
    let (world, agent) = serving("").await;
    agent.signal("TERM");
    assert_eq!(agent.exit_within(SOON).await, 0);
    // As if the instance that the AMI was made from had been in a drain.
    let note = r#"{"written_ms":1,"note":{"instance_id":"i-0fedcba9876543210","cause":{"Asked":"the builder"},"signals":0,
        "age":{"secs":1,"nanos":0},"stopping":null,"completing":null,"cut_in":null,"clean":true}}"#;
    fs::write(world.run_dir().join("drain.json"), note).unwrap();
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    assert!(!world.run_dir().join("drain.json").exists(), "no other agent uses it");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "how long a drain takes is the case")]
async fn ten_kills_in_a_drain_make_it_no_longer_and_never_ready() {
    let (world, mut agent) = serving("drain.settle=3s drain.timeout=6s").await;
    let mut socket = WebSocket::open(agent.app_address().await).await.unwrap();
    world.autoscaling.terminate();
    world.autoscaling.enter_wait();
    agent.phase_within("drain", SOON).await;
    let (began, mut starting) = (Instant::now(), Duration::ZERO);
    for kill in 1..=10_u32 {
        // Each kill in another tenth of the time.
        let due = Duration::from_millis(800) * kill;
        until("its turn", async || began.elapsed() >= due || !agent.runs()).await;
        if !agent.runs() {
            break;
        }
        let killed = Instant::now();
        agent.kill9().await;
        agent = world.launch(BERTH.as_ref()).await;
        agent.phase_within("drain", SOON).await;
        starting += killed.elapsed();
    }
    agent.log_within("> StopContainer", SOON).await;
    // A drain that each start began again would take 17 s, and the starts.
    let took = began.elapsed().saturating_sub(starting);
    assert!(took < Duration::from_secs(14), "{took:?} of 9 s, without the starts");
    socket.echo("until the end").await.unwrap_or_default();
    assert_eq!(agent.exit_within(SOON).await, 5, "a client was cut");
    assert!(!world.run_dir().join("drain.json").exists());
}

#[tokio::test]
async fn a_drain_that_a_person_asked_for_goes_on_after_a_crash_and_a_start_by_hand_after_a_stop_serves() {
    let (world, agent) = serving("drain.settle=4s").await;
    assert_eq!(berth(&world, &["drain", "--reason", "the disk"]).await.status.code(), Some(0));
    agent.phase_within("drain", SOON).await;
    agent.kill9().await;
    let again = world.launch(BERTH.as_ref()).await;
    again.phase_within("drain", SOON).await;
    assert!(again.status().await["reason"].as_str().unwrap().starts_with("berth drain (the disk)"));
    assert_eq!(again.exit_within(SOON).await, 0);
    assert!(!again.log_text().contains("\"phase\":\"serve\""), "{}", again.log_text());
    assert!(world.console_text().contains("berth drain (the disk)"), "{}", world.console_text());

    let started = world.launch(BERTH.as_ref()).await;
    started.ready_within(SOON).await;
    started.signal("TERM");
    started.phase_within("drain", SOON).await;
    started.kill9().await;
    let started = world.launch(BERTH.as_ref()).await;
    started.ready_within(SOON).await;
    assert_eq!(container(&world).await["State"]["Running"], true);
}

#[tokio::test]
async fn after_a_kill_in_a_drain_the_endpoint_answers_where_the_config_says() {
    let world = World::start().await;
    let (image, address) = (world.app_image(), own_address());
    world.ami_defaults(QUICK);
    world.user_data(&format!("berth image={} port=0:8080 listen={address} drain.settle=10s", image.by_tag()));
    let agent = world.launcher(BERTH.as_ref()).listen_as_configured().start().await;
    let ready = async || client::over_tcp(address, client::request("GET", "/ready")).await.ok();
    until("ready", async || ready().await.is_some_and(|answer| answer.status == 200)).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    world.autoscaling.terminate();
    world.autoscaling.enter_wait();
    agent.phase_within("drain", SOON).await;
    agent.kill9().await;
    assert!(ready().await.is_none(), "no process keeps the listener");
    let again = world.launcher(BERTH.as_ref()).listen_as_configured().start().await;
    until("503 at the configured port", async || ready().await.is_some_and(|answer| answer.status == 503)).await;
    assert!(again.runs() && again.status().await["phase"] == "drain");
    assert_eq!(again.exit_within(SOON).await, 0);
}
