//! Whole lives, boot to gone, in virtual time: the machine against models of the engine, AWS, the group, the load balancer and
//! systemd, with everything that one seed makes go wrong. A life that breaks a promise is shrunk and told.
//!
//! `make sim SEEDS=n` lives n lives, `make sim SEED=s` replays one with its trace.

#![allow(clippy::print_stdout, reason = "what a simulation says goes to a person")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use plan::Plan;
use shrink::shrink;
use world::World;

mod balancer;
mod engine;
mod group;
mod perform;
mod plan;
mod promises;
mod shrink;
mod systemd;
mod world;

/// Lives in `cargo test`.
const SEEDS: u64 = 300;

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map(|text| text.parse().expect("a number"))
}

/// What is told of a life that broke a promise; none if it kept all.
fn tell(seed: u64) -> Option<String> {
    let plan = Plan::new(seed);
    let broken = World::new(&plan, false).run().broken?;
    let smallest = shrink(plan, &broken);
    let life = World::new(&smallest, true).run();
    let broken = life.broken.clone().unwrap_or(broken);
    Some(format!(
        "seed {seed} breaks a promise: {broken}\n\nthe smallest plan that does:\n{smallest}\n{}\n{broken}\n\nagain: make sim SEED={seed}\n",
        life.trace()
    ))
}

#[test]
fn seeds() {
    if let Some(seed) = from_env("SIM_SEED") {
        let plan = Plan::new(seed);
        let life = World::new(&plan, true).run();
        println!("seed {seed}\n{plan}\n{}", life.trace());
        if let Some(broken) = tell(seed) {
            panic!("{broken}");
        }
        return;
    }
    let first = from_env("SIM_FIRST").unwrap_or(1);
    let seeds = from_env("SIM_SEEDS").unwrap_or(SEEDS);
    let (next, steps, broken) = (AtomicU64::new(first), AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let live = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds || seed >= broken.load(Ordering::Relaxed) {
                return;
            }
            let life = World::new(&Plan::new(seed), false).run();
            steps.fetch_add(life.steps, Ordering::Relaxed);
            if life.broken.is_some() {
                broken.fetch_min(seed, Ordering::Relaxed);
            }
        }
    };
    let began = began();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(live);
        }
    });
    let took = took(began);
    let found = broken.load(Ordering::Relaxed);
    if found != u64::MAX {
        panic!("after {} lives: {}", found - first + 1, tell(found).unwrap_or_default());
    }
    let (lives, steps) = (seeds as f64, steps.load(Ordering::Relaxed) as f64);
    println!(
        "{seeds} lives from boot to gone, no promise broken: {:.0} lives a second, {:.0} steps a life",
        lives / took.as_secs_f64().max(0.001),
        steps / lives.max(1.0)
    );
}

#[expect(clippy::disallowed_methods, reason = "how long the simulation takes is told to a person")]
fn began() -> std::time::Instant {
    std::time::Instant::now()
}

fn took(began: std::time::Instant) -> Duration {
    began.elapsed()
}

#[test]
fn the_same_seed_is_the_same_life() {
    for seed in 1..20 {
        let plan = Plan::new(seed);
        assert_eq!(World::new(&plan, true).run().trace(), World::new(&plan, true).run().trace(), "seed {seed}");
    }
}
