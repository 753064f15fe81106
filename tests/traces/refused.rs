//! Calls to the group that are refused for good. What decides the instance's life is a failed boot, reported as one; the rest goes on.

use berth_core::message::container::FoundContainer;
use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::message::snapshot::Snapshot;
use berth_core::view::{PhaseName, Status};

use crate::sim::{LINE, Sim, config, exited, group, identity, ms, secs, survivor, target};

const NOT_ALLOWED: &str = "autoscaling:CompleteLifecycleAction is not allowed (AccessDenied): no";

fn described(state: &str) -> Event {
    Event::InstanceDescribed(Some(state.to_owned()))
}

/// A life whose completions are refused, in an instance that is in this lifecycle state.
fn refused(line: &str, state: &str) -> Sim {
    Sim::new(line).fails(JobKind::CompleteHook, 50, ErrorClass::Denied, NOT_ALLOWED).answer(
        JobKind::DescribeInstance,
        ms(50),
        described(state),
    )
}

/// Without the metadata's word for the group.
fn unknown_to_the_metadata(mut life: Sim) -> Sim {
    let mut outside = identity();
    outside.target_state = None;
    life = life.sees(secs(0), Snapshot::default());
    life.answer(JobKind::Identify, ms(10), Event::Identified(outside.into()))
}

fn adopted(life: Sim, line: &str) -> Sim {
    let found: Vec<FoundContainer> = vec![survivor(&config(line))];
    life.answer(JobKind::FindContainers, ms(5), Event::ContainersFound(found))
}

/// What was written to the console last.
fn final_status(life: &Sim) -> &str {
    let line = life.trace().lines().rfind(|line| line.contains("> WriteFinalStatus"));
    line.unwrap_or_else(|| panic!("nothing was written\n{}", life.trace()))
}

/// As the socket and the metrics have it.
fn shown(life: &Sim) -> serde_json::Value {
    serde_json::to_value(life.view()).unwrap()
}

#[test]
fn a_launch_hook_that_may_not_be_completed_is_a_failed_boot_that_names_the_permission() {
    for class in [ErrorClass::Denied, ErrorClass::Broken, ErrorClass::Misconfigured] {
        let life = Sim::new(LINE).fails(JobKind::CompleteHook, 1, class, NOT_ALLOWED).answer(
            JobKind::DescribeInstance,
            ms(50),
            described("Pending:Wait"),
        );
        let served = life.run(ms(2_450));
        assert_eq!(served.view().status, Status::Ok, "until it is known\n{}", served.trace());
        let life = served.run(secs(600));
        assert_eq!(life.outcome(), Some(Outcome::BootFailed), "{}", life.trace());
        let reports =
            [JobKind::CompleteHook, JobKind::StopContainer, JobKind::MarkUnhealthy, JobKind::WriteFinalStatus];
        assert_eq!(reports.map(|job| life.count(job)), [1, 1, 1, 1], "{}", life.trace());
        let words = final_status(&life);
        assert!(
            words.contains("the boot failed: the launch hook web/boot cannot be completed: autoscaling:Comp"),
            "{words}"
        );
        assert_eq!(words.matches(NOT_ALLOWED).count(), 1, "{words}");
        let permission = "must allow autoscaling:CompleteLifecycleAction on \
                          arn:aws:autoscaling:us-east-2:123456789012:autoScalingGroup:*:autoScalingGroupName/web";
        assert_eq!(words.contains(permission), class == ErrorClass::Denied, "{words}");
    }
}

#[test]
fn a_refusal_is_shown_and_counted_while_the_instance_is_given_up() {
    let life = refused(LINE, "Pending:Wait").never(JobKind::StopContainer).run(secs(5));
    let view = shown(&life);
    assert_eq!((life.view().phase, life.view().status), (PhaseName::Failing, Status::Failed), "{}", life.trace());
    assert!(life.view().reason.contains(NOT_ALLOWED), "{}", life.view().reason);
    assert_eq!((&view["lifecycle"]["failed"], &view["refused"]["complete_hook"]), (&true.into(), &1.into()), "{view}");
}

