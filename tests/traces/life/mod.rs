//! Whole lives, boot to gone, in virtual time: the machine against models of the engine, AWS, the group, the load balancer and
//! systemd, with the faults of one seed. A life that breaks a promise is shrunk and reported.
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
mod documents;
mod engine;
mod excuses;
mod group;
mod liveness;
mod notices;
mod perform;
mod plan;
mod promises;
mod releases;
mod shrink;
mod surroundings;
mod systemd;
mod table;
mod twist;
mod verdict;
mod world;

/// One kind of life, each of a seed.
struct Kind {
    plan: fn(u64) -> Plan,
    /// For how long such lives are lived in `cargo test`, once it is enough of them.
    budget: Duration,
    /// After so many lives everything that is counted has happened.
    enough: u64,
    /// What is counted of a life, a bit each, and what each bit is.
    counted: fn(&World) -> u64,
    rows: &'static [&'static str],
    /// How one of them is replayed.
    again: &'static str,
}

const ALL: Kind = Kind {
    plan: Plan::new,
    budget: Duration::from_secs(30),
    enough: 5_000,
    counted: |life| life.seen.met,
    rows: &ROWS,
    again: "SEED",
};

const HEALED: Kind = Kind {
    plan: Plan::healing,
    budget: Duration::from_secs(10),
    enough: 500,
    counted: |life| life.progress.reached.into(),
    rows: &liveness::ENDS,
    again: "HEALED",
};

/// Between two words on how far it is.
const WORD: u64 = 500_000;

#[expect(clippy::disallowed_methods, reason = "seeds are chosen on the command line")]
fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map(|text| text.parse().expect("a number"))
}

impl Kind {
    /// What is reported of a life that broke a promise; none if it kept all.
    fn report(&self, seed: u64) -> Option<String> {
        let plan = Rc::new((self.plan)(seed));
        let broken = World::new(&plan, false).run().broken?;
        let smallest = shrink(plan, &broken);
        let life = World::new(&smallest, true).run();
        let broken = life.broken.as_ref().unwrap_or(&broken);
        let (trace, again) = (life.trace(), self.again);
        Some(format!(
            "seed {seed} breaks a promise: {broken}\n\nthe smallest plan that does:\n{smallest}\n{trace}\n{broken}\n\n\
             again: make sim {again}={seed}\n"
        ))
    }

    fn replay(&self, seed: u64) {
        match self.report(seed) {
            Some(broken) => panic!("{broken}"),
            None => {
                let plan = Rc::new((self.plan)(seed));
                println!("seed {seed} keeps every promise\n\n{plan}\n{}", World::new(&plan, true).run().trace());
            }
        }
    }

    /// Lives the lives that the environment asks for, or as many as there is time for.
    fn live(&self) {
        if let Some(seed) = from_env("SIM_SEED") {
            return self.replay(seed);
        }
        let (first, seeds) = (from_env("SIM_FIRST").unwrap_or(1), from_env("SIM_SEEDS"));
        let last = seeds.map_or(u64::MAX, |seeds| first + seeds);
        let began = now();
        let (next, lives, steps) = (AtomicU64::new(first), AtomicU64::new(0), AtomicU64::new(0));
        let is_late =
            || seeds.is_none() && began.elapsed() >= self.budget && lives.load(Ordering::Relaxed) >= self.enough;
        let broken = AtomicU64::new(u64::MAX);
        let met: Vec<AtomicU64> = self.rows.iter().map(|_| AtomicU64::new(0)).collect();
        let rate = |lives: u64| lives as f64 / began.elapsed().as_secs_f64().max(0.001);
        let live = || {
            while !is_late() {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= last || seed >= broken.load(Ordering::Relaxed) {
                    return;
                }
                let life = World::new(&Rc::new((self.plan)(seed)), false).run();
                steps.fetch_add(life.steps, Ordering::Relaxed);
                for (row, met) in met.iter().enumerate() {
                    met.fetch_add((self.counted)(&life) >> row & 1, Ordering::Relaxed);
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
            panic!("after {} lives: {}", found - first + 1, self.report(found).unwrap_or_default());
        }
        let (lives, steps) = (lives.load(Ordering::Relaxed), steps.into_inner());
        println!(
            "{lives} lives from boot to gone, no promise broken: seeds from {first} on, {:.0} a second, {} steps each",
            rate(lives),
            steps / lives.max(1)
        );
        let met: Vec<u64> = met.into_iter().map(AtomicU64::into_inner).collect();
        let counts: Vec<String> = self.rows.iter().zip(&met).map(|(row, lives)| format!("{row} {lives}")).collect();
        println!("lives in which it happened: {}", counts.join(", "));
        let never: Vec<&str> = self.rows.iter().zip(&met).filter(|(_, met)| **met == 0).map(|(row, _)| *row).collect();
        assert!(lives < self.enough || never.is_empty(), "never happened: {}", never.join(", "));
    }
}

#[test]
fn seeds() {
    ALL.live();
}

#[test]
fn healed_lives_get_on() {
    HEALED.live();
}

#[expect(clippy::disallowed_methods, reason = "how long the simulation takes is shown to a person")]
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
