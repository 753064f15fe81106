//! What a release needs of its host: disk for its image, and memory for two containers; and which images are kept.

use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::event::Event;
use berth_core::message::job::JobKind;
use berth_core::message::release::{ReleaseId, Verdict};
use berth_core::view::{GateStage, Status};

use crate::documents::{Documents, Flaw};
use crate::releases::{DOCUMENTS, by_readiness, by_restart, by_targets, good, killed, tags, verdicts};
use crate::sim::{Sim, config, secs};

/// Lives whose tags have an image each, of which the engine has none.
fn with_images(life: Sim) -> Sim {
    life.with_documents(|documents| documents.images = Some(Vec::new()))
}

#[test]
fn two_images_are_kept() {
    for document in DOCUMENTS {
        let [one, two, three, four] = ["v1", "v2", "v3", "v4"].map(document);
        let published = || {
            let life = Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two);
            with_images(life.publishes(secs(300), &three).publishes(secs(500), &four))
        };
        let life = published().run(secs(800));
        let images = |life: &Sim| life.documents.image_tags(&["v1", "v2", "v3", "v4"]);
        assert_eq!(tags(&life), ["v4"], "{}", life.trace());
        assert_eq!(images(&life), ["v3", "v4"], "{}", life.trace());
        assert_eq!(life.count(JobKind::RemoveImage), 2, "{}", life.trace());
        // An agent that comes later knows what was pulled before; a bad version's image leaves with the next good one.
        let flaw = |documents: &mut Documents| {
            documents.flaws.insert("v3".to_owned(), Flaw::NeverHealthy);
        };
        let before = published().with_documents(flaw).run(secs(490));
        assert_eq!(tags(&before), ["v2"], "{}", before.trace());
        assert_eq!(images(&before), ["v1", "v2", "v3"]);
        let next = killed(before, secs(490), &two).run(secs(300));
        assert_eq!((tags(&next), images(&next)), (vec!["v4".to_owned()], vec!["v2", "v4"]), "{}", next.trace());
    }
}

#[test]
fn an_image_that_berth_did_not_pull_stays() {
    let [one, two, three, four] = ["v1", "v2", "v3", "v4"].map(by_targets);
    let baked = |documents: &mut Documents| {
        let digest = |tag: &str| format!("sha256:{}", ReleaseId::of(tag.as_bytes()).0.repeat(4));
        documents.images = Some(["v1", "v2"].map(|tag| config(&by_targets(tag)).image.at(digest(tag))).into());
    };
    let life = Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two).publishes(secs(300), &three);
    let life = life.publishes(secs(500), &four).with_documents(baked).run(secs(700));
    assert_eq!((tags(&life), life.count(JobKind::RemoveImage)), (vec!["v4".to_owned()], 0), "{}", life.trace());
    // Nor one for which there is no document.
    let line = "image=registry.test/api:v1 port=8080 health=/health";
    assert_eq!(Sim::new(line).run(secs(4000)).count(JobKind::RemoveImage), 0);
}

#[test]
fn a_disk_that_is_full_is_no_bad_release() {
    for document in DOCUMENTS {
        let full = |free| {
            with_images(good(document)).with_documents(move |documents| {
                documents.capacity.disk_free = Some(free);
                documents.capacity.image_size = Some(1_000_000_000);
            })
        };
        let life = full(499_000_000).run(secs(4000));
        assert_eq!((tags(&life), life.count(JobKind::PullImage)), (vec!["v1".to_owned()], 1), "{}", life.trace());
        assert!(verdicts(&life).iter().all(|(verdict, _)| *verdict == Verdict::Ok), "{:?}", verdicts(&life));
        let next = life.view().releases.unwrap().next.unwrap();
        assert_eq!(next.waits_for, GateStage::Capacity);
        let reason = "the disk has 499 MB free, and the image of the next version needs about 500 MB";
        assert_eq!(next.error.as_deref(), Some(reason));
        let remarks = life.trace().lines().filter(|line| line.contains("Remark")).count();
        assert_eq!(remarks, 1, "{}", life.trace());
        // Once a period, as the document is asked for.
        assert!(
            (200..=280).contains(&life.count(JobKind::MeasureCapacity)),
            "{}",
            life.count(JobKind::MeasureCapacity)
        );
        assert_eq!((life.count(JobKind::TakeLock), life.view().status), (0, Status::Ok));
        assert!(life.wakes < 5_000, "{}", life.wakes);
        let freed = life.with_documents(|documents| documents.capacity.disk_free = Some(500_000_000)).run(secs(4300));
        assert_eq!(tags(&freed), ["v2"], "{}", freed.trace());
        assert_eq!(tags(&full(500_000_000).run(secs(300))), ["v2"]);
    }
}

#[test]
fn a_pull_that_fills_the_disk_is_no_bad_release() {
    let free = |bytes: Option<u64>| move |documents: &mut Documents| documents.capacity.disk_free = bytes;
    let error = JobError::new(ErrorClass::Broken, "write /x: no space left on device").disk_full(true);
    let fills = |life: Sim| life.answer(JobKind::PullImage, secs(3), Event::Failed(JobKind::PullImage, error.clone()));
    let begins = || fills(with_images(good(by_targets)).with_documents(free(Some(300_000_000))).run(secs(80)));
    // It is tried again once there is more space than there was.
    let life = begins().run(secs(1000)).with_documents(free(Some(499_000_000))).run(secs(1500));
    assert_eq!((tags(&life), life.count(JobKind::PullImage)), (vec!["v1".to_owned()], 2), "{}", life.trace());
    let next = life.view().releases.unwrap().next.unwrap();
    assert_eq!((next.waits_for, verdicts(&life).len()), (GateStage::Capacity, 1), "{}", life.trace());
    let life = life.with_documents(free(Some(500_000_000))).run(secs(1700));
    assert_eq!(tags(&life), ["v2"], "{}", life.trace());
    // On a disk that cannot be measured it would be pulled for ever.
    let life = fills(with_images(good(by_targets)).run(secs(80))).run(secs(300));
    assert_eq!(verdicts(&life).last(), Some(&(Verdict::Bad, "write /x: no space left on device")), "{}", life.trace());
}

