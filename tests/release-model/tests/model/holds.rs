//! What the protocol promises holds in every state.

use berth_release_model::Bounds;
use berth_release_model::state::{Left, Quality};

use crate::scenarios::{NONE, holds, is_big, three, two};

#[test]
fn locks_hold_whatever_is_late_lost_or_crashes() {
    let good = Bounds { renews: false, ..three(Quality::Good) };
    holds("locks, renewed", Bounds { last: 3, ..three(Quality::Good) });
    holds("locks, an answer is lost", Bounds { left: Left { losses: 1, ..NONE }, ..two(Quality::Good) });
    holds("locks, a write is late", Bounds { left: Left { delays: 1, ..NONE }, ..two(Quality::Good) });
    holds("locks, two writes are late", Bounds { left: Left { delays: 2, ..NONE }, last: 3, ..good.clone() });
    holds("locks, a crash", Bounds { left: Left { crashes: 1, losses: 1, ..NONE }, ..good });
    let halves = Bounds { grain: 2, margin: 2, last: 5, ..three(Quality::Good) };
    holds("locks, half seconds", Bounds { left: Left { losses: 1, ..NONE }, ..halves });
}

#[test]
fn a_bad_release_stays_small() {
    let bad = Bounds { renews: false, ..three(Quality::Bad) };
    holds("bad, in one lease", Bounds { last: 1, ..three(Quality::Bad) });
    let parallel = Bounds { last: 1, max_parallel: vec![1, 2], failures: 2, instances: 4, ..bad.clone() };
    holds("bad, in one lease, two at once", parallel);
    holds("bad, a crash", Bounds { left: Left { crashes: 1, ..NONE }, ..bad.clone() });
    holds("bad, a write is late", Bounds { left: Left { delays: 1, ..NONE }, ..bad.clone() });
    holds("bad, an empty disk", Bounds { left: Left { disks: 1, ..NONE }, ..bad.clone() });
    holds("bad, two vanish", Bounds { left: Left { terminations: 2, resumes: 1, ..NONE }, ..bad });
    let flaky = Bounds { left: Left { crashes: 1, delays: 1, ..NONE }, renews: false, ..two(Quality::Flaky) };
    holds("flaky, a crash and a late write", flaky);
}

#[test]
fn a_publisher_is_obeyed() {
    let bad = Bounds { renews: false, last: 2, ..three(Quality::Bad) };
    let halted = Left { halts: 2, resumes: 1, ..NONE };
    holds("halted and resumed", Bounds { left: halted, ..bad.clone() });
    holds("rolled back", Bounds { left: Left { rollbacks: 1, ..NONE }, last: 3, ..bad.clone() });
    let another = Bounds { publishes: vec![Quality::Good], instances: 2, launches: 1, ..bad.clone() };
    holds("published and rolled back", Bounds { left: Left { rollbacks: 1, ..NONE }, ..another });
    let other_parallel = Bounds { publishes: vec![Quality::Good], max_parallel: vec![1, 2, 1], last: 1, ..bad };
    holds("another max_parallel", other_parallel);
}

#[test]
fn a_boot_takes_what_is_proven() {
    let launched = Bounds { launches: 1, renews: false, last: 2, ..two(Quality::Flaky) };
    let left = Left { rollbacks: 1, disks: 1, ..NONE };
    holds("launched", Bounds { left, last: 1, ..launched.clone() });
    holds("launched, nothing is proven", Bounds { is_proven: false, ..launched });
}

#[test]
fn more_releases_than_cargo_test_has_time_for() {
    if !is_big() {
        return;
    }
    let launched = Bounds { launches: 1, last: 2, ..two(Quality::Flaky) };
    holds("launched", Bounds { left: Left { rollbacks: 1, disks: 1, halts: 1, ..NONE }, ..launched });
    let another =
        Bounds { publishes: vec![Quality::Good], max_parallel: vec![1, 2, 1], last: 2, ..three(Quality::Bad) };
    holds("another max_parallel", another.clone());
    let crash = Left { crashes: 1, ..NONE };
    holds("another max_parallel, a crash", Bounds { left: crash, renews: false, ..another });
}

#[test]
fn more_instances_than_cargo_test_has_time_for() {
    if !is_big() {
        return;
    }
    let all = Left { crashes: 1, losses: 1, delays: 1, ..NONE };
    holds("locks, everything", Bounds { left: all, ..two(Quality::Good) });
    holds("locks, everything, half seconds", Bounds { left: all, grain: 2, margin: 2, last: 5, ..two(Quality::Good) });
    let late = Left { delays: 2, ..NONE };
    holds("locks, two writes are late", Bounds { left: late, renews: false, ..three(Quality::Good) });
    holds("locks, renewed, a write is late", Bounds { left: Left { delays: 1, ..NONE }, ..three(Quality::Good) });
    holds("bad, renewed, a crash", Bounds { left: Left { crashes: 1, ..NONE }, ..three(Quality::Bad) });
    let parallel = Bounds { max_parallel: vec![1, 2], instances: 4, renews: false, last: 3, ..three(Quality::Bad) };
    holds("bad, four, two at once", parallel.clone());
    let crash = Left { crashes: 1, ..NONE };
    holds("bad, four, two at once, a crash", Bounds { left: crash, last: 2, ..parallel });
}
