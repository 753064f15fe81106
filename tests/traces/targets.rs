//! Target groups: an instance registers itself once its app is healthy, completes the launch hook once the load balancer says so, and
//! deregisters in the moment in which it begins to leave.

use std::collections::BTreeSet;

use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::message::target::{TargetHealth, TargetHealthState};
use berth_core::view::{HookState, PhaseName, ReadyReason, Status, TargetStage};
use expect_test::expect;

use crate::drain::after;
use crate::sim::{Sim, exited, failure, ms, secs, target};

pub(crate) const WEB: &str = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/web/73e2d6bc24d8a067";
pub(crate) const ADMIN: &str = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/admin/6d0ecf831eec9f09";

const TERM: Event = Event::Signalled(Signal::Term);

/// The config that most lives have, and more words.
pub(crate) fn line(more: &str) -> String {
    format!("image=registry.test/api:v1 port=8080 health=/health target_groups={WEB} {more}")
}

pub(crate) fn web(more: &str) -> Sim {
    Sim::new(&line(more))
}

/// With a host port that berth chooses.
pub(crate) fn dynamic() -> Sim {
    Sim::new(&format!("image=registry.test/api:v1 port=0:8080 health=/health target_groups={WEB}"))
}

/// The moments at which a line of the trace has this.
pub(crate) fn moments(life: &Sim, what: &str) -> Vec<f64> {
    let lines = life.trace().lines().filter(|line| line.contains(what));
    lines.map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect()
}

pub(crate) fn states(life: &Sim) -> Vec<TargetStage> {
    life.view().targets.iter().map(|one| one.state).collect()
}

#[test]
fn the_launch_hook_waits_until_the_load_balancer_calls_the_target_healthy() {
    let life = web("").run(secs(60));
    expect![[r#"
        2.415    serve   > DescribeTargets web:8080
        2.415    serve   > WipeSecrets
        2.415    serve   SecretsWiped
        2.465    serve   TargetsDescribed 8080 is unused (Target.NotRegistered)
        2.465    serve   > RegisterTarget web:8080
        2.525    serve   TargetRegistered
        6.223    serve   > DescribeTargets web:8080
        6.273    serve   TargetsDescribed 8080 is initial (Elb.InitialHealthChecking)
        12.679   serve   > DescribeTargets web:8080
        12.729   serve   TargetsDescribed 8080 is healthy
        12.729   serve   > CompleteHook web/boot CONTINUE
        12.779   serve   HookCompleted
    "#]]
    .assert_eq(&after(&life, "> DescribeTargets"));
    assert_eq!((life.view().status, states(&life)), (Status::Ok, vec![TargetStage::InService]));
    assert_eq!(life.completions, ["completed CONTINUE"]);
}

#[test]
fn while_the_load_balancer_is_waited_for_its_health_checks_are_answered_and_the_reason_is_shown() {
    let life = web("").balancing(|balancer| balancer.healthy_after = Some(secs(30))).run(secs(20));
    let view = life.view();
    assert_eq!((view.phase, view.status), (PhaseName::Serve, Status::Ok), "{}", life.trace());
    assert_eq!(view.reason, "waiting for the load balancer: web:8080: initial (Elb.InitialHealthChecking)");
    assert_eq!(life.count(JobKind::CompleteHook), 0, "{}", life.trace());
    let hooks: Vec<_> = view.lifecycle.hooks.iter().map(|hook| hook.state).collect();
    assert_eq!(hooks, [HookState::WaitingForLoadBalancer]);
}

#[test]
fn a_target_that_never_gets_healthy_is_a_failed_boot_with_the_load_balancer_s_reason() {
    let timeout = TargetHealth::of(TargetHealthState::Unhealthy).because("Target.Timeout");
    let life = web("target.timeout=1m").balancing(|balancer| {
        (balancer.healthy_after, balancer.until_then) = (None, timeout);
    });
    let life = life.run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::BootFailed), "{}", life.trace());
    assert_eq!(life.completions, ["completed ABANDON"]);
    assert_eq!(life.balancer.registered(), [""; 0], "it is deregistered");
    let failure = life.view().failure.unwrap();
    assert_eq!(failure.reason, ReadyReason::TargetNotHealthy);
    let message = "the load balancer did not call the target web:8080 healthy in time (target.timeout 60s, boot.timeout 600s): \
                unhealthy (Target.Timeout): the health check gets no answer: the instance's security group must allow";
    assert!(failure.message.starts_with(message), "{}", failure.message);
    assert!(life.words.contains("Target.Timeout"), "{}", life.words);
    let (registered, failed) = (moments(&life, "TargetRegistered")[0], moments(&life, "failing")[0]);
    assert!((59.9..=60.1).contains(&(failed - registered)), "{registered} to {failed}");
}

