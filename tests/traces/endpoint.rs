//! Where the readiness endpoint answers: at the address of the config, in every phase that a life can be in once the config is known.

use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::view::PhaseName;

use crate::sim::{LINE, Sim, config, identity, ms, secs, survivor, target};

const TERM: Event = Event::Signalled(Signal::Term);

/// The line that these lives boot from.
fn line() -> String {
    format!("{LINE} listen=127.0.0.1:9000")
}

/// A life whose first move of the endpoint is never answered.
fn unmoved(more: &str) -> Sim {
    Sim::new(&format!("{} {more}", line())).never(JobKind::Listen)
}

/// A life in which an agent was killed in a drain, and the next one starts.
fn killed_mid_drain() -> Sim {
    let mut leaving = identity();
    leaving.target_state = Some(TargetState::Terminated);
    Sim::new(&line())
        .answer(JobKind::Identify, ms(10), Event::Identified(leaving.into()))
        .answer(JobKind::FindContainers, ms(5), Event::ContainersFound(vec![survivor(&config(&line()))]))
        .sees(secs(0), target(TargetState::Terminated))
}

/// The endpoint was moved to the address of the config in this phase.
#[track_caller]
fn moves(phase: PhaseName, life: &Sim) {
    let moved = format!("{:8}> Listen 127.0.0.1:9000", phase.word());
    assert!(life.trace().contains(&moved), "not in {phase:?}:\n{}", life.trace());
    assert!(life.trace().contains(&format!("{:8}Listening", phase.word())), "{}", life.trace());
}

#[test]
fn a_drain_that_reads_the_config_answers_at_its_address() {
    let life = killed_mid_drain().run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
    moves(PhaseName::Drain, &life);
}

#[test]
fn an_address_in_use_is_tried_again_in_a_drain_and_holds_nothing_up() {
    let once = killed_mid_drain().fails(JobKind::Listen, 3, ErrorClass::Transient, "address in use").run(secs(600));
    assert_eq!((once.outcome(), once.count(JobKind::Listen)), (Some(Outcome::Done), 4), "{}", once.trace());
    let never = killed_mid_drain().fails_always(JobKind::Listen, "address in use").run(secs(600));
    assert_eq!(never.outcome(), Some(Outcome::Done));
    let end = |life: &Sim| life.view().phase_since_seconds;
    assert!((end(&never) - end(&once)).abs() < 1.0, "{} and {}", end(&never), end(&once));
    let refused =
        killed_mid_drain().fails(JobKind::Listen, 1, ErrorClass::Misconfigured, "no such address").run(secs(600));
    assert_eq!((refused.outcome(), refused.count(JobKind::Listen)), (Some(Outcome::Done), 1), "{}", refused.trace());
}

#[test]
fn a_boot_that_is_left_before_the_endpoint_moved_moves_it_in_the_phase_that_follows() {
    moves(PhaseName::Drain, &unmoved("").never(JobKind::PullImage).at(secs(2), TERM).run(secs(60)));
    moves(PhaseName::Serve, &unmoved("").run(secs(60)));
    moves(
        PhaseName::Failing,
        &unmoved("").fails(JobKind::PullImage, 1, ErrorClass::Broken, "manifest unknown").run(secs(60)),
    );
    let hold = unmoved("boot.on_failure=hold").fails(JobKind::PullImage, 1, ErrorClass::Broken, "manifest unknown");
    moves(PhaseName::Hold, &hold.run(secs(60)));
    let mut entering = identity();
    entering.target_state = Some(TargetState::WarmedStopped);
    let pool = unmoved("")
        .answer(JobKind::Identify, ms(10), Event::Identified(entering.into()))
        .sees(secs(0), target(TargetState::WarmedStopped));
    moves(PhaseName::Warm, &pool.run(secs(60)));
}

#[test]
fn an_endpoint_that_moved_in_the_boot_is_not_moved_again() {
    let life = Sim::new(&line()).sees(secs(30), target(TargetState::Terminated)).run(secs(600));
    assert_eq!((life.outcome(), life.count(JobKind::Listen)), (Some(Outcome::Done), 1), "{}", life.trace());
}
