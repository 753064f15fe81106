//! What is explored: each scenario is as small as what it is about.

use berth_release_model::state::{Left, Quality};
use berth_release_model::{Bounds, Fleet};
use stateright::{Checker, Model};

/// No disturbance.
pub(crate) const NONE: Left = Left {
    crashes: 0,
    disks: 0,
    terminations: 0,
    losses: 0,
    delays: 0,
    publications: 0,
    halts: 0,
    resumes: 0,
    rollbacks: 0,
};

/// Two instances that run release 0, which serves on both, and follow release 1.
pub(crate) fn two(quality: Quality) -> Bounds {
    Bounds {
        instances: 2,
        launches: 0,
        releases: vec![Quality::Good, quality],
        publishes: Vec::new(),
        max_parallel: Vec::new(),
        failures: 1,
        first_wave: None,
        is_proven: true,
        last: 4,
        grain: 1,
        lease: 2,
        renews: true,
        move_takes: 1,
        margin: 1,
        pauses_in_moves: false,
        calm: u8::MAX,
        drops: false,
        left: NONE,
    }
}

/// Three of them.
pub(crate) fn three(quality: Quality) -> Bounds {
    Bounds { instances: 3, ..two(quality) }
}

/// Explores everything and prints how much that was.
#[track_caller]
pub(crate) fn holds(name: &str, bounds: Bounds) {
    let has_waves = bounds.first_wave.is_some();
    let checker = Fleet::new(bounds).checker();
    let checker = if has_waves { checker } else { checker.symmetry_fn(berth_release_model::state::State::sorted) };
    let checker = checker.spawn_dfs().join();
    let states = checker.unique_state_count();
    println!("{name}: {states} states, {} deep", checker.max_depth());
    let broken = checker.discoveries().into_iter();
    let broken: Vec<_> = broken.map(|(promise, path)| (promise, path.into_actions())).collect();
    assert!(states > 100, "{name}: only {states} states");
    assert!(broken.is_empty(), "{name}: {broken:#?}");
}

/// Whether more is explored than `cargo test` has time for: `MODEL_SIZE=big`.
pub(crate) fn is_big() -> bool {
    std::env::var_os("MODEL_SIZE").is_some_and(|size| size == "big")
}
