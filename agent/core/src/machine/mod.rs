//! The machine: which phase the instance is in, and who hands over to whom. It never fails, waits or does IO.
//!
//! ```text
//!            healthy               notice, signal, asked for
//!   boot ───────────────▶ serve ──────────────────────────▶ drain ───▶ gone(0 | 5)
//!    │ ▲ └── notice … ─────┼──────────────────────────────────▲ │
//!    │ │ InService         │ lost, hook refused               │ │ back to the pool
//!    │ warm ◀──────────────┼──────────────────────────────────┼─┘
//!    │ failed              ▼                                  │
//!    ├─────────────────▶ failing ───▶ gone(2 | 3 | 4)         │
//!    └── on_failure=hold ──▶ hold ────────────────────────────┘
//! ```
//! A handover (`berth handover`) ends boot, serve, warm and hold as a kill would, with the container left as it is, and the
//! next agent begins anew. On the way out it is refused: the next agent would not know that somebody asked to leave.
//!
//! A kill is no end of a drain: the next agent is handed what is left of it, and goes on as soon as it knows which instance it
//! is on (drain/unfinished.rs).
//!
//! What the surroundings want is asked for in every phase (notice.rs), and reaches drain from any of them in one event; a
//! drain hears later notices without beginning anew (invariant 7).
//!
//! Events come in with the time, effects go out with tickets. Only the driver calls it (invariant 2).

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use berth_config::{Config, Foreign, OnFailure, OnNotice};

use crate::clock::Uptime;
use crate::message::command::Command;
use crate::message::effect::Effect;
use crate::message::event::Event;
use crate::message::identity::TargetState;
use crate::message::input::Input;
use crate::message::job::{Job, JobKind};
use crate::message::outcome::Outcome;
use crate::metadata_guard::MetadataGuard;
use crate::outbox::Outbox;
use crate::phase::boot::{Boot, BootNext};
use crate::phase::drain::{Cause, Drain, DrainNext, Unfinished};
use crate::phase::failing::{Failing, FailingNext, Failure};
use crate::phase::hold::Hold;
use crate::phase::past::Past;
use crate::phase::serve::{Serve, ServeNext};
use crate::phase::warm::Warm;
use crate::view::{PhaseName, PhaseView, ReadyReason, View};
use crate::watcher::{Notice, Watcher};

mod show;

/// What holds until a config is read. They are made once in a process.
static DEFAULTS: LazyLock<Arc<Config>> = LazyLock::new(|| Arc::new(Config::defaults()));

/// Phases kept for people to look at.
const PHASES_KEPT: usize = 50;

/// One life, from start to gone.
#[derive(Clone, Debug)]
pub struct Machine {
    phase: Phase,
    since: Uptime,
    watcher: Watcher,
    guard: MetadataGuard,
    /// The config that was read last, and the defaults before that: it decides what a notice means.
    config: Arc<Config>,
    /// A drain that an agent before this one was killed in, and when this was handed in, until it is known whose it is.
    former: Option<(Unfinished, Uptime)>,
    /// What the user-data is if it holds no config, for people.
    foreign: Option<Foreign>,
    outbox: Outbox,
    /// What could be seen at the end, once it is over.
    last: Option<Box<View>>,
    /// For people.
    phases: Vec<PhaseView>,
    retries: BTreeMap<JobKind, u32>,
    /// Answers that no further attempt can change.
    refused: BTreeMap<JobKind, u32>,
}

#[derive(Clone, Debug)]
enum Phase {
    Boot(Box<Boot>),
    Serve(Box<Serve>),
    Drain(Box<Drain>),
    Warm(Box<Warm>),
    Failing(Box<Failing>),
    Hold(Box<Hold>),
    Gone,
}

/// Where an event leads.
enum MachineNext {
    Stay,
    Boot,
    Serve,
    Warm,
    Drain(Cause),
    Fail(Failure),
    Gone(Outcome),
    HandOver,
}

