//! An Auto Scaling that does not answer on the way out: bounded by what is known, and by who waits.

use std::time::Duration;

use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::group::Membership;
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::view::DeadlineName;

use crate::sim::{LINE, Sim, failure, group, ms, secs, target};

const TERM: Event = Event::Signalled(Signal::Term);
const NAMED: &str =
    "image=r.test/a:1 port=80 lifecycle.group=web lifecycle.launch_hook=boot lifecycle.terminate_hook=leave";

/// A served instance that the group terminates after 30 s, with an API that is away from that moment.
fn away(line: &str) -> Sim {
    let life = Sim::new(line).answer(JobKind::CompleteHook, ms(50), Event::HookCompleted);
    let mut life = life.sees(secs(30), target(TargetState::Terminated));
    for job in [JobKind::CompleteHook, JobKind::RecordHeartbeat, JobKind::DescribeInstance] {
        life = life.fails_always(job, "503 from Auto Scaling");
    }
    life
}

/// When it exits.
fn end(life: Sim) -> (Duration, Sim) {
    let life = life.run(secs(5000));
    assert!(matches!(life.outcome(), Some(Outcome::Done | Outcome::DrainCut)), "{}", life.trace());
    let line = life.trace().lines().rfind(|line| line.contains("> Exit")).unwrap_or_default();
    let at = line.split_whitespace().next().unwrap_or_default().parse().unwrap_or_default();
    (Duration::from_secs_f64(at), life)
}

#[test]
fn with_an_unknown_timeout_it_is_asked_as_long_as_a_drain_may_take_and_a_minute() {
    for (line, longest) in [
        (NAMED.to_owned(), 20 + 300 + 30),
        (format!("{NAMED} drain.settle=5s drain.timeout=10s stop_timeout=5s"), 5 + 10 + 5),
        (format!("{NAMED} drain.settle=0s drain.timeout=0s stop_timeout=0s"), 0),
    ] {
        let (at, life) = end(away(&line));
        let bound = secs(30 + longest + 60);
        assert!(at > bound - secs(2) && at < bound + secs(4), "{line}: {at:?}, not {bound:?}\n{}", life.trace());
        // systemd is asked for no more than that.
        assert!(
            life.count(JobKind::ExtendStop) as u64 <= (longest + 64) / 10 + 1,
            "{}",
            life.count(JobKind::ExtendStop)
        );
    }
}

#[test]
fn with_a_known_timeout_it_is_asked_until_the_hook_has_run_out() {
    for (timeout, most) in [(120, 180), (1200, 1260)] {
        let found = Sim::new(LINE).answer(JobKind::FindGroup, ms(100), group(secs(timeout), "Pending:Wait"));
        let life = found
            .answer(JobKind::CompleteHook, ms(50), Event::HookCompleted)
            .fails_always(JobKind::CompleteHook, "503");
        let (at, life) = end(life.sees(secs(30), target(TargetState::Terminated)));
        assert!(at > secs(30 + timeout) && at < secs(30 + most), "{at:?}\n{}", life.trace());
        assert_eq!(life.count(JobKind::WriteFinalStatus), 1, "the launch hook was completed\n{}", life.trace());
    }
}

#[test]
fn the_last_words_say_for_how_long_it_was_asked_and_what_it_answered() {
    let (_, life) = end(away(&format!("{NAMED} drain.settle=0s drain.timeout=0s stop_timeout=0s")));
    let words = "termination hook: given up: Auto Scaling was asked for 60 s: 503 from Auto Scaling";
    assert!(life.words.ends_with(words), "{}", life.words);
}

#[test]
fn a_hook_of_two_hours_is_waited_for_as_long_as_the_group_says_that_it_is_too_early() {
    let mut life = Sim::new(LINE).answer(JobKind::FindGroup, ms(100), group(secs(7200), "Pending:Wait")).answer(
        JobKind::CompleteHook,
        ms(50),
        Event::HookCompleted,
    );
    for _ in 0..2000 {
        life = life.answer(JobKind::CompleteHook, ms(50), Event::HookNotActive(JobKind::CompleteHook)).answer(
            JobKind::DescribeInstance,
            ms(50),
            Event::InstanceDescribed(Some("Terminating".to_owned())),
        );
    }
    let life = life.sees(secs(30), target(TargetState::Terminated)).run(secs(10_000));
    assert!(life.view().phase_since_seconds > 7200.0, "{}", life.view().phase_since_seconds);
    assert_eq!(life.outcome(), Some(Outcome::Done));
}

#[test]
fn a_group_that_was_never_found_is_looked_for_no_longer() {
    let life = Sim::new(LINE)
        .fails_always(JobKind::FindGroup, "503 from Auto Scaling")
        .sees(secs(30), target(TargetState::Terminated));
    let (at, life) = end(life);
    assert!(at < secs(30 + 20 + 300 + 30 + 60 + 4), "{at:?}\n{}", life.trace());
}

/// A stop of the agent does not wait for an AWS that is away; a second signal is not needed.
#[test]
fn the_first_signal_in_a_drain_that_the_group_began_leaves_a_minute_to_an_api_that_is_away() {
    let known = || {
        let found = Sim::new(LINE).answer(JobKind::FindGroup, ms(100), group(secs(7200), "Pending:Wait"));
        let life = found
            .answer(JobKind::CompleteHook, ms(50), Event::HookCompleted)
            .fails_always(JobKind::CompleteHook, "503");
        life.sees(secs(30), target(TargetState::Terminated))
    };
    for signal in [35, 60, 100, 300] {
        for life in [known(), away(NAMED)] {
            let (at, life) = end(life.at(secs(signal), TERM));
            // Nothing is cut short by it: the app is still served until its clients have gone.
            let begin = signal.max(53);
            assert!(at > secs(begin + 55) && at < secs(begin + 64), "SIGTERM at {signal}: {at:?}\n{}", life.trace());
            assert_eq!(life.count(JobKind::StopContainer), 1);
        }
    }
}

