//! `imds=block` is looked after as long as an app may run.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_core::message::error::ErrorClass;
use berth_core::message::event::{BlockRepair, Event};
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::view::{BlockView, PhaseName, Status};

use crate::sim::{LINE, Sim, config, group, identity, ms, secs, target};

fn line(more: &str) -> String {
    format!("{LINE} imds=block {more}")
}

fn repaired() -> Event {
    let bridges = BTreeSet::from(["docker0".to_owned()]);
    Event::MetadataBlockChecked(BlockRepair { bridges, ..BlockRepair::default() })
}

/// A life in which somebody opens the block again and again.
fn opened(line: &str) -> Sim {
    (0..1000).fold(Sim::new(line), |life, _| life.answer(JobKind::CheckMetadataBlock, ms(10), repaired()))
}

/// In which phases it was put back, each once.
fn phases(life: &Sim) -> Vec<String> {
    let looks = life.trace().lines().filter(|line| line.contains("MetadataBlockChecked"));
    let mut phases: Vec<String> = looks.filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned)).collect();
    phases.dedup();
    phases
}

#[test]
fn a_block_is_looked_after_every_five_seconds_and_nobody_looks_without_one() {
    let life = Sim::new(&line("")).run(secs(3600));
    assert!(
        (700..=720).contains(&life.count(JobKind::CheckMetadataBlock)),
        "{}",
        life.count(JobKind::CheckMetadataBlock)
    );
    assert_eq!(life.view().metadata_block, Some(BlockView { holds: true, restored: 0 }));
    let life = Sim::new(LINE).run(secs(3600));
    assert_eq!((life.count(JobKind::CheckMetadataBlock), life.view().metadata_block), (0, None));
}

#[test]
fn a_boot_that_waits_for_the_app_a_drain_and_a_hold_look_after_it_too() {
    let life = opened(&line("probe.start_timeout=60s boot.on_failure=hold")).fails_probing(100_000).run(secs(120));
    assert_eq!((life.view().phase, phases(&life)), (PhaseName::Hold, vec!["boot".to_owned(), "hold".to_owned()]));

    let life = opened(&line("drain.settle=30s")).at(secs(20), Event::DrainRequested(None)).run(secs(45));
    assert_eq!((life.view().phase, phases(&life)), (PhaseName::Drain, ["serve", "drain"].map(str::to_owned).to_vec()));
    let gone = life.run(secs(900));
    assert_eq!(gone.outcome(), Some(Outcome::Done));
}

#[test]
fn what_was_put_back_is_counted_and_a_warning_and_the_app_runs_on() {
    let life = Sim::new(&line("")).answer(JobKind::CheckMetadataBlock, ms(10), repaired()).run(secs(60));
    assert_eq!(life.view().metadata_block, Some(BlockView { holds: true, restored: 1 }));
    assert_eq!((life.count(JobKind::StopContainer), life.view().restarts), (0, 0));
    assert!(repaired().is_warning() && !repaired().is_routine());
    let nothing = Event::MetadataBlockChecked(BlockRepair::default());
    assert!(!nothing.is_warning() && nothing.is_routine());
    assert_eq!(
        repaired().to_string(),
        "rules were missing on docker0 and are set: until now the app could reach the instance metadata although the config says \
         imds=block"
    );
}

#[test]
fn a_look_that_fails_is_shown_and_tried_again_for_as_long_as_it_takes() {
    let failing = Sim::new(&line("")).fails(JobKind::CheckMetadataBlock, 1000, ErrorClass::Broken, "no iptables");
    let life = failing.run(secs(3600));
    assert_eq!(life.view().metadata_block, Some(BlockView { holds: false, restored: 0 }));
    let looks = life.count(JobKind::CheckMetadataBlock);
    assert!((60..=130).contains(&looks), "every minute at most: {looks}");
    assert_eq!((life.view().phase, life.count(JobKind::StopContainer)), (PhaseName::Serve, 0));

    let life = Sim::new(&line(""))
        .fails(JobKind::CheckMetadataBlock, 3, ErrorClass::Transient, "the engine is away")
        .run(secs(60));
    assert_eq!(life.view().metadata_block, Some(BlockView { holds: true, restored: 0 }));
    assert_eq!(life.view().retries.get(&JobKind::CheckMetadataBlock), Some(&3));
}

#[test]
fn a_look_that_never_ends_is_cut_and_made_again() {
    let life = Sim::new(&line("")).never(JobKind::CheckMetadataBlock).run(secs(300));
    assert!(life.count(JobKind::CheckMetadataBlock) > 20, "{}", life.trace());
    assert!(life.trace().contains("Cancel"), "{}", life.trace());
    assert_eq!(life.view().metadata_block, Some(BlockView { holds: true, restored: 0 }));
}

#[test]
fn a_look_that_takes_a_minute_is_waited_for() {
    let life = Sim::new(&line("")).answer(JobKind::CheckMetadataBlock, secs(60), repaired()).run(secs(68));
    assert_eq!(life.view().metadata_block, Some(BlockView { holds: true, restored: 1 }), "{}", life.trace());
    assert_eq!(life.count(JobKind::CheckMetadataBlock), 1, "one at a time");
}

#[test]
fn a_block_is_looked_after_every_five_seconds_however_rarely_anything_else_is_asked() {
    let life = Sim::new(&line("lifecycle.poll=1h probe.interval=10m")).run(secs(3600));
    let looks = life.count(JobKind::CheckMetadataBlock);
    assert!((700..=720).contains(&looks), "{looks}");
}

#[test]
fn a_config_that_asks_for_no_block_any_more_ends_the_looks() {
    let mut entering = identity();
    entering.target_state = Some(TargetState::WarmedStopped);
    let life = Sim::new(LINE)
        .answer(JobKind::Identify, ms(10), Event::Identified(entering.into()))
        .answer(JobKind::ReadConfig, ms(5), Event::ConfigRead(Arc::new(config(&line(""))), None))
        .answer(JobKind::FindGroup, ms(100), group(secs(600), "Warmed:Pending:Wait"))
        .sees(secs(0), target(TargetState::WarmedStopped))
        .sees(secs(100), target(TargetState::InService))
        .run(secs(90));
    let pooled = life.count(JobKind::CheckMetadataBlock);
    assert!(pooled > 10 && life.view().metadata_block.is_some(), "{pooled}\n{}", life.trace());
    let served = life.run(secs(110));
    let looks = served.count(JobKind::CheckMetadataBlock);
    assert_eq!((served.view().status, served.view().metadata_block), (Status::Ok, None), "{}", served.trace());
    assert_eq!(served.run(secs(600)).count(JobKind::CheckMetadataBlock), looks);
}