impl Machine {
    /// A new life; `seed` decides every jitter in it.
    pub fn new(seed: u64, now: Uptime) -> Self {
        let mut outbox = Outbox::new(seed);
        let config = DEFAULTS.clone();
        let boot = Boot::begin(config.clone(), &mut outbox, now);
        let phase = Phase::Boot(Box::new(boot));
        let phases = vec![PhaseView { name: PhaseName::Boot, began_seconds: now.0.as_secs_f64() }];
        Self {
            phase,
            since: now,
            watcher: Watcher::new(config.lifecycle.poll),
            guard: MetadataGuard::default(),
            config,
            former: None,
            foreign: None,
            outbox,
            last: None,
            phases,
            retries: BTreeMap::new(),
            refused: BTreeMap::new(),
        }
    }

    /// The same after an agent that was killed in a drain, of which this is left.
    #[must_use]
    pub fn after(self, former: Option<Unfinished>, now: Uptime) -> Self {
        Self { former: former.map(|former| (former, now)), ..self }
    }

    /// The same with a `boot.timeout` that is known before the config is read.
    #[must_use]
    pub fn within(mut self, limit: Option<Duration>) -> Self {
        if let (Phase::Boot(boot), Some(limit)) = (&mut self.phase, limit) {
            boot.limit(limit);
        }
        self
    }

    /// The only way in.
    pub fn on(&mut self, input: &Input, now: Uptime) {
        // Nobody waits for the answer to a job that was cancelled.
        if input.ticket().is_some_and(|ticket| !self.outbox.close(ticket)) {
            return;
        }
        let event = input.event();
        self.count(event);
        self.note_membership(event);
        let next = self.react(input, now);
        self.go(next, now);
        let next = self.resume(event);
        self.go(next, now);
        for notice in self.watch(input, now) {
            let next = self.hear(&notice, now);
            self.go(next, now);
        }
        // Whatever this agent does from here on is its own.
        if matches!(event, Event::Identified(_)) {
            self.former = None;
        }
        if let Some((past, outbox)) = self.past() {
            past.attend_endpoint(input, outbox, now);
        }
        self.guard.on(input, &mut self.outbox, now);
        if !matches!(self.phase, Phase::Gone) {
            self.guard.advance(&mut self.outbox, now);
            let notice = self.watcher.advance(&mut self.outbox, now);
            let next = notice.map_or(MachineNext::Stay, |notice| self.hear(&notice, now));
            self.go(next, now);
        }
    }

    /// Goes on with the drain of the agent before this one; what is left of another instance's is nothing.
    fn resume(&mut self, event: &Event) -> MachineNext {
        let Event::Identified(identity) = event else { return MachineNext::Stay };
        self.former = self.former.take().filter(|(former, _)| former.instance_id == identity.instance_id);
        match (&self.phase, &self.former) {
            (Phase::Boot(_), Some((former, _))) if former.goes_on(identity.target_state.as_ref()) => {
                MachineNext::Drain(former.cause.clone())
            }
            _ => MachineNext::Stay,
        }
    }

    /// What the next agent needs to know if this one is killed in a drain.
    pub fn unfinished(&self, now: Uptime) -> Option<Unfinished> {
        match (&self.phase, &self.former) {
            (Phase::Drain(drain), _) => drain.unfinished(now),
            (Phase::Boot(_), Some((former, at))) => Some(former.clone().after(now.since(*at))),
            _ => None,
        }
    }

    /// Whether it is known which instance this is, and so whose the drain before was.
    fn is_identified(&self) -> bool {
        matches!(&self.phase, Phase::Boot(boot) if boot.identity().is_some())
    }

    /// What the boot left, once it is over.
    fn past(&mut self) -> Option<(&mut Past, &mut Outbox)> {
        let past = match &mut self.phase {
            Phase::Serve(serve) => &mut serve.past,
            Phase::Drain(drain) => &mut drain.past,
            Phase::Warm(warm) => &mut warm.past,
            Phase::Failing(failing) => &mut failing.past,
            Phase::Hold(hold) => &mut hold.past,
            Phase::Boot(_) | Phase::Gone => return None,
        };
        Some((past, &mut self.outbox))
    }

