//! Fleets that release: the followers, choices and gates of many instances on one board, with lost answers, lost races, delays, crashes,
//! outages and boots, while an operator publishes, halts, resumes and rolls back.
//!
//! `make fleets FLEETS=n` simulates so many, `make fleets FLEET=n` one alone. The parts of the agent are its own (agent/core/src/release);
//! around them is the least that a release needs: it proves itself, moves, bakes, and is good or bad.

#![allow(clippy::print_stdout, reason = "what a simulation says goes to a person")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use counts::ROWS;
use world::Fleet;

mod agent;
mod board;
mod calls;
mod controls;
mod counts;
mod operator;
mod plan;
mod promises;
mod swap;
mod world;

/// After so many fleets everything that is counted has happened.
const ENOUGH: u64 = 20_000;
/// For how long fleets are simulated in `cargo test`.
const BUDGET: Duration = Duration::from_secs(10);
/// Between two words on how far it is.
const WORD: u64 = 100_000;
/// The sizes that are counted: up to so many instances.
const SIZES: [usize; 6] = [5, 12, 20, 50, 100, 200];

/// What is wrong with the world, on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// No mark without a verdict is read.
    MarksForgotten,
    /// No bad verdict is read.
    VerdictsHidden,
    /// No instance reads a verdict of its own.
    OwnVerdictHidden,
    /// No halt is read.
    HaltsHidden,
    /// Every release is read as proven.
    AllProven,
    /// A lock is read as one whose lease is over.
    LeasesIgnored,
    /// A write lands whatever its condition is.
    ConditionsIgnored,
    /// A lock is held for ever.
    LocksKept,
    /// The clock of an instance stands still while its process does.
    ClockStandsStill,
}

#[expect(clippy::disallowed_methods, reason = "how many fleets is up to who runs the test")]
fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map(|text| text.parse().expect("a number"))
}

#[expect(clippy::disallowed_methods, reason = "how long the simulation takes is shown to a person")]
fn now() -> Instant {
    Instant::now()
}

/// What is reported of a fleet that broke a promise; none if it kept all.
fn report(seed: u64) -> Option<String> {
    let mut fleet = Fleet::new(seed, None);
    fleet.trace = Some(Vec::new());
    fleet.run();
    let (broken, trace) = (fleet.broken.as_ref()?, fleet.trace.unwrap_or_default());
    Some(format!("{broken}\n\n{}\n{}\n\nagain: make fleets FLEET={seed}", fleet.plan, trace.join("\n")))
}

#[test]
fn every_fleet_keeps_its_promises() {
    if let Some(seed) = from_env("FLEET") {
        match report(seed) {
            Some(broken) => panic!("{broken}"),
            None => return println!("fleet {seed} keeps every promise"),
        }
    }
    let (first, fleets) = (from_env("FLEET_FIRST").unwrap_or(1), from_env("FLEETS"));
    let last = fleets.map_or(u64::MAX, |fleets| first + fleets);
    let began = now();
    let counters = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
    let (met, sizes) = (counters(ROWS.len()), counters(SIZES.len()));
    let (next, done, events) = (AtomicU64::new(first), AtomicU64::new(0), AtomicU64::new(0));
    let broken = AtomicU64::new(u64::MAX);
    let rate = |fleets: u64| fleets as f64 / began.elapsed().as_secs_f64().max(0.001);
    let is_late = || fleets.is_none() && began.elapsed() >= BUDGET;
    let run = || {
        while !is_late() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= last || seed >= broken.load(Ordering::Relaxed) {
                return;
            }
            let mut fleet = Fleet::new(seed, None);
            fleet.run();
            events.fetch_add(fleet.events, Ordering::Relaxed);
            for (row, met) in met.iter().enumerate() {
                met.fetch_add(fleet.counts.0 >> row & 1, Ordering::Relaxed);
            }
            let size = SIZES.iter().position(|most| fleet.plan.size <= *most);
            size.map(|size| sizes[size].fetch_add(1, Ordering::Relaxed));
            if fleet.broken.is_some() {
                broken.fetch_min(seed, Ordering::Relaxed);
            }
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(WORD) {
                println!("{done} fleets so far, {:.0} a second", rate(done));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(run);
        }
    });
    let found = broken.into_inner();
    if found != u64::MAX {
        panic!("after {} fleets: {}", found - first + 1, report(found).unwrap_or_default());
    }
    let of = |counters: Vec<AtomicU64>| counters.into_iter().map(AtomicU64::into_inner).collect::<Vec<_>>();
    let (met, sizes, done, events) = (of(met), of(sizes), done.into_inner(), events.into_inner());
    println!(
        "{done} fleets, no promise broken: seeds from {first} on, {:.0} a second, {} events each",
        rate(done),
        events / done.max(1)
    );
    let sizes: Vec<String> = SIZES.iter().zip(&sizes).map(|(most, fleets)| format!("up to {most}: {fleets}")).collect();
    println!("instances in a fleet: {}", sizes.join(", "));
    let counts: Vec<String> = ROWS.iter().zip(&met).map(|(row, fleets)| format!("{row} {fleets}")).collect();
    println!("fleets in which it happened: {}", counts.join(", "));
    let never: Vec<&str> = ROWS.iter().zip(&met).filter(|(_, met)| **met == 0).map(|(row, _)| *row).collect();
    assert!(done < ENOUGH || never.is_empty(), "never happened: {}", never.join(", "));
}

#[test]
fn the_same_seed_is_the_same_fleet() {
    let life = |seed: u64| {
        let mut fleet = Fleet::new(seed, None);
        fleet.run();
        (fleet.now, fleet.events, fleet.counts)
    };
    for seed in 1..50 {
        assert_eq!(life(seed), life(seed), "fleet {seed}");
    }
}
