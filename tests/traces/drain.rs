//! The way out: in which order, how long, and what comes first when several things want the instance to leave.

use berth_core::message::container::FoundContainer;
use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::message::snapshot::Snapshot;
use berth_core::view::{PhaseName, Status};
use expect_test::expect;

use crate::interruption::spot;
use crate::sim::{LINE, Sim, config, exited, failure, group, identity, ms, secs, survivor, target};

const TERM: Event = Event::Signalled(Signal::Term);
/// A termination hook that the group has made active.
const ACTIVE: &str = "Terminating:Wait";

pub(crate) fn after(life: &Sim, start: &str) -> String {
    let from = life.trace().find(start).unwrap_or_else(|| panic!("no {start} in\n{}", life.trace()));
    let line = life.trace()[..from].rfind('\n').map_or(0, |end| end + 1);
    life.trace()[line..].to_owned()
}

#[test]
fn an_idle_instance_leaves_in_settle_and_a_few_seconds() {
    let life = Sim::new(LINE).sees(secs(30), target(TargetState::Terminated)).run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::Done));
    expect![[r#"
        52.451   drain   > StopContainer c0ffee within 30s
        52.951   drain   ContainerStopped
        52.951   drain   > CompleteHook web/leave CONTINUE
        53.001   drain   HookCompleted
        53.001   drain   > WriteFinalStatus drained after 23 s (Auto Scaling is terminating the instance); termination hook: completed CONTINUE
        53.002   drain   FinalStatusWritten
        53.002   gone    > Exit 0
    "#]].assert_eq(&after(&life, "StopContainer"));
}

#[test]
fn a_busy_instance_gets_the_time_there_is() {
    let life = Sim::new("image=r.test/a:1 port=80 drain.settle=5s drain.timeout=60s")
        .holds(secs(0), 3)
        .holds(secs(70), 0)
        .sees(secs(30), target(TargetState::Terminated))
        .run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
    let stop = after(&life, "StopContainer");
    assert!(stop.starts_with("72.") || stop.starts_with("73."), "idle for 2 s after 70 s: {stop}");
}

#[test]
fn connections_that_do_not_end_are_cut_and_the_exit_code_says_so() {
    let life = Sim::new("image=r.test/a:1 port=80 drain.settle=5s drain.timeout=60s")
        .holds(secs(0), 1)
        .at(secs(10), TERM)
        .run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::DrainCut));
    assert!(after(&life, "StopContainer").starts_with("75.000"), "{}", life.trace());
}

#[test]
fn readiness_is_503_from_the_first_moment_on() {
    let life = Sim::new(LINE).sees(secs(30), target(TargetState::Terminated)).run(ms(32_500));
    assert_eq!((life.view().phase, life.view().status), (PhaseName::Drain, Status::Draining));
    assert_eq!(life.count(JobKind::StopContainer), 0, "still serving");
}

#[test]
fn a_hook_that_is_not_active_yet_is_tried_again_after_the_stop() {
    let mut life = Sim::new(LINE).sees(secs(30), target(TargetState::Terminated));
    for _ in 0..3 {
        life = life
            .answer(JobKind::CompleteHook, ms(50), Event::HookCompleted)
            .answer(JobKind::CompleteHook, ms(50), Event::HookNotActive(JobKind::CompleteHook))
            .answer(JobKind::DescribeInstance, ms(50), Event::InstanceDescribed(Some("Terminating".to_owned())));
    }
    let life = life.run(secs(900));
    assert_eq!(life.outcome(), Some(Outcome::Done));
    assert_eq!(life.completions, ["completed CONTINUE", "completed CONTINUE"], "the launch hook, then the other");
}

/// The metadata announces a termination before the group's own answers show it.
#[test]
fn a_group_that_still_calls_a_leaving_instance_in_service_is_asked_again() {
    for state in ["InService", "Standby", "Detached"] {
        let life = Sim::new(LINE)
            .answer(JobKind::CompleteHook, ms(50), Event::HookCompleted)
            .answer(JobKind::CompleteHook, ms(50), Event::HookNotActive(JobKind::CompleteHook))
            .answer(JobKind::DescribeInstance, ms(50), Event::InstanceDescribed(Some(state.to_owned())))
            .sees(secs(30), target(TargetState::Terminated))
            .run(secs(900));
        assert_eq!(life.completed, ["web/boot", "web/leave"], "{state}\n{}", life.trace());
    }
}

