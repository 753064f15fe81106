//! What a probe says decides by its kind: a failure that nothing can change ends the boot at once, every other one is asked
//! about again. And an image's own HEALTHCHECK has its own times.

use std::time::Duration;

use berth_core::message::container::{HealthCheck, ImageFacts, RunningContainer};
use berth_core::message::event::Event;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::message::probe_failure::{ProbeFailure, ProbeFailureKind as Kind};
use berth_core::view::{ReadyReason, Status};

use crate::sim::{LINE, Sim, config, exited, failure, ms, refused, running, secs, survivor};

const LASTING: [Kind; 4] = [Kind::NoHealthcheck, Kind::NoPort, Kind::NoAddress, Kind::InvalidTarget];
const PASSING: [Kind; 8] = [
    Kind::NotRunning,
    Kind::Refused,
    Kind::TimedOut,
    Kind::Unreachable,
    Kind::NotHttp,
    Kind::Status,
    Kind::CommandFailed,
    Kind::Engine,
];

fn failed(kind: Kind) -> Event {
    Event::ProbeFailed(ProbeFailure::new(kind, "no"))
}

fn fails(mut life: Sim, kind: Kind, times: usize) -> Sim {
    for _ in 0..times {
        life = life.answer(JobKind::ProbeApp, ms(10), failed(kind));
    }
    life
}

fn with_healthcheck(timeout: Duration, start_period: Duration) -> RunningContainer {
    let healthcheck = Some(HealthCheck { command: vec!["/probe".to_owned()], timeout, start_period });
    RunningContainer { healthcheck, ..running() }
}

fn starts(life: Sim, container: &RunningContainer) -> Sim {
    life.answer(JobKind::StartContainer, ms(200), Event::ContainerStarted(Box::new(container.clone())))
}

#[test]
fn a_probe_that_can_never_pass_ends_the_boot_at_once() {
    for kind in LASTING {
        let life = fails(Sim::new(LINE), kind, 1).run(secs(60));
        assert_eq!(life.outcome(), Some(Outcome::BootFailed), "{kind:?}\n{}", life.trace());
        assert_eq!(
            (life.count(JobKind::ProbeApp), life.completions.as_slice()),
            (1, &["completed ABANDON".to_owned()][..])
        );
        assert!(life.trace().contains("the app can never become healthy: no"), "{}", life.trace());
    }
}

#[test]
fn of_a_probe_that_can_never_pass_ready_says_so() {
    let held = fails(Sim::new(&format!("{LINE} boot.on_failure=hold")), LASTING[0], 1).run(secs(60));
    assert_eq!(held.view().ready_reason, ReadyReason::NeverHealthy, "{}", held.trace());
}

#[test]
fn a_probe_that_may_pass_is_asked_again() {
    for kind in PASSING {
        let life = fails(Sim::new(LINE), kind, 100).run(secs(60));
        assert_eq!(
            (life.view().status, life.count(JobKind::StopContainer)),
            (Status::Ok, 0),
            "{kind:?}\n{}",
            life.trace()
        );
    }
}

#[test]
fn a_command_that_is_not_there_has_five_seconds_to_be_put_there() {
    let never = fails(Sim::new(LINE), Kind::CommandNotFound, 1000).run(secs(60));
    assert_eq!(never.outcome(), Some(Outcome::BootFailed));
    let given_up = never.trace().lines().find(|line| line.contains("> StopContainer")).unwrap();
    let at: f64 = given_up.split_whitespace().next().unwrap().parse().unwrap();
    assert!((7.4..7.7).contains(&at), "5 s after the start at 2.4 s:\n{given_up}");
    let later = fails(Sim::new(LINE), Kind::CommandNotFound, 30).run(secs(60));
    assert_eq!(later.view().status, Status::Ok, "its entry point put it there\n{}", later.trace());
}

#[test]
fn an_app_that_serves_is_not_given_up_for_a_probe_that_is_gone() {
    let life = Sim::new(LINE).answer(JobKind::ProbeApp, ms(10), Event::ProbePassed);
    let life = fails(life, Kind::CommandNotFound, 4).run(secs(60));
    assert_eq!((life.view().status, life.outcome()), (Status::Ok, None), "{}", life.trace());
}

#[test]
fn what_is_asked_of_an_image_without_healthcheck_is_known_before_anything_is_created() {
    let life = Sim::new("image=registry.test/api:v1 port=80 health=docker").run(secs(60));
    assert_eq!(
        (life.outcome(), life.count(JobKind::CreateContainer)),
        (Some(Outcome::BootFailed), 0),
        "{}",
        life.trace()
    );
    assert!(life.trace().contains("the image has no HEALTHCHECK"), "{}", life.trace());
}

