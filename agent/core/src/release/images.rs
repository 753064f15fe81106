//! The images that berth pulled for this app. Two are kept: the one that serves, and the one before it.
//!
//! What was on the host before, or is used by any container, stays. A removal that fails is tried again after the next release.

use berth_config::PinnedImage;

use super::Event;
use super::call::Call;
use crate::clock::Uptime;
use crate::message::input::Input;
use crate::message::job::Job;
use crate::outbox::Outbox;

/// So many are remembered.
const REMEMBERED: usize = 50;

/// The images of this app.
#[derive(Clone, Debug, Default)]
pub(super) struct Images {
    pulled: Vec<PinnedImage>,
    unwanted: Vec<PinnedImage>,
    removal: Option<(PinnedImage, Call)>,
}

impl Images {
    /// berth has pulled it.
    pub(super) fn note(&mut self, image: &PinnedImage) {
        if self.pulled.contains(image) {
            return;
        }
        if self.pulled.len() >= REMEMBERED {
            self.pulled.remove(0);
        }
        self.pulled.push(image.clone());
    }

    /// What an agent before this one has pulled.
    pub(super) fn remember(&mut self, pulled: &[PinnedImage]) {
        pulled.iter().for_each(|image| self.note(image));
    }

    pub(super) fn pulled(&self) -> &[PinnedImage] {
        &self.pulled
    }

    /// All but these are to be removed; whether there is any.
    pub(super) fn keep(&mut self, kept: &[&PinnedImage]) -> bool {
        self.unwanted = self.pulled.iter().filter(|image| !kept.contains(image)).cloned().collect();
        !self.unwanted.is_empty()
    }

    /// Whether an image is being removed, or is to be.
    pub(super) fn are_leaving(&self) -> bool {
        self.removal.is_some() || !self.unwanted.is_empty()
    }

    /// Takes the answer to a removal.
    pub(super) fn on(&mut self, input: &Input) {
        let Some((image, call)) = &self.removal else { return };
        let Some((event, _)) = call.answer(input) else { return };
        if matches!(event, Event::ImageRemoved(true)) {
            self.pulled.retain(|pulled| pulled != image);
        }
        self.removal = None;
    }

    /// Removes one after the other, but not the one that is wanted next.
    pub(super) fn advance(&mut self, next: Option<&PinnedImage>, outbox: &mut Outbox, now: Uptime) {
        self.unwanted.retain(|image| Some(image) != next);
        if self.removal.is_none() {
            self.removal = self.unwanted.pop().map(|image| (image, Call::Next(now)));
        }
        if let Some((image, call)) = &mut self.removal {
            call.advance(|| Job::RemoveImage(image.clone()), outbox, now);
        }
    }

    pub(super) fn cancel(&mut self, outbox: &mut Outbox) {
        if let Some((_, call)) = self.removal.take() {
            call.cancel(outbox);
        }
        self.unwanted.clear();
    }

    pub(super) fn wake(&self) -> Option<Uptime> {
        self.removal.as_ref().map(|(_, call)| call.wake())
    }
}
