//! Root volume replacement: a drain like a termination, then a reboot, after which the same instance boots again.

use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::view::{PhaseName, Status};

use crate::sim::{LINE, Sim, config, group, identity, ms, secs, survivor, target};

/// As the metadata's word is read.
fn word(word: &str) -> TargetState {
    TargetState::from(word.to_owned())
}

fn described(state: &str) -> Event {
    Event::InstanceDescribed(Some(state.to_owned()))
}

/// A boot whose first look at the metadata shows this word.
fn boots_under(shown: &str) -> Sim {
    let mut replaced = identity();
    replaced.target_state = Some(word(shown));
    Sim::new(LINE)
        .answer(JobKind::Identify, ms(10), Event::Identified(replaced.into()))
        .answer(JobKind::FindGroup, ms(100), group(secs(600), "RootVolumeReplaced"))
        .sees(secs(0), target(word(shown)))
}

#[test]
fn a_root_volume_replacement_is_drained_like_a_termination() {
    for shown in ["ReplacingRootVolume", "ReplacingRootVolume:Wait", "ReplacingRootVolumeSoon"] {
        let life = Sim::new(LINE)
            .answer(JobKind::CompleteHook, ms(50), Event::HookCompleted)
            .answer(JobKind::CompleteHook, ms(50), Event::HookNotActive(JobKind::CompleteHook))
            .answer(JobKind::DescribeInstance, ms(50), described("ReplacingRootVolume"))
            .answer(JobKind::CompleteHook, ms(50), Event::HookNotActive(JobKind::CompleteHook))
            .answer(JobKind::DescribeInstance, ms(50), described("ReplacingRootVolume:Wait"))
            .sees(secs(30), target(word(shown)))
            .run(secs(600));
        assert_eq!((life.outcome(), life.count(JobKind::StopContainer)), (Some(Outcome::Done), 1), "{}", life.trace());
        assert_eq!(life.completed, ["web/boot", "web/leave"], "{shown}\n{}", life.trace());
        assert!(life.trace().contains("replacing the root volume"), "{}", life.trace());
    }
}

/// The group takes the instance after all, and the agent is still there, as the console does not take its final status.
#[test]
fn a_termination_that_follows_a_replacement_has_its_hook_completed_as_well() {
    let life = Sim::new(LINE)
        .answer(JobKind::WriteFinalStatus, secs(60), Event::FinalStatusWritten)
        .sees(secs(30), target(word("ReplacingRootVolume:Wait")))
        .sees(secs(53), target(TargetState::Terminated))
        .run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
    assert_eq!(life.completed, ["web/boot", "web/leave", "web/leave"], "{}", life.trace());
    assert_eq!(life.count(JobKind::WriteFinalStatus), 2, "{}", life.trace());
}

#[test]
fn what_is_left_of_a_replacement_is_not_waited_for() {
    for state in ["ReplacingRootVolume:Proceed", "RootVolumeReplaced"] {
        let life = Sim::new(LINE)
            .answer(JobKind::CompleteHook, ms(50), Event::HookCompleted)
            .answer(JobKind::CompleteHook, ms(50), Event::HookNotActive(JobKind::CompleteHook))
            .answer(JobKind::DescribeInstance, ms(50), described(state))
            .sees(secs(30), target(word("ReplacingRootVolume")))
            .run(secs(600));
        assert_eq!((life.outcome(), life.count(JobKind::CompleteHook)), (Some(Outcome::Done), 2), "{}", life.trace());
    }
}

/// The word in the metadata is not documented, and the group's answer may lag behind it.
#[test]
fn an_unknown_word_is_a_drain_if_the_group_says_that_it_replaces_the_root_volume() {
    for lag in 0..3 {
        let mut life = Sim::new(LINE).sees(secs(30), target(word("RootVolumeReplaced")));
        for _ in 0..lag {
            life = life.answer(JobKind::DescribeInstance, ms(50), described("InService"));
        }
        let life = life.answer(JobKind::DescribeInstance, ms(50), described("ReplacingRootVolume:Wait")).run(secs(600));
        assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
        assert_eq!((life.completed.len(), life.count(JobKind::DescribeInstance)), (2, lag + 1), "{}", life.trace());
    }
}

