//! Worlds that are broken on purpose: a promise that no world breaks proves nothing.

use super::Flaw;
use super::promises::Promise;
use super::world::Fleet;

/// So many fleets are enough to see it.
const MOST: u64 = 5_000;

/// Whether one of the fleets of such a world breaks the promise. Others may break one of these before.
#[track_caller]
fn breaks(flaw: Flaw, promise: Promise, or: &[Promise]) {
    for seed in 1..=MOST {
        let mut fleet = Fleet::new(seed, Some(flaw));
        fleet.run();
        let Some(broken) = fleet.broken else { continue };
        assert!(broken.promise == promise || or.contains(&broken.promise), "{flaw:?}: fleet {seed}: {broken}");
        if broken.promise == promise {
            return println!("{flaw:?}: fleet {seed}: {broken}");
        }
    }
    panic!("{flaw:?} does not break {promise:?} in {MOST} fleets");
}

#[test]
fn marks_that_are_not_read_let_a_bad_release_touch_more_than_it_may() {
    breaks(Flaw::MarksForgotten, Promise::Contained, &[]);
}

#[test]
fn leases_that_are_not_minded_let_too_many_move_at_once() {
    breaks(Flaw::LeasesIgnored, Promise::Parallel, &[Promise::Locked]);
}

#[test]
fn writes_without_a_condition_let_too_many_move_at_once() {
    breaks(Flaw::ConditionsIgnored, Promise::Parallel, &[Promise::Locked]);
}

#[test]
fn bad_verdicts_that_are_not_read_let_others_begin() {
    breaks(Flaw::VerdictsHidden, Promise::Stopped, &[]);
}

#[test]
fn a_halt_that_is_not_read_lets_others_begin() {
    breaks(Flaw::HaltsHidden, Promise::Stopped, &[]);
}

#[test]
fn an_own_verdict_that_is_not_read_lets_an_instance_try_again() {
    breaks(Flaw::OwnVerdictHidden, Promise::Once, &[]);
}

#[test]
fn a_board_that_calls_every_release_proven_lets_an_unproven_one_boot() {
    breaks(Flaw::AllProven, Promise::Proven, &[]);
}

#[test]
fn a_lock_that_nobody_can_take_over_keeps_a_good_release_from_the_rest() {
    breaks(Flaw::LocksKept, Promise::Reaches, &[]);
}

#[test]
fn a_clock_that_stands_still_with_its_instance_lets_too_many_move_at_once() {
    breaks(Flaw::ClockStandsStill, Promise::Parallel, &[Promise::Locked]);
}
