//! Releases with errors of the engine, of the load balancer and of the agent itself: a good one stays good, and what serves goes on serving.

use std::time::Duration;

use crate::documents::{Documents, Flaw};
use crate::releases::{by_readiness, by_restart, by_targets, good, killed, tags, verdicts};
use crate::sim::{Sim, ms, secs, target};
use crate::targets::moments;
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::event::Event;
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::release::Verdict;
use berth_core::view::Status;

fn bad(life: &Sim) -> usize {
    verdicts(life).iter().filter(|(verdict, _)| *verdict == Verdict::Bad).count()
}

/// In the bake of v2.
fn in_bake(document: fn(&str) -> String) -> (Sim, Duration) {
    let begun =
        moments(&good(document).run(secs(300)), "> WriteVerdict ok for").into_iter().find(|at| *at > 100.0).unwrap();
    let at = Duration::from_secs_f64(begun - 20.0);
    let life = good(document).run(at);
    assert!(life.noted_releases().unwrap().before.is_some(), "{}", life.trace());
    (life, at)
}

#[test]
fn on_the_way_back_a_slow_load_balancer_gives_no_instance_up() {
    let life = good(by_targets).with_documents(|documents| {
        documents.flaws.insert("v2".to_owned(), Flaw::Sickens(secs(35)));
    });
    let life = life.run(secs(128)).balancing(|balancer| balancer.healthy_after = Some(secs(400))).run(secs(2000));
    assert_eq!((life.outcome(), tags(&life)), (None, vec!["v1".to_owned()]), "{}", life.trace());
}

#[test]
fn after_a_resumed_bake_a_slow_load_balancer_gives_no_instance_up() {
    let (before, at) = in_bake(by_targets);
    let life = killed(before, at, &by_targets("v2"));
    let life = life.with_documents(|documents| {
        documents.flaws.insert("v2".to_owned(), Flaw::Sickens(secs(5)));
    });
    let life = life.run(secs(3)).balancing(|balancer| balancer.healthy_after = Some(secs(400))).run(secs(2000));
    assert_eq!((life.outcome(), tags(&life)), (None, vec!["v1".to_owned()]), "{}", life.trace());
}

#[test]
fn killed_while_the_old_target_leaves_the_new_container_of_rotated_secrets_goes_on() {
    let line = format!(
        "image=registry.test/api:v1 port=0:8080 health=/health target_groups={} secrets=prod/api secrets_refresh=60s",
        crate::targets::WEB
    );
    let life = || {
        Sim::new(&line).publishes(secs(0), &line).answer(
            JobKind::CheckSecrets,
            ms(50),
            Event::SecretsChecked { changed: true },
        )
    };
    let left = moments(&life().run(secs(100)), "> DeregisterTarget")[0];
    let at = Duration::from_secs_f64(left + 0.001);
    let next = killed(life().run(at), at, &line).run(secs(900));
    assert_eq!((next.outcome(), tags(&next)), (None, vec!["v1".to_owned()]), "{}", next.trace());
}

#[test]
fn a_blip_right_after_a_restart_in_the_bake_is_no_bad_release() {
    for document in [by_targets, by_readiness] {
        let (before, at) = in_bake(document);
        let life = killed(before, at, &document("v2")).fails_probing(4).run(secs(300));
        assert_eq!((tags(&life), bad(&life)), (vec!["v2".to_owned()], 0), "{}", life.trace());
    }
}

#[test]
fn a_start_that_takes_its_time_after_a_restart_in_the_bake_is_no_bad_release() {
    for document in [by_targets, by_readiness] {
        let (before, at) = in_bake(document);
        // The engine was restarted as well.
        let life = killed(before, at, &document("v2")).with_documents(|documents| {
            documents.containers.values_mut().for_each(|one| one.started = None);
        });
        let life = life.fails_probing(10).run(secs(300));
        assert_eq!((tags(&life), bad(&life)), (vec!["v2".to_owned()], 0), "{}", life.trace());
    }
}

#[test]
fn a_stray_that_cannot_be_removed_is_no_bad_release() {
    let (before, at) = in_bake(by_readiness);
    let life = killed(before, at, &by_readiness("v2"));
    let life = life.fails(JobKind::RemoveContainer, 1000, ErrorClass::Transient, "the engine is busy").run(secs(1500));
    assert_eq!(
        (life.outcome(), tags(&life), bad(&life)),
        (None, vec!["v2".to_owned()], 0),
        "{:?}\n{}",
        verdicts(&life),
        life.trace()
    );
}

