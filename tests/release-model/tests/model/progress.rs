//! What happens in the end, whatever the order of steps.
//!
//! stateright's `eventually` sees only a path to a state that it had not seen before, so it misses what goes wrong behind the meeting of two
//! paths, and every cycle. Here each scenario ends: it has no cycle, which is checked, and after its last tick only what is under way goes on. Each
//! path then ends in a state without a step, and what must happen in the end holds in each of those.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use berth_release_model::state::{Agent, Left, Life, Quality, Set, State};
use berth_release_model::{Bounds, Flaw, Fleet, Step};
use stateright::Model;

use crate::scenarios::{NONE, three, two};

/// A way through the states: a state, its steps that are left, and the step that led there.
struct Turn {
    state: State,
    name: u64,
    steps: Vec<Step>,
}

/// What was found: how many states there are, and the way to an end that is not the expected one.
fn ends(fleet: &Fleet, is_expected: fn(&State) -> bool) -> (usize, Option<(Vec<Step>, State)>) {
    let name = |state: &State| {
        let mut hasher = DefaultHasher::new();
        if fleet.bounds.first_wave.is_none() {
            state.sorted().hash(&mut hasher)
        } else {
            state.hash(&mut hasher)
        }
        hasher.finish()
    };
    let turn = |state: State| {
        let mut steps = Vec::new();
        fleet.actions(&state, &mut steps);
        steps.retain(|step| fleet.next_state(&state, *step).is_some());
        Turn { name: name(&state), state, steps }
    };
    // Whether a state is on the way to where the search is.
    let mut seen = BTreeMap::new();
    let mut way: Vec<Turn> = fleet.init_states().into_iter().map(turn).collect();
    let mut taken = Vec::new();
    seen.extend(way.iter().map(|turn| (turn.name, true)));
    while let Some(last) = way.last_mut() {
        let Some(step) = last.steps.pop() else {
            seen.insert(last.name, false);
            way.pop();
            taken.pop();
            continue;
        };
        let Some(next) = fleet.next_state(&last.state, step).map(turn) else { continue };
        let is_on_way = seen.get(&next.name).copied();
        taken.push(step);
        assert_ne!(is_on_way, Some(true), "this goes on for ever: {taken:?}");
        if is_on_way.is_some() {
            taken.pop();
            continue;
        }
        if next.steps.is_empty() && !is_expected(&next.state) {
            return (seen.len(), Some((taken, next.state)));
        }
        seen.insert(next.name, true);
        way.push(next);
    }
    (seen.len(), None)
}

#[track_caller]
fn always_ends(name: &str, bounds: Bounds, is_expected: fn(&State) -> bool) {
    let (states, unexpected) = ends(&Fleet::new(bounds), is_expected);
    println!("{name}: {states} states");
    assert!(unexpected.is_none(), "{name}: {unexpected:?}");
}

#[track_caller]
fn may_end_otherwise(name: &str, fleet: &Fleet, is_expected: fn(&State) -> bool) {
    let (_, unexpected) = ends(fleet, is_expected);
    assert!(unexpected.is_some(), "{name}: it always ends as expected");
    unexpected.into_iter().for_each(|(steps, _)| println!("{name}: {steps:?}"));
}

/// The bounds with so much that is disturbed before the first tick is over, and with time for two leases to run out after it.
fn calming(bounds: Bounds, left: Left) -> Bounds {
    Bounds { left, calm: 0, last: 5, drops: true, renews: false, ..bounds }
}

/// Every instance that is there runs what is followed.
fn is_everywhere(state: &State) -> bool {
    state
        .fleet
        .iter()
        .filter(|agent| agent.life == Life::Alive)
        .all(|agent| agent.running == Some(state.followed.release))
}

/// The same, but for an instance that is there and that an operator took for lost: the board says that it has found the release bad.
fn is_everywhere_but_on_the_lost(state: &State) -> bool {
    let lost = state.board.last().map_or(Set::default(), |entry| entry.lost);
    let runs = |agent: &Agent| agent.life != Life::Alive || agent.running == Some(state.followed.release);
    (0..).zip(state.fleet.iter()).all(|(at, agent)| runs(agent) || lost.has(at))
}

