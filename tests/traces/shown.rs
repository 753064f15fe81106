//! What people see of a life in `berth status` and `berth timeline`: which instance it is, what runs on it, each step with its times,
//! and what is waited for.

use berth_config::Foreign;
use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::message::snapshot::Snapshot;
use berth_core::view::{DeadlineName, DrainCause, PhaseName, ReadyReason, Status, StepState, StepView};

use crate::sim::{DIGEST, LINE, Sim, group, ms, secs, target};

/// The step of that name, which is there once.
#[track_caller]
fn step(life: &Sim, name: &str) -> StepView {
    let mut steps: Vec<StepView> = life.view().steps.into_iter().filter(|step| step.name.word() == name).collect();
    assert_eq!(steps.len(), 1, "{name} in {:?}", life.view().steps);
    steps.remove(0)
}

#[test]
fn a_boot_shows_which_instance_it_is_and_what_it_pulls() {
    let view = Sim::new(LINE).never(JobKind::PullImage).run(secs(5)).view();
    assert_eq!(view.instance_id.as_deref(), Some("i-0123456789abcdef0"));
    assert_eq!(view.availability_zone.as_deref(), Some("us-east-2a"));
    assert_eq!((view.name.as_deref(), view.version.as_deref()), (Some("api"), Some("v1")));
    assert_eq!(view.lifecycle.target_state.as_deref(), Some("InService"));
    assert_eq!((view.image.as_deref(), view.digest.as_deref()), (Some("registry.test/api:v1"), Some(DIGEST)));
    let early = Sim::new(LINE).never(JobKind::ReadConfig).run(secs(5)).view();
    assert_eq!((early.instance_id, early.name, early.image), (view.instance_id, None, None), "no config is read");
}

#[test]
fn an_app_that_serves_shows_every_step_of_its_boot_once() {
    let life = Sim::new(LINE).run(secs(30));
    for name in ["identity", "config", "listen", "engine", "containers", "login", "digest", "pull", "create", "hook"] {
        assert_eq!(step(&life, name).state, StepState::Done, "{name}");
    }
}

#[test]
fn the_time_to_start_a_container_and_the_time_until_it_is_healthy_are_shown_apart() {
    let life = Sim::new(LINE).sick(secs(0), true).sick(secs(10), false).run(secs(30));
    assert_eq!(life.view().status, Status::Ok, "{}", life.trace());
    let (start, healthy) = (step(&life, "start"), step(&life, "healthy"));
    // The engine needs 200 ms here.
    assert!(start.took_seconds.is_some_and(|took| (0.199..0.201).contains(&took)), "{start:?}");
    let healthy_at = healthy.began_seconds + healthy.took_seconds.unwrap_or_default();
    assert!((10.0..10.2).contains(&healthy_at) && healthy.began_seconds < 3.0, "{healthy:?}");
}

#[test]
fn a_step_is_shown_as_running_waiting_done_or_failed() {
    let running = Sim::new(LINE).never(JobKind::PullImage).run(secs(5));
    assert_eq!((step(&running, "pull").state, step(&running, "digest").state), (StepState::Running, StepState::Done));
    let waiting = Sim::new(LINE).fails(JobKind::PullImage, 1, ErrorClass::Transient, "unexpected EOF").run(ms(200));
    assert_eq!(step(&waiting, "pull").state, StepState::Waiting, "{}", waiting.trace());
    let again = waiting.run(ms(1000));
    assert_eq!((again.count(JobKind::PullImage), step(&again, "pull").state), (2, StepState::Running));
    let failed = Sim::new(LINE).fails(JobKind::PullImage, 1, ErrorClass::Broken, "manifest unknown").run(secs(60));
    assert_eq!(step(&failed, "pull").state, StepState::Failed);
}

#[test]
fn steps_are_shown_in_the_order_they_began_in_every_phase() {
    for until in [ms(100), secs(30), secs(35), secs(600)] {
        let life = Sim::new(LINE).at(secs(31), Event::Signalled(Signal::Term)).run(until);
        let view = life.view();
        assert!(view.steps.len() >= 2, "{until:?}");
        assert!(view.steps.is_sorted_by(|one, next| one.began_seconds <= next.began_seconds), "{:?}", view.steps);
    }
}

#[test]
fn the_phases_of_a_life_are_shown_in_their_order() {
    let life = Sim::new(LINE).at(secs(30), Event::Signalled(Signal::Term)).run(secs(600));
    let phases: Vec<PhaseName> = life.view().phases.iter().map(|phase| phase.name).collect();
    assert_eq!(phases, [PhaseName::Boot, PhaseName::Serve, PhaseName::Drain, PhaseName::Gone]);
    assert!((life.view().left_at().unwrap_or_default() - 30.0).abs() < 0.1, "{:?}", life.view().phases);
}