#[test]
fn a_group_that_stumbles_when_asked_about_an_unknown_word_is_asked_again() {
    for class in [ErrorClass::Transient, ErrorClass::Throttled] {
        let life = Sim::new(LINE)
            .fails(JobKind::DescribeInstance, 6, class, "503")
            .answer(JobKind::DescribeInstance, ms(50), described("ReplacingRootVolume:Wait"))
            .sees(secs(30), target(word("RootVolumeReplaced")))
            .run(secs(900));
        assert_eq!((life.outcome(), life.completed.len()), (Some(Outcome::Done), 2), "{}", life.trace());
    }
    let away = Sim::new(LINE)
        .fails_always(JobKind::DescribeInstance, "503")
        .sees(secs(30), target(word("RootVolumeReplaced")))
        .run(secs(3600));
    assert_eq!((away.view().status, away.count(JobKind::DescribeInstance)), (Status::Ok, 12), "{}", away.trace());
}

#[test]
fn an_unknown_word_that_means_something_else_is_asked_about_a_few_times_and_carries_on() {
    let life = Sim::new(LINE).sees(secs(30), target(word("Rebooting"))).run(secs(3600));
    assert_eq!((life.view().status, life.count(JobKind::DescribeInstance)), (Status::Ok, 4), "{}", life.trace());
    let clear = Sim::new(LINE)
        .answer(JobKind::DescribeInstance, ms(50), described("RootVolumeReplaced"))
        .sees(secs(30), target(word("Rebooting")))
        .run(secs(3600));
    assert_eq!((clear.view().status, clear.count(JobKind::DescribeInstance)), (Status::Ok, 1), "{}", clear.trace());
    let denied = Sim::new(LINE)
        .fails(JobKind::DescribeInstance, 9, ErrorClass::Denied, "no")
        .sees(secs(30), target(word("Rebooting")))
        .run(secs(3600));
    assert_eq!((denied.view().status, denied.count(JobKind::DescribeInstance)), (Status::Ok, 1), "{}", denied.trace());
}

#[test]
fn a_state_without_a_word_is_none_and_nobody_is_asked_about_it() {
    let life = Sim::new(LINE).sees(secs(30), target(word(""))).run(secs(900));
    assert_eq!((life.view().status, life.count(JobKind::DescribeInstance)), (Status::Ok, 0), "{}", life.trace());
}

#[test]
fn an_unknown_word_that_gives_way_to_a_known_one_is_not_asked_about_any_more() {
    let life = Sim::new(LINE)
        .sees(secs(30), target(word("Rebooting")))
        .sees(secs(35), target(TargetState::InService))
        .run(secs(900));
    assert_eq!((life.view().status, life.count(JobKind::DescribeInstance)), (Status::Ok, 1), "{}", life.trace());
}

#[test]
fn an_unknown_word_is_what_the_group_says_of_an_instance_that_leaves_or_is_in_the_pool() {
    let shown = |state: &str| {
        Sim::new(LINE)
            .answer(JobKind::DescribeInstance, ms(50), described(state))
            .sees(secs(30), target(word("Rebooting")))
            .run(secs(900))
    };
    for state in ["Terminating", "Terminating:Wait", "Terminated", "Warmed:Terminating:Wait"] {
        let life = shown(state);
        assert_eq!((life.outcome(), life.completed.len()), (Some(Outcome::Done), 2), "{state}\n{}", life.trace());
    }
    for state in ["Warmed:Pending", "Warmed:Pending:Wait", "Warmed:Running", "Warmed:Stopped"] {
        let life = shown(state);
        assert_eq!(life.view().phase, PhaseName::Warm, "{state}\n{}", life.trace());
    }
    for state in ["Detached", "Quarantined", "Warmed", ""] {
        let life = shown(state);
        assert_eq!(life.view().status, Status::Ok, "{state}\n{}", life.trace());
    }
}

#[test]
fn an_unknown_word_that_comes_and_goes_does_not_make_a_stream_of_calls() {
    let mut life = Sim::new(LINE);
    for second in (30..630).step_by(6) {
        life =
            life.sees(secs(second), target(word("Rebooting"))).sees(secs(second + 3), target(TargetState::InService));
    }
    let life = life.run(secs(630));
    assert_eq!(life.view().status, Status::Ok, "{}", life.trace());
    assert!(life.count(JobKind::DescribeInstance) <= 8, "{} calls", life.count(JobKind::DescribeInstance));
}

#[test]
fn a_word_that_comes_again_is_asked_about_once_five_minutes_have_passed() {
    let strange = || target(word("Rebooting"));
    let life = Sim::new(LINE)
        .answer(JobKind::DescribeInstance, ms(50), described("RootVolumeReplaced"))
        .answer(JobKind::DescribeInstance, ms(50), described("ReplacingRootVolume:Wait"))
        .sees(secs(30), strange())
        .sees(secs(60), target(TargetState::InService))
        .sees(secs(90), strange())
        .sees(secs(120), target(TargetState::InService))
        .sees(secs(150), strange())
        .run(secs(900));
    assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
    let asked = |line: &&str| line.contains("> DescribeInstance");
    let at: Vec<f64> = life.trace().lines().filter(asked).map(|line| line[..8].trim().parse().unwrap()).collect();
    assert!(at.len() == 2 && (330.0..335.0).contains(&at[1]), "{at:?}");
}

