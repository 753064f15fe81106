//! What anyone who requests `/ready` reads as the reason: a sentence of a closed list that says what goes on, and nothing that a
//! service, the engine or an operator wrote.

use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::snapshot::{Interruption, Snapshot};
use berth_core::view::{ReadyReason, Status};

use crate::sim::{LINE, Sim, exited, ms, secs, target};

/// What a service answers in these tests.
const ANSWER: &str = "arn:aws:iam::123456789012:role/api";

#[track_caller]
fn is(life: &Sim, status: Status, reason: ReadyReason) {
    let view = life.view();
    assert_eq!((view.status, view.ready_reason), (status, reason), "{}\n{}", view.reason, life.trace());
}

#[test]
fn a_boot_says_which_step_it_is_at() {
    let line = "image=r.test/a:1 port=80 secrets=prod/api after=/mnt/data";
    for (job, reason) in [
        (JobKind::Identify, ReadyReason::WaitingForMetadata),
        (JobKind::ReadConfig, ReadyReason::ReadingConfig),
        (JobKind::Listen, ReadyReason::BindingListenAddress),
        (JobKind::FetchSecrets, ReadyReason::FetchingSecrets),
        (JobKind::LoginRegistry, ReadyReason::LoggingIn),
        (JobKind::PingEngine, ReadyReason::WaitingForEngine),
        (JobKind::FindContainers, ReadyReason::CheckingContainers),
        (JobKind::ResolveDigest, ReadyReason::LookingUpImage),
        (JobKind::InspectImage, ReadyReason::LookingUpImage),
        (JobKind::PullImage, ReadyReason::PullingImage),
        (JobKind::CheckPaths, ReadyReason::WaitingForPaths),
        (JobKind::CreateContainer, ReadyReason::CreatingContainer),
        (JobKind::StartContainer, ReadyReason::StartingApp),
        (JobKind::ProbeApp, ReadyReason::NotHealthyYet),
    ] {
        // An address that cannot be had keeps nothing else from going on.
        let at = if job == JobKind::Listen { secs(1) } else { secs(5) };
        // Asked during the first attempt, and between two attempts.
        is(&Sim::new(line).never(job).run(at), Status::Starting, reason);
        if !matches!(job, JobKind::StartContainer | JobKind::ProbeApp) {
            is(&Sim::new(line).fails_always(job, ANSWER).run(at), Status::Starting, reason);
        }
    }
}

#[test]
fn a_failed_boot_says_what_could_not_be_had() {
    let line = "image=r.test/a:1 port=80 secrets=prod/api";
    for (job, class, reason) in [
        (JobKind::Identify, ErrorClass::Misconfigured, ReadyReason::MetadataUnavailable),
        (JobKind::ReadConfig, ErrorClass::Misconfigured, ReadyReason::ConfigInvalid),
        (JobKind::ReadConfig, ErrorClass::Broken, ReadyReason::ConfigUnavailable),
        (JobKind::ReadConfig, ErrorClass::Denied, ReadyReason::AccessDenied),
        (JobKind::Listen, ErrorClass::Misconfigured, ReadyReason::ListenAddressUnavailable),
        (JobKind::FetchSecrets, ErrorClass::Broken, ReadyReason::SecretsUnavailable),
        (JobKind::FetchSecrets, ErrorClass::Denied, ReadyReason::AccessDenied),
        (JobKind::LoginRegistry, ErrorClass::Denied, ReadyReason::AccessDenied),
        (JobKind::PingEngine, ErrorClass::Denied, ReadyReason::EngineUnavailable),
        (JobKind::ResolveDigest, ErrorClass::Broken, ReadyReason::ImageUnavailable),
        (JobKind::PullImage, ErrorClass::Denied, ReadyReason::AccessDenied),
        (JobKind::PullImage, ErrorClass::Broken, ReadyReason::ImageUnavailable),
        (JobKind::CreateContainer, ErrorClass::Broken, ReadyReason::ContainerNotCreated),
        (JobKind::StartContainer, ErrorClass::Broken, ReadyReason::ContainerNotStarted),
    ] {
        let failed = |line: &str| {
            Sim::new(line).fails(job, 1, class, ANSWER).never(JobKind::CompleteHook).never(JobKind::WriteFinalStatus)
        };
        is(&failed(line).run(secs(5)), Status::Failed, reason);
        // Held, it says the same; before the config is known there is no hold.
        if !matches!(job, JobKind::Identify | JobKind::ReadConfig) {
            is(&failed(&format!("{line} boot.on_failure=hold")).run(secs(100)), Status::Failed, reason);
        }
    }
    let late =
        Sim::new("image=r.test/a:1 port=80 probe.start_timeout=3s").fails_probing(1000).never(JobKind::CompleteHook);
    is(&late.run(secs(10)), Status::Failed, ReadyReason::NotHealthyInTime);
    let late =
        Sim::new("image=r.test/a:1 port=80 boot.timeout=30s").never(JobKind::PullImage).never(JobKind::CompleteHook);
    is(&late.run(secs(31)), Status::Failed, ReadyReason::BootTimedOut);
}

