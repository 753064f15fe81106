//! Releases by `restart` behind target groups: the new container takes the registered ports of the old one.

use crate::documents::Flaw;
use crate::releases::by_targets;
use crate::sim::{Sim, secs};
use berth_core::message::job::JobKind;
use berth_core::view::TargetStage;

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
