//! One target: registered, proven by the load balancer, deregistered.
//!
//! ```text
//!   out ─enter─▶ checking ─free─▶ registering ─▶ proving ─healthy─▶ in
//!    ▲              ▲ draining: asked again          │                │
//!    │              │                                └─────leave──────┤
//!   left ◀──────── (wanted again) ◀── leaving ◀───────────────────────┘
//! ```
//! A target that is still draining is not registered again (invariant 14): the load balancer may send requests there that were meant
//! for what was there before. In `in` nothing is asked (invariant 11).

use std::time::Duration;

use crate::clock::{Moment, Uptime};
use crate::message::error::{ErrorClass, JobError};
use crate::message::event::Event;
use crate::message::input::Input;
use crate::message::job::Job;
use crate::message::target::{Target, TargetHealth, TargetHealthState};
use crate::outbox::Outbox;
use crate::retry::FAR;
use crate::step::Step;
use crate::view::StepName;

use super::line::Line;

pub(super) use queries::Reason;
pub(super) use stage::Limit;
use stage::{Call, Delay, Stage};

mod queries;
mod stage;

/// Between two questions whether the load balancer calls the target healthy, give or take a half.
const PROVE_EVERY: Duration = Duration::from_secs(5);
/// The same after a question that was throttled, give or take a half.
const PROVE_THROTTLED: Duration = Duration::from_secs(20);
/// So long before `target.timeout` is over, the load balancer is asked for the last time.
const LAST_WORD: Duration = Duration::from_secs(1);
/// Between two questions whether the load balancer has let go of it, give or take a third.
const UNUSED_EVERY: Duration = Duration::from_secs(15);
/// The same once the deregistration delay is over.
const LATE_EVERY: Duration = Duration::from_secs(3);
/// After the deregistration delay, the first question comes within this.
const AFTER_DELAY: Duration = Duration::from_secs(2);
/// For one answer; the adapter gives up before that.
const ANSWER: Duration = Duration::from_secs(60);

/// One target of this instance.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    target: Target,
    stage: Stage,
    /// By when it has to be healthy, if it is to be in.
    wanted: Option<Limit>,
    /// When `target.timeout` is over, once it is registered.
    proven_by: Option<Uptime>,
    /// From the first call to healthy, for people.
    step: Step<()>,
    /// Once a drain waits for the load balancer: how long its nodes may take to learn of the deregistration.
    watched: Option<Duration>,
    /// When they have, after the last deregistration.
    settled_at: Option<Uptime>,
    /// When it was deregistered, until it is registered again.
    left_at: Option<Moment>,
    /// What the load balancer reported last.
    health: Option<TargetHealth>,
    /// The deregistration delay of its target group, if it was asked for.
    delay: Option<Delay>,
    /// Whether it was ever asked to be registered, by this agent.
    is_asked: bool,
    /// Attempts of this stage that failed, in a row.
    attempts: u32,
    /// The last of them.
    error: Option<JobError>,
    /// Changes that the next agent has to know of.
    changes: u64,
}

impl Registration {
    /// A target that this agent knows nothing of, but perhaps that nothing is registered there.
    pub(super) fn new(target: Target, is_free: bool) -> Self {
        Self {
            target,
            stage: Stage::Out { is_free },
            wanted: None,
            proven_by: None,
            step: Step::new(StepName::Target, FAR),
            watched: None,
            settled_at: None,
            left_at: None,
            health: None,
            delay: None,
            is_asked: false,
            attempts: 0,
            error: None,
            changes: 0,
        }
    }

