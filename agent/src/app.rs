//! The app: one container that is started, watched, probed and, when it exits, started again. Boot and serve share it.
//!
//! ```text
//!   starting ──started──▶ up ──exited──▶ backing off ──due──▶ (secrets) ──▶ starting
//!                          │ probes: healthy after `healthy` passes in a row, unhealthy after `unhealthy` failures
//! ```
//! The engine's own restart policy is off: this is the one owner (invariant 10).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Uptime;
use crate::config::{Config, Health};
use crate::desk::Desk;
use crate::effect::{ContainerId, Effect, Job, RunningContainer, Ticket};
use crate::event::{Event, Exit};
use crate::fault::Fault;
use crate::output::AppOutput;
use crate::retry::{Backoff, NEAR};
use crate::view::{ContainerView, ReadyReason};

use last_output::LastOutput;
pub use pulse::Pulse;

mod last_output;
mod pulse;

/// Between two probes while the app is starting: never longer than the first, never shorter than the second.
const EAGER: Duration = Duration::from_millis(100);
const KEEN: Duration = Duration::from_millis(10);
/// Between those, an app that has been starting for so long is asked again after this part of it: one that is ready within
/// 50 ms is seen within 10, and a slow one is not asked more often than it can hurt.
const PATIENCE: u32 = 8;

/// For the engine to start a container; its adapter gives up before that, so this only ends what hangs.
const START_LIMIT: Duration = Duration::from_secs(150);

/// For a probe beyond `probe.timeout`; again the adapter gives up before that.
const PROBE_MARGIN: Duration = Duration::from_secs(10);

/// One container and what is known of its health.
#[derive(Debug)]
pub struct App {
    config: Arc<Config>,
    id: ContainerId,
    adopted: bool,
    state: State,
    pulse: Pulse,
    attempts: u32,
    /// Since when the engine has not been there to start it.
    engine_away: Option<Uptime>,
    /// Whether serve keeps it: then one that stays unhealthy is restarted. A boot has its own end for that.
    kept: bool,
    /// Whether it is on its way out: then an exit is an end, and nobody asks any more.
    retiring: bool,
    /// Restarts within the window, and all of them.
    recent: VecDeque<Uptime>,
    restarts: u32,
    /// Whether the values of the secrets are at hand for the next start, on tmpfs or at the edge: an adopted app brought its own.
    holds_secrets: bool,
    output: LastOutput,
    reason: String,
    /// The same, as `/ready` says it.
    ready: ReadyReason,
}

#[derive(Debug)]
enum State {
    Starting {
        ticket: Ticket,
        until: Uptime,
    },
    Up {
        running: Box<RunningContainer>,
        watch: Watch,
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
        then: Then,
    },
    Halted,
}

#[derive(Debug)]
enum Watch {
    On(Ticket),
    /// The engine went away; asked again at that time.
    Lost(Uptime),
}

#[derive(Debug)]
enum Probing {
    Asked {
        ticket: Ticket,
        since: Uptime,
    },
    Next(Uptime),
    /// Not asked any more.
    Over,
}

/// What follows a stop.
#[derive(Debug)]
enum Then {
    /// A restart that counts as one after an exit, and why.
    BackOff(String),
    /// A restart that somebody wanted.
    Start,
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
    pub fn start(config: Arc<Config>, id: ContainerId, desk: &mut Desk, now: Uptime) -> Self {
        let ticket = desk.order(Effect::StartContainer { id: id.clone(), config: config.clone() });
        Self::new(config, id, State::Starting { ticket, until: now + START_LIMIT }, now)
    }

    /// Keeps a container that was found running.
    pub fn adopt(config: Arc<Config>, running: RunningContainer, desk: &mut Desk, now: Uptime) -> Self {
        let id = running.id.clone();
        let mut app = Self::new(config, id, State::Halted, now);
        app.adopted = true;
        app.holds_secrets = false;
        app.up(running, desk, now);
        app
    }

    fn new(config: Arc<Config>, id: ContainerId, state: State, now: Uptime) -> Self {
        Self {
            config,
            id,
            adopted: false,
            state,
            pulse: Pulse::new(now),
            attempts: 0,
            engine_away: None,
            kept: false,
            retiring: false,
            recent: VecDeque::new(),
            restarts: 0,
            holds_secrets: true,
            output: LastOutput::default(),
            reason: "the container is starting".to_owned(),
            ready: ReadyReason::StartingApp,
        }
    }

