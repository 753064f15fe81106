//! Forward: from what is fetched to what serves.

use std::sync::Arc;

use berth_config::{Config, Placement, TrafficMove};

use super::creating::Creating;
use super::{Fetch, Swap, SwapCause, SwapStage};
use crate::app::{App, Recipe};
use crate::clock::Uptime;
use crate::message::event::Event;
use crate::message::input::Input;
use crate::message::job::Job;
use crate::outbox::Outbox;
use crate::retry::FAR;
use crate::step::Step;
use crate::view::StepName;

impl Swap {
    /// The first stage.
    pub(super) fn started(mut self, outbox: &mut Outbox, now: Uptime) -> Self {
        let is_second = !self.serve.app().config().placement.is_second;
        let is_unpublished = self.traffic == TrafficMove::Readiness;
        self.place(Placement { is_second, is_unpublished });
        self.fetch(outbox, now);
        self.advance(outbox, now);
        self
    }

    fn place(&mut self, placement: Placement) {
        self.config = Arc::new(Config { placement, ..Config::clone(&self.config) });
    }

    fn fetch(&mut self, outbox: &mut Outbox, now: Uptime) {
        let mut secrets = Step::new(StepName::Secrets, FAR);
        if self.config.has_secrets() {
            secrets.emit(Job::FetchSecrets(self.config.clone()), outbox, now);
        } else {
            secrets.done((), now);
        }
        let mut paths = Step::new(StepName::Paths, FAR);
        if self.config.after.is_empty() {
            paths.done((), now);
        }
        let mut image = Step::new(StepName::Image, FAR);
        if self.facts.is_some() {
            image.done((), now);
        }
        self.until = now + self.config.boot.timeout;
        self.stage = SwapStage::Fetching(Box::new(Fetch { secrets, paths, image }));
    }

    /// Takes the answer to a job of this stage.
    pub(super) fn take(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) {
        match &mut self.stage {
            SwapStage::Fetching(fetch) => {
                let mut refused = None;
                for step in fetch.steps() {
                    match step.answer(input) {
                        Some(Event::ImageInspected(None)) => refused = Some("the image was removed".to_owned()),
                        Some(Event::ImageInspected(facts)) => {
                            self.facts.clone_from(facts);
                            step.done((), now);
                        }
                        Some(Event::Failed(_, error)) if error.is_transient() => step.retry(error, outbox, now),
                        Some(Event::Failed(_, error)) => refused = Some(error.to_string()),
                        Some(_) => step.done((), now),
                        None => {}
                    }
                }
                if let Some(reason) = refused {
                    self.fail(reason, outbox, now);
                }
            }
            SwapStage::Creating(_) => self.take_creation(input, outbox, now),
            // The old one cannot start before its ports are free.
            SwapStage::Reviving { stop, .. } => match stop.answer(input) {
                Some(Event::Failed(_, error)) => stop.retry(error, outbox, now),
                Some(_) => stop.done((), now),
                None => {}
            },
            SwapStage::Clearing(step) | SwapStage::Removing(step) => {
                match step.answer(input) {
                    Some(Event::Failed(_, error)) if error.is_transient() => step.retry(error, outbox, now),
                    // What cannot be removed is found and removed by a later boot.
                    Some(_) => step.done((), now),
                    None => {}
                }
            }
            SwapStage::LettingGo { connections, .. } | SwapStage::Retiring { connections, .. } => {
                connections.on(input, now);
            }
            _ => {} // it orders no job of its own
        }
    }

    /// Does what is due, until nothing is.
    pub(super) fn advance(&mut self, outbox: &mut Outbox, now: Uptime) {
        while self.step(outbox, now) {}
    }

    /// From one stage to the next; whether there was one.
    fn step(&mut self, outbox: &mut Outbox, now: Uptime) -> bool {
        let is_late = self.until <= now;
        match &mut self.stage {
            SwapStage::Fetching(fetch) if fetch.is_done() => {
                if self.traffic == TrafficMove::Targets || self.opens_more_ports() {
                    self.serve.past.targets.choose_again();
                    self.stage = SwapStage::Choosing;
                } else {
                    self.stage = SwapStage::Creating(Box::new(Creating::new()));
                }
                true
            }
            SwapStage::Fetching(fetch) => {
                let Fetch { secrets, paths, image } = fetch.as_mut();
                if is_late {
                    let last =
                        secrets.error().or(paths.error()).or(image.error()).unwrap_or("no answer came").to_owned();
                    let limit = self.config.boot.timeout;
                    self.fail(format!("secrets and paths are not here within {limit:?}: {last}"), outbox, now);
                    return true;
                }
                if secrets.is_due(now) {
                    secrets.emit(Job::FetchSecrets(self.config.clone()), outbox, now);
                }
                if paths.is_due(now) {
                    paths.emit(Job::CheckPaths(self.config.after.clone()), outbox, now);
                }
                if image.is_due(now) {
                    let platform = self.config.platform.clone();
                    image.emit(Job::InspectImage(self.image.clone(), platform), outbox, now);
                }
                false
            }
            SwapStage::Choosing => self.choose(is_late, outbox, now),
            SwapStage::Creating(_) => self.create(is_late, outbox, now),
            SwapStage::Proving { .. } => self.prove(outbox, now),
            SwapStage::Clearing(step) if step.is_done() || is_late => {
                step.cancel(outbox);
                self.other = None;
                self.place(Placement { is_unpublished: false, ..self.config.placement });
                self.fetch(outbox, now);
                true
            }
            SwapStage::Confirming { .. } => self.advance_confirmation(is_late, outbox, now),
            SwapStage::Joining => self.join(outbox, now),
            SwapStage::LettingGo { .. } => self.let_go(outbox, now),
            SwapStage::Pausing => self.pause(outbox, now),
            SwapStage::Arriving => self.arrive(outbox, now),
            SwapStage::Baking => self.bake(outbox, now),
            SwapStage::Returning(_) => self.advance_return(outbox, now),
            SwapStage::Reviving { .. } | SwapStage::Recovering(_) => self.advance_revival(outbox, now),
            SwapStage::Retiring { .. } => self.advance_retirement(outbox, now),
            // Its verdict comes first.
            SwapStage::Removing(step) if (step.is_done() || is_late) && self.bad.is_none() => {
                step.cancel(outbox);
                (self.other, self.created) = (None, None);
                self.stage = SwapStage::Done;
                true
            }
            SwapStage::Clearing(_) | SwapStage::Removing(_) => self.advance_removal(outbox, now),
            SwapStage::Done => false,
        }
    }

