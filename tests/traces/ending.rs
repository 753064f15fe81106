//! How a life ends: by a signal, by an app that cannot be kept running, by a boot that failed.

use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::view::{PhaseName, Status};
use expect_test::expect;

use crate::sim::{LINE, Sim, exited, failure, ms, secs};

const TERM: Event = Event::Signalled(Signal::Term);

#[test]
fn a_signal_stops_the_container_and_leaves_with_zero() {
    let life = Sim::new(LINE).at(secs(10), TERM).run(secs(60));
    assert_eq!(life.outcome(), Some(Outcome::Done));
    let end: String = life.trace().lines().filter(|line| line.starts_with("10.")).map(|l| format!("{l}\n")).collect();
    expect![[r#"
        10.000   serve   Signalled SIGTERM
        10.000   drain   > WipeSecrets
        10.000   drain   SecretsWiped
    "#]]
    .assert_eq(&end);
}

#[test]
fn a_signal_during_the_pull_starts_nothing() {
    let life = Sim::new(LINE).never(JobKind::PullImage).at(secs(5), TERM).run(secs(60));
    assert_eq!((life.outcome(), life.count(JobKind::CreateContainer)), (Some(Outcome::Done), 0));
    assert_eq!(life.completed, ["web/leave"], "the launch hook is the group's to end");
}

#[test]
fn a_signal_during_the_start_stops_what_may_have_started() {
    let life = Sim::new(LINE).never(JobKind::StartContainer).at(secs(5), TERM).run(secs(60));
    assert_eq!((life.outcome(), life.count(JobKind::StopContainer)), (Some(Outcome::Done), 1));
}

#[test]
fn a_second_signal_means_now() {
    let life = Sim::new(LINE).never(JobKind::StopContainer).at(secs(10), TERM).at(secs(12), TERM).run(secs(60));
    assert_eq!((life.outcome(), life.count(JobKind::StopContainer)), (Some(Outcome::DrainCut), 1));
    assert!(life.trace().contains("within 0ns"), "{}", life.trace());
}

#[test]
fn a_stop_that_never_ends_is_cut_by_its_deadline() {
    let life = Sim::new("image=r.test/a:1 port=80 stop_timeout=5s")
        .never(JobKind::StopContainer)
        .at(secs(10), TERM)
        .run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::DrainCut));
}

#[test]
fn an_app_that_exits_while_serving_is_not_ready_until_it_is_healthy_again() {
    let life = Sim::new(LINE).answer(JobKind::WatchContainer, secs(5), exited(1));
    let down = life.run(ms(7500));
    assert_eq!(down.view().status, Status::Unhealthy, "{}", down.trace());
    let up = down.run(secs(20));
    assert_eq!((up.view().status, up.view().restarts), (Status::Ok, 1));
}

#[test]
fn an_app_that_keeps_exiting_is_given_up_with_its_own_code_and_reported_to_the_group() {
    let mut life = Sim::new(LINE);
    for _ in 0..6 {
        life = life.answer(JobKind::WatchContainer, ms(500), exited(1));
    }
    let life = life.run(secs(600));
    assert_eq!((life.outcome(), life.count(JobKind::MarkUnhealthy)), (Some(Outcome::AppFailed), 1));
    assert_eq!(life.completions, ["completed CONTINUE"], "completed when it was healthy, and never again");
}

#[test]
fn the_console_reads_apart_a_boot_that_failed_and_an_app_that_cannot_be_kept_running() {
    let mut crashing = Sim::new(LINE);
    for _ in 0..6 {
        crashing = crashing.answer(JobKind::WatchContainer, ms(500), exited(1));
    }
    let crashing = crashing.run(secs(600));
    assert!(crashing.words.starts_with("the app cannot be kept running: "), "{}", crashing.words);
    let failed = Sim::new(LINE).fails(JobKind::PullImage, 1, ErrorClass::Broken, "manifest unknown").run(secs(60));
    assert!(failed.words.starts_with("the boot failed: manifest unknown"), "{}", failed.words);
}

