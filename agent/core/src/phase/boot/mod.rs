//! Boot: from nothing to a healthy app.
//!
//! ```text
//!   identity ▶ config ┬▶ secrets ───────────────────────────────────┐
//!                     ├▶ login ──┬▶ digest ▶ image ┬─────▶ create ──┴▶ start ▶ healthy ▶ serve
//!                     ├▶ engine ─┤                 └▶ pull ▶ image
//!                     │          └▶ containers ▶ (strays removed ▶ paths ▶ create | ours adopted ▶ healthy)
//!                     └▶ group ▶ heartbeats (hook.rs)
//! ```
//! Every step is ordered as soon as its inputs are there, so what can go side by side does. A transient error is tried
//! again until `boot.timeout`; a permanent one fails the boot at once, unless the step turns out not to be needed: a login
//! when the image is here, all of them when a container is adopted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use berth_config::{Config, PinnedImage, ProbeMethod};

use crate::app::{App, News, Recipe};
use crate::clock::Uptime;
use crate::hook::Hook;
use crate::message::container::{ContainerId, Creation, FoundContainer, ImageFacts, RunningContainer};
use crate::message::error::{ErrorClass, JobError};
use crate::message::event::{Event, PullProgress};
use crate::message::failure_reason::FailureReason;
use crate::message::identity::Identity;
use crate::message::input::Input;
use crate::message::job::{Job, JobKind, PULL_STALL};
use crate::message::outcome::Outcome;
use crate::outbox::Outbox;
use crate::phase::failing::Failure;
use crate::phase::past::Past;
use crate::view::{ReadyReason, StepView};

use steps::Steps;

mod steps;

mod show;

/// The way to a healthy app.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The config: the one that held before, or the defaults, until this boot has read it.
    config: Arc<Config>,
    began: Uptime,
    /// When every step that could begin was last ordered.
    advanced: Uptime,
    deadline: Uptime,
    steps: Steps,
    login_refused: Option<JobError>,
    /// A lasting error of what a container that runs already does not need: it counts once it is known that there is none.
    held: Option<Failure>,
    strays: VecDeque<ContainerId>,
    progress: Option<PullProgress>,
    app: Option<App>,
    hook: Hook,
    /// Whether the group wants the instance in its warm pool: then nothing is started.
    warm: bool,
    /// Whether an app was found running all the same.
    occupied: bool,
}

/// Where a boot goes after an event.
#[derive(Debug)]
pub enum BootNext {
    /// On with it.
    Stay,
    /// The app is healthy.
    Serve,
    /// Everything is prepared, and the group wants the instance in its warm pool.
    Warm,
    /// The group wants the instance in its warm pool, and an app still runs: an agent before this one served.
    Occupied,
    /// It failed.
    Fail(Failure),
}

impl Boot {
    /// Begins.
    pub fn begin(config: Arc<Config>, outbox: &mut Outbox, now: Uptime) -> Self {
        let mut boot = Self {
            began: now,
            advanced: now,
            deadline: now + config.boot.timeout,
            config,
            steps: Steps::new(),
            login_refused: None,
            held: None,
            strays: VecDeque::new(),
            progress: None,
            app: None,
            hook: Hook::launching(),
            warm: false,
            occupied: false,
        };
        boot.steps.identity.emit(Job::Identify, outbox, now);
        boot
    }

    /// Sets how long the boot may take, until the config says it.
    pub fn limit(&mut self, limit: Duration) {
        self.deadline = self.began + limit;
    }

    /// Takes an input.
    pub fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> BootNext {
        self.hook.on(input, outbox, now);
        if let Some(app) = &mut self.app {
            let was_up = app.is_up();
            let news = app.on(input, outbox, now);
            if app.is_up() && !was_up {
                self.steps.start.done((), now);
            }
            match news {
                News::Nothing => {}
                News::Healthy => {
                    self.steps.healthy.done((), now);
                    return BootNext::Serve;
                }
                News::Lost(reason) => return BootNext::Fail(Failure::of_boot(app.ready_reason(), reason)),
            }
            if app.is_creating() {
                // It removes what is in its way itself.
                self.steps.clearing.cancel(outbox);
                self.strays.clear();
            }
        }
        if let Err(failure) = self.take(input, outbox, now) {
            return BootNext::Fail(failure);
        }
        if self.occupied {
            return BootNext::Occupied;
        }
        if let Some(failure) = self.advance(outbox, now) {
            return BootNext::Fail(failure);
        }
        // Whether an app runs that needs no boot decides what a refusal means.
        if let Some(reason) = self.hook.refusal().filter(|_| self.steps.containers.is_done()) {
            return BootNext::Fail(Failure::of_boot(ReadyReason::LaunchHookRefused, reason));
        }
        if self.warm && self.facts().is_some() && self.steps.containers.is_done() && self.strays.is_empty() {
            return BootNext::Warm;
        }
        match self.overdue(now) {
            Some(failure) => BootNext::Fail(failure),
            None => BootNext::Stay,
        }
    }

