//! Releases by `restart` behind target groups: the new container takes the registered ports of the old one.

use std::time::Duration;

use crate::documents::{Documents, Flaw};
use crate::releases::{by_readiness, by_restart, by_targets, killed};
use crate::sim::{Sim, secs};
use crate::targets::moments;
use berth_core::message::error::ErrorClass;
use berth_core::message::job::JobKind;
use berth_core::message::release::{BoardState, Verdict};
use berth_core::view::{Status, TargetStage};

/// A document with this tag.
type Documented = fn(&str) -> String;

fn document(tag: &str) -> String {
    by_targets(tag) + " release.move=restart"
}

/// The ports that are registered, and those that the containers have.
fn ports(life: &Sim) -> (Vec<u16>, Vec<u16>) {
    let targets = life.view().targets;
    let registered =
        targets.iter().filter(|one| one.state == TargetStage::InService).filter_map(|one| one.port).collect();
    let containers = life.documents.containers.values();
    (registered, containers.flat_map(|one| one.creation.ports.values().copied()).collect())
}

#[test]
fn the_new_container_has_the_ports_that_are_registered() {
    let (one, two) = (document("v1"), document("v2"));
    let life = Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two).run(secs(300));
    let (registered, had) = ports(&life);
    assert_eq!((registered.len(), &registered), (1, &had), "{}", life.trace());
    assert_eq!(life.documents.tags().into_iter().collect::<Vec<_>>(), ["v2"]);
    assert_eq!(life.count(JobKind::RegisterTarget), 1);
}

#[test]
fn ports_that_are_new_in_the_release_are_chosen_and_take_the_place_of_the_old() {
    let (one, two) = (document("v1"), document("v2").replace("port=0:8080", "port=0:9090"));
    for flaw in [None, Some(Flaw::Sickens(secs(12)))] {
        let life = Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two);
        let life = life.with_documents(|documents| {
            flaw.map(|flaw| documents.flaws.insert("v2".to_owned(), flaw));
        });
        let life = life.run(secs(900));
        let (registered, had) = ports(&life);
        assert_eq!((registered.len(), &registered), (1, &had), "{flaw:?}\n{}", life.trace());
    }
}

#[test]
fn a_version_that_turns_bad_between_two_probes_is_not_called_good() {
    // The first probe passes, and the next would come after the bake.
    let cases: [(Documented, u64); 3] = [(by_targets, 1), (by_targets, 12), (document, 5)];
    for (document, after) in cases {
        let document = |tag| document(tag) + " probe.interval=60s release.healthy_for=2s release.bake=8s";
        let (one, two) = (document("v1"), document("v2"));
        let life = Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two);
        let life = life.with_documents(|documents| {
            documents.flaws.insert("v2".to_owned(), Flaw::Sickens(secs(after)));
        });
        let life = life.run(secs(900));
        assert_eq!(life.documents.tags().into_iter().collect::<Vec<_>>(), ["v1"], "{after}\n{}", life.trace());
    }
}

#[test]
fn an_old_container_that_cannot_be_stopped_keeps_its_ports() {
    for document in [by_readiness, by_restart] {
        let (one, two) = (document("v1"), document("v2"));
        let life = || Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two);
        // Tried again.
        let failing = |times| life().fails(JobKind::StopContainer, times, ErrorClass::Transient, "the engine is busy");
        let soon = failing(2).run(secs(300));
        assert_eq!(soon.documents.tags().into_iter().collect::<Vec<_>>(), ["v2"], "{}", soon.trace());
        // For longer than a stop may take: the old one serves on, and the release is no bad one.
        let never = failing(1_000).run(secs(700));
        let bad = never.documents.verdicts.iter().any(|(_, verdict, _)| *verdict == Verdict::Bad);
        assert!(!bad, "{}", never.trace());
        assert_eq!(never.view().status, Status::Ok, "{}", never.trace());
        let starts = never.trace().lines().filter(|line| line.contains("> StartContainer container2")).count();
        assert_eq!(starts, usize::from(document("") == by_readiness("")), "only to prove itself\n{}", never.trace());
    }
}

#[test]
fn an_agent_that_starts_again_while_nobody_can_read_the_document_serves_on() {
    let one = by_readiness("v1");
    let served = || Sim::new(&one).publishes(secs(0), &one).run(secs(60));
    let away = |class, times| {
        let before = served();
        let life = killed(before, secs(60), &one).fails(JobKind::ReadConfig, times, class, "no answer");
        life.run(secs(200))
    };
    for class in [ErrorClass::Throttled, ErrorClass::Transient, ErrorClass::Denied] {
        let life = away(class, 1_000);
        assert_eq!(life.view().status, Status::Ok, "{class:?}\n{}", life.trace());
        assert_eq!(life.count(JobKind::CreateContainer), 0);
        assert!(moments(&life, " serve ")[0] < 15.0 || class == ErrorClass::Throttled, "{}", life.trace());
    }
    // One failure is no reason to read what may be old.
    let life = away(ErrorClass::Transient, 1);
    assert_eq!(life.count(JobKind::ReadRelease), 0, "{}", life.trace());
    // What was kept is gone as well: the source is asked on.
    let life = killed(served(), secs(60), &one);
    let life = life.fails(JobKind::ReadConfig, 3, ErrorClass::Transient, "no answer");
    let life = life.fails(JobKind::ReadRelease, 1_000, ErrorClass::Broken, "it was not kept").run(secs(200));
    assert_eq!(life.view().status, Status::Ok, "{}", life.trace());
    assert_eq!(life.count(JobKind::ReadRelease), 1, "{}", life.trace());
}

#[test]
fn a_removal_that_fails_is_tried_again_in_its_time() {
    // Stopped while the new container is only created.
    for document in [by_readiness, by_restart] {
        let (one, two) = (document("v1"), document("v2"));
        let life = || Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two);
        let marked = moments(&life().run(secs(200)), "> MarkBegun")[0];
        let halted = |documents: &mut Documents| {
            documents.stop(Documents::id(&two), BoardState { is_halted: true, ..BoardState::default() });
        };
        let life = life().run(Duration::from_secs_f64(marked + 0.001)).with_documents(halted);
        let life = life.fails(JobKind::RemoveContainer, 5, ErrorClass::Transient, "the engine is busy").run(secs(400));
        assert_eq!(life.documents.containers.len(), 1, "{}", life.trace());
        assert_eq!(life.documents.tags().into_iter().collect::<Vec<_>>(), ["v1"]);
        assert!(life.wakes < 2_000, "{}", life.wakes);
    }
}

#[test]
fn on_the_way_back_the_old_container_waits_for_its_ports() {
    for document in [by_readiness, by_restart] {
        let (one, two) = (document("v1"), document("v2"));
        let life = Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two);
        let life = life.with_documents(|documents| {
            documents.flaws.insert("v2".to_owned(), Flaw::Sickens(secs(12)));
        });
        let stopped = moments(&life.run(secs(300)), "> StopContainer container")[1];
        let life = Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two);
        let life = life.with_documents(|documents| {
            documents.flaws.insert("v2".to_owned(), Flaw::Sickens(secs(12)));
        });
        let life = life.run(Duration::from_secs_f64(stopped - 0.001));
        let life = life.fails(JobKind::StopContainer, 3, ErrorClass::Broken, "the engine is confused").run(secs(400));
        let trace = life.trace();
        let (stop, start) = (trace.rfind("ContainerStopped"), trace.rfind("> StartContainer container1"));
        assert!(stop < start, "{trace}");
        assert_eq!(life.documents.tags().into_iter().collect::<Vec<_>>(), ["v1"]);
    }
}