#[test]
fn however_short_the_time_is_the_load_balancer_s_reason_is_known_at_its_end() {
    for seconds in [2, 3, 5, 8] {
        let life = web(&format!("target.timeout={seconds}s")).balancing(|balancer| balancer.healthy_after = None);
        let life = life.run(secs(100));
        assert!(life.words.contains(": initial (Elb.InitialHealthChecking)"), "{}", life.words);
    }
}

#[test]
fn boot_timeout_ends_the_wait_if_it_comes_first() {
    let life = web("boot.timeout=30s probe.start_timeout=20s").balancing(|balancer| balancer.healthy_after = None);
    let life = life.run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::BootFailed), "{}", life.trace());
    assert!(moments(&life, "failing")[0] < 30.1, "{}", life.trace());
}

#[test]
fn a_call_that_is_not_allowed_is_a_failed_boot_that_names_it() {
    for job in [JobKind::RegisterTarget, JobKind::DescribeTargets] {
        let life = web("").fails(job, 1, ErrorClass::Denied, "elasticloadbalancing:X is not allowed").run(secs(600));
        assert_eq!(life.outcome(), Some(Outcome::BootFailed), "{}", life.trace());
        let failure = life.view().failure.unwrap();
        assert_eq!(failure.reason, ReadyReason::AccessDenied);
        assert!(failure.message.contains("elasticloadbalancing:X is not allowed"), "{}", failure.message);
        assert!(failure.message.contains("`berth policy` prints the statement"), "{}", failure.message);
    }
}

#[test]
fn what_passes_is_tried_again() {
    let life = web("")
        .fails(JobKind::DescribeTargets, 3, ErrorClass::Transient, "503")
        .fails(JobKind::RegisterTarget, 3, ErrorClass::Throttled, "Throttling")
        .fails(JobKind::DescribeGroup, 3, ErrorClass::Transient, "503")
        .run(secs(200));
    assert_eq!((life.view().status, states(&life)), (Status::Ok, vec![TargetStage::InService]), "{}", life.trace());
    assert_eq!(life.completions, ["completed CONTINUE"]);
}

#[test]
fn a_call_that_is_never_answered_is_made_again() {
    for job in [JobKind::DescribeTargets, JobKind::RegisterTarget] {
        let life = web("").never(job).run(secs(200));
        assert_eq!(states(&life), [TargetStage::InService], "{job}\n{}", life.trace());
    }
}

#[test]
fn a_zonal_shift_keeps_no_instance_from_its_service() {
    let shifted = TargetHealth { is_shifted: true, ..TargetHealth::of(TargetHealthState::Unhealthy) };
    let life = web("").balancing(|balancer| (balancer.healthy_after, balancer.until_then) = (None, shifted));
    let life = life.run(secs(60));
    assert_eq!(life.completions, ["completed CONTINUE"], "{}", life.trace());
    let reason = life.view().targets[0].reason.clone().unwrap();
    assert!(reason.contains("zonal shift"), "{reason}");
}

#[test]
fn a_target_group_that_the_auto_scaling_group_attaches_is_left_to_it() {
    let life = web("").attaching(WEB).run(secs(60));
    assert_eq!(life.count(JobKind::RegisterTarget), 0, "{}", life.trace());
    assert_eq!(life.completions, ["completed CONTINUE"]);
    assert_eq!(states(&life), [TargetStage::AttachedByGroup]);
    let life = life.at(secs(60), TERM).run(secs(600));
    assert_eq!((life.outcome(), life.count(JobKind::DeregisterTarget)), (Some(Outcome::Done), 0), "{}", life.trace());
}

#[test]
fn a_target_group_that_the_group_attaches_and_a_port_that_berth_chooses_do_not_go_together() {
    let life = dynamic().attaching(WEB).run(secs(60));
    assert_eq!(
        (life.outcome(), life.count(JobKind::CreateContainer)),
        (Some(Outcome::BootFailed), 0),
        "{}",
        life.trace()
    );
    assert!(life.words.contains("detach it from the group, or give `port` a host port"), "{}", life.words);
}

