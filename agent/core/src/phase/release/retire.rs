//! The end of the container that takes no new traffic: it serves what it has, then it is removed.

use super::{ENGINE, Swap, SwapStage};
use crate::clock::Uptime;
use crate::connections::Connections;
use crate::message::job::Job;
use crate::outbox::Outbox;
use crate::retry::FAR;
use crate::step::Step;
use crate::targets::Ports;
use crate::view::StepName;

impl Swap {
    /// The other container leaves. One that clients reach on ports of its own serves what it has; any other has nothing.
    pub(super) fn retire(&mut self, outbox: &mut Outbox, now: Uptime) {
        // Nothing is started any more.
        self.serve.past.releases.wipe(outbox);
        let past = &mut self.serve.past;
        let running = self.other.as_ref().and_then(|other| other.running().cloned());
        let running = running.filter(|_| !past.config.target_groups.is_empty());
        if let Some(other) = &mut self.other {
            other.retire(outbox);
        }
        let Some(running) = running else { return self.remove_other(SwapStage::Removing, outbox, now) };
        let ports = Ports::of(&running);
        let settle = past.config.drain.settle;
        past.targets.watch_ports(&ports, settle, now);
        self.until = now + settle.saturating_add(past.config.drain.timeout);
        self.stage = SwapStage::Retiring { ports, connections: Connections::of([running], now) };
    }

    pub(super) fn advance_retirement(&mut self, outbox: &mut Outbox, now: Uptime) -> bool {
        let idle = self.serve.past.config.drain.idle;
        let is_late = self.until <= now;
        let targets = &self.serve.past.targets;
        let is_gone = self.other.as_ref().is_none_or(|other| !other.is_up());
        let SwapStage::Retiring { ports, connections } = &mut self.stage else { return false };
        let (is_held, is_unused) = (targets.hold_ports(ports, now), targets.are_ports_unused(ports));
        let is_quiet = connections.quiet_since().is_some_and(|since| now.since(since) >= idle);
        if is_gone || is_late || is_unused || (is_quiet && !is_held) {
            connections.cancel(outbox);
            self.serve.past.targets.stop_watching(ports, outbox);
            self.remove_other(SwapStage::Removing, outbox, now);
            return true;
        }
        connections.advance(outbox, now);
        false
    }

    /// Removes the other container, or one that was only created; `then` is the stage.
    pub(super) fn remove_other(&mut self, then: fn(Step<()>) -> SwapStage, outbox: &mut Outbox, now: Uptime) {
        let mut step = Step::new(StepName::Clearing, FAR);
        let timeout = self.config.stop_timeout.max(self.serve.past.config.stop_timeout);
        self.until = now + timeout.saturating_add(ENGINE);
        if let Some(other) = &mut self.other {
            other.halt(outbox);
        } else if self.created.is_none() {
            step.done((), now);
        }
        self.stage = then(step);
        self.advance_removal(outbox, now);
    }

    /// Removes the other container, once it is known what it wrote last: with it its lines are gone.
    pub(super) fn advance_removal(&mut self, outbox: &mut Outbox, now: Uptime) -> bool {
        let id = match &self.other {
            Some(other) if other.is_reading_output() => None,
            Some(other) => Some(other.id().clone()),
            None => self.created.clone(),
        };
        let timeout = self.config.stop_timeout.max(self.serve.past.config.stop_timeout);
        if let (SwapStage::Clearing(step) | SwapStage::Removing(step), Some(id)) = (&mut self.stage, id)
            && step.is_due(now)
        {
            step.emit(Job::RemoveContainer { id, timeout }, outbox, now);
        }
        false
    }
}