#[test]
fn a_boot_whose_hook_is_refused_is_held_with_its_app_and_its_heartbeats() {
    let line = format!("{LINE} boot.on_failure=hold lifecycle.heartbeat=10s");
    let life = refused(&line, "Pending:Wait").run(secs(120));
    assert_eq!((life.view().phase, life.outcome()), (PhaseName::Hold, None), "{}", life.trace());
    assert_eq!((life.count(JobKind::StopContainer), life.count(JobKind::CompleteHook)), (0, 1));
    assert!(life.count(JobKind::RecordHeartbeat) >= 10, "{}", life.trace());
    assert!(life.hook().starts_with("kept from expiring; ") && life.hook().contains(NOT_ALLOWED), "{}", life.hook());
}

/// The role may have been mended in the meantime.
#[test]
fn a_held_hook_that_was_refused_is_abandoned_when_the_hold_is_over() {
    let line = format!("{LINE} boot.on_failure=hold");
    let life = Sim::new(&line)
        .fails(JobKind::CompleteHook, 1, ErrorClass::Denied, NOT_ALLOWED)
        .fails(JobKind::CompleteHook, 6, ErrorClass::Transient, "503")
        .answer(JobKind::DescribeInstance, ms(50), described("Pending:Wait"));
    // AWS waits for 100 times the timeout of the hook.
    let hours = secs(100 * 600);
    let life = life.run(hours);
    assert_eq!((life.view().phase, life.count(JobKind::CompleteHook)), (PhaseName::Hold, 1), "{}", life.hook());
    let life = life.run(hours + secs(6));
    assert_eq!(life.view().phase, PhaseName::Failing, "{}", life.hook());
    assert_eq!(life.hook(), "completing");
    let life = life.run(hours + secs(600));
    assert_eq!(life.completions, ["completed ABANDON"], "{}", life.words);
    assert_eq!((life.outcome(), life.count(JobKind::MarkUnhealthy)), (Some(Outcome::BootFailed), 0), "{}", life.words);
}

#[test]
fn a_refusal_that_holds_nothing_goes_on() {
    let named = "image=r.test/a:1 port=80 lifecycle.group=web lifecycle.launch_hook=boot";
    for (state, words) in [
        (Some("InService"), "nothing to complete, the instance is InService"),
        (Some("RootVolumeReplaced"), "nothing to complete, the instance is RootVolumeReplaced"),
        (Some("Terminating:Wait"), "expired, the instance is Terminating:Wait"),
        (None, "in no group"),
    ] {
        let life = Sim::new(named)
            .fails(JobKind::CompleteHook, 1, ErrorClass::Denied, NOT_ALLOWED)
            .answer(JobKind::DescribeInstance, ms(50), Event::InstanceDescribed(state.map(str::to_owned)))
            .run(secs(100));
        assert_eq!((life.view().status, life.hook().as_str()), (Status::Ok, words), "{}", life.trace());
    }
}

/// The metadata say that it is in a group, and nobody says more.
#[test]
fn where_the_group_cannot_be_asked_either_a_boot_fails_and_an_app_that_ran_before_goes_on() {
    let line = "image=r.test/a:1 port=80 lifecycle.group=web lifecycle.launch_hook=boot";
    let mute = || {
        let life = Sim::new(line).fails(JobKind::CompleteHook, 1, ErrorClass::Denied, NOT_ALLOWED);
        life.fails(JobKind::DescribeInstance, 1, ErrorClass::Denied, "autoscaling:DescribeAutoScalingInstances")
    };
    let boot = mute().run(secs(100));
    assert_eq!(boot.outcome(), Some(Outcome::BootFailed), "{}", boot.trace());
    let again = adopted(mute(), line).run(secs(100));
    assert_eq!((again.view().status, again.count(JobKind::StopContainer)), (Status::Ok, 0), "{}", again.trace());
    assert!(again.hook().contains(NOT_ALLOWED), "{}", again.hook());
    let outside = unknown_to_the_metadata(mute()).run(secs(100));
    assert_eq!(outside.view().status, Status::Ok, "{}", outside.trace());
    // It joins a group a minute later: that group has no launch hook of this boot.
    let joins = unknown_to_the_metadata(mute()).sees(secs(60), target(TargetState::InService)).run(secs(100));
    assert_eq!(joins.view().status, Status::Ok, "{}", joins.trace());
}