#[test]
fn an_app_that_is_not_ready_while_serving_says_why() {
    let up = Sim::new(LINE).run(secs(10));
    is(&up, Status::Ok, ReadyReason::Healthy);

    let crashed = Sim::new(LINE).answer(JobKind::WatchContainer, secs(5), exited(1)).run(ms(7500));
    is(&crashed, Status::Unhealthy, ReadyReason::AppExited);
    let stays = Sim::new("image=r.test/a:1 port=80 restart.limit=1")
        .answer(JobKind::WatchContainer, secs(5), exited(1))
        .answer(JobKind::WatchContainer, secs(5), exited(1))
        .never(JobKind::MarkUnhealthy)
        .run(secs(30));
    is(&stays, Status::Failed, ReadyReason::RestartLimitReached);

    is(&Sim::new(LINE).sick(secs(5), true).run(secs(20)), Status::Unhealthy, ReadyReason::AppUnhealthy);
    let again = Sim::new(LINE)
        .answer(JobKind::WatchContainer, secs(5), exited(1))
        .answer(JobKind::ProbeApp, ms(10), Event::ProbePassed)
        .sick(secs(5), true)
        .run(secs(12));
    is(&again, Status::Unhealthy, ReadyReason::NotHealthyYet);

    let away = Sim::new(LINE)
        .answer(JobKind::StartContainer, ms(200), Event::ContainerStarted(Box::new(crate::sim::running())))
        .answer(JobKind::WatchContainer, secs(5), exited(1))
        .fails_always(JobKind::StartContainer, ANSWER)
        .run(secs(30));
    is(&away, Status::Unhealthy, ReadyReason::EngineUnavailable);
    let unasked =
        Sim::new(LINE).answer(JobKind::ProbeApp, ms(10), Event::ProbePassed).fails_always(JobKind::ProbeApp, ANSWER);
    is(&unasked.run(secs(60)), Status::Unhealthy, ReadyReason::EngineUnavailable);

    let line = "image=r.test/a:1 port=80 secrets=prod/api secrets_refresh=1h";
    let mut rotated = Sim::new(line)
        .answer(JobKind::CheckSecrets, ms(50), Event::SecretsChecked { changed: true })
        .never(JobKind::StopContainer);
    for second in 0..3700 {
        rotated = rotated.run(secs(second));
        if rotated.count(JobKind::StopContainer) > 0 {
            break;
        }
    }
    is(&rotated, Status::Unhealthy, ReadyReason::RestartingForSecrets);

    let standby = Sim::new(LINE).sees(secs(5), target(TargetState::Standby)).run(secs(10));
    is(&standby, Status::Standby, ReadyReason::Standby);
}

#[test]
fn an_adopted_app_whose_secrets_cannot_be_fetched_says_so() {
    let line = "image=r.test/a:1 port=80 secrets=prod/api";
    for (class, reason) in
        [(ErrorClass::Transient, ReadyReason::SecretsUnavailable), (ErrorClass::Denied, ReadyReason::AccessDenied)]
    {
        let found = Event::ContainersFound(vec![crate::sim::survivor(&crate::sim::config(line))]);
        let life = Sim::new(line)
            .answer(JobKind::FindContainers, ms(5), found)
            .never(JobKind::FetchSecrets)
            .answer(JobKind::WatchContainer, secs(5), exited(1))
            .fails(JobKind::FetchSecrets, 1, class, ANSWER)
            .run(secs(7));
        is(&life, Status::Unhealthy, reason);
    }
}

#[test]
fn a_drain_says_what_kind_of_notice_it_follows() {
    let spot = Interruption { action: "terminate".to_owned(), ends_in: secs(120) };
    let line = "image=r.test/a:1 port=80 rebalance=drain maintenance=drain";
    let sights = [
        (target(TargetState::Terminated), ReadyReason::Terminating),
        (target(TargetState::WarmedStopped), ReadyReason::ReturningToWarmPool),
        (Snapshot { spot: Some(spot), ..target(TargetState::InService) }, ReadyReason::SpotInterruption),
        (Snapshot { rebalance: true, ..target(TargetState::InService) }, ReadyReason::RebalanceRecommended),
        (
            Snapshot { maintenance: Some(ANSWER.to_owned()), ..target(TargetState::InService) },
            ReadyReason::MaintenanceScheduled,
        ),
    ];
    for (snapshot, reason) in sights {
        is(&Sim::new(line).sees(secs(5), snapshot).run(secs(10)), Status::Draining, reason);
    }
    for (event, reason) in [
        (Event::Signalled(Signal::Term), ReadyReason::AgentStopping),
        (Event::DrainRequested(Some(ANSWER.to_owned())), ReadyReason::DrainRequested),
    ] {
        let life = Sim::new(LINE).at(secs(5), event).run(secs(10));
        is(&life, Status::Draining, reason);
        is(&life.run(secs(600)), Status::Draining, ReadyReason::Exiting);
    }
    let pooled = Sim::new(LINE).sees(Default::default(), target(TargetState::WarmedStopped)).run(secs(60));
    is(&pooled, Status::Warm, ReadyReason::Warm);
}
