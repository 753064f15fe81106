//! `imds=block`, as far as the shipped binary shows it. Nothing here asks for the blocked address: which addresses a container reaches is in
//! `tests/adapters/engine/metadata_block.rs`.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use berth_kit::{World, needs};

use crate::steps::{container, until};
use crate::{BERTH, SOON};

/// The rules in the packet filter that this world's containers had; gone with it.
struct Filter(Vec<String>);

impl Filter {
    /// None where a test is to be left out because it may not look.
    fn look() -> Option<Self> {
        needs::root("lists and sets iptables rules").then(|| Self(Vec::new()))
    }

    /// How many there are of the world's container.
    async fn of_app(&mut self, world: &World) -> usize {
        self.0.push(container(world).await["Id"].as_str().unwrap().to_owned());
        self.of_last()
    }

    fn of_last(&self) -> usize {
        rules().iter().filter(|(_, rule)| rule.contains(self.0.last().unwrap())).count()
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        for (command, rule) in rules().iter().filter(|(_, rule)| self.0.iter().any(|id| rule.contains(id))) {
            filter(command, &format!("-D {rule}"));
        }
    }
}

/// Every rule of the table raw, and of which command.
pub(crate) fn rules() -> Vec<(&'static str, String)> {
    let of = |command| {
        let listed = filter(command, "-S PREROUTING");
        listed.lines().filter_map(|line| Some((command, line.strip_prefix("-A ")?.to_owned()))).collect::<Vec<_>>()
    };
    ["iptables", "ip6tables"].into_iter().flat_map(of).collect()
}

pub(crate) fn filter(command: &str, words: &str) -> String {
    let ran = Command::new(command).args(["-w", "5", "-t", "raw"]).args(words.split(' ')).output().expect(command);
    assert!(ran.status.success(), "{command} {words}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

#[tokio::test]
async fn the_rules_last_as_long_as_their_container_whatever_becomes_of_the_agent() {
    let Some(mut filter_of) = Filter::look() else { return };
    let world = World::start().await;
    let image = world.app_image();
    world.user_data(&format!("berth image={} port=0:8080 health=/health", image.by_tag()));
    let launch = |words: &[&str]| words.iter().fold(world.launcher(BERTH.as_ref()), |launch, word| launch.arg(*word));
    let agent = launch(&["imds=block"]).start().await;
    agent.ready_within(SOON).await;
    assert_eq!(agent.app("/").await.status, 200, "published ports are as ever");
    assert_eq!(filter_of.of_app(&world).await, 2, "one for each version of IP");

    agent.kill9().await;
    assert_eq!(filter_of.of_last(), 2);
    let id = filter_of.0.last().unwrap().clone();
    let (command, rule) = rules().into_iter().find(|(_, rule)| rule.contains(&id)).unwrap();
    filter(command, &format!("-D {rule}"));
    let agent = launch(&["imds=block"]).start().await;
    agent.ready_within(SOON).await;
    assert_eq!(container(&world).await["Id"], id.as_str(), "it is adopted");
    assert_eq!(filter_of.of_last(), 2, "and held again");

    agent.kill9().await;
    let agent = launch(&["imds=block", "env.COLOR=blue"]).start().await;
    agent.ready_within(SOON).await;
    assert_eq!(filter_of.of_last(), 0, "its container was replaced");
    assert_eq!(filter_of.of_app(&world).await, 2);

    agent.signal("TERM");
    assert_eq!(agent.exit_within(SOON).await, 0);
    assert_eq!(filter_of.of_last(), 2, "the container is stopped and still there");
    let agent = launch(&["imds=allow"]).start().await;
    agent.ready_within(SOON).await;
    assert_eq!(filter_of.of_last(), 0);
    assert_eq!(filter_of.of_app(&world).await, 0);
}

#[tokio::test]
async fn rules_that_somebody_removes_are_set_again_within_seconds_and_reported() {
    let Some(mut filter_of) = Filter::look() else { return };
    let world = World::start().await;
    world.user_data(&format!("berth image={} port=0:8080 health=/health imds=block", world.app_image().by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    assert_eq!(filter_of.of_app(&world).await, 2);
    let metrics = async || agent.http("/metrics").await.text();
    let before = metrics().await;
    assert!(
        before.contains("\nberth_imds_block 1\n") && before.contains("\nberth_imds_block_restored_total 0\n"),
        "{before}"
    );
    let id = filter_of.0.last().unwrap().clone();
    for (command, rule) in rules().into_iter().filter(|(_, rule)| rule.contains(&id)) {
        filter(command, &format!("-D {rule}"));
    }
    assert_eq!(filter_of.of_last(), 0);
    until("they are there again", async || filter_of.of_last() == 2).await;
    until("it is counted", async || metrics().await.contains("\nberth_imds_block_restored_total 1\n")).await;
    let log = agent.log_text();
    let warning = log.lines().find(|line| line.contains("rules were missing on docker0 and are set")).expect(&log);
    assert!(warning.to_ascii_lowercase().contains("warn"), "{warning}");
    assert_eq!(agent.http("/ready").await.status, 200);
    assert_eq!(agent.status().await["restarts"], 0);
}

#[tokio::test]
async fn an_app_that_cannot_be_kept_from_the_metadata_is_never_started() {
    let commands = tempfile::tempdir().unwrap();
    let command = commands.path().join("iptables");
    let forbidden = "#!/bin/sh\necho 'Fatal: Permission denied (you must be root)' >&2\nexit 4\n";
    for (script, says) in [
        (None, "neither iptables nor nft is in the PATH; install iptables or nftables"),
        (Some(forbidden), "iptables failed: Fatal: Permission denied"),
    ] {
        if let Some(script) = script {
            std::fs::write(&command, script).unwrap();
            std::fs::set_permissions(&command, PermissionsExt::from_mode(0o755)).unwrap();
        }
        let world = World::start().await;
        let image = world.app_image();
        world.user_data(&format!("berth image={} port=0:8080 health=/health imds=block", image.by_tag()));
        let agent = world.launcher(BERTH.as_ref()).env("PATH", commands.path()).start().await;
        assert_eq!(agent.exit_within(SOON).await, 3);
        assert_eq!(world.autoscaling.completions().len(), 1, "the launch hook, with ABANDON");
        let words = world.console_text();
        assert!(words.contains("cannot enforce imds=block") && words.contains(says), "{words}");
        assert_eq!(container(&world).await["State"]["StartedAt"], "0001-01-01T00:00:00Z");
    }
}
