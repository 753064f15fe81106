//! What shortens a drain: a spot interruption, a second signal. And which notices AWS sends begin one.

use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::message::snapshot::{Interruption, Snapshot};
use berth_core::view::Status;

use crate::drain::after;
use crate::sim::{LINE, Sim, ms, secs, target};

const TERM: Event = Event::Signalled(Signal::Term);

pub(crate) fn spot(seconds: u64) -> Snapshot {
    let spot = Some(Interruption { action: "terminate".to_owned(), ends_in: secs(seconds) });
    Snapshot { spot, ..target(TargetState::InService) }
}

#[test]
fn spot_clamps_every_wait() {
    let life = Sim::new(LINE).holds(secs(0), 5).sees(secs(30), spot(60)).run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::DrainCut));
    let stop = after(&life, "StopContainer");
    let at: f64 = stop.split_whitespace().next().unwrap().parse().unwrap();
    assert!((49.0..=53.0).contains(&at), "60 s, less the margin and stop_timeout: {stop}");
}

#[test]
fn a_spot_notice_during_a_drain_brings_a_nearer_deadline() {
    let both = Snapshot { spot: spot(40).spot, ..target(TargetState::Terminated) };
    let life = Sim::new(LINE)
        .holds(secs(0), 5)
        .sees(secs(30), target(TargetState::Terminated))
        .sees(secs(60), both)
        .run(secs(900));
    let stop = after(&life, "StopContainer");
    let at: f64 = stop.split_whitespace().next().unwrap().parse().unwrap();
    assert!((59.0..=64.0).contains(&at), "{stop}");
}

#[test]
fn spot_completes_the_hook_of_the_group_too() {
    let life = Sim::new(LINE).sees(secs(30), spot(120)).run(secs(600));
    assert_eq!((life.outcome(), life.completions.len()), (Some(Outcome::Done), 2));
}

#[test]
fn spot_leaves_the_hook_its_time_although_the_app_needs_the_whole_of_its_own() {
    let slow = || {
        Sim::new(LINE)
            .holds(secs(0), 1)
            .answer(JobKind::StopContainer, secs(30), Event::ContainerStopped)
            .sees(secs(30), spot(120))
    };
    let life = slow().run(secs(600));
    assert!(life.trace().contains("termination hook: completed CONTINUE"), "{}", life.trace());
    let unanswered = || slow().answer(JobKind::CompleteHook, ms(50), Event::HookCompleted).never(JobKind::CompleteHook);
    // A first signal changes nothing about it.
    for life in [unanswered(), unanswered().at(secs(35), TERM)] {
        let life = life.run(secs(600));
        assert_eq!(life.outcome(), Some(Outcome::DrainCut), "{}", life.trace());
        let at = life.trace().lines().find(|line| line.contains("> WriteFinalStatus")).unwrap().to_owned();
        assert!((145.0..=146.0).contains(&at.split_whitespace().next().unwrap().parse::<f64>().unwrap()), "{at}");
    }
}

#[test]
fn spot_can_be_ignored() {
    let life = Sim::new("image=r.test/a:1 port=80 spot=ignore").sees(secs(30), spot(120)).run(secs(100));
    assert_eq!(life.view().status, Status::Ok);
}

#[test]
fn a_recommendation_that_comes_before_the_config_is_acted_on_once_the_config_says_drain() {
    for (key, snapshot) in [
        ("rebalance", Snapshot { rebalance: true, ..target(TargetState::InService) }),
        ("maintenance", Snapshot { maintenance: Some("system-reboot".to_owned()), ..target(TargetState::InService) }),
    ] {
        let shown = |line: &str| {
            Sim::new(line)
                .fails(JobKind::ReadConfig, 3, ErrorClass::Transient, "no route to ssm")
                .sees(secs(0), snapshot.clone())
                .run(secs(3600))
        };
        let life = shown(&format!("{LINE} {key}=drain"));
        assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
        let life = shown(LINE);
        assert_eq!(life.view().status, Status::Ok, "{}", life.trace());
    }
}

#[test]
fn a_rebalance_recommendation_is_ignored_unless_the_config_says_drain() {
    let advised = Snapshot { rebalance: true, ..target(TargetState::InService) };
    let ignored = Sim::new(LINE).sees(secs(30), advised.clone()).run(secs(100));
    assert_eq!(ignored.view().status, Status::Ok);
    let drained = Sim::new("image=r.test/a:1 port=80 rebalance=drain").sees(secs(30), advised).run(secs(200));
    assert_eq!(drained.outcome(), Some(Outcome::Done));
}

#[test]
fn spot_during_the_boot_starts_nothing_and_lets_the_group_know() {
    let life = Sim::new(LINE).never(JobKind::PullImage).sees(secs(5), spot(60)).run(secs(600));
    assert_eq!((life.outcome(), life.count(JobKind::CreateContainer)), (Some(Outcome::Done), 0), "{}", life.trace());
    assert_eq!(life.completed, ["web/leave"], "the launch hook is the group's to end");
    let cancelled = after(&life, "> Cancel");
    assert!(cancelled.starts_with("6.") || cancelled.starts_with("5."), "{cancelled}");
}

#[test]
fn a_second_signal_puts_the_end_of_a_stop_that_hangs_no_further_off() {
    let life = Sim::new("image=r.test/a:1 port=80 stop_timeout=10s drain.settle=5s")
        .never(JobKind::StopContainer)
        .never(JobKind::StopContainer)
        .at(secs(30), TERM)
        .at(secs(53), TERM)
        .run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::DrainCut));
    let trace = life.trace();
    let stop = after(&life, "StopContainer");
    assert!(stop.starts_with("37.") && life.count(JobKind::StopContainer) == 2, "{trace}");
    assert!(after(&life, "WriteFinalStatus").starts_with("62."), "25 s after the first stop: {trace}");
}

#[test]
fn a_notice_after_a_second_signal_moves_no_deadline() {
    let hurried = || {
        let line = "image=r.test/a:1 port=80 drain.settle=20s";
        Sim::new(line).never(JobKind::WriteFinalStatus).at(secs(30), TERM).at(secs(32), TERM)
    };
    for life in [hurried().sees(secs(33), spot(120)), hurried().at(secs(34), TERM)] {
        let life = life.run(secs(36));
        assert!(life.count(JobKind::WriteFinalStatus) == 1 && life.outcome().is_none(), "{}", life.trace());
        let deadlines = life.view().deadlines;
        assert!(
            deadlines
                .iter()
                .any(|one| one.name == berth_core::view::DeadlineName::SpotInterruption && one.at_seconds == 32.0),
            "{deadlines:?}"
        );
    }
}
