//! Targets and the next agent: what one agent registered is known to the one that follows it, after a crash, an upgrade, or with another
//! config.

use std::sync::Arc;

use berth_core::message::error::ErrorClass;
use berth_core::message::event::Event;
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::message::target::GroupFacts;
use berth_core::view::{PhaseName, Status, TargetStage};

use crate::sim::{Sim, exited, failure, group, identity, ms, secs, target};
use crate::targets::{ADMIN, WEB, dynamic, line, moments, states, web};

/// The next agent, with this config, in an instance of this state. The app runs on.
fn next(config: &str, before: &Sim, state: &str) -> Sim {
    let (noted, found) = (before.noted(), before.survivor());
    let life = Sim::new(config).knowing(noted, secs(2));
    let life = life.answer(JobKind::FindContainers, ms(5), Event::ContainersFound(vec![found]));
    let mut life = life.answer(JobKind::FindGroup, ms(50), group(secs(600), state));
    life.balancer = before.balancer.clone().after(secs(62));
    life
}

/// The group attaches this target group itself.
fn attached(arn: &str) -> Event {
    Event::GroupDescribed(GroupFacts { target_groups: vec![arn.to_owned()], ..GroupFacts::default() })
}

#[test]
fn an_agent_that_adopts_the_app_registers_nothing_again() {
    let before = dynamic().run(secs(60));
    let (noted, found) = (before.noted(), before.survivor());
    let life =
        dynamic().knowing(noted, secs(2)).answer(JobKind::FindContainers, ms(5), Event::ContainersFound(vec![found]));
    let mut life = life.answer(JobKind::FindGroup, ms(50), group(secs(600), "InService"));
    life.balancer = before.balancer.clone().after(secs(62));
    let life = life.run(secs(60));
    assert_eq!((life.view().status, states(&life)), (Status::Ok, vec![TargetStage::InService]), "{}", life.trace());
    let calls = life.ordered.iter().filter(|job| job.word().ends_with("_target") || job.word().ends_with("_targets"));
    assert_eq!(calls.count(), 0, "{}", life.trace());
}

#[test]
fn an_agent_that_was_killed_before_the_target_was_healthy_is_followed_by_one_that_waits_for_it() {
    let before = web("").run(secs(4));
    assert_eq!(before.completions, [""; 0]);
    let (noted, found) = (before.noted(), before.survivor());
    let mut life =
        web("").knowing(noted, secs(2)).answer(JobKind::FindContainers, ms(5), Event::ContainersFound(vec![found]));
    life.balancer = before.balancer.clone().after(secs(6));
    let life = life.run(secs(60));
    assert_eq!((life.count(JobKind::RegisterTarget), life.completions.len()), (0, 1), "{}", life.trace());
}

/// A boot that failed and is held; the deregistration fails too, and the agent is killed.
#[test]
fn a_target_that_was_to_be_deregistered_is_proven_again_by_the_next_agent_that_wants_it() {
    let held = || web("boot.on_failure=hold target.timeout=30s").balancing(|balancer| balancer.healthy_after = None);
    let before = held().fails_always(JobKind::DeregisterTarget, "503").run(secs(60));
    assert_eq!(before.view().phase, PhaseName::Hold, "{}", before.trace());
    let (noted, found) = (before.noted(), before.survivor());
    let mut life =
        held().knowing(noted, secs(2)).answer(JobKind::FindContainers, ms(5), Event::ContainersFound(vec![found]));
    life.balancer = before.balancer.clone().after(secs(62));
    let life = life.run(secs(20));
    assert_eq!((states(&life), life.completions.len()), (vec![TargetStage::Registered], 0), "{}", life.trace());
}

#[test]
fn what_an_agent_before_this_one_registered_is_left_if_its_app_is_gone() {
    let before = dynamic().run(secs(60));
    let first = before.chosen[&8080];
    let mut life = dynamic().knowing(before.noted(), secs(2));
    life.balancer = before.balancer.clone().after(secs(62));
    let life = life.run(secs(60));
    assert_ne!(life.chosen[&8080], first);
    assert!(moments(&life, &format!("> DeregisterTarget web:{first}"))[0] < 1.0, "before the pull\n{}", life.trace());
    assert_eq!(life.balancer.registered(), [format!("web:{}", life.chosen[&8080])]);
    // On a fixed port the same app comes back to its place.
    let before = web("").run(secs(60));
    let mut life = web("").knowing(before.noted(), secs(2));
    life.balancer = before.balancer.clone().after(secs(62));
    let life = life.run(secs(60));
    assert_eq!(life.count(JobKind::DeregisterTarget), 0, "{}", life.trace());
}