    /// The metadata shows the instance in a group.
    pub fn joins_group(&mut self) {
        self.hook.joins_group();
    }

    /// The group wants the instance in its warm pool.
    pub fn prepare(&mut self) {
        self.warm = self.app.is_none();
    }

    /// The group wants the instance in service. Taken from its pool, it has another launch hook to complete.
    pub fn enter_service(&mut self, outbox: &mut Outbox, now: Uptime) {
        if std::mem::take(&mut self.warm) && self.hook.is_over() {
            self.hook = Hook::launching();
            self.hook.begin(self.steps.identity.get(), &self.config.lifecycle, None, outbox, now);
        }
    }

    /// When the boot wants to be looked at again.
    pub fn wake(&self) -> Option<Uptime> {
        let rooms = [
            self.hook.wake(),
            self.app.as_ref().and_then(App::wake),
            self.start_deadline().map(|(_, at)| at),
            Some(self.deadline),
        ];
        rooms.into_iter().chain([self.steps.wake(self.advanced)]).flatten().min()
    }

    /// Stops everything that runs and hands over what there is.
    pub fn leave(mut self, outbox: &mut Outbox) -> Past {
        let pull = self.pull_view();
        let is_kept = |step: &StepView| step.name != self.steps.listen.name();
        let steps = self.steps.views().into_iter().filter(is_kept).collect();
        self.steps.cancel(outbox);
        Past {
            config: self.config,
            is_configured: self.steps.config.is_done(),
            identity: self.steps.identity.get().cloned(),
            image: self.steps.digest.get().cloned(),
            looked: self.steps.containers.is_done() && self.strays.is_empty(),
            removing: !self.strays.is_empty(),
            created: self.steps.create.get().cloned(),
            app: self.app,
            hook: self.hook,
            listen: self.steps.listen,
            steps,
            pull,
        }
    }

    /// Who this instance is, once known.
    pub fn identity(&self) -> Option<&Arc<Identity>> {
        self.steps.identity.get()
    }

    /// The config, once it is read.
    pub fn config(&self) -> Option<&Arc<Config>> {
        self.steps.config.get().map(|()| &self.config)
    }

    /// The image, once its digest is known.
    pub fn image(&self) -> Option<&PinnedImage> {
        self.steps.digest.get()
    }

    /// The app, once there is a container.
    pub fn app(&self) -> Option<&App> {
        self.app.as_ref()
    }

    /// The launch hook.
    pub fn hook(&self) -> &Hook {
        &self.hook
    }

