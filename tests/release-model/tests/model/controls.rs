//! Each flaw breaks a promise, so a promise that nothing breaks is not an empty one.

use std::collections::BTreeSet;

use berth_release_model::state::{Left, Quality, State};
use berth_release_model::{Bounds, Flaw, Fleet, promises};
use stateright::{Checker, HasDiscoveries, Model};

use crate::scenarios::{NONE, three, two};

/// The shortest way to the broken promise, or, where all shorter ways are too many, any.
#[track_caller]
fn broken_by(fleet: Fleet, promise: &'static str, is_shortest: bool) {
    let flaw = fleet.flaw;
    let checker = fleet.checker().finish_when(HasDiscoveries::AnyOf(BTreeSet::from([promise])));
    let (states, path) = if is_shortest {
        let checker = checker.spawn_bfs().join();
        (checker.unique_state_count(), checker.discovery(promise))
    } else {
        let checker = checker.symmetry_fn(State::sorted).spawn_dfs().join();
        (checker.unique_state_count(), checker.discovery(promise))
    };
    assert!(path.is_some(), "{flaw:?} does not break: {promise}");
    println!("{flaw:?}: {states} states, breaks: {promise}");
    path.into_iter().for_each(|path| println!("  {:?}", path.into_actions()));
}

#[track_caller]
fn breaks(flaw: Flaw, bounds: Bounds, left: Left, promise: &'static str) {
    broken_by(Fleet::with(Bounds { left, ..bounds }, flaw), promise, true);
}

#[track_caller]
fn breaks_far_away(flaw: Flaw, bounds: Bounds, left: Left, promise: &'static str) {
    broken_by(Fleet::with(Bounds { left, renews: false, ..bounds }, flaw), promise, false);
}

#[test]
fn the_board_is_read_after_the_lock_and_written_before_its_end() {
    let bad = Bounds { last: 1, ..three(Quality::Bad) };
    breaks(Flaw::BoardBeforeLock, bad.clone(), NONE, promises::CONTAINED_BY_LEASES);
    breaks(Flaw::BoardBeforeLock, bad.clone(), NONE, promises::STOPPED);
    breaks(Flaw::UnlockBeforeVerdict, bad, NONE, promises::CONTAINED_BY_LEASES);
    breaks(Flaw::FollowedUnchecked, two(Quality::Good), Left { rollbacks: 1, ..NONE }, promises::HALTED);
}

#[test]
fn a_lock_is_what_its_nonce_and_the_clock_of_s3_say() {
    let good = two(Quality::Good);
    breaks(Flaw::SameContent, good.clone(), NONE, promises::PARALLEL);
    breaks(Flaw::OwnWallClock, good, NONE, promises::PARALLEL);
    breaks_far_away(Flaw::AnyLockDeleted, three(Quality::Good), Left { delays: 1, ..NONE }, promises::PARALLEL);
}

#[test]
fn a_holder_looks_at_its_lease_before_it_moves_traffic() {
    let good = two(Quality::Good);
    breaks(Flaw::LeaseUnchecked, good.clone(), NONE, promises::PARALLEL);
    breaks(Flaw::LeaseFromAnswer, good.clone(), NONE, promises::PARALLEL);
    breaks(Flaw::NoMargin, Bounds { grain: 2, margin: 2, last: 5, ..good }, NONE, promises::PARALLEL);
}

/// No lease helps against it: what a holder does in a move is not asked of S3.
#[test]
fn a_pause_in_the_middle_of_a_move_is_a_limit() {
    broken_by(Fleet::new(Bounds { pauses_in_moves: true, ..two(Quality::Good) }), promises::PARALLEL, true);
}

#[test]
fn a_mark_comes_before_the_board_and_stays_until_it_is_settled() {
    let bad = three(Quality::Bad);
    breaks_far_away(Flaw::NoMarks, bad.clone(), Left { terminations: 2, ..NONE }, promises::CONTAINED);
    breaks_far_away(
        Flaw::AnyMarkDeleted,
        Bounds { last: 5, ..bad.clone() },
        Left { delays: 1, ..NONE },
        promises::CONTAINED,
    );
    let parallel = Bounds { instances: 4, max_parallel: vec![1, 2], last: 3, ..bad };
    breaks_far_away(Flaw::MarkAfterBoard, parallel, NONE, promises::CONTAINED);
}

#[test]
fn a_verdict_is_decided_once() {
    let resumed = Left { disks: 1, resumes: 1, ..NONE };
    breaks(Flaw::OwnVerdictIgnored, two(Quality::Bad), resumed, promises::ONCE);
    breaks(Flaw::VerdictNotNoted, two(Quality::Flaky), Left { crashes: 1, ..NONE }, promises::ONE_VERDICT);
}

/// A rollback brings the bytes back, so the id and the verdicts: the instance that served it once may find it bad now. Readers count it as bad.
#[test]
fn a_release_that_is_returned_to_may_get_a_second_verdict() {
    let flaky =
        Bounds { releases: vec![Quality::Good, Quality::Flaky], publishes: vec![Quality::Good], ..two(Quality::Flaky) };
    let left = Left { rollbacks: 1, ..NONE };
    broken_by(Fleet::new(Bounds { left, renews: false, last: 2, ..flaky }), promises::ONE_VERDICT, false);
}

#[test]
fn a_boot_goes_back_as_the_board_says() {
    breaks(Flaw::BootsUnproven, Bounds { launches: 1, ..two(Quality::Bad) }, NONE, promises::PROVEN);
    let unproven = Bounds { launches: 1, is_proven: false, ..two(Quality::Good) };
    breaks(Flaw::FollowedPrevious, unproven, Left { rollbacks: 1, ..NONE }, promises::ROLLED_BACK);
}

#[test]
fn a_halt_ends_by_who_saw_it() {
    breaks(Flaw::AnyHaltDeleted, two(Quality::Good), Left { halts: 2, resumes: 1, ..NONE }, promises::HALT_STANDS);
}