#[test]
fn the_note_of_another_instance_means_nothing() {
    let before = dynamic().run(secs(60));
    let mut noted = before.noted().unwrap();
    noted.instance_id = "i-0000000000000dead".to_owned();
    let life = dynamic().knowing(Some(noted), secs(2)).run(secs(60));
    assert_eq!(life.count(JobKind::DeregisterTarget), 0, "{}", life.trace());
    assert_eq!(life.chosen, before.chosen);
}

#[test]
fn a_drain_that_an_agent_was_killed_in_deregisters_what_it_had_registered() {
    let before =
        web("").fails_always(JobKind::DeregisterTarget, "503").at(secs(60), Event::DrainRequested(None)).run(secs(65));
    let (noted, unfinished, found) = (before.noted(), before.unfinished(), before.survivor());
    let mut next = web("").after(unfinished).knowing(noted, secs(2));
    next.balancer = before.balancer.clone().after(secs(67));
    let next = next.answer(JobKind::FindContainers, ms(5), Event::ContainersFound(vec![found])).run(secs(600));
    assert!(moments(&next, "> DeregisterTarget")[0] < 0.1, "{}", next.trace());
    assert_eq!((next.outcome(), next.balancer.registered()), (Some(Outcome::Done), vec![]), "{}", next.trace());
}

/// Traffic does not notice an agent's upgrade, whatever AWS answers meanwhile.
#[test]
fn an_outage_of_the_control_plane_takes_no_instance_out_of_traffic_when_its_agent_is_started_again() {
    for away in [JobKind::DescribeGroup, JobKind::FindGroup] {
        let life = next(&line(""), &web("").run(secs(60)), "InService").fails_always(away, "503").run(secs(7_200));
        assert_eq!((life.view().status, states(&life)), (Status::Ok, vec![TargetStage::InService]), "{}", life.trace());
        assert_eq!((life.count(JobKind::StopContainer), life.count(JobKind::DeregisterTarget)), (0, 0));
    }
    // One that never was in traffic is a boot, and fails.
    let before = web("").balancing(|balancer| balancer.healthy_after = None).run(secs(30));
    let life = next(&line(""), &before, "Pending:Wait").fails_always(JobKind::DescribeGroup, "503").run(secs(7_200));
    assert_eq!(life.outcome(), Some(Outcome::BootFailed), "{}", life.trace());
}

#[test]
fn a_target_that_is_the_group_s_by_now_is_not_deregistered() {
    let before = web("").run(secs(60));
    let life = next(&line(""), &before, "InService").answer(JobKind::DescribeGroup, ms(50), attached(WEB));
    let life = life.run(secs(600));
    assert_eq!(life.balancer.registered(), ["web:8080"], "{}", life.trace());
    assert_eq!((life.view().status, states(&life)), (Status::Ok, vec![TargetStage::AttachedByGroup]));
    // With a port that berth chose the two exclude each other: in a boot, not for an instance in traffic.
    let before = dynamic().run(secs(60));
    let open = line("").replace("port=8080", "port=0:8080");
    let life = next(&open, &before, "InService").answer(JobKind::DescribeGroup, ms(50), attached(WEB)).run(secs(600));
    assert_eq!((life.view().status, life.count(JobKind::StopContainer)), (Status::Ok, 0), "{}", life.trace());
    assert_eq!(life.balancer.registered().len(), 1, "{}", life.trace());
}

