//! Boot: from nothing to a healthy app.
//!
//! ```text
//!   identity ▶ config ┬▶ secrets ───────────────────────────────────┐
//!                     ├▶ login ──┬▶ digest ▶ image ┬─────▶ create ──┴▶ start ▶ healthy ▶ serve
//!                     ├▶ engine ─┤                 └▶ pull ▶ image
//!                     │          └▶ containers ▶ (strays removed ▶ paths ▶ create | ours adopted ▶ healthy)
//!                     └▶ group ▶ heartbeats (hook/)
//! ```
//! Every step is ordered as soon as its inputs are there, so independent steps run at the same time. A transient error is tried
//! again until `boot.timeout`; a permanent one fails the boot at once, unless the step turns out not to be needed: a login
//! when the image is here, all of them when a container is adopted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use berth_config::{Config, PinnedImage};

use crate::app::{App, News};
use crate::clock::Uptime;
use crate::hook::Hook;
use crate::message::container::{ContainerId, ImageFacts};
use crate::message::error::JobError;
use crate::message::event::PullProgress;
use crate::message::failure_reason::FailureReason;
use crate::message::identity::Identity;
use crate::message::input::Input;
use crate::message::job::Job;
use crate::outbox::Outbox;
use crate::phase::failing::Failure;
use crate::phase::past::Past;
use crate::release::choice::Choice;
use crate::release::{NotedReleases, Releases};
use crate::targets::{NotedTargets, Targets};
use crate::view::{ReadyReason, StepView};

use steps::Steps;

mod advance;
mod answers;
mod found;
mod show;
mod steps;

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
    /// What is registered with load balancers, of this agent or of one before it.
    targets: Targets,
    /// The releases, of this agent or of one before it.
    releases: Releases,
    /// What an agent before this one left of them.
    noted: Option<NotedReleases>,
    /// The config of the release that serves, as it was kept.
    kept: Kept,
    /// With `follow`, which of them this instance runs.
    choice: Option<Box<Choice>>,
    /// The other container of a release in which an agent before this one was killed.
    beside: Option<App>,
    /// Whether the group wants the instance in its warm pool: then nothing is started.
    warm: bool,
    /// Whether an app was found running although the instance belongs in its pool.
    occupied: bool,
}

/// What an agent before this one kept of the document that it read: for one that cannot be read, or be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Unread,
    Reading,
    /// It is not there.
    Missing,
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
    /// The release that an agent before this one moved traffic to is no good, and why: what served before is booted.
    Back(String),
    /// It failed.
    Fail(Failure),
}

