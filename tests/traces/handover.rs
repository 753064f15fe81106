//! `berth handover`: in each phase, whether the agent gives way to the next one, and that it touches nothing on the way.

use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::view::{PhaseName, Status};

use crate::sim::{LINE, Sim, config, identity, ms, secs, survivor, target};

const ASKED: Event = Event::HandoverRequested;

/// What happened from the request on.
fn after(life: &Sim) -> Vec<String> {
    let lines = life.trace().lines().skip_while(|line| !line.contains("HandoverRequested"));
    lines.skip(1).map(|line| line.get(19..).unwrap_or(line).to_owned()).collect()
}

/// It leaves in this phase, and cancelling what it waits for is all that it does before.
#[track_caller]
fn hands_over(phase: PhaseName, life: Sim) {
    let before = life.run(secs(60));
    assert_eq!(before.view().phase, phase, "{}", before.trace());
    let life = before.at(secs(60), ASKED).run(secs(61));
    let done = after(&life);
    let (last, others) = done.split_last().unwrap_or_else(|| panic!("nothing\n{}", life.trace()));
    assert_eq!(last, "HandOver", "{}", life.trace());
    assert!(others.iter().all(|line| line.starts_with("Cancel ")), "{}", life.trace());
    assert!(life.handed_over && life.outcome().is_none());
}

#[test]
fn in_serve_and_in_every_phase_before_the_way_out_it_leaves_at_once() {
    hands_over(PhaseName::Serve, Sim::new(LINE));
    hands_over(PhaseName::Serve, Sim::new(LINE).sees(secs(30), target(TargetState::Standby)));
    hands_over(PhaseName::Boot, Sim::new(LINE).never(JobKind::PullImage));
    hands_over(PhaseName::Boot, Sim::new(LINE).never(JobKind::Identify));
    let hold = "image=r.test/a:1 port=80 boot.on_failure=hold";
    hands_over(PhaseName::Hold, Sim::new(hold).fails(JobKind::PullImage, 1, ErrorClass::Denied, "no"));
    let mut entering = identity();
    entering.target_state = Some(TargetState::WarmedStopped);
    let pool = Sim::new(LINE)
        .answer(JobKind::Identify, ms(10), Event::Identified(entering.into()))
        .sees(secs(0), target(TargetState::WarmedStopped));
    hands_over(PhaseName::Warm, pool);
}

#[test]
fn on_the_way_out_it_is_refused_and_changes_nothing() {
    let term = || Sim::new(LINE).at(secs(30), Event::Signalled(Signal::Term));
    let (with, without) = (term().at(secs(35), ASKED).run(secs(600)), term().run(secs(600)));
    assert_eq!((with.outcome(), with.handed_over), (Some(Outcome::Done), false));
    let refused = "RefuseHandover the instance drains: the installed binary starts with the next agent";
    assert!(with.trace().contains(refused), "{}", with.trace());
    let end = |life: &Sim| {
        life.trace().lines().filter(|line| line.contains("Container")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(end(&with), end(&without));

    let given_up = Sim::new(LINE)
        .fails(JobKind::PullImage, 1, ErrorClass::Denied, "no")
        .never(JobKind::CompleteHook)
        .at(secs(5), ASKED)
        .run(secs(600));
    assert_eq!((given_up.outcome(), given_up.handed_over), (Some(Outcome::BootFailed), false));
    assert!(given_up.trace().contains("RefuseHandover the instance is given up"), "{}", given_up.trace());
}

#[test]
fn the_next_agent_is_ready_as_soon_as_it_has_found_the_app() {
    let found = vec![survivor(&config(LINE))];
    let life = Sim::new(LINE).answer(JobKind::FindContainers, ms(5), Event::ContainersFound(found)).run(ms(100));
    assert_eq!((life.view().phase, life.view().status), (PhaseName::Serve, Status::Ok), "{}", life.trace());
    assert_eq!(
        life.count(JobKind::FetchSecrets) + life.count(JobKind::PullImage) + life.count(JobKind::StartContainer),
        0
    );
}
