//! The way to a healthy app: what goes side by side, what is tried again, what fails at once.

use std::time::Duration;

use berth_core::message::container::{ContainerId, FoundContainer};
use berth_core::message::error::ErrorClass;
use berth_core::message::event::Event;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::view::{PhaseName, Status};
use expect_test::{Expect, expect};

use crate::sim::{DIGEST, LINE, Sim, config, exited, failure, group, ms, refused, secs, survivor};

#[track_caller]
fn check(life: &Sim, expected: Expect) {
    expected.assert_eq(life.trace());
}

#[test]
fn a_cold_boot_does_side_by_side_what_it_can() {
    let life = Sim::new("image=registry.test/api:v1 port=8080 secrets=prod/api").run(secs(10));
    assert_eq!(life.view().status, Status::Ok);
    check(
        &life,
        expect![[r#"
            0.000    boot    > Identify
            0.010    boot    Identified i-0123456789abcdef0 in us-east-2a, target lifecycle state InService
            0.010    boot    > ReadConfig
            0.015    boot    ConfigRead api from registry.test/api:v1
            0.015    boot    > FindGroup
            0.015    boot    > Listen 0.0.0.0:9911
            0.015    boot    > PingEngine
            0.015    boot    > FetchSecrets
            0.015    boot    > LoginRegistry
            0.016    boot    Listening
            0.020    boot    EngineAnswered
            0.020    boot    > FindContainers berth-api
            0.025    boot    ContainersFound 0 found, 0 running
            0.095    boot    RegistryLoggedIn
            0.095    boot    > ResolveDigest registry.test/api:v1
            0.115    boot    GroupFound web, launch hook boot
            0.115    boot    SecretsFetched
            0.145    boot    DigestResolved sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
            0.145    boot    > InspectImage registry.test/api@sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
            0.150    boot    ImageInspected not here
            0.150    boot    > PullImage registry.test/api@sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
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
        "#]],
    );
}

#[test]
fn an_image_that_is_here_by_digest_is_neither_resolved_nor_pulled() {
    let line = format!("image=registry.test/api@{DIGEST} port=8080");
    let life = Sim::new(&line)
        .answer(JobKind::InspectImage, ms(5), Event::ImageInspected(Some(Default::default())))
        .run(secs(10));
    assert_eq!(life.view().status, Status::Ok);
    assert_eq!((life.count(JobKind::ResolveDigest), life.count(JobKind::PullImage)), (0, 0));
}

#[test]
fn a_login_that_is_denied_does_not_matter_when_the_image_is_here() {
    let line = format!("image=registry.test/api@{DIGEST} port=8080");
    let life = Sim::new(&line)
        .answer(
            JobKind::LoginRegistry,
            ms(1),
            failure(JobKind::LoginRegistry, ErrorClass::Denied, "no ecr:GetAuthorizationToken"),
        )
        .answer(JobKind::InspectImage, ms(5), Event::ImageInspected(Some(Default::default())))
        .run(secs(10));
    assert_eq!(life.view().status, Status::Ok);
}

#[test]
fn a_login_that_is_denied_fails_the_boot_when_the_image_must_be_pulled() {
    let life = Sim::new(LINE)
        .answer(
            JobKind::LoginRegistry,
            ms(1),
            failure(JobKind::LoginRegistry, ErrorClass::Denied, "no ecr:GetAuthorizationToken"),
        )
        .run(secs(60));
    assert_eq!(life.outcome(), Some(Outcome::BootFailed));
    assert_eq!(life.completions, ["completed ABANDON"]);
}

#[test]
fn a_login_that_expired_is_got_again_before_the_next_attempt() {
    for job in [JobKind::ResolveDigest, JobKind::PullImage] {
        let life = Sim::new(LINE).fails(job, 2, ErrorClass::Expired, "the token has expired").run(secs(60));
        assert_eq!((life.view().status, life.count(JobKind::LoginRegistry), life.count(job)), (Status::Ok, 3, 3));
    }
    let life = Sim::new(LINE).fails(JobKind::PullImage, 2, ErrorClass::Transient, "unexpected EOF").run(secs(60));
    assert_eq!((life.view().status, life.count(JobKind::LoginRegistry)), (Status::Ok, 1));
}

#[test]
fn a_network_that_comes_up_thirty_seconds_late_is_survived() {
    let refused = "connection refused";
    let life = Sim::new(LINE).fails(JobKind::Identify, 30, ErrorClass::Transient, refused).run(secs(120));
    assert_eq!(life.view().phase, PhaseName::Serve);
    assert_eq!(life.count(JobKind::Identify), 31);
}

#[test]
fn transient_faults_are_tried_again_and_permanent_ones_fail_at_once() {
    let throttled = Sim::new("image=r.test/a:1 port=80 secrets=prod/api")
        .fails(JobKind::FetchSecrets, 3, ErrorClass::Throttled, "throttled")
        .run(secs(60));
    assert_eq!((throttled.view().status, throttled.count(JobKind::FetchSecrets)), (Status::Ok, 4));

    let missing = Sim::new("image=r.test/a:1 port=80 secrets=prod/api")
        .fails(JobKind::FetchSecrets, 1, ErrorClass::Broken, "prod/api has no key `password`")
        .run(secs(60));
    assert_eq!((missing.outcome(), missing.count(JobKind::FetchSecrets)), (Some(Outcome::BootFailed), 1));
}

#[test]
fn instances_that_were_throttled_together_come_back_seconds_apart() {
    let again: Vec<f64> = (0..30)
        .map(|seed| {
            let life = Sim::seeded("image=r.test/a:1 port=80 secrets=prod/api", seed)
                .fails(JobKind::FetchSecrets, 1, ErrorClass::Throttled, "throttled")
                .run(secs(30));
            let line = life.trace().lines().rfind(|line| line.contains("> FetchSecrets")).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        })
        .collect();
    let (first, last) = (again.iter().copied().fold(f64::MAX, f64::min), again.iter().copied().fold(0.0, f64::max));
    assert!(last - first > 2.0, "from {first} to {last}");
}

#[test]
fn a_config_error_is_reported_to_the_group_and_exits_with_its_own_code() {
    let life =
        Sim::new(LINE).fails(JobKind::ReadConfig, 1, ErrorClass::Misconfigured, "`helth`: unknown key").run(secs(60));
    check(
        &life,
        expect![[r#"
            0.000    boot    > Identify
            0.010    boot    Identified i-0123456789abcdef0 in us-east-2a, target lifecycle state InService
            0.010    boot    > ReadConfig
            0.020    boot    Failed ReadConfig: `helth`: unknown key
            0.020    failing > FindGroup
            0.120    failing GroupFound web, launch hook boot
            0.120    failing > CompleteHook web/boot ABANDON
            0.170    failing HookCompleted
            0.170    failing > WriteFinalStatus the boot failed: `helth`: unknown key; launch hook: completed ABANDON
            0.171    failing FinalStatusWritten
            0.171    gone    > Exit 2
        "#]],
    );
    assert_eq!(life.outcome(), Some(Outcome::Usage));
}

#[test]
fn a_pull_that_fails_is_tried_again_and_looked_for_afterwards() {
    let life = Sim::new(LINE).fails(JobKind::PullImage, 2, ErrorClass::Transient, "no progress for 60s").run(secs(60));
    assert_eq!((life.view().status, life.count(JobKind::PullImage)), (Status::Ok, 3));
}

#[test]
fn a_pull_that_succeeds_and_leaves_no_image_has_failed() {
    let life = Sim::new(LINE)
        .answer(JobKind::InspectImage, ms(5), Event::ImageInspected(None))
        .answer(JobKind::InspectImage, ms(5), Event::ImageInspected(None))
        .run(secs(60));
    assert_eq!((life.view().status, life.count(JobKind::PullImage)), (Status::Ok, 2));
}

#[test]
fn after_a_kill_the_same_container_is_kept_and_nothing_is_pulled() {
    let found = survivor(&config(LINE));
    let life = Sim::new(LINE).answer(JobKind::FindContainers, ms(5), Event::ContainersFound(vec![found])).run(secs(10));
    assert_eq!(life.view().status, Status::Ok);
    assert!(life.view().container.is_some_and(|container| container.adopted));
    for job in [JobKind::StartContainer, JobKind::PullImage, JobKind::CreateContainer, JobKind::RemoveContainer] {
        assert_eq!(life.count(job), 0, "{job:?}");
    }
}

#[test]
fn a_lasting_error_of_what_a_running_container_does_not_need_waits_until_it_is_known_that_there_is_none() {
    let line = "image=registry.test/api:v1 port=8080 secrets=prod/api";
    for job in [JobKind::FetchSecrets, JobKind::LoginRegistry, JobKind::ResolveDigest] {
        let boot = |found| {
            Sim::new(line)
                .answer(job, ms(1), failure(job, ErrorClass::Denied, "no"))
                .answer(JobKind::LoginRegistry, ms(1), Event::RegistryLoggedIn)
                .answer(JobKind::FindContainers, ms(500), Event::ContainersFound(found))
                .run(secs(60))
        };
        let adopted = boot(vec![survivor(&config(line))]);
        assert_eq!((adopted.view().status, adopted.outcome()), (Status::Ok, None), "{job:?}");
        let failed = boot(Vec::new());
        assert_eq!(failed.outcome(), Some(Outcome::BootFailed), "{job:?}");
        assert_eq!((failed.count(JobKind::CreateContainer), failed.count(job)), (0, 1), "{job:?}");
    }
}

#[test]
fn what_an_adopted_app_does_not_need_is_cancelled_at_once() {
    let line = "image=registry.test/api:v1 port=8080 health=/health secrets=prod/api";
    let found = Event::ContainersFound(vec![survivor(&config(line))]);
    for job in [JobKind::FetchSecrets, JobKind::LoginRegistry, JobKind::ResolveDigest] {
        // It is not healthy for a while, so the boot goes on.
        let boot = || Sim::new(line).answer(JobKind::FindContainers, ms(400), found.clone()).sick(secs(0), true);
        let again = boot().fails(job, 20, ErrorClass::Transient, "no route").run(secs(60));
        let tried = boot().fails(job, 20, ErrorClass::Transient, "no route").run(ms(500)).count(job);
        assert_eq!((again.view().phase, again.count(job)), (PhaseName::Boot, tried), "{job:?}: {}", again.trace());
        assert!(boot().never(job).run(ms(500)).trace().contains("> Cancel"), "{job:?}");
    }
}

#[test]
fn a_container_of_another_config_is_removed_before_the_new_one_is_created() {
    let found = survivor(&config("image=registry.test/api:v0 port=8080 health=/health"));
    let life = Sim::new(LINE).answer(JobKind::FindContainers, ms(5), Event::ContainersFound(vec![found])).run(secs(10));
    assert_eq!(life.view().status, Status::Ok);
    let order: Vec<JobKind> = life
        .ordered
        .iter()
        .copied()
        .filter(|job| matches!(job, JobKind::RemoveContainer | JobKind::CreateContainer))
        .collect();
    assert_eq!(order, [JobKind::RemoveContainer, JobKind::CreateContainer]);
}

#[test]
fn a_container_that_does_not_run_is_not_adopted() {
    let mut found = survivor(&config(LINE));
    found.running = None;
    let life = Sim::new(LINE).answer(JobKind::FindContainers, ms(5), Event::ContainersFound(vec![found])).run(secs(10));
    assert_eq!((life.count(JobKind::RemoveContainer), life.count(JobKind::StartContainer)), (1, 1));
}

#[test]
fn a_create_whose_answer_was_lost_is_looked_for_before_it_is_tried_again() {
    let life =
        Sim::new(LINE).fails(JobKind::CreateContainer, 1, ErrorClass::Transient, "the name is in use").run(secs(10));
    assert_eq!((life.view().status, life.count(JobKind::FindContainers)), (Status::Ok, 2));
}

#[test]
fn a_create_that_waits_for_a_slow_engine_does_not_spin() {
    let life = Sim::new(LINE)
        .answer(JobKind::FindContainers, ms(5), Event::ContainersFound(Vec::new()))
        .fails(JobKind::CreateContainer, 1, ErrorClass::Transient, "the engine is away")
        .answer(JobKind::FindContainers, secs(20), Event::ContainersFound(Vec::new()))
        .run(secs(60));
    assert_eq!(life.view().status, Status::Ok);
    assert!(life.wakes < 100, "woken {} times in a minute", life.wakes);
}

#[test]
fn an_app_that_exits_while_starting_is_started_again_with_backoff() {
    let life = Sim::new(LINE)
        .answer(JobKind::ProbeApp, ms(50), refused())
        .answer(JobKind::WatchContainer, ms(20), exited(3))
        .run(secs(30));
    assert_eq!((life.view().status, life.view().restarts, life.count(JobKind::StartContainer)), (Status::Ok, 1, 2));
}

#[test]
fn an_app_that_keeps_exiting_fails_the_boot_past_the_limit() {
    let mut life = Sim::new("image=r.test/a:1 port=80 restart.limit=2 restart.backoff=1s");
    for _ in 0..3 {
        life = life.answer(JobKind::WatchContainer, ms(0), exited(1));
    }
    let life = life.fails_probing(100).run(secs(60));
    assert_eq!((life.outcome(), life.count(JobKind::StartContainer)), (Some(Outcome::BootFailed), 3));
}

#[test]
fn an_app_that_never_gets_healthy_fails_the_boot_after_its_start_timeout() {
    let line = "image=r.test/a:1 port=80 probe.start_timeout=3s";
    let life = Sim::new(line).fails_probing(1000).run(secs(60));
    assert_eq!(life.outcome(), Some(Outcome::BootFailed));
    assert!(life.trace().contains("not healthy within 3s"), "{}", life.trace());
    assert_eq!(life.count(JobKind::StopContainer), 1);
}

#[test]
fn a_boot_ends_with_its_timeout_whatever_hangs() {
    for job in [
        JobKind::Identify,
        JobKind::ReadConfig,
        JobKind::FetchSecrets,
        JobKind::PingEngine,
        JobKind::PullImage,
        JobKind::CheckPaths,
        JobKind::CreateContainer,
    ] {
        let life =
            Sim::new("image=r.test/a:1 port=80 secrets=s boot.timeout=20s after=/mnt/data").never(job).run(secs(1000));
        assert_eq!(life.outcome(), Some(Outcome::BootFailed), "{job:?} hangs");
    }
}

#[test]
fn a_failed_boot_can_be_held_with_heartbeats_until_a_signal() {
    let line = "image=r.test/a:1 port=80 boot.on_failure=hold";
    let life = Sim::new(line)
        .fails(JobKind::PullImage, 1, ErrorClass::Broken, "manifest unknown")
        .run(Duration::from_secs(3000));
    assert_eq!((life.view().phase, life.view().status), (PhaseName::Hold, Status::Failed));
    assert!(life.view().lifecycle.heartbeats >= 9, "{} heartbeats in 3000 s", life.view().lifecycle.heartbeats);
    assert!(life.completions.is_empty());
}

#[test]
fn a_held_boot_keeps_its_hook_from_running_out_however_rarely_the_metadata_are_polled() {
    let life = Sim::new(&format!("{LINE} boot.on_failure=hold lifecycle.poll=1h"))
        .answer(JobKind::FindGroup, ms(100), group(secs(60), "Pending:Wait"))
        .fails(JobKind::PullImage, 1, ErrorClass::Broken, "manifest unknown")
        .run(secs(600));
    assert_eq!(life.view().phase, PhaseName::Hold, "{}", life.trace());
    assert!(life.view().lifecycle.heartbeats >= 19, "{} in 600 s", life.view().lifecycle.heartbeats);
}

/// What people see of each step: how often it was tried, and how many waits are in it.
fn steps_of(life: &Sim) -> Vec<(String, u32, usize)> {
    life.view().steps.iter().map(|step| (step.name.word().to_owned(), step.attempts, step.waits.len())).collect()
}

#[test]
fn a_clean_cold_boot_counts_no_retry_and_no_wait() {
    let life = Sim::new("image=registry.test/api:v1 port=8080 secrets=prod/api").run(secs(10));
    let counted: Vec<_> =
        steps_of(&life).into_iter().filter(|(_, attempts, waits)| *attempts > 1 || *waits > 0).collect();
    assert_eq!(counted, [], "{:?}", life.view().steps);
    let of = |name: &str| life.view().steps.into_iter().find(|step| step.name.word() == name).unwrap();
    let (image, pull) = (of("image"), of("pull"));
    assert!(image.took_seconds.unwrap() < 0.01, "the look before the pull: {image:?}");
    assert!((2.0..2.1).contains(&pull.took_seconds.unwrap()), "the pull and the look after it: {pull:?}");
}

#[test]
fn several_strays_are_cleared_without_a_retry() {
    let stray = |id: &str| FoundContainer {
        id: ContainerId(id.to_owned()),
        name: format!("berth-{id}"),
        ..survivor(&config(LINE))
    };
    let found = Event::ContainersFound(vec![stray("one"), stray("two"), stray("three")]);
    let life = Sim::new(LINE).answer(JobKind::FindContainers, ms(5), found).run(secs(10));
    let clearing = life.view().steps.into_iter().find(|step| step.name.word() == "clearing").unwrap();
    assert_eq!((life.count(JobKind::RemoveContainer), clearing.attempts, clearing.waits.len()), (3, 1, 0));
    assert!(clearing.took_seconds.unwrap() > 0.85, "all three: {clearing:?}");
}

#[test]
fn what_another_step_made_necessary_again_is_no_retry_of_its_own() {
    let life = Sim::new(LINE)
        .fails(JobKind::PullImage, 1, ErrorClass::Expired, "the token has expired")
        .fails(JobKind::CreateContainer, 2, ErrorClass::Transient, "the name is in use")
        .run(secs(60));
    let tried = |name: &str| steps_of(&life).into_iter().find(|step| step.0 == name).map(|step| (step.1, step.2));
    assert_eq!(tried("login"), Some((1, 0)));
    assert_eq!(tried("containers"), Some((1, 0)));
    assert_eq!((tried("pull"), tried("create")), (Some((2, 1)), Some((3, 2))), "these are");
}

#[test]
fn an_image_that_is_not_there_after_its_pull_is_pulled_again() {
    let life = Sim::new(LINE)
        .answer(JobKind::InspectImage, ms(5), Event::ImageInspected(None))
        .answer(JobKind::InspectImage, ms(5), Event::ImageInspected(None))
        .run(secs(60));
    assert_eq!((life.view().status, life.count(JobKind::PullImage)), (Status::Ok, 2), "{}", life.trace());
    let lost = Sim::new(LINE)
        .answer(JobKind::InspectImage, ms(5), Event::ImageInspected(None))
        .fails(JobKind::InspectImage, 2, ErrorClass::Transient, "the engine is away")
        .run(secs(60));
    assert_eq!(lost.view().status, Status::Ok, "{}", lost.trace());
}
