//! Boot: from nothing to a healthy app.
//!
//! ```text
//!   identity ▶ config ┬▶ secrets ───────────────────────────────────┐
//!                     ├▶ login ──┬▶ digest ▶ image ┬─────▶ create ──┴▶ start ▶ healthy ▶ serve
//!                     ├▶ engine ─┤                 └▶ pull ▶ image
//!                     │          └▶ containers ▶ (strays removed | ours adopted ▶ healthy)
//!                     └▶ group ▶ heartbeats (hook.rs)
//! ```
//! Every step is ordered as soon as its inputs are there, so what can go side by side does. A transient fault is tried
//! again until `boot.timeout`; a permanent one fails the boot at once, unless the step turns out not to be needed: a login
//! when the image is here, all of them when a container is adopted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::app::{App, News};
use crate::clock::Uptime;
use crate::config::{Config, PinnedImage};
use crate::desk::Desk;
use crate::effect::{ContainerId, Creation, Effect, FoundContainer, ImageFacts, Job, RunningContainer};
use crate::event::{Event, PullProgress};
use crate::exit::Outcome;
use crate::fault::{Class, Fault};
use crate::hook::Hook;
use crate::identity::Identity;
use crate::retry::{FAR, NEAR};
use crate::step::Step;
use crate::view::{DeadlineView, PullView, StepView};

/// Until the config says how long a boot may take: the default of `boot.timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// A pull that makes no progress for this long is cut and tried again.
const STALL: Duration = Duration::from_secs(60);

/// The way to a healthy app.
#[derive(Debug)]
pub struct Boot {
    began: Uptime,
    deadline: Uptime,
    identity: Step<Arc<Identity>>,
    config: Step<Arc<Config>>,
    listen: Step<()>,
    secrets: Step<()>,
    login: Step<()>,
    login_refused: Option<Fault>,
    engine: Step<()>,
    containers: Step<()>,
    /// A lasting fault of what a container that runs already does not need: it counts once it is known that there is none.
    held: Option<Fault>,
    strays: VecDeque<ContainerId>,
    clearing: Step<()>,
    digest: Step<PinnedImage>,
    image: Step<Option<ImageFacts>>,
    pull: Step<()>,
    progress: Option<PullProgress>,
    create: Step<ContainerId>,
    start: Step<()>,
    healthy: Step<()>,
    app: Option<App>,
    hook: Hook,
}

/// Where a boot goes after an event.
#[derive(Debug)]
pub enum Next {
    /// On with it.
    Stay,
    /// The app is healthy.
    Serve,
    /// It failed: the exit code and why.
    Fail(Outcome, String),
}

/// What a boot leaves behind for the phase that follows.
#[derive(Debug)]
pub struct Handover {
    /// The config, if it could be read.
    pub config: Option<Arc<Config>>,
    /// The identity, if it is known.
    pub identity: Option<Arc<Identity>>,
    /// The image, if its digest is known.
    pub image: Option<PinnedImage>,
    /// The app, if its container was created or adopted.
    pub app: Option<App>,
    /// A container that was created but not started.
    pub created: Option<ContainerId>,
    /// The launch hook.
    pub hook: Hook,
    /// The steps, for people.
    pub steps: Vec<StepView>,
    /// How far the pull came.
    pub pull: Option<PullView>,
}

impl Boot {
    /// Begins.
    pub fn begin(desk: &mut Desk, now: Uptime) -> Self {
        let mut boot = Self {
            began: now,
            deadline: now + DEFAULT_TIMEOUT,
            identity: Step::new("identity", NEAR),
            config: Step::new("config", FAR),
            listen: Step::new("listen", NEAR),
            secrets: Step::new("secrets", FAR),
            login: Step::new("login", FAR),
            login_refused: None,
            engine: Step::new("engine", NEAR),
            containers: Step::new("containers", NEAR),
            held: None,
            strays: VecDeque::new(),
            clearing: Step::new("clearing", NEAR),
            digest: Step::new("digest", FAR),
            image: Step::new("image", NEAR),
            pull: Step::new("pull", FAR),
            progress: None,
            create: Step::new("create", NEAR),
            start: Step::new("start", NEAR),
            healthy: Step::new("healthy", NEAR),
            app: None,
            hook: Hook::new(),
        };
        boot.identity.order(Effect::Identify, desk, now);
        boot
    }

