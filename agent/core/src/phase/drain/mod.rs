//! Drain: the instance leaves, in an order in which no request fails.
//!
//! ```text
//!   reading config ─▶ discovering ─▶ settling ─▶ draining    ─▶ stopping ─▶ completing ─▶ final  ─▶ gone | warm
//!                                                 connections               hook         status
//!   (only if the config or the       503, still  until none     the app     once
//!   containers are not known)        serving     is left        stops
//! ```
//! Readiness is 503 from the first moment, and targets are deregistered in it. Connections need not end once the load balancer says that
//! it uses no target any more. Heartbeats go on. The nearest deadline clamps every wait; a later notice can only bring
//! a nearer deadline; a second signal means now. A step that fails does not prevent the next. If the agent is killed, the next one
//! continues with the time that is left (unfinished.rs).

use std::collections::VecDeque;
use std::time::Duration;

pub use cause::Cause;
pub use unfinished::Unfinished;

use crate::app::{App, News};
use crate::clock::{Moment, Uptime};
use crate::connections::Connections;
use crate::hook::Hook;
use crate::message::container::{ContainerId, FoundContainer, RunningContainer};
use crate::message::event::Event;
use crate::message::input::Input;
use crate::message::job::Ticket;
use crate::message::outcome::Outcome;
use crate::outbox::Outbox;
use crate::phase::past::Past;
use crate::step::Step;
use crate::view::StepName;

mod cause;
mod finish;
mod show;
mod stages;
mod stop;
mod unfinished;

/// Before the end of a spot interruption: for the hook and the final status.
const SPOT_MARGIN: Duration = Duration::from_secs(10);
/// What the hook gets of it.
const HOOK_MARGIN: Duration = SPOT_MARGIN.saturating_sub(FINAL_STATUS_LIMIT);
/// For the config to be read, if this agent does not know it. After that the defaults hold.
const CONFIG_LIMIT: Duration = Duration::from_secs(15);
/// For the engine to list the containers, if this agent does not know them.
const DISCOVERY_LIMIT: Duration = Duration::from_secs(30);
/// For the same once the time is over: an app that nobody stops is worse than a hook that is completed this much later.
const LATE_DISCOVERY_LIMIT: Duration = Duration::from_secs(5);
/// Between two questions which containers there are.
const FIND_EVERY: Duration = Duration::from_millis(250);
/// systemd is asked for this much more time, repeatedly.
const EXTENSION: Duration = Duration::from_secs(30);
/// Between two such requests.
const EXTEND_EVERY: Duration = Duration::from_secs(10);
/// For an Auto Scaling that does not answer, after everything else: beyond `drain.*`, or while somebody waits for the end.
const UNANSWERED_LIMIT: Duration = Duration::from_secs(60);
/// For the console to take the final status.
const FINAL_STATUS_LIMIT: Duration = Duration::from_secs(5);

/// On the way out.
#[derive(Clone, Debug)]
pub struct Drain {
    /// What came before, for people.
    pub past: Past,
    cause: Cause,
    /// When it began in this agent. An agent before this one may have begun it.
    entered: Uptime,
    began: Moment,
    /// When the app got its stop signal, once it did.
    stopping: Option<Moment>,
    /// When the hook was to be completed, once it was.
    completing: Option<Moment>,
    stage: Stage,
    stages: Vec<(StepName, Uptime)>,
    ended: Option<Uptime>,
    /// The moment by which the app must have stopped, if there is one.
    cut: Option<Uptime>,
    signals: u32,
    /// Whether somebody waits for the agent's end: after a signal, or a requested drain.
    awaited: bool,
    /// What serves on; while a release has two containers, both.
    running: Vec<RunningContainer>,
    to_stop: VecDeque<ContainerId>,
    /// As last counted.
    connections: Option<u32>,
    /// Whether nothing was cut short.
    clean: bool,
    /// How the app exited, if it did before it was stopped.
    exited: Option<String>,
    /// Whether every app that there was, or may have been, is known to have stopped.
    stopped: bool,
    hook: Hook,
    next_extension: Option<Uptime>,
}

#[derive(Clone, Debug)]
enum Stage {
    ReadingConfig { config: Box<Step<()>>, until: Uptime },
    Discovering { poll: Poll, since: Uptime, until: Uptime },
    Settling { until: Uptime },
    DrainingConnections { until: Uptime, connections: Connections },
    Stopping { ticket: Ticket, until: Uptime },
    CompletingHook,
    FinalStatus { ticket: Ticket, until: Uptime },
}

/// What is asked again and again.
#[derive(Clone, Debug)]
enum Poll {
    Asked(Ticket),
    Next(Uptime),
}

/// Where a drain goes after an event.
#[derive(Debug)]
pub enum DrainNext {
    /// On with it.
    Stay,
    /// Over.
    Gone(Outcome),
    /// Back into the warm pool.
    Warm,
}