    /// Counts what no step counts.
    fn count(&mut self, event: &Event) {
        if let Event::Failed(
            job @ (JobKind::WatchMetadata
            | JobKind::RecordHeartbeat
            | JobKind::CountConnections
            | JobKind::CheckSecrets
            | JobKind::CheckMetadataBlock
            | JobKind::SignalApp
            | JobKind::WatchContainer),
            _,
        ) = event
        {
            let count = self.retries.entry(*job).or_default();
            *count = count.saturating_add(1);
        }
        if let Event::Failed(job, error) = event
            && !error.is_transient()
        {
            let count = self.refused.entry(*job).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// An instance that the metadata shows in a group may have a launch hook.
    fn note_membership(&mut self, event: &Event) {
        if matches!(event, Event::MetadataSeen(snapshot) if snapshot.target_state.is_some()) {
            match &mut self.phase {
                Phase::Boot(boot) => boot.joins_group(),
                Phase::Drain(drain) => drain.joins_group(),
                Phase::Serve(_) | Phase::Warm(_) | Phase::Failing(_) | Phase::Hold(_) | Phase::Gone => {
                    if let Some((past, _)) = self.past() {
                        past.hook.joins_group();
                    }
                }
            }
        }
    }

    /// What the input means for the phase.
    fn react(&mut self, input: &Input, now: Uptime) -> MachineNext {
        let outbox = &mut self.outbox;
        match (&mut self.phase, input.event()) {
            (Phase::Boot(_) | Phase::Serve(_) | Phase::Hold(_) | Phase::Warm(_), Event::Signalled(_)) => {
                MachineNext::Drain(Cause::Signal)
            }
            (Phase::Boot(_) | Phase::Serve(_) | Phase::Hold(_) | Phase::Warm(_), Event::DrainRequested(reason)) => {
                MachineNext::Drain(Cause::Asked(reason.clone().unwrap_or_else(|| "no reason given".to_owned())))
            }
            (Phase::Boot(_) | Phase::Serve(_) | Phase::Hold(_) | Phase::Warm(_), Event::HandoverRequested) => {
                MachineNext::HandOver
            }
            (Phase::Drain(_), Event::HandoverRequested) => {
                outbox.command(Command::RefuseHandover("the instance drains, and the next agent would not know it"));
                MachineNext::Stay
            }
            (Phase::Failing(_) | Phase::Gone, Event::HandoverRequested) => {
                outbox.command(Command::RefuseHandover("the instance is given up, and this agent ends soon"));
                MachineNext::Stay
            }
            (Phase::Boot(boot), _) => match boot.on(input, outbox, now) {
                BootNext::Stay => MachineNext::Stay,
                BootNext::Serve => MachineNext::Serve,
                BootNext::Warm => MachineNext::Warm,
                BootNext::Occupied => MachineNext::Drain(Cause::BackToPool(
                    self.watcher.target_state().cloned().unwrap_or(TargetState::WarmedRunning),
                )),
                BootNext::Fail(failure) => MachineNext::Fail(failure),
            },
            (Phase::Serve(serve), _) => match serve.on(input, outbox, now) {
                ServeNext::Stay => MachineNext::Stay,
                ServeNext::Fail(failure) => MachineNext::Fail(failure),
            },
            (Phase::Drain(drain), _) => match drain.on(input, outbox, now) {
                DrainNext::Stay => MachineNext::Stay,
                DrainNext::Gone(outcome) => MachineNext::Gone(outcome),
                DrainNext::Warm => MachineNext::Warm,
            },
            (Phase::Failing(failing), _) => match failing.on(input, outbox, now) {
                FailingNext::Stay => MachineNext::Stay,
                FailingNext::Gone(outcome) => MachineNext::Gone(outcome),
            },
            (Phase::Hold(hold), _) => {
                if hold.on(input, outbox, now) {
                    MachineNext::Fail(hold.failure().clone())
                } else {
                    MachineNext::Stay
                }
            }
            (Phase::Warm(warm), _) => match warm.on(input, outbox, now) {
                Some(reason) => MachineNext::Fail(Failure::of_boot(ReadyReason::LaunchHookRefused, reason)),
                None => MachineNext::Stay,
            },
            (Phase::Gone, _) => MachineNext::Stay, // nothing can happen any more
        }
    }

    /// What the event says of the surroundings.
    fn watch(&mut self, input: &Input, now: Uptime) -> Vec<Notice> {
        match input.event() {
            Event::Identified(identity) => self.watcher.begin(identity.target_state.as_ref(), now),
            Event::ConfigRead(config) => {
                self.config = config.clone();
                self.watcher.set_interval(config.lifecycle.poll, &mut self.outbox, now);
                self.guard.configure(config.imds, &mut self.outbox, now);
                Vec::new()
            }
            Event::UserDataIsForeign(foreign) => {
                self.foreign = Some(*foreign);
                Vec::new()
            }
            _ => self.watcher.on(input, &mut self.outbox, now),
        }
    }

    /// What a notice means for the phase.
    fn hear(&mut self, notice: &Notice, now: Uptime) -> MachineNext {
        let cause = match notice {
            Notice::Target(TargetState::Terminated | TargetState::WarmedTerminated) => Some(Cause::Terminated),
            Notice::Target(
                state @ (TargetState::WarmedRunning | TargetState::WarmedStopped | TargetState::WarmedHibernated),
            ) => Some(Cause::BackToPool(state.clone())),
            Notice::Target(TargetState::RootVolume(word)) => Some(Cause::RootVolume(word.clone())),
            Notice::Spot(interruption) if self.config.spot == OnNotice::Drain => {
                Some(Cause::Spot(interruption.ends_in))
            }
            Notice::Rebalance if self.config.rebalance == OnNotice::Drain => Some(Cause::Rebalance(notice.to_string())),
            Notice::Maintenance(_) if self.config.maintenance == OnNotice::Drain => {
                Some(Cause::Maintenance(notice.to_string()))
            }
            // Detached carries on, and so does whoever is told a word that this version does not know.
            Notice::Target(_) | Notice::Spot(_) | Notice::Rebalance | Notice::Maintenance(_) => None,
        };
        let Notice::Target(state) = notice else { return self.leave_for(cause, now) };
        match (&mut self.phase, state) {
            (Phase::Serve(serve), TargetState::InService | TargetState::Standby) => {
                serve.set_standby(*state == TargetState::Standby);
                MachineNext::Stay
            }
            (Phase::Warm(_), TargetState::InService) => MachineNext::Boot,
            (Phase::Boot(boot), TargetState::InService) => {
                boot.enter_service(&mut self.outbox, now);
                MachineNext::Stay
            }
            (Phase::Hold(hold), TargetState::InService) => {
                hold.enter_service(&mut self.outbox, now);
                MachineNext::Stay
            }
            (Phase::Boot(boot), _) if matches!(cause, Some(Cause::BackToPool(_))) && boot.app().is_none() => {
                boot.prepare();
                MachineNext::Stay
            }
            (Phase::Warm(_), _) if matches!(cause, Some(Cause::BackToPool(_))) => MachineNext::Stay,
            _ => self.leave_for(cause, now),
        }
    }

    fn leave_for(&mut self, cause: Option<Cause>, now: Uptime) -> MachineNext {
        match (&mut self.phase, cause) {
            (_, None) => MachineNext::Stay,
            (Phase::Drain(drain), Some(cause)) => {
                drain.hear(&cause, &mut self.outbox, now);
                MachineNext::Stay
            }
            (Phase::Failing(_) | Phase::Gone, Some(_)) => MachineNext::Stay, // on the way out already
            (_, Some(cause)) => MachineNext::Drain(cause),
        }
    }

    /// The next order for the driver.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.outbox.take()
    }

    /// When the machine wants to be woken; none if only an answer can move it.
    pub fn next_wake(&self) -> Option<Uptime> {
        let (phase, past) = match &self.phase {
            Phase::Boot(boot) => (boot.wake(), None),
            Phase::Serve(serve) => (serve.wake(), Some(&serve.past)),
            Phase::Drain(drain) => (drain.wake(), Some(&drain.past)),
            Phase::Warm(warm) => (warm.wake(), Some(&warm.past)),
            Phase::Failing(failing) => (failing.wake(), Some(&failing.past)),
            Phase::Hold(hold) => (hold.wake(), Some(&hold.past)),
            Phase::Gone => return None,
        };
        let endpoint = past.and_then(|past| past.listen.wake());
        [phase, endpoint, self.watcher.wake(), self.guard.wake()].into_iter().flatten().min()
    }

    /// The name of the phase.
    pub fn phase(&self) -> PhaseName {
        match &self.phase {
            Phase::Boot(_) => PhaseName::Boot,
            Phase::Serve(_) => PhaseName::Serve,
            Phase::Drain(_) => PhaseName::Drain,
            Phase::Warm(_) => PhaseName::Warm,
            Phase::Failing(_) => PhaseName::Failing,
            Phase::Hold(_) => PhaseName::Hold,
            Phase::Gone => PhaseName::Gone,
        }
    }

    fn go(&mut self, next: MachineNext, now: Uptime) {
        if matches!(next, MachineNext::Stay) {
            return;
        }
        let former = self.former.take().filter(|_| self.is_identified());
        let former = former.map(|(former, at)| former.after(now.since(at)));
        if matches!(next, MachineNext::Gone(_)) {
            self.last = Some(Box::new(self.view()));
        }
        let standby = self.watcher.target_state() == Some(&TargetState::Standby);
        let outbox = &mut self.outbox;
        let phase = std::mem::replace(&mut self.phase, Phase::Gone);
        let held = matches!(phase, Phase::Hold(_));
        let fetches = match &phase {
            Phase::Boot(boot) => boot.config().is_some(),
            Phase::Serve(_) => true,
            Phase::Drain(_) | Phase::Warm(_) | Phase::Failing(_) | Phase::Hold(_) | Phase::Gone => false,
        };
        self.since = now;
        self.phase = match (next, leave(phase, outbox)) {
            (MachineNext::Stay, Ok(_) | Err(_)) => Phase::Gone, // asked for above
            (MachineNext::Gone(outcome), _) => gone(outcome, outbox),
            (MachineNext::HandOver, _) => {
                outbox.command(Command::HandOver);
                Phase::Gone
            }
            (_, Err(phase)) => phase,
            (MachineNext::Boot, Ok(_)) => Phase::Boot(Box::new(Boot::begin(self.config.clone(), outbox, now))),
            (MachineNext::Warm, Ok(past)) => Phase::Warm(Box::new(Warm::begin(past, outbox, now))),
            (MachineNext::Serve, Ok(mut past)) => match past.app.take() {
                Some(app) => Phase::Serve(Box::new(Serve::begin(app, past, standby, outbox, now))),
                None => gone(Outcome::Bug, outbox), // a boot says Serve only with an app in its hands
            },
            (MachineNext::Drain(cause), Ok(past)) => {
                Phase::Drain(Box::new(Drain::begin(cause, past, former, outbox, now)))
            }
            (MachineNext::Fail(failure), Ok(past)) => {
                if !held && wants_hold(&past, failure.outcome) {
                    Phase::Hold(Box::new(Hold::begin(failure, past, outbox, now)))
                } else {
                    Phase::Failing(Box::new(Failing::begin(failure, past, outbox, now)))
                }
            }
        };
        // Fetched values that no start took: an adopted app has its own, and nothing is started on the way out. An image is here or
        // not needed. What starts an app again fetches again.
        if fetches && !matches!(self.phase, Phase::Gone) {
            self.outbox.emit(Job::WipeSecrets);
        }
        // Weeks in a warm pool are no reason to grow.
        if self.phases.len() == PHASES_KEPT {
            self.phases.remove(0);
        }
        self.phases.push(PhaseView { name: self.phase(), began_seconds: now.0.as_secs_f64() });
    }
}

/// Ends a phase that can hand over; gives back one that cannot.
fn leave(phase: Phase, outbox: &mut Outbox) -> Result<Past, Phase> {
    match phase {
        Phase::Boot(boot) => Ok(boot.leave(outbox)),
        Phase::Serve(serve) => Ok(serve.leave(outbox)),
        Phase::Hold(hold) => Ok(hold.past),
        Phase::Warm(warm) => Ok(warm.past),
        Phase::Drain(drain) => Ok(drain.past),
        other @ (Phase::Failing(_) | Phase::Gone) => Err(other),
    }
}

fn wants_hold(past: &Past, outcome: Outcome) -> bool {
    outcome == Outcome::BootFailed && past.config.boot.on_failure == OnFailure::Hold
}

fn gone(outcome: Outcome, outbox: &mut Outbox) -> Phase {
    outbox.command(Command::Exit(outcome));
    Phase::Gone
}
