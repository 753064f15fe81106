//! The machine: which phase the instance is in, and what leads to the next. It never fails, waits or does IO.
//!
//! ```text
//!            healthy               notice, signal, asked for
//!   boot ───────────────▶ serve ──────────────────────────▶ drain ───▶ gone(0 | 5)
//!    │ ▲ └── notice … ─────┼──────────────────────────────────▲ │
//!    │ │            release (serve ⇄ release)                 │ │
//!    │ │ InService         │ lost, hook refused               │ │ back to the pool
//!    │ warm ◀──────────────┼──────────────────────────────────┼─┘
//!    │ failed              ▼                                  │
//!    ├─────────────────▶ failing ───▶ gone(2 | 3 | 4)         │
//!    └── on_failure=hold ──▶ hold ────────────────────────────┘
//! ```
//! A handover (`berth handover`) ends boot, serve, warm and hold like a kill: the container stays as it is, and the next agent
//! boots. During a drain it is refused: the next one would not continue a drain by SIGTERM (drain/unfinished.rs).
//!
//! A kill does not end a drain: the next agent gets what is left of it, and continues once it knows its instance
//! (drain/unfinished.rs).
//!
//! What the surroundings want is asked for in every phase (react.rs, watcher/), and reaches drain from any of them in one event; a
//! drain takes later notices without a new beginning (invariant 7).
//!
//! Events come in with the time, effects go out with tickets. Only the driver calls it (invariant 2).

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use berth_config::{Config, Foreign};

use crate::clock::Uptime;
use crate::message::effect::Effect;
use crate::message::event::Event;
use crate::message::identity::Identity;
use crate::message::input::Input;
use crate::message::job::JobKind;
use crate::message::outcome::Outcome;
use crate::metadata_guard::MetadataGuard;
use crate::outbox::Outbox;
use crate::phase::boot::Boot;
use crate::phase::drain::{Cause, Drain, Unfinished};
use crate::phase::failing::{Failing, Failure};
use crate::phase::hold::Hold;
use crate::phase::past::Past;
use crate::phase::release::Swap;
use crate::phase::serve::Serve;
use crate::phase::warm::Warm;
use crate::release::{Next, NotedReleases, Releases};
use crate::targets::{NotedTargets, Targets};
use crate::view::{PhaseName, PhaseView, View};
use crate::watcher::{Notice, Watcher};

mod change;
mod react;
mod show;

/// What holds until a config is read. They are made once in a process.
static DEFAULTS: LazyLock<Arc<Config>> = LazyLock::new(|| Arc::new(Config::defaults()));

/// Phases that are kept for `berth timeline`.
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
    /// Releases that an agent before this one left, until it is known whose they are.
    noted_releases: Option<NotedReleases>,
    /// Targets that an agent before this one left, and how long before this it noted them, until it is known whose they are.
    noted: Option<(NotedTargets, Duration)>,
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
    Release(Box<Swap>),
    Drain(Box<Drain>),
    Warm(Box<Warm>),
    Failing(Box<Failing>),
    Hold(Box<Hold>),
    Gone,
}

impl Phase {
    /// What the boot left, once it is over.
    fn past(&self) -> Option<&Past> {
        match self {
            Self::Serve(serve) => Some(&serve.past),
            Self::Release(swap) => Some(&swap.serve.past),
            Self::Drain(drain) => Some(&drain.past),
            Self::Warm(warm) => Some(&warm.past),
            Self::Failing(failing) => Some(&failing.past),
            Self::Hold(hold) => Some(&hold.past),
            Self::Boot(_) | Self::Gone => None,
        }
    }
}

