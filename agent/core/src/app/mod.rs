//! The app: one container that is started, watched, probed and, when it exits, started again. Boot and serve share it.
//!
//! ```text
//!   starting ──started──▶ up ──exited──▶ backing off ──due──▶ (secrets) ──▶ starting
//!      └─ gone: it was removed ──▶ creating (recreation.rs) ──▶ starting
//!                          │ probes: healthy after `healthy` passes in a row, unhealthy after `unhealthy` failures
//! ```
//! The engine's own restart policy is off: this is the one owner (invariant 10).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use berth_config::{Config, ProbeMethod};

use crate::clock::Uptime;
use crate::message::container::{ContainerId, RunningContainer};
use crate::message::error::{ErrorClass, JobError};
use crate::message::event::Event;
use crate::message::failure_reason::FailureReason;
use crate::message::input::Input;
use crate::message::job::{JobKind, Ticket};
use crate::message::probe_failure::{ProbeFailure, ProbeFailureKind};
use crate::outbox::Outbox;
use crate::retry::NEAR;
use crate::view::{ExitView, ReadyReason};

pub use health::Health;
use last_output::LastOutput;
pub use recreation::Recipe;
use recreation::Recreation;

mod advance;
mod health;
mod last_output;
mod probing;
mod recreation;
mod restart;
mod show;

/// Between two probes while the app is starting: never longer than the first, never shorter than the second.
const PROBE_CEILING: Duration = Duration::from_millis(100);
const PROBE_FLOOR: Duration = Duration::from_millis(10);
/// Between those, an app that has been starting for so long is asked again after this part of it: one that is ready within
/// 50 ms is seen within 10, and a slow one is not asked more often than it can hurt.
const PATIENCE: u32 = 8;

/// For the engine to start a container; its adapter gives up before that, so this only ends what hangs.
const START_LIMIT: Duration = Duration::from_secs(150);

/// For a probe beyond `probe.timeout`; again the adapter gives up before that.
const PROBE_MARGIN: Duration = Duration::from_secs(10);

/// One container and what is known of its health.
#[derive(Clone, Debug)]
pub struct App {
    config: Arc<Config>,
    recipe: Recipe,
    id: ContainerId,
    adopted: bool,
    state: AppState,
    health: Health,
    /// How long it may take to become healthy, from its first start or from when it was healthy last.
    start_limit: Duration,
    /// Attempts to start or to watch it that failed for its engine, for the wait before the next. They count from the last start after
    /// which it became healthy: an engine that was away last week makes nothing slower.
    attempts: u32,
    /// Since when the engine has not been there to start it.
    engine_away: Option<Uptime>,
    /// Whether serve keeps it: then one that stays unhealthy is restarted. A boot has its own end for that.
    kept: bool,
    /// Whether its container was created for this very start.
    fresh: bool,
    /// Whether its container is known to be removed.
    gone: bool,
    /// Whether it is being stopped: then an exit is final, and no probe follows.
    retiring: bool,
    /// Restarts within the window, and all of them.
    recent: VecDeque<Uptime>,
    restarts: u32,
    /// Whether the values of the secrets are at hand for the next start, on tmpfs or in the adapters: an adopted app brought its own.
    holds_secrets: bool,
    /// When the last probe that passed was sent.
    passed: Option<Uptime>,
    output: LastOutput,
    /// How it exited last, for people.
    last_exit: Option<ExitView>,
    reason: String,
    /// The same, as `/ready` says it.
    ready: ReadyReason,
}

#[derive(Clone, Debug)]
enum AppState {
    Starting {
        ticket: Ticket,
        since: Uptime,
    },
    /// On the way to another container.
    Creating(Box<Recreation>),
    Up {
        running: Box<RunningContainer>,
        watch: ExitWatch,
        probe: Probing,
    },
    BackingOff(Uptime),
    FetchingSecrets {
        ticket: Ticket,
        until: Uptime,
    },
    /// On the way to a restart.
    Stopping {
        ticket: Ticket,
        until: Uptime,
        then: AfterStop,
    },
    /// The stop failed, and is tried again at that time.
    Pausing(Uptime),
    Halted,
}

#[derive(Clone, Debug)]
enum ExitWatch {
    On(Ticket),
    /// The engine does not answer; it is asked again at that time.
    Lost(Uptime),
}

#[derive(Clone, Debug)]
enum Probing {
    Asked {
        ticket: Ticket,
        since: Uptime,
        until: Uptime,
    },
    Next(Uptime),
    /// Never asked: it counts as healthy if it runs until then.
    Unasked(Uptime),
    /// Not asked any more.
    Over,
}

/// What follows a stop.
#[derive(Clone, Debug)]
enum AfterStop {
    /// A restart that counts as one after an exit, and why.
    BackOff(String),
    /// A requested restart.
    Start,
    /// Nothing, until it is resumed.
    Stay,
}

/// What an event meant for the app as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing that its keeper must act on.
    Nothing,
    /// It became healthy.
    Healthy,
    /// It cannot be kept running, and why.
    Lost(String),
}

