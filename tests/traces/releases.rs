//! Releases: the next version takes the place of the one that serves, and goes back when it is bad.

use std::time::Duration;

use berth_core::clock::Uptime;
use berth_core::message::error::ErrorClass;
use berth_core::message::event::Event;
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::message::output::Unavailable;
use berth_core::message::release::{BoardState, Verdict};
use berth_core::release::NotedReleases;
use berth_core::view::{GateStage, PhaseName, Status};
use expect_test::expect;

use crate::documents::{Documents, Flaw};
use crate::drain::after;
use crate::sim::{Sim, failure, ms, secs, target};
use crate::targets::{WEB, moments};

/// A document, by the tag of its image.
pub(crate) type Document = fn(&str) -> String;

/// A document with this tag, whose traffic moves by target groups.
pub(crate) fn by_targets(tag: &str) -> String {
    format!(
        "image=registry.test/api:{tag} port=0:8080 health=/health target_groups={WEB} config=s3://bucket/web follow=15s \
         release.board=s3://bucket/board"
    )
}

/// The same, moved by `/ready`.
pub(crate) fn by_readiness(tag: &str) -> String {
    format!(
        "image=registry.test/api:{tag} port=8080 health=/health config=s3://bucket/web follow=15s release.board=s3://bucket/board"
    )
}

pub(crate) fn by_restart(tag: &str) -> String {
    format!("{} release.move=restart", by_readiness(tag))
}

/// An instance that serves v1, and after a minute and a half the document has v2.
pub(crate) fn good(document: Document) -> Sim {
    let (one, two) = (document("v1"), document("v2"));
    Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two)
}

pub(crate) fn tags(life: &Sim) -> Vec<String> {
    life.documents.tags().into_iter().collect()
}

pub(crate) fn verdicts(life: &Sim) -> Vec<(Verdict, &str)> {
    life.documents.verdicts.iter().map(|(_, verdict, reason)| (*verdict, reason.as_str())).collect()
}

