//! A requested drain, as at a shutdown: somebody waits for the agent's end, also if the drain began before that.

use berth_core::message::event::Event;
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::view::PhaseName;

use crate::sim::{LINE, Sim, ms, secs, target};

const REQUEST: Event = Event::DrainRequested(None);

/// When the agent ended, in seconds.
fn end(life: &Sim) -> f64 {
    let exit = life.trace().lines().find(|line| line.contains("> Exit")).unwrap_or_else(|| panic!("{}", life.trace()));
    exit.split_whitespace().next().unwrap().parse().unwrap()
}

/// Every completion after that of the launch hook fails.
fn without_aws() -> Sim {
    Sim::new(LINE)
        .answer(JobKind::CompleteHook, ms(50), Event::HookCompleted)
        .fails_always(JobKind::CompleteHook, "no route")
}

#[test]
fn an_aws_that_is_away_does_not_keep_a_requested_drain_waiting() {
    let terminated = || without_aws().sees(secs(30), target(TargetState::Terminated));
    let limit = 30.0 + 20.0 + 5.0 + 70.0;
    for (when, life) in [
        ("alone", without_aws().at(secs(30), REQUEST)),
        ("while it settles", terminated().at(secs(40), REQUEST)),
        ("while it completes the hook", terminated().at(secs(60), REQUEST)),
    ] {
        let life = life.run(secs(1000));
        assert!(life.outcome().is_some() && end(&life) < limit, "{when}: {}", life.trace());
    }
    let control = terminated().run(secs(1000));
    assert!(control.outcome().is_none() || end(&control) > limit, "nobody waits: {}", control.trace());
}

#[test]
fn a_drain_back_into_the_pool_that_somebody_waits_for_ends_the_agent() {
    let back = || Sim::new(LINE).sees(secs(30), target(TargetState::WarmedStopped));
    let life = back().at(secs(31), REQUEST).run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
    let control = back().run(secs(600));
    assert_eq!((control.outcome(), control.view().phase), (None, PhaseName::Warm), "{}", control.trace());
}

#[test]
fn a_request_never_hurries_a_drain() {
    let leaving = || Sim::new(LINE).sees(secs(30), target(TargetState::Terminated));
    let alone = leaving().run(secs(600));
    let asked = leaving().at(secs(31), REQUEST).at(secs(32), REQUEST).run(secs(600));
    assert_eq!(asked.outcome(), Some(Outcome::Done), "{}", asked.trace());
    assert!((end(&asked) - end(&alone)).abs() < 1.0, "{} and {}", end(&asked), end(&alone));
}
