//! The launch hook: completed exactly once, and the three meanings of "no active lifecycle action".

use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::group::Membership;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::view::{HookState, PhaseName, Status};

use crate::sim::{LINE, Sim, config, failure, group, ms, secs, survivor};

fn not_active() -> Event {
    Event::HookNotActive(JobKind::CompleteHook)
}

fn described(state: &str) -> Event {
    Event::InstanceDescribed(Some(state.to_owned()))
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
    let life = Sim::new(LINE)
        .answer(JobKind::FindGroup, ms(100), group(secs(30), "Pending:Wait"))
        .never(JobKind::PullImage)
        .fails(JobKind::RecordHeartbeat, 5, ErrorClass::Transient, "Rate exceeded")
        .run(secs(28));
    assert_eq!(life.view().lifecycle.heartbeats, 1, "{}", life.trace());
}

#[test]
fn a_completion_that_is_throttled_is_tried_again_while_the_app_serves() {
    let life = Sim::new(LINE).fails(JobKind::CompleteHook, 4, ErrorClass::Throttled, "Rate exceeded").run(secs(120));
    assert_eq!((life.completions.len(), life.view().status), (1, Status::Ok));
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
    let shown: Vec<_> = life.view().lifecycle.hooks.into_iter().map(|hook| (hook.name.unwrap(), hook.state)).collect();
    let [boot, rest @ ..] = shown.as_slice() else { panic!("{shown:?}") };
    assert_eq!(*boot, ("boot".to_owned(), HookState::Completed));
    let names = ["backup", "deregister"].map(|name| (name.to_owned(), HookState::NotNamed));
    assert_eq!(rest, names, "{}", life.trace());
    assert!(life.trace().contains("several termination hooks (backup, deregister)"), "{}", life.trace());

    let life = life.at(secs(30), Event::Signalled(Signal::Term)).run(secs(200));
    assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
    assert_eq!(life.count(JobKind::CompleteHook), 1, "that of the launch: {}", life.trace());
    assert!(life.words.contains("termination hook: one of several, and berth completes none"), "{}", life.words);
}