#[test]
fn an_expired_hook_is_given_up() {
    let life = Sim::new(LINE)
        .answer(JobKind::CompleteHook, ms(50), Event::HookCompleted)
        .answer(JobKind::CompleteHook, ms(50), Event::HookNotActive(JobKind::CompleteHook))
        .answer(JobKind::DescribeInstance, ms(50), Event::InstanceDescribed(Some("Terminating:Proceed".to_owned())))
        .sees(secs(30), target(TargetState::Terminated))
        .run(secs(900));
    assert_eq!((life.outcome(), life.count(JobKind::CompleteHook)), (Some(Outcome::Done), 2));
}

#[test]
fn heartbeats_go_on_all_along() {
    let life = Sim::new("image=r.test/a:1 port=80 drain.timeout=100s lifecycle.heartbeat=10s")
        .holds(secs(0), 1)
        .sees(secs(30), target(TargetState::Terminated))
        .run(secs(600));
    assert!((11..=15).contains(&life.count(JobKind::RecordHeartbeat)), "{}", life.count(JobKind::RecordHeartbeat));
}

/// systemd kills what has not asked again when the time that it asked for is over.
#[test]
fn systemd_is_asked_for_30_s_every_10_s_of_a_drain() {
    let life =
        Sim::new("image=r.test/a:1 port=80 drain.timeout=100s").holds(secs(0), 1).at(secs(30), TERM).run(secs(600));
    let took = life.view().phase_since_seconds - 30.0;
    assert!(took > 120.0, "{took} s");
    assert!(
        life.count(JobKind::ExtendStop) as f64 > took / 10.0,
        "{} times in {took} s",
        life.count(JobKind::ExtendStop)
    );
}

#[test]
fn a_look_at_the_metadata_that_never_ends_does_not_make_the_agent_deaf() {
    let life =
        Sim::new(LINE).never(JobKind::WatchMetadata).sees(secs(10), target(TargetState::Terminated)).run(secs(40));
    assert_eq!(life.view().phase, PhaseName::Drain, "{}", life.trace());
}

#[test]
fn a_second_notice_changes_nothing() {
    let once = Sim::new(LINE).sees(secs(30), target(TargetState::Terminated)).run(secs(600));
    let twice = Sim::new(LINE)
        .sees(secs(30), target(TargetState::Terminated))
        .sees(secs(35), target(TargetState::WarmedTerminated))
        .run(secs(600));
    assert_eq!(after(&once, "StopContainer"), after(&twice, "StopContainer"));
}

#[test]
fn a_state_that_flaps_vanishes_and_comes_back_is_one_notice() {
    // The load balancer never lets go of the instance, so that the drain ends when the hook's time does.
    let leaving = |mut life: Sim| {
        life = life.sees(secs(30), target(TargetState::Terminated));
        life = life.answer(JobKind::FindGroup, ms(100), group(secs(60), "Pending:Wait"));
        life = life.answer(JobKind::CompleteHook, ms(50), Event::HookCompleted);
        for _ in 0..100 {
            life = life.answer(JobKind::CompleteHook, ms(50), Event::HookNotActive(JobKind::CompleteHook)).answer(
                JobKind::DescribeInstance,
                ms(50),
                Event::InstanceDescribed(Some("Terminating".to_owned())),
            );
        }
        life
    };
    let steady = leaving(Sim::new(LINE)).run(secs(600));
    let mut flapping = leaving(Sim::new(LINE).sees(secs(10), Snapshot::default()));
    for second in (33..110).step_by(12) {
        flapping = flapping
            .sees(secs(second), Snapshot::default())
            .sees(secs(second + 3), target(TargetState::Terminated))
            .sees(secs(second + 6), target(TargetState::InService))
            .sees(secs(second + 9), target(TargetState::WarmedTerminated));
    }
    let flapping = flapping.run(secs(600));
    assert_eq!(steady.outcome(), Some(Outcome::Done), "{}", steady.trace());
    assert_eq!(after(&flapping, "StopContainer"), after(&steady, "StopContainer"));
}