impl Boot {
    /// Begins.
    pub fn begin(
        config: Arc<Config>,
        mut targets: Targets,
        releases: Releases,
        outbox: &mut Outbox,
        now: Uptime,
    ) -> Self {
        targets.begin_boot();
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
            targets,
            releases,
            noted: None,
            kept: Kept::Unread,
            choice: None,
            beside: None,
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

    /// Who this instance is is known already.
    pub fn know(&mut self, identity: Arc<Identity>, outbox: &mut Outbox, now: Uptime) {
        self.steps.identity.cancel(outbox);
        self.steps.identity.done(identity, now);
    }

    /// Boots what served before, after one release turned out bad.
    pub fn return_to(&mut self, noted: NotedReleases) {
        self.noted = Some(noted);
        self.kept = Kept::Reading;
        self.targets.begin_return();
    }

    /// Takes an input.
    pub fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> BootNext {
        match self.proceed(input, outbox, now) {
            // What could not be removed is found again later, and says nothing of what serves.
            BootNext::Fail(_)
                if self.releases.are_on_trial() && self.app.as_ref().is_some_and(|app| app.health().is_healthy()) =>
            {
                BootNext::Serve
            }
            BootNext::Fail(failure) if self.releases.are_on_trial() && self.app.is_some() => {
                BootNext::Back(failure.reason)
            }
            BootNext::Stay
                if self.releases.are_on_trial() && self.app.as_ref().is_some_and(|app| app.stays_unhealthy(now)) =>
            {
                BootNext::Back(self.reason())
            }
            next => next,
        }
    }

    fn proceed(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> BootNext {
        self.hook.on(input, outbox, now);
        self.targets.on(input, outbox, now);
        if let Some(app) = &mut self.app {
            let was_up = app.is_up();
            let news = app.on(input, outbox, now);
            if app.is_up() && !was_up {
                self.steps.start.done((), now);
            }
            match news {
                News::Nothing => {}
                News::Healthy => self.steps.healthy.done((), now),
                News::Lost(reason) => return BootNext::Fail(Failure::of_boot(app.ready_reason(), reason)),
            }
            if app.is_creating() {
                // It removes what is in its way itself.
                self.steps.clearing.cancel(outbox);
                self.strays.clear();
            }
        }
        if let Some(other) = &mut self.beside
            && let News::Lost(_) = other.on(input, outbox, now)
        {
            self.strays.push_back(other.id().clone());
            self.beside = None;
        }
        if let Err(failure) = self.choose(input, outbox, now) {
            return BootNext::Fail(failure);
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
        if let Some(failure) = self.targets.failure(&self.config, now) {
            return BootNext::Fail(failure);
        }
        // An adopted app may be healthy before what was found beside it is removed.
        let is_healthy = self.app.as_ref().is_some_and(|app| app.health().is_healthy());
        if is_healthy && self.strays.is_empty() {
            return BootNext::Serve;
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

    /// When the boot wants to be woken.
    pub fn wake(&self) -> Option<Uptime> {
        let parts = [
            self.hook.wake(),
            self.app.as_ref().and_then(App::wake),
            self.beside.as_ref().and_then(App::wake),
            self.choice.as_ref().and_then(|choice| choice.step().wake()),
            self.start_deadline().map(|(_, at)| at),
            Some(self.deadline),
        ];
        // What was due when all was ordered waits for another step's answer.
        let targets = self.targets.wake().filter(|at| *at > self.advanced);
        parts.into_iter().chain([self.steps.wake(self.advanced), targets]).flatten().min()
    }

    /// Stops everything that runs and hands over what there is.
    pub fn leave(mut self, outbox: &mut Outbox) -> Past {
        let pull = self.pull_view();
        let is_kept = |step: &StepView| step.name != self.steps.listen.name();
        let steps = self.steps.views().into_iter().filter(is_kept).collect();
        if let (true, Some(image)) = (self.steps.pull.is_done(), self.steps.digest.get()) {
            self.releases.note_pulled(image);
        }
        self.steps.cancel(outbox);
        if let Some(choice) = &mut self.choice {
            choice.cancel(outbox);
        }
        Past {
            config: self.config,
            is_configured: self.steps.config.is_done(),
            identity: self.steps.identity.get().cloned(),
            image: self.steps.digest.get().cloned(),
            looked: self.steps.containers.is_done() && self.strays.is_empty(),
            removing: !self.strays.is_empty(),
            created: self.steps.create.get().cloned(),
            app: self.app,
            beside: self.beside,
            hook: self.hook,
            targets: self.targets,
            releases: self.releases,
            deadline: self.deadline,
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
        self.steps.config.get().filter(|()| self.has_chosen()).map(|()| &self.config)
    }

    /// The image, once its digest is known.
    pub fn image(&self) -> Option<&PinnedImage> {
        self.steps.digest.get()
    }

    /// The app, once there is a container.
    pub fn app(&self) -> Option<&App> {
        self.app.as_ref()
    }

    /// What an agent before this one left with load balancers.
    pub fn remember(&mut self, noted: NotedTargets, ago: Duration, now: Uptime) {
        self.targets.remember(noted, ago, now);
    }

    /// The releases that an agent before this one left.
    pub fn remember_releases(&mut self, noted: NotedReleases) {
        self.releases.remember(&noted);
        self.noted = Some(noted);
    }

    /// Its targets.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The launch hook.
    pub fn hook(&self) -> &Hook {
        &self.hook
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