#[test]
fn the_boot_after_a_replacement_serves_whatever_the_metadata_still_say() {
    for shown in ["ReplacingRootVolume", "ReplacingRootVolume:Proceed", "RootVolumeReplaced", "InService"] {
        for state in ["RootVolumeReplaced", "ReplacingRootVolume:Proceed", "InService"] {
            let mut life = boots_under(shown);
            for _ in 0..4 {
                life = life.answer(JobKind::DescribeInstance, ms(50), described(state));
            }
            let life = life.sees(secs(60), target(TargetState::InService)).run(secs(300));
            assert_eq!(life.view().status, Status::Ok, "{shown}, {state}\n{}", life.trace());
            assert_eq!(life.count(JobKind::CompleteHook), 0, "no launch hook follows a replacement\n{}", life.trace());
        }
    }
}

#[test]
fn an_agent_killed_in_the_drain_of_a_replacement_goes_on_with_it() {
    let found = || Event::ContainersFound(vec![survivor(&config(LINE))]);
    let killed = || boots_under("ReplacingRootVolume").answer(JobKind::FindContainers, ms(5), found());
    let replacing =
        killed().answer(JobKind::DescribeInstance, ms(50), described("ReplacingRootVolume:Wait")).run(secs(600));
    assert_eq!((replacing.outcome(), &replacing.completed[..]), (Some(Outcome::Done), &["web/leave".to_owned()][..]));
    // Where nobody may ask the group, the word is validated.
    let denied = killed().fails(JobKind::DescribeInstance, 1, ErrorClass::Denied, "no").run(secs(600));
    assert_eq!(denied.outcome(), Some(Outcome::Done), "{}", denied.trace());
    let away = killed().fails(JobKind::DescribeInstance, 4, ErrorClass::Transient, "503").run(secs(600));
    assert_eq!(away.outcome(), Some(Outcome::Done), "{}", away.trace());
    let silent = (0..4).fold(killed(), |life, _| life.never(JobKind::DescribeInstance)).run(secs(900));
    assert_eq!(silent.outcome(), Some(Outcome::Done), "{}", silent.trace());
}

#[test]
fn a_replacement_reaches_drain_from_every_phase() {
    let seen = |life: Sim| life.sees(secs(30), target(word("ReplacingRootVolume")));
    let booting = seen(Sim::new(LINE).never(JobKind::PullImage)).run(secs(600));
    assert_eq!((booting.outcome(), booting.count(JobKind::CreateContainer)), (Some(Outcome::Done), 0));
    let held = Sim::new(&format!("{LINE} boot.on_failure=hold")).fails(JobKind::PullImage, 1, ErrorClass::Broken, "no");
    assert_eq!(seen(held).run(secs(600)).outcome(), Some(Outcome::Done));
    let leaving = seen(Sim::new(LINE).at(secs(29), Event::Signalled(Signal::Term)));
    let mut leaving = leaving.answer(JobKind::CompleteHook, ms(50), Event::HookCompleted);
    // Announced, so it is waited for longer than for a signal alone.
    for _ in 0..20 {
        leaving = leaving.answer(JobKind::CompleteHook, ms(50), Event::HookNotActive(JobKind::CompleteHook)).answer(
            JobKind::DescribeInstance,
            ms(50),
            described("ReplacingRootVolume"),
        );
    }
    let leaving = leaving.run(secs(600));
    assert_eq!((leaving.outcome(), leaving.completed.len()), (Some(Outcome::Done), 2), "{}", leaving.trace());
    let standby = seen(Sim::new(LINE).sees(secs(10), target(TargetState::Standby))).run(secs(32));
    assert_eq!(standby.view().phase, PhaseName::Drain, "{}", standby.trace());
}

#[test]
fn a_cut_drain_before_a_replacement_is_abandoned_if_the_config_says_so() {
    let line = "image=r.test/a:1 port=80 drain.settle=5s drain.timeout=30s drain.on_failure=abandon";
    let life = Sim::new(line).holds(secs(0), 1).sees(secs(30), target(word("ReplacingRootVolume"))).run(secs(600));
    let last = life.completions.last().map(String::as_str);
    assert_eq!((life.outcome(), last), (Some(Outcome::DrainCut), Some("completed ABANDON")), "{}", life.trace());
}
