//! What an agent before this one left: the release that this instance runs, and its containers.

use std::sync::Arc;

use berth_config::{Config, PinnedImage, Placement};

use super::Boot;
use crate::app::{App, Recipe};
use crate::clock::Uptime;
use crate::message::container::{FoundContainer, RunningContainer};
use crate::message::input::Input;
use crate::message::release::Release;
use crate::outbox::Outbox;
use crate::phase::failing::Failure;
use crate::release::choice::{Choice, Chosen};
use crate::targets::{Ports, ports_of};
use crate::view::ReadyReason;

impl Boot {
    /// The document is read: which of its releases runs here?
    pub(super) fn begin_choice(&mut self, release: Release, now: Uptime) {
        let newest = Chosen { config: self.config.clone(), release };
        self.choice = Some(Box::new(Choice::begin(newest, self.noted.as_ref(), now)));
        self.finish_choice(now);
    }

    /// Takes the answer to a question of the choice, and asks the next.
    pub(super) fn choose(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> Result<(), Failure> {
        let Some(choice) = self.choice.as_mut().filter(|choice| choice.chosen().is_none()) else { return Ok(()) };
        choice.on(input, outbox, now).map_err(|error| Failure::of_error(ReadyReason::ReadingConfig, &error))?;
        choice.advance(outbox, now);
        self.finish_choice(now);
        Ok(())
    }

    fn finish_choice(&mut self, now: Uptime) {
        let Some(choice) = &self.choice else { return };
        let Some(Chosen { config, release }) = choice.chosen().cloned() else { return };
        if self.noted.as_ref().is_some_and(|noted| noted.serving != release.id) {
            self.releases.end_trial();
        }
        self.releases.choose(release, choice.newest().clone(), &config, now);
        self.config = config;
        self.settle_config(now);
    }

    /// Whether it is known what runs here.
    pub(super) fn has_chosen(&self) -> bool {
        self.choice.as_ref().is_none_or(|choice| choice.chosen().is_some())
    }

    /// The config is the one that this boot is for.
    pub(super) fn settle_config(&mut self, now: Uptime) {
        if let Some(image) = self.config.image.pinned() {
            self.steps.digest.done(image, now);
        }
    }

    /// Adopts the container that the config asks for, and sees every other one as a stray.
    pub(super) fn sort(&mut self, found: &[FoundContainer], outbox: &mut Outbox, now: Uptime) {
        self.steps.containers.done((), now);
        if found.is_empty() {
            return self.targets.abandon(&self.config, outbox, now);
        }
        let config = self.config.clone();
        let fingerprint = config.fingerprint();
        let names = [config.container_name(), config.other_container_name()];
        let is_ours =
            |one: &FoundContainer| one.fingerprint.as_deref() == Some(&fingerprint) && names.contains(&one.name);
        // Of two that are alike, that one which took the traffic.
        let serving = self.noted.as_ref().and_then(|noted| noted.container.clone());
        let mut found: Vec<_> = found.iter().collect();
        let is_registered = |one: &FoundContainer| {
            one.running.as_ref().is_some_and(|running| self.targets.are_registered(&Ports::of(running)))
        };
        found.sort_by_key(|one| (!is_ours(one), Some(&one.id) != serving.as_ref(), !is_registered(one)));
        if found.iter().any(|one| one.fingerprint.is_some()) {
            self.hook.inherit(outbox, now);
        }
        for one in found {
            let ours = is_ours(one);
            match (&one.running, &one.image) {
                (Some(running), Some(image)) if ours && self.app.is_none() && !self.warm => {
                    let config = placed(&config, &one.name);
                    self.config = config.clone();
                    self.adopt(running.clone(), image.clone(), &config, outbox, now);
                }
                // It may have requests: it leaves when this boot is over.
                (Some(running), Some(image))
                    if self.app.is_some()
                        && self.beside.is_none()
                        && one.fingerprint.is_some()
                        && (ours || self.noted.is_some()) =>
                {
                    self.keep_beside(running.clone(), image.clone(), placed(&config, &one.name), outbox, now);
                }
                (running, _) => {
                    self.occupied |= ours && self.warm && running.is_some();
                    self.strays.push_back(one.id.clone());
                }
            }
        }
        if self.app.is_none() {
            self.targets.abandon(&config, outbox, now);
        }
    }

    pub(super) fn adopt(
        &mut self,
        running: RunningContainer,
        image: PinnedImage,
        config: &Arc<Config>,
        outbox: &mut Outbox,
        now: Uptime,
    ) {
        let Some(identity) = self.steps.identity.get().cloned() else { return };
        self.cancel_unneeded(outbox);
        self.steps.digest.done(image.clone(), now);
        let ports = ports_of(config, &running);
        let recipe = Recipe { config: config.clone(), identity, image, ports };
        self.steps.healthy.mark(now);
        self.app = Some(App::adopt(recipe, running, outbox, now));
    }

    /// The other container of a release serves what it has.
    fn keep_beside(
        &mut self,
        running: RunningContainer,
        image: PinnedImage,
        config: Arc<Config>,
        outbox: &mut Outbox,
        now: Uptime,
    ) {
        let Some(identity) = self.steps.identity.get().cloned() else { return };
        let ports = ports_of(&config, &running);
        let mut other = App::adopt(Recipe { config, identity, image, ports }, running, outbox, now);
        other.retire(outbox);
        self.beside = Some(other);
    }
}

/// The config of a container with this name.
fn placed(config: &Arc<Config>, name: &str) -> Arc<Config> {
    if config.container_name() == name {
        return config.clone();
    }
    let is_second = !config.placement.is_second;
    Arc::new(Config { placement: Placement { is_second, ..config.placement }, ..Config::clone(config) })
}
