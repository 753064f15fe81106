//! An exhaustive search of the real machine: every life with at most so many disturbances, to its end.
//!
//! A state is the machine, what it waits for, and a world as small as it can be: an engine with containers, a group with a launch hook
//! and a termination hook, the metadata. From each state everything happens that can: any job is done, in any order, time goes on to the
//! next wake-up once nothing quick is left, and as disturbances one SIGTERM, one spot notice, one termination, one crash of the agent, and
//! three faults (any job answers with a passing or a lasting error, is done although it fails, or is answered late or never; an app exits).
//!
//! Lives with fewer disturbances are searched first, each number of them to its end, until the time is over: `make search SEARCH_SECONDS=600`.
//! A state is kept as its digest (digest.rs) and the way to it; it is made again by going that way.

#![allow(clippy::print_stdout, reason = "what a search finds goes to a person")]
#![allow(clippy::indexing_slicing, reason = "an index is made where the vector is")]

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_core::message::job::JobKind;
use life::{Choice, Life, Root, SOMETIMES};

mod agent;
mod digest;
mod life;
mod world;

/// Short times, so that a life takes few steps.
const LINE: &str = "image=registry.test/api:v1 port=8080 health=/health boot.timeout=40s probe.start_timeout=20s probe.interval=30s \
     lifecycle.poll=20s stop_timeout=5s drain.settle=1s drain.timeout=4s restart.limit=0";

/// How far it is gone.
#[derive(Clone, Copy)]
struct Bounds {
    until: Option<Instant>,
    /// States of one sort that are gone on from, and transitions from each: a sort is a phase, and the disturbance that led there.
    of_a_sort: usize,
    from_one: u64,
    last: usize,
}

/// In `cargo test`: every life without a disturbance, and a sample of those with one and two.
const SAMPLE: Bounds = Bounds { until: None, of_a_sort: 1, from_one: 30, last: 2 };

fn roots() -> Vec<Rc<Root>> {
    let root = |more: &str, pool, stray| {
        let config = Arc::new(crate::sim::config(&format!("{LINE} {more}")));
        Rc::new(Root { fingerprint: config.fingerprint(), config, pool, stray })
    };
    vec![
        root("secrets=prod/api", false, false),
        root("boot.on_failure=hold", false, true),
        root("drain.on_failure=abandon", true, false),
    ]
}

/// A state that was reached: from which, and by what.
#[derive(Clone, Copy)]
struct Node {
    root: u8,
    parent: u32,
    choice: Choice,
}

/// One of each kind, and three faults.
const DISTURBANCES: usize = 7;

/// Millions of digests, whose order nobody asks for.
#[expect(clippy::disallowed_types, reason = "a tree of a million digests takes twice the time, and no order is read")]
type Seen = std::collections::HashSet<u64>;

const NO_PARENT: u32 = u32::MAX;

const ALL: Bounds = Bounds { until: None, of_a_sort: usize::MAX, from_one: u64::MAX, last: DISTURBANCES };

/// The root, the phase before the disturbance, the disturbance, and the job that it is a fault of.
type Sort = (u8, &'static str, &'static str, Option<JobKind>);

struct Search {
    roots: Vec<Rc<Root>>,
    nodes: Vec<Node>,
    seen: Seen,
    /// States whose future is not known, by the number of disturbances before them.
    open: Vec<Vec<(Sort, u32)>>,
    transitions: u64,
    deepest: usize,
    reached: u32,
}

impl Search {
    fn new() -> Self {
        let mut search = Self {
            roots: roots(),
            nodes: Vec::new(),
            seen: Seen::new(),
            open: vec![Vec::new(); DISTURBANCES + 2],
            transitions: 0,
            deepest: 0,
            reached: 0,
        };
        for root in 0..search.roots.len() {
            search.nodes.push(Node { root: u8::try_from(root).unwrap_or(0), parent: NO_PARENT, choice: Choice::Wake });
            search.open[0].push(((0, "", "", None), u32::try_from(root).unwrap_or(0)));
        }
        search
    }

    /// The way to a state.
    fn way(&self, mut node: u32) -> Vec<Choice> {
        let mut way = Vec::new();
        while let Some(one) = self.nodes.get(node as usize).filter(|one| one.parent != NO_PARENT) {
            way.push(one.choice);
            node = one.parent;
        }
        way.reverse();
        way
    }

    /// The life at the end of a way.
    fn again(&self, root: u8, way: &[Choice], traced: bool) -> Life {
        let mut life = Life::new(self.roots[usize::from(root)].clone());
        life.trace = traced.then(String::new);
        for choice in way {
            life.take(*choice);
        }
        life
    }