#[test]
fn if_the_group_cannot_be_asked_the_target_groups_are_registered_and_the_boot_goes_on() {
    let life = web("").fails(JobKind::DescribeGroup, 1, ErrorClass::Denied, "not allowed").run(secs(60));
    assert_eq!((states(&life), life.completions.len()), (vec![TargetStage::InService], 1), "{}", life.trace());
    let outside = web("").answer(JobKind::FindGroup, ms(50), Event::GroupFound(None)).run(secs(60));
    assert_eq!((outside.count(JobKind::DescribeGroup), states(&outside)), (0, vec![TargetStage::InService]));
}

#[test]
fn several_target_groups_are_all_waited_for() {
    let both = format!("image=r.test/a:1 port=8080,9000 health=/health target_groups={WEB},{ADMIN}#9000");
    let life = Sim::new(&both).run(secs(60));
    assert_eq!(life.balancer.registered(), ["admin:9000", "web:8080"]);
    let completed = moments(&life, "> CompleteHook")[0];
    let ends = moments(&life, "is healthy");
    assert!(ends.len() == 2 && ends.iter().all(|at| *at <= completed), "{}", life.trace());
    let life = life.at(secs(60), TERM).run(secs(600));
    assert_eq!(life.balancer.registered(), [""; 0]);
    assert_eq!(life.outcome(), Some(Outcome::Done));
}

#[test]
fn in_steady_state_nothing_is_asked() {
    let calls = |life: &Sim| life.ordered.iter().filter(|job| job.word().contains("target")).count();
    let (early, late) = (web("").run(secs(60)), web("").run(secs(7200)));
    assert_eq!(calls(&early), calls(&late), "{}", late.trace());
}

// Leaving.

#[test]
fn the_target_is_deregistered_beside_the_503_and_the_drain_ends_when_it_is_unused() {
    let held = |delay: u64| {
        let life = web("drain.timeout=10m").holds(secs(0), 3).balancing(|balancer| balancer.delay = secs(delay));
        life.at(secs(60), TERM).run(secs(900))
    };
    for delay in [30, 120, 300] {
        let life = held(delay);
        let first = after(&life, "> DeregisterTarget");
        assert!(first.starts_with("60.000"), "{}", life.trace());
        assert_eq!(
            life.outcome(),
            Some(Outcome::Done),
            "connections that the balancer keeps are cut without harm\n{}",
            life.trace()
        );
        let (left, stopped) = (moments(&life, "TargetDeregistered")[0], moments(&life, "> StopContainer")[0]);
        let late = stopped - left - delay as f64;
        assert!((0.0..=5.0).contains(&late), "{delay}: stopped {late} s after it was unused\n{}", life.trace());
    }
}

#[test]
fn connections_that_end_before_that_end_the_drain() {
    let life = web("").at(secs(60), TERM).run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::Done));
    assert!((82.0..=83.0).contains(&moments(&life, "> StopContainer")[0]), "{}", life.trace());
    assert!(moments(&life, "TargetDeregistered")[0] < 61.0);
}

#[test]
fn the_load_balancer_is_first_asked_after_settle_and_then_four_times_a_minute() {
    let life = web("drain.timeout=10m").holds(secs(0), 3).fails(JobKind::DescribeDelay, 1, ErrorClass::Denied, "no");
    let life = life.at(secs(60), TERM).run(secs(1_000));
    let asked: Vec<f64> = moments(&life, "> DescribeTargets").into_iter().filter(|at| *at > 60.0).collect();
    assert!((79.9..=80.1).contains(&asked[0]), "{asked:?}");
    assert!(asked.windows(2).all(|two| (9.9..=20.2).contains(&(two[1] - two[0]))), "{asked:?}");
}

#[test]
fn a_call_that_fails_holds_no_termination_up_and_is_told_at_the_end() {
    let life = web("").fails_always(JobKind::DeregisterTarget, "503 Service Unavailable");
    let life = life.sees(secs(60), target(TargetState::Terminated)).run(secs(900));
    assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
    assert!(moments(&life, "> StopContainer")[0] < 90.0, "{}", life.trace());
    assert!(life.words.ends_with("; not deregistered: web:8080 (503 Service Unavailable)"), "{}", life.words);
    assert!(life.count(JobKind::DeregisterTarget) > 3);
}

