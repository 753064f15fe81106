//! The steps of a boot, in the order in which people read them; boot/mod.rs says what each one waits for.

use std::sync::Arc;

use berth_config::{Config, PinnedImage};

use crate::clock::Uptime;
use crate::message::container::{ContainerId, ImageFacts};
use crate::message::error::JobError;
use crate::message::identity::Identity;
use crate::message::job::JobKind;
use crate::outbox::Outbox;
use crate::phase::failing::Failure;
use crate::retry::{FAR, NEAR};
use crate::step::Step;
use crate::view::{ReadyReason, StepView};

/// Every step, each with its result.
#[derive(Debug)]
pub(super) struct Steps {
    pub(super) identity: Step<Arc<Identity>>,
    pub(super) config: Step<Arc<Config>>,
    pub(super) listen: Step<()>,
    pub(super) secrets: Step<()>,
    pub(super) login: Step<()>,
    pub(super) engine: Step<()>,
    pub(super) containers: Step<()>,
    pub(super) clearing: Step<()>,
    pub(super) digest: Step<PinnedImage>,
    pub(super) image: Step<Option<ImageFacts>>,
    pub(super) pull: Step<()>,
    pub(super) paths: Step<()>,
    pub(super) create: Step<ContainerId>,
    pub(super) start: Step<()>,
    pub(super) healthy: Step<()>,
}

/// A step, whatever its result is.
pub(super) trait AnyStep {
    fn retry(&mut self, error: &JobError, outbox: &mut Outbox, now: Uptime);
    fn refuse(&mut self, error: &JobError, now: Uptime);
    fn cancel(&mut self, outbox: &mut Outbox);
    fn wake(&self) -> Option<Uptime>;
    fn view(&self) -> Option<StepView>;
    fn is_under_way(&self) -> bool;
    fn error(&self) -> Option<&str>;
}

impl<T> AnyStep for Step<T> {
    fn retry(&mut self, error: &JobError, outbox: &mut Outbox, now: Uptime) {
        self.retry(error, outbox, now);
    }
    fn refuse(&mut self, error: &JobError, now: Uptime) {
        self.refuse(error, now);
    }
    fn cancel(&mut self, outbox: &mut Outbox) {
        self.cancel(outbox);
    }
    fn wake(&self) -> Option<Uptime> {
        self.wake()
    }
    fn view(&self) -> Option<StepView> {
        self.view()
    }
    fn is_under_way(&self) -> bool {
        self.is_under_way()
    }
    fn error(&self) -> Option<&str> {
        self.error()
    }
}

impl Steps {
    pub(super) fn new() -> Self {
        Self {
            identity: Step::new("identity", NEAR),
            config: Step::new("config", FAR),
            listen: Step::new("listen", NEAR),
            secrets: Step::new("secrets", FAR),
            login: Step::new("login", FAR),
            engine: Step::new("engine", NEAR),
            containers: Step::new("containers", NEAR),
            clearing: Step::new("clearing", NEAR),
            digest: Step::new("digest", FAR),
            image: Step::new("image", NEAR),
            pull: Step::new("pull", FAR),
            paths: Step::new("paths", NEAR),
            create: Step::new("create", NEAR),
            start: Step::new("start", NEAR),
            healthy: Step::new("healthy", NEAR),
        }
    }

    /// The step that a failed job belongs to; none if the job is the app's or the hook's.
    pub(super) fn of(&mut self, job: JobKind) -> Option<&mut dyn AnyStep> {
        Some(match job {
            JobKind::Identify => &mut self.identity,
            JobKind::ReadConfig => &mut self.config,
            JobKind::Listen => &mut self.listen,
            JobKind::FetchSecrets if !self.secrets.is_done() => &mut self.secrets,
            JobKind::LoginRegistry => &mut self.login,
            JobKind::PingEngine => &mut self.engine,
            JobKind::FindContainers => &mut self.containers,
            JobKind::RemoveContainer => &mut self.clearing,
            JobKind::ResolveDigest => &mut self.digest,
            JobKind::InspectImage if !self.image.is_done() => &mut self.image,
            // The look after a pull is a part of it.
            JobKind::InspectImage => &mut self.pull,
            JobKind::PullImage => &mut self.pull,
            JobKind::CheckPaths => &mut self.paths,
            JobKind::CreateContainer => &mut self.create,
            _ => return None,
        })
    }