#[test]
fn by_targets_the_new_container_is_in_before_the_old_one_leaves() {
    let life = good(by_targets).run(secs(300));
    expect![[r#"
        100.289  serve   ConfigRead api from registry.test/api:v2, release 2be772dcb1b6c108
        100.289  serve   > LoginRegistry
        100.369  serve   RegistryLoggedIn
        100.369  serve   > ResolveDigest registry.test/api:v2
        100.419  serve   DigestResolved sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
        100.419  serve   > InspectImage registry.test/api@sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
        100.424  serve   ImageInspected here
        100.424  serve   > ReadBoard 2be772dcb1b6c108
        100.444  serve   BoardRead 0 ok, 0 bad
        100.444  serve   > TakeLock 2be772dcb1b6c108
        100.464  serve   LockTaken 0
        100.464  serve   > ReadBoard 2be772dcb1b6c108
        100.484  serve   BoardRead 0 ok, 0 bad
        100.484  serve   > MeasureCapacity
        100.514  serve   CapacityMeasured memory ? available, ? used by the container; disk ? free, ? used by the image
        100.514  release > FindPorts
        100.519  release PortsFound 0 in use
        100.519  release > DescribeTargets web, 32 ports
        100.569  release TargetsDescribed 1 of 32 ports registered or draining
        100.569  release > CreateContainer api from registry.test/api@sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
        100.619  release ContainerCreated container2
        100.619  release > StartContainer container2
        100.819  release ContainerStarted container2 at 172.17.0.2
        100.819  release > WatchContainer container2
        110.839  release > MarkBegun 2be772dcb1b6c108
        110.859  release Marked
        110.859  release > ReadBoard 2be772dcb1b6c108
        110.879  release BoardRead 0 ok, 0 bad
        110.899  release > RegisterTarget web:25346
        110.959  release TargetRegistered
        117.164  release > DescribeTargets web:25346
        117.214  release TargetsDescribed 25346 is initial (Elb.InitialHealthChecking)
        120.484  release LockTaken 0
        124.168  release > DescribeTargets web:25346
        124.218  release TargetsDescribed 25346 is healthy
        124.218  release > DeregisterTarget web:21755
        124.278  release TargetDeregistered
        140.504  release LockTaken 0
        154.228  release > WipeSecrets
        154.228  release SecretsWiped
        154.228  release > DescribeTargets web:21755
        154.228  release > WriteVerdict ok for 2be772dcb1b6c108: it serves
        154.248  release VerdictWritten
        154.248  release > ReleaseLock 0
        154.268  release LockReleased
        154.278  release TargetsDescribed 21755 is draining (Target.DeregistrationInProgress)
        154.278  release > DescribeDelay web
        154.328  release DelayDescribed 300s
        156.236  release > Cancel 19
        156.236  release > RemoveContainer container1 within 30s
        156.536  release ContainerRemoved
    "#]].assert_eq(&after(&life, "api:v2"));
    assert_eq!(tags(&life), ["v2"]);
}

#[test]
fn by_readiness_the_new_container_proves_itself_before_ready_is_503() {
    let life = good(by_readiness).run(secs(300));
    expect![[r#"
        101.099  serve   ConfigRead api from registry.test/api:v2, release 2cc73000e3d1b191
        101.099  serve   > LoginRegistry
        101.179  serve   RegistryLoggedIn
        101.179  serve   > ResolveDigest registry.test/api:v2
        101.229  serve   DigestResolved sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
        101.229  serve   > InspectImage registry.test/api@sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
        101.234  serve   ImageInspected here
        101.234  serve   > ReadBoard 2cc73000e3d1b191
        101.254  serve   BoardRead 0 ok, 0 bad
        101.254  serve   > TakeLock 2cc73000e3d1b191
        101.274  serve   LockTaken 0
        101.274  serve   > ReadBoard 2cc73000e3d1b191
        101.294  serve   BoardRead 0 ok, 0 bad
        101.294  serve   > MeasureCapacity
        101.324  serve   CapacityMeasured memory ? available, ? used by the container; disk ? free, ? used by the image
        101.324  release > CreateContainer api from registry.test/api@sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
        101.374  release ContainerCreated container2
        101.374  release > StartContainer container2
        101.574  release ContainerStarted container2 at 172.17.0.2
        101.574  release > WatchContainer container2
        111.594  release > Cancel 113
        111.594  release > RemoveContainer container2 within 30s
        111.894  release ContainerRemoved
        111.894  release > CreateContainer api from registry.test/api@sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
        111.944  release ContainerCreated container3
        111.944  release > MarkBegun 2cc73000e3d1b191
        111.964  release Marked
        111.964  release > ReadBoard 2cc73000e3d1b191
        111.984  release BoardRead 0 ok, 0 bad
        121.294  release LockTaken 0
        134.012  release > Cancel 16
        134.012  release > StopContainer container1 within 30s, to start it again
        134.512  release ContainerStopped
        134.512  release > StartContainer container3
        134.712  release ContainerStarted container3 at 172.17.0.2
        134.712  release > WatchContainer container3
        141.314  release LockTaken 0
        161.334  release LockTaken 0
        164.732  release > WipeSecrets
        164.732  release > RemoveContainer container1 within 30s
        164.732  release SecretsWiped
        164.732  release > WriteVerdict ok for 2cc73000e3d1b191: it serves
        164.752  release VerdictWritten
        164.752  release > ReleaseLock 0
        164.772  release LockReleased
        165.032  release ContainerRemoved
    "#]].assert_eq(&after(&life, "api:v2"));
    assert_eq!(tags(&life), ["v2"]);
}

#[test]
fn by_restart_the_old_container_is_stopped_first() {
    let life = good(by_restart).run(secs(300));
    expect![[r#"
        101.099  serve   ConfigRead api from registry.test/api:v2, release 4c40bc504af38006
        101.099  serve   > LoginRegistry
        101.179  serve   RegistryLoggedIn
        101.179  serve   > ResolveDigest registry.test/api:v2
        101.229  serve   DigestResolved sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
        101.229  serve   > InspectImage registry.test/api@sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
        101.234  serve   ImageInspected here
        101.234  serve   > ReadBoard 4c40bc504af38006
        101.254  serve   BoardRead 0 ok, 0 bad
        101.254  serve   > TakeLock 4c40bc504af38006
        101.274  serve   LockTaken 0
        101.274  serve   > ReadBoard 4c40bc504af38006
        101.294  serve   BoardRead 0 ok, 0 bad
        101.294  release > CreateContainer api from registry.test/api@sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
        101.344  release ContainerCreated container2
        101.344  release > MarkBegun 4c40bc504af38006
        101.364  release Marked
        101.364  release > ReadBoard 4c40bc504af38006
        101.384  release BoardRead 0 ok, 0 bad
        101.404  release > Cancel 16
        101.404  release > StopContainer container1 within 30s, to start it again
        101.904  release ContainerStopped
        101.904  release > StartContainer container2
        102.104  release ContainerStarted container2 at 172.17.0.2
        102.104  release > WatchContainer container2
        121.294  release LockTaken 0
        132.124  release > WipeSecrets
        132.124  release > RemoveContainer container1 within 30s
        132.124  release SecretsWiped
        132.124  release > WriteVerdict ok for 4c40bc504af38006: it serves
        132.144  release VerdictWritten
        132.144  release > ReleaseLock 0
        132.164  release LockReleased
        132.424  release ContainerRemoved
    "#]].assert_eq(&after(&life, "api:v2"));
    assert_eq!(tags(&life), ["v2"]);
}

/// The same with a v2 that is no good.
pub(crate) fn flawed(document: Document, flaw: Flaw) -> Sim {
    good(document).with_documents(|documents| {
        documents.flaws.insert("v2".to_owned(), flaw);
    })
}

pub(crate) const DOCUMENTS: [Document; 3] = [by_targets, by_readiness, by_restart];

#[test]
fn a_version_that_fails_before_the_move_touches_nothing() {
    for document in [by_targets, by_readiness] {
        for flaw in [Flaw::Exits(secs(0)), Flaw::Exits(secs(4)), Flaw::NeverHealthy, Flaw::Sickens(secs(5))] {
            let life = flawed(document, flaw).run(secs(600));
            assert_eq!(tags(&life), ["v1"], "{flaw:?}");
            let verdicts = verdicts(&life);
            assert!(matches!(verdicts.as_slice(), [(Verdict::Ok, _), (Verdict::Bad, _)]), "{verdicts:?}");
            assert_eq!(life.count(JobKind::DeregisterTarget), 0);
            assert_eq!(life.view().status, Status::Ok);
            assert_eq!(life.view().phase, PhaseName::Serve);
            assert!(!life.view().probes.iter().any(|probe| probe.error.is_some()), "{flaw:?}");
            // It is not tried again.
            assert_eq!(life.count(JobKind::CreateContainer), 2, "{flaw:?}");
        }
    }
}

#[test]
fn within_the_bake_traffic_goes_back_to_the_container_that_still_runs() {
    let life = flawed(by_targets, Flaw::Sickens(secs(40))).run(secs(300));
    expect![[r#"
        124.278  release TargetDeregistered
        140.504  release LockTaken 0
        140.899  release ProbeFailed connection refused
        145.909  release ProbeFailed connection refused
        150.919  release ProbeFailed connection refused
        150.919  release > ReadOutput container2
        150.919  release > RegisterTarget web:21755
        150.924  release OutputRead 1 line
        150.979  release TargetRegistered
        155.929  release ProbeFailed connection refused
        158.371  release > DescribeTargets web:21755
        158.421  release TargetsDescribed 21755 is initial (Elb.InitialHealthChecking)
        160.524  release LockTaken 0
        160.939  release ProbeFailed connection refused
        161.555  release > DescribeTargets web:21755
        161.605  release TargetsDescribed 21755 is healthy
        161.605  release > DeregisterTarget web:25346
        161.605  release > WipeSecrets
        161.605  release SecretsWiped
        161.605  release > WriteVerdict bad for 2be772dcb1b6c108: connection refused
        161.625  release VerdictWritten
        161.625  release > ReleaseLock 0
        161.645  release LockReleased
        161.665  release TargetDeregistered
        181.665  release > DescribeTargets web:25346
        181.665  release > Cancel 292
        181.665  release > Cancel 120
        181.665  release > RemoveContainer container2 within 30s
        181.965  release ContainerRemoved
    "#]]
    .assert_eq(&after(&life, "TargetDeregistered"));
    assert_eq!(tags(&life), ["v1"]);
}

#[test]
fn within_the_bake_the_old_container_is_started_again() {
    for document in [by_readiness, by_restart] {
        let life = flawed(document, Flaw::Sickens(secs(12))).run(secs(600));
        assert_eq!(tags(&life), ["v1"]);
        assert_eq!(life.documents.containers.len(), 1, "{}", life.trace());
        assert!(matches!(verdicts(&life).as_slice(), [(Verdict::Ok, _), (Verdict::Bad, _)]), "{:?}", verdicts(&life));
        assert_eq!(life.view().status, Status::Ok);
        let gap = life.view().releases.unwrap().last.unwrap().gap_seconds.unwrap();
        assert!(gap < 3.0, "{gap}");
    }
}

/// A v2 that fails before the move, and one that fails in the bake.
const FAILURES: [(Document, &[Flaw]); 3] = [
    (by_targets, &[Flaw::Exits(secs(0)), Flaw::Exits(secs(4)), Flaw::NeverHealthy, Flaw::Sickens(secs(40))]),
    (by_readiness, &[Flaw::Exits(secs(0)), Flaw::Exits(secs(4)), Flaw::NeverHealthy, Flaw::Sickens(secs(12))]),
    (by_restart, &[Flaw::Exits(secs(0)), Flaw::Exits(secs(4)), Flaw::NeverHealthy, Flaw::Sickens(secs(12))]),
];

#[test]
fn a_bad_verdict_has_what_the_new_container_wrote_last() {
    for (document, flaws) in FAILURES {
        for flaw in flaws {
            let slowly = |documents: &mut Documents| documents.reading = secs(4);
            let life = flawed(document, *flaw).with_documents(slowly).run(secs(600));
            let outputs: Vec<_> = life.documents.outputs.iter().flatten().map(|output| output.lines.clone()).collect();
            assert_eq!(outputs, [["v2 wrote this"]], "{flaw:?}\n{}", life.trace());
            let last = life.view().releases.unwrap().last.unwrap();
            assert_eq!(last.output.unwrap().lines, ["v2 wrote this"]);
            // A container that is removed has no lines any more.
            let read = life.trace().find("OutputRead").expect("it was read");
            let removed = life.trace().rfind("> RemoveContainer").expect("it was removed");
            assert!(read < removed, "{flaw:?}\n{}", life.trace());
            assert_eq!((tags(&life), life.documents.containers.len()), (vec!["v1".to_owned()], 1), "{}", life.trace());
            assert_eq!(life.view().phase, PhaseName::Serve);
        }
    }
}

#[test]
fn the_last_lines_hold_no_traffic_up_and_are_not_waited_for_for_ever() {
    for (document, flaws) in FAILURES {
        for flaw in flaws {
            let back = |reading| {
                let life = flawed(document, *flaw).with_documents(|documents| documents.reading = reading);
                let life = life.run(secs(600));
                // The start of the old container, or its registration.
                let moves = life.trace().lines().filter(|line| {
                    line.contains("> StartContainer container1") || line.contains("> RegisterTarget web:21755")
                });
                (moves.map(str::to_owned).collect::<Vec<_>>(), life)
            };
            let ((at_once, quick), (while_it_is_read, late)) = (back(secs(0)), back(secs(500)));
            assert_eq!(at_once, while_it_is_read, "{flaw:?}\n{}", late.trace());
            assert_eq!(verdicts(&late), verdicts(&quick), "{flaw:?}\n{}", late.trace());
            let output = late.documents.outputs.iter().flatten().next().expect("why there are none");
            assert_eq!(output.unavailable, Some(Unavailable::EngineFailed), "{flaw:?}\n{}", late.trace());
        }
    }
}

#[test]
fn a_notice_waits_for_no_last_lines_and_the_verdict_is_written() {
    for (document, at) in [(by_targets as Document, 102), (by_readiness, 103)] {
        let slowly = |documents: &mut Documents| documents.reading = secs(4);
        let life = flawed(document, Flaw::Exits(secs(0))).with_documents(slowly);
        let life = life.sees_at(secs(at), target(TargetState::Terminated)).run(secs(500));
        assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
        let bad = verdicts(&life).iter().filter(|(verdict, _)| *verdict == Verdict::Bad).count();
        assert_eq!((bad, life.documents.outputs.iter().flatten().count()), (1, 0), "{}", life.trace());
        assert_eq!(tags(&life), [""; 0]);
    }
}

#[test]
fn a_creation_whose_answer_is_lost_is_no_bad_release() {
    // By readiness the new container is created twice: to prove itself, and to serve.
    for (document, created) in [(by_targets as Document, 2), (by_readiness, 2), (by_readiness, 3), (by_restart, 2)] {
        let lost = |documents: &mut Documents| documents.lost = [created].into();
        let life = good(document).with_documents(lost).run(secs(600));
        assert_eq!(tags(&life), ["v2"], "{created}\n{}", life.trace());
        assert!(verdicts(&life).iter().all(|(verdict, _)| *verdict == Verdict::Ok), "{:?}", verdicts(&life));
        assert_eq!(life.documents.containers.len(), 1, "{created}\n{}", life.trace());
        // The boot has looked as well.
        assert_eq!(life.count(JobKind::FindContainers), 2, "{created}\n{}", life.trace());
    }
}

/// The next agent, after this one was killed at that time.
pub(crate) fn killed(life: Sim, at: Duration, line: &str) -> Sim {
    let (documents, balancer) = (life.documents.clone(), life.balancer.clone());
    Sim::new(line)
        .knowing(life.noted(), Duration::ZERO)
        .continuing(life.noted_releases())
        .balancing(|next| *next = balancer.after(at))
        .with_documents(|next| *next = documents.after(at))
}

#[test]
fn killed_at_any_moment_of_a_release_the_next_agent_has_one_container_of_the_right_version() {
    for (document, n) in DOCUMENTS.into_iter().zip(1..) {
        // A while after the move.
        let bad_soon = Flaw::Sickens(secs(if n == 1 { 35 } else { 15 }));
        for flaw in [None, Some(Flaw::NeverHealthy), Some(bad_soon)] {
            let life = || flaw.map_or_else(|| good(document), |flaw| flawed(document, flaw));
            let undisturbed = life().run(secs(200));
            // Right after each moment at which something was ordered.
            for at in moments(&undisturbed, "> ").into_iter().filter(|at| *at > 95.0) {
                for at in [at + 0.001].map(Duration::from_secs_f64) {
                    let before = life().run(at);
                    let next = killed(before, at, &document("v1")).run(secs(260));
                    let trace = || format!("document {n}, {flaw:?}, killed at {at:?}\n{}", next.trace());
                    assert_eq!(tags(&next), [if flaw.is_some() { "v1" } else { "v2" }], "{}", trace());
                    assert_eq!(next.documents.containers.len(), 1, "{}", trace());
                    assert_eq!(next.view().phase, PhaseName::Serve, "{}", trace());
                    // Traffic that goes back goes to the same container on its port.
                    let goes_back = flaw == Some(bad_soon);
                    assert!(goes_back || next.balancer.too_early.is_empty(), "{}", trace());
                    let bad = verdicts(&next).iter().filter(|(verdict, _)| *verdict == Verdict::Bad).count();
                    assert_eq!(bad, usize::from(flaw.is_some()), "{}", trace());
                }
            }
        }
    }
}

#[test]
fn a_notice_at_any_moment_of_a_release_stops_both_containers() {
    for document in DOCUMENTS {
        let undisturbed = good(document).run(secs(200));
        for at in moments(&undisturbed, "> ").into_iter().filter(|at| *at > 95.0) {
            let at = Duration::from_secs_f64(at + 0.002);
            let life = good(document).sees_at(at, target(TargetState::Terminated)).run(at + secs(400));
            assert_eq!(life.outcome(), Some(Outcome::Done), "{at:?}\n{}", life.trace());
            assert_eq!(tags(&life), [""; 0], "{at:?}\n{}", life.trace());
            // The lock does not stay for its lease.
            let is_held = life.trace().contains("LockTaken");
            assert_eq!(is_held, life.count(JobKind::ReleaseLock) > 0, "{at:?}\n{}", life.trace());
        }
    }
}

#[test]
fn without_the_lock_no_traffic_moves() {
    let slowly: [Document; 2] =
        [|tag| by_targets(tag) + " release.healthy_for=60s", |tag| by_readiness(tag) + " release.healthy_for=60s"];
    for document in slowly {
        // It is lost while the new container proves itself.
        let lost = |documents: &mut Documents| documents.busy_until = Uptime(secs(400));
        let life = good(document).run(secs(105)).with_documents(lost).run(secs(380));
        assert_eq!(life.documents.containers.len(), 1, "{}", life.trace());
        assert_eq!(tags(&life), ["v1"], "{}", life.trace());
        assert_eq!(life.count(JobKind::DeregisterTarget), 0);
        let late = life.run(secs(700));
        assert_eq!(tags(&late), ["v2"], "{}", late.trace());
    }
}

#[test]
fn a_release_that_is_stopped_does_not_begin_until_it_is_resumed() {
    let two = Documents::id(&by_targets("v2"));
    for state in [
        BoardState { is_halted: true, ..BoardState::default() },
        BoardState { bad: 1, ..BoardState::default() },
        BoardState { unsettled: 2, ..BoardState::default() },
    ] {
        let stopped = |documents: &mut Documents| documents.stop(two.clone(), state.clone());
        let life = good(by_targets).with_documents(stopped).run(secs(300));
        assert_eq!(tags(&life), ["v1"], "{}", life.trace());
        assert_eq!(life.count(JobKind::TakeLock), 0);
        let next = life.view().releases.unwrap().next.unwrap();
        assert_eq!(next.waits_for, GateStage::Stopped);
        let resumed = |documents: &mut Documents| {
            documents.stop(two.clone(), BoardState { pardoned: 9, ..BoardState::default() })
        };
        let life = life.with_documents(resumed).run(secs(600));
        assert_eq!(tags(&life), ["v2"], "{}", life.trace());
    }
}

#[test]
fn a_release_that_is_stopped_while_it_prepares_moves_no_traffic() {
    let two = Documents::id(&by_targets("v2"));
    let halted = |documents: &mut Documents| {
        documents.stop(two.clone(), BoardState { is_halted: true, ..BoardState::default() })
    };
    let life = good(by_targets).run(secs(105)).with_documents(halted).run(secs(300));
    assert_eq!(tags(&life), ["v1"], "{}", life.trace());
    assert_eq!(life.count(JobKind::RegisterTarget), 1);
    assert_eq!(life.count(JobKind::TakeBackMark), 1, "{}", life.trace());
    assert_eq!(life.documents.containers.len(), 1);
}

#[test]
fn a_document_that_goes_back_takes_the_release_back() {
    for document in DOCUMENTS {
        let (one, two) = (document("v1"), document("v2"));
        for at in (100..200).step_by(3) {
            let life = Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two).publishes(secs(at), &one);
            let life = life.run(secs(500));
            assert_eq!(tags(&life), ["v1"], "{at}\n{}", life.trace());
            assert_eq!(life.documents.containers.len(), 1, "{at}\n{}", life.trace());
            assert!(verdicts(&life).iter().all(|(verdict, _)| *verdict == Verdict::Ok), "{at}: {:?}", verdicts(&life));
            assert_eq!(life.view().phase, PhaseName::Serve, "{at}");
        }
    }
}

#[test]
fn the_next_release_asks_for_the_lock_when_this_one_has_given_it_back() {
    for document in DOCUMENTS {
        let three = document("v3");
        for at in [103, 120, 140, 156] {
            let life = good(document).publishes(secs(at), &three).run(secs(500));
            assert_eq!(tags(&life), ["v3"], "{at}\n{}", life.trace());
            let mut held = 0;
            for line in life.trace().lines() {
                held += i32::from(line.contains("> TakeLock")) - i32::from(line.contains("> ReleaseLock"));
                assert!((0..=1).contains(&held), "{at}: {line}\n{}", life.trace());
            }
        }
    }
}

#[test]
fn an_instance_waits_for_its_wave_and_a_rollback_for_none() {
    let begins = |waves: &str, is_rollback: bool| {
        let (one, two) = (by_targets("v1"), format!("{} release.waves={waves}", by_targets("v2")));
        let life = Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two);
        let life = life.with_documents(|documents| documents.is_rollback = is_rollback).run(secs(400));
        moments(&life, "> TakeLock")[0]
    };
    assert!((90.0..107.0).contains(&begins("100%@0s", false)));
    // By the age of the document, not by when it was read.
    assert!((153.0..154.0).contains(&begins("1%@0s,100%@63s", false)), "{}", begins("1%@0s,100%@63s", false));
    assert!((90.0..107.0).contains(&begins("1%@0s,100%@63s", true)));
}

#[test]
fn the_mark_of_a_move_in_which_the_agent_was_killed_is_not_taken_back() {
    let (two, three) = (by_readiness("v2"), by_readiness("v3"));
    let begun = |life: &Sim| life.documents.begun.contains(&Documents::id(&two));
    // The next release is published while load balancers let go.
    let undisturbed = good(by_readiness).publishes(secs(118), &three).run(secs(150));
    assert!(undisturbed.count(JobKind::TakeBackMark) == 1 && !begun(&undisturbed), "{}", undisturbed.trace());
    let stopped = moments(&good(by_readiness).run(secs(200)), "> StopContainer")[0];
    let at = Duration::from_secs_f64(stopped + 0.001);
    let killed = killed(good(by_readiness).run(at), at, &by_readiness("v1")).publishes(secs(20), &three).run(secs(36));
    let has_abandoned = killed.count(JobKind::MarkBegun) == 1 && killed.count(JobKind::ReleaseLock) == 1;
    assert!(has_abandoned && begun(&killed), "{}", killed.trace());
    assert_eq!(killed.count(JobKind::TakeBackMark), 0, "{}", killed.trace());
}

#[test]
fn a_booting_instance_takes_the_newest_release_that_is_proven() {
    let ids = ["v1", "v2", "v3"].map(|tag| Documents::id(&by_targets(tag)));
    // At last the document is v3, or a rollback went back to v2 from it.
    let boots = |is_rollback: bool, ok: &[usize], bad: &[usize]| {
        let mut life = Sim::new(&by_targets("v3"));
        for tag in if is_rollback { ["v1", "v3", "v2"] } else { ["v1", "v2", "v3"] } {
            life = life.publishes(secs(0), &by_targets(tag));
        }
        let life = life.with_documents(|documents| {
            documents.is_rollback = is_rollback;
            documents.fled = Some(ids[2].clone());
            documents.previous.insert(ids[2].clone(), ids[1].clone());
            documents.previous.insert(ids[1].clone(), ids[0].clone());
            for (n, id) in ids.iter().enumerate() {
                let state =
                    BoardState { ok: ok.contains(&n).into(), bad: bad.contains(&n).into(), ..BoardState::default() };
                documents.board.insert(id.clone(), state);
            }
        });
        tags(&life.run(secs(12)))
    };
    let boot = |ok: &[usize], bad: &[usize]| boots(false, ok, bad);
    assert_eq!(boot(&[0, 1, 2], &[]), ["v3"]);
    assert_eq!(boot(&[0, 1], &[]), ["v2"], "nobody serves v3 yet");
    assert_eq!(boot(&[0, 1, 2], &[2]), ["v2"], "v3 is stopped");
    assert_eq!(boot(&[0], &[1]), ["v1"]);
    assert_eq!(boot(&[], &[]), ["v3"], "there is nothing better");
    let boot = |ok: &[usize], bad: &[usize]| boots(true, ok, bad);
    assert_eq!(boot(&[0, 1, 2], &[]), ["v2"]);
    assert_eq!(boot(&[0, 1, 2], &[1]), ["v1"], "v2 is stopped by now, and v3 is what the operator goes back from");
    assert_eq!(boot(&[2], &[1]), ["v1"], "v2 is stopped, and v1 is not");
    assert_eq!(boot(&[2], &[0, 1]), ["v2"], "there is nothing better");
}

/// An agent on an instance that ran v0, whose document is lost, and on which these failed; the document has v3. Without a board each
/// release is read from what is kept here.
fn again(document: fn(&str) -> String, failed: &[&str], lost: &[&str]) -> Vec<String> {
    let id = |tag: &str| Documents::id(&document(tag));
    let noted = NotedReleases {
        instance_id: "i-0123456789abcdef0".to_owned(),
        serving: id("v0"),
        container: None,
        failed: failed.iter().map(|tag| id(tag)).collect(),
        pulled: Vec::new(),
        before: None,
    };
    let mut life = Sim::new(&document("v3")).continuing(Some(noted));
    for tag in ["v0", "v1", "v2", "v3"] {
        life = life.publishes(secs(0), &document(tag));
    }
    let life = life.with_documents(|documents| {
        documents.missing = lost.iter().chain(&["v0"]).map(|tag| id(tag)).collect();
        for (next, before) in [("v3", "v2"), ("v2", "v1"), ("v1", "v0")] {
            documents.previous.insert(id(next), id(before));
        }
        // The verdict of this instance is not written yet.
        documents.board.insert(id("v3"), BoardState { ok: 1, ..BoardState::default() });
    });
    tags(&life.run(secs(12)))
}

#[test]
fn what_failed_here_is_not_booted_while_there_is_something_else() {
    let alone: fn(&str) -> String = |tag| by_targets(tag).replace(" release.board=s3://bucket/board", "");
    for document in [by_targets, alone] {
        assert_eq!(again(document, &[], &[]), ["v3"]);
        assert_eq!(again(document, &["v3"], &[]), ["v2"], "it failed here, though others serve it");
        assert_eq!(again(document, &["v3", "v2"], &[]), ["v1"]);
        assert_eq!(again(document, &["v3"], &["v2"]), ["v3"], "there is nothing else");
        assert_eq!(again(document, &["v3"], &["v1"]), ["v2"], "what comes before it is lost");
        assert_eq!(again(document, &["v3", "v2", "v1"], &[]), ["v3"], "there is nothing better");
    }
}

#[test]
fn following_costs_one_call_a_period_and_none_without_it() {
    let calls =
        [JobKind::FollowConfig, JobKind::ReadBoard, JobKind::TakeLock, JobKind::DescribeTargets, JobKind::ReadRelease];
    let hour = |line: &str| {
        let at = |limit| {
            let life = Sim::new(line).publishes(secs(0), line).run(limit);
            calls.map(|job| life.count(job))
        };
        let (before, after) = (at(secs(600)), at(secs(4200)));
        std::array::from_fn::<_, 5, _>(|n| after[n] - before[n])
    };
    let [follow, rest @ ..] = hour(&by_targets("v1"));
    assert!((240..=300).contains(&follow), "{follow} of 3600 / 15");
    assert_eq!(rest, [0; 4]);
    assert_eq!(
        hour(&format!(
            "image=registry.test/api:v1 port=0:8080 health=/health target_groups={WEB} config=s3://bucket/web"
        )),
        [0; 5]
    );
}

#[test]
fn in_the_bake_of_an_old_container_that_is_gone_nothing_goes_back_and_nothing_spins() {
    let life = flawed(by_targets, Flaw::Sickens(secs(40))).with_documents(|documents| {
        documents.flaws.insert("v1".to_owned(), Flaw::Exits(secs(130)));
    });
    let life = life.run(secs(170));
    assert!(life.wakes < 1_500, "{}", life.wakes);
    assert_eq!(tags(&life), ["v2"], "{}", life.trace());
    assert!(matches!(verdicts(&life).as_slice(), [(Verdict::Ok, _), (Verdict::Bad, _)]), "{:?}", verdicts(&life));
}

#[test]
fn on_the_way_back_a_new_container_that_keeps_exiting_costs_no_instance() {
    // It exits in the bake and at every start after that, and the load balancer takes its time with the old one.
    let life = flawed(by_targets, Flaw::Exits(secs(30)))
        .with_documents(|documents| {
            documents.flaws.insert("v2".to_owned(), Flaw::Exits(secs(24)));
        })
        .balancing(|balancer| balancer.healthy_after = Some(secs(8)));
    let life = life.run(secs(130)).balancing(|balancer| balancer.healthy_after = Some(secs(100)));
    let life = life.run(secs(600));
    assert_eq!(tags(&life), ["v1"], "{}", life.trace());
    assert_eq!(life.view().phase, PhaseName::Serve, "{}", life.trace());
}

#[test]
fn while_traffic_goes_back_nothing_calls_the_release_good() {
    // It exits in the bake and serves after that for longer than a release that was booted has to, until the old one is in.
    let life = flawed(by_targets, Flaw::Exits(secs(45))).run(secs(140));
    let life = life.balancing(|balancer| balancer.healthy_after = Some(secs(60))).run(secs(600));
    assert_eq!(tags(&life), ["v1"], "{}", life.trace());
    assert!(matches!(verdicts(&life).as_slice(), [(Verdict::Ok, _), (Verdict::Bad, _)]), "{:?}", verdicts(&life));
}

#[test]
fn a_release_that_went_back_in_its_bake_is_not_released_over_itself() {
    for document in [by_targets, by_readiness] {
        let (one, two) = (document("v1"), document("v2"));
        let life = Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two).publishes(secs(138), &one);
        let life = life.run(secs(600));
        assert_eq!(tags(&life), ["v1"]);
        let tags = life.documents.containers.values().map(|one| one.creation.config.image.tag.clone());
        assert_eq!(tags.count(), 1);
        let back = life.view().releases.unwrap();
        assert_eq!(back.next, None, "{}", life.trace());
        assert_eq!(life.count(JobKind::TakeLock), 1, "{}", life.trace());
    }
}

#[test]
fn a_document_that_is_invalid_at_a_restart_takes_nothing_out_of_service() {
    for class in [ErrorClass::Misconfigured, ErrorClass::Denied] {
        let before = good(by_targets).run(secs(60));
        let next = killed(before, secs(60), &by_targets("v1"));
        let next =
            next.answer(JobKind::ReadConfig, ms(10), failure(JobKind::ReadConfig, class, "no config")).run(secs(20));
        assert_eq!(next.view().phase, PhaseName::Serve, "{}", next.trace());
        assert_eq!((tags(&next), next.count(JobKind::DeregisterTarget)), (vec!["v1".to_owned()], 0));
        // Without a note of a container that serves it fails the boot, as ever.
        let fresh = Sim::new(&by_targets("v1")).publishes(secs(0), &by_targets("v1"));
        let fresh =
            fresh.answer(JobKind::ReadConfig, ms(10), failure(JobKind::ReadConfig, class, "no config")).run(secs(200));
        assert!(fresh.outcome().is_some_and(|outcome| outcome != Outcome::Done), "{}", fresh.trace());
    }
}

#[test]
fn many_releases_push_the_boot_out_of_no_history() {
    let mut life = Sim::new(&by_targets("v0"));
    for n in 0..40 {
        life = life.publishes(secs(n * 150), &by_targets(&format!("v{n}")));
    }
    let life = life.run(secs(40 * 150));
    let view = life.view();
    assert!(view.releases.as_ref().is_some_and(|releases| releases.succeeded > 30), "{:?}", view.releases);
    let names: Vec<_> = view.phases.iter().map(|phase| phase.name).collect();
    assert_eq!(names[..3], [PhaseName::Boot, PhaseName::Serve, PhaseName::Release]);
    assert!(names.len() <= 50 && view.phases.is_sorted_by(|one, next| one.began_seconds <= next.began_seconds));
    assert!(names.windows(2).all(|two| two[0] != two[1]), "{names:?}");
}

#[test]
fn rotated_secrets_replace_the_container_as_a_release_does() {
    let line = by_targets("v1") + " secrets=prod/api secrets_refresh=60s";
    let rotated = Event::SecretsChecked { changed: true };
    let life = Sim::new(&line).publishes(secs(0), &line).answer(JobKind::CheckSecrets, ms(50), rotated).run(secs(200));
    assert_eq!(life.count(JobKind::CreateContainer), 2, "{}", life.trace());
    assert_eq!((life.count(JobKind::RegisterTarget), life.count(JobKind::DeregisterTarget)), (2, 1));
    assert_eq!((tags(&life), life.documents.containers.len()), (vec!["v1".to_owned()], 1), "{}", life.trace());
    assert_eq!((life.view().phase, life.view().restarts), (PhaseName::Serve, 0));
}
