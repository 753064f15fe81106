//! The steps of a boot, in the order in which people read them; boot/mod.rs says what each one waits for.

use std::sync::Arc;

use berth_config::PinnedImage;

use crate::clock::Uptime;
use crate::message::container::{ContainerId, ImageFacts};
use crate::message::error::JobError;
use crate::message::event::Event;
use crate::message::identity::Identity;
use crate::message::input::Input;
use crate::message::job::JobKind;
use crate::outbox::Outbox;
use crate::phase::failing::Failure;
use crate::retry::{FAR, NEAR, POWER_ON};
use crate::step::Step;
use crate::view::{ReadyReason, StepName, StepView};

/// Every step, each with its result.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    pub(super) identity: Step<Arc<Identity>>,
    pub(super) config: Step<()>,
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
    fn answer<'i>(&self, input: &'i Input) -> Option<&'i Event>;
    fn retry(&mut self, error: &JobError, outbox: &mut Outbox, now: Uptime);
    fn refuse(&mut self, error: &JobError, now: Uptime);
    fn cancel(&mut self, outbox: &mut Outbox);
    fn wake(&self) -> Option<Uptime>;
    fn view(&self) -> Option<StepView>;
    fn is_under_way(&self) -> bool;
    fn error(&self) -> Option<&str>;
}

impl<T> AnyStep for Step<T> {
    fn answer<'i>(&self, input: &'i Input) -> Option<&'i Event> {
        self.answer(input)
    }
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
            identity: Step::new(StepName::Identity, POWER_ON),
            config: Step::new(StepName::Config, FAR),
            listen: Step::new(StepName::Listen, NEAR),
            secrets: Step::new(StepName::Secrets, FAR),
            login: Step::new(StepName::Login, FAR),
            engine: Step::new(StepName::Engine, NEAR),
            containers: Step::new(StepName::Containers, NEAR),
            clearing: Step::new(StepName::Clearing, NEAR),
            digest: Step::new(StepName::Digest, FAR),
            image: Step::new(StepName::Image, NEAR),
            pull: Step::new(StepName::Pull, FAR),
            paths: Step::new(StepName::Paths, NEAR),
            create: Step::new(StepName::Create, NEAR),
            start: Step::new(StepName::Start, NEAR),
            healthy: Step::new(StepName::Healthy, NEAR),
        }
    }

    /// What happened, if it answers the job of a step.
    pub(super) fn answer<'i>(&self, input: &'i Input) -> Option<&'i Event> {
        self.all().into_iter().find_map(|step| step.answer(input))
    }

    /// The step whose job is answered.
    pub(super) fn answered(&mut self, input: &Input) -> Option<&mut dyn AnyStep> {
        self.all_mut().into_iter().find(|step| step.answer(input).is_some())
    }

    /// Stops whatever runs.
    pub(super) fn cancel(&mut self, outbox: &mut Outbox) {
        self.all_mut().into_iter().for_each(|step| step.cancel(outbox));
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

    fn all_mut(&mut self) -> [&mut dyn AnyStep; 15] {
        [
            &mut self.identity,
            &mut self.config,
            &mut self.listen,
            &mut self.secrets,
            &mut self.login,
            &mut self.engine,
            &mut self.containers,
            &mut self.clearing,
            &mut self.digest,
            &mut self.image,
            &mut self.pull,
            &mut self.paths,
            &mut self.create,
            &mut self.start,
            &mut self.healthy,
        ]
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
        JobKind::ReadConfig | JobKind::ReadRelease | JobKind::ReadCopy => {
            ReadyReason::ConfigUnavailable.or_denied(error)
        }
        JobKind::Listen => ReadyReason::ListenAddressUnavailable,
        JobKind::FetchSecrets => ReadyReason::SecretsUnavailable.or_denied(error),
        JobKind::CreateContainer | JobKind::CheckPaths => ReadyReason::ContainerNotCreated,
        JobKind::LoginRegistry | JobKind::ResolveDigest | JobKind::InspectImage | JobKind::PullImage => {
            ReadyReason::ImageUnavailable.or_denied(error)
        }
        _ => ReadyReason::EngineUnavailable, // the ping, and what is found and removed
    };
    Failure::of_error(ready, error)
}
