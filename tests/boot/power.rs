//! Power on and off: the agent starts beside the network and the engine, and drains before either stops.

use crate::journal::{Journal, Wanted, agent, systemd};
use crate::machine::{Machine, Suite};
use crate::requests::LongRequest;
use crate::{Site, installed, serving};

on_each_machine! {
    a_network_and_an_engine_that_come_late_delay_nothing_else
    however_the_machine_goes_down_the_drain_ends_before_the_engine_and_the_network_stop
}

const OFF: [&str; 3] = ["poweroff", "reboot", "start --job-mode=replace-irreversibly kexec.target"];
const RESCUE: &str = "isolate rescue.target";

async fn a_network_and_an_engine_that_come_late_delay_nothing_else(suite: Suite) {
    let Some(site) = installed(suite, "").await else { return };
    let Site { machine, .. } = &site;
    machine.hold_back("network-card");
    machine.hold_back("docker");
    let earlier = machine.journal().len();
    let here = || Journal::of(machine).since(earlier);
    machine.reboot().await;
    machine.until("the endpoint is bound", async || machine.active("berth.service")).await;
    machine.until("the metadata are asked in vain", async || here().count(&agent("> Identify")) > 10).await;
    assert!(!machine.active("network-online.target"));

    machine.release("network-card");
    let at_hand = ["SecretsFetched", "RegistryLoggedIn", "GroupFound", "> PingEngine"];
    machine
        .until("everything but the engine is at hand", async || {
            let journal = here();
            at_hand.iter().all(|text| journal.count(&agent(text)) > 0)
        })
        .await;
    assert!(!machine.active("docker.service"));
    machine.release("docker");
    machine.is_ready().await;

    let journal = here();
    journal.in_order(&[
        agent("Failed Identify"),
        systemd("network-card.service", "Finished"),
        agent("Identified"),
        agent("SecretsFetched"),
        systemd("docker.service", "Started"),
    ]);
    // It begins to start as soon as the network is there.
    journal.in_order(&[systemd("docker.service", "Starting"), agent("EngineAnswered")]);
    let shown = ["Failed Identify", "> Identify", "> PingEngine"].map(|text| journal.count_shown(&agent(text)));
    assert_eq!(shown, [1, 1, 1], "{}", machine.journal_text());
    assert_eq!(journal.count(&agent("> PingEngine")), 1, "the engine was waited for, not asked again and again");
}

async fn however_the_machine_goes_down_the_drain_ends_before_the_engine_and_the_network_stop(suite: Suite) {
    let Some(site) = serving(suite, "").await else { return };
    let Site { machine, .. } = &site;
    let drained = || [agent("phase drain"), agent("ContainerStopped"), agent("FinalStatusWritten")];
    for how in OFF.into_iter().chain([RESCUE]) {
        let earlier = machine.journal().len();
        let request = LongRequest::begin("/slow?ms=3000");
        leave(machine, how).await;
        assert_eq!(request.answer(), Ok(200), "{how}: the drain waited for it\n{}", machine.journal_text());
        for unit in ["docker.service", "network-card.service"] {
            let end = [systemd("berth-drain.service", "Deactivated successfully"), systemd(unit, "Stopping")];
            Journal::of(machine).since(earlier).in_order(&drained().into_iter().chain(end).collect::<Vec<Wanted>>());
        }
        let failed = Journal::of(machine).since(earlier).count(&agent("Failed"));
        assert_eq!(failed, 0, "{how}: the network and the engine were there\n{}", machine.journal_text());
        come_back(machine, how).await;
    }

    // Without that unit the engine stops beside the drain.
    machine.run("systemctl mask berth-drain.service");
    let earlier = machine.journal().len();
    leave(machine, "poweroff").await;
    Journal::of(machine).since(earlier).in_order(&[systemd("docker.service", "Stopping"), agent("FinalStatusWritten")]);
}

async fn leave(machine: &Machine, how: &str) {
    if how == RESCUE {
        machine.run(&format!("systemctl --no-block {how}"));
        machine.until("the engine has stopped", async || !machine.active("docker.service")).await;
    } else {
        machine.go_down(how).await;
    }
}

async fn come_back(machine: &Machine, how: &str) {
    if how == RESCUE {
        machine.power_loss()
    } else {
        machine.switch_on().unwrap()
    }
    machine.is_ready().await;
}
