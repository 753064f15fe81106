//! `after`: paths of the host that must be there before a container is created, at the first boot and whenever one is created again.

use berth_core::message::container::FoundContainer;
use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::view::{PhaseName, ReadyReason, Status};
use expect_test::expect;

use crate::sim::{LINE, Sim, config, exited, group, identity, ms, secs, survivor, target};

const AFTER: &str = "image=registry.test/api:v1 port=8080 health=/health after=/mnt/data";

/// Whin the adapters says of a path that is not there.
const ABSENT: &str = "/mnt/data does not exist (`after`)";

/// The jobs of these kinds, in the order in which they were ordered.
fn order(life: &Sim, kinds: &[JobKind]) -> Vec<JobKind> {
    life.ordered.iter().copied().filter(|job| kinds.contains(job)).collect()
}

#[test]
fn a_path_that_is_late_keeps_only_the_creation_waiting() {
    let life = Sim::new(AFTER).fails(JobKind::CheckPaths, 3, ErrorClass::Transient, ABSENT).run(secs(10));
    assert_eq!(life.view().status, Status::Ok, "{}", life.trace());
    expect![[r#"
        0.000    boot    > Identify
        0.010    boot    Identified i-0123456789abcdef0 in us-east-2a, target lifecycle state InService
        0.010    boot    > ReadConfig
        0.015    boot    ConfigRead api from registry.test/api:v1
        0.015    boot    > FindGroup
        0.015    boot    > Listen 0.0.0.0:9911
        0.015    boot    > PingEngine
        0.015    boot    > LoginRegistry
        0.016    boot    Listening
        0.020    boot    EngineAnswered
        0.020    boot    > FindContainers berth-api
        0.025    boot    ContainersFound 0 found, 0 running
        0.025    boot    > CheckPaths /mnt/data
        0.035    boot    Failed CheckPaths: /mnt/data does not exist (`after`)
        0.095    boot    RegistryLoggedIn
        0.095    boot    > ResolveDigest registry.test/api:v1
        0.115    boot    GroupFound web, launch hook boot
        0.118    boot    > CheckPaths /mnt/data
        0.128    boot    Failed CheckPaths: /mnt/data does not exist (`after`)
        0.145    boot    DigestResolved sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
        0.145    boot    > InspectImage registry.test/api@sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
        0.150    boot    ImageInspected not here
        0.150    boot    > PullImage registry.test/api@sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
        0.252    boot    > CheckPaths /mnt/data
        0.262    boot    Failed CheckPaths: /mnt/data does not exist (`after`)
        0.618    boot    > CheckPaths /mnt/data
        0.619    boot    PathsFound
        2.150    boot    ImagePulled
        2.150    boot    > InspectImage registry.test/api@sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
        2.155    boot    ImageInspected here
        2.155    boot    > CreateContainer api from registry.test/api@sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
        2.205    boot    ContainerCreated c0ffee
        2.205    boot    > StartContainer c0ffee
        2.405    boot    ContainerStarted c0ffee at 172.17.0.2
        2.405    boot    > WatchContainer c0ffee
        2.415    serve   > CompleteHook web/boot CONTINUE
        2.415    serve   > WipeSecrets
        2.415    serve   SecretsWiped
        2.465    serve   HookCompleted
    "#]].assert_eq(life.trace());
    let paths = life.view().steps.into_iter().find(|step| step.name.word() == "paths").unwrap();
    assert_eq!((paths.attempts, paths.waits.len(), paths.error), (4, 3, None));
}

#[test]
fn a_path_that_is_later_than_the_pull_is_created_for_within_a_second_or_so() {
    let life = Sim::new(AFTER).fails(JobKind::CheckPaths, 40, ErrorClass::Transient, ABSENT);
    let life = life.run(secs(15));
    is_waiting(&life);
    let life = life.run(secs(60));
    assert_eq!((life.view().status, life.count(JobKind::PullImage)), (Status::Ok, 1), "{}", life.trace());
    let of = |name: &str| life.view().steps.into_iter().find(|step| step.name.word() == name).unwrap();
    let (paths, create) = (of("paths"), of("create"));
    assert!(
        (create.began_seconds - paths.began_seconds - paths.took_seconds.unwrap()).abs() < 0.001,
        "{paths:?} {create:?}"
    );
    assert!(paths.waits.len() > 20, "{paths:?}");
    assert!(paths.waits.iter().all(|wait| wait.took_seconds.is_some_and(|took| took <= 1.0)), "{paths:?}");
}

fn is_waiting(life: &Sim) {
    let view = life.view();
    assert_eq!((view.status, view.ready_reason), (Status::Starting, ReadyReason::WaitingForPaths), "{}", view.reason);
    assert_eq!(view.reason, format!("waiting for paths ({ABSENT})"));
    assert_eq!(life.count(JobKind::CreateContainer), 0);
}

#[test]
fn a_path_that_never_comes_is_a_failed_boot_that_names_it() {
    let line = format!("{AFTER} boot.timeout=30s");
    let life = Sim::new(&line).fails_always(JobKind::CheckPaths, ABSENT).run(secs(60));
    assert_eq!((life.outcome(), life.count(JobKind::CreateContainer)), (Some(Outcome::BootFailed), 0));
    assert!(
        life.trace()
            .contains(&format!("the boot was not over within 30s (boot.timeout): waiting for paths ({ABSENT})")),
        "{}",
        life.trace()
    );
    assert_eq!(life.completions, ["completed ABANDON"]);
}

#[test]
fn without_it_nobody_looks() {
    assert_eq!(Sim::new(LINE).run(secs(10)).count(JobKind::CheckPaths), 0);
}

#[test]
fn in_the_pool_nobody_looks_and_out_of_it_somebody_does() {
    let mut entering = identity();
    entering.target_state = Some(TargetState::WarmedStopped);
    let life = Sim::new(AFTER)
        .answer(JobKind::Identify, ms(10), Event::Identified(entering.into()))
        .answer(JobKind::FindGroup, ms(100), group(secs(600), "Warmed:Pending:Wait"))
        .sees(secs(0), target(TargetState::WarmedStopped))
        .sees(secs(100), target(TargetState::InService))
        .answer(JobKind::FindGroup, ms(100), group(secs(600), "Pending:Wait"))
        .fails(JobKind::CheckPaths, 2, ErrorClass::Transient, ABSENT)
        .run(secs(60));
    assert_eq!((life.view().phase, life.count(JobKind::CheckPaths)), (PhaseName::Warm, 0), "{}", life.trace());
    let life = life.run(secs(200));
    assert_eq!((life.view().status, life.count(JobKind::CheckPaths)), (Status::Ok, 3), "{}", life.trace());
}

/// What it was created with it has, whatever was unmounted since.
#[test]
fn a_container_that_runs_is_adopted_without_a_look() {
    let found = Event::ContainersFound(vec![survivor(&config(AFTER))]);
    let life = Sim::new(AFTER).answer(JobKind::FindContainers, ms(5), found).run(secs(10));
    assert_eq!((life.view().status, life.count(JobKind::CheckPaths)), (Status::Ok, 0), "{}", life.trace());
    assert!(life.view().steps.iter().all(|step| step.name.word() != "paths"));
    // What is waited for is no part of what a container is made of.
    let found = Event::ContainersFound(vec![survivor(&config(LINE))]);
    let life = Sim::new(AFTER).answer(JobKind::FindContainers, ms(5), found).run(secs(10));
    assert_eq!((life.view().status, life.count(JobKind::RemoveContainer)), (Status::Ok, 0), "{}", life.trace());
}

#[test]
fn after_a_reboot_the_old_container_goes_and_the_new_one_waits() {
    let found = FoundContainer { running: None, ..survivor(&config(AFTER)) };
    let life = Sim::new(AFTER)
        .answer(JobKind::FindContainers, ms(5), Event::ContainersFound(vec![found]))
        .fails(JobKind::CheckPaths, 9, ErrorClass::Transient, ABSENT)
        .run(secs(30));
    assert_eq!(life.view().status, Status::Ok, "{}", life.trace());
    let done = order(&life, &[JobKind::CheckPaths, JobKind::CreateContainer, JobKind::StartContainer]);
    let looks = [JobKind::CheckPaths; 10].into_iter();
    let expected: Vec<JobKind> = looks.chain([JobKind::CreateContainer, JobKind::StartContainer]).collect();
    assert_eq!(done, expected, "{}", life.trace());
    assert_eq!(life.count(JobKind::RemoveContainer), 1);
}

#[test]
fn an_app_that_is_started_again_in_its_container_is_not_kept_waiting() {
    let life = Sim::new(AFTER).answer(JobKind::WatchContainer, secs(5), exited(1)).run(secs(30));
    assert_eq!((life.view().status, life.view().restarts), (Status::Ok, 1), "{}", life.trace());
    assert_eq!((life.count(JobKind::CheckPaths), life.count(JobKind::CreateContainer)), (1, 1));
}

#[test]
fn a_container_that_somebody_removed_is_created_again_once_the_paths_are_there() {
    let life = Sim::new(AFTER)
        .answer(JobKind::CheckPaths, ms(1), Event::PathsFound)
        .fails(JobKind::CheckPaths, 2, ErrorClass::Transient, ABSENT)
        .answer(JobKind::WatchContainer, secs(5), exited(137))
        .answer(JobKind::StartContainer, ms(200), Event::ContainerStarted(Box::new(crate::sim::running())))
        .fails(JobKind::StartContainer, 1, ErrorClass::Gone, "no such container")
        .run(secs(60));
    assert_eq!((life.view().status, life.view().restarts), (Status::Ok, 1), "{}", life.trace());
    let done = order(&life, &[JobKind::CheckPaths, JobKind::CreateContainer]);
    assert_eq!(
        done,
        [
            JobKind::CheckPaths,
            JobKind::CreateContainer,
            JobKind::CheckPaths,
            JobKind::CheckPaths,
            JobKind::CheckPaths,
            JobKind::CreateContainer
        ],
        "{}",
        life.trace()
    );
}

#[test]
fn a_notice_ends_the_waiting_at_once() {
    let life = Sim::new(AFTER)
        .fails_always(JobKind::CheckPaths, ABSENT)
        .at(secs(20), Event::Signalled(Signal::Term))
        .run(secs(60));
    assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
    let late = life.trace().lines().skip_while(|line| !line.contains("Signalled"));
    assert_eq!(late.filter(|line| line.contains("> CheckPaths")).count(), 0, "{}", life.trace());
    assert_eq!(life.count(JobKind::CreateContainer), 0);
}
