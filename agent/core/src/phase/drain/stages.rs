//! From one stage of the drain to the next, and what is due in each.

use std::time::Duration;

use berth_config::PinnedImage;

use super::{CONFIG_LIMIT, DISCOVERY_LIMIT, Drain, DrainNext, EXTEND_EVERY, EXTENSION, Poll, Stage};
use crate::app::{App, Recipe};
use crate::clock::Uptime;
use crate::connections::Connections;
use crate::message::job::{Job, Ticket};
use crate::outbox::Outbox;
use crate::retry::NEAR;
use crate::step::Step;
use crate::targets::ports_of;
use crate::view::StepName;

impl Drain {
    /// A drain that begins before the config is known reads it first: it says how to leave, and an agent before this one served.
    pub(super) fn first_stage(&mut self, outbox: &mut Outbox, now: Uptime) {
        if self.past.identity.is_some() && !self.past.is_configured {
            let config = Box::new(Step::new(StepName::ReadingConfig, NEAR));
            self.enter(StepName::ReadingConfig, Stage::ReadingConfig { config, until: now + CONFIG_LIMIT }, now);
        } else {
            self.discover(outbox, now);
        }
    }

    pub(super) fn discover(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.seek_hook(outbox, now);
        if self.past.identity.is_some() && !self.past.looked && self.to_stop.is_empty() {
            self.enter(
                StepName::Discovering,
                Stage::Discovering { poll: Poll::Next(now), since: now, until: now + DISCOVERY_LIMIT },
                now,
            );
        } else {
            self.settle(outbox, now);
        }
    }

    /// Without its identity the instance has no hook that it could complete.
    pub(super) fn seek_hook(&mut self, outbox: &mut Outbox, now: Uptime) {
        if self.past.identity.is_some() {
            let (identity, lifecycle) = (self.past.identity.as_ref(), &self.past.config.lifecycle);
            self.hook.begin(identity, lifecycle, self.past.hook.reported(), outbox, now);
        }
    }

    pub(super) fn find(&self, outbox: &mut Outbox) -> Option<Ticket> {
        let instance_id = self.past.identity.as_ref()?.instance_id.clone();
        // No container has the name of a config that is not known.
        let name = if self.past.is_configured { self.past.config.container_name() } else { String::new() };
        Some(outbox.emit(Job::FindContainers { name, instance_id }))
    }

    /// An app that was found is watched like one that was kept: its exit is final.
    pub(super) fn adopt(&mut self, images: impl Iterator<Item = PinnedImage>, outbox: &mut Outbox, now: Uptime) {
        let Some(identity) = self.past.identity.clone().filter(|_| self.past.is_configured) else { return };
        let config = self.past.config.clone();
        for (running, image) in self.running.iter().zip(images) {
            let ports = ports_of(&config, running);
            let recipe = Recipe { config: config.clone(), identity: identity.clone(), image, ports };
            let mut app = App::adopt(recipe, running.clone(), outbox, now);
            app.retire(outbox);
            match &self.past.app {
                None => self.past.app = Some(app),
                Some(_) => self.past.beside = Some(app),
            }
        }
    }

    /// Both times of serving on count from the moment of the first 503. Without a running app there is nobody to serve, and one
    /// that was asked to stop has served.
    pub(super) fn settle(&mut self, outbox: &mut Outbox, now: Uptime) {
        if self.running.is_empty() || self.stopping.is_some() || self.completing.is_some() {
            return self.stop_next(outbox, now);
        }
        match self.began.left_of(self.settling(), now) {
            Duration::ZERO => self.drain_connections(now),
            left => self.enter(StepName::Settling, Stage::Settling { until: now + left }, now),
        }
    }

    pub(super) fn drain_connections(&mut self, now: Uptime) {
        let settle = self.settling();
        self.past.targets.watch(settle, now);
        let timeout = self.past.config.drain.timeout;
        let until = now + self.began.left_of(self.settling().saturating_add(timeout), now);
        self.enter(
            StepName::DrainingConnections,
            Stage::DrainingConnections { until, connections: Connections::of(self.running.clone(), now) },
            now,
        );
    }

    pub(super) fn enter(&mut self, name: StepName, stage: Stage, now: Uptime) {
        self.stages.push((name, now));
        self.stage = stage;
    }

    /// Does what is due.
    pub(super) fn advance(&mut self, outbox: &mut Outbox, now: Uptime) -> DrainNext {
        self.past.targets.advance(outbox, now);
        if self.next_extension.is_some_and(|at| at <= now) {
            outbox.emit(Job::ExtendStop(EXTENSION));
            self.next_extension = Some(now + EXTEND_EVERY);
        }
        let must_stop = self.cut_for_stop().is_some_and(|at| at <= now);
        match &mut self.stage {
            Stage::ReadingConfig { config, until } if *until <= now || must_stop => {
                config.cancel(outbox);
                self.discover(outbox, now);
                return self.advance(outbox, now);
            }
            Stage::ReadingConfig { config, .. } if config.is_due(now) => config.emit(Job::ReadConfig, outbox, now),
            Stage::Discovering { poll, until, .. } if *until <= now || must_stop => {
                if let Poll::Asked(ticket) = poll {
                    outbox.cancel(*ticket);
                }
                self.clean = false;
                self.stopped = false;
                self.stop_next(outbox, now);
            }
            Stage::Discovering { poll: Poll::Next(at), since, until } if *at <= now => {
                let (since, until) = (*since, *until);
                if let Some(ticket) = self.find(outbox) {
                    self.stage = Stage::Discovering { poll: Poll::Asked(ticket), since, until };
                }
            }
            Stage::Settling { .. } if must_stop => {
                self.clean = false;
                self.stop_next(outbox, now);
            }
            Stage::Settling { until } if *until <= now => {
                self.drain_connections(now);
                return self.advance(outbox, now);
            }
            Stage::DrainingConnections { .. } => self.advance_connections(must_stop, outbox, now),
            Stage::Stopping { ticket, until } if *until <= now => {
                outbox.cancel(*ticket);
                self.give_up_stop(outbox, now);
            }
            Stage::FinalStatus { until, .. } if *until <= now => return self.over(now),
            _ => {} // an answer is awaited, or its time
        }
        if matches!(self.stage, Stage::CompletingHook) {
            let late = self.cut_for_hook().is_some_and(|cut| cut <= now) || self.hook.limit(self.entered) <= now;
            if self.hook.is_over() || self.past.identity.is_none() || late {
                self.clean &= self.hook.is_over() || self.past.identity.is_none();
                self.report(outbox, now);
            }
        }
        DrainNext::Stay
    }

    pub(super) fn advance_connections(&mut self, must_stop: bool, outbox: &mut Outbox, now: Uptime) {
        let idle = self.idle();
        let Stage::DrainingConnections { until, connections } = &mut self.stage else { return };
        // A stop now would cut what the load balancer still sends.
        let targets = &self.past.targets;
        let let_go = !targets.are_leaving() && targets.settled_at().is_none_or(|at| at <= now);
        let quiet_since = connections.quiet_since();
        let quiet = let_go && quiet_since.is_some_and(|since| now.since(since) >= idle);
        let unused = self.past.targets.are_unused();
        let late = *until <= now || must_stop;
        if quiet || unused || late || connections.is_empty() {
            connections.cancel(outbox);
            self.clean &= quiet || unused || quiet_since.is_some();
            return self.stop_next(outbox, now);
        }
        connections.advance(outbox, now);
    }
}
