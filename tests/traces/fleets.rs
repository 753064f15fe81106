//! Fleets that release one version: the gates of many instances on one board, with lost answers, lost races, delays and crashes.
//!
//! `FLEETS=1000000` simulates so many; `FLEET=n` one alone. The gate is the agent's own; around it is the least that a release needs: it
//! proves itself, moves, bakes, and is good or bad.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use berth_config::Config;
use berth_core::clock::Uptime;
use berth_core::message::command::Command;
use berth_core::message::effect::Effect;
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::event::Event;
use berth_core::message::input::Input;
use berth_core::message::job::{Job, JobKind, Ticket};
use berth_core::message::release::{BoardState, HeldLock, Release, ReleaseId, Verdict};
use berth_core::outbox::Outbox;
use berth_core::release::Gate;

use crate::sim::{config, ms, secs};

/// Long enough for the largest fleet, one after the other.
const LONGEST: Duration = Duration::from_secs(200_000);

type Instance = usize;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Idle,
    Proving(Duration),
    Confirming,
    Moving(Duration),
    Baking(Duration),
    Concluding,
    Over,
}

struct Agent {
    gate: Gate,
    outbox: Outbox,
    stage: Stage,
    /// A gate that is given up, until its lock is given back.
    closing: Option<Gate>,
    /// The agents of this instance so far: what an earlier one asked is answered to nobody.
    epoch: u32,
    /// Whether the new version serves, and whether its verdict is out.
    serves_new: bool,
    judged: bool,
    /// When it is woken next, if that is planned.
    wakes_at: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    Wakes(u32),
    /// The first part of a call: what it looks at.
    Looks(u32, u64),
    /// The second: what it writes, under the condition of what it saw.
    Writes(u32, u64, Option<(u32, Option<u64>)>),
    Crashes,
    Restarts,
}

#[derive(Clone, Debug)]
struct Lock {
    holder: Instance,
    etag: u64,
    /// In whole seconds, as S3 has it.
    written: u64,
    lease: u64,
}

struct Fleet {
    rng: fastrand::Rng,
    now: Duration,
    queue: BinaryHeap<Reverse<(Duration, u64, Instance, Happens)>>,
    sequence: u64,
    agents: Vec<Agent>,
    jobs: BTreeMap<(Instance, u32, u64), Job>,
    locks: BTreeMap<u32, Lock>,
    verdicts: BTreeMap<Instance, Verdict>,
    marks: BTreeMap<Instance, u64>,
    etags: u64,
    config: Config,
    release: Release,
    is_good: bool,
    touched: BTreeSet<Instance>,
    crashes: u32,
}

fn id(instance: Instance) -> String {
    format!("i-{instance:017x}")
}

