//! The launch hook: completed exactly once, and the three meanings of "no active lifecycle action".

use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::group::Membership;
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::view::{HookState, PhaseName, Status, StepName, StepState, StepView, TransitionName};

use crate::sim::{LINE, Sim, config, failure, group, ms, secs, survivor, target};

fn not_active() -> Event {
    Event::HookNotActive(JobKind::CompleteHook)
}

fn described(state: &str) -> Event {
    Event::InstanceDescribed(Some(state.to_owned()))
}

/// When that was ordered or happened.
fn times(life: &Sim, what: &str) -> Vec<f64> {
    let lines = life.trace().lines().filter(|line| line.contains(what));
    lines.map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect()
}

/// A step, as people see it.
fn step(life: &Sim, name: StepName) -> StepView {
    let found = life.view().steps.into_iter().find(|step| step.name == name);
    found.unwrap_or_else(|| panic!("no {} in {:?}", name.word(), life.view().steps))
}

#[test]
fn too_early_is_tried_again_until_the_hook_is_active() {
    let life = Sim::new(LINE)
        .answer(JobKind::CompleteHook, ms(50), not_active())
        .answer(JobKind::DescribeInstance, ms(50), described("Pending"))
        .answer(JobKind::CompleteHook, ms(50), not_active())
        .answer(JobKind::DescribeInstance, ms(50), described("Pending:Wait"))
        .run(secs(60));
    assert_eq!((life.completions.len(), life.count(JobKind::CompleteHook)), (1, 3));
    assert_eq!(life.hook(), "completed CONTINUE");
}

#[test]
fn expired_is_not_tried_again() {
    let life = Sim::new(LINE)
        .answer(JobKind::CompleteHook, ms(50), not_active())
        .answer(JobKind::DescribeInstance, ms(50), described("Terminating:Wait"))
        .run(secs(600));
    assert_eq!(life.count(JobKind::CompleteHook), 1);
    assert_eq!(life.hook(), "expired, the instance is Terminating:Wait");
}

#[test]
fn never_existed_goes_on() {
    let life = Sim::new(LINE)
        .answer(JobKind::CompleteHook, ms(50), not_active())
        .answer(JobKind::DescribeInstance, ms(50), described("InService"))
        .run(secs(600));
    assert_eq!((life.count(JobKind::CompleteHook), life.view().status), (1, Status::Ok));
    assert!(!life.view().lifecycle.failed, "there is nothing that could have failed");
    assert_eq!(step(&life, StepName::Hook).state, StepState::Done, "nothing goes on for 10 min");
}

/// What `berth timeline` and the metrics have of a life without trouble.
#[test]
fn each_hook_is_shown_with_its_transition_and_its_steps() {
    let life = Sim::new(LINE).sees(secs(30), target(TargetState::Terminated)).run(secs(20));
    assert!(!life.view().lifecycle.failed, "{}", life.hook());
    for name in [StepName::Group, StepName::Hook] {
        assert_eq!(step(&life, name).state, StepState::Done, "{}", name.word());
    }
    let life = life.run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
    let view = life.view().lifecycle;
    let shown: Vec<_> = view.hooks.iter().map(|hook| (hook.transition, hook.name.as_deref().unwrap())).collect();
    assert_eq!(shown, [(TransitionName::Launch, "boot"), (TransitionName::Termination, "leave")]);
    assert!(!view.failed, "{}", life.hook());
    for name in [StepName::Group, StepName::Hook, StepName::LookUpGroupAgain, StepName::TerminationHook] {
        assert_eq!(step(&life, name).state, StepState::Done, "{}", name.word());
    }
}

#[test]
fn a_host_outside_any_group_has_no_hook() {
    let life = Sim::new(LINE).answer(JobKind::FindGroup, ms(50), Event::GroupFound(None)).run(secs(600));
    assert_eq!(life.view().status, Status::Ok);
    for job in [JobKind::CompleteHook, JobKind::RecordHeartbeat, JobKind::DescribeInstance] {
        assert_eq!(life.count(job), 0, "{job:?}");
    }
}