#[test]
fn metadata_that_is_away_for_30_s_is_no_notice_and_heard_again_within_seconds() {
    let mut life =
        Sim::new(LINE).answer(JobKind::WatchMetadata, ms(5), Event::MetadataSeen(target(TargetState::InService)));
    let away = ["401", "429", "503", "connection refused", "an error page"];
    for reason in away.iter().cycle().take(9) {
        life = life.fails(JobKind::WatchMetadata, 1, ErrorClass::Transient, reason);
    }
    let life = life.sees(secs(3), target(TargetState::Terminated)).run(secs(30));
    assert_eq!(life.view().status, Status::Ok, "{}", life.trace());
    let life = life.run(secs(45));
    assert_eq!(life.view().phase, PhaseName::Drain, "{}", life.trace());
}

#[test]
fn sigterm_completes_an_active_hook_and_goes_on_when_there_is_none() {
    let active = Sim::new(LINE).at(secs(30), TERM).run(secs(600));
    assert_eq!(active.completions.len(), 2);

    let none = Sim::new(LINE)
        .answer(JobKind::CompleteHook, ms(50), Event::HookCompleted)
        .answer(JobKind::CompleteHook, ms(50), Event::HookNotActive(JobKind::CompleteHook))
        .answer(JobKind::DescribeInstance, ms(50), Event::InstanceDescribed(Some("InService".to_owned())))
        .at(secs(30), TERM)
        .run(secs(600));
    assert_eq!((none.outcome(), none.count(JobKind::CompleteHook)), (Some(Outcome::Done), 2));
}

#[test]
fn an_aws_that_is_away_does_not_keep_sigterm_waiting() {
    let life = Sim::new(LINE)
        .answer(JobKind::CompleteHook, ms(50), Event::HookCompleted)
        .fails_always(JobKind::CompleteHook, "no route")
        .at(secs(30), TERM)
        .run(secs(600));
    assert!(life.outcome().is_some());
    let last: f64 = after(&life, "> Exit").split_whitespace().next().unwrap().parse().unwrap();
    assert!(last < 30.0 + 20.0 + 5.0 + 70.0, "{}", life.trace());
}

#[test]
fn a_notice_during_the_boot_reaches_drain_at_once_and_starts_nothing() {
    let life = Sim::new(LINE).never(JobKind::PullImage).sees(secs(5), target(TargetState::Terminated)).run(secs(600));
    assert_eq!((life.outcome(), life.count(JobKind::CreateContainer)), (Some(Outcome::Done), 0));
}

/// SIGTERM says that nobody waits for the group, the notice that the group waits: the hook is completed either way round.
#[test]
fn sigterm_and_the_group_at_once_are_one_drain_and_one_completion() {
    for signalled in [secs(29), secs(30), ms(30_001), secs(33), secs(53)] {
        let mut life = Sim::new(LINE).sees(secs(30), target(TargetState::Terminated)).at(signalled, TERM);
        life = life.answer(JobKind::CompleteHook, ms(50), Event::HookCompleted);
        // The load balancer still lets go of it.
        for _ in 0..20 {
            life = life.answer(JobKind::CompleteHook, ms(50), Event::HookNotActive(JobKind::CompleteHook)).answer(
                JobKind::DescribeInstance,
                ms(50),
                Event::InstanceDescribed(Some("Terminating".to_owned())),
            );
        }
        let life = life.run(secs(600));
        assert_eq!((life.outcome(), life.count(JobKind::StopContainer)), (Some(Outcome::Done), 1), "{}", life.trace());
        assert_eq!(life.completed, ["web/boot", "web/leave"], "SIGTERM at {signalled:?}\n{}", life.trace());
    }
}

/// An agent was killed during a drain, and its container runs.
fn killed_mid_drain(line: &str) -> Sim {
    killed_beside(line, survivor(&config(line)))
}

/// An agent was killed during a drain, and left this container.
fn killed_beside(line: &str, container: FoundContainer) -> Sim {
    let mut leaving = identity();
    leaving.target_state = Some(TargetState::Terminated);
    Sim::new(line)
        .answer(JobKind::Identify, ms(10), Event::Identified(leaving.into()))
        .answer(JobKind::FindContainers, ms(5), Event::ContainersFound(vec![container]))
        .sees(secs(0), target(TargetState::Terminated))
}