#[test]
fn on_a_full_disk_the_image_before_the_one_that_serves_is_removed() {
    let [one, two, three] = ["v1", "v2", "v3"].map(by_targets);
    let life = Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two).publishes(secs(300), &three);
    let life = with_images(life).run(secs(295)).with_documents(|documents| {
        (documents.capacity.disk_free, documents.frees) = (Some(100_000_000), 150_000_000);
    });
    let life = life.run(secs(500));
    assert_eq!(tags(&life), ["v3"], "{}", life.trace());
    assert_eq!(life.documents.image_tags(&["v1", "v2", "v3"]), ["v2", "v3"], "{}", life.trace());
    assert!(!life.trace().contains("Remark"), "{}", life.trace());
}

#[test]
fn without_memory_for_two_containers_a_release_goes_by_restart() {
    let little = |document: &str| {
        let (one, two) = (document.replace("TAG", "v1"), document.replace("TAG", "v2"));
        let life = Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two);
        life.with_documents(|documents| {
            (documents.capacity.memory_available, documents.capacity.memory_used) =
                (Some(600_000_000), Some(700_000_000));
        })
    };
    for document in [by_targets("TAG"), by_readiness("TAG"), by_readiness("TAG") + " memory=601m"] {
        let life = little(&document).run(secs(300));
        assert_eq!((tags(&life), life.documents.containers.len()), (vec!["v2".to_owned()], 1), "{}", life.trace());
        // The same ports, and never two that run.
        let ports = life.documents.containers.values().flat_map(|one| one.creation.ports.values());
        assert!(ports.map(|port| format!("> RegisterTarget web:{port}")).all(|line| life.trace().contains(&line)));
        assert_eq!(life.chosen.is_empty(), !document.contains("port=0:8080"), "{}", life.trace());
        let registered = usize::from(document.contains("target_groups"));
        assert_eq!((life.count(JobKind::RegisterTarget), life.count(JobKind::DeregisterTarget)), (registered, 0));
        let (stopped, started) =
            (life.trace().find("> StopContainer container1"), life.trace().rfind("> StartContainer"));
        assert!(stopped.is_some() && stopped < started, "{}", life.trace());
        let last = life.view().releases.unwrap().last.unwrap();
        assert!(last.reason.starts_with("it serves; it went by restart: 600 MB of memory are available"), "{last:?}");
        assert_eq!(life.trace().matches("goes by restart: 600 MB").count(), 1, "{}", life.trace());
    }
    // With as much as the limit, or by `restart` as it is written, nothing is logged.
    for document in [by_targets("TAG") + " memory=572m", by_restart("TAG")] {
        let life = little(&document).run(secs(300));
        assert_eq!((tags(&life), life.trace().contains("Remark")), (vec!["v2".to_owned()], false), "{}", life.trace());
    }
    // It still goes back.
    let life = little(&by_targets("TAG")).with_documents(|documents| {
        documents.flaws.insert("v2".to_owned(), Flaw::Sickens(secs(12)));
    });
    let life = life.run(secs(300));
    assert_eq!((tags(&life), life.documents.containers.len()), (vec!["v1".to_owned()], 1), "{}", life.trace());
}

#[test]
fn without_a_board_no_release_goes_by_restart_for_lack_of_memory() {
    // All instances of a fleet would be away at once. With other ports the load balancer would not find the new container.
    let alone = |tag: &str| by_targets(tag).replace(" release.board=s3://bucket/board", "");
    let moved = |tag: &str| if tag == "v1" { by_targets(tag) } else { by_targets(tag).replace("0:8080", "0:9090") };
    for (document, locks) in [(&alone as &dyn Fn(&str) -> String, 0), (&moved, 1)] {
        let (one, two) = (document("v1"), document("v2"));
        let life = Sim::new(&one).publishes(secs(0), &one).publishes(secs(90), &two).with_documents(|documents| {
            (documents.capacity.memory_available, documents.capacity.memory_used) =
                (Some(600_000_000), Some(700_000_000));
        });
        let life = life.run(secs(2000));
        assert_eq!((tags(&life), life.count(JobKind::CreateContainer)), (vec!["v1".to_owned()], 1), "{}", life.trace());
        assert_eq!(
            (life.count(JobKind::TakeLock), life.count(JobKind::ReleaseLock)),
            (locks, locks),
            "{}",
            life.trace()
        );
        assert_eq!(life.view().releases.unwrap().next.unwrap().waits_for, GateStage::Capacity);
        assert_eq!(life.trace().matches("Remark").count(), 1, "{}", life.trace());
        let freed = |documents: &mut Documents| documents.capacity.memory_available = Some(700_000_000);
        let freed = life.with_documents(freed).run(secs(2300));
        assert_eq!(tags(&freed), ["v2"], "{}", freed.trace());
    }
}

#[test]
fn what_cannot_be_measured_stops_nothing() {
    for document in DOCUMENTS {
        let life = with_images(good(document));
        let life = life.fails_always(JobKind::MeasureCapacity, "the engine is away").run(secs(300));
        assert_eq!(tags(&life), ["v2"], "{}", life.trace());
    }
}