    /// Whether it leaves ports open that the old one does not have.
    fn opens_more_ports(&self) -> bool {
        let mut open = self.config.ports.iter().filter(|port| self.config.chooses_ports() && port.is_open());
        open.any(|port| !self.ports.contains_key(&port.container))
    }

    fn choose(&mut self, is_late: bool, outbox: &mut Outbox, now: Uptime) -> bool {
        let past = &mut self.serve.past;
        let Some(identity) = past.identity.clone() else { return false };
        if let Some(reason) = past.targets.choice_failure() {
            self.fail(reason, outbox, now);
            return true;
        }
        match past.targets.choose(&self.config, &identity, &self.image, outbox, now) {
            Some(ports) => {
                self.ports = ports;
                self.stage = SwapStage::Creating(Box::new(Creating::new()));
                true
            }
            None if is_late => {
                self.fail("no host port is free in time".to_owned(), outbox, now);
                true
            }
            None => false,
        }
    }

    /// The container is there. Beside the old one it starts at once; in its place, when the old one has let go.
    pub(super) fn created(&mut self, outbox: &mut Outbox, now: Uptime) {
        if self.traffic == TrafficMove::Targets || self.config.placement.is_unpublished {
            self.start(outbox, now);
        } else {
            self.confirm(now);
        }
    }

    /// The board knows: traffic moves, or the lock is given back.
    fn advance_confirmation(&mut self, is_late: bool, outbox: &mut Outbox, now: Uptime) -> bool {
        let is_refused = matches!(&self.cause, SwapCause::Release(next) if next.gate.is_refused());
        if is_refused || is_late || !self.may_move(now) {
            let reason = if is_refused { "the release was stopped" } else { "the lock is lost" };
            self.abandon(reason, outbox, now);
            return true;
        }
        // What runs beside the old one has to stay as good as it was.
        if let Some(reason) = self.why_not_proven(now).filter(|_| self.other.is_some()) {
            self.fail(reason, outbox, now);
            return true;
        }
        if !self.is_confirmed(now) {
            return false;
        }
        match self.traffic {
            TrafficMove::Targets => self.begin_join(outbox, now),
            TrafficMove::Readiness | TrafficMove::Auto => {
                self.begin_letting_go(None, now);
            }
            TrafficMove::Restart => {
                self.gap = Some((now, None));
                self.begin_pause(outbox, now);
            }
        }
        true
    }

    pub(super) fn start(&mut self, outbox: &mut Outbox, now: Uptime) {
        let (Some(id), Some(identity)) = (self.created.take(), self.serve.past.identity.clone()) else { return };
        let (config, image, ports) = (self.config.clone(), self.image.clone(), self.ports.clone());
        self.other = Some(App::start(Recipe { config, identity, image, ports }, id, outbox, now));
        self.until = now + self.config.boot.timeout.saturating_add(self.config.release.healthy_for);
        self.stage = SwapStage::Proving { since: None, is_asked: false };
    }

    /// It runs beside the old one: healthy, and so for a while.
    fn prove(&mut self, outbox: &mut Outbox, now: Uptime) -> bool {
        let Some(reason) = self.why_not_proven(now) else {
            let SwapStage::Proving { since, is_asked } = &mut self.stage else { return false };
            let Some(other) = &mut self.other else { return false };
            if !other.health().is_healthy() || other.health().is_failing() {
                (*since, *is_asked) = (None, false);
                return false;
            }
            let proven_at = *since.get_or_insert(now) + self.config.release.healthy_for;
            if now < proven_at {
                return false;
            }
            // The probe before may be as old as `probe.interval`.
            if !other.has_passed_since(proven_at) {
                *is_asked = true;
                other.probe_now(now);
                return false;
            }
            match self.traffic {
                TrafficMove::Targets => self.confirm(now),
                _ => self.remove_other(SwapStage::Clearing, outbox, now),
            }
            return true;
        };
        self.fail(reason, outbox, now);
        true
    }

    /// Why the new container is a bad one, if it is.
    pub(super) fn why_not_proven(&self, now: Uptime) -> Option<String> {
        let other = self.other.as_ref()?;
        if let Some((limit, at)) = other.start_deadline()
            && at <= now
        {
            return Some(format!("it is not healthy within {limit:?}: {}", other.reason()));
        }
        if !other.health().is_healthy() && !other.health().is_starting() && !other.waits_for_engine() {
            return Some(format!("it did not stay healthy: {}", other.reason()));
        }
        // A restart is no way to become healthy here.
        let is_gone = !other.is_up() && !other.is_starting() && !other.waits_for_engine();
        (is_gone || self.until <= now).then(|| other.reason().to_owned())
    }
}