#[test]
fn a_failed_boot_waits_for_a_slow_console_and_not_for_ever_for_a_stuck_one() {
    let failed = || Sim::new(LINE).fails(JobKind::PullImage, 1, ErrorClass::Broken, "manifest unknown");
    let slow = failed().answer(JobKind::WriteFinalStatus, secs(4), Event::FinalStatusWritten).run(secs(60));
    assert_eq!(slow.outcome(), Some(Outcome::BootFailed));
    assert!(slow.trace().contains("FinalStatusWritten"), "{}", slow.trace());
    let stuck = failed().never(JobKind::WriteFinalStatus).run(secs(60));
    assert_eq!(stuck.outcome(), Some(Outcome::BootFailed), "{}", stuck.trace());
    assert!(stuck.view().phase_since_seconds < 10.0, "{}", stuck.trace());
}

#[test]
fn a_drain_waits_5_s_for_a_stuck_console() {
    let stuck = Sim::new(LINE).never(JobKind::WriteFinalStatus).at(secs(30), TERM).run(secs(600));
    assert_eq!(stuck.outcome(), Some(Outcome::Done), "{}", stuck.trace());
    let written = stuck.trace().lines().find(|line| line.contains("> WriteFinalStatus")).expect("it is written");
    let at: f64 = written.split_whitespace().next().unwrap().parse().unwrap();
    let waited = stuck.view().phase_since_seconds - at;
    assert!((4.9..=5.1).contains(&waited), "{waited} s: {}", stuck.trace());
}

#[test]
fn a_failed_boot_outside_any_group_is_reported_on_the_console_only() {
    let life = Sim::new(LINE)
        .answer(JobKind::FindGroup, ms(50), Event::GroupFound(None))
        .fails(JobKind::PullImage, 1, ErrorClass::Broken, "manifest unknown")
        .run(secs(60));
    assert_eq!((life.outcome(), life.count(JobKind::MarkUnhealthy)), (Some(Outcome::BootFailed), 0));
    assert_eq!(life.count(JobKind::WriteFinalStatus), 1);
}

#[test]
fn a_failed_boot_in_a_group_without_a_hook_marks_the_instance_unhealthy() {
    let bare = berth_core::message::group::Membership {
        group: "web".to_owned(),
        launch_hook: None,
        terminate_hook: None,
        state: None,
        ..berth_core::message::group::Membership::default()
    };
    let life = Sim::new(LINE)
        .answer(JobKind::FindGroup, ms(50), Event::GroupFound(Some(bare)))
        .fails(JobKind::PullImage, 1, ErrorClass::Broken, "manifest unknown")
        .run(secs(60));
    assert_eq!((life.outcome(), life.count(JobKind::MarkUnhealthy)), (Some(Outcome::BootFailed), 1));
}

#[test]
fn a_stop_that_fails_does_not_keep_the_hook_from_being_abandoned() {
    let life = Sim::new("image=r.test/a:1 port=80 probe.start_timeout=3s")
        .fails_probing(1000)
        .answer(
            JobKind::StopContainer,
            ms(5),
            failure(JobKind::StopContainer, ErrorClass::Transient, "the engine is gone"),
        )
        .run(secs(60));
    assert_eq!((life.outcome(), life.completions.len()), (Some(Outcome::BootFailed), 1));
}

#[test]
fn a_group_that_cannot_be_reached_does_not_hold_the_exit_up_for_ever() {
    let life = Sim::new(LINE)
        .fails(JobKind::PullImage, 1, ErrorClass::Broken, "manifest unknown")
        .never(JobKind::CompleteHook)
        .run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::BootFailed));
}

#[test]
fn a_boot_that_fails_before_its_config_is_read_ends_within_the_default_times() {
    let life = Sim::new(LINE)
        .fails(JobKind::ReadConfig, 1, ErrorClass::Denied, "no right to read it")
        .never(JobKind::CompleteHook)
        .run(secs(10));
    assert_eq!(life.view().phase, PhaseName::Failing, "{}", life.trace());
    let cleanup = life.view().deadlines[0].at_seconds;
    // 120 s for the group beyond `stop_timeout`, which is 30 s unless the config says otherwise.
    assert!((150.0..150.1).contains(&cleanup), "{cleanup}");
}