    /// Takes an answer that is the app's; others change nothing.
    pub fn on(&mut self, event: &Event, desk: &mut Desk, now: Uptime) -> News {
        self.output.on(event, now);
        let news = match event {
            Event::ContainerStarted(running) => {
                if matches!(self.state, State::Starting { .. }) {
                    self.up(running.as_ref().clone(), desk, now);
                }
                News::Nothing
            }
            Event::ContainerExited(exit) => self.exited(exit, desk, now),
            Event::ProbePassed => self.probed(ReadyReason::Healthy, None, now),
            Event::ProbeFailed(reason) => self.probed(ReadyReason::AppUnhealthy, Some(reason), now),
            Event::ContainerStopped => self.stopped(desk, now),
            Event::SecretsFetched => {
                if matches!(self.state, State::FetchingSecrets { .. }) {
                    self.holds_secrets = true;
                    self.order_start(desk, now);
                }
                News::Nothing
            }
            Event::SecretsMissing => {
                if matches!(self.state, State::Starting { .. }) {
                    self.fetch_secrets(desk, now);
                }
                News::Nothing
            }
            Event::Failed(job, fault) => self.failed(*job, fault, desk, now),
            _ => News::Nothing, // the other events are other rooms' answers
        };
        if news == News::Nothing { self.advance(desk, now) } else { news }
    }

    /// What its probes say of it.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Whether its process runs.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// Why it is not healthy, or that it is.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The same, as `/ready` says it.
    pub fn ready_reason(&self) -> ReadyReason {
        self.ready
    }

    /// Its container.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// Restarts since the agent started.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// What it wrote last before it exited, or while it was not healthy.
    pub fn output(&self) -> Option<&AppOutput> {
        self.output.last()
    }

    /// Whether that is being read.
    pub fn is_reading_output(&self) -> bool {
        self.output.is_asked()
    }

    /// Reads what it wrote last, since its keeper gives it up while it runs, or it exited on its way out.
    pub fn read_output(&mut self, desk: &mut Desk, now: Uptime) {
        self.output.ask(&self.id, &self.config, desk, now);
    }

    /// From here on one that stays unhealthy is restarted.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// From here on an exit is an end: its clients are still served, but it is neither asked nor started again.
    pub fn retire(&mut self, desk: &mut Desk) {
        self.retiring = true;
        match &mut self.state {
            State::Up { probe, .. } => {
                if let Probing::Asked { ticket, .. } = probe {
                    desk.order(Effect::Cancel(*ticket));
                }
                *probe = Probing::Over;
            }
            _ => self.halt(desk),
        }
    }

    /// Stops it and starts it again for secrets that changed.
    pub fn restart(&mut self, reason: &str, desk: &mut Desk, now: Uptime) {
        if self.is_up() {
            self.holds_secrets = true;
            self.stop(Then::Start, ReadyReason::RestartingForSecrets, reason.to_owned(), desk, now);
        }
    }

    /// Where it can be asked and counted, if it runs.
    pub fn running(&self) -> Option<&RunningContainer> {
        match &self.state {
            State::Up { running, .. } => Some(running),
            _ => None,
        }
    }

    /// Stops asking, watching and restarting.
    pub fn halt(&mut self, desk: &mut Desk) {
        match &self.state {
            State::Starting { ticket, .. } | State::FetchingSecrets { ticket, .. } | State::Stopping { ticket, .. } => {
                desk.order(Effect::Cancel(*ticket));
            }
            State::Up { watch, probe, .. } => {
                if let Watch::On(ticket) = watch {
                    desk.order(Effect::Cancel(*ticket));
                }
                if let Probing::Asked { ticket, .. } = probe {
                    desk.order(Effect::Cancel(*ticket));
                }
            }
            State::BackingOff(_) | State::Halted => {}
        }
        self.state = State::Halted;
    }

    /// When it wants to be looked at again.
    pub fn wake(&self) -> Option<Uptime> {
        let state = match &self.state {
            State::Up { watch, probe, .. } => {
                let watch = if let Watch::Lost(at) = watch { Some(*at) } else { None };
                let probe = match probe {
                    Probing::Next(at) => Some(*at),
                    Probing::Asked { since, .. } => Some(*since + self.config.probe.timeout + PROBE_MARGIN),
                    Probing::Over => None,
                };
                watch.into_iter().chain(probe).min()
            }
            State::BackingOff(until)
            | State::Starting { until, .. }
            | State::FetchingSecrets { until, .. }
            | State::Stopping { until, .. } => Some(*until),
            State::Halted => None,
        };
        state.into_iter().chain(self.output.wake()).min()
    }

    /// For people.
    pub fn view(&self) -> ContainerView {
        let ports = match &self.state {
            State::Up { running, .. } => {
                running.published.iter().map(|(inside, outside)| format!("{inside} -> {outside}")).collect()
            }
            _ => Vec::new(),
        };
        ContainerView { id: self.id.0.clone(), name: self.config.container_name(), adopted: self.adopted, ports }
    }

