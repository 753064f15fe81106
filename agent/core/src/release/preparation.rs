//! What can be done for a release before it begins, since it touches nothing that serves: the digest, and the image here.

use std::sync::Arc;

use berth_config::{Config, PinnedImage};

use super::Event;
use crate::clock::Uptime;
use crate::message::container::ImageFacts;
use crate::message::error::{ErrorClass, JobError};
use crate::message::input::Input;
use crate::message::job::{Job, PULL_STALL};
use crate::outbox::Outbox;
use crate::retry::FAR;
use crate::step::Step;
use crate::view::{StepName, StepView};

/// The image of a release.
#[derive(Clone, Debug)]
pub struct Preparation {
    config: Arc<Config>,
    login: Step<()>,
    login_refused: Option<JobError>,
    digest: Step<PinnedImage>,
    image: Step<Option<ImageFacts>>,
    pull: Step<()>,
}

impl Preparation {
    pub(super) fn new(config: Arc<Config>, now: Uptime) -> Self {
        let mut digest = Step::new(StepName::Digest, FAR);
        if let Some(image) = config.image.pinned() {
            digest.done(image, now);
        }
        Self {
            config,
            login: Step::new(StepName::Login, FAR),
            login_refused: None,
            digest,
            image: Step::new(StepName::Image, FAR),
            pull: Step::new(StepName::Pull, FAR),
        }
    }

    /// The image and what it says of itself, once it is here.
    pub fn ready(&self) -> Option<(&PinnedImage, &ImageFacts)> {
        Some((self.digest.get()?, self.image.get()?.as_ref()?))
    }

    /// Takes an answer. An error is one that no further attempt can change.
    pub(super) fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> Result<(), JobError> {
        match self.login.answer(input) {
            Some(Event::Failed(_, error)) if error.is_transient() => self.login.retry(error, outbox, now),
            // Credentials that turn out to be unnecessary are no reason to fail.
            Some(Event::Failed(_, error)) => {
                self.login.refuse(error, now);
                self.login_refused = Some(error.clone());
            }
            Some(_) => self.login.done((), now),
            None => {}
        }
        match self.digest.answer(input) {
            Some(Event::DigestResolved(image)) => self.digest.done(image.clone(), now),
            Some(Event::Failed(_, error)) => Self::failed(&mut self.digest, &mut self.login, error, outbox, now)?,
            _ => {} // no answer to it
        }
        match self.image.answer(input) {
            Some(Event::ImageInspected(facts)) => self.image.done(facts.clone(), now),
            Some(Event::Failed(_, error)) => Self::failed(&mut self.image, &mut self.login, error, outbox, now)?,
            _ => {} // no answer to it
        }
        match self.pull.answer(input) {
            Some(Event::ImagePulled) => {
                self.pull.go_on();
                if let Some(image) = self.digest.get().cloned() {
                    self.pull.emit(Job::InspectImage(image, self.config.platform.clone()), outbox, now);
                }
            }
            Some(Event::ImageInspected(Some(facts))) => {
                self.image.replace(Some(facts.clone()));
                self.pull.done((), now);
            }
            Some(Event::ImageInspected(None)) => {
                let reason = "the image was pulled, but the engine does not have it";
                self.pull.retry(&JobError::new(ErrorClass::Transient, reason), outbox, now);
            }
            Some(Event::Failed(_, error)) => Self::failed(&mut self.pull, &mut self.login, error, outbox, now)?,
            _ => {} // no answer to it
        }
        Ok(())
    }

    fn failed<T>(
        step: &mut Step<T>,
        login: &mut Step<()>,
        error: &JobError,
        outbox: &mut Outbox,
        now: Uptime,
    ) -> Result<(), JobError> {
        if !error.is_transient() {
            step.refuse(error, now);
            return Err(error.clone());
        }
        step.retry(error, outbox, now);
        if error.class == ErrorClass::Expired {
            login.reopen();
        }
        Ok(())
    }

    /// Orders what is due. An error is one that no further attempt can change.
    pub(super) fn advance(&mut self, outbox: &mut Outbox, now: Uptime) -> Result<(), JobError> {
        if self.ready().is_some() {
            return Ok(());
        }
        let platform = self.config.platform.clone();
        let Some(image) = self.digest.get().cloned() else {
            if self.digest.is_due(now) && self.log_in(outbox, now)? {
                self.digest.emit(Job::ResolveDigest(self.config.image.clone(), platform), outbox, now);
            }
            return Ok(());
        };
        if self.image.is_due(now) {
            self.image.emit(Job::InspectImage(image, platform), outbox, now);
        } else if self.image.is_done() && self.pull.is_due(now) && self.log_in(outbox, now)? {
            self.pull.emit(Job::PullImage { image, platform, stall: PULL_STALL }, outbox, now);
        }
        Ok(())
    }

    /// Whether the registry's credentials are here.
    fn log_in(&mut self, outbox: &mut Outbox, now: Uptime) -> Result<bool, JobError> {
        if let Some(error) = &self.login_refused {
            return Err(error.clone());
        }
        if self.login.is_due(now) {
            self.login.emit(Job::LoginRegistry(self.config.clone()), outbox, now);
        }
        Ok(self.login.is_done())
    }

    pub(super) fn cancel(&mut self, outbox: &mut Outbox) {
        self.login.cancel(outbox);
        self.digest.cancel(outbox);
        self.image.cancel(outbox);
        self.pull.cancel(outbox);
    }

    pub(super) fn wake(&self) -> Option<Uptime> {
        [self.login.wake(), self.digest.wake(), self.image.wake(), self.pull.wake()].into_iter().flatten().min()
    }

    /// For people.
    pub fn steps(&self) -> Vec<StepView> {
        [self.login.view(), self.digest.view(), self.image.view(), self.pull.view()].into_iter().flatten().collect()
    }
}