    /// Takes what the answer to one of its steps brought, or how far its pull is.
    fn take(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> Result<(), Failure> {
        if let Input::Event(Event::PullProgressed(progress)) = input {
            self.progress = Some(progress.clone());
        }
        let Some(event) = self.steps.answer(input) else { return Ok(()) };
        match event {
            Event::Identified(identity) => self.steps.identity.done(identity.clone(), now),
            Event::ConfigRead(config) => {
                self.config = config.clone();
                self.steps.config.done((), now);
                self.limit(config.boot.timeout);
                self.hook.begin(self.steps.identity.get(), &config.lifecycle, None, outbox, now);
                if let Some(image) = config.image.pinned() {
                    self.steps.digest.done(image, now);
                }
            }
            Event::Listening => self.steps.listen.done((), now),
            Event::SecretsFetched => self.steps.secrets.done((), now),
            Event::RegistryLoggedIn => self.steps.login.done((), now),
            Event::EngineAnswered => self.steps.engine.done((), now),
            Event::ContainersFound(found) => self.sort(found, outbox, now),
            Event::ContainerRemoved => {
                self.strays.pop_front();
                if self.strays.is_empty() {
                    self.steps.clearing.done((), now);
                } else {
                    self.steps.clearing.go_on();
                }
            }
            Event::PathsFound => self.steps.paths.done((), now),
            Event::DigestResolved(image) => self.steps.digest.done(image.clone(), now),
            Event::ImageInspected(facts) => {
                // The inspection after the pull is a part of it.
                match (self.steps.pull.answer(input), facts) {
                    (None, _) => self.steps.image.done(facts.clone(), now),
                    (Some(_), Some(_)) => {
                        self.steps.image.replace(facts.clone());
                        self.steps.pull.done((), now);
                    }
                    (Some(_), None) => {
                        let reason = "the image was pulled, but the engine does not have it";
                        self.steps.pull.retry(&JobError::new(ErrorClass::Transient, reason), outbox, now);
                    }
                }
                if let Some(facts) = facts {
                    self.refuse_health(facts)?;
                    // The registry is not needed any more, whatever it was about to say.
                    self.steps.login.cancel(outbox);
                }
            }
            Event::ImagePulled => {
                self.steps.pull.go_on();
                if let Some(image) = self.steps.digest.get().cloned() {
                    let platform = self.config.platform.clone();
                    self.steps.pull.emit(Job::InspectImage(image, platform), outbox, now);
                }
            }
            Event::ContainerCreated(id) => self.steps.create.done(id.clone(), now),
            Event::Failed(job, error) => return self.failed(*job, error, input, outbox, now),
            _ => {} // no answer to a step
        }
        Ok(())
    }

    /// What can never be asked of the image is known before anything is created from it.
    fn refuse_health(&self, facts: &ImageFacts) -> Result<(), Failure> {
        let asks = self.config.health == Some(ProbeMethod::Docker);
        if asks && facts.healthcheck.is_none() {
            return Err(Failure::of_boot(ReadyReason::NeverHealthy, FailureReason::NoHealthcheck.to_string()));
        }
        Ok(())
    }

    /// An attempt failed: try again, or give the boot up.
    fn failed(
        &mut self,
        job: JobKind,
        error: &JobError,
        input: &Input,
        outbox: &mut Outbox,
        now: Uptime,
    ) -> Result<(), Failure> {
        let lasting = !error.is_transient();
        match job {
            JobKind::ReadConfig if error.class == ErrorClass::Misconfigured => {
                self.steps.config.refuse(error, now);
                let (outcome, ready) = (Outcome::Usage, ReadyReason::ConfigInvalid);
                return Err(Failure { outcome, ..Failure::of_error(ready, error) });
            }
            // Credentials that nobody needs in the end are no reason to fail.
            JobKind::LoginRegistry if lasting => {
                self.steps.login.refuse(error, now);
                self.login_refused = Some(error.clone());
                return Ok(());
            }
            // The engine may have created it before the answer was lost: look again before the next attempt.
            JobKind::CreateContainer if !lasting => self.steps.containers.reopen(),
            _ => {}
        }
        let Some(step) = self.steps.answered(input) else { return Ok(()) };
        if lasting {
            step.refuse(error, now);
            let failure = steps::failure(job, error);
            if !self.steps.containers.is_done() && is_spared_by_adoption(job) {
                self.held.get_or_insert(failure);
                return Ok(());
            }
            return Err(failure);
        }
        step.retry(error, outbox, now);
        if error.class == ErrorClass::Expired {
            self.steps.login.reopen();
        }
        Ok(())
    }

    /// Adopts the container that the config asks for, and sees every other one as a stray.
    fn sort(&mut self, found: &[FoundContainer], outbox: &mut Outbox, now: Uptime) {
        self.steps.containers.done((), now);
        if found.is_empty() {
            return;
        }
        let config = self.config.clone();
        let fingerprint = config.fingerprint();
        if found.iter().any(|one| one.fingerprint.is_some()) {
            self.hook.inherit(outbox, now);
        }
        for one in found {
            let ours = one.fingerprint.as_deref() == Some(&fingerprint) && one.name == config.container_name();
            match (&one.running, &one.image) {
                (Some(running), Some(image)) if ours && self.app.is_none() && !self.warm => {
                    self.adopt(running.clone(), image.clone(), &config, outbox, now);
                }
                (running, _) => {
                    self.occupied |= ours && self.warm && running.is_some();
                    self.strays.push_back(one.id.clone());
                }
            }
        }
    }

    fn adopt(
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
        let recipe = Recipe { config: config.clone(), identity, image };
        self.steps.healthy.mark(now);
        self.app = Some(App::adopt(recipe, running, outbox, now));
    }

    /// Orders every step whose inputs are there.
    fn advance(&mut self, outbox: &mut Outbox, now: Uptime) -> Option<Failure> {
        self.advanced = now;
        let Some(identity) = self.steps.identity.get().cloned() else {
            if self.steps.identity.is_due(now) {
                self.steps.identity.emit(Job::Identify, outbox, now);
            }
            return None;
        };
        if !self.steps.config.is_done() {
            if self.steps.config.is_due(now) {
                self.steps.config.emit(Job::ReadConfig, outbox, now);
            }
            return None;
        }
        let config = self.config.clone();
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
        if self.held.is_some() {
            return self.held.clone().filter(|_| self.steps.containers.is_done());
        }
        self.advance_container(&config, &identity, outbox, now);
        None
    }

    /// Tag to digest, then the image: here, or pulled.
    fn advance_image(&mut self, config: &Arc<Config>, outbox: &mut Outbox, now: Uptime) -> Option<Failure> {
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
    fn advance_container(&mut self, config: &Arc<Config>, identity: &Arc<Identity>, outbox: &mut Outbox, now: Uptime) {
        let (Some(image), Some(facts), false) = (self.steps.digest.get(), self.facts(), self.warm) else { return };
        let is_free = self.steps.containers.is_done() && self.strays.is_empty();
        let is_prepared = config.after.is_empty() || self.steps.paths.is_done();
        if self.steps.create.is_due(now) && is_free && is_prepared {
            let creation = Creation {
                config: config.clone(),
                identity: identity.clone(),
                image: image.clone(),
                facts: facts.clone(),
            };
            self.steps.create.emit(Job::CreateContainer(Box::new(creation)), outbox, now);
        }
        if let Some(id) = self.steps.create.get()
            && self.steps.secrets.is_done()
        {
            self.steps.start.mark(now);
            self.steps.healthy.mark(now);
            let recipe = Recipe { config: config.clone(), identity: identity.clone(), image: image.clone() };
            self.app = Some(App::start(recipe, id.clone(), outbox, now));
        }
    }

    /// Removes strays, one after the other.
    fn clear(&mut self, config: &Arc<Config>, outbox: &mut Outbox, now: Uptime) {
        let Some(id) = self.strays.front().cloned() else { return };
        if self.steps.clearing.is_done() {
            self.steps.clearing.reopen();
        }
        if self.steps.clearing.is_due(now) {
            self.steps.clearing.emit(Job::RemoveContainer { id, timeout: config.stop_timeout }, outbox, now);
        }
    }

    /// An adopted app needs neither secrets nor image.
    fn cancel_unneeded(&mut self, outbox: &mut Outbox) {
        self.steps.secrets.cancel(outbox);
        self.steps.login.cancel(outbox);
        self.steps.digest.cancel(outbox);
        self.steps.image.cancel(outbox);
        self.steps.pull.cancel(outbox);
    }

    fn facts(&self) -> Option<&ImageFacts> {
        self.steps.image.get().and_then(Option::as_ref)
    }

    /// When the app has to be healthy.
    fn start_deadline(&self) -> Option<(Duration, Uptime)> {
        self.app.as_ref()?.start_deadline()
    }

    /// Why the boot has lasted too long, if it has.
    fn overdue(&self, now: Uptime) -> Option<Failure> {
        if let Some((limit, at)) = self.start_deadline()
            && at <= now
        {
            let reason = FailureReason::NotHealthyInTime { limit, last: self.reason() };
            return Some(Failure::of_boot(ReadyReason::NotHealthyInTime, reason.to_string()));
        }
        if self.deadline <= now {
            let limit = self.deadline.since(self.began);
            let reason = FailureReason::BootTimedOut { limit, last: self.reason() };
            return Some(Failure::of_boot(ReadyReason::BootTimedOut, reason.to_string()));
        }
        None
    }
}

/// Whether a container that is found running makes the job needless.
fn is_spared_by_adoption(job: JobKind) -> bool {
    matches!(job, JobKind::FetchSecrets | JobKind::ResolveDigest | JobKind::InspectImage | JobKind::PullImage)
}
