//! Each step is ordered as soon as its inputs are there.

use std::sync::Arc;

use berth_config::Config;

use super::{Boot, Kept, steps};
use crate::app::{App, Recipe};
use crate::clock::Uptime;
use crate::message::container::Creation;
use crate::message::identity::Identity;
use crate::message::job::{Job, JobKind, PULL_STALL};
use crate::outbox::Outbox;
use crate::phase::failing::Failure;
use crate::targets::HostPorts;

impl Boot {
    /// Orders every step whose inputs are there.
    pub(super) fn advance(&mut self, outbox: &mut Outbox, now: Uptime) -> Option<Failure> {
        self.advanced = now;
        let Some(identity) = self.steps.identity.get().cloned() else {
            if self.steps.identity.is_due(now) {
                self.steps.identity.emit(Job::Identify, outbox, now);
            }
            return None;
        };
        if !self.steps.config.is_done() {
            if self.steps.config.is_due(now) {
                let kept =
                    self.noted.as_ref().filter(|_| self.kept == Kept::Reading).map(|noted| noted.serving.clone());
                let kept = kept.map(|release| Job::ReadRelease { board: None, release });
                self.steps.config.emit(kept.unwrap_or(Job::ReadConfig), outbox, now);
            }
            return None;
        }
        if let Some(choice) = self.choice.as_mut().filter(|choice| choice.chosen().is_none()) {
            choice.advance(outbox, now);
            return None;
        }
        let config = self.config.clone();
        if !self.warm {
            self.targets.look(&config, &self.hook, outbox, now);
        }
        self.targets.advance(outbox, now);
        if self.steps.listen.is_due(now) {
            self.steps.listen.emit(Job::Listen(config.listen), outbox, now);
        }
        if self.steps.engine.is_due(now) {
            self.steps.engine.emit(Job::PingEngine, outbox, now);
        }
        if self.steps.engine.is_done() && self.steps.containers.is_due(now) {
            let (name, instance_id) = (config.container_name(), identity.instance_id.clone());
            self.steps.containers.emit(Job::FindContainers { name, instance_id }, outbox, now);
        }
        self.clear(&config, outbox, now);
        if self.app.is_some() {
            return None;
        }
        if self.steps.secrets.is_due(now) && !self.warm {
            if config.has_secrets() {
                self.steps.secrets.emit(Job::FetchSecrets(config.clone()), outbox, now);
            } else {
                self.steps.secrets.done((), now);
            }
        }
        // One that is adopted has what it was created with.
        if !config.after.is_empty() && !self.warm && self.steps.containers.is_done() && self.steps.paths.is_due(now) {
            self.steps.paths.emit(Job::CheckPaths(config.after.clone()), outbox, now);
        }
        if self.steps.login.is_due(now) && self.login_refused.is_none() && self.facts().is_none() {
            self.steps.login.emit(Job::LoginRegistry(config.clone()), outbox, now);
        }
        if self.held.is_none() {
            self.held = self.advance_image(&config, outbox, now);
        }
        // A container that is adopted has its ports.
        let ports = match (self.image().cloned(), self.steps.engine.is_done() && self.steps.containers.is_done()) {
            (Some(image), true) if !self.warm => self.targets.choose(&config, &identity, &image, outbox, now),
            _ => None,
        };
        if self.held.is_some() {
            return self.held.clone().filter(|_| self.steps.containers.is_done());
        }
        if let Some(ports) = ports {
            self.advance_container(&config, &identity, ports, outbox, now);
        }
        None
    }

    /// Tag to digest, then the image: here, or pulled.
    pub(super) fn advance_image(&mut self, config: &Arc<Config>, outbox: &mut Outbox, now: Uptime) -> Option<Failure> {
        if !self.steps.engine.is_done() || self.facts().is_some() {
            return None;
        }
        let Some(image) = self.steps.digest.get().cloned() else {
            if self.steps.digest.is_due(now) {
                if let Some(error) = &self.login_refused {
                    return Some(steps::failure(JobKind::LoginRegistry, error));
                }
                if self.steps.login.is_done() {
                    let (image, platform) = (config.image.clone(), config.platform.clone());
                    self.steps.digest.emit(Job::ResolveDigest(image, platform), outbox, now);
                }
            }
            return None;
        };
        if self.steps.image.is_due(now) {
            self.steps.image.emit(Job::InspectImage(image, config.platform.clone()), outbox, now);
        } else if self.steps.image.is_done() && self.steps.pull.is_due(now) {
            if let Some(error) = &self.login_refused {
                return Some(steps::failure(JobKind::LoginRegistry, error));
            }
            if self.steps.login.is_done() {
                let platform = config.platform.clone();
                self.steps.pull.emit(Job::PullImage { image, platform, stall: PULL_STALL }, outbox, now);
            }
        }
        None
    }

    /// Create once the image is here, the name is free and the paths are there; start once the secrets are here too.
    pub(super) fn advance_container(
        &mut self,
        config: &Arc<Config>,
        identity: &Arc<Identity>,
        ports: HostPorts,
        outbox: &mut Outbox,
        now: Uptime,
    ) {
        let (Some(image), Some(facts), false) = (self.steps.digest.get(), self.facts(), self.warm) else { return };
        let is_free = self.steps.containers.is_done() && self.strays.is_empty();
        let is_prepared = config.after.is_empty() || self.steps.paths.is_done();
        if self.steps.create.is_due(now) && is_free && is_prepared {
            let creation = Creation {
                config: config.clone(),
                identity: identity.clone(),
                image: image.clone(),
                facts: facts.clone(),
                ports: ports.clone(),
            };
            self.steps.create.emit(Job::CreateContainer(Box::new(creation)), outbox, now);
        }
        if let Some(id) = self.steps.create.get()
            && self.steps.secrets.is_done()
        {
            self.steps.start.mark(now);
            self.steps.healthy.mark(now);
            let recipe = Recipe { config: config.clone(), identity: identity.clone(), image: image.clone(), ports };
            self.app = Some(App::start(recipe, id.clone(), outbox, now));
        }
    }

    /// Removes strays, one after the other.
    pub(super) fn clear(&mut self, config: &Arc<Config>, outbox: &mut Outbox, now: Uptime) {
        let Some(id) = self.strays.front().cloned() else { return };
        if self.steps.clearing.is_done() {
            self.steps.clearing.reopen();
        }
        if self.steps.clearing.is_due(now) {
            self.steps.clearing.emit(Job::RemoveContainer { id, timeout: config.stop_timeout }, outbox, now);
        }
    }
}