    fn up(&mut self, running: RunningContainer, desk: &mut Desk, now: Uptime) {
        let watch = Watch::On(desk.order(Effect::WatchContainer(self.id.clone())));
        self.state = State::Up { running: Box::new(running), watch, probe: Probing::Next(now) };
        self.engine_away = None;
        self.pulse.begin(now);
        self.ready = ReadyReason::NotHealthyYet;
        self.reason = "the app has not answered yet".to_owned();
    }

    fn order_start(&mut self, desk: &mut Desk, now: Uptime) {
        let start = Effect::StartContainer { id: self.id.clone(), config: self.config.clone() };
        self.state = State::Starting { ticket: desk.order(start), until: now + START_LIMIT };
    }

    fn fetch_secrets(&mut self, desk: &mut Desk, now: Uptime) {
        let ticket = desk.order(Effect::FetchSecrets(self.config.clone()));
        self.state = State::FetchingSecrets { ticket, until: now + START_LIMIT };
    }

    fn exited(&mut self, exit: &Exit, desk: &mut Desk, now: Uptime) -> News {
        let State::Up { probe, .. } = &self.state else { return News::Nothing };
        if let Probing::Asked { ticket, .. } = probe {
            desk.order(Effect::Cancel(*ticket));
        }
        // One that is on its way out may be stopped by the drain itself, which knows.
        if !self.retiring {
            self.output.ask(&self.id, &self.config, desk, now);
        }
        self.back_off(ReadyReason::AppExited, format!("the app {exit}"), desk, now)
    }

    /// Plans the next start, unless there were too many.
    fn back_off(&mut self, ready: ReadyReason, reason: String, desk: &mut Desk, now: Uptime) -> News {
        let restart = self.config.restart.clone();
        self.pulse.ail(now);
        self.ready = ready;
        if self.retiring {
            self.state = State::Halted;
            self.reason.clone_from(&reason);
            return News::Lost(reason);
        }
        self.recent.retain(|at| now.since(*at) < restart.window);
        if self.recent.len() >= restart.limit as usize {
            self.state = State::Halted;
            self.ready = ReadyReason::RestartLimitReached;
            self.reason = format!("{reason}, after {} restarts within {:?}", self.recent.len(), restart.window);
            return News::Lost(self.reason.clone());
        }
        self.recent.push_back(now);
        let backoff = Backoff { first: restart.backoff, cap: restart.backoff_max };
        let wait = desk.wait(backoff, u32::try_from(self.recent.len()).unwrap_or(u32::MAX));
        self.state = State::BackingOff(now + wait);
        self.reason = reason;
        News::Nothing
    }

    /// An engine that is away is no crash of the app: tried again without counting, for as long as a boot may take.
    fn wait_for_engine(&mut self, reason: String, desk: &mut Desk, now: Uptime) -> News {
        let since = *self.engine_away.get_or_insert(now);
        self.pulse.ail(now);
        self.ready = ReadyReason::EngineUnavailable;
        self.reason.clone_from(&reason);
        if now.since(since) >= self.config.boot.timeout {
            self.state = State::Halted;
            return News::Lost(reason);
        }
        self.attempts = self.attempts.saturating_add(1);
        self.state = State::BackingOff(now + desk.wait(NEAR, self.attempts));
        News::Nothing
    }

    fn stop(&mut self, then: Then, ready: ReadyReason, reason: String, desk: &mut Desk, now: Uptime) {
        self.halt(desk);
        self.pulse.ail(now);
        (self.ready, self.reason) = (ready, reason);
        let timeout = self.config.stop_timeout;
        let ticket = desk.order(Effect::StopContainer { id: self.id.clone(), timeout, for_good: false });
        self.state = State::Stopping { ticket, until: now + timeout + START_LIMIT, then };
    }

    fn stopped(&mut self, desk: &mut Desk, now: Uptime) -> News {
        match std::mem::replace(&mut self.state, State::Halted) {
            State::Stopping { then: Then::Start, .. } => {
                self.restarts += 1;
                self.order_start(desk, now);
                News::Nothing
            }
            State::Stopping { then: Then::BackOff(reason), .. } => self.back_off(self.ready, reason, desk, now),
            other => {
                self.state = other;
                News::Nothing
            }
        }
    }