#[test]
fn an_engine_that_does_not_start_the_new_container_at_once_is_no_bad_release() {
    for document in [by_targets, by_readiness, by_restart] {
        let life =
            good(document).run(secs(95)).fails(JobKind::StartContainer, 1, ErrorClass::Transient, "the engine is away");
        let life = life.run(secs(600));
        assert_eq!((tags(&life), bad(&life)), (vec!["v2".to_owned()], 0), "{:?}\n{}", verdicts(&life), life.trace());
    }
}

#[test]
fn nor_is_it_after_a_restart_in_the_bake() {
    for document in [by_targets, by_readiness, by_restart] {
        let (before, at) = in_bake(document);
        let life = killed(before, at, &document("v2")).with_documents(|documents| {
            documents.containers.values_mut().for_each(|one| one.started = None);
        });
        let life = life.fails(JobKind::StartContainer, 1, ErrorClass::Transient, "the engine is away").run(secs(600));
        assert_eq!((tags(&life), bad(&life)), (vec!["v2".to_owned()], 0), "{:?}\n{}", verdicts(&life), life.trace());
    }
}

#[test]
fn a_release_that_is_prepared_while_the_one_before_goes_back_is_not_bad() {
    let (before, at) = in_bake(by_targets);
    let three = by_targets("v3");
    let life = killed(before, at, &by_targets("v2")).publishes(secs(1), &three);
    let looked = moments(&life.run(secs(60)), "> ResolveDigest").into_iter().next().unwrap();
    let (before, at) = in_bake(by_targets);
    let life = killed(before, at, &by_targets("v2")).publishes(secs(1), &three);
    // The app exits while the digest is being asked for.
    let life = life.at(Duration::from_secs_f64(looked + 0.01), crate::sim::exited(1));
    let life = life.run(secs(3000));
    assert!(
        !verdicts(&life).iter().any(|(verdict, reason)| *verdict == Verdict::Bad && reason.contains("1800")),
        "{:?}\n{}",
        verdicts(&life),
        life.trace()
    );
    assert_eq!(tags(&life), ["v3"], "{}", life.trace());
}

#[test]
fn no_image_is_pulled_without_the_login_that_was_wiped() {
    let three = by_readiness("v3");
    let life = good(by_readiness).with_documents(|documents| {
        documents.images = Some(Vec::new());
        documents.flaws.insert("v2".to_owned(), Flaw::Sickens(secs(18)));
    });
    let life = life.publishes(secs(140), &three).run(secs(142));
    let life = life.fails(JobKind::PullImage, 8, ErrorClass::Transient, "the registry is busy").run(secs(400));
    let mut has_login = false;
    for line in life.trace().lines() {
        has_login |= line.contains("RegistryLoggedIn");
        has_login &= !line.contains("> WipeSecrets");
        assert!(has_login || !line.contains("> PullImage"), "{line}\n{}", life.trace());
    }
}

#[test]
fn a_notice_right_after_a_boot_of_what_served_before_stops_both_containers() {
    let life = || {
        let (before, at) = in_bake(by_targets);
        killed(before, at, &by_targets("v2")).with_documents(|documents| {
            documents.flaws.insert("v2".to_owned(), Flaw::Sickens(secs(10)));
        })
    };
    let back = moments(&life().run(secs(60)), "> Identify")[1];
    let life = life().sees_at(Duration::from_secs_f64(back + 0.005), target(TargetState::Terminated)).run(secs(600));
    assert!(tags(&life).is_empty(), "{:?}\n{}", tags(&life), life.trace());
}

#[test]
fn a_document_that_goes_back_and_forth_is_followed_to_its_end() {
    for (document, again) in [(by_targets as fn(&str) -> String, 157), (by_readiness, 157)] {
        let (one, two) = (document("v1"), document("v2"));
        let life = Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two).publishes(secs(138), &one);
        let life = life.balancing(|balancer| balancer.healthy_after = Some(secs(8)));
        let life = life.run(secs(140)).balancing(|balancer| balancer.healthy_after = Some(secs(60)));
        let life = life.publishes(secs(again), &two).run(secs(1500));
        assert_eq!(tags(&life), ["v2"], "{:?}\n{}", life.view().releases, life.trace());
    }
}

