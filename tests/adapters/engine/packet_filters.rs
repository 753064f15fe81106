//! `imds=block` with each pair of packet filters: the engine sets its own rules with iptables on nftables, with iptables-legacy or not at
//! all, the agent with one of the two or with `nft`. The kernel asks all of them, so any pair must hold.

use std::os::unix::fs::symlink;
use std::path::Path;

use berth::io::docker::Engine;
use berth::io::host::metadata_block::MetadataBlock;
use berth::io::secret::deliver::Delivery;
use berth_core::message::container::ContainerId;
use berth_core::message::job::{Job, Ticket};
use berth_kit::OwnEngine;
use serde_json::json;
use tempfile::TempDir;

use super::restarted::{CONTAINER, HOST, METADATA, RUN_DIR, docker, import_app, run_part_with};
use super::test_network::{TestNetwork, sh};
use crate::whole::bare_adapters;

/// Says which part of the test a process is, as it was started in the engine's network namespace.
const PART: &str = "BERTH_TEST_PART";
const TEST: &str = "packet_filters::a_block_holds_whichever_packet_filter_engine_and_agent_use";

/// Commands as they are found in a PATH, and what they are on Debian.
const ON_NFTABLES: [(&str, &str); 2] = [("iptables", "xtables-nft-multi"), ("ip6tables", "xtables-nft-multi")];
const LEGACY: [(&str, &str); 2] = [("iptables", "xtables-legacy-multi"), ("ip6tables", "xtables-legacy-multi")];
const NFT: [(&str, &str); 1] = [("nft", "nft")];

/// A directory for a PATH with these commands. The machine's own choice (`update-alternatives`) is left alone.
fn commands(commands: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, program) in commands {
        symlink(Path::new("/usr/sbin").join(program), directory.path().join(name)).unwrap();
    }
    directory
}

/// The rules that bear this container's id, as each of the three lists them.
fn rules(net: &TestNetwork, id: &str) -> [usize; 3] {
    let there = format!("nsenter --net=/run/netns/{}", net.instance.as_ref().unwrap());
    let xtables = |program: &str| {
        format!(
            "{there} {program} iptables -w 5 -t raw -S PREROUTING; {there} {program} ip6tables -w 5 -t raw -S PREROUTING"
        )
    };
    let nft = format!("{there} nft list table inet berth || true");
    [xtables("xtables-nft-multi"), xtables("xtables-legacy-multi"), nft]
        .map(|lists| sh(&format!("({lists}) 2> /dev/null")).lines().filter(|line| line.contains(id)).count())
}

/// The agent's part, in the network namespace and with the PATH that this process was started with.
#[expect(clippy::print_stdout, reason = "the test that started it reads what it found")]
async fn play(part: &str) {
    let variable = |name: &str| std::env::var(name).unwrap();
    let (id, run_dir) = (ContainerId(variable(CONTAINER)), variable(RUN_DIR));
    let block = MetadataBlock::new(Path::new(&run_dir), &format!("http://{}", variable(METADATA)));
    match part {
        "hold" => {
            let bridges =
                Engine::new(Some(&variable(HOST))).unwrap().bridges(&id).await.unwrap().expect("it was created");
            block.hold(&id, &bridges).await.unwrap();
        }
        "check" => {
            let delivery = Delivery::new(Path::new(&run_dir));
            let adapters = bare_adapters("http://127.0.0.1:1", "http://127.0.0.1:1", &delivery, block);
            println!("CHECKED {}", adapters.perform(Ticket(1), Job::CheckMetadataBlock).await);
        }
        "lift" => block.lift(&id).await.unwrap(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_block_holds_whichever_packet_filter_engine_and_agent_use() {
    if let Ok(part) = std::env::var(PART) {
        return play(&part).await;
    }
    let path = std::env::var("PATH").unwrap();
    let engines = [("nftables", &ON_NFTABLES[..], true), ("legacy", &LEGACY, true), ("none", &[], false)];
    for (engine, programs, sets_rules) in engines {
        let Some(net) = TestNetwork::open_beside_an_engine() else { return };
        let mut own = OwnEngine::in_namespace(net.instance.as_ref().unwrap());
        let programs = commands(programs);
        own.env("PATH", &format!("{}:{path}", programs.path().display()));
        own.settings(&json!({ "iptables": sets_rules }));
        own.start().await;
        import_app(&own);
        let id = docker(&own, "run -d --name app app sleep 600").unwrap();
        let reaches =
            |address: &str| docker(&own, &format!("exec app sh -c 'nc -w 1 {address} 80 < /dev/null'")).is_ok();

        for (nth, (agent, programs)) in
            [("nftables", &ON_NFTABLES[..]), ("legacy", &LEGACY), ("nft", &NFT)].into_iter().enumerate()
        {
            let (pair, programs, run_dir) =
                (format!("engine: {engine}, agent: {agent}"), commands(programs), tempfile::tempdir().unwrap());
            let play = |part: &str| {
                let variables = [("PATH", programs.path().to_str().unwrap()), (PART, part)];
                run_part_with(&variables, TEST, &net, &own, &id, run_dir.path())
            };
            let mut held = [0; 3];
            held[nth] = 3;
            assert!(reaches(&net.metadata), "{pair}: before");
            play("hold");
            assert_eq!(rules(&net, &id), held, "{pair}");
            assert!(reaches(&net.other) && !reaches(&net.metadata), "{pair}: held");
            assert!(play("check").contains("CHECKED imds=block holds"), "{pair}");
            assert_eq!(rules(&net, &id), held, "{pair}: checked");

            // Each tool's rules, the engine's too where they are in nftables.
            let there = format!("nsenter --net=/run/netns/{}", net.instance.as_ref().unwrap());
            sh(&format!("{there} nft flush ruleset; {there} xtables-legacy-multi iptables -w 5 -t raw -F PREROUTING"));
            sh(&format!("{there} xtables-legacy-multi ip6tables -w 5 -t raw -F PREROUTING"));
            assert!(reaches(&net.metadata), "{pair}: flushed");
            let printed = play("check");
            assert!(printed.contains("CHECKED rules were missing on docker0 and are set"), "{pair}: {printed}");
            assert_eq!(rules(&net, &id), held, "{pair}: put back");
            assert!(reaches(&net.other) && !reaches(&net.metadata), "{pair}: put back");

            play("lift");
            assert_eq!(rules(&net, &id), [0; 3], "{pair}: lifted");
            assert!(reaches(&net.metadata), "{pair}: lifted");
        }
        docker(&own, "rm -f app").unwrap();
    }
}