impl Drain {
    /// Begins, or continues where the agent before this one was killed in the same drain.
    pub fn begin(cause: Cause, mut past: Past, former: Option<Unfinished>, outbox: &mut Outbox, now: Uptime) -> Self {
        let moment = |span: Option<Duration>| span.map(|span| Moment::ago(span, now));
        let inherited = former.as_ref().and_then(|former| former.cut_in).map(|left| now + left);
        let hook = Hook::terminating(cause.is_the_group_s());
        past.hook.halt(outbox);
        past.targets.leave(outbox, now);
        past.releases.leave(outbox, now);
        let (mut running, mut to_stop) = (Vec::new(), VecDeque::new());
        for app in past.app.iter_mut().chain(&mut past.beside) {
            running.extend(app.running().cloned());
            app.retire(outbox);
            to_stop.push_back(app.id().clone());
        }
        to_stop.extend(past.created.iter().filter(|_| past.app.is_none()).cloned());
        let mut drain = Self {
            cut: cause.cut(now).map(|at| at.max(now)).into_iter().chain(inherited).min(),
            signals: u32::from(cause == Cause::Signal),
            awaited: matches!(cause, Cause::Signal | Cause::Asked(_)),
            past,
            cause,
            entered: now,
            began: Moment::ago(former.as_ref().map_or(Duration::ZERO, |former| former.age), now),
            stopping: moment(former.as_ref().and_then(|former| former.stopping)),
            completing: moment(former.as_ref().and_then(|former| former.completing)),
            stage: Stage::CompletingHook,
            stages: Vec::new(),
            ended: None,
            running,
            to_stop,
            connections: None,
            clean: former.is_none_or(|former| former.clean),
            exited: None,
            stopped: true,
            hook,
            next_extension: Some(now),
        };
        drain.first_stage(outbox, now);
        drain.advance(outbox, now);
        drain
    }

    /// Takes an input.
    pub fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> DrainNext {
        self.past.hook.on(input, outbox, now); // it is over, and counts what it still had on its way
        self.hook.on(input, outbox, now);
        self.past.targets.on(input, outbox, now);
        self.past.releases.on(input, outbox, now);
        if let Stage::DrainingConnections { connections, .. } = &mut self.stage
            && connections.on(input, now)
        {
            self.connections = connections.count();
        }
        let exited = self.watch(input, outbox, now);
        if matches!(input, Input::Event(Event::Signalled(_))) {
            self.signalled(outbox, now);
        } else if matches!(input, Input::Event(Event::DrainRequested(_))) {
            self.awaits(now);
        } else if let Some(event) = self.answer(input) {
            if self.answered(event, outbox, now) {
                return self.over(now);
            }
        } else if exited.is_some() && matches!(self.stage, Stage::Settling { .. } | Stage::DrainingConnections { .. }) {
            self.lose(exited, outbox, now);
        }
        self.advance(outbox, now)
    }

