//! Boot: the package on a machine whose PID 1 is systemd, from the first boot to the last poweroff. Read machine.rs for what the
//! machine is, network.rs for what is around it.
//!
//! Every test runs on each [`Suite`]. It needs root, an engine that lets a container be a machine, and that machine's image, which
//! tests/boot/image makes: words root and systemd of tests/needs.

#![cfg(test)]

use std::time::Duration;

use berth_kit::{Need, World, missing, needs};
use journal::{Journal, agent, systemd};
use machine::{Machine, Suite};
use requests::{APP, ENDPOINT, LongRequest, Requests};
use tokio::sync::{Mutex, MutexGuard};

/// Makes a test of each of these functions on every machine.
macro_rules! on_each_machine {
    ($($test:ident)*) => {
        mod bookworm {
            $(#[tokio::test] async fn $test() { super::$test(crate::machine::Suite::Bookworm).await; })*
        }
        mod trixie {
            $(#[tokio::test] async fn $test() { super::$test(crate::machine::Suite::Trixie).await; })*
        }
    };
}

mod command;
mod cores;
mod hardware;
mod journal;
mod machine;
mod network;
mod power;
mod requests;

/// The shipped binary.
const BERTH: &str = env!("CARGO_BIN_EXE_berth");

/// For a boot or a drain to end: far longer than it takes, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(90);

/// Waits that are short, so that a test is.
const QUICK: &str = r#"
    stop_timeout = "2s"
    drain = { settle = "1s", idle = "500ms", timeout = "20s" }
    lifecycle = { poll = "500ms" }
"#;

/// One after the other: a machine is not small, and there are two cores.
static ALONE: Mutex<()> = Mutex::const_new(());

/// A machine and the world it is in; in this order they are dropped.
struct Site {
    machine: Machine,
    world: World,
    _alone: MutexGuard<'static, ()>,
}

/// A machine that berth is installed on, and that is on, with these words more in its one line. None where the test is to be left
/// out because there can be no such machine.
async fn installed(suite: Suite, words: &str) -> Option<Site> {
    let alone = ALONE.lock().await;
    if !needs::root("makes network namespaces") {
        return None;
    }
    network::enter().unwrap();
    let world = World::builder().on(network::FAKES).start().await;
    let image = world.app_image();
    world.secrets.put("prod/api", r#"{"KEY":"value"}"#);
    world.user_data(&format!("berth image={} port=80:8080 health=/health secrets=prod/api {words}", image.by_tag()));
    match Machine::built(suite, &world).await {
        Ok(machine) => Some(Site { machine, world, _alone: alone }),
        Err(why) => {
            missing(Need::Systemd, &format!("no container can be a machine with systemd here: {why}"));
            None
        }
    }
}

on_each_machine! {
    an_installed_machine_boots_from_the_one_line_and_again_after_a_reboot_and_a_power_loss
    at_poweroff_the_drain_is_over_before_docker_is_stopped
    an_agent_that_is_killed_or_stands_still_is_started_again_beside_the_same_container
    signals_that_mean_nothing_leave_the_same_agent_and_the_same_container
    a_package_upgrade_under_load_fails_no_request_and_no_probe
    a_drain_that_is_longer_than_the_stop_timeout_is_not_cut
    the_sandbox_lets_the_metadata_be_blocked_for_both_families
    the_sandbox_lets_the_metadata_be_blocked_with_iptables_legacy_and_with_nft_alone
    a_purge_drains_the_instance_and_leaves_no_file_and_no_directory
}

/// A machine that was installed, booted, and serves; `unit` overrides the unit.
async fn serving(suite: Suite, unit: &str) -> Option<Site> {
    let site = installed(suite, "").await?;
    site.machine.drop_in("test", unit);
    site.machine.start_agent().await;
    site.world.autoscaling.wait_for_state("InService", SOON).await;
    Some(site)
}

async fn an_installed_machine_boots_from_the_one_line_and_again_after_a_reboot_and_a_power_loss(suite: Suite) {
    let Some(site) = installed(suite, "").await else { return };
    let Site { machine, world, .. } = &site;
    assert!(!machine.active("berth.service"), "installing starts nothing");
    assert_eq!(machine.run("systemctl is-enabled berth.service").trim(), "enabled");

    machine.reboot().await;
    machine.is_ready().await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    assert!(!machine.active("cloud-final.service"), "it is still at the user scripts, and nobody waited for it");

    machine.reboot().await;
    machine.is_ready().await;
    machine.power_loss();
    machine.is_ready().await;
    let completions = world.autoscaling.completions();
    assert_eq!(completions.len(), 1, "the launch hook is completed once: {completions:?}");
}

async fn at_poweroff_the_drain_is_over_before_docker_is_stopped(suite: Suite) {
    let Some(site) = serving(suite, "").await else { return };
    let Site { machine, world, .. } = &site;
    let request = LongRequest::begin("/slow?ms=4000");
    world.autoscaling.terminate();
    world.autoscaling.enter_wait();
    machine.power_off().await;

    assert_eq!(request.answer(), Ok(200), "the drain waited for it\n{}", machine.journal_text());
    let journal = Journal::of(machine);
    journal.has_the_priorities();
    journal.in_order(&[
        agent("phase drain"),
        agent("ContainerStopped"),
        agent("HookCompleted"),
        agent("FinalStatusWritten"),
        systemd("berth-drain.service", "Deactivated successfully"),
        systemd("docker.service", "Stopping"),
    ]);
    assert_eq!(journal.count(&agent("Failed")), 0, "{}", machine.journal_text());
    let completions: Vec<_> = world.autoscaling.completions().into_iter().map(|one| one.hook).collect();
    assert_eq!(completions, ["launch", "terminate"], "each once");
    let console = machine.console();
    assert!(console.contains("berth: drained"), "{console}");
}

async fn an_agent_that_is_killed_or_stands_still_is_started_again_beside_the_same_container(suite: Suite) {
    let Some(site) = serving(suite, "[Service]\nWatchdogSec=2\n").await else { return };
    let Site { machine, .. } = &site;
    let before = machine.container();
    let (requests, probes) = (Requests::begin(APP, "/"), Requests::begin(ENDPOINT, "/live"));
    for (restarts, signal) in [("1", "KILL"), ("2", "STOP")] {
        machine.run(&format!("systemctl kill --kill-whom=main --signal=SIG{signal} berth.service"));
        machine.until("systemd starts it again", async || machine.property("NRestarts") == restarts).await;
        machine.is_ready().await;
    }
    assert_eq!(machine.container(), before, "the same container, not started again");
    for (what, asking) in [("app", requests), ("endpoint", probes)] {
        let (asked, failed) = asking.end();
        assert!(asked > 5 && failed.is_empty(), "{what}: {asked} requests, failed: {failed:?}");
    }
    assert!(Journal::of(machine).count(&systemd("berth.service", "Watchdog timeout")) > 0);
}

async fn signals_that_mean_nothing_leave_the_same_agent_and_the_same_container(suite: Suite) {
    let Some(site) = serving(suite, "").await else { return };
    let Site { machine, .. } = &site;
    let agent_and_container = || (machine.property("MainPID"), machine.property("NRestarts"), machine.container());
    let before = agent_and_container();
    for (signal, ignored) in [
        ("HUP", "SIGHUP is ignored"),
        ("USR1", "SIGUSR1 is ignored"),
        ("USR2", "SIGUSR2 is ignored"),
        ("ALRM", "SIGALRM is ignored"),
    ] {
        machine.run(&format!("systemctl kill --kill-whom=main --signal=SIG{signal} berth.service"));
        machine.until("it is in the journal", async || Journal::of(machine).count(&agent(ignored)) > 0).await;
    }
    machine.is_ready().await;
    assert_eq!(agent_and_container(), before);
    assert!(machine.active("berth.service"));
}

async fn a_package_upgrade_under_load_fails_no_request_and_no_probe(suite: Suite) {
    let Some(site) = serving(suite, "").await else { return };
    let Site { machine, .. } = &site;
    let before = (machine.container(), machine.property("NRestarts"));
    let runs = "stat --dereference --format=%i /proc/$(systemctl show --value --property=MainPID berth.service)/exe";
    let first = machine.run(runs);
    let (requests, probes) = (Requests::begin(APP, "/"), Requests::begin(ENDPOINT, "/ready"));
    let printed = machine.upgrade().unwrap();
    assert!(printed.contains("handed over"), "{printed}");
    assert_ne!(machine.run(runs), first, "another binary runs");
    assert_eq!(
        (machine.container(), machine.property("NRestarts")),
        before,
        "the same container, and no failed service"
    );
    for (what, asking) in [("app", requests), ("/ready", probes)] {
        let (asked, failed) = asking.end();
        assert!(
            asked > 5 && failed.is_empty(),
            "{what}: {asked} requests, failed: {failed:?}\n{}",
            machine.journal_text()
        );
    }
}

async fn a_drain_that_is_longer_than_the_stop_timeout_is_not_cut(suite: Suite) {
    let Some(site) = serving(suite, "[Service]\nTimeoutStopSec=3\n").await else { return };
    let Site { machine, .. } = &site;
    let request = LongRequest::begin("/slow?ms=8000");
    machine.run("systemctl stop --no-block berth.service");
    machine
        .until("the agent has ended", async || ["inactive", "failed"].contains(&&*machine.property("ActiveState")))
        .await;
    assert_eq!(machine.property("Result"), "success", "{}", machine.journal_text());
    assert_eq!(request.answer(), Ok(200));
}

/// `imds=block` runs commands of the host as children of the agent, in the unit's sandbox.
async fn the_sandbox_lets_the_metadata_be_blocked_for_both_families(suite: Suite) {
    let Some(site) = installed(suite, "imds=block").await else { return };
    let Site { machine, .. } = &site;
    machine.start_agent().await;
    for command in ["iptables", "ip6tables"] {
        let rules = machine.run(&format!("{command} --table raw --list-rules PREROUTING"));
        assert!(rules.contains("DROP"), "{command}: {rules}\n{}", machine.journal_text());
    }
}

/// The machine has all of them, and Docker uses iptables on nftables; which one the agent finds is up to its PATH.
async fn the_sandbox_lets_the_metadata_be_blocked_with_iptables_legacy_and_with_nft_alone(suite: Suite) {
    let Some(site) = installed(suite, "imds=block").await else { return };
    let Site { machine, .. } = &site;
    assert_eq!(machine.run("ls /run/xtables.lock 2> /dev/null || true"), "", "only iptables-legacy has a lock file");
    machine.run("mkdir -p /opt/legacy /opt/nft && ln -s /usr/sbin/nft /opt/nft/nft");
    machine.run("for six in '' 6; do ln -s /usr/sbin/xtables-legacy-multi /opt/legacy/ip${six}tables; done");
    for (tool, list) in [
        ("legacy", "for six in '' 6; do /opt/legacy/ip${six}tables --table raw --list-rules PREROUTING; done"),
        ("nft", "nft list table inet berth"),
    ] {
        machine.drop_in("test", &format!("[Service]\nEnvironment=PATH=/opt/{tool}\n"));
        machine.run("systemctl restart berth.service");
        machine.is_ready().await;
        let rules = machine.run(list);
        for address in ["169.254.169.254", "fd00:ec2::254"] {
            let drops = |rule: &&str| rule.contains(address) && rule.to_lowercase().contains("drop");
            assert_eq!(rules.lines().filter(drops).count(), 1, "{tool}: {rules}\n{}", machine.journal_text());
        }
    }
}

async fn a_purge_drains_the_instance_and_leaves_no_file_and_no_directory(suite: Suite) {
    let Some(site) = serving(suite, "").await else { return };
    let Site { machine, world, .. } = &site;
    let printed = machine.purge();
    assert!(printed.contains("out of traffic") && !printed.contains("warning"), "{printed}");
    assert_eq!(Journal::of(machine).count(&agent("ContainerStopped")), 1, "{}", machine.journal_text());
    assert_eq!(machine.left_by_berth(), "");
    assert_eq!(machine.run("systemctl list-unit-files --no-legend 'berth*' || true"), "");
    assert_eq!(world.autoscaling.completions().len(), 1, "the launch hook: nobody else terminates the instance");
}

/// Waits until something holds, at most for as long as that.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) -> Result<(), String> {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, wait).await.map_err(|_| format!("not: {what}, within {SOON:?}"))
}