    /// One that is known to be registered.
    pub(super) fn registered(target: Target) -> Self {
        Self { stage: Stage::In, changes: 1, ..Self::new(target, false) }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// It is to be in.
    pub(super) fn enter(&mut self, limit: Limit, outbox: &mut Outbox, now: Uptime) {
        if self.wanted.replace(limit).is_some() || self.is_in() {
            return;
        }
        self.step.reopen();
        self.step.mark(now);
        (self.proven_by, self.watched, self.settled_at) = (None, None, None);
        match &self.stage {
            Stage::Out { is_free: true } => self.go(Stage::Registering(Call::Next(now))),
            Stage::Out { is_free: false } | Stage::Left { .. } | Stage::Refused { .. } => {
                self.halt(outbox);
                self.go(Stage::Checking(Call::Next(now)));
            }
            Stage::Proving(_) => self.proven_by = Some(now + limit.proving),
            // It goes on from there.
            Stage::Checking(_) | Stage::Registering(_) | Stage::In | Stage::Leaving(_) => {}
        }
    }

    /// The same container is to be in again: what the load balancer still sends there is meant for it, so the deregistration delay is not
    /// waited for.
    pub(super) fn enter_again(&mut self, limit: Limit, outbox: &mut Outbox, now: Uptime) {
        if matches!(self.stage, Stage::Left { .. }) {
            self.halt(outbox);
            self.go(Stage::Registering(Call::Next(now)));
        }
        self.enter(limit, outbox, now);
    }

    /// Another app is to answer there: whether the load balancer calls it healthy is asked again.
    pub(super) fn doubt(&mut self, now: Uptime) {
        if matches!(self.stage, Stage::In) {
            self.go(Stage::Proving(Call::Next(now)));
        }
    }

    /// It is to be out.
    pub(super) fn leave(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.wanted = None;
        if !matches!(self.stage, Stage::Leaving(_)) {
            self.halt(outbox);
        }
        match &self.stage {
            Stage::Checking(_) => self.stay_out(),
            Stage::Registering(_) if self.error.is_none() && !self.is_asked => self.stay_out(),
            // A call that was made may be carried out later than its answer is waited for.
            Stage::Registering(_) | Stage::Proving(_) | Stage::In | Stage::Refused { is_registered: true } => {
                (self.attempts, self.error) = (0, None);
                self.go(Stage::Leaving(Call::Next(now)));
            }
            Stage::Left { .. } => self.stage = Stage::Left { asked: None },
            Stage::Out { .. } | Stage::Leaving(_) | Stage::Refused { is_registered: false } => {}
        }
    }

    /// It was not registered again: what is left of an earlier time goes on.
    fn stay_out(&mut self) {
        self.go(if self.left_at.is_some() { Stage::Left { asked: None } } else { Stage::Out { is_free: false } });
    }

    /// Cancels what is under way.
    pub(super) fn halt(&mut self, outbox: &mut Outbox) {
        if let Some(Call::Asked { ticket, .. }) = self.stage.call() {
            outbox.cancel(ticket);
        }
        if matches!(self.delay, Some(Delay::Asked)) {
            self.delay = None;
        }
    }

    /// From here on the load balancer is asked whether it has let go of it, first when all of its nodes have learnt of the deregistration.
    pub(super) fn watch(&mut self, settle: Duration, now: Uptime) {
        self.watched = Some(settle);
        self.ask_first(now);
    }

    /// Nobody waits for it any more: that it was deregistered, and when, is all that has to be known.
    pub(super) fn stop_watching(&mut self, outbox: &mut Outbox) {
        if matches!(self.stage, Stage::Left { .. }) {
            self.halt(outbox);
            self.stage = Stage::Left { asked: None };
        }
        (self.watched, self.settled_at) = (None, None);
    }

    fn ask_first(&mut self, now: Uptime) {
        if let (Stage::Left { asked: asked @ None }, Some(settle), Some(at)) =
            (&mut self.stage, self.watched, self.left_at)
        {
            let settled_at = now + at.left_of(settle, now);
            (*asked, self.settled_at) = (Some(Call::Next(settled_at)), Some(settled_at));
        }
    }

    /// Takes the answer to one of its calls.
    pub(super) fn on(&mut self, input: &Input, line: Option<&Line>, outbox: &mut Outbox, now: Uptime) {
        let Some(Call::Asked { ticket, .. }) = self.stage.call() else { return };
        let Some(event) = input.answer_to(ticket) else { return };
        match event {
            Event::TargetsDescribed(described) => {
                let own = described.iter().find(|(port, _)| *port == self.target.port);
                let health = own.map_or(TargetHealth::of(TargetHealthState::Unused), |(_, health)| health.clone());
                self.described(health, outbox, now);
            }
            Event::TargetRegistered => {
                self.left_at = None;
                self.prove(now);
                self.judge(false, outbox, now);
            }
            Event::TargetDeregistered => self.left(outbox, now),
            Event::DelayDescribed(delay) => {
                self.delay = Some(Delay::Known(*delay));
                self.changes += 1;
                self.ask_later(outbox, now);
            }
            Event::Failed(_, error) => self.failed(error, line, outbox, now),
            _ => {} // no answer to a job of its own
        }
    }

    fn described(&mut self, health: TargetHealth, outbox: &mut Outbox, now: Uptime) {
        (self.attempts, self.error) = (0, None);
        let (is_good, is_unused) = (health.is_good(), health.is_unused());
        let is_registered = health.is_registered();
        let is_draining = health.state == TargetHealthState::Draining;
        let is_known = health.state != TargetHealthState::Unknown;
        self.health = Some(health);
        match &self.stage {
            Stage::Checking(_) if is_draining => {
                self.step.pause(now);
                self.stage = Stage::Checking(Call::Next(now + outbox.about(UNUSED_EVERY, 1.0 / 3.0)));
            }
            Stage::Checking(_) if is_registered => {
                self.prove(now);
                self.judge(is_good, outbox, now);
            }
            Stage::Checking(_) => self.go(Stage::Registering(Call::Next(now))),
            // Somebody else deregistered it.
            Stage::Proving(_) if is_draining => self.go(Stage::Checking(Call::Next(now))),
            Stage::Proving(_) if !is_registered => {
                self.go(Stage::Registering(Call::Next(now + outbox.about(PROVE_EVERY, 0.5))));
            }
            Stage::Proving(_) => self.judge(is_good, outbox, now),
            // The delay is over, whatever it is.
            Stage::Left { .. } if is_unused => {
                let passed = self.left_at.map_or(Duration::MAX, |at| at.age(now));
                self.delay = Some(Delay::Known(self.known_delay().map_or(passed, |delay| delay.min(passed))));
                self.stage = Stage::Left { asked: None };
                self.changes += 1;
            }
            // A registration that was cancelled was carried out after the deregistration.
            Stage::Left { .. } if is_registered && is_known => self.go(Stage::Leaving(Call::Next(now))),
            Stage::Left { .. } => self.still_draining(outbox, now),
            Stage::Out { .. } | Stage::Registering(_) | Stage::In | Stage::Leaving(_) | Stage::Refused { .. } => {}
        }
    }

    fn judge(&mut self, is_good: bool, outbox: &mut Outbox, now: Uptime) {
        if is_good {
            self.step.done((), now);
            return self.go(Stage::In);
        }
        self.step.pause(now);
        let next = now + outbox.about(PROVE_EVERY, 0.5);
        // Once more before the time is over: the reason that is shown is the last one.
        let last = self.proven_by.map(|until| Uptime(until.0.saturating_sub(LAST_WORD))).filter(|last| *last > now);
        self.stage.set_call(Call::Next(last.map_or(next, |last| last.min(next))));
    }

    /// It is registered.
    fn prove(&mut self, now: Uptime) {
        (self.attempts, self.error) = (0, None);
        let proving = self.wanted.map_or(Duration::ZERO, |limit| limit.proving);
        self.proven_by.get_or_insert(now + proving);
        self.go(Stage::Proving(Call::Next(now)));
    }

    fn left(&mut self, outbox: &mut Outbox, now: Uptime) {
        (self.attempts, self.error, self.health) = (0, None, None);
        self.left_at = Some(Moment::now(now));
        self.go(Stage::Left { asked: None });
        self.ask_first(now);
        if self.wanted.is_some() {
            // An answer at once may still be the one of before.
            self.go(Stage::Checking(Call::Next(now + outbox.about(UNUSED_EVERY, 1.0 / 3.0))));
        }
    }

    /// The delay is asked for once: then the question comes when it is over.
    fn still_draining(&mut self, outbox: &mut Outbox, now: Uptime) {
        if self.delay.is_none() {
            self.delay = Some(Delay::Asked);
            let ticket = outbox.emit(Job::DescribeDelay(self.target.target_group.clone()));
            return self.stage.set_call(Call::Asked { ticket, until: now + ANSWER });
        }
        self.ask_later(outbox, now);
    }

    fn ask_later(&mut self, outbox: &mut Outbox, now: Uptime) {
        let left = self.known_delay().zip(self.left_at).map(|(delay, at)| at.left_of(delay, now));
        let wait = match left {
            Some(Duration::ZERO) => outbox.about(LATE_EVERY, 1.0 / 3.0),
            Some(left) => (left + outbox.some_of(AFTER_DELAY)).min(outbox.about(UNUSED_EVERY, 1.0 / 3.0)),
            None => outbox.about(UNUSED_EVERY, 1.0 / 3.0),
        };
        self.stage.set_call(Call::Next(now + wait));
    }

    fn failed(&mut self, error: &JobError, line: Option<&Line>, outbox: &mut Outbox, now: Uptime) {
        if matches!(self.delay, Some(Delay::Asked)) {
            self.delay = Some(Delay::Unknown);
            return self.ask_later(outbox, now);
        }
        self.attempts = self.attempts.saturating_add(1);
        self.error = Some(error.clone());
        if error.is_transient() {
            let wait = match (error.class, &self.stage, line) {
                (ErrorClass::Throttled, Stage::Registering(_), Some(line)) => line.wait(self.attempts, outbox, now),
                // Others wait for an answer before they may register; this one is in traffic already, or will be.
                (ErrorClass::Throttled, Stage::Proving(_), _) => outbox.about(PROVE_THROTTLED, 0.5),
                (ErrorClass::Throttled, Stage::Checking(_), _) => outbox.stand_back(self.attempts.min(2)),
                (ErrorClass::Throttled, ..) => outbox.stand_back(self.attempts),
                _ => outbox.wait(FAR, self.attempts),
            };
            self.step.pause(now);
            return self.stage.set_call(Call::Next(now + wait));
        }
        self.step.refuse(error, now);
        match &self.stage {
            Stage::Checking(_) | Stage::Registering(_) => self.go(Stage::Refused { is_registered: false }),
            Stage::Proving(_) | Stage::Leaving(_) => self.go(Stage::Refused { is_registered: true }),
            // Whether it is unused stays unknown.
            Stage::Left { .. } => self.stage = Stage::Left { asked: None },
            Stage::Out { .. } | Stage::In | Stage::Refused { .. } => {}
        }
    }

    /// Orders what is due.
    pub(super) fn advance(&mut self, line: Option<&Line>, outbox: &mut Outbox, now: Uptime) {
        if let Some(ticket) = self.stage.call().and_then(|call| call.late(now)) {
            outbox.cancel(ticket);
            self.failed(&JobError::new(ErrorClass::Transient, "no answer came"), None, outbox, now);
        }
        if !self.active_call().is_some_and(|call| call.due(now)) {
            return;
        }
        if let (Stage::Registering(_), 0, Some(turn)) =
            (&self.stage, self.attempts, line.and_then(|line| line.turn(now)))
        {
            return self.stage.set_call(Call::Next(turn));
        }
        let Target { target_group, port } = self.target.clone();
        let ask = || Job::DescribeTargets { target_group, ports: vec![port] };
        let job = match &self.stage {
            Stage::Registering(_) => Job::RegisterTarget(self.target.clone()),
            Stage::Leaving(_) => Job::DeregisterTarget(self.target.clone()),
            Stage::Out { .. }
            | Stage::Checking(_)
            | Stage::Proving(_)
            | Stage::In
            | Stage::Left { .. }
            | Stage::Refused { .. } => ask(),
        };
        if self.wanted.is_some() {
            self.step.resume(now);
        }
        self.is_asked |= matches!(self.stage, Stage::Registering(_));
        let ticket = outbox.emit(job);
        self.stage.set_call(Call::Asked { ticket, until: now + ANSWER });
    }

    /// When it wants to be woken.
    pub(super) fn wake(&self) -> Option<Uptime> {
        let late = self.wanted.filter(|_| !self.is_in()).map(|limit| limit.at);
        let proving = self.proven_by.filter(|_| matches!(self.stage, Stage::Proving(_)) && self.wanted.is_some());
        [self.active_call().map(Call::wake), late, proving].into_iter().flatten().min()
    }

    fn known_delay(&self) -> Option<Duration> {
        match self.delay {
            Some(Delay::Known(delay)) => Some(delay),
            Some(Delay::Asked | Delay::Unknown) | None => None,
        }
    }

    /// Nothing is asked of a target that an agent before this one left, until it is known whether it is wanted.
    fn active_call(&self) -> Option<Call> {
        let idles = matches!(self.stage, Stage::Checking(_) | Stage::Registering(_) | Stage::Proving(_));
        self.stage.call().filter(|_| !idles || self.wanted.is_some())
    }

    fn go(&mut self, stage: Stage) {
        self.stage = stage;
        self.changes += 1;
    }
}