/// When the boot began, or at any time before the app was healthy.
#[test]
fn an_instance_that_the_metadata_showed_in_a_group_once_is_in_one() {
    let line = "image=r.test/a:1 port=80 lifecycle.group=web lifecycle.launch_hook=boot";
    let mute = || {
        let life = Sim::new(line).fails(JobKind::CompleteHook, 1, ErrorClass::Denied, NOT_ALLOWED);
        let life = life.answer(JobKind::PullImage, secs(20), Event::ImagePulled);
        life.fails(JobKind::DescribeInstance, 1, ErrorClass::Denied, "autoscaling:DescribeAutoScalingInstances")
    };
    let at_first = mute().fails_always(JobKind::WatchMetadata, "no route to the metadata").run(secs(100));
    assert_eq!(at_first.outcome(), Some(Outcome::BootFailed), "{}", at_first.trace());
    let later = unknown_to_the_metadata(mute()).sees(secs(10), target(TargetState::InService)).run(secs(100));
    assert_eq!(later.outcome(), Some(Outcome::BootFailed), "{}", later.trace());
}

#[test]
fn an_instance_that_the_metadata_show_in_its_group_late_in_the_boot_may_be_held_by_the_hook_too() {
    let line = "image=r.test/a:1 port=80 lifecycle.group=web lifecycle.launch_hook=boot";
    let mute = Sim::new(line)
        .fails(JobKind::CompleteHook, 1, ErrorClass::Denied, NOT_ALLOWED)
        .fails(JobKind::DescribeInstance, 1, ErrorClass::Denied, "autoscaling:DescribeAutoScalingInstances")
        .answer(JobKind::PullImage, secs(10), Event::ImagePulled);
    let life = unknown_to_the_metadata(mute).sees(secs(5), target(TargetState::InService)).run(secs(100));
    assert_eq!(life.outcome(), Some(Outcome::BootFailed), "{}", life.trace());
}

#[test]
fn an_app_that_ran_before_is_given_up_when_the_group_says_that_it_waits() {
    let life = adopted(refused(LINE, "Pending:Wait"), LINE).run(secs(100));
    assert_eq!(life.outcome(), Some(Outcome::BootFailed), "{}", life.trace());
}

fn unfound(class: ErrorClass) -> Sim {
    let refusal = "autoscaling:DescribeLifecycleHooks is not allowed (AccessDenied): no";
    Sim::new(LINE).fails(JobKind::FindGroup, 1, class, refusal)
}

#[test]
fn a_launch_hook_that_cannot_be_found_ends_the_boot_before_anything_is_started() {
    for class in [ErrorClass::Denied, ErrorClass::Broken, ErrorClass::Misconfigured] {
        let life = unfound(class).answer(JobKind::DescribeInstance, ms(50), described("Pending:Wait")).run(secs(100));
        assert_eq!(life.outcome(), Some(Outcome::BootFailed), "{}", life.trace());
        let done = [JobKind::CreateContainer, JobKind::CompleteHook, JobKind::MarkUnhealthy].map(|job| life.count(job));
        assert_eq!(done, [0, 0, 1], "{}", life.trace());
        let words = final_status(&life);
        assert!(words.contains("the launch hook cannot be found: autoscaling:DescribeLifecycleHooks"), "{words}");
    }
}

