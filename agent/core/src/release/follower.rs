//! The follower: asks once a period whether what `config=` points to has changed.
//!
//! Exactly one call a period, also after a failure. A document that does not validate changes nothing, and is asked for again only when it
//! has changed again.

use std::sync::Arc;
use std::time::Duration;

use berth_config::Config;

use super::Event;
use super::call::Call;
use crate::clock::Uptime;
use crate::message::error::{ErrorClass, JobError};
use crate::message::input::Input;
use crate::message::job::Job;
use crate::message::release::Release;
use crate::outbox::Outbox;

/// The follower of one document.
#[derive(Clone, Debug)]
pub(super) struct Follower {
    every: Duration,
    revision: String,
    call: Call,
    throttled: u32,
    /// An answer is awaited that was asked for from this moment on.
    hastened: Option<Uptime>,
    error: Option<JobError>,
}

impl Follower {
    /// Follows what was read as this revision.
    pub(super) fn new(every: Duration, revision: String, outbox: &mut Outbox, now: Uptime) -> Self {
        let call = Call::Next(now + outbox.some_of(every));
        Self { every, revision, call, throttled: 0, hastened: None, error: None }
    }

    /// Takes the answer: the config and the release if the document has changed and is valid.
    pub(super) fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> Option<(Arc<Config>, Release)> {
        let (event, since) = self.call.answer(input)?;
        let mut wait = outbox.spread(self.every);
        let mut changed = None;
        let is_answer = !matches!(event, Event::Failed(..));
        self.hastened = self.hastened.filter(|from| since < *from || !is_answer);
        match event {
            Event::ConfigRead(config, Some(release)) => {
                self.revision.clone_from(&release.revision);
                changed = Some((config.clone(), release.as_ref().clone()));
                (self.throttled, self.error) = (0, None);
            }
            Event::ConfigUnchanged => {
                self.throttled = 0;
                // What was refused is still what the document says.
                self.error = self.error.take().filter(|error| error.class == ErrorClass::Misconfigured);
            }
            Event::ConfigRefused { release, error } => {
                self.revision.clone_from(&release.revision);
                (self.throttled, self.error) = (0, Some(error.clone()));
            }
            Event::Failed(_, error) => {
                if error.class == ErrorClass::Throttled {
                    self.throttled = self.throttled.saturating_add(1);
                    wait += outbox.stand_back(self.throttled);
                }
                self.error = Some(error.clone());
            }
            _ => {} // no answer to it
        }
        let next = if self.hastened.is_some() && is_answer { now } else { (since + wait).max(now) };
        self.call = Call::Next(next);
        changed
    }

    /// What the document has is an answer again, whatever it was.
    pub(super) fn forget(&mut self) {
        self.revision.clear();
    }

    /// Asks at once.
    pub(super) fn look_now(&mut self, now: Uptime) {
        self.hastened = Some(now);
        if let Call::Next(at) = &mut self.call {
            *at = now;
        }
    }

    /// Whether that was answered.
    pub(super) fn has_looked(&self) -> bool {
        self.hastened.is_none()
    }

    pub(super) fn advance(&mut self, outbox: &mut Outbox, now: Uptime) {
        let revision = self.revision.clone();
        self.call.advance(|| Job::FollowConfig { revision }, outbox, now);
    }

    pub(super) fn cancel(&self, outbox: &mut Outbox) {
        self.call.cancel(outbox);
    }

    pub(super) fn wake(&self) -> Uptime {
        self.call.wake()
    }

    pub(super) fn error(&self) -> Option<&JobError> {
        self.error.as_ref()
    }
}