#[test]
fn a_verdict_that_cannot_be_written_keeps_no_release_waiting_that_was_known_before() {
    let three = by_targets("v3");
    let life = good(by_targets).publishes(secs(126), &three).run(secs(145));
    let life = life.fails(JobKind::WriteVerdict, 500, ErrorClass::Denied, "no right").run(secs(2000));
    assert_eq!(tags(&life), ["v3"], "{}", life.trace());
}

#[test]
fn on_standby_nothing_is_registered_on_the_way_back() {
    let life = good(by_targets).with_documents(|documents| {
        documents.flaws.insert("v2".to_owned(), Flaw::Sickens(secs(35)));
    });
    let life = life.sees(secs(126), target(TargetState::Standby)).run(secs(600));
    let registered = life.balancer.registered();
    assert!(registered.is_empty(), "{registered:?}\n{}", life.trace());
}

#[test]
fn on_standby_nothing_is_registered_in_place() {
    let document: fn(&str) -> String = |tag| by_targets(tag) + " release.move=restart";
    let undisturbed = good(document).run(secs(200));
    let at = moments(&undisturbed, "> StopContainer")[0] + 0.01;
    let life = good(document).sees_at(Duration::from_secs_f64(at), target(TargetState::Standby)).run(secs(600));
    let registered = life.balancer.registered();
    assert!(registered.is_empty(), "{registered:?}\n{}", life.trace());
}

#[test]
fn standby_on_the_way_back_leaves_the_right_target() {
    let (one, two) = (by_targets("v1"), by_targets("v2"));
    let life =
        Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two).publishes(secs(138), &one).run(secs(139));
    let life = life.balancing(|balancer| balancer.healthy_after = Some(secs(100)));
    let life = life
        .sees(secs(160), target(TargetState::Standby))
        .sees(secs(175), target(TargetState::InService))
        .run(secs(2000));
    let ports: Vec<String> = life
        .documents
        .containers
        .values()
        .flat_map(|one| one.creation.ports.values().map(|port| format!("web:{port}")))
        .collect();
    let registered: Vec<String> = life.balancer.registered().iter().map(ToString::to_string).collect();
    assert_eq!(registered, ports, "{:?} {}\n{}", tags(&life), life.view().reason, life.trace());
}

#[test]
fn a_bake_does_not_end_well_while_its_probes_fail() {
    let document =
        |tag: &str| by_targets(tag) + " probe.interval=60s probe.unhealthy=5 release.healthy_for=2s release.bake=8s";
    let (one, two) = (document("v1"), document("v2"));
    let life = Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two);
    let life = life.with_documents(|documents| {
        documents.flaws.insert("v2".to_owned(), Flaw::Sickens(secs(15)));
    });
    let life = life.run(secs(900));
    assert_eq!(bad(&life), 1, "{:?}\n{}", verdicts(&life), life.trace());
}

#[test]
fn what_a_check_of_secrets_fetched_is_wiped_after_the_replacement() {
    let line = format!(
        "image=registry.test/api:v1 port=0:8080 health=/health target_groups={} secrets=prod/api secrets_refresh=60s",
        crate::targets::WEB
    );
    let life = Sim::new(&line)
        .publishes(secs(0), &line)
        .answer(JobKind::CheckSecrets, ms(50), Event::SecretsChecked { changed: true })
        .run(secs(400));
    let changed = moments(&life, "SecretsChecked changed")[0];
    let wiped = moments(&life, "> WipeSecrets").into_iter().any(|at| at >= changed);
    assert!(wiped, "{}", life.trace());
}

#[test]
fn the_login_of_a_release_is_wiped_after_it() {
    let life = good(by_targets).run(secs(400));
    let logged_in = moments(&life, "> LoginRegistry").last().copied().unwrap();
    let wiped = moments(&life, "> WipeSecrets").into_iter().any(|at| at >= logged_in);
    assert!(wiped, "{}", life.trace());
}