impl Fleet {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        // Small ones are quick, and have all the races.
        let size = if rng.u8(..40) == 0 { rng.usize(20..=200) } else { rng.usize(2..=12) };
        let (parallel, failures) = (rng.u32(1..=3), rng.u32(1..=3));
        let waves = if rng.bool() { "100%@0s" } else { "20%@0s,100%@2m" };
        let config = config(&format!(
            "image=x:2 config=s3://bucket/web follow=15s release.board=s3://bucket/board port=80 release.max_parallel={parallel} \
             release.failures={failures} release.waves={waves}"
        ));
        let release = Release {
            id: ReleaseId::of(&seed.to_le_bytes()),
            revision: "1".to_owned(),
            age: Duration::ZERO,
            previous: None,
            is_rollback: false,
        };
        let is_good = rng.bool();
        let mut fleet = Self {
            queue: BinaryHeap::new(),
            sequence: 0,
            now: Duration::ZERO,
            agents: Vec::new(),
            jobs: BTreeMap::new(),
            locks: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            marks: BTreeMap::new(),
            etags: 0,
            config,
            release,
            is_good,
            touched: BTreeSet::new(),
            crashes: rng.u32(0..=12),
            rng,
        };
        for instance in 0..size {
            let outbox = Outbox::new(fleet.rng.u64(..));
            let gate = fleet.gate(instance);
            let stage = Stage::Idle;
            fleet.agents.push(Agent {
                gate,
                outbox,
                stage,
                closing: None,
                epoch: 0,
                serves_new: false,
                judged: false,
                wakes_at: None,
            });
            let at = ms(fleet.rng.u64(0..15_000));
            fleet.plan(at, instance, Happens::Wakes(0));
        }
        for _ in 0..fleet.crashes / 4 {
            let (at, instance) = (ms(fleet.rng.u64(0..400_000)), fleet.rng.usize(0..size));
            fleet.plan(at, instance, Happens::Crashes);
        }
        fleet
    }

    fn gate(&self, instance: Instance) -> Gate {
        let release = Release { age: self.now, ..self.release.clone() };
        Gate::new(&self.config, &release, &id(instance), Uptime(self.now))
    }

    fn plan(&mut self, at: Duration, instance: Instance, what: Happens) {
        self.sequence += 1;
        self.queue.push(Reverse((at, self.sequence, instance, what)));
    }

    fn latency(&mut self) -> Duration {
        if self.rng.u8(..50) == 0 { ms(self.rng.u64(500..6_000)) } else { ms(self.rng.u64(3..60)) }
    }

    /// Runs it to its end.
    fn run(&mut self) -> Result<(), String> {
        while let Some(Reverse((at, _, instance, what))) = self.queue.pop() {
            self.now = at;
            if self.now > LONGEST {
                return Err("it does not end".to_owned());
            }
            match what {
                Happens::Wakes(epoch) if epoch == self.agents[instance].epoch => {
                    self.agents[instance].wakes_at = None;
                    self.input(instance, &Input::Event(Event::Woke))?;
                }
                Happens::Wakes(_) => {}
                Happens::Looks(epoch, ticket) => self.look(instance, epoch, ticket)?,
                Happens::Writes(epoch, ticket, seen) => self.write(instance, epoch, ticket, seen)?,
                Happens::Crashes => self.crash(instance),
                Happens::Restarts => self.input(instance, &Input::Event(Event::Woke))?,
            }
            if self.agents.iter().all(|agent| agent.stage == Stage::Over) {
                return self.judge();
            }
            if !self.is_good && self.is_stopped_for_good() {
                return self.judge();
            }
        }
        self.judge()
    }

    fn is_stopped_for_good(&self) -> bool {
        let is_idle = |agent: &Agent| matches!(agent.stage, Stage::Idle | Stage::Over);
        let state = self.state(usize::MAX);
        self.now > secs(3_000)
            && self.agents.iter().all(is_idle)
            && !state.may_begin(self.config.release.failures, self.config.release.max_parallel)
    }

    fn judge(&self) -> Result<(), String> {
        let limit = (self.config.release.failures + self.config.release.max_parallel) as usize;
        if !self.is_good && self.touched.len() > limit {
            return Err(format!("a bad release touched {} instances, and may {limit}", self.touched.len()));
        }
        let is_missing = |agent: &Agent| !agent.serves_new;
        if self.is_good && self.agents.iter().any(is_missing) {
            return Err("a good release does not reach all".to_owned());
        }
        Ok(())
    }

    fn crash(&mut self, instance: Instance) {
        let gate = self.gate(instance);
        let outbox = Outbox::new(self.rng.u64(..));
        let agent = &mut self.agents[instance];
        agent.epoch += 1;
        let was_judged = agent.judged;
        agent.stage = match agent.stage {
            // The next agent finds the new version serving: a good one gets its verdict when it has served for a while.
            Stage::Baking(_) | Stage::Concluding if agent.serves_new && self.is_good => {
                Stage::Baking(self.now + secs(40))
            }
            // A bad one is kept by no lock and gets no verdict: the old container is gone.
            Stage::Baking(_) if agent.serves_new => Stage::Over,
            Stage::Over => Stage::Over,
            _ if was_judged => Stage::Over,
            // It goes back to the old container, and begins again.
            _ => Stage::Idle,
        };
        (agent.gate, agent.outbox, agent.closing, agent.wakes_at) = (gate, outbox, None, None);
        let at = self.now + ms(self.rng.u64(200..90_000));
        self.plan(at, instance, Happens::Restarts);
    }

    /// What every agent does with an input.
    fn input(&mut self, instance: Instance, input: &Input) -> Result<(), String> {
        let now = Uptime(self.now);
        if let Input::Answer(ticket, _) = input
            && !self.agents[instance].outbox.close(*ticket)
        {
            return Ok(());
        }
        let agent = &mut self.agents[instance];
        let Agent { gate, outbox, closing, .. } = agent;
        gate.on(input, outbox, now);
        if let Some(old) = closing {
            old.on(input, outbox, now);
            old.advance(outbox, now);
            if old.is_over() {
                *closing = None;
            }
        }
        self.step(instance)?;
        let Agent { gate, outbox, .. } = &mut self.agents[instance];
        gate.advance(outbox, now);
        self.order(instance);
        let agent = &self.agents[instance];
        let epoch = agent.epoch;
        let stage = match agent.stage {
            Stage::Proving(until) | Stage::Moving(until) | Stage::Baking(until) => Some(until),
            _ => None,
        };
        let gates = [agent.gate.wake(), agent.closing.as_ref().and_then(Gate::wake)];
        let wake = gates.into_iter().flatten().map(|at| at.0).chain(stage).filter(|at| *at > self.now).min();
        let is_planned = |at: &Duration| agent.wakes_at.is_some_and(|planned| planned <= *at);
        if let Some(at) = wake.filter(|at| agent.stage != Stage::Over && !is_planned(at)) {
            self.agents[instance].wakes_at = Some(at);
            self.plan(at, instance, Happens::Wakes(epoch));
        }
        Ok(())
    }

    /// From one stage of the release to the next.
    fn step(&mut self, instance: Instance) -> Result<(), String> {
        let (time, now) = (self.now, Uptime(self.now));
        let (is_good, bad) = (self.is_good, || "it is bad".to_owned());
        let durations = (ms(self.rng.u64(500..80_000)), ms(self.rng.u64(100..25_000)));
        let fails_early = !is_good && self.rng.u8(..3) == 0;
        // Most agents that crash do so where it matters.
        let crash = Some(ms(self.rng.u64(0..50_000))).filter(|_| self.rng.u8(..3) == 0);
        let agent = &mut self.agents[instance];
        match agent.stage {
            Stage::Idle if agent.gate.was_bad_here() => agent.stage = Stage::Over,
            Stage::Idle => {
                if agent.closing.is_none() {
                    agent.gate.ask(now);
                }
                if agent.gate.is_open(now) {
                    agent.stage = Stage::Proving(time + durations.0);
                }
            }
            Stage::Proving(_) | Stage::Confirming if !agent.gate.is_open(now) => {
                let fresh = agent.gate.afresh();
                agent.gate.give_up(&mut agent.outbox, now);
                let old = std::mem::replace(&mut agent.gate, fresh);
                agent.closing = Some(old).filter(|old| !old.is_over());
                agent.stage = Stage::Idle;
            }
            Stage::Proving(until) if until <= time => {
                if fails_early {
                    agent.gate.conclude(Verdict::Bad, bad(), None, now);
                    agent.stage = Stage::Concluding;
                } else {
                    agent.gate.confirm(now);
                    agent.stage = Stage::Confirming;
                }
            }
            Stage::Confirming if agent.gate.is_confirmed(now) => {
                agent.stage = Stage::Moving(time + durations.1);
                self.touched.insert(instance);
                let moving = self.agents.iter().filter(|agent| matches!(agent.stage, Stage::Moving(_))).count();
                if moving > self.config.release.max_parallel as usize {
                    return Err(format!("{moving} move at once"));
                }
                if let Some(after) = crash.filter(|_| self.crashes > 0) {
                    self.crashes -= 1;
                    self.plan(time + after, instance, Happens::Crashes);
                }
            }
            Stage::Moving(until) if until <= time => {
                agent.serves_new = true;
                agent.stage = Stage::Baking(time + secs(30));
            }
            Stage::Baking(until) if until <= time => {
                agent.serves_new = is_good;
                agent.gate.conclude(if is_good { Verdict::Ok } else { Verdict::Bad }, bad(), None, now);
                agent.stage = Stage::Concluding;
            }
            Stage::Concluding if agent.gate.is_over() => agent.stage = Stage::Over,
            _ => {} // it waits
        }
        Ok(())
    }

    fn order(&mut self, instance: Instance) {
        while let Some(effect) = self.agents[instance].outbox.take() {
            let Effect::Job(Ticket(ticket), job) = effect else {
                let Effect::Command(Command::Cancel(_)) = effect else { continue };
                continue; // what is under way may still land
            };
            let epoch = self.agents[instance].epoch;
            self.jobs.insert((instance, epoch, ticket), job);
            let at = self.now + self.latency();
            self.plan(at, instance, Happens::Looks(epoch, ticket));
        }
    }

    /// What the board has for this instance.
    fn state(&self, instance: Instance) -> BoardState {
        let count = |wanted: Verdict| self.verdicts.values().filter(|verdict| **verdict == wanted).count();
        let is_unsettled = |marked: &&Instance| **marked != instance && !self.verdicts.contains_key(*marked);
        BoardState {
            ok: u32::try_from(count(Verdict::Ok)).unwrap(),
            bad: u32::try_from(count(Verdict::Bad)).unwrap(),
            own: self.verdicts.get(&instance).copied(),
            has_begun: self.marks.contains_key(&instance) && !self.verdicts.contains_key(&instance),
            unsettled: u32::try_from(self.marks.keys().filter(is_unsettled).count()).unwrap(),
            is_halted: false,
            pardoned: 0,
        }
    }

    fn look(&mut self, instance: Instance, epoch: u32, ticket: u64) -> Result<(), String> {
        let Some(job) = self.jobs.get(&(instance, epoch, ticket)).cloned() else { return Ok(()) };
        if self.rng.u8(..40) == 0 {
            return self.answer(instance, epoch, ticket, &job, fails(&job, ErrorClass::Transient));
        }
        let seconds = self.now.as_secs();
        let seen = match &job {
            Job::ReadBoard { .. } => {
                let state = self.state(instance);
                return self.answer(instance, epoch, ticket, &job, Event::BoardRead(state));
            }
            Job::TakeLock { locks, .. } => {
                let number = |lock: &(u32, u8)| *lock;
                let order = |number: u32| match self.locks.get(&number) {
                    Some(lock) if lock.holder == instance => Some(0),
                    None => Some(1),
                    Some(lock) if seconds.saturating_sub(lock.written) >= lock.lease => Some(2),
                    Some(_) => None,
                };
                let best =
                    (0..*locks).filter_map(|number| Some((number, order(number)?))).min_by_key(|lock| number(lock).1);
                let Some((number, _)) = best else {
                    return self.answer(instance, epoch, ticket, &job, Event::LocksBusy);
                };
                Some((number, self.locks.get(&number).map(|lock| lock.etag)))
            }
            _ => None,
        };
        let at = self.now + self.latency();
        self.plan(at, instance, Happens::Writes(epoch, ticket, seen));
        Ok(())
    }

    fn write(
        &mut self,
        instance: Instance,
        epoch: u32,
        ticket: u64,
        seen: Option<(u32, Option<u64>)>,
    ) -> Result<(), String> {
        let Some(job) = self.jobs.get(&(instance, epoch, ticket)).cloned() else { return Ok(()) };
        self.etags += 1;
        let (etag, written) = (self.etags, self.now.as_secs());
        let lock = |lease: &Duration| Lock { holder: instance, etag, written, lease: lease.as_secs() };
        let held = |number: u32| HeldLock { number, etag: etag.to_string() };
        let event = match &job {
            Job::TakeLock { lease, .. } => match seen {
                Some((number, before)) if self.locks.get(&number).map(|lock| lock.etag) == before => {
                    self.locks.insert(number, lock(lease));
                    Event::LockTaken(held(number))
                }
                _ => Event::LocksBusy,
            },
            Job::RenewLock { lock: own, lease, .. } => match self.locks.get(&own.number) {
                // Also after a write of its own whose answer was lost.
                Some(found) if found.holder == instance => {
                    self.locks.insert(own.number, lock(lease));
                    Event::LockTaken(held(own.number))
                }
                _ => Event::LockLost,
            },
            Job::ReleaseLock { lock: own, .. } => {
                if self.locks.get(&own.number).is_some_and(|found| found.holder == instance) {
                    self.locks.remove(&own.number);
                }
                Event::LockReleased
            }
            Job::MarkBegun { .. } => {
                self.marks.insert(instance, etag);
                Event::Marked(etag.to_string())
            }
            Job::TakeBackMark { etag, .. } => {
                if self.marks.get(&instance).is_some_and(|found| found.to_string() == *etag) {
                    self.marks.remove(&instance);
                }
                Event::Unmarked
            }
            Job::WriteVerdict { verdict, .. } => {
                self.verdicts.entry(instance).or_insert(*verdict);
                self.agents[instance].judged = true;
                Event::VerdictWritten
            }
            other => panic!("no gate orders {other}"),
        };
        // The answer may be lost although it was carried out.
        let is_lost = self.rng.u8(..40) == 0;
        let event = if is_lost { fails(&job, ErrorClass::Transient) } else { event };
        self.answer(instance, epoch, ticket, &job, event)
    }

    fn answer(&mut self, instance: Instance, epoch: u32, ticket: u64, _: &Job, event: Event) -> Result<(), String> {
        self.jobs.remove(&(instance, epoch, ticket));
        if self.agents[instance].epoch != epoch {
            return Ok(());
        }
        self.input(instance, &Input::Answer(Ticket(ticket), event))
    }
}

fn fails(job: &Job, class: ErrorClass) -> Event {
    Event::Failed(JobKind::from(job), JobError::new(class, "503 SlowDown"))
}

#[expect(clippy::disallowed_methods, reason = "how many fleets is up to who runs the test")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn a_good_release_reaches_all_and_a_bad_one_few() {
    let (first, last) = match number("FLEET") {
        Some(one) => (one, one),
        None => (number("FLEET_FIRST").unwrap_or(1), number("FLEETS").unwrap_or(40)),
    };
    for seed in first..=last {
        let mut fleet = Fleet::new(seed);
        if let Err(broken) = fleet.run() {
            panic!(
                "FLEET={seed}: {broken} after {:?}: {} instances, {} locks, {} failures, {} crashes, good: {}",
                fleet.now,
                fleet.agents.len(),
                fleet.config.release.max_parallel,
                fleet.config.release.failures,
                fleet.crashes,
                fleet.is_good
            );
        }
    }
}
