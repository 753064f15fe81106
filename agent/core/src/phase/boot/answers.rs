//! What the answer to a step brings, and what its failure means.

use berth_config::ProbeMethod;

use super::{Boot, Kept, steps};
use crate::clock::Uptime;
use crate::message::container::ImageFacts;
use crate::message::error::{ErrorClass, JobError};
use crate::message::event::Event;
use crate::message::failure_reason::FailureReason;
use crate::message::input::Input;
use crate::message::job::{Job, JobKind};
use crate::message::outcome::Outcome;
use crate::outbox::Outbox;
use crate::phase::failing::Failure;
use crate::view::ReadyReason;

/// So often the source of the config is asked before what was kept of it is read.
const SOURCE_ATTEMPTS: u32 = 2;

impl Boot {
    /// Takes what the answer to one of its steps brought, or how far its pull is.
    pub(super) fn take(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> Result<(), Failure> {
        if let Some(Event::PullProgressed(progress)) = self.steps.pull.report(input) {
            self.progress = Some(progress.clone());
        }
        let Some(event) = self.steps.answer(input) else { return Ok(()) };
        match event {
            Event::Identified(identity) => self.steps.identity.done(identity.clone(), now),
            Event::ConfigRead(config, release) => {
                self.config = config.clone();
                self.steps.config.done((), now);
                self.limit(config.boot.timeout);
                self.hook.begin(self.steps.identity.get(), &config.lifecycle, None, outbox, now);
                match release.as_deref().filter(|_| config.follow.is_some()) {
                    Some(release) => self.begin_choice(release.clone(), now),
                    None => self.settle_config(now),
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
            Event::ConfigRefused { error, .. } => return self.failed(JobKind::ReadConfig, error, input, outbox, now),
            _ => {} // no answer to a step
        }
        Ok(())
    }

    /// What can never be asked of the image is known before anything is created from it.
    pub(super) fn refuse_health(&self, facts: &ImageFacts) -> Result<(), Failure> {
        let asks = self.config.health == Some(ProbeMethod::Docker);
        if asks && facts.healthcheck.is_none() {
            return Err(Failure::of_boot(ReadyReason::NeverHealthy, FailureReason::NoHealthcheck.to_string()));
        }
        Ok(())
    }

    /// An attempt failed: try again, or give the boot up.
    pub(super) fn failed(
        &mut self,
        job: JobKind,
        error: &JobError,
        input: &Input,
        outbox: &mut Outbox,
        now: Uptime,
    ) -> Result<(), Failure> {
        let lasting = !error.is_transient();
        match job {
            // What serves goes on serving, whatever the document has become, and while nobody can read it.
            JobKind::ReadConfig
                if self.noted.is_some()
                    && self.kept == Kept::Unread
                    && (lasting || self.steps.config.attempts() >= SOURCE_ATTEMPTS) =>
            {
                self.kept = Kept::Reading;
                self.steps.config.again();
                return Ok(());
            }
            JobKind::ReadRelease if lasting && self.steps.config.answer(input).is_some() => {
                self.kept = Kept::Missing;
                self.steps.config.again();
                return Ok(());
            }
            JobKind::ReadConfig if self.kept == Kept::Reading => {
                self.kept = Kept::Missing;
                self.steps.config.again();
                return Ok(());
            }
            JobKind::ReadConfig if error.class == ErrorClass::Misconfigured => {
                self.steps.config.refuse(error, now);
                let (outcome, ready) = (Outcome::Usage, ReadyReason::ConfigInvalid);
                return Err(Failure { outcome, ..Failure::of_error(ready, error) });
            }
            // Credentials that turn out to be unnecessary are no reason to fail.
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

    /// An adopted app needs neither secrets nor image.
    pub(super) fn cancel_unneeded(&mut self, outbox: &mut Outbox) {
        self.steps.secrets.cancel(outbox);
        self.steps.login.cancel(outbox);
        self.steps.digest.cancel(outbox);
        self.steps.image.cancel(outbox);
        self.steps.pull.cancel(outbox);
    }
}

/// Whether a container that is found running makes the job needless.
fn is_spared_by_adoption(job: JobKind) -> bool {
    matches!(job, JobKind::FetchSecrets | JobKind::ResolveDigest | JobKind::InspectImage | JobKind::PullImage)
}
