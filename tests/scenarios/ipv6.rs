//! An instance in an IPv6-only subnet: the agent has a network of its own without any IPv4 address, and no word of where the metadata is.

use std::net::IpAddr;

use berth_kit::World;
use berth_kit::network::{Outside, alone};
use berth_kit::world::{METADATA, METADATA6};
use serde_json::Value;

use crate::commands::{berth, err, out};
use crate::{BERTH, SOON};

const UP: &str = "link set lo up";
const WITHOUT_IPV4: [&str; 3] = [UP, "address delete 127.0.0.1/8 dev lo", HAS_IPV6];
const HAS_IPV4: &str = "address add 169.254.169.254/32 dev lo";
const HAS_IPV6: &str = "address add fd00:ec2::254/128 dev lo nodad";

/// An app whose health the engine is asked for: its container has IPv4 where the engine is.
async fn instance(outside: &Outside, metadata: impl Into<IpAddr>) -> World {
    let world = World::builder().alone(outside, metadata).start().await;
    world.secrets.put("prod/api", r#"{"KEY":"value"}"#);
    let image = world.app_image().by_tag();
    let words = "port=0:8080 health='cmd:/app probe' secrets=prod/api config=ssm:/prod/more drain.settle=0s";
    world.parameters.put_secure("/prod/more", "berth env.COLOR=blue");
    world.user_data(&format!("berth image={image} {words}"));
    world
}

#[test]
fn a_whole_life_without_any_ipv4_address() {
    alone(&WITHOUT_IPV4, async |outside| {
        let world = instance(&outside, METADATA6).await;
        let agent = world.launch(BERTH.as_ref()).await;
        agent.ready_within(SOON).await;
        let address = agent.endpoint().await;
        assert!(address.is_ipv6(), "{address}");
        assert_eq!(agent.http("/ready").await.json()["status"], "ok");
        assert_eq!(world.autoscaling.completions().len(), 1, "the launch hook");
        assert_eq!(world.journal.count("imds PUT token"), 1);

        world.autoscaling.terminate();
        world.autoscaling.enter_wait();
        assert_eq!(agent.exit_within(SOON).await, 0);
        assert_eq!(world.autoscaling.completions().len(), 2, "and the termination hook");
    });
}

#[test]
fn the_metadata_are_asked_by_ipv4_where_that_answers() {
    alone(&[UP, HAS_IPV4, HAS_IPV6], async |outside| {
        let world = instance(&outside, METADATA).await;
        let six = World::builder().alone(&outside, METADATA6).start().await;
        let agent = world.launch(BERTH.as_ref()).await;
        agent.ready_within(SOON).await;
        agent.signal("TERM");
        assert_eq!(agent.exit_within(SOON).await, 0);
        assert_eq!(six.journal.entries().len(), 0);
    });
}

#[test]
fn an_endpoint_on_every_address_answers_by_both_versions_of_ip() {
    alone(&[UP, HAS_IPV6], async |outside| {
        let world = instance(&outside, METADATA6).await;
        let agent = world.launcher(BERTH.as_ref()).listen(([0_u16; 8], 0)).start().await;
        agent.ready_within(SOON).await;
        let port = agent.endpoint().await.port();
        for loopback in ["127.0.0.1", "::1"] {
            let address = (loopback.parse::<IpAddr>().unwrap(), port).into();
            let answer = berth_kit::client::over_tcp(address, berth_kit::client::request("GET", "/ready")).await;
            assert_eq!(answer.unwrap().status, 200, "{loopback}");
        }
    });
}

#[test]
fn doctor_says_what_is_different_without_ipv4() {
    alone(&WITHOUT_IPV4, async |outside| {
        let world = instance(&outside, METADATA6).await;
        let report = async || {
            let output = berth(&world, &["doctor", "--json"]).await;
            let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", err(&output)));
            (output.status.code(), report)
        };
        let verdicts = |report: &Value, name: &str| -> Vec<String> {
            let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["name"] == name);
            checks
                .map(|check| format!("{}: {}", check["verdict"].as_str().unwrap(), check["found"].as_str().unwrap()))
                .collect()
        };
        let (code, report) = report().await;
        assert_eq!(code, Some(0), "{report:#}");
        let network = verdicts(&report, "network");
        assert!(network.len() == 1 && network[0].starts_with("ok: IPv6 only"), "{network:?}");
        assert!(verdicts(&report, "metadata")[0].starts_with(&format!("ok: {}", world.instance_id)));
        let listen = verdicts(&report, "listen");
        assert!(listen.iter().any(|line| line == "warn: 0.0.0.0:9911 is reached by IPv4 only"), "{listen:?}");
        assert_eq!(verdicts(&report, "registry"), [""; 0]);

        let text = out(&berth(&world, &["doctor"]).await);
        assert!(text.contains("set `listen=[::]:9911`"), "{text}");
    });
}
