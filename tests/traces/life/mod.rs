//! Whole lives, boot to gone, in virtual time: the machine against models of the engine, AWS, the group, the load balancer and
//! systemd, with everything that one seed makes go wrong. A life that breaks a promise is shrunk and told.
//!
//! `make sim SEEDS=n` lives n lives, `make sim SEED=s` replays one with its trace. A run of all tests lives as many as it has
//! time for.

#![allow(clippy::print_stdout, reason = "what a simulation says goes to a person")]

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use plan::Plan;
use shrink::shrink;
use table::ROWS;
use twist::Twist;
use world::World;

mod agenda;
mod agent;
mod balancer;
mod engine;
mod excuses;
mod group;
mod notices;
mod perform;
mod plan;
mod promises;
mod shrink;
mod surroundings;
mod systemd;
mod table;
mod twist;
mod verdict;
mod world;

/// For how long lives are lived in `cargo test`.
const BUDGET: Duration = Duration::from_secs(30);

/// Within so many lives each row of the table happens. Seeds make it certain: the same lives on every machine.
const ENOUGH: u64 = 5_000;

/// Between two words on how far it is.
const WORD: u64 = 500_000;

#[expect(clippy::disallowed_methods, reason = "seeds are chosen on the command line")]
fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map(|text| text.parse().expect("a number"))
}

/// What is told of a life that broke a promise; none if it kept all.
fn tell(seed: u64) -> Option<String> {
    let plan = Rc::new(Plan::new(seed));
    let broken = World::new(&plan, false).run().broken?;
    let smallest = shrink(plan, &broken);
    let life = World::new(&smallest, true).run();
    let broken = life.broken.as_ref().unwrap_or(&broken);
    Some(format!(
        "seed {seed} breaks a promise: {broken}\n\nthe smallest plan that does:\n{smallest}\n{}\n{broken}\n\nagain: make sim SEED={seed}\n",
        life.trace()
    ))
}

fn replay(seed: u64) {
    match tell(seed) {
        Some(broken) => panic!("{broken}"),
        None => {
            let plan = Rc::new(Plan::new(seed));
            println!("seed {seed} keeps every promise\n\n{plan}\n{}", World::new(&plan, true).run().trace());
        }
    }
}

#[test]
fn seeds() {
    if let Some(seed) = from_env("SIM_SEED") {
        return replay(seed);
    }
    let (first, seeds) = (from_env("SIM_FIRST").unwrap_or(1), from_env("SIM_SEEDS"));
    let last = seeds.map_or(u64::MAX, |seeds| first + seeds);
    let began = now();
    let is_late = || seeds.is_none() && began.elapsed() >= BUDGET;
    let (next, lives, steps) = (AtomicU64::new(first), AtomicU64::new(0), AtomicU64::new(0));
    let broken = AtomicU64::new(u64::MAX);
    let met = [const { AtomicU64::new(0) }; ROWS.len()];
    let rate = |lives: u64| lives as f64 / began.elapsed().as_secs_f64().max(0.001);
    let live = || {
        while !is_late() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= last || seed >= broken.load(Ordering::Relaxed) {
                return;
            }
            let life = World::new(&Rc::new(Plan::new(seed)), false).run();
            steps.fetch_add(life.steps, Ordering::Relaxed);
            for (row, met) in met.iter().enumerate() {
                met.fetch_add(life.seen.met >> row & 1, Ordering::Relaxed);
            }
            if life.broken.is_some() {
                broken.fetch_min(seed, Ordering::Relaxed);
            }
            let lived = lives.fetch_add(1, Ordering::Relaxed) + 1;
            if lived.is_multiple_of(WORD) {
                println!("{lived} lives so far, {:.0} a second", rate(lived));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(live);
        }
    });
    let found = broken.into_inner();
    if found != u64::MAX {
        panic!("after {} lives: {}", found - first + 1, tell(found).unwrap_or_default());
    }
    let (lives, steps) = (lives.into_inner(), steps.into_inner());
    println!(
        "{lives} lives from boot to gone, no promise broken: seeds from {first} on, {:.0} a second, {} steps each",
        rate(lives),
        steps / lives.max(1)
    );
    let met: Vec<u64> = met.into_iter().map(AtomicU64::into_inner).collect();
    let told: Vec<String> = ROWS.iter().zip(&met).map(|(row, lives)| format!("{row} {lives}")).collect();
    println!("lives in which it happened: {}", told.join(", "));
}

/// Without this, lives that keep every promise may be lives in which nothing goes wrong. How far `seeds` comes depends on the
/// machine; this does not.
#[test]
fn every_row_of_the_table_happens_within_5_000_lives() {
    let all = (1 << ROWS.len()) - 1;
    let (mut met, mut lives) = (0, 0);
    while met != all && lives < ENOUGH {
        lives += 1;
        met |= World::new(&Rc::new(Plan::new(lives)), false).run().seen.met;
    }
    let never: Vec<&str> =
        ROWS.iter().enumerate().filter(|(row, _)| met >> row & 1 == 0).map(|(_, name)| *name).collect();
    assert!(never.is_empty(), "never happened in {lives} lives: {}", never.join(", "));
    println!("every row of the table happened within {lives} lives");
}

#[expect(clippy::disallowed_methods, reason = "how long the simulation takes is told to a person")]
fn now() -> Instant {
    Instant::now()
}

/// Plain lives, one for each way in and out, and another for each event that one of their agents could be killed at.
#[test]
fn a_kill_at_any_event_is_survived() {
    let mut ways = BTreeSet::new();
    let mut lives = 0;
    for seed in 1.. {
        let mut plan = Plan::new(seed);
        plan.twists.clear();
        let way = (
            plan.shape.group,
            plan.shape.pool.is_some(),
            plan.shape.launch_hook.is_some(),
            plan.says("secrets=prod/api"),
        );
        if !plan.shape.balancer || plan.shape.websockets || plan.end > Duration::from_secs(60) || !ways.insert(way) {
            continue;
        }
        let last = World::new(&Rc::new(plan.clone()), false).run().events + 20;
        for (event, ordered) in (1..last).flat_map(|event| [(event, false), (event, true)]) {
            plan.twists = vec![Twist::KillAt { event, ordered }];
            let plan = Rc::new(plan.clone());
            if let Some(broken) = World::new(&plan, false).run().broken {
                panic!("{broken}\n{plan}\n{}", World::new(&plan, true).run().trace());
            }
            lives += 1;
        }
        if ways.len() == 10 {
            break;
        }
    }
    println!("{lives} lives, each killed at another event");
}

#[test]
fn the_same_seed_is_the_same_life() {
    for seed in 1..20 {
        let plan = Rc::new(Plan::new(seed));
        assert_eq!(World::new(&plan, true).run().trace(), World::new(&plan, true).run().trace(), "seed {seed}");
    }
}
