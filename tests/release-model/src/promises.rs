//! What must hold in every state.

use stateright::Property;

use crate::Fleet;
use crate::state::{Agent, Life, Quality, Release, Stage, State};

/// Never more than `release.max_parallel` instances move traffic at once.
pub const PARALLEL: &str = "at most max_parallel instances move traffic";
/// A bad release is stopped by its verdicts, except for those that had read the board before.
pub const STOPPED: &str = "at most max_parallel moves begin after too many bad verdicts";
/// A halt, a rollback or a newer release stops an older one, except for those that had read the board before.
pub const HALTED: &str = "at most max_parallel moves begin after a halt or another release";
/// The contract of `release.failures`.
pub const CONTAINED: &str = "a bad release touches at most failures + max_parallel instances";
/// The same if no lease runs out: each holder writes its verdict before the next one reads the board.
pub const CONTAINED_BY_LEASES: &str = "a bad release touches at most failures + max_parallel - 1 instances";
/// A new instance gets what serves.
pub const PROVEN: &str = "no instance boots an unproven release while there is a proven one";
/// A new instance does not get what the operator goes back from.
pub const ROLLED_BACK: &str = "no instance boots the release that a rollback leaves";
/// One attempt for each instance and release.
pub const ONCE: &str = "no instance tries a release again that it rolled back";
/// One verdict for each instance and release; one that an operator wrote for it is not its own.
pub const ONE_VERDICT: &str = "no instance has two verdicts of one release";
/// A halt ends by a resumption of somebody who knew it.
pub const HALT_STANDS: &str = "no halt is removed that its remover had not seen";

/// All of them.
pub fn all() -> Vec<Property<Fleet>> {
    vec![
        Property::always(PARALLEL, at_most_max_parallel),
        Property::always(STOPPED, |_, state: &State| {
            state.board.iter().all(|entry| entry.moves.after_verdicts <= entry.max_parallel)
        }),
        Property::always(HALTED, |_, state: &State| {
            state.board.iter().all(|entry| entry.moves.after_halt <= entry.max_parallel)
        }),
        Property::always(CONTAINED, |fleet, state| touched(fleet, state, 0)),
        Property::always(CONTAINED_BY_LEASES, |fleet: &Fleet, state| {
            fleet.bounds.last >= fleet.bounds.lease * fleet.bounds.grain || touched(fleet, state, 1)
        }),
        Property::always(PROVEN, |_, state: &State| !state.history.booted_unproven),
        Property::always(ROLLED_BACK, |_, state: &State| !state.history.booted_rolled_back),
        Property::always(ONCE, |_, state: &State| !state.history.tried_again),
        Property::always(ONE_VERDICT, |_, state: &State| {
            state.board.iter().all(|entry| entry.ok.and(entry.bad.without(entry.lost)).is_empty())
        }),
        Property::always(HALT_STANDS, |_, state: &State| !state.history.lost_halt),
    ]
}

/// Of each release, and of all of them together if they have different bounds.
fn at_most_max_parallel(_: &Fleet, state: &State) -> bool {
    let moving = |to: Option<Release>| {
        let moves = |agent: &&Agent| match agent.step {
            Stage::Moves { release, .. } => agent.life == Life::Alive && to.is_none_or(|to| to == release),
            _ => false,
        };
        state.fleet.iter().filter(moves).count()
    };
    let most = state.board.iter().map(|entry| entry.max_parallel).max().unwrap_or(1);
    let of_each =
        (0..).zip(state.board.iter()).all(|(release, entry)| moving(Some(release)) <= usize::from(entry.max_parallel));
    of_each && moving(None) <= usize::from(most)
}

/// Whether no release that never served on an instance was moved to on more than that, less so many.
fn touched(fleet: &Fleet, state: &State, less: u32) -> bool {
    state.board.iter().filter(|entry| entry.quality == Quality::Bad).all(|entry| {
        let most = fleet.bounds.failures + u32::from(entry.max_parallel) + u32::from(entry.pardoned);
        u32::from(entry.moves.by.len()) <= most - less
    })
}