/// Each instance that has moved to a release and is there has a verdict of it.
fn is_settled(state: &State) -> bool {
    let is_there = |at: u8| state.fleet.get(usize::from(at)).is_some_and(|agent| agent.life == Life::Alive);
    let has_verdict = |at: u8| {
        move |entry: &berth_release_model::state::Entry| {
            !entry.moves.by.has(at) || entry.ok.has(at) || entry.bad.has(at)
        }
    };
    (0..4).filter(|at| is_there(*at)).all(|at| state.board.iter().all(has_verdict(at)))
}

/// No instance runs a release that is always bad, and no lock is left.
fn is_rid(state: &State) -> bool {
    let is_bad = |release: u8| state.board.get(usize::from(release)).is_some_and(|entry| entry.quality == Quality::Bad);
    state.fleet.iter().all(|agent| !agent.running.is_some_and(is_bad)) && is_settled(state)
}

#[test]
fn a_good_release_reaches_every_instance() {
    always_ends("good", calming(three(Quality::Good), NONE), is_everywhere);
    always_ends("good, renewed", Bounds { renews: true, ..calming(three(Quality::Good), NONE) }, is_everywhere);
    always_ends(
        "good, in waves",
        Bounds { first_wave: Some((1024, 2)), ..calming(three(Quality::Good), NONE) },
        is_everywhere,
    );
    let launched = Bounds { launches: 1, ..calming(two(Quality::Good), NONE) };
    always_ends("good, and one is launched", launched, is_everywhere);
    let rolled_back = calming(three(Quality::Good), Left { rollbacks: 1, ..NONE });
    always_ends("good, rolled back", rolled_back, is_everywhere);
}

#[test]
fn a_lock_whose_holder_is_gone_is_taken_over() {
    for (name, left) in [
        ("terminated", Left { terminations: 1, ..NONE }),
        ("late", Left { delays: 1, ..NONE }),
        ("lost", Left { losses: 1, ..NONE }),
        ("disk lost", Left { disks: 1, ..NONE }),
    ] {
        always_ends(name, calming(two(Quality::Good), left), |state| {
            is_settled(state) && (is_everywhere(state) || has_bad(state))
        });
    }
    always_ends("crashed", calming(three(Quality::Good), Left { crashes: 1, ..NONE }), |state| {
        is_settled(state) && (is_everywhere(state) || has_bad(state))
    });
    let alone = Fleet::with(calming(two(Quality::Good), Left { terminations: 1, ..NONE }), Flaw::NoTakeOver);
    may_end_otherwise("nobody takes over", &alone, is_everywhere);
    let forgetful = Fleet::with(calming(two(Quality::Good), Left { crashes: 1, ..NONE }), Flaw::MoveNotNoted);
    may_end_otherwise("no note of a move", &forgetful, is_settled);
}

/// An instance that ended in the middle of a move counts as one that rolled back.
fn has_bad(state: &State) -> bool {
    state.board.iter().any(|entry| !entry.bad.is_empty())
}

#[test]
fn a_bad_release_leaves_no_instance_on_it() {
    always_ends("bad", calming(three(Quality::Bad), NONE), is_rid);
    always_ends("bad, crash", calming(two(Quality::Bad), Left { crashes: 1, ..NONE }), is_rid);
    always_ends("bad, disk", calming(two(Quality::Bad), Left { disks: 1, ..NONE }), is_rid);
}

#[test]
fn instances_that_vanish_stop_a_release_until_it_is_resumed() {
    let vanish = Left { terminations: 2, ..Left::default() };
    let bounds = Bounds { calm: 2, last: 4, ..calming(three(Quality::Good), vanish) };
    may_end_otherwise("two vanish", &Fleet::new(bounds.clone()), is_everywhere);
    let resumed = Left { resumes: 3, ..vanish };
    always_ends("two vanish, and it is resumed", Bounds { left: resumed, ..bounds }, is_everywhere_but_on_the_lost);
}