impl App {
    /// Starts a container that was created.
    pub fn start(recipe: Recipe, id: ContainerId, outbox: &mut Outbox, now: Uptime) -> Self {
        let mut app = Self::new(recipe, id, now);
        app.fresh = true;
        app.order_start(outbox, now);
        app
    }

    /// Keeps a container that was found running.
    pub fn adopt(recipe: Recipe, running: RunningContainer, outbox: &mut Outbox, now: Uptime) -> Self {
        let id = running.id.clone();
        let mut app = Self::new(recipe, id, now);
        app.adopted = true;
        app.holds_secrets = false;
        let ran = running.running_for;
        app.up(running, ran, outbox, now);
        app
    }

    fn new(recipe: Recipe, id: ContainerId, now: Uptime) -> Self {
        let config = recipe.config.clone();
        Self {
            start_limit: config.probe.start_limit(None),
            config,
            recipe,
            id,
            adopted: false,
            fresh: false,
            gone: false,
            state: AppState::Halted,
            health: Health::new(now),
            attempts: 0,
            engine_away: None,
            kept: false,
            retiring: false,
            recent: VecDeque::new(),
            restarts: 0,
            holds_secrets: true,
            passed: None,
            output: LastOutput::default(),
            last_exit: None,
            reason: "the container is starting".to_owned(),
            ready: ReadyReason::StartingApp,
        }
    }

    /// Takes an input. Only the answers to its own jobs mean anything to it.
    pub fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> News {
        self.output.on(input, now);
        self.output.advance(outbox, now);
        if let AppState::Creating(recreation) = &mut self.state {
            let next = recreation.on(input, outbox, now);
            return self.created(next, outbox, now);
        }
        let news = self.answer(input).map_or(News::Nothing, |event| self.answered(event, outbox, now));
        if news == News::Nothing { self.advance(outbox, now) } else { news }
    }

