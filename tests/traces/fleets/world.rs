//! The world of one fleet: the clock, what is to come, and what everybody shares.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use berth_core::message::effect::Effect;
use berth_core::message::event::Event;
use berth_core::message::input::Input;
use berth_core::message::release::{Release, ReleaseId, Verdict};

use super::Flaw;
use super::agent::Agent;
use super::board::{Board, Instance, Resumption};
use super::calls::Calls;
use super::counts::Counts;
use super::plan::{Mishap, Plan};
use super::promises::{Broken, Promise, Promises};
use crate::sim::{ms, secs};

/// Long enough for the largest fleet, one after the other.
const LONGEST: Duration = Duration::from_secs(200_000);
/// How often it is looked at whether everything is over.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// One fleet.
pub(super) struct Fleet {
    pub(super) plan: Plan,
    pub(super) rng: fastrand::Rng,
    pub(super) now: Duration,
    pub(super) board: Board,
    pub(super) followed: Followed,
    /// So many of the documents are published.
    pub(super) published: usize,
    pub(super) instances: Vec<Agent>,
    pub(super) promises: Promises,
    pub(super) counts: Counts,
    pub(super) flaw: Option<Flaw>,
    pub(super) broken: Option<Broken>,
    /// When an instance was at another stage last, or the operator did something.
    pub(super) changed: Duration,
    /// Acts of the plan that are to come.
    pub(super) acts: usize,
    pub(super) mishaps: u32,
    /// So many instances took the place of one that is gone, and so often the operator resumed in the end.
    pub(super) replaced: u32,
    pub(super) resumed: usize,
    pub(super) events: u64,
    queue: BinaryHeap<Reverse<(Duration, u32, Happens)>>,
    sequence: u32,
    pub(super) calls: Calls,
    pub(super) resumptions: Vec<Option<Resumption>>,
    /// What happened, if it is to be shown.
    pub(super) trace: Option<Vec<String>>,
}

/// The object that `config=` points to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Followed {
    pub(super) release: usize,
    pub(super) previous: Option<usize>,
    pub(super) is_rollback: bool,
    pub(super) written: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happens {
    Wakes(Instance, u32),
    /// A call reaches S3: a read, or the look before a write.
    Arrives(u32),
    /// Its write.
    Writes(u32),
    Answers(u32),
    Acts(usize),
    Mishap(Instance, Mishap),
    Starts(Instance, u32),
    /// The writes of a resumption.
    Resumes(usize),
}

impl Fleet {
    pub(super) fn new(seed: u64, flaw: Option<Flaw>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let plan = Plan::new(seed, &mut rng);
        let (releases, size) = (plan.documents.len(), plan.size);
        let mut fleet = Self {
            now: Duration::ZERO,
            board: Board::new(releases, flaw),
            followed: Followed { release: 0, previous: None, is_rollback: false, written: Duration::ZERO },
            published: 1,
            instances: Vec::with_capacity(size + 4),
            promises: Promises::new(releases),
            counts: Counts::default(),
            flaw,
            broken: None,
            changed: Duration::ZERO,
            acts: plan.acts.len(),
            mishaps: plan.mishaps,
            replaced: 0,
            resumed: 0,
            events: 0,
            queue: BinaryHeap::with_capacity(size * 4),
            sequence: 0,
            calls: Calls::default(),
            resumptions: Vec::new(),
            trace: None,
            plan,
            rng,
        };
        for at in 0..fleet.acts {
            fleet.plan(fleet.plan.acts[at].0, Happens::Acts(at));
        }
        for instance in 0..size {
            if fleet.plan.is_proven {
                fleet.board.judge(0, instance, Verdict::Ok);
            }
            fleet.adopt(0);
        }
        fleet.board_changed(0);
        fleet
    }

    pub(super) fn plan(&mut self, at: Duration, what: Happens) {
        self.sequence += 1;
        self.queue.push(Reverse((at, self.sequence, what)));
    }

    /// A line of the trace.
    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:10.3} {}", now.as_secs_f64(), line()));
        }
    }

    /// Runs it to its end.
    pub(super) fn run(&mut self) {
        let mut look = LOOK_EVERY;
        while self.broken.is_none() {
            let Some(Reverse((at, _, what))) = self.queue.pop() else { return self.judge() };
            self.now = at;
            self.events += 1;
            if self.now > LONGEST {
                return self.breaks(Promise::Ends, format!("after {LONGEST:?}"));
            }
            match what {
                Happens::Wakes(instance, epoch) => {
                    let agent = &mut self.instances[instance];
                    if agent.epoch != epoch || agent.wakes_at != Some(at) {
                        // Planned for an agent before this one, or for a later time than the one that counts.
                    } else if agent.frozen_until > at {
                        agent.wakes_at = Some(agent.frozen_until);
                        self.plan(self.instances[instance].frozen_until, what);
                    } else {
                        agent.wakes_at = None;
                        self.input(instance, &Input::Event(Event::Woke));
                    }
                }
                Happens::Arrives(call) => self.arrives(call),
                Happens::Writes(call) => self.writes(call),
                Happens::Answers(call) => self.answers(call),
                Happens::Acts(number) => {
                    self.acts -= 1;
                    self.act(self.plan.acts[number].1);
                }
                Happens::Mishap(instance, mishap) => self.mishap(instance, mishap),
                Happens::Starts(instance, epoch) if self.instances[instance].epoch == epoch => self.start(instance),
                Happens::Starts(..) => {} // it is gone
                Happens::Resumes(number) => self.resume(number),
            }
            if self.now >= look {
                look = self.now + LOOK_EVERY;
                if self.is_over() {
                    return self.judge();
                }
            }
        }
    }

    /// What the source has of the followed document.
    pub(super) fn followed_release(&self) -> Release {
        let Followed { release, previous, is_rollback, written } = self.followed;
        let previous = previous.map(|previous| self.plan.documents[previous].id.clone());
        let age = secs(self.now.as_secs() - written.as_secs());
        self.plan.documents[release].release(age, previous, is_rollback)
    }

    /// Which of the plan.
    pub(super) fn number(&self, id: &ReleaseId) -> usize {
        self.plan.documents.iter().position(|document| document.id == *id).expect("a release of the plan")
    }

    /// Hands an input to the agent, and orders what it wants.
    pub(super) fn input(&mut self, instance: Instance, input: &Input) {
        let agent = &mut self.instances[instance];
        if let Input::Answer(ticket, _) = input
            && !agent.outbox.close(*ticket)
        {
            return;
        }
        self.on(instance, input);
        while let Some(effect) = self.instances[instance].outbox.take() {
            // What is cancelled may still land.
            if let Effect::Job(ticket, job) = effect {
                self.order(instance, ticket, job);
            }
        }
        let agent = &self.instances[instance];
        let Some(wake) = agent.wake() else { return };
        let at = wake.max(self.now + ms(1));
        if agent.wakes_at.is_none_or(|planned| at < planned) {
            let epoch = agent.epoch;
            self.instances[instance].wakes_at = Some(at);
            self.plan(at, Happens::Wakes(instance, epoch));
        }
    }
}