    /// Takes an event.
    pub fn on(&mut self, event: &Event, desk: &mut Desk, now: Uptime) -> Next {
        self.hook.on(event, desk, now);
        if let Some(app) = &mut self.app {
            if matches!(event, Event::ContainerStarted(_)) {
                self.start.done((), now);
            }
            match app.on(event, desk, now) {
                News::Nothing => {}
                News::Healthy => {
                    self.healthy.done((), now);
                    return Next::Serve;
                }
                News::Lost(reason) => return Next::Fail(Outcome::BootFailed, reason),
            }
        }
        if let Err(failure) = self.take(event, desk, now) {
            return Next::Fail(failure.outcome, failure.reason);
        }
        if let Some(fault) = self.advance(desk, now) {
            return Next::Fail(Outcome::BootFailed, fault.reason);
        }
        match self.overdue(now) {
            Some(reason) => Next::Fail(Outcome::BootFailed, reason),
            None => Next::Stay,
        }
    }

    /// When the boot wants to be looked at again.
    pub fn wake(&self) -> Option<Uptime> {
        let steps = [
            self.identity.wake(),
            self.config.wake(),
            self.listen.wake(),
            self.secrets.wake(),
            self.login.wake(),
            self.engine.wake(),
            self.containers.wake(),
            self.clearing.wake(),
            self.digest.wake(),
            self.image.wake(),
            self.pull.wake(),
            self.create.wake(),
        ];
        let rooms =
            [self.hook.wake(), self.app.as_ref().and_then(App::wake), self.start_deadline(), Some(self.deadline)];
        steps.into_iter().chain(rooms).flatten().min()
    }

    /// Stops everything that runs and hands over what there is.
    pub fn leave(mut self, desk: &mut Desk) -> Handover {
        let (steps, pull) = (self.all_steps(), self.pull_view());
        self.identity.cancel(desk);
        self.config.cancel(desk);
        self.listen.cancel(desk);
        self.secrets.cancel(desk);
        self.login.cancel(desk);
        self.engine.cancel(desk);
        self.containers.cancel(desk);
        self.clearing.cancel(desk);
        self.digest.cancel(desk);
        self.image.cancel(desk);
        self.pull.cancel(desk);
        self.create.cancel(desk);
        Handover {
            config: self.config.get().cloned(),
            identity: self.identity.get().cloned(),
            image: self.digest.get().cloned(),
            created: self.create.get().cloned(),
            app: self.app,
            hook: self.hook,
            steps,
            pull,
        }
    }

