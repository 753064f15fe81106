//! What can be done for a release before it begins, since it touches nothing that serves: the digest, and the image here.

use std::sync::Arc;
use std::time::Duration;

use berth_config::{Config, PinnedImage, TrafficMove};

use super::capacity::{self, DISK_FLOOR, Fit, Measurement};
use super::{Event, Serving};
use crate::clock::Uptime;
use crate::message::container::ImageFacts;
use crate::message::error::{ErrorClass, JobError};
use crate::message::input::Input;
use crate::message::job::{Job, PULL_STALL};
use crate::outbox::Outbox;
use crate::retry::FAR;
use crate::step::Step;
use crate::view::{StepName, StepView};

/// The least time between two looks at what the host has left.
const MEASURE_AGAIN: Duration = Duration::from_secs(5);

/// The image of a release.
#[derive(Clone, Debug)]
pub struct Preparation {
    config: Arc<Config>,
    login: Step<()>,
    login_refused: Option<JobError>,
    digest: Step<PinnedImage>,
    image: Step<Option<ImageFacts>>,
    pull: Step<()>,
    /// Whether the disk has space for the image.
    disk: Measurement,
    /// Bytes that were free on the disk when that was measured last.
    disk_free: Option<u64>,
    /// Bytes of disk without which the pull is not tried again, after one that filled the disk.
    disk_needed: u64,
    /// Whether the memory has space for its container beside the other one.
    memory: Measurement,
    /// Whether old images were removed for it.
    has_cleared: bool,
    /// Whether a shortage was logged.
    has_remarked: bool,
}

impl Preparation {
    pub(super) fn new(config: Arc<Config>, now: Uptime) -> Self {
        let mut digest = Step::new(StepName::Digest, FAR);
        if let Some(image) = config.image.pinned() {
            digest.done(image, now);
        }
        let is_alone = config.traffic_move() == TrafficMove::Restart;
        let memory = if is_alone { Measurement::needless() } else { Measurement::new() };
        Self {
            config,
            login: Step::new(StepName::Login, FAR),
            login_refused: None,
            digest,
            image: Step::new(StepName::Image, FAR),
            pull: Step::new(StepName::Pull, FAR),
            disk: Measurement::new(),
            disk_free: None,
            disk_needed: 0,
            memory,
            has_cleared: false,
            has_remarked: false,
        }
    }

    /// The image and what it says of itself, once it is here.
    pub fn ready(&self) -> Option<(&PinnedImage, &ImageFacts)> {
        Some((self.digest.get()?, self.image.get()?.as_ref()?))
    }