    /// Stops whatever runs.
    pub(super) fn cancel(&mut self, outbox: &mut Outbox) {
        let Self { identity, config, listen, secrets, login, engine, containers, clearing, .. } = self;
        let Self { digest, image, pull, paths, create, .. } = self;
        let before: [&mut dyn AnyStep; 8] = [identity, config, listen, secrets, login, engine, containers, clearing];
        let after: [&mut dyn AnyStep; 5] = [digest, image, pull, paths, create];
        before.into_iter().chain(after).for_each(|step| step.cancel(outbox));
    }

    /// When the first of them wants another attempt. One that was due at `advanced` already waits for another step's answer, and
    /// to wake up for it would be to spin.
    pub(super) fn wake(&self, advanced: Uptime) -> Option<Uptime> {
        self.all().into_iter().filter_map(AnyStep::wake).filter(|at| *at > advanced).min()
    }

    /// Those that began.
    pub(super) fn views(&self) -> Vec<StepView> {
        self.all().into_iter().filter_map(AnyStep::view).collect()
    }

    /// What is under way, as `/ready` says it. Steps run side by side: one that is tried again comes first.
    pub(super) fn ready_reason(&self) -> ReadyReason {
        const WAITING_FOR: [ReadyReason; 15] = [
            ReadyReason::WaitingForMetadata,
            ReadyReason::ReadingConfig,
            ReadyReason::BindingListenAddress,
            ReadyReason::FetchingSecrets,
            ReadyReason::LoggingIn,
            ReadyReason::WaitingForEngine,
            ReadyReason::CheckingContainers,
            ReadyReason::CheckingContainers,
            ReadyReason::LookingUpImage,
            ReadyReason::LookingUpImage,
            ReadyReason::PullingImage,
            ReadyReason::WaitingForPaths,
            ReadyReason::CreatingContainer,
            ReadyReason::StartingApp,
            ReadyReason::NotHealthyYet,
        ];
        let under_way = || self.all().into_iter().zip(WAITING_FOR).filter(|(step, _)| step.is_under_way());
        let first = under_way().find(|(step, _)| step.error().is_some()).or_else(|| under_way().next());
        first.map_or(ReadyReason::Starting, |(_, reason)| reason)
    }

    fn all(&self) -> [&dyn AnyStep; 15] {
        [
            &self.identity,
            &self.config,
            &self.listen,
            &self.secrets,
            &self.login,
            &self.engine,
            &self.containers,
            &self.clearing,
            &self.digest,
            &self.image,
            &self.pull,
            &self.paths,
            &self.create,
            &self.start,
            &self.healthy,
        ]
    }
}

/// What it means for the boot that a step of it failed for good.
pub(super) fn failure(job: JobKind, error: &JobError) -> Failure {
    let ready = match job {
        JobKind::Identify => ReadyReason::MetadataUnavailable,
        JobKind::ReadConfig => ReadyReason::ConfigUnavailable.or_denied(error),
        JobKind::Listen => ReadyReason::ListenAddressUnavailable,
        JobKind::FetchSecrets => ReadyReason::SecretsUnavailable.or_denied(error),
        JobKind::CreateContainer | JobKind::CheckPaths => ReadyReason::ContainerNotCreated,
        JobKind::LoginRegistry | JobKind::ResolveDigest | JobKind::InspectImage | JobKind::PullImage => {
            ReadyReason::ImageUnavailable.or_denied(error)
        }
        _ => ReadyReason::EngineUnavailable, // the ping, and what is found and removed
    };
    Failure::of_boot(ready, &*error.reason)
}