    /// Who this instance is, once known.
    pub fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.get()
    }

    /// The config, once believed.
    pub fn config(&self) -> Option<&Arc<Config>> {
        self.config.get()
    }

    /// The image, once its digest is known.
    pub fn image(&self) -> Option<&PinnedImage> {
        self.digest.get()
    }

    /// The app, once there is a container.
    pub fn app(&self) -> Option<&App> {
        self.app.as_ref()
    }

    /// The launch hook.
    pub fn hook(&self) -> &Hook {
        &self.hook
    }

    /// What is being waited for, in one sentence.
    pub fn reason(&self) -> String {
        if let Some(app) = &self.app {
            return app.reason().to_owned();
        }
        if let Some(fault) = &self.held {
            return fault.reason.clone();
        }
        let waiting: Vec<String> = self
            .all_steps()
            .into_iter()
            .filter(|step| step.took.is_none())
            .map(|step| match step.fault {
                Some(fault) => format!("{} ({fault})", step.name),
                None => step.name,
            })
            .collect();
        if waiting.is_empty() { "starting".to_owned() } else { format!("waiting for {}", waiting.join(", ")) }
    }

    /// The steps that began, in the order they began.
    pub fn steps(&self) -> Vec<StepView> {
        let mut steps: Vec<StepView> = self.all_steps().into_iter().chain(self.hook.steps()).collect();
        steps.sort_by(|one, other| one.began.total_cmp(&other.began));
        steps
    }

    /// How far the pull is.
    pub fn pull_view(&self) -> Option<PullView> {
        let p = self.progress.as_ref()?;
        Some(PullView { layers_done: p.layers_done, layers: p.layers, bytes: p.bytes, total: p.total })
    }

    /// What is waited for, and until when.
    pub fn deadlines(&self) -> Vec<DeadlineView> {
        let boot = DeadlineView { name: "boot.timeout".to_owned(), at: self.deadline.0.as_secs_f64() };
        let start = self
            .start_deadline()
            .map(|at| DeadlineView { name: "probe.start_timeout".to_owned(), at: at.0.as_secs_f64() });
        [Some(boot), start].into_iter().flatten().collect()
    }

    /// Takes in what an answer brought.
    fn take(&mut self, event: &Event, desk: &mut Desk, now: Uptime) -> Result<(), Failure> {
        match event {
            Event::Identified(identity) => self.identity.done(identity.clone(), now),
            Event::ConfigRead(config) => {
                self.config.done(config.clone(), now);
                self.deadline = self.began + config.boot.timeout;
                self.hook.begin(Some(&config.lifecycle), desk, now);
                if let Some(image) = config.image.pinned() {
                    self.digest.done(image, now);
                }
            }
            Event::Listening => self.listen.done((), now),
            Event::SecretsFetched => self.secrets.done((), now),
            Event::RegistryLoggedIn => self.login.done((), now),
            Event::EngineAnswered => self.engine.done((), now),
            Event::ContainersFound(found) => self.sort(found, desk, now),
            Event::ContainerRemoved => {
                self.clearing.done((), now);
                self.strays.pop_front();
            }
            Event::DigestResolved(image) => self.digest.done(image.clone(), now),
            Event::ImageInspected(facts) => {
                if facts.is_none() && self.pull.is_done() {
                    let fault = Fault::new(Class::Transient, "the image was pulled, but the engine does not have it");
                    self.pull.retry(&fault, desk, now);
                }
                self.image.done(facts.clone(), now);
                if facts.is_some() {
                    // The registry is not needed any more, whatever it was about to say.
                    self.login.cancel(desk);
                }
            }
            Event::PullProgressed(progress) => self.progress = Some(progress.clone()),
            Event::ImagePulled => {
                self.pull.done((), now);
                self.image.reopen();
            }
            Event::ContainerCreated(id) => self.create.done(id.clone(), now),
            Event::Failed(job, fault) => return self.failed(*job, fault, desk, now),
            _ => {} // the app's and the hook's answers, and wake-ups
        }
        Ok(())
    }

    /// An attempt failed: try again, or give the boot up.
    fn failed(&mut self, job: Job, fault: &Fault, desk: &mut Desk, now: Uptime) -> Result<(), Failure> {
        let lasting = !fault.is_transient();
        match job {
            Job::ReadConfig if fault.class == Class::Misconfigured => {
                self.config.refuse(fault, now);
                return Err(Failure { outcome: Outcome::Usage, reason: fault.reason.clone() });
            }
            // Credentials that nobody needs in the end are no reason to fail.
            Job::LoginRegistry if lasting => {
                self.login.refuse(fault, now);
                self.login_refused = Some(fault.clone());
                return Ok(());
            }
            // The engine may have created it before the answer was lost: look again before the next attempt.
            Job::CreateContainer if !lasting => self.containers.reopen(),
            _ => {}
        }
        let step: &mut dyn Retry = match job {
            Job::Identify => &mut self.identity,
            Job::ReadConfig => &mut self.config,
            Job::Listen => &mut self.listen,
            Job::FetchSecrets if !self.secrets.is_done() => &mut self.secrets,
            Job::LoginRegistry => &mut self.login,
            Job::PingEngine => &mut self.engine,
            Job::FindContainers => &mut self.containers,
            Job::RemoveContainer => &mut self.clearing,
            Job::ResolveDigest => &mut self.digest,
            Job::InspectImage => &mut self.image,
            Job::PullImage => &mut self.pull,
            Job::CreateContainer => &mut self.create,
            _ => return Ok(()), // the app's and the hook's jobs
        };
        if lasting {
            step.refuse(fault, now);
            if !self.containers.is_done() && is_spared_by_adoption(job) {
                self.held.get_or_insert_with(|| fault.clone());
                return Ok(());
            }
            return Err(Failure { outcome: Outcome::BootFailed, reason: fault.reason.clone() });
        }
        step.retry(fault, desk, now);
        Ok(())
    }

    /// Adopts the container that the config asks for, and sees every other one as a stray.
    fn sort(&mut self, found: &[FoundContainer], desk: &mut Desk, now: Uptime) {
        self.containers.done((), now);
        let Some(config) = self.config.get().cloned() else { return };
        let fingerprint = config.fingerprint();
        for one in found {
            let ours = one.fingerprint.as_deref() == Some(&fingerprint) && one.name == config.container_name();
            match (&one.running, &one.image) {
                (Some(running), Some(image)) if ours && self.app.is_none() => {
                    self.adopt(running.clone(), image.clone(), &config, desk, now);
                }
                _ => self.strays.push_back(one.id.clone()),
            }
        }
    }

    fn adopt(
        &mut self,
        running: RunningContainer,
        image: PinnedImage,
        config: &Arc<Config>,
        desk: &mut Desk,
        now: Uptime,
    ) {
        self.cancel_unneeded(desk);
        self.digest.done(image, now);
        self.healthy.mark(now);
        self.app = Some(App::adopt(config.clone(), running, desk, now));
    }

    /// Orders every step whose inputs are there.
    fn advance(&mut self, desk: &mut Desk, now: Uptime) -> Option<Fault> {
        let Some(identity) = self.identity.get().cloned() else {
            if self.identity.is_due(now) {
                self.identity.order(Effect::Identify, desk, now);
            }
            return None;
        };
        let Some(config) = self.config.get().cloned() else {
            if self.config.is_due(now) {
                self.config.order(Effect::ReadConfig, desk, now);
            }
            return None;
        };
        if self.listen.is_due(now) {
            self.listen.order(Effect::Listen(config.listen), desk, now);
        }
        if self.engine.is_due(now) {
            self.engine.order(Effect::PingEngine, desk, now);
        }
        if self.engine.is_done() && self.containers.is_due(now) {
            let (name, instance_id) = (config.container_name(), identity.instance_id.clone());
            self.containers.order(Effect::FindContainers { name, instance_id }, desk, now);
        }
        self.clear(&config, desk, now);
        if self.app.is_some() {
            return None;
        }
        if self.secrets.is_due(now) {
            if config.has_secrets() {
                self.secrets.order(Effect::FetchSecrets(config.clone()), desk, now);
            } else {
                self.secrets.done((), now);
            }
        }
        if self.login.is_due(now) && self.login_refused.is_none() && self.facts().is_none() {
            self.login.order(Effect::LoginRegistry(config.clone()), desk, now);
        }
        if self.held.is_none() {
            self.held = self.advance_image(&config, desk, now);
        }
        if self.held.is_some() {
            return self.held.clone().filter(|_| self.containers.is_done());
        }
        self.advance_container(&config, &identity, desk, now);
        None
    }

    /// Tag to digest, then the image: here, or pulled.
    fn advance_image(&mut self, config: &Arc<Config>, desk: &mut Desk, now: Uptime) -> Option<Fault> {
        if !self.engine.is_done() || self.facts().is_some() {
            return None;
        }
        let Some(image) = self.digest.get().cloned() else {
            if self.digest.is_due(now) {
                if let Some(fault) = &self.login_refused {
                    return Some(fault.clone());
                }
                if self.login.is_done() {
                    self.digest.order(Effect::ResolveDigest(config.image.clone()), desk, now);
                }
            }
            return None;
        };
        if self.image.is_due(now) {
            self.image.order(Effect::InspectImage(image), desk, now);
        } else if self.image.is_done() && self.pull.is_due(now) {
            if let Some(fault) = &self.login_refused {
                return Some(fault.clone());
            }
            if self.login.is_done() {
                self.pull.order(Effect::PullImage { image, stall: STALL }, desk, now);
            }
        }
        None
    }

    /// Create once the image is here and the name is free; start once the secrets are here too.
    fn advance_container(&mut self, config: &Arc<Config>, identity: &Arc<Identity>, desk: &mut Desk, now: Uptime) {
        let (Some(image), Some(facts)) = (self.digest.get(), self.facts()) else { return };
        if self.create.is_due(now) && self.containers.is_done() && self.strays.is_empty() {
            let creation = Creation {
                config: config.clone(),
                identity: identity.clone(),
                image: image.clone(),
                facts: facts.clone(),
            };
            self.create.order(Effect::CreateContainer(Box::new(creation)), desk, now);
        }
        if let Some(id) = self.create.get()
            && self.secrets.is_done()
        {
            self.start.mark(now);
            self.healthy.mark(now);
            self.app = Some(App::start(config.clone(), id.clone(), desk, now));
        }
    }
    /// Removes strays, one after the other.
    fn clear(&mut self, config: &Arc<Config>, desk: &mut Desk, now: Uptime) {
        let Some(id) = self.strays.front().cloned() else { return };
        if self.clearing.is_done() {
            self.clearing.reopen();
        }
        if self.clearing.is_due(now) {
            self.clearing.order(Effect::RemoveContainer { id, timeout: config.stop_timeout }, desk, now);
        }
    }

    /// An adopted app needs neither secrets nor image.
    fn cancel_unneeded(&mut self, desk: &mut Desk) {
        self.secrets.cancel(desk);
        self.login.cancel(desk);
        self.digest.cancel(desk);
        self.image.cancel(desk);
        self.pull.cancel(desk);
    }

    fn facts(&self) -> Option<&ImageFacts> {
        self.image.get().and_then(Option::as_ref)
    }

    /// When the app has to be healthy.
    fn start_deadline(&self) -> Option<Uptime> {
        let since = self.app.as_ref()?.ailing_since()?;
        Some(since + self.config.get()?.probe.start_timeout)
    }

    /// Why the boot has lasted too long, if it has.
    fn overdue(&self, now: Uptime) -> Option<String> {
        let config = self.config.get();
        if self.start_deadline().is_some_and(|at| at <= now) {
            let limit = config.map(|config| config.probe.start_timeout).unwrap_or_default();
            return Some(format!("the app was not healthy within {limit:?} (probe.start_timeout): {}", self.reason()));
        }
        if self.deadline <= now {
            let limit = self.deadline.since(self.began);
            return Some(format!("the boot was not over within {limit:?} (boot.timeout): {}", self.reason()));
        }
        None
    }

    fn all_steps(&self) -> Vec<StepView> {
        let steps = [
            self.identity.view(),
            self.config.view(),
            self.listen.view(),
            self.secrets.view(),
            self.login.view(),
            self.engine.view(),
            self.containers.view(),
            self.clearing.view(),
            self.digest.view(),
            self.image.view(),
            self.pull.view(),
            self.create.view(),
            self.start.view(),
            self.healthy.view(),
        ];
        steps.into_iter().flatten().collect()
    }
}

/// Whether a container that is found running makes the job needless.
fn is_spared_by_adoption(job: Job) -> bool {
    matches!(job, Job::FetchSecrets | Job::ResolveDigest | Job::InspectImage | Job::PullImage)
}

/// Why a boot is given up.
struct Failure {
    outcome: Outcome,
    reason: String,
}

/// A step, whatever its result is.
trait Retry {
    fn retry(&mut self, fault: &Fault, desk: &mut Desk, now: Uptime);
    fn refuse(&mut self, fault: &Fault, now: Uptime);
}

impl<T> Retry for Step<T> {
    fn retry(&mut self, fault: &Fault, desk: &mut Desk, now: Uptime) {
        self.retry(fault, desk, now);
    }
    fn refuse(&mut self, fault: &Fault, now: Uptime) {
        self.refuse(fault, now);
    }
}