#[test]
fn a_group_without_a_launch_hook_is_left_alone() {
    let bare = Membership {
        group: "web".to_owned(),
        launch_hook: None,
        terminate_hook: None,
        state: Some("Pending".to_owned()),
        ..Membership::default()
    };
    let life = Sim::new(LINE).answer(JobKind::FindGroup, ms(50), Event::GroupFound(Some(bare))).run(secs(600));
    assert_eq!((life.view().status, life.count(JobKind::CompleteHook)), (Status::Ok, 0));
    assert_eq!(life.hook(), "no such hook");
    let life = life.at(secs(600), Event::Signalled(Signal::Term)).run(secs(900));
    assert_eq!((life.outcome(), life.count(JobKind::CompleteHook)), (Some(Outcome::Done), 0), "{}", life.trace());
    assert!(life.words.ends_with("termination hook: no such hook"), "{}", life.words);
}

#[test]
fn an_agent_started_again_in_a_group_that_is_in_service_completes_nothing() {
    let life = Sim::new(LINE)
        .answer(JobKind::FindContainers, ms(5), Event::ContainersFound(vec![survivor(&config(LINE))]))
        .answer(JobKind::FindGroup, ms(50), group(secs(600), "InService"))
        .run(secs(600));
    assert_eq!((life.view().status, life.count(JobKind::CompleteHook)), (Status::Ok, 0));
}

#[test]
fn names_from_the_config_save_the_search() {
    let line = "image=r.test/a:1 port=80 lifecycle.group=web lifecycle.launch_hook=boot";
    let life = Sim::new(line).run(secs(60));
    assert_eq!((life.count(JobKind::FindGroup), life.count(JobKind::CompleteHook)), (0, 1));
}

#[test]
fn a_slow_boot_sends_heartbeats_at_half_the_timeout_and_none_when_it_is_over() {
    let life = Sim::new(LINE)
        .answer(JobKind::FindGroup, ms(100), group(secs(60), "Pending:Wait"))
        .answer(JobKind::PullImage, secs(100), Event::ImagePulled)
        .run(secs(1000));
    assert_eq!(life.completions, ["completed CONTINUE"]);
    assert!((3..=4).contains(&life.view().lifecycle.heartbeats), "{}", life.view().lifecycle.heartbeats);
}

#[test]
fn an_app_that_is_healthy_in_minute_9_of_a_hook_of_10_completes_it() {
    let line = "image=r.test/a:1 port=80 boot.timeout=20m probe.start_timeout=15m";
    let life = Sim::new(line).sick(secs(0), true).sick(secs(540), false).run(secs(545));
    assert_eq!((life.view().status, life.completions.len()), (Status::Ok, 1), "{}", life.trace());
    assert_eq!(life.hook(), "completed CONTINUE");
    assert!(life.view().lifecycle.heartbeats >= 1, "a timer of 10 min is not waited out to its last minute");
}

/// A heartbeat that fails is tried again after a wait; none of them ends a hold, and nothing is completed.
#[test]
fn a_hold_goes_on_although_its_hook_fails_again_and_again() {
    let throttled = failure(JobKind::RecordHeartbeat, ErrorClass::Transient, "Rate exceeded");
    let not_active = Event::HookNotActive(JobKind::RecordHeartbeat);
    for (answer, heartbeats) in [(throttled, 180..=370), (not_active, 11..=15)] {
        let mut life = Sim::new("image=r.test/a:1 port=80 boot.on_failure=hold").fails(
            JobKind::PullImage,
            1,
            ErrorClass::Broken,
            "manifest unknown",
        );
        for _ in 0..2000 {
            life = life.answer(JobKind::RecordHeartbeat, ms(10), answer.clone());
        }
        let life = life.run(secs(3600));
        assert_eq!((life.view().phase, life.view().status), (PhaseName::Hold, Status::Failed));
        assert!(heartbeats.contains(&life.count(JobKind::RecordHeartbeat)), "{}", life.count(JobKind::RecordHeartbeat));
        assert_eq!((life.count(JobKind::CompleteHook), life.outcome()), (0, None));
        let life = life.at(secs(3700), Event::Signalled(Signal::Term)).run(secs(4000));
        assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
    }
}

#[test]
fn an_agent_that_was_killed_just_before_a_heartbeat_leaves_enough_of_the_timeout_to_the_next() {
    let life = Sim::new(LINE)
        .answer(JobKind::FindGroup, ms(100), group(secs(30), "Pending:Wait"))
        .never(JobKind::PullImage)
        .run(ms(7_700));
    assert_eq!(
        life.count(JobKind::RecordHeartbeat),
        1,
        "half of the 30 s may be over, and the restart takes some\n{}",
        life.trace()
    );
}