#[test]
fn an_agent_killed_after_the_stop_takes_the_secrets_away_and_waits_for_nobody() {
    let life = killed_beside(LINE, FoundContainer { running: None, ..survivor(&config(LINE)) }).run(secs(600));
    assert_eq!((life.outcome(), life.completions.len()), (Some(Outcome::Done), 1), "{}", life.trace());
    assert!(after(&life, "> StopContainer").starts_with("0."), "{}", life.trace());
    let another_s = FoundContainer { running: None, fingerprint: None, ..survivor(&config(LINE)) };
    assert_eq!(killed_beside(LINE, another_s).run(secs(600)).count(JobKind::StopContainer), 0);
}

#[test]
fn an_agent_killed_mid_drain_leaves_as_its_config_says() {
    let named = "drain.settle=60s stop_timeout=7s lifecycle.group=web lifecycle.terminate_hook=bye";
    let life = killed_mid_drain(&format!("{LINE} {named}")).run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
    let stop = after(&life, "StopContainer");
    assert!(stop.starts_with("62.") && stop.contains("> StopContainer c0ffee within 7s"), "{stop}");
    assert_eq!((life.count(JobKind::FindGroup), &life.completed[..]), (0, &["web/bye".to_owned()][..]));
}

#[test]
fn a_config_that_cannot_be_read_on_the_way_out_holds_nothing_up() {
    // The first time it is asked for is the boot's, and cancelled.
    let silent = killed_mid_drain(LINE).never(JobKind::ReadConfig).never(JobKind::ReadConfig).run(secs(600));
    assert_eq!((silent.outcome(), silent.completions.len()), (Some(Outcome::Done), 1), "{}", silent.trace());
    // The 15 s for the config are 15 s of 503, so they are part of drain.settle.
    assert!(after(&silent, "StopContainer").starts_with("22."), "{}", silent.trace());
    let wrong = killed_mid_drain(LINE).fails(JobKind::ReadConfig, 2, ErrorClass::Misconfigured, "no").run(secs(600));
    assert_eq!((wrong.outcome(), wrong.count(JobKind::ReadConfig)), (Some(Outcome::Done), 2), "{}", wrong.trace());
    let away = killed_mid_drain(LINE).fails(JobKind::ReadConfig, 3, ErrorClass::Transient, "away").run(secs(600));
    assert_eq!((away.outcome(), away.count(JobKind::ReadConfig)), (Some(Outcome::Done), 4), "{}", away.trace());
}

#[test]
fn an_agent_killed_mid_drain_finds_the_container_and_drains_it() {
    let life = killed_mid_drain(LINE).run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
    assert_eq!((life.count(JobKind::StartContainer), life.count(JobKind::StopContainer)), (0, 1));
    assert!(life.count(JobKind::CountConnections) > 0, "its clients are waited for");
}

#[test]
fn an_engine_that_cannot_say_what_runs_is_asked_again() {
    let leaving = || {
        let mut leaving = identity();
        leaving.target_state = Some(TargetState::Terminated);
        Sim::new(LINE)
            .answer(JobKind::Identify, ms(10), Event::Identified(leaving.into()))
            .sees(secs(0), target(TargetState::Terminated))
            .fails(JobKind::FindContainers, 3, ErrorClass::Transient, "the engine is away")
    };
    let found = leaving()
        .answer(JobKind::FindContainers, ms(5), Event::ContainersFound(vec![survivor(&config(LINE))]))
        .run(secs(600));
    assert_eq!((found.outcome(), found.count(JobKind::StopContainer)), (Some(Outcome::Done), 1), "{}", found.trace());
    let never = leaving().fails_always(JobKind::FindContainers, "the engine is away").run(secs(600));
    assert_eq!((never.outcome(), never.completions.len()), (Some(Outcome::DrainCut), 1), "{}", never.trace());
}

#[test]
fn an_app_that_exits_while_draining_is_not_started_again() {
    let life = Sim::new(LINE)
        .answer(JobKind::WatchContainer, secs(40), exited(0))
        .sees(secs(30), target(TargetState::Terminated))
        .run(secs(600));
    assert_eq!((life.outcome(), life.count(JobKind::StartContainer)), (Some(Outcome::DrainCut), 1));
}