/// A hook whose name is not known cannot be kept from expiring, and nobody claims that it is.
#[test]
fn a_boot_whose_hook_cannot_be_found_is_held_without_heartbeats() {
    let line = format!("{LINE} boot.on_failure=hold");
    let refusal = "autoscaling:DescribeLifecycleHooks is not allowed (AccessDenied): no";
    let life = Sim::new(&line)
        .fails(JobKind::FindGroup, 1, ErrorClass::Denied, refusal)
        .answer(JobKind::DescribeInstance, ms(50), described("Pending:Wait"))
        .run(secs(600));
    assert_eq!((life.view().phase, life.count(JobKind::RecordHeartbeat)), (PhaseName::Hold, 0), "{}", life.trace());
    assert!(life.hook().starts_with("refused: the launch hook cannot be found"), "{}", life.hook());
}

/// What keeps a hook from being found keeps it from being abandoned: nothing that the group could still say changes the report.
#[test]
fn a_boot_that_fails_while_the_group_is_asked_about_a_refusal_is_reported_at_once() {
    let asking = || unfound(ErrorClass::Denied).fails(JobKind::PullImage, 1, ErrorClass::Broken, "manifest unknown");
    let pending = asking().answer(JobKind::DescribeInstance, ms(50), described("Pending"));
    for life in [asking().never(JobKind::DescribeInstance), pending] {
        let life = life.run(secs(5));
        assert_eq!(life.outcome(), Some(Outcome::BootFailed), "{}", life.trace());
        assert_eq!(life.count(JobKind::MarkUnhealthy), 1, "{}", life.trace());
        let words = "the boot failed: manifest unknown; launch hook: refused: the launch hook cannot be found";
        assert!(life.words.starts_with(words), "{}", life.words);
    }
}

#[test]
fn a_group_that_is_asked_about_a_refusal_while_the_instance_is_pending_is_asked_every_five_seconds() {
    let mut life = unfound(ErrorClass::Denied).never(JobKind::PullImage);
    for _ in 0..100 {
        life = life.answer(JobKind::DescribeInstance, ms(50), described("Pending"));
    }
    let life = life.run(secs(60));
    assert!((12..=16).contains(&life.count(JobKind::DescribeInstance)), "{}", life.trace());
}

#[test]
fn a_group_that_may_not_be_asked_for_its_hooks_and_has_none_does_not_keep_the_app_from_serving() {
    let life = unfound(ErrorClass::Denied)
        .answer(JobKind::DescribeInstance, ms(50), described("Pending"))
        .answer(JobKind::DescribeInstance, ms(50), described("Pending"))
        .run(secs(100));
    assert_eq!((life.view().status, life.count(JobKind::DescribeInstance)), (Status::Ok, 3), "{}", life.trace());
    assert_eq!(life.hook(), "nothing to complete, the instance is InService");
}

#[test]
fn a_group_that_stumbles_when_asked_about_a_refusal_is_asked_again() {
    let life = Sim::new(LINE)
        .fails(JobKind::CompleteHook, 1, ErrorClass::Denied, NOT_ALLOWED)
        .fails(JobKind::DescribeInstance, 2, ErrorClass::Transient, "503")
        .fails(JobKind::DescribeInstance, 2, ErrorClass::Throttled, "Rate exceeded")
        .answer(JobKind::DescribeInstance, ms(50), described("Pending:Wait"))
        .run(secs(200));
    assert_eq!((life.outcome(), life.count(JobKind::CompleteHook)), (Some(Outcome::BootFailed), 1), "{}", life.trace());
}

#[test]
fn an_instance_of_the_pool_whose_hook_is_refused_is_a_failed_boot() {
    let mut entering = identity();
    entering.target_state = Some(TargetState::WarmedStopped);
    let life = Sim::new(LINE)
        .answer(JobKind::Identify, ms(10), Event::Identified(entering.into()))
        .answer(JobKind::FindGroup, ms(100), group(secs(600), "Warmed:Pending:Wait"))
        .sees(secs(0), target(TargetState::WarmedStopped))
        .fails(JobKind::CompleteHook, 1, ErrorClass::Denied, NOT_ALLOWED)
        .answer(JobKind::DescribeInstance, ms(50), described("Warmed:Pending:Wait"))
        .run(secs(100));
    assert_eq!(
        (life.outcome(), life.count(JobKind::MarkUnhealthy)),
        (Some(Outcome::BootFailed), 1),
        "{}",
        life.trace()
    );
}