#[test]
fn an_adopted_app_whose_probe_can_never_pass_is_no_boot_either() {
    let line = "image=registry.test/api:v1 port=80 health=docker";
    let found = Event::ContainersFound(vec![survivor(&config(line))]);
    let life =
        fails(Sim::new(line).answer(JobKind::FindContainers, ms(5), found), Kind::NoHealthcheck, 1).run(secs(60));
    assert_eq!(life.outcome(), Some(Outcome::BootFailed), "{}", life.trace());
}

#[test]
fn an_engine_that_cannot_be_asked_is_no_verdict() {
    let life = Sim::new(LINE)
        .answer(
            JobKind::ProbeApp,
            ms(10),
            failure(JobKind::ProbeApp, berth_core::message::error::ErrorClass::Broken, "no such container"),
        )
        .run(secs(30));
    assert_eq!(life.view().status, Status::Ok, "{}", life.trace());
}

#[test]
fn the_kind_of_a_failure_is_shown_beside_its_sentence() {
    let life = fails(Sim::new(LINE), Kind::Status, 3).run(secs(30));
    let probes = life.view().probes;
    assert_eq!((probes[0].kind, probes[0].error.as_deref()), (Some(Kind::Status), Some("no")));
    assert_eq!((probes[3].kind, probes[3].error.as_deref()), (None, None));
}

/// The case: `HEALTHCHECK --timeout=30s --start-period=60s CMD sleep 3`.
#[test]
fn a_healthcheck_is_given_the_time_that_the_image_gives_it() {
    let own = with_healthcheck(secs(30), secs(60));
    for line in ["image=registry.test/api:v1", "image=registry.test/api:v1 port=80"] {
        let life = starts(Sim::new(line), &own).answer(JobKind::ProbeApp, secs(3), Event::ProbePassed).run(secs(10));
        assert_eq!(life.view().status, Status::Ok, "{}", life.trace());
        // 30 s for the command and the adapter's margin, then it did not end.
        let hangs = starts(Sim::new(line), &own).never(JobKind::ProbeApp);
        let waits = hangs.run(secs(41));
        assert_eq!(waits.view().probes, [], "{}", waits.trace());
        assert_eq!(waits.run(secs(45)).view().status, Status::Ok);
    }
}

#[test]
fn a_start_period_comes_before_the_start_timeout_that_nobody_wrote() {
    let own = with_healthcheck(secs(30), secs(60));
    let given_up_at = |line: &str| {
        let life = starts(Sim::new(line), &own).fails_probing(10_000).run(secs(400));
        let stop = life.trace().lines().find(|line| line.contains("> StopContainer")).unwrap_or_default().to_owned();
        stop.split('.').next().and_then(|at| at.parse::<u64>().ok())
    };
    assert_eq!(given_up_at("image=registry.test/api:v1"), Some(182));
    assert_eq!(given_up_at("image=registry.test/api:v1 probe.start_timeout=50s"), Some(52), "as written");
    assert_eq!(given_up_at("image=registry.test/api:v1 port=80 health=tcp"), Some(122), "it is not asked");
}

#[test]
fn what_is_written_wins_over_the_healthcheck_s_own_times() {
    let own = with_healthcheck(secs(30), secs(60));
    let line = "image=registry.test/api:v1 probe.timeout=1s";
    let life = starts(Sim::new(line), &own).never(JobKind::ProbeApp).run(secs(14));
    assert_eq!((life.view().status, life.view().probes.len()), (Status::Ok, 2), "{}", life.trace());
}

#[test]
fn after_a_restart_the_start_period_holds_again() {
    let own = with_healthcheck(secs(30), secs(60));
    let life = starts(Sim::new("image=registry.test/api:v1"), &own)
        .answer(JobKind::ProbeApp, ms(10), Event::ProbePassed)
        .answer(JobKind::WatchContainer, secs(10), exited(1));
    let mut life = starts(life, &own);
    for _ in 0..1600 {
        life = life.answer(JobKind::ProbeApp, ms(10), refused());
    }
    let life = life.run(secs(185));
    assert_eq!((life.view().restarts, life.count(JobKind::StopContainer)), (1, 0), "{}", life.trace());
}

#[test]
fn facts_of_an_image_with_a_healthcheck_let_it_be_asked() {
    let own = with_healthcheck(secs(30), Duration::ZERO);
    let facts = ImageFacts { healthcheck: own.healthcheck.clone(), ..ImageFacts::default() };
    let line = "image=registry.test/api:v1 health=docker";
    let life = starts(Sim::new(line).answer(JobKind::InspectImage, ms(5), Event::ImageInspected(Some(facts))), &own);
    assert_eq!(life.run(secs(30)).view().status, Status::Ok);
}