    /// Goes to the end of every life with so many disturbances; whether that was possible within the bounds.
    fn level(&mut self, disturbances: usize, bounds: Bounds) -> bool {
        let mut open = std::mem::take(&mut self.open[disturbances]);
        if bounds.of_a_sort < open.len() {
            fastrand::Rng::with_seed(1).shuffle(&mut open);
            let mut taken = BTreeMap::new();
            open.retain(|(sort, _)| {
                let taken = taken.entry(*sort).or_insert(0);
                *taken += 1;
                *taken <= bounds.of_a_sort
            });
        }
        let mut whole = bounds.of_a_sort == usize::MAX;
        for (_, node) in open {
            let (way, root) = (self.way(node), self.nodes[node as usize].root);
            let life = self.again(root, &way, false);
            let end = self.transitions.saturating_add(bounds.from_one);
            whole &= self.follow(life, node, way.len(), disturbances, end, bounds);
            if bounds.until.is_some_and(|until| now() >= until) {
                return false;
            }
        }
        whole
    }

    /// Goes on from one state to every end without another disturbance; what a disturbance leads to stays open.
    fn follow(&mut self, life: Life, node: u32, steps: usize, level: usize, end: u64, bounds: Bounds) -> bool {
        let (mut text, mut choices) = (String::new(), Vec::new());
        let mut stack = vec![(life, node, steps)];
        while let Some((life, node, steps)) = stack.pop() {
            if self.transitions >= end || bounds.until.is_some_and(|until| now() >= until) {
                return false;
            }
            self.deepest = self.deepest.max(steps);
            life.choices(&mut choices);
            for (choice, disturbs) in choices.iter().filter(|(_, disturbs)| !disturbs || level < bounds.last) {
                let mut next = life.clone();
                next.take(*choice);
                self.transitions += 1;
                self.reached |= next.reached;
                if next.broken.is_some() {
                    self.found(node, *choice);
                }
                if !self.seen.insert(next.digest(&mut text)) || next.is_over() {
                    continue;
                }
                let new = u32::try_from(self.nodes.len()).expect("fewer states than memory");
                self.nodes.push(Node { root: self.nodes[node as usize].root, parent: node, choice: *choice });
                if *disturbs {
                    let (phase, job) = (life.phase().word(), life.job(*choice));
                    let sort = (self.nodes[node as usize].root, phase, choice.word(), job);
                    self.open[level + 1].push((sort, new));
                } else {
                    stack.push((next, new, steps + 1));
                }
            }
        }
        true
    }

    /// Shows the life that broke a promise.
    fn found(&self, node: u32, choice: Choice) {
        let mut way = self.way(node);
        way.push(choice);
        let life = self.again(self.nodes[node as usize].root, &way, true);
        let (broken, trace) = (life.broken.unwrap_or_default(), life.trace.unwrap_or_default());
        panic!("the search found a broken promise: {broken}\n\n{trace}\n{broken}");
    }

    /// Goes from level to level.
    fn go(&mut self, bounds: Bounds, began: Instant) {
        for disturbances in 0..=bounds.last {
            // Lives without a disturbance are few.
            let whole = match disturbances {
                0 => self.level(0, Bounds { last: bounds.last, ..ALL }),
                _ => self.level(disturbances, bounds),
            };
            self.report(disturbances, whole, began);
            if bounds.until.is_some_and(|until| now() >= until) {
                return;
            }
        }
    }

    fn report(&self, disturbances: usize, whole: bool, began: Instant) {
        let seconds = began.elapsed().as_secs_f64();
        let (states, transitions) = (self.seen.len(), self.transitions);
        let word = if whole { "every life with" } else { "some of the lives with" };
        println!(
            "{word} {disturbances} disturbances: {states} states, {transitions} transitions, at most {} steps deep, {seconds:.0} s, {:.0} \
             transitions a second",
            self.deepest,
            transitions as f64 / seconds.max(0.001)
        );
    }

    fn never(&self) -> Vec<&'static str> {
        SOMETIMES.into_iter().enumerate().filter(|(at, _)| self.reached >> at & 1 == 0).map(|(_, what)| what).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "how long the search takes is shown to a person")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the time is chosen on the command line")]
fn seconds() -> Option<u64> {
    std::env::var("SEARCH_SECONDS").ok().and_then(|text| text.parse().ok())
}

#[test]
fn no_life_breaks_a_promise() {
    let began = now();
    // The sample first: it has some of everything, however little time there is for the rest.
    let mut search = Search::new();
    search.go(SAMPLE, began);
    if let Some(seconds) = seconds() {
        let until = Some(began + Duration::from_secs(seconds));
        let reached = search.reached;
        search = Search::new();
        search.go(Bounds { until, ..ALL }, began);
        search.reached |= reached;
    }
    let never = search.never();
    assert!(never.is_empty(), "the search found no life in which this happens: {}", never.join(", "));
}