#[test]
fn a_kept_document_that_is_refused_gives_no_instance_up_while_the_source_is_away() {
    let one = by_readiness("v1");
    let before = Sim::new(&one).publishes(secs(0), &one).run(secs(60));
    let life = killed(before, secs(60), &one);
    let life = life.fails(JobKind::ReadConfig, 3, ErrorClass::Transient, "no answer");
    let release = berth_core::message::release::Release {
        id: Documents::id(&one),
        revision: "r".to_owned(),
        age: secs(1),
        previous: None,
        is_rollback: false,
    };
    let refused = Event::ConfigRefused {
        release: Box::new(release),
        error: JobError::new(ErrorClass::Misconfigured, "unknown key"),
    };
    let life = life.answer(JobKind::ReadRelease, ms(5), refused).run(secs(200));
    assert_eq!((life.outcome(), life.view().status), (None, Status::Ok), "{}", life.trace());
}

#[test]
fn memory_is_measured_right_before_a_release_that_waited() {
    let (one, two) = (by_readiness("v1"), by_readiness("v2"));
    let short = |bytes| {
        move |documents: &mut Documents| {
            (documents.capacity.memory_available, documents.capacity.memory_used) = (Some(bytes), Some(700_000_000));
        }
    };
    // Without a board it waits; here another port keeps it from going by restart.
    let two = two.replace("port=8080", "port=9090");
    let life = Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two).with_documents(short(600_000_000));
    // It is short at first, and then there is enough, but others hold the locks.
    let life = life
        .run(secs(150))
        .with_documents(short(900_000_000))
        .with_documents(|documents| documents.busy_until = berth_core::clock::Uptime(secs(1000)));
    // Meanwhile the app needs more.
    let life = life.run(secs(300)).with_documents(short(100_000_000)).run(secs(1300));
    let (measured, created) = (moments(&life, "> MeasureCapacity"), moments(&life, "> CreateContainer"));
    assert_eq!(tags(&life), ["v1"], "{measured:?} {created:?}\n{}", life.trace());
}

#[test]
fn what_served_before_is_forgotten_once_it_is_gone() {
    let life = good(by_targets).with_documents(|documents| {
        documents.flaws.insert("v2".to_owned(), Flaw::Sickens(secs(35)));
    });
    let life = life.run(secs(128)).balancing(|balancer| balancer.healthy_after = Some(secs(60)));
    let life = life.with_documents(|documents| {
        documents.flaws.insert("v1".to_owned(), Flaw::NeverHealthy);
    });
    let life = life.run(secs(165));
    let phase = life.view().reason;
    let life = life.at(secs(166), crate::sim::exited(1)).run(secs(1000));
    assert_eq!(life.noted_releases().unwrap().before, None, "{phase} {:?}\n{}", verdicts(&life), life.trace());
}

#[test]
fn while_a_release_logs_in_again_nothing_spins() {
    for (job, answer) in
        [(JobKind::PullImage, None), (JobKind::PullImage, Some(())), (JobKind::ResolveDigest, Some(()))]
    {
        let life = good(by_targets).with_documents(|documents| documents.images = Some(Vec::new())).run(secs(95));
        let life = life.fails(job, 1, ErrorClass::Expired, "the token has expired");
        let life = life.answer(JobKind::LoginRegistry, ms(80), Event::RegistryLoggedIn);
        // The registry's login takes its time, or is throttled.
        let life = match answer {
            None => life.answer(JobKind::LoginRegistry, secs(20), Event::RegistryLoggedIn),
            Some(()) => life.fails(JobKind::LoginRegistry, 2, ErrorClass::Throttled, "slow down"),
        };
        let life = life.run(secs(400));
        assert!(life.wakes < 3_000, "{}", life.wakes);
    }
}

#[test]
fn a_launch_hook_that_is_refused_in_the_bake_is_no_bad_release() {
    for document in [by_targets, by_readiness] {
        let away = |times| good(document).fails(JobKind::CompleteHook, times, ErrorClass::Transient, "no answer");
        // In the bake the service answers again.
        let at = Duration::from_secs_f64(moments(&away(500).run(secs(200)), "> WriteVerdict ok")[1] - 10.0);
        let attempts = away(500).run(at).count(JobKind::CompleteHook);
        let waits = Event::InstanceDescribed(Some("Pending:Wait".to_owned()));
        let life = away(attempts).fails(JobKind::CompleteHook, 1, ErrorClass::Denied, "no right");
        let life = life.answer(JobKind::DescribeInstance, ms(5), waits).run(secs(600));
        assert!(life.outcome().is_some(), "the instance is given up\n{}", life.trace());
        assert!(life.trace().contains("no right"), "{}", life.trace());
        assert_eq!(bad(&life), 0, "{}", life.trace());
    }
}