#[test]
fn user_data_that_holds_no_config_is_named() {
    let life = Sim::new(LINE).at(ms(12), Event::UserDataIsForeign(Foreign::Script)).run(secs(30));
    assert_eq!((life.view().user_data, life.view().status), (Some(Foreign::Script), Status::Ok));
    assert_eq!(Sim::new(LINE).run(secs(30)).view().user_data, None);
}

#[test]
fn a_failed_boot_shows_the_class_of_the_error_if_a_call_failed() {
    for class in [ErrorClass::Denied, ErrorClass::Broken] {
        let failed = Sim::new(LINE).fails(JobKind::PullImage, 1, class, "no").run(secs(60)).view().failure;
        assert_eq!(failed.and_then(|failure| failure.error_class), Some(class));
    }
    let late = Sim::new("image=r.test/a:1 port=80 probe.start_timeout=3s").sick(secs(0), true).run(secs(60));
    assert_eq!(late.view().failure.map(|failure| failure.error_class), Some(None));
}

#[test]
fn of_the_steps_under_way_ready_names_the_one_that_is_tried_again() {
    let boot = || Sim::new("image=registry.test/api:v1 port=8080 secrets=prod/api").never(JobKind::FetchSecrets);
    assert_eq!(boot().run(ms(300)).view().ready_reason, ReadyReason::FetchingSecrets);
    let again = boot().fails(JobKind::PullImage, 9, ErrorClass::Transient, "unexpected EOF").run(ms(300)).view();
    assert_eq!(again.ready_reason, ReadyReason::PullingImage, "{:?}", again.steps);
}

#[test]
fn a_boot_shows_until_when_it_waits_for_itself_and_for_the_app() {
    let deadlines = |life: Sim| -> Vec<(DeadlineName, f64)> {
        life.view().deadlines.iter().map(|one| (one.name, one.at_seconds.round())).collect()
    };
    let line = "image=registry.test/api:v1 port=8080 health=/health boot.timeout=300s probe.start_timeout=60s";
    let pulling = deadlines(Sim::new(line).never(JobKind::PullImage).run(secs(1)));
    assert_eq!(pulling, [(DeadlineName::BootTimeout, 300.0)]);
    let sick = deadlines(Sim::new(line).sick(secs(0), true).run(secs(10)));
    assert_eq!(sick, [(DeadlineName::BootTimeout, 300.0), (DeadlineName::ProbeStartTimeout, 62.0)]);
}

#[test]
fn a_drain_shows_its_cause_and_what_was_said_beyond_it() {
    let line = &format!("{LINE} rebalance=drain maintenance=drain");
    let asked = |reason: &str| Sim::new(line).at(secs(30), Event::DrainRequested(Some(reason.to_owned())));
    let sees = |snapshot| Sim::new(line).sees(secs(30), snapshot);
    let maintenance = Some("system-reboot".to_owned());
    for (life, cause, detail) in [
        (asked("deploy 7"), DrainCause::Requested, Some("deploy 7")),
        (Sim::new(line).at(secs(30), Event::Signalled(Signal::Term)), DrainCause::Signal, None),
        (sees(target(TargetState::Terminated)), DrainCause::Terminating, None),
        (sees(target(TargetState::WarmedRunning)), DrainCause::ReturningToWarmPool, Some("Warmed:Running")),
        (
            sees(Snapshot { maintenance, ..target(TargetState::InService) }),
            DrainCause::MaintenanceScheduled,
            Some("maintenance: system-reboot"),
        ),
    ] {
        let drain = life.run(secs(33)).view().drain.expect("it drains");
        assert_eq!((drain.cause, drain.cause_detail.as_deref()), (cause, detail));
    }
}

#[test]
fn a_stage_of_a_drain_is_shown_as_waiting_for_time_or_as_running() {
    let draining =
        |until| Sim::new(LINE).never(JobKind::StopContainer).at(secs(30), Event::Signalled(Signal::Term)).run(until);
    assert_eq!(step(&draining(secs(31)), "settling").state, StepState::Waiting);
    let stopping = draining(secs(60));
    assert_eq!(step(&stopping, "settling").state, StepState::Done, "{}", stopping.trace());
    assert_eq!(step(&stopping, "stopping").state, StepState::Running, "{}", stopping.trace());
}

#[test]
fn a_drain_shows_how_many_connections_clients_hold() {
    let draining = |held| Sim::new(LINE).holds(secs(0), held).at(secs(30), Event::Signalled(Signal::Term));
    assert_eq!(draining(3).run(secs(60)).view().connections, Some(3));
    assert_eq!(draining(3).run(secs(31)).view().connections, None, "they are counted after drain.settle");
}