    /// How the last container that ran exited, if none runs any more.
    fn watch(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> Option<String> {
        let mut exited = None;
        for app in self.past.app.iter_mut().chain(&mut self.past.beside) {
            if let News::Lost(how) = app.on(input, outbox, now) {
                self.running.retain(|running| running.id != *app.id());
                if let Stage::DrainingConnections { connections, .. } = &mut self.stage {
                    connections.forget(app.id(), outbox, now);
                }
                exited = Some(how);
            }
        }
        exited.filter(|_| self.running.is_empty())
    }

    fn signalled(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.signals += 1;
        if self.signals > 1 {
            self.hurry(outbox, now);
        } else {
            self.awaits(now);
        }
    }

    /// Somebody waits for the end of a drain that goes on already.
    fn awaits(&mut self, now: Uptime) {
        self.awaited = true;
        if matches!(self.stage, Stage::CompletingHook) {
            self.hook.wait_for_answers(UNANSWERED_LIMIT, now);
        }
    }

    /// What happened, if it answers a job of this stage.
    fn answer<'i>(&self, input: &'i Input) -> Option<&'i Event> {
        match &self.stage {
            Stage::ReadingConfig { config, .. } => config.answer(input),
            Stage::Discovering { poll, .. } => match poll {
                Poll::Asked(ticket) => input.answer_to(*ticket),
                Poll::Next(_) => None,
            },
            Stage::Stopping { ticket, .. } | Stage::FinalStatus { ticket, .. } => input.answer_to(*ticket),
            Stage::Settling { .. } | Stage::DrainingConnections { .. } | Stage::CompletingHook => None,
        }
    }

    /// What an answer means for the stage that ordered it; whether the drain is over.
    fn answered(&mut self, event: &Event, outbox: &mut Outbox, now: Uptime) -> bool {
        match (&mut self.stage, event) {
            (Stage::ReadingConfig { config, .. }, Event::Failed(_, error)) => {
                config.retry(error, outbox, now);
                // A config that is wrong stays wrong.
                if !error.is_transient() {
                    self.discover(outbox, now);
                }
            }
            (Stage::ReadingConfig { .. }, Event::ConfigRead(config, _)) => {
                (self.past.config, self.past.is_configured) = (config.clone(), true);
                self.discover(outbox, now);
            }
            (Stage::Discovering { .. }, Event::ContainersFound(found)) => self.found(found, outbox, now),
            // Not to know what runs is not to know that nothing runs.
            (Stage::Discovering { poll, .. }, _) => *poll = Poll::Next(now + FIND_EVERY),
            (Stage::Stopping { .. }, Event::Failed(..)) => self.give_up_stop(outbox, now),
            (Stage::Stopping { .. }, _) => self.stop_after(outbox, now),
            (Stage::FinalStatus { .. }, _) => return true,
            // No answer to anything that they order themselves.
            (
                Stage::ReadingConfig { .. }
                | Stage::Settling { .. }
                | Stage::DrainingConnections { .. }
                | Stage::CompletingHook,
                _,
            ) => {}
        }
        false
    }

    fn found(&mut self, found: &[FoundContainer], outbox: &mut Outbox, now: Uptime) {
        if found.iter().any(|one| one.fingerprint.is_some()) {
            self.hook.inherit(outbox, now);
        }
        let running = found.iter().filter(|one| one.running.is_some());
        self.running.extend(running.clone().filter_map(|one| one.running.clone()));
        // With one of ours that has stopped already, what was killed before it took the secrets away is made good.
        let to_stop = found.iter().filter(|one| one.running.is_some() || one.fingerprint.is_some());
        self.to_stop.extend(to_stop.map(|one| one.id.clone()));
        self.adopt(running.filter_map(|one| one.image.clone()), outbox, now);
        self.settle(outbox, now);
    }

    /// Another notice: it changes nothing but an earlier deadline, and that a termination hook is to be expected.
    pub fn hear(&mut self, cause: &Cause, outbox: &mut Outbox, now: Uptime) {
        if cause.is_the_group_s() {
            self.hook.expect();
        }
        if let Some(cut) = cause.cut(now) {
            self.cut = Some(self.cut.map_or(cut.max(now), |earlier| earlier.min(cut)));
        }
        match (&self.cause, cause) {
            // Back into service, or out of the pool for good: only the end of it changes.
            (Cause::BackToPool(_), Cause::Terminated) => self.cause = Cause::Terminated,
            // The hook held the instance for its root volume; for the termination it holds it once more.
            (Cause::RootVolume(_), Cause::Terminated) if matches!(self.stage, Stage::FinalStatus { .. }) => {
                (self.cause, self.hook, self.completing) = (Cause::Terminated, Hook::terminating(true), None);
                self.seek_hook(outbox, now);
                self.complete_hook(outbox, now);
            }
            _ => {} // the rest of the drain is the same
        }
        let _ = self.advance(outbox, now);
    }

    /// When it wants to be woken.
    pub fn wake(&self) -> Option<Uptime> {
        let stage = match &self.stage {
            Stage::ReadingConfig { config, until } => Some(config.wake().map_or(*until, |at| at.min(*until))),
            Stage::Discovering { poll: Poll::Next(at), until, .. } => Some((*at).min(*until)),
            Stage::Discovering { until, .. }
            | Stage::Settling { until }
            | Stage::Stopping { until, .. }
            | Stage::FinalStatus { until, .. } => Some(*until),
            Stage::DrainingConnections { until, connections } => {
                let counted = connections.wake();
                let targets = &self.past.targets;
                let quiet =
                    connections.quiet_since().filter(|_| !targets.are_leaving()).map(|since| since + self.idle());
                let quiet = quiet.map(|quiet| targets.settled_at().map_or(quiet, |settled| settled.max(quiet)));
                Some((*until).min(counted)).map(|at| quiet.map_or(at, |quiet| at.min(quiet)))
            }
            Stage::CompletingHook => self.cut_for_hook(),
        };
        let apps = self.past.app.iter().chain(&self.past.beside).filter_map(App::wake).min();
        let (targets, releases) = (self.past.targets.wake(), self.past.releases.wake());
        let parts = [stage, self.cut_for_stop(), self.hook.wake(), targets, self.next_extension, apps, releases];
        parts.into_iter().flatten().min()
    }

    /// By when the stop must begin to be over in time, while it has not begun.
    fn cut_for_stop(&self) -> Option<Uptime> {
        if matches!(self.stage, Stage::Stopping { .. } | Stage::CompletingHook | Stage::FinalStatus { .. }) {
            return None;
        }
        let stop_timeout = self.past.config.stop_timeout;
        let earliest = Uptime(self.cut?.0.saturating_sub(stop_timeout));
        Some(earliest.max(match self.stage {
            Stage::Discovering { since, .. } => since + LATE_DISCOVERY_LIMIT,
            _ => self.entered,
        }))
    }

    /// By when the hook must have been completed: after a second signal at once.
    fn cut_for_hook(&self) -> Option<Uptime> {
        let margin = if self.signals > 1 { Duration::ZERO } else { HOOK_MARGIN };
        Some(self.cut? + margin)
    }

    fn settling(&self) -> Duration {
        self.past.config.drain.settle
    }

    fn idle(&self) -> Duration {
        self.past.config.drain.idle
    }
}
