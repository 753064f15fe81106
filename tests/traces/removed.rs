//! A container that somebody removes, at any moment: it is created again, and counts as one restart.

use berth_core::message::container::{ContainerId, FoundContainer, ImageFacts};
use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::view::{PhaseName, Status};

use crate::sim::{LINE, Sim, config, exited, failure, ms, running, secs, survivor};

const GONE: &str = "No such container: c0ffee";

/// The jobs that were ordered once the app was served, without those that go on all the time.
fn after_serving(life: &Sim) -> Vec<JobKind> {
    let served = life.ordered.iter().position(|job| *job == JobKind::CompleteHook).unwrap_or_default();
    let often = [JobKind::ProbeApp, JobKind::WatchMetadata, JobKind::Listen, JobKind::WipeSecrets, JobKind::ReadOutput];
    life.ordered.iter().skip(served + 1).copied().filter(|job| !often.contains(job)).collect()
}

fn here() -> Event {
    Event::ImageInspected(Some(ImageFacts::default()))
}

/// The container is removed before its first restart.
fn removed(life: Sim) -> Sim {
    life.answer(JobKind::WatchContainer, secs(10), exited(137))
        .answer(JobKind::StartContainer, ms(200), Event::ContainerStarted(Box::new(running())))
        .fails(JobKind::StartContainer, 1, ErrorClass::Gone, GONE)
}

/// When such lines of the trace are.
fn when(life: &Sim, what: &str) -> Vec<f64> {
    let lines = life.trace().lines().filter(|line| line.contains(what));
    lines.map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect()
}

#[test]
fn removed_while_it_waits_for_its_restart_it_is_created_again_and_that_is_one_restart() {
    let life = removed(Sim::new(LINE)).run(secs(60));
    assert_eq!((life.view().status, life.view().restarts), (Status::Ok, 1), "{}", life.trace());
    let expected = [
        JobKind::StartContainer,
        JobKind::FindContainers,
        JobKind::InspectImage,
        JobKind::CreateContainer,
        JobKind::StartContainer,
        JobKind::WatchContainer,
    ];
    assert_eq!(after_serving(&life), expected, "{}", life.trace());
}

/// The case: with no restart left for anything else.
#[test]
fn a_removal_leaves_the_limit_of_restarts_as_an_exit_does() {
    let life = removed(Sim::new("image=registry.test/api:v1 port=8080 restart.limit=1")).run(secs(60));
    assert_eq!((life.view().status, life.outcome()), (Status::Ok, None), "{}", life.trace());
}

#[test]
fn an_image_that_was_pruned_with_it_is_pulled_again() {
    let life = removed(Sim::new(LINE))
        .answer(JobKind::InspectImage, ms(5), Event::ImageInspected(None))
        .answer(JobKind::InspectImage, ms(5), here())
        .answer(JobKind::InspectImage, ms(5), Event::ImageInspected(None))
        .run(secs(60));
    assert_eq!((life.view().status, life.view().restarts), (Status::Ok, 1), "{}", life.trace());
    assert_eq!((life.count(JobKind::PullImage), life.count(JobKind::LoginRegistry)), (2, 2), "{}", life.trace());
}

#[test]
fn an_app_of_a_former_agent_gets_its_secrets_fetched_and_its_container_created() {
    let line = "image=registry.test/api:v1 port=80 secrets=prod/api";
    let found = Event::ContainersFound(vec![survivor(&config(line))]);
    let life = Sim::new(line)
        .answer(JobKind::FindContainers, ms(5), found)
        .answer(JobKind::InspectImage, ms(5), here())
        .answer(JobKind::WatchContainer, secs(10), exited(137))
        .fails(JobKind::StartContainer, 1, ErrorClass::Gone, GONE)
        .run(secs(60));
    assert_eq!((life.view().status, life.view().restarts), (Status::Ok, 1), "{}", life.trace());
    assert_eq!((life.count(JobKind::CreateContainer), life.count(JobKind::StartContainer)), (1, 2), "{}", life.trace());
}

#[test]
fn removed_while_it_stops_for_new_secrets_it_is_created_again() {
    let line = "image=registry.test/api:v1 port=80 secrets=prod/api secrets_refresh=1m";
    let life = Sim::new(line)
        .answer(JobKind::CheckSecrets, ms(50), Event::SecretsChecked { changed: true })
        .answer(JobKind::StartContainer, ms(200), Event::ContainerStarted(Box::new(running())))
        .fails(JobKind::StartContainer, 1, ErrorClass::Gone, GONE)
        .run(secs(200));
    assert_eq!((life.view().status, life.count(JobKind::CreateContainer)), (Status::Ok, 2), "{}", life.trace());
}