/// A drain that a signal began leaves the launch hook alone, for as long as it takes: an agent that is killed in it may leave the
/// next one seconds.
#[test]
fn an_agent_that_finds_the_container_of_a_former_one_sends_its_first_heartbeat_at_once() {
    let found = || Event::ContainersFound(vec![survivor(&config(LINE))]);
    for (containers, group_found) in [(ms(5), ms(100)), (ms(2_000), ms(100)), (ms(5), ms(2_000))] {
        let life = Sim::new(LINE)
            .sick(secs(0), true)
            .answer(JobKind::FindContainers, containers, found())
            .answer(JobKind::FindGroup, group_found, group(secs(600), "Pending:Wait"))
            .run(ms(2_500));
        assert_eq!(life.count(JobKind::RecordHeartbeat), 1, "{}", life.trace());
    }
}

#[test]
fn a_group_that_is_found_late_gets_its_first_heartbeat_at_once() {
    let life = Sim::new(LINE)
        .answer(JobKind::FindGroup, secs(20), group(secs(30), "Pending:Wait"))
        .never(JobKind::PullImage)
        .run(secs(21));
    assert_eq!(life.view().lifecycle.heartbeats, 1, "{}", life.trace());
}

#[test]
fn heartbeats_that_are_throttled_are_sent_again_before_the_hook_runs_out() {
    for class in [ErrorClass::Transient, ErrorClass::Throttled] {
        for seed in 1..30 {
            let life = Sim::seeded(LINE, seed)
                .answer(JobKind::FindGroup, ms(100), group(secs(30), "Pending:Wait"))
                .never(JobKind::PullImage)
                .fails(JobKind::RecordHeartbeat, 5, class, "Rate exceeded")
                .run(secs(28));
            assert!(life.view().lifecycle.heartbeats >= 1, "{class:?}, {seed}\n{}", life.trace());
        }
    }
}

/// Most of a fleet is throttled at the same moment.
#[test]
fn heartbeats_that_are_throttled_together_are_not_sent_again_together() {
    let waits = (1..30).map(|seed| {
        let life = Sim::seeded(LINE, seed)
            .never(JobKind::PullImage)
            .fails(JobKind::RecordHeartbeat, 1, ErrorClass::Throttled, "Rate exceeded")
            .run(secs(320));
        let sent = times(&life, "> RecordHeartbeat");
        sent[1] - sent[0]
    });
    let (least, most) = waits.fold((f64::MAX, 0.0_f64), |(least, most), wait| (least.min(wait), most.max(wait)));
    assert!(most - least > 2.0, "all of them wait for {least} to {most} s");
}

#[test]
fn a_completion_that_is_throttled_is_tried_again_while_the_app_serves() {
    let life = Sim::new(LINE).fails(JobKind::CompleteHook, 4, ErrorClass::Throttled, "Rate exceeded").run(secs(120));
    assert_eq!((life.completions.len(), life.view().status), (1, Status::Ok));
}

#[test]
fn a_completion_that_waits_for_its_next_try_is_shown_as_one() {
    let life = Sim::new(LINE).fails(JobKind::CompleteHook, 20, ErrorClass::Transient, "503").run(secs(20));
    assert_eq!(step(&life, StepName::Hook).state, StepState::Waiting, "{}", life.trace());
    assert_eq!(life.hook(), "completing", "the app is healthy, and nothing waits for it");
}

/// The adapters give up before that; an agent whose driver lost an answer must not wait for it until the hook has expired.
#[test]
fn what_is_not_answered_within_a_minute_is_asked_again() {
    let not_active_yet = || Sim::new(LINE).answer(JobKind::CompleteHook, ms(50), not_active());
    for (life, job) in [
        (Sim::new(LINE), JobKind::FindGroup),
        (Sim::new(LINE), JobKind::CompleteHook),
        (not_active_yet(), JobKind::DescribeInstance),
    ] {
        let life = life.never(job).run(secs(120));
        assert_eq!(life.completions, ["completed CONTINUE"], "{job}\n{}", life.trace());
        assert_eq!(times(&life, "> Cancel").len(), 1, "its call is cancelled: {job}\n{}", life.trace());
    }
}