    fn probed(&mut self, ready: ReadyReason, fault: Option<&str>, now: Uptime) -> News {
        let State::Up { probe, .. } = &mut self.state else { return News::Nothing };
        let Probing::Asked { since, .. } = *probe else { return News::Nothing };
        let was_healthy = self.pulse.is_healthy();
        let took = now.since(since);
        if self.pulse.take(fault, took, &self.config.probe, now) {
            fault.unwrap_or("the app is healthy").clone_into(&mut self.reason);
            let starting = ready == ReadyReason::AppUnhealthy && self.pulse.is_starting();
            self.ready = if starting { ReadyReason::NotHealthyYet } else { ready };
        }
        let wait = if self.pulse.is_starting() {
            (self.pulse.starting_for(now) / PATIENCE).max(took).clamp(KEEN, EAGER)
        } else {
            self.config.probe.interval
        };
        *probe = Probing::Next(now + wait);
        if self.pulse.is_healthy() && !was_healthy { News::Healthy } else { News::Nothing }
    }

    fn failed(&mut self, job: Job, fault: &Fault, desk: &mut Desk, now: Uptime) -> News {
        match (job, &mut self.state) {
            (Job::StartContainer, State::Starting { .. }) => {
                let reason = format!("the container does not start: {fault}");
                if fault.is_transient() {
                    self.wait_for_engine(reason, desk, now)
                } else {
                    self.ready = ReadyReason::ContainerNotStarted;
                    News::Lost(reason)
                }
            }
            (Job::StopContainer, State::Stopping { .. }) => self.stopped(desk, now),
            (Job::FetchSecrets, State::FetchingSecrets { .. }) => {
                let ready = ReadyReason::SecretsUnavailable.or_denied(fault);
                self.back_off(ready, format!("the secrets cannot be fetched: {fault}"), desk, now)
            }
            (Job::WatchContainer, State::Up { watch, .. }) => {
                self.attempts += 1;
                *watch = Watch::Lost(now + desk.wait(NEAR, self.attempts));
                News::Nothing
            }
            // The engine could not be asked: that says as little for the app as a failed probe.
            (Job::ProbeApp, State::Up { .. }) => self.probed(ReadyReason::EngineUnavailable, Some(&fault.reason), now),
            _ => News::Nothing, // another room's failure, or of a container that is gone
        }
    }

    /// Does what is due.
    fn advance(&mut self, desk: &mut Desk, now: Uptime) -> News {
        self.output.advance(desk, now);
        if let State::Up { probe: Probing::Asked { ticket, since }, .. } = &self.state
            && *since + self.config.probe.timeout + PROBE_MARGIN <= now
        {
            desk.order(Effect::Cancel(*ticket));
            return self.probed(ReadyReason::AppUnhealthy, Some("the probe did not end"), now);
        }
        // One on its way out is stopped by the drain, in its own time.
        if self.kept && !self.retiring && self.is_up() && self.pulse.is_hopeless(&self.config.probe, now) {
            let reason = format!("the app stays unhealthy: {}", self.reason);
            self.read_output(desk, now);
            self.stop(Then::BackOff(reason.clone()), ReadyReason::AppUnhealthy, reason, desk, now);
            return News::Nothing;
        }
        match &mut self.state {
            State::Up { running, watch, probe } => {
                if let Watch::Lost(at) = watch
                    && *at <= now
                {
                    *watch = Watch::On(desk.order(Effect::WatchContainer(self.id.clone())));
                }
                if let Probing::Next(at) = probe
                    && *at <= now
                {
                    let how = self.config.effective_health(running.healthcheck.is_some());
                    if how == Health::None && self.pulse.is_healthy() {
                        *probe = Probing::Next(now + self.config.probe.interval);
                    } else {
                        let ticket = desk.order(Effect::ProbeApp {
                            app: running.clone(),
                            how,
                            port: self.config.first_tcp_port(),
                            timeout: self.config.probe.timeout,
                        });
                        *probe = Probing::Asked { ticket, since: now };
                    }
                }
            }
            State::BackingOff(until) if *until <= now => {
                self.restarts += 1;
                if self.config.has_secrets() && !self.holds_secrets {
                    self.fetch_secrets(desk, now);
                } else {
                    self.order_start(desk, now);
                }
            }
            State::Starting { ticket, until } | State::FetchingSecrets { ticket, until } if *until <= now => {
                desk.order(Effect::Cancel(*ticket));
                let reason = format!("the container did not start within {START_LIMIT:?}");
                return self.back_off(ReadyReason::ContainerNotStarted, reason, desk, now);
            }
            State::Stopping { ticket, until, .. } if *until <= now => {
                desk.order(Effect::Cancel(*ticket));
                return self.stopped(desk, now);
            }
            State::BackingOff(_)
            | State::Starting { .. }
            | State::FetchingSecrets { .. }
            | State::Stopping { .. }
            | State::Halted => {}
        }
        News::Nothing
    }
}