#[test]
fn target_groups_that_the_config_no_longer_has_are_left_unless_the_group_attaches_them() {
    let plain = "image=registry.test/api:v1 port=8080 health=/health";
    let before = web("").run(secs(60));
    let life = next(plain, &before, "InService").run(secs(600));
    assert_eq!((life.balancer.registered(), life.view().status), (vec![], Status::Ok), "{}", life.trace());
    assert_eq!(life.count(JobKind::StopContainer), 0, "{}", life.trace());
    let life = next(plain, &before, "InService").answer(JobKind::DescribeGroup, ms(50), attached(WEB)).run(secs(600));
    assert_eq!((life.balancer.registered(), life.view().status), (vec!["web:8080".to_owned()], Status::Ok));
    // As long as nobody says whose it is, it stays.
    let denied = failure(JobKind::DescribeGroup, ErrorClass::Denied, "autoscaling:DescribeAutoScalingGroups");
    for life in [
        next(plain, &before, "InService").fails_always(JobKind::DescribeGroup, "503"),
        next(plain, &before, "InService").answer(JobKind::DescribeGroup, ms(50), denied),
    ] {
        let life = life.run(secs(7_200));
        assert_eq!((life.balancer.registered(), life.view().status), (vec!["web:8080".to_owned()], Status::Ok));
    }
    // One of two.
    let two = format!("{plain} target_groups={WEB},{ADMIN}");
    let life = next(&line(""), &Sim::new(&two).run(secs(60)), "InService").run(secs(600));
    assert_eq!(life.balancer.registered(), ["web:8080"], "{}", life.trace());
}

#[test]
fn an_instance_that_is_in_standby_when_its_agent_starts_leaves_its_target_groups() {
    let standby = || {
        let mut identity = identity();
        identity.target_state = Some(TargetState::Standby);
        Event::Identified(Arc::new(identity))
    };
    let served = web("").run(secs(60));
    let killed = web("").fails_always(JobKind::DeregisterTarget, "503").sees(secs(60), target(TargetState::Standby));
    for before in [served, killed.run(secs(70))] {
        let life = next(&line(""), &before, "Standby").answer(JobKind::Identify, ms(10), standby());
        let life = life.sees(ms(0), target(TargetState::Standby)).run(secs(600));
        assert_eq!((life.view().status, life.balancer.registered()), (Status::Standby, vec![]), "{}", life.trace());
        // The deregistration delay lasts longer than a boot may.
        let life = life.sees(secs(7_000), target(TargetState::InService)).run(secs(7_100));
        assert_eq!((life.view().status, states(&life)), (Status::Ok, vec![TargetStage::InService]), "{}", life.trace());
    }
}

#[test]
fn an_agent_that_is_started_again_waits_for_the_whole_delay_after_a_return_from_standby() {
    let long = || web("").balancing(|balancer| balancer.delay = secs(1_800));
    let before = long().sees(secs(60), target(TargetState::Standby)).sees(secs(90), target(TargetState::InService));
    let life = next(&line(""), &before.run(secs(120)), "InService").balancing(|balancer| balancer.delay = secs(1_680));
    let life = life.run(secs(2_400));
    assert_eq!((life.view().status, states(&life)), (Status::Ok, vec![TargetStage::InService]), "{}", life.trace());
    assert_eq!((life.count(JobKind::StopContainer), life.balancer.too_early.len()), (0, 0));
}

/// The load balancer called the app of before healthy.
#[test]
fn a_new_app_on_the_same_port_is_proven_before_the_launch_hook_is_completed() {
    let before = web("").fails_always(JobKind::CompleteHook, "503").run(secs(60));
    let mut life = web("").knowing(before.noted(), secs(2));
    life.balancer = before.balancer.clone().after(secs(62));
    life.balancer.healthy_after = None;
    let life = life.run(secs(100));
    assert_eq!((life.completions.len(), states(&life)), (0, vec![TargetStage::Registered]), "{}", life.trace());
}

#[test]
fn a_port_whose_delay_is_not_known_is_not_chosen_again_within_the_longest_there_is() {
    let lost = Sim::new(&line("restart.limit=0").replace("port=8080", "port=0:8080"));
    let lost = lost.balancing(|balancer| balancer.delay = secs(600));
    let before = lost.answer(JobKind::WatchContainer, secs(60), exited(1)).run(secs(600));
    let first = before.chosen[&8080];
    for (ago, is_free) in [(620, false), (3_590, false), (3_670, true)] {
        let mut life = dynamic().knowing(before.noted(), secs(ago));
        life.balancer = before.balancer.clone().after(secs(ago + 62));
        life.balancer.delay = secs(0); // it is over
        let life = life.run(secs(60));
        assert_eq!(life.chosen[&8080] == first, is_free, "{ago} s ago\n{}", life.trace());
    }
}