#[test]
fn a_call_that_waits_for_its_turn_is_waited_for_until_the_deadline() {
    let life = web("").fails(JobKind::DeregisterTarget, 6, ErrorClass::Throttled, "Throttling");
    let life = life.at(secs(60), TERM).run(secs(900));
    let (left, stopped) = (moments(&life, "TargetDeregistered")[0], moments(&life, "> StopContainer")[0]);
    assert!(left <= stopped, "a stop before would cut what is still sent\n{}", life.trace());
    assert_eq!(life.outcome(), Some(Outcome::Done));
    let mut never = life_throttled_for_ever();
    never = never.at(secs(60), TERM).run(secs(900));
    let stopped = moments(&never, "> StopContainer")[0];
    assert!((379.0..=382.0).contains(&stopped), "at drain.settle and drain.timeout: {stopped}\n{}", never.trace());
}

fn life_throttled_for_ever() -> Sim {
    web("").fails(JobKind::DeregisterTarget, 2_000, ErrorClass::Throttled, "Throttling")
}

#[test]
fn standby_leaves_the_target_groups_and_a_return_waits_for_the_end_of_the_delay() {
    let life = web("").sees(secs(60), target(TargetState::Standby)).sees(secs(90), target(TargetState::InService));
    let life = life.run(secs(900));
    let (left, again) = (moments(&life, "TargetDeregistered")[0], moments(&life, "TargetRegistered")[1]);
    assert!(again - left >= 300.0 && again - left < 325.0, "{left} to {again}\n{}", life.trace());
    assert_eq!(life.balancer.too_early, []);
    assert_eq!((life.view().status, states(&life)), (Status::Ok, vec![TargetStage::InService]));
    assert_eq!(life.completions.len(), 1, "the launch hook was completed before");
}

/// As after a cancelled registration that is carried out after the deregistration.
#[test]
fn one_that_is_registered_although_it_was_deregistered_is_deregistered_again() {
    let life = web("drain.timeout=10m").holds(secs(0), 1).balancing(|balancer| balancer.delay = secs(0));
    let life =
        life.answer(JobKind::DeregisterTarget, ms(10), Event::TargetDeregistered).at(secs(60), TERM).run(secs(900));
    let (left, stopped) = (moments(&life, "TargetDeregistered"), moments(&life, "> StopContainer")[0]);
    assert_eq!(left.len(), 2, "{}", life.trace());
    assert!((20.0..=20.2).contains(&(left[1] - left[0])), "{left:?}\n{}", life.trace());
    assert!((20.0..=20.2).contains(&(stopped - left[1])), "{left:?} to {stopped}\n{}", life.trace());
}

#[test]
fn a_state_that_is_not_known_is_no_reason_to_deregister_again() {
    let life = web("drain.timeout=10m").holds(secs(0), 1);
    let life = life.balancing(|balancer| balancer.until_unused = TargetHealth::of(TargetHealthState::Unknown));
    let life = life.at(secs(60), TERM).run(secs(900));
    let (left, stopped) = (moments(&life, "TargetDeregistered"), moments(&life, "> StopContainer")[0]);
    assert_eq!(left.len(), 1, "{}", life.trace());
    assert!((300.0..=305.0).contains(&(stopped - left[0])), "{left:?} to {stopped}\n{}", life.trace());
}

#[test]
fn one_that_is_deregistered_late_is_asked_about_too_and_no_earlier_than_settle_after_it() {
    let life = web("drain.timeout=10m").holds(secs(0), 1).balancing(|balancer| balancer.delay = secs(0));
    let life = life.fails(JobKind::DeregisterTarget, 7, ErrorClass::Transient, "503").at(secs(60), TERM).run(secs(900));
    let (left, stopped) = (moments(&life, "TargetDeregistered")[0], moments(&life, "> StopContainer")[0]);
    assert!(left > 81.0, "after the drain has begun to wait: {left}\n{}", life.trace());
    assert!((20.0..=20.2).contains(&(stopped - left)), "{left} to {stopped}\n{}", life.trace());
}

/// The load balancer may have requests there that began before.
#[test]
fn a_drain_in_the_return_from_standby_waits_for_the_connections_of_before() {
    let life = web("").holds(secs(0), 1).sees(secs(60), target(TargetState::Standby));
    let life = life.sees(secs(64), target(TargetState::InService)).at(secs(80), TERM).run(secs(900));
    let (left, stopped) = (moments(&life, "TargetDeregistered")[0], moments(&life, "> StopContainer")[0]);
    assert!((300.0..=305.0).contains(&(stopped - left)), "{left} to {stopped}\n{}", life.trace());
    assert_eq!((life.outcome(), life.count(JobKind::RegisterTarget)), (Some(Outcome::Done), 1));
}