#[test]
fn a_count_that_fails_is_not_taken_for_silence() {
    let life = Sim::new("image=r.test/a:1 port=80 drain.settle=5s drain.timeout=30s")
        .fails_always(JobKind::CountConnections, "no /proc")
        .at(secs(10), TERM)
        .run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::DrainCut));
    assert!(after(&life, "StopContainer").starts_with("45.000"), "{}", life.trace());
}

#[test]
fn a_count_that_is_never_answered_is_made_again() {
    let life = Sim::new("image=r.test/a:1 port=80 drain.settle=5s drain.timeout=30s")
        .never(JobKind::CountConnections)
        .at(secs(10), TERM)
        .run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
    assert!(after(&life, "StopContainer").starts_with("22."), "{}", life.trace());
}

#[test]
fn clients_that_left_just_before_the_time_is_over_were_not_cut_off() {
    let life = Sim::new("image=r.test/a:1 port=80 drain.settle=5s drain.timeout=30s")
        .holds(secs(0), 1)
        .holds(secs(44), 0)
        .at(secs(10), TERM)
        .run(secs(600));
    assert!(after(&life, "StopContainer").starts_with("45.000"), "{}", life.trace());
    assert_eq!(life.outcome(), Some(Outcome::Done));
}

#[test]
fn a_failed_stop_does_not_skip_the_hook() {
    let life = Sim::new(LINE)
        .answer(
            JobKind::StopContainer,
            ms(5),
            failure(JobKind::StopContainer, ErrorClass::Broken, "the engine is gone"),
        )
        .sees(secs(30), target(TargetState::Terminated))
        .run(secs(600));
    assert_eq!((life.outcome(), life.completions.len()), (Some(Outcome::DrainCut), 2), "{ACTIVE}");
}

/// What the group heard from the termination hook of a life.
fn result(life: &Sim) -> &str {
    life.completions.last().map_or("", String::as_str)
}

#[test]
fn a_drain_that_was_cut_short_is_abandoned_if_the_config_says_so() {
    let line = "image=r.test/a:1 port=80 drain.settle=5s drain.timeout=30s";
    let abandon = format!("{line} drain.on_failure=abandon");
    let cut = |line: &str| Sim::new(line).holds(secs(0), 1).sees(secs(30), target(TargetState::Terminated));
    let failed_stop = failure(JobKind::StopContainer, ErrorClass::Broken, "the engine is gone");
    for cut in [
        cut(&abandon),
        Sim::new(&abandon)
            .answer(JobKind::StopContainer, ms(5), failed_stop)
            .sees(secs(30), target(TargetState::Terminated)),
        Sim::new(&abandon).holds(secs(0), 1).sees(secs(30), spot(60)),
    ] {
        let life = cut.run(secs(600));
        assert_eq!((life.outcome(), result(&life)), (Some(Outcome::DrainCut), "completed ABANDON"), "{}", life.trace());
        assert_eq!(life.completed, ["web/boot", "web/leave"], "once each");
    }
    let kept = cut(line).run(secs(600));
    assert_eq!((kept.outcome(), result(&kept)), (Some(Outcome::DrainCut), "completed CONTINUE"), "{}", kept.trace());
    let clean = Sim::new(&abandon).sees(secs(30), target(TargetState::Terminated)).run(secs(600));
    assert_eq!((clean.outcome(), result(&clean)), (Some(Outcome::Done), "completed CONTINUE"), "{}", clean.trace());
}

/// Back in the pool the instance is to be used again, and nothing is there to be kept for a look.
#[test]
fn a_drain_back_into_the_pool_is_never_abandoned() {
    let line = "image=r.test/a:1 port=80 drain.settle=5s drain.timeout=30s drain.on_failure=abandon";
    let life = Sim::new(line).holds(secs(0), 1).sees(secs(30), target(TargetState::WarmedRunning)).run(secs(200));
    assert_eq!((life.view().phase, result(&life)), (PhaseName::Warm, "completed CONTINUE"), "{}", life.trace());
}