#[test]
fn removed_between_create_and_start_it_is_a_failed_start_and_created_again() {
    let once = Sim::new(LINE).fails(JobKind::StartContainer, 1, ErrorClass::Gone, GONE).run(secs(60));
    assert_eq!((once.view().status, once.view().restarts), (Status::Ok, 1), "{}", once.trace());
    assert_eq!(once.count(JobKind::CreateContainer), 2);
    let always = Sim::new(LINE).fails(JobKind::StartContainer, 50, ErrorClass::Gone, GONE).run(secs(200));
    assert_eq!(always.outcome(), Some(Outcome::BootFailed), "{}", always.trace());
    assert_eq!(
        (always.count(JobKind::StartContainer), always.completions.as_slice()),
        (6, &["completed ABANDON".to_owned()][..])
    );
}

#[test]
fn what_a_lost_answer_to_the_create_left_behind_is_removed_first() {
    let left = FoundContainer { running: None, ..survivor(&config(LINE)) };
    let life = Sim::new(LINE)
        .answer(JobKind::FindContainers, ms(5), Event::ContainersFound(Vec::new()))
        .answer(JobKind::FindContainers, ms(5), Event::ContainersFound(Vec::new()))
        .answer(JobKind::FindContainers, ms(5), Event::ContainersFound(vec![left]))
        .answer(JobKind::CreateContainer, ms(5), Event::ContainerCreated(running().id))
        .answer(JobKind::WatchContainer, secs(10), exited(137))
        .answer(JobKind::StartContainer, ms(200), Event::ContainerStarted(Box::new(running())))
        .fails(JobKind::StartContainer, 1, ErrorClass::Gone, GONE)
        .fails(JobKind::CreateContainer, 1, ErrorClass::Transient, "the answer was lost")
        .run(secs(60));
    assert_eq!((life.view().status, life.count(JobKind::RemoveContainer)), (Status::Ok, 1), "{}", life.trace());
}

#[test]
fn an_image_that_cannot_be_had_any_more_ends_the_app_with_the_reason() {
    let life = removed(Sim::new(LINE))
        .answer(JobKind::InspectImage, ms(5), Event::ImageInspected(None))
        .answer(JobKind::InspectImage, ms(5), here())
        .answer(JobKind::InspectImage, ms(5), Event::ImageInspected(None))
        .answer(JobKind::PullImage, ms(5), Event::ImagePulled)
        .fails(JobKind::PullImage, 1, ErrorClass::Broken, "manifest unknown")
        .run(secs(60));
    assert_eq!(life.outcome(), Some(Outcome::AppFailed), "{}", life.trace());
    assert!(life.trace().contains("cannot be created again: manifest unknown"), "{}", life.trace());
}

#[test]
fn an_engine_that_never_creates_it_is_given_up_after_as_long_as_a_boot_may_take() {
    let life = removed(Sim::new("image=registry.test/api:v1 port=80 boot.timeout=2m"))
        .answer(JobKind::CreateContainer, ms(5), Event::ContainerCreated(running().id))
        .fails_always(JobKind::CreateContainer, "the engine is away")
        .run(secs(400));
    assert_eq!(life.outcome(), Some(Outcome::AppFailed), "{}", life.trace());
    assert!(life.trace().contains("is not created again within 120s"), "{}", life.trace());
}

#[test]
fn a_notice_while_it_is_created_again_stops_that() {
    let life = removed(Sim::new(LINE))
        .answer(JobKind::CreateContainer, ms(5), Event::ContainerCreated(running().id))
        .never(JobKind::CreateContainer)
        .at(secs(30), Event::Signalled(Signal::Term))
        .run(secs(400));
    assert_eq!((life.outcome(), life.count(JobKind::StartContainer)), (Some(Outcome::Done), 2), "{}", life.trace());
    assert!(when(&life, "> Cancel").contains(&30.0), "the adapter stops, too\n{}", life.trace());
}

#[test]
fn an_engine_that_fails_to_create_it_is_asked_less_and_less_often() {
    let life = removed(Sim::new(LINE))
        .answer(JobKind::CreateContainer, ms(5), Event::ContainerCreated(running().id))
        .fails_always(JobKind::CreateContainer, "no space left")
        .run(secs(75));
    let asked = life.count(JobKind::FindContainers);
    assert!((6..=14).contains(&asked), "{asked} times in a minute, whatever else happens\n{}", life.trace());
}

#[test]
fn an_engine_that_never_answers_while_it_is_created_again_is_asked_again() {
    let life = removed(Sim::new(LINE))
        .answer(JobKind::FindContainers, ms(5), Event::ContainersFound(Vec::new()))
        .never(JobKind::FindContainers)
        .run(secs(240));
    assert_eq!((life.view().status, life.count(JobKind::FindContainers)), (Status::Ok, 3), "{}", life.trace());
}