#[test]
fn an_instance_that_is_given_up_leaves_its_target_groups() {
    let lost = Sim::new(&line("restart.limit=0")).answer(JobKind::WatchContainer, secs(60), exited(1)).run(secs(600));
    assert_eq!(lost.outcome(), Some(Outcome::AppFailed), "{}", lost.trace());
    assert_eq!(lost.balancer.registered(), [""; 0]);
    let held = web("boot.on_failure=hold target.timeout=30s").balancing(|balancer| balancer.healthy_after = None);
    let held = held.run(secs(120));
    assert_eq!((held.view().phase, held.balancer.registered()), (PhaseName::Hold, vec![]), "{}", held.trace());
}

#[test]
fn a_warm_pool_registers_nothing() {
    let life = web("").sees(ms(0), target(TargetState::WarmedStopped)).sees(secs(600), target(TargetState::InService));
    let life = life.run(secs(590));
    let calls = life.ordered.iter().filter(|job| job.word().contains("target"));
    assert_eq!((life.view().phase, calls.count()), (PhaseName::Warm, 0), "{}", life.trace());
    let life = life.run(secs(700));
    assert_eq!(
        (life.view().phase, states(&life)),
        (PhaseName::Serve, vec![TargetStage::InService]),
        "{}",
        life.trace()
    );
}

#[test]
fn a_termination_before_the_load_balancer_was_asked_registers_nothing() {
    let life = web("").sees(secs(1), target(TargetState::Terminated)).run(secs(600));
    assert_eq!((life.count(JobKind::RegisterTarget), life.outcome()), (0, Some(Outcome::Done)), "{}", life.trace());
    let life = Sim::new(&line("")).never(JobKind::RegisterTarget).at(secs(5), TERM).run(secs(600));
    assert!(moments(&life, "> DeregisterTarget")[0] < 5.1, "the call may have been carried out\n{}", life.trace());
}

// Ports.

#[test]
fn a_port_that_the_config_leaves_open_is_chosen_and_registered() {
    let life = dynamic().run(secs(60));
    let port = life.chosen[&8080];
    assert!((20_000..30_000).contains(&port), "{port}");
    assert_eq!(life.balancer.registered(), [format!("web:{port}")]);
    let steps: Vec<_> = life.view().steps.iter().map(|step| step.name.word()).collect();
    assert!(steps.contains(&"ports") && steps.contains(&"target"), "{steps:?}");
    assert_eq!(life.completions, ["completed CONTINUE"]);
}

#[test]
fn a_port_that_the_host_uses_is_not_chosen() {
    let first = dynamic().run(secs(60)).chosen[&8080];
    let mut life = dynamic();
    life.taken = BTreeSet::from([first]);
    let life = life.run(secs(60));
    assert_ne!(life.chosen[&8080], first);
    let mut life = dynamic();
    life.taken = (20_000..30_000).collect();
    let life = life.run(secs(30));
    assert!(life.view().reason.contains("each of the 32 host ports"), "{}", life.view().reason);
    assert_eq!(life.count(JobKind::CreateContainer), 0);
}

#[test]
fn after_a_reboot_what_is_still_registered_is_left_and_another_port_is_chosen() {
    let before = dynamic().run(secs(60));
    let first = before.chosen[&8080];
    let mut life = dynamic();
    life.balancer = before.balancer.clone().after(secs(60));
    let life = life.run(secs(60));
    let second = life.chosen[&8080];
    assert_ne!(second, first);
    assert_eq!(life.balancer.registered(), [format!("web:{second}")], "{}", life.trace());
    assert_eq!(life.balancer.too_early, []);
}

#[test]
fn a_port_is_not_chosen_again_within_the_delay_and_a_minute() {
    let before = dynamic().balancing(|balancer| balancer.delay = secs(10)).holds(secs(0), 1).at(secs(60), TERM);
    let before = before.run(secs(600));
    assert_eq!(before.outcome(), Some(Outcome::Done), "{}", before.trace());
    let first = before.chosen[&8080];
    // It was unused 20 s after the deregistration, when the drain ended.
    for (ago, is_same) in [(secs(1), false), (secs(58), false), (secs(62), true)] {
        let life = dynamic().knowing(before.noted(), ago).run(secs(60));
        assert_eq!(life.chosen[&8080] == first, is_same, "{ago:?}\n{}", life.trace());
    }
}

