//! Secrets on their way to the app: when they are fetched, and when nothing of them is in the adapters any more.

use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::view::{PhaseName, Status};

use crate::sim::{Sim, config, exited, ms, refused, running, secs, survivor, target};

const LINE: &str = "image=registry.test/api:v1 port=8080 health=/health secrets=prod/api";

fn started() -> Event {
    Event::ContainerStarted(Box::new(running()))
}

#[test]
fn an_app_that_exits_or_is_restarted_gets_the_secrets_that_are_in_place() {
    let mut sick = Sim::new(LINE).answer(JobKind::ProbeApp, ms(10), Event::ProbePassed);
    for _ in 0..6 {
        sick = sick.answer(JobKind::ProbeApp, ms(10), refused());
    }
    let exits = Sim::new(LINE).answer(JobKind::WatchContainer, secs(20), exited(1));
    for life in [sick.run(secs(120)), exits.run(secs(120))] {
        assert_eq!((life.view().status, life.view().restarts), (Status::Ok, 1), "{}", life.trace());
        assert_eq!(
            (life.count(JobKind::FetchSecrets), life.count(JobKind::StartContainer)),
            (1, 2),
            "{}",
            life.trace()
        );
        let stops: Vec<&str> = life.trace().lines().filter(|line| line.contains("> StopContainer")).collect();
        assert!(stops.iter().all(|line| line.ends_with("to start it again")), "{stops:?}");
    }
}

#[test]
fn secrets_that_are_not_in_place_at_a_restart_are_fetched_before_it() {
    let life = Sim::new(LINE)
        .answer(JobKind::WatchContainer, secs(20), exited(1))
        .answer(JobKind::StartContainer, ms(200), started())
        .answer(JobKind::StartContainer, ms(1), Event::SecretsMissing)
        .run(secs(120));
    assert_eq!((life.view().status, life.view().restarts), (Status::Ok, 1), "{}", life.trace());
    assert_eq!((life.count(JobKind::FetchSecrets), life.count(JobKind::StartContainer)), (2, 3), "{}", life.trace());
}

#[test]
fn secrets_that_never_come_at_a_restart_are_given_up_and_fetched_again() {
    let life = Sim::new(LINE)
        .answer(JobKind::WatchContainer, secs(20), exited(1))
        .answer(JobKind::StartContainer, ms(200), started())
        .answer(JobKind::StartContainer, ms(1), Event::SecretsMissing)
        .answer(JobKind::StartContainer, ms(1), Event::SecretsMissing)
        .answer(JobKind::FetchSecrets, ms(100), Event::SecretsFetched)
        .never(JobKind::FetchSecrets)
        .run(secs(240));
    assert_eq!((life.view().status, life.count(JobKind::FetchSecrets)), (Status::Ok, 3), "{}", life.trace());
}

#[test]
fn secrets_that_are_gone_before_the_first_start_are_fetched_again() {
    let life = Sim::new(LINE).answer(JobKind::StartContainer, ms(1), Event::SecretsMissing).run(secs(60));
    assert_eq!((life.view().phase, life.count(JobKind::FetchSecrets)), (PhaseName::Serve, 2), "{}", life.trace());
}

#[test]
fn nothing_of_secrets_stays_in_the_adapters_once_a_boot_is_over() {
    let held = Sim::new(&format!("{LINE} boot.on_failure=hold"));
    let found = Event::ContainersFound(vec![survivor(&config(LINE))]);
    let lives = [
        (PhaseName::Serve, Sim::new(LINE)),
        // It ran already.
        (PhaseName::Serve, Sim::new(LINE).answer(JobKind::FindContainers, ms(5), found)),
        (PhaseName::Hold, held.fails(JobKind::PullImage, 1, ErrorClass::Denied, "no")),
        (
            PhaseName::Failing,
            Sim::new(LINE).fails(JobKind::PullImage, 1, ErrorClass::Denied, "no").never(JobKind::CompleteHook),
        ),
        (
            PhaseName::Drain,
            Sim::new(LINE)
                .never(JobKind::PullImage)
                .at(secs(1), Event::Signalled(Signal::Term))
                .never(JobKind::CompleteHook),
        ),
        (PhaseName::Warm, Sim::new(LINE).sees(ms(0), target(TargetState::WarmedStopped))),
    ];
    for (phase, life) in lives {
        let life = life.run(secs(5));
        assert_eq!((life.view().phase, life.count(JobKind::WipeSecrets)), (phase, 1), "{}", life.trace());
    }
}

#[test]
fn a_rotation_that_did_not_reach_the_app_leaves_nothing_in_the_adapters() {
    let line = format!("{LINE} secrets_refresh=1h,signal:HUP");
    let changed = Event::SecretsChecked { changed: true };
    let failed = Sim::new(&line).answer(JobKind::CheckSecrets, ms(50), changed.clone()).fails(
        JobKind::SignalApp,
        1,
        ErrorClass::Transient,
        "the engine is away",
    );
    let failed = failed.run(secs(2 * 3600));
    assert_eq!((failed.count(JobKind::SignalApp), failed.count(JobKind::WipeSecrets)), (1, 2), "{}", failed.trace());

    let line = format!("{LINE} secrets_refresh=1h");
    let left = Sim::new(&line).answer(JobKind::CheckSecrets, ms(50), changed).never(JobKind::StopContainer);
    let left = left.at(secs(2 * 3600), Event::Signalled(Signal::Term)).run(secs(3 * 3600));
    assert_eq!((left.outcome(), left.count(JobKind::WipeSecrets)), (Some(Outcome::Done), 2), "{}", left.trace());
}