#[test]
fn a_life_that_is_over_waits_for_nothing() {
    let failed = || Sim::new(LINE).fails(JobKind::PullImage, 1, ErrorClass::Broken, "manifest unknown");
    let failing = failed().never(JobKind::CompleteHook).run(secs(5));
    assert_eq!((failing.view().phase, failing.view().deadlines.len()), (PhaseName::Failing, 1));
    let gone = failed().run(secs(60));
    assert_eq!((gone.outcome(), gone.view().deadlines), (Some(Outcome::BootFailed), Vec::new()));
    assert!(gone.view().failure.is_some(), "what happened is still shown");
}

#[test]
fn a_boot_that_is_held_shows_until_when_aws_lets_it_be() {
    let line = format!("{LINE} boot.on_failure=hold");
    // 100 times the timeout of the hook, and at most two days.
    for (timeout, limit) in [(600, 60_000.0), (7200, 48.0 * 3600.0)] {
        let life = Sim::new(&line)
            .answer(JobKind::FindGroup, ms(100), group(secs(timeout), "Pending:Wait"))
            .fails(JobKind::PullImage, 1, ErrorClass::Broken, "manifest unknown")
            .run(secs(60));
        let until = life.view().deadlines.iter().find(|one| one.name == DeadlineName::Hold).map(|one| one.at_seconds);
        let limit = life.view().phase_since_seconds + limit;
        assert!(until.is_some_and(|until| (until - limit).abs() < 0.001), "{:?}", life.view().deadlines);
    }
}

#[test]
fn an_app_that_is_not_ready_while_it_serves_shows_what_its_probes_are_answered_and_a_standby_who_wants_it() {
    let sick = Sim::new(LINE).sick(secs(5), true).run(secs(25));
    assert_eq!(sick.view().status, Status::Unhealthy, "{}", sick.trace());
    assert!(sick.view().reason.contains("connection refused"), "{}", sick.view().reason);
    let standby = Sim::new(LINE).sees(secs(5), target(TargetState::Standby)).run(secs(10));
    assert_eq!(standby.view().reason, "the group put the instance on standby");
}

#[test]
fn a_drain_names_the_recommendation_or_the_maintenance_that_it_follows() {
    let line = format!("{LINE} rebalance=drain maintenance=drain");
    let maintenance = Some("system-reboot".to_owned());
    for (snapshot, words) in [
        (Snapshot { rebalance: true, ..target(TargetState::InService) }, "rebalance recommendation"),
        (Snapshot { maintenance, ..target(TargetState::InService) }, "maintenance: system-reboot"),
    ] {
        let life = Sim::new(&line).sees(secs(30), snapshot).run(secs(40));
        assert!(life.view().reason.contains(words), "{}", life.view().reason);
        let life = life.run(secs(600));
        assert!(life.words.contains(&format!("({words})")), "{}", life.words);
    }
}

#[test]
fn a_drain_shows_each_stage_as_a_step_and_what_of_it_was_waiting() {
    let near = |seconds: f64, wanted: f64| (seconds - wanted).abs() < 0.5;
    let line = format!("{LINE} drain.settle=20s");
    let settles = Sim::new(&line).sees(secs(30), target(TargetState::Terminated)).run(secs(45));
    let drain = settles.view().drain.expect("it drains");
    assert!(near(drain.began_seconds, 30.0) && !drain.cut_short, "{drain:?}");
    let settling = step(&settles, "settling");
    assert_eq!((settling.state, settling.took_seconds, settling.attempts), (StepState::Waiting, None, 1));
    assert!(near(settling.began_seconds, 30.0), "{settling:?}");
    assert_eq!(
        settling.waits.first().map(|wait| (wait.began_seconds, wait.took_seconds)),
        Some((settling.began_seconds, None))
    );
    let over = settles.run(secs(600));
    let settling = step(&over, "settling");
    assert_eq!((settling.state, settling.waits.len()), (StepState::Done, 1));
    let waited = settling.waits[0].took_seconds;
    assert!(settling.took_seconds == waited && waited.is_some_and(|took| near(took, 20.0)), "{settling:?}");
    let stopping = step(&over, "stopping");
    assert_eq!((stopping.state, stopping.attempts, stopping.waits.len()), (StepState::Done, 1, 0));
}

#[test]
fn a_drain_that_an_agent_before_this_one_began_is_shown_to_have_begun_then() {
    let line = format!("{LINE} drain.settle=20s");
    let first = Sim::new(&line).sees(secs(30), target(TargetState::Terminated)).run(secs(40));
    let next = Sim::new(&line).after(first.unfinished()).sees(secs(0), target(TargetState::Terminated)).run(secs(1));
    let began = next.view().drain.expect("it drains").began_seconds;
    assert!((-10.5..-9.5).contains(&began), "{began}");
}