#[test]
fn a_signal_that_comes_near_the_end_does_not_put_it_off() {
    let line = format!("{NAMED} drain.settle=0s drain.timeout=0s stop_timeout=0s");
    let (alone, _) = end(away(&line));
    let (signalled, life) = end(away(&line).at(secs(80), TERM));
    assert!(signalled <= alone + secs(1), "{signalled:?}, {alone:?}\n{}", life.trace());
}

/// A group that says all along that it is too early is there, and the load balancer may take its time.
#[test]
fn a_group_that_answers_that_it_is_too_early_is_asked_on_after_any_signal() {
    for line in [NAMED, LINE] {
        let mut life = Sim::new(line).answer(JobKind::CompleteHook, ms(50), Event::HookCompleted);
        for _ in 0..100 {
            life = life.answer(JobKind::CompleteHook, ms(50), Event::HookNotActive(JobKind::CompleteHook)).answer(
                JobKind::DescribeInstance,
                ms(50),
                Event::InstanceDescribed(Some("Terminating".to_owned())),
            );
        }
        let (at, life) = end(life.sees(secs(30), target(TargetState::Terminated)).at(secs(60), TERM));
        assert!(at > secs(400) && at < secs(560), "{at:?}\n{}", life.trace());
        assert_eq!(life.completed, ["web/boot", "web/leave"], "{}", life.trace());
    }
}

/// "Not active" without the group's word says nothing: a hook's name that is wrong is answered so, too.
#[test]
fn not_active_without_the_right_to_ask_why_is_no_answer() {
    let mut life = Sim::new(NAMED).answer(JobKind::CompleteHook, ms(50), Event::HookCompleted);
    for _ in 0..2000 {
        let denied = failure(JobKind::DescribeInstance, ErrorClass::Denied, "autoscaling:DescribeAutoScalingInstances");
        life = life.answer(JobKind::CompleteHook, ms(50), Event::HookNotActive(JobKind::CompleteHook)).answer(
            JobKind::DescribeInstance,
            ms(50),
            denied,
        );
    }
    let (at, life) = end(life.sees(secs(30), target(TargetState::Terminated)));
    assert!(at < secs(30 + 410 + 4), "{at:?}\n{}", life.trace());
}

/// A signal says nothing of a termination: what cannot be asked is not waited for.
#[test]
fn not_active_without_the_right_to_ask_why_is_the_end_of_a_hook_that_nothing_announced() {
    let denied = failure(JobKind::DescribeInstance, ErrorClass::Denied, "autoscaling:DescribeAutoScalingInstances");
    let life = Sim::new(NAMED)
        .answer(JobKind::CompleteHook, ms(50), Event::HookCompleted)
        .answer(JobKind::CompleteHook, ms(50), Event::HookNotActive(JobKind::CompleteHook))
        .answer(JobKind::DescribeInstance, ms(50), denied)
        .at(secs(30), TERM);
    let (_, life) = end(life);
    assert_eq!(life.count(JobKind::CompleteHook), 2, "{}", life.trace());
    assert!(life.words.ends_with("given up: autoscaling:DescribeAutoScalingInstances"), "{}", life.words);
}

/// A call that is only throttled is made again, whether anything announced the hook or not.
#[test]
fn a_throttled_question_why_is_asked_again() {
    let throttled = failure(JobKind::DescribeInstance, ErrorClass::Throttled, "Rate exceeded");
    let life = Sim::new(NAMED)
        .answer(JobKind::CompleteHook, ms(50), Event::HookCompleted)
        .answer(JobKind::CompleteHook, ms(50), Event::HookNotActive(JobKind::CompleteHook))
        .answer(JobKind::DescribeInstance, ms(50), throttled)
        .at(secs(30), TERM);
    let (_, life) = end(life);
    assert_eq!(life.completed, ["web/boot", "web/leave"], "{}", life.trace());
}

#[test]
fn status_says_until_when_the_group_is_asked() {
    let life = away(NAMED).run(secs(100));
    let deadlines = life.view().deadlines;
    let until = deadlines.iter().find(|one| one.name == DeadlineName::TerminationHook).map(|one| one.at_seconds);
    assert!(until.is_some_and(|at| at > 438.0 && at < 444.0), "{deadlines:?}");
    let life = life.at(secs(110), TERM).run(secs(120));
    let deadlines = life.view().deadlines;
    let until = deadlines.iter().find(|one| one.name == DeadlineName::TerminationHook).map(|one| one.at_seconds);
    assert_eq!(until, Some(170.0), "{deadlines:?}");
}

#[test]
fn a_group_found_on_the_way_out_is_a_sign_of_life() {
    let bare = Membership {
        group: "web".to_owned(),
        launch_hook: None,
        terminate_hook: None,
        state: Some("Terminating".to_owned()),
        ..Membership::default()
    };
    let mut life = Sim::new(LINE);
    for _ in 0..20 {
        life = life.fails(JobKind::FindGroup, 1, ErrorClass::Transient, "503");
    }
    let life = life.answer(JobKind::FindGroup, ms(100), Event::GroupFound(Some(bare)));
    let (_, life) = end(life.sees(secs(30), target(TargetState::Terminated)));
    assert_eq!(life.count(JobKind::FindGroup), 21, "{}", life.trace());
}