/// Where an event leads.
enum MachineNext {
    Stay,
    Boot,
    /// What served before is booted, and why.
    Back(String),
    Serve,
    Release(Box<Next>),
    /// The secrets of the app were rotated: another container takes its place.
    Renew,
    /// The release is over, good or bad.
    ServeOn,
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
        let boot = Boot::begin(config.clone(), Targets::default(), Releases::default(), &mut outbox, now);
        let phase = Phase::Boot(Box::new(boot));
        let phases = vec![PhaseView { name: PhaseName::Boot, began_seconds: now.0.as_secs_f64() }];
        Self {
            phase,
            since: now,
            watcher: Watcher::new(config.lifecycle.poll),
            guard: MetadataGuard::default(),
            config,
            former: None,
            noted_releases: None,
            noted: None,
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

    /// The same after an agent that noted these targets, so long ago.
    #[must_use]
    pub fn knowing(self, noted: Option<(NotedTargets, Duration)>) -> Self {
        Self { noted, ..self }
    }

    /// The same after an agent that noted these releases.
    #[must_use]
    pub fn continuing(self, noted_releases: Option<NotedReleases>) -> Self {
        Self { noted_releases, ..self }
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
        let is_late = match input {
            Input::Answer(ticket, _) => !self.outbox.close(*ticket),
            Input::Report(ticket, _) => !self.outbox.is_open(*ticket),
            Input::Event(_) => false,
        };
        // Of a job that was cancelled.
        if is_late {
            return;
        }
        let event = input.event();
        self.count(event);
        self.note_membership(event);
        let next = self.react(input, now);
        self.go(next, now);
        self.remember_targets(event, now);
        self.remember_releases(event);
        let next = self.resume(event);
        let resumed = matches!(next, MachineNext::Drain(_));
        self.go(next, now);
        // Where the instance already was when the drain before this one began is no change: in the pool, no termination follows.
        let is_news = |notice: &Notice| !(resumed && matches!(notice, Notice::Target(state) if state.is_in_pool()));
        for notice in self.watch(input, now).into_iter().filter(is_news) {
            let next = self.hear(&notice, now);
            self.go(next, now);
        }
        // After that a drain is this agent's own.
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

    /// The targets that an agent before this one left here. The note of another instance means nothing here.
    fn remember_targets(&mut self, event: &Event, now: Uptime) {
        let (Event::Identified(identity), Phase::Boot(boot)) = (event, &mut self.phase) else { return };
        if let Some((noted, ago)) = self.noted.take().filter(|(noted, _)| noted.instance_id == identity.instance_id) {
            boot.remember(noted, ago.saturating_add(now.0), now);
        }
    }

    /// The same of its releases.
    fn remember_releases(&mut self, event: &Event) {
        let (Event::Identified(identity), Phase::Boot(boot)) = (event, &mut self.phase) else { return };
        if let Some(noted) = self.noted_releases.take().filter(|noted| noted.instance_id == identity.instance_id) {
            boot.remember_releases(noted);
        }
    }

    /// What the next agent needs to know of the releases; none while nothing is followed, or the boot has not chosen.
    pub fn noted_releases(&self) -> Option<NotedReleases> {
        let serve = match &self.phase {
            Phase::Serve(serve) => serve,
            Phase::Release(swap) => &swap.serve,
            Phase::Boot(_) | Phase::Drain(_) | Phase::Warm(_) | Phase::Failing(_) | Phase::Hold(_) | Phase::Gone => {
                return None;
            }
        };
        let identity = serve.past.identity.as_ref()?;
        serve.past.releases.noted(&identity.instance_id, Some(serve.app().id()))
    }

    /// Goes on with the drain of the agent before this one. The note of another instance means nothing here.
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

    /// What the next agent needs to know of the targets, once it is known whose they are.
    pub fn noted_targets(&self, now: Uptime) -> Option<NotedTargets> {
        let (targets, identity) = self.targets()?;
        Some(targets.noted(identity?.instance_id.clone(), now))
    }

    /// How often that has changed, but for the time that passed; none while there is nothing to note.
    pub fn target_changes(&self) -> Option<u64> {
        self.targets().map(|(targets, _)| targets.changes()).filter(|changes| *changes > 0)
    }

    fn targets(&self) -> Option<(&Targets, Option<&Arc<Identity>>)> {
        match &self.phase {
            Phase::Boot(boot) => Some((boot.targets(), boot.identity())),
            phase => phase.past().map(|past| (&past.targets, past.identity.as_ref())),
        }
    }

    /// Whether the instance is known, and with it whose drain the note describes.
    fn is_identified(&self) -> bool {
        matches!(&self.phase, Phase::Boot(boot) if boot.identity().is_some())
    }

    /// What the boot left, once it is over.
    fn past(&mut self) -> Option<(&mut Past, &mut Outbox)> {
        let past = match &mut self.phase {
            Phase::Serve(serve) => &mut serve.past,
            Phase::Release(swap) => &mut swap.serve.past,
            Phase::Drain(drain) => &mut drain.past,
            Phase::Warm(warm) => &mut warm.past,
            Phase::Failing(failing) => &mut failing.past,
            Phase::Hold(hold) => &mut hold.past,
            Phase::Boot(_) | Phase::Gone => return None,
        };
        Some((past, &mut self.outbox))
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
            Phase::Release(swap) => (swap.wake(), Some(&swap.serve.past)),
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
            Phase::Release(_) => PhaseName::Release,
            Phase::Drain(_) => PhaseName::Drain,
            Phase::Warm(_) => PhaseName::Warm,
            Phase::Failing(_) => PhaseName::Failing,
            Phase::Hold(_) => PhaseName::Hold,
            Phase::Gone => PhaseName::Gone,
        }
    }
}