#[test]
fn a_fixed_port_that_is_still_draining_is_registered_when_it_is_not() {
    let before = web("").at(secs(60), TERM).run(secs(600));
    let mut life = web("");
    life.balancer = before.balancer.clone().after(secs(83));
    let life = life.run(secs(590));
    assert_eq!(life.balancer.too_early, []);
    assert_eq!((life.view().status, states(&life)), (Status::Ok, vec![TargetStage::InService]), "{}", life.trace());
}

#[test]
fn a_target_that_somebody_else_deregistered_is_registered_again_when_that_is_allowed() {
    let gone = failure(JobKind::RegisterTarget, ErrorClass::Transient, "InvalidTarget: not running");
    let life = web("").answer(JobKind::RegisterTarget, ms(10), gone).run(secs(60));
    assert_eq!(states(&life), [TargetStage::InService], "{}", life.trace());
    let unknown = Event::TargetRegistered; // answered, and not carried out
    let life = web("").answer(JobKind::RegisterTarget, ms(10), unknown).run(secs(60));
    assert_eq!(
        (life.count(JobKind::RegisterTarget), states(&life)),
        (2, vec![TargetStage::InService]),
        "{}",
        life.trace()
    );
}

/// Fewer than all nodes of the load balancer have learnt of it, and some still send requests.
#[test]
fn a_target_that_is_deregistered_late_is_served_for_settle_after_that() {
    for throttled in [5, 7, 8, 9] {
        let life = web("").fails(JobKind::DeregisterTarget, throttled, ErrorClass::Throttled, "Throttling");
        let life = life.at(secs(60), TERM).run(secs(900));
        let (left, stopped) = (moments(&life, "TargetDeregistered")[0], moments(&life, "> StopContainer")[0]);
        assert!((20.0..21.0).contains(&(stopped - left + 0.001)), "{throttled}: {left} to {stopped}\n{}", life.trace());
        assert_eq!(life.outcome(), Some(Outcome::Done));
    }
}

#[test]
fn a_wait_for_the_load_balancer_is_not_forgotten_however_long_it_lasts() {
    let life = web("").sees(secs(60), target(TargetState::Standby)).sees(secs(7_250), target(TargetState::InService));
    let life = life.run(secs(7_240)).fails_always(JobKind::DescribeTargets, "503").run(secs(7_400));
    assert_eq!(
        (states(&life), life.count(JobKind::RegisterTarget)),
        (vec![TargetStage::Checking], 1),
        "{}",
        life.trace()
    );
    assert!(life.view().reason.starts_with("waiting for the load balancer"), "{}", life.view().reason);
}

/// The first answer may still be the one of before.
#[test]
fn after_a_deregistration_that_came_late_the_load_balancer_is_not_believed_at_once() {
    let life = web("").sees(secs(60), target(TargetState::Standby)).sees(secs(62), target(TargetState::InService));
    let life = life.run(secs(50)).fails(JobKind::DeregisterTarget, 3, ErrorClass::Throttled, "Throttling");
    let life = life.run(secs(2_000));
    let (left, asked) = (moments(&life, "TargetDeregistered")[0], moments(&life, "> DescribeTargets"));
    let first = asked.into_iter().find(|at| *at >= left);
    assert!(first.is_some_and(|first| first - left >= 10.0), "{left}, then {first:?}\n{}", life.trace());
    assert_eq!((states(&life), life.balancer.too_early.len()), (vec![TargetStage::InService], 0), "{}", life.trace());
}

#[test]
fn a_port_that_the_config_names_is_not_chosen() {
    let first = dynamic().run(secs(60)).chosen[&8080];
    for more in [format!("port=0:8080,{first}:9000"), format!("port=0:8080 listen=0.0.0.0:{first}")] {
        let life = Sim::new(&format!("image=registry.test/api:v1 health=/health target_groups={WEB} {more}"));
        let life = life.run(secs(60));
        assert_ne!(life.chosen[&8080], first, "{more}");
        assert_eq!(states(&life), [TargetStage::InService], "{more}\n{}", life.trace());
    }
}
