//! What the shipped binary says on its socket and prints as JSON is what `docs/schema` says, from the boot to the record of a life.

use std::fs;
use std::sync::{Arc, Mutex};

use berth_kit::{World, schema};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::commands::{berth, out};
use crate::steps::until;
use crate::{BERTH, SOON};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn everything_that_the_agent_says_in_a_life_is_what_the_schemas_say() {
    let world = World::start().await;
    let image = world.app_image();
    world.user_data(&format!(
        "berth image={} port=0:8080 health=/health drain.settle=1s drain.timeout=5s",
        image.by_tag()
    ));
    let agent = world.launch(BERTH.as_ref()).await;
    until("the socket answers", async || agent.local("GET", "/v1/status").await.is_some()).await;

    // The stream is read to its end, which is the agent's.
    let mut stream = UnixStream::connect(agent.socket()).await.unwrap();
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: berth\r\n\r\n").await.unwrap();
    let heard = Arc::new(Mutex::new(String::new()));
    let listener = tokio::spawn({
        let heard = heard.clone();
        async move {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            *heard.lock().unwrap() = String::from_utf8(bytes).unwrap();
        }
    });

    let mut statuses = vec![agent.status().await];
    agent.ready_within(SOON).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    statuses.push(agent.status().await);
    let (status, timeline) = (berth(&world, &["status", "--json"]).await, berth(&world, &["timeline", "--json"]).await);
    statuses.push(json(&out(&status)));
    let mut timelines = vec![json(&out(&timeline))];
    agent.signal("TERM");
    agent.phase_within("drain", SOON).await;
    statuses.push(agent.status().await);
    timelines.push(json(&out(&berth(&world, &["timeline", "--json"]).await)));
    assert_eq!(agent.exit_within(SOON).await, 0);
    listener.await.unwrap();

    // What is between the lines of JSON is of the transfer coding.
    let heard = heard.lock().unwrap().clone();
    let lines: Vec<Value> = heard.lines().filter(|line| line.starts_with('{')).map(json).collect();
    let last = lines.last().expect("lines");
    assert_eq!((&last["effect"], &last["exit_code"]), (&"exit".into(), &0.into()), "{last}");
    assert!(lines.iter().any(|line| line["event"] == "container_started"), "{heard}");
    schema::agree("events.json", &lines);
    schema::agree("status.json", &statuses);
    let drain = &statuses.last().unwrap()["drain"];
    assert_eq!((&drain["cause"], &drain["cut_short"]), (&"signal".into(), &false.into()), "{drain}");

    let record = json(&fs::read_to_string(world.state_dir().join("last-life.json")).unwrap());
    let shown = json(&out(&berth(&world, &["status", "--json"]).await));
    timelines.push(json(&out(&berth(&world, &["timeline", "--json"]).await)));
    schema::agree("last-life.json", &[record, shown]);
    schema::agree("timeline.json", &timelines);
}