#[test]
fn an_answer_that_came_within_the_minute_is_not_taken_for_late() {
    let overloaded = failure(JobKind::FindGroup, ErrorClass::Transient, "503");
    let life = Sim::new(LINE).answer(JobKind::FindGroup, ms(59_900), overloaded).never(JobKind::FindGroup);
    let life = life.run(secs(62));
    let group = step(&life, StepName::Group);
    assert_eq!((group.attempts, group.error.as_deref()), (2, Some("503")), "{}", life.trace());
}

/// A busy API gets ever longer to recover, one that stumbles is asked on as before.
#[test]
fn a_group_that_is_too_busy_to_say_why_is_asked_less_often() {
    let asked = |class: ErrorClass| {
        let mut life = Sim::new(LINE);
        for _ in 0..200 {
            life = life.answer(JobKind::CompleteHook, ms(50), not_active());
        }
        let life = life.fails(JobKind::DescribeInstance, 200, class, "no").run(secs(500));
        life.count(JobKind::DescribeInstance)
    };
    let (busy, stumbling) = (asked(ErrorClass::Throttled), asked(ErrorClass::Transient));
    assert!((100..130).contains(&stumbling), "every 5 s: {stumbling}");
    assert!(busy < 2 * stumbling / 3, "{busy}, and {stumbling} of one that stumbles");
}

#[test]
fn a_completion_whose_answer_was_lost_is_not_done_twice() {
    let life = Sim::new(LINE)
        .fails(JobKind::CompleteHook, 1, ErrorClass::Transient, "timed out")
        .answer(JobKind::CompleteHook, ms(50), not_active())
        .answer(JobKind::DescribeInstance, ms(50), described("InService"))
        .run(secs(600));
    assert_eq!(life.count(JobKind::CompleteHook), 2);
    assert_eq!(life.hook(), "nothing to complete, the instance is InService");
}

#[test]
fn without_the_right_to_ask_not_active_is_taken_for_too_early_until_the_time_is_over() {
    let mut life = Sim::new(LINE).answer(JobKind::FindGroup, ms(100), group(secs(60), "Pending:Wait"));
    for _ in 0..100 {
        life = life.answer(JobKind::CompleteHook, ms(50), not_active()).answer(
            JobKind::DescribeInstance,
            ms(50),
            failure(JobKind::DescribeInstance, ErrorClass::Denied, "no right to describe"),
        );
    }
    let life = life.run(secs(600));
    assert!((9..=15).contains(&life.count(JobKind::CompleteHook)), "{} tries", life.count(JobKind::CompleteHook));
    assert_eq!(life.hook(), "given up: it timed out");
}

/// The drain does not wait for them: nothing says which one is berth's. An operator sees them before that.
#[test]
fn several_termination_hooks_of_which_none_is_named_are_seen_and_none_is_completed() {
    let Event::GroupFound(Some(found)) = group(secs(600), "Pending:Wait") else { unreachable!() };
    let unnamed_terminate_hooks = vec!["backup".to_owned(), "deregister".to_owned()];
    let several = Membership { terminate_hook: None, unnamed_terminate_hooks, ..found };
    let life = Sim::new(LINE).answer(JobKind::FindGroup, ms(100), Event::GroupFound(Some(several)));
    let life = life.run(secs(20));
    let hooks = life.view().lifecycle.hooks.into_iter();
    let shown: Vec<_> = hooks.map(|hook| (hook.transition, hook.name.unwrap(), hook.state)).collect();
    let [boot, rest @ ..] = shown.as_slice() else { panic!("{shown:?}") };
    assert_eq!(*boot, (TransitionName::Launch, "boot".to_owned(), HookState::Completed));
    let names =
        ["backup", "deregister"].map(|name| (TransitionName::Termination, name.to_owned(), HookState::NotNamed));
    assert_eq!(rest, names, "{}", life.trace());
    assert!(life.trace().contains("several termination hooks (backup, deregister)"), "{}", life.trace());

    let life = life.at(secs(30), Event::Signalled(Signal::Term)).run(secs(200));
    assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
    assert_eq!(life.count(JobKind::CompleteHook), 1, "that of the launch: {}", life.trace());
    assert!(life.words.contains("termination hook: one of several, and berth completes none"), "{}", life.words);
}