#[test]
fn an_image_that_is_pruned_again_and_again_is_not_pulled_without_a_pause() {
    let mut life = removed(Sim::new(LINE)).answer(JobKind::InspectImage, ms(5), Event::ImageInspected(None)).answer(
        JobKind::InspectImage,
        ms(5),
        here(),
    );
    for _ in 0..200 {
        life = life.answer(JobKind::InspectImage, ms(5), Event::ImageInspected(None)).answer(
            JobKind::PullImage,
            ms(5),
            Event::ImagePulled,
        );
    }
    let life = life.run(secs(75));
    let pulls = life.count(JobKind::PullImage);
    assert!((6..=14).contains(&pulls), "{pulls} pulls in a minute\n{}", life.trace());
}

/// An image that was pruned on a whole fleet at the same moment.
#[test]
fn a_fleet_that_is_throttled_while_it_pulls_again_comes_back_over_seconds() {
    let waits = (0..50).map(|seed| {
        let life = removed(Sim::seeded(LINE, seed))
            .answer(JobKind::InspectImage, ms(5), Event::ImageInspected(None))
            .answer(JobKind::InspectImage, ms(5), here())
            .answer(JobKind::InspectImage, ms(5), Event::ImageInspected(None))
            .answer(JobKind::PullImage, ms(5), Event::ImagePulled)
            .fails(JobKind::PullImage, 1, ErrorClass::Throttled, "toomanyrequests")
            .run(secs(60));
        assert_eq!(life.view().status, Status::Ok, "{}", life.trace());
        when(&life, "> FindContainers")[2] - when(&life, "toomanyrequests")[0]
    });
    let mut waits: Vec<f64> = waits.collect();
    waits.sort_by(f64::total_cmp);
    let busiest = waits.windows(25).filter(|half| half[24] - half[0] < 0.5).count();
    assert_eq!(busiest, 0, "half of them within half a second: {waits:?}");
}

fn stray() -> FoundContainer {
    FoundContainer { id: ContainerId("stray".to_owned()), ..survivor(&config("image=r.test/old:1 port=80")) }
}

/// An app that an agent before this one left beside a container of another config, and that is not healthy yet.
fn adopted_beside_a_stray() -> Sim {
    let found = vec![survivor(&config(LINE)), stray()];
    Sim::new(LINE).answer(JobKind::FindContainers, ms(5), Event::ContainersFound(found)).fails_probing(60)
}

#[test]
fn an_adopted_app_serves_once_what_it_is_found_beside_is_removed() {
    let found = || Event::ContainersFound(vec![survivor(&config(LINE)), stray()]);
    let adopted = || {
        Sim::new(LINE).answer(JobKind::FindContainers, ms(5), found()).answer(JobKind::FindContainers, ms(5), found())
    };
    let life = adopted().answer(JobKind::RemoveContainer, secs(3), Event::ContainerRemoved).run(secs(60));
    assert!((3.0..3.5).contains(&life.view().phases[1].began_seconds), "{}", life.trace());
    assert_eq!((life.view().status, life.count(JobKind::RemoveContainer)), (Status::Ok, 1), "{}", life.trace());
    // The exit of the app is its own, and no stray's.
    let exits = adopted().holds(secs(0), 3).at(secs(30), Event::Signalled(Signal::Term)).at(secs(35), exited(1));
    assert_eq!(exits.run(secs(600)).outcome(), Some(Outcome::DrainCut));
    // One that exits in the meantime is not healthy.
    let exits = adopted().never(JobKind::RemoveContainer).at(secs(2), exited(1)).never(JobKind::StartContainer);
    let life = exits.run(secs(10));
    assert_eq!((life.view().phase, life.count(JobKind::CompleteHook)), (PhaseName::Boot, 0), "{}", life.trace());
}

#[test]
fn what_an_adopted_app_is_found_beside_is_removed_while_the_app_becomes_healthy() {
    let life = adopted_beside_a_stray().run(secs(60));
    assert_eq!((life.view().status, when(&life, "ContainerRemoved").len()), (Status::Ok, 1), "{}", life.trace());
}

/// Both would remove the same container, and the engine refuses the second.
#[test]
fn from_when_it_is_created_again_what_is_in_the_way_is_removed_by_that_alone() {
    let refused = failure(JobKind::RemoveContainer, ErrorClass::Broken, "removal is already in progress");
    let life = adopted_beside_a_stray()
        .answer(JobKind::InspectImage, ms(5), here())
        .answer(JobKind::WatchContainer, ms(500), exited(137))
        .fails(JobKind::StartContainer, 1, ErrorClass::Gone, GONE)
        .answer(JobKind::FindContainers, ms(5), Event::ContainersFound(vec![stray()]))
        .answer(JobKind::RemoveContainer, secs(3), refused)
        .run(secs(60));
    assert_eq!((life.outcome(), life.view().status), (None, Status::Ok), "{}", life.trace());
    assert_eq!(life.count(JobKind::RemoveContainer), 2, "one was cancelled\n{}", life.trace());
}