    /// Takes an answer. An error is one that no further attempt can change.
    pub(super) fn on(
        &mut self,
        input: &Input,
        serving: &Config,
        outbox: &mut Outbox,
        now: Uptime,
    ) -> Result<(), JobError> {
        let again = self.config.follow.unwrap_or(MEASURE_AGAIN).max(MEASURE_AGAIN);
        if let Event::CapacityMeasured(capacity) = input.event() {
            self.disk_free = capacity.disk_free;
        }
        let more = self.disk_needed;
        self.disk.on(input, |capacity| capacity::disk(capacity, more), again, now);
        let next = &self.config;
        self.memory.on(input, |capacity| capacity::memory(capacity, serving, next), again, now);
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
            Some(Event::Failed(_, error)) if error.is_disk_full && self.disk_free.is_some() => {
                self.pull.cancel(outbox);
                self.disk_needed = self.disk_free.unwrap_or_default().saturating_add(DISK_FLOOR);
                self.disk.refute(error.reason.clone(), again, now);
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
    pub(super) fn advance(&mut self, serving: Serving<'_>, outbox: &mut Outbox, now: Uptime) -> Result<(), JobError> {
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
        } else if self.image.is_done()
            && self.pull.is_due(now)
            && self.has_disk(serving, outbox, now)
            && self.log_in(outbox, now)?
        {
            self.pull.emit(Job::PullImage { image, platform, stall: PULL_STALL }, outbox, now);
        }
        Ok(())
    }

    /// Whether the disk has space for the image.
    fn has_disk(&mut self, serving: Serving<'_>, outbox: &mut Outbox, now: Uptime) -> bool {
        self.disk.advance(|| serving.measure(), outbox, now);
        self.disk.fit() == Some(&Fit::Enough)
    }

    /// Asks what memory is left, unless that is known: right before two containers run, or until there is enough to begin.
    pub(super) fn measure_memory(&mut self, serving: Serving<'_>, outbox: &mut Outbox, now: Uptime) {
        self.memory.advance(|| serving.measure(), outbox, now);
    }

    /// It does not begin now: what memory is left then is another question.
    pub(super) fn forget_memory(&mut self, outbox: &mut Outbox) {
        if self.memory.shortage().is_none() && self.config.traffic_move() != TrafficMove::Restart {
            self.memory.forget(outbox);
        }
    }

    /// Whether the memory has space for its container, be it alone.
    pub(super) fn has_memory(&self) -> bool {
        matches!(self.memory.fit(), Some(Fit::Enough | Fit::Restart(_)))
    }

    /// Why it cannot begin with the memory that there is.
    pub(super) fn lacks_memory(&self) -> bool {
        self.memory.shortage().is_some()
    }

    /// What the instance lacks for it.
    pub fn shortage(&self) -> Option<&str> {
        self.disk.shortage().or(self.memory.shortage())
    }

    /// Whether the disk is full, and old images were not yet removed for it: then that is to be done now.
    pub(super) fn wants_cleared_disk(&mut self) -> bool {
        self.disk.shortage().is_some() && !std::mem::replace(&mut self.has_cleared, true)
    }

    /// Old images are removed.
    pub(super) fn measure_disk_again(&mut self, outbox: &mut Outbox) {
        self.disk.forget(outbox);
    }

    /// What the instance lacks, the first time.
    pub(super) fn remark(&mut self) -> Option<String> {
        if self.has_remarked {
            return None;
        }
        let reason = self.shortage()?.to_owned();
        self.has_remarked = true;
        Some(reason)
    }

    /// Why it goes by `restart` although the config says otherwise.
    pub fn restarts_for(&self) -> Option<&str> {
        if let Some(Fit::Restart(reason)) = self.memory.fit() { Some(reason) } else { None }
    }

    /// The image, once it is known which it is.
    pub(super) fn image(&self) -> Option<&PinnedImage> {
        self.digest.get()
    }

    /// The image, if it was not on the host and was pulled.
    pub(super) fn pulled(&self) -> Option<&PinnedImage> {
        self.digest.get().filter(|_| self.pull.is_done())
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

    /// The login was wiped.
    pub(super) fn forget_login(&mut self, outbox: &mut Outbox) {
        self.login.cancel(outbox);
        self.login.reopen();
    }

    pub(super) fn cancel(&mut self, outbox: &mut Outbox) {
        self.login.cancel(outbox);
        self.digest.cancel(outbox);
        self.image.cancel(outbox);
        self.pull.cancel(outbox);
        self.disk.cancel(outbox);
        self.memory.cancel(outbox);
    }

    pub(super) fn wake(&self, advanced: Uptime) -> Option<Uptime> {
        let steps = [self.login.wake(), self.digest.wake(), self.image.wake(), self.pull.wake()];
        // What was due already waits for another step.
        let steps = steps.map(|at| at.filter(|at| *at > advanced));
        steps.into_iter().chain([self.disk.wake(), self.memory.wake()]).flatten().min()
    }

    /// For people.
    pub fn steps(&self) -> Vec<StepView> {
        [self.login.view(), self.digest.view(), self.image.view(), self.pull.view()].into_iter().flatten().collect()
    }
}