#[test]
fn an_instance_that_may_not_be_marked_unhealthy_says_so_with_the_permission() {
    let mut life = Sim::new(LINE).fails(
        JobKind::MarkUnhealthy,
        1,
        ErrorClass::Denied,
        "autoscaling:SetInstanceHealth is not allowed (AccessDenied): no",
    );
    for _ in 0..6 {
        life = life.answer(JobKind::WatchContainer, ms(500), exited(1));
    }
    let life = life.run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::AppFailed), "{}", life.trace());
    let permission = "must allow autoscaling:SetInstanceHealth on \
                      arn:aws:autoscaling:us-east-2:123456789012:autoScalingGroup:*:autoScalingGroupName/web";
    assert!(final_status(&life).contains(permission), "{}", final_status(&life));
}

#[test]
fn heartbeats_that_are_not_allowed_are_reported_and_end_nothing() {
    let life = Sim::new(LINE)
        .answer(JobKind::FindGroup, ms(100), group(secs(30), "Pending:Wait"))
        .answer(JobKind::PullImage, secs(60), Event::ImagePulled)
        .fails(
            JobKind::RecordHeartbeat,
            50,
            ErrorClass::Denied,
            "autoscaling:RecordLifecycleActionHeartbeat is not allowed",
        )
        .run(secs(40));
    let state = life.hook();
    assert!(state.contains("heartbeats are refused: autoscaling:RecordLifecycleActionHeartbeat"), "{state}");
    assert!(shown(&life)["refused"]["record_heartbeat"].as_u64() >= Some(2), "{}", life.trace());
    let life = life.run(secs(100));
    assert_eq!((life.view().status, life.completions.len()), (Status::Ok, 1), "{}", life.trace());
}

/// The hook's own timeout is over by then: whether the group terminates the instance, the metadata say.
#[test]
fn a_launch_hook_that_could_not_be_completed_in_its_time_is_reported_while_the_app_serves() {
    let life = Sim::new(LINE)
        .answer(JobKind::FindGroup, ms(100), group(secs(60), "Pending:Wait"))
        .fails_always(JobKind::CompleteHook, "no route to Auto Scaling")
        .run(secs(100));
    assert_eq!((life.view().status, &shown(&life)["lifecycle"]["failed"]), (Status::Ok, &true.into()));
    let words = final_status(&life);
    assert!(words.contains("the launch hook was not completed") && words.contains("no route"), "{words}");
    assert_eq!(life.count(JobKind::WriteFinalStatus), 1);
}

#[test]
fn a_termination_hook_that_may_not_be_completed_is_reported_at_the_end_of_the_drain() {
    let life = Sim::new(LINE)
        .answer(JobKind::CompleteHook, ms(50), Event::HookCompleted)
        .fails(JobKind::CompleteHook, 50, ErrorClass::Denied, NOT_ALLOWED)
        .sees(secs(30), target(TargetState::Terminated))
        .run(secs(600));
    assert_eq!((life.outcome(), life.count(JobKind::CompleteHook)), (Some(Outcome::Done), 2), "{}", life.trace());
    let words = final_status(&life);
    let (failure, permission) = ("the termination hook web/leave cannot be completed", "autoScalingGroupName/web");
    assert!(words.contains(failure) && words.contains(permission), "{words}");
}

/// What was refused a moment ago is not asked again on the way out by a signal.
#[test]
fn a_signal_after_a_refusal_is_an_ordinary_way_out_of_a_hold() {
    let line = format!("{LINE} boot.on_failure=hold");
    let life = refused(&line, "Pending:Wait").at(secs(60), Event::Signalled(Signal::Term)).run(secs(300));
    assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
}