    /// What happened, if it answers a job of this state.
    fn answer<'i>(&self, input: &'i Input) -> Option<&'i Event> {
        match &self.state {
            AppState::Starting { ticket, .. }
            | AppState::FetchingSecrets { ticket, .. }
            | AppState::Stopping { ticket, .. } => input.answer_to(*ticket),
            AppState::Up { watch, probe, .. } => {
                let watched = if let ExitWatch::On(ticket) = watch { Some(*ticket) } else { None };
                let probed = if let Probing::Asked { ticket, .. } = probe { Some(*ticket) } else { None };
                input.answer_to(watched).or_else(|| input.answer_to(probed))
            }
            AppState::Creating(_) | AppState::BackingOff(_) | AppState::Pausing(_) | AppState::Halted => None,
        }
    }

    fn answered(&mut self, event: &Event, outbox: &mut Outbox, now: Uptime) -> News {
        match event {
            Event::ContainerStarted(running) => {
                if let AppState::Starting { since, .. } = self.state {
                    // Not longer than since the order: the wall clock of the engine's times may have been set since.
                    let ran = running.running_for.min(now.since(since));
                    self.up(running.as_ref().clone(), ran, outbox, now);
                }
                News::Nothing
            }
            Event::ContainerExited(exit) => self.exited(exit, outbox, now),
            Event::ProbePassed => self.probed(None, now),
            Event::ProbeFailed(failure) => self.probed(Some(failure), now),
            Event::ContainerStopped => self.stopped(outbox, now),
            Event::SecretsFetched => {
                self.holds_secrets = true;
                self.order_start(outbox, now);
                News::Nothing
            }
            Event::SecretsMissing => {
                self.fetch_secrets(outbox, now);
                News::Nothing
            }
            Event::Failed(job, error) => self.failed(*job, error, outbox, now),
            _ => News::Nothing, // no answer of a job that it orders
        }
    }

    /// Reads what it wrote last, since its keeper gives it up while it runs, or it exited on its way out.
    pub fn read_output(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.output.ask(&self.id, &self.config, outbox, now);
    }

    /// From here on one that stays unhealthy is restarted.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// From here on one that stays unhealthy is left running.
    pub fn stop_keeping(&mut self) {
        self.kept = false;
    }

    /// From here on an exit is an end: its clients are still served, but it is neither asked nor started again.
    pub fn retire(&mut self, outbox: &mut Outbox) {
        self.retiring = true;
        match &mut self.state {
            AppState::Up { probe, .. } => {
                if let Probing::Asked { ticket, .. } = probe {
                    outbox.cancel(*ticket);
                }
                *probe = Probing::Over;
            }
            _ => self.halt(outbox),
        }
    }

    /// Stops it and starts it again for secrets that changed.
    pub fn restart(&mut self, reason: &str, outbox: &mut Outbox, now: Uptime) {
        if self.is_up() {
            self.holds_secrets = true;
            self.stop(AfterStop::Start, ReadyReason::RestartingForSecrets, reason.to_owned(), outbox, now);
        }
    }

    /// Whether one that was healthy before is not any more: it failed as many probes as make an app unhealthy, for as long as they take when
    /// it serves, or it does not run.
    pub fn stays_unhealthy(&self, now: Uptime) -> bool {
        let is_gone = !self.is_up() && !self.is_starting() && !self.waits_for_engine();
        is_gone || (self.adopted && self.health.has_failed_long(&self.config.probe, now))
    }

    /// Whether it is to start, and the engine is not there.
    pub fn waits_for_engine(&self) -> bool {
        self.engine_away.is_some()
    }

    /// Whether a probe passed that was sent at that moment or later. What is not probed needs none.
    pub fn has_passed_since(&self, at: Uptime) -> bool {
        let is_probed = matches!(&self.state, AppState::Up { probe: Probing::Asked { .. } | Probing::Next(_), .. });
        !is_probed || self.passed.is_some_and(|passed| at <= passed)
    }

    /// The next probe is sent now.
    pub fn probe_now(&mut self, now: Uptime) {
        if let AppState::Up { probe: Probing::Next(at), .. } = &mut self.state {
            *at = now.min(*at);
        }
    }

    /// Stops it, so that another container takes its ports. It is kept.
    pub fn pause(&mut self, outbox: &mut Outbox, now: Uptime) {
        let reason = "its next version takes its place".to_owned();
        self.stop(AfterStop::Stay, ReadyReason::ReleaseMoves, reason, outbox, now);
    }

    /// Starts it again after a pause.
    pub fn resume(&mut self, outbox: &mut Outbox, now: Uptime) {
        // Its values stayed where they are: nobody has to be asked for them.
        self.holds_secrets = true;
        match &mut self.state {
            AppState::Stopping { then, .. } => *then = AfterStop::Start,
            AppState::Pausing(_) | AppState::Halted => self.launch(outbox, now),
            _ => {} // it runs, or is on its way to it
        }
    }

    /// Whether it is stopped for another container.
    pub fn is_paused(&self) -> bool {
        matches!(self.state, AppState::Halted)
    }

    /// After it was on its way out it serves again: it is probed, kept and restarted.
    pub fn serve_again(&mut self, now: Uptime) {
        self.retiring = false;
        if let AppState::Up { probe: probe @ Probing::Over, running, .. } = &mut self.state
            && self.config.effective_health(running.healthcheck.is_some()) != ProbeMethod::None
        {
            *probe = Probing::Next(now);
        }
    }

    /// Stops asking, watching and restarting.
    pub fn halt(&mut self, outbox: &mut Outbox) {
        match &self.state {
            AppState::Creating(recreation) => recreation.halt(outbox),
            AppState::Starting { ticket, .. }
            | AppState::FetchingSecrets { ticket, .. }
            | AppState::Stopping { ticket, .. } => {
                outbox.cancel(*ticket);
            }
            AppState::Up { watch, probe, .. } => {
                if let ExitWatch::On(ticket) = watch {
                    outbox.cancel(*ticket);
                }
                if let Probing::Asked { ticket, .. } = probe {
                    outbox.cancel(*ticket);
                }
            }
            AppState::BackingOff(_) | AppState::Pausing(_) | AppState::Halted => {}
        }
        self.state = AppState::Halted;
    }

    fn failed(&mut self, job: JobKind, error: &JobError, outbox: &mut Outbox, now: Uptime) -> News {
        match (job, &mut self.state) {
            (JobKind::StartContainer, AppState::Starting { .. }) if error.class == ErrorClass::Gone => {
                self.removed(outbox, now)
            }
            (JobKind::StartContainer, AppState::Starting { .. }) => {
                let reason = FailureReason::NotStarted { answer: error.to_string() }.to_string();
                if error.is_transient() {
                    self.wait_for_engine(reason, outbox, now)
                } else {
                    self.ready = ReadyReason::ContainerNotStarted;
                    News::Lost(reason)
                }
            }
            (JobKind::StopContainer, AppState::Stopping { then: AfterStop::Stay, .. }) => {
                self.attempts = self.attempts.saturating_add(1);
                self.state = AppState::Pausing(now + outbox.wait(NEAR, self.attempts));
                News::Nothing
            }
            (JobKind::StopContainer, AppState::Stopping { .. }) => self.stopped(outbox, now),
            (JobKind::FetchSecrets, AppState::FetchingSecrets { .. }) => {
                let ready = ReadyReason::SecretsUnavailable.or_denied(error);
                self.back_off(ready, format!("the secrets cannot be fetched: {error}"), outbox, now)
            }
            (JobKind::WatchContainer, AppState::Up { watch, .. }) => {
                self.attempts = self.attempts.saturating_add(1);
                *watch = ExitWatch::Lost(now + outbox.wait(NEAR, self.attempts));
                News::Nothing
            }
            // The engine could not be asked: that says as little for the app as a failed probe.
            (JobKind::ProbeApp, AppState::Up { .. }) => {
                self.probed(Some(&ProbeFailure::new(ProbeFailureKind::Engine, &error.reason)), now)
            }
            _ => News::Nothing, // no job of this state
        }
    }
}
