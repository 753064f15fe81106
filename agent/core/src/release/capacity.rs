//! Whether the host has what a release needs: disk for another image, and memory for two containers at once.
//!
//! A figure that cannot be found out stops nothing.

use std::time::Duration;

use berth_config::{Config, TrafficMove};

use super::Event;
use super::call::Call;
use crate::clock::Uptime;
use crate::message::capacity::{Bytes, Capacity};
use crate::message::input::Input;
use crate::message::job::Job;
use crate::outbox::Outbox;

/// Bytes of disk below which hardly any image fits.
pub const DISK_FLOOR: u64 = 200_000_000;

/// What the host's capacity means for a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// There is enough, or nobody knows better.
    Enough,
    /// Only one container fits: the release goes by `restart`, and why.
    Restart(String),
    /// It cannot begin, and why.
    Short(String),
}

/// One question to the host, asked again until there is enough.
#[derive(Clone, Debug)]
pub(super) struct Measurement {
    call: Call,
    fit: Option<Fit>,
}

impl Measurement {
    pub(super) fn new() -> Self {
        Self { call: Call::Next(Uptime::ZERO), fit: None }
    }

    /// Nothing is to be asked.
    pub(super) fn needless() -> Self {
        Self { fit: Some(Fit::Enough), ..Self::new() }
    }

    /// Takes the answer. After a shortage it is asked again so much later.
    pub(super) fn on(&mut self, input: &Input, judge: impl Fn(&Capacity) -> Fit, again: Duration, now: Uptime) {
        let Some((event, _)) = self.call.answer(input) else { return };
        self.call = Call::Next(now + again);
        self.fit = Some(match event {
            Event::CapacityMeasured(capacity) => judge(capacity),
            _ => Fit::Enough,
        });
    }

    /// Asks if that is due.
    pub(super) fn advance(&mut self, job: impl FnOnce() -> Job, outbox: &mut Outbox, now: Uptime) {
        if matches!(self.fit, None | Some(Fit::Short(_))) {
            self.call.advance(job, outbox, now);
        }
    }

    /// It turned out to be too little, and why. It is asked again so much later.
    pub(super) fn refute(&mut self, reason: String, again: Duration, now: Uptime) {
        (self.call, self.fit) = (Call::Next(now + again), Some(Fit::Short(reason)));
    }

    /// What is known is not true any more.
    pub(super) fn forget(&mut self, outbox: &mut Outbox) {
        self.call.cancel(outbox);
        *self = Self::new();
    }

    pub(super) fn cancel(&self, outbox: &mut Outbox) {
        self.call.cancel(outbox);
    }

    pub(super) fn fit(&self) -> Option<&Fit> {
        self.fit.as_ref()
    }

    /// Why it cannot begin, if that is so.
    pub(super) fn shortage(&self) -> Option<&str> {
        if let Some(Fit::Short(reason)) = &self.fit { Some(reason) } else { None }
    }

    /// When it wants to be woken. The first question comes with what makes it due.
    pub(super) fn wake(&self) -> Option<Uptime> {
        match (&self.call, &self.fit) {
            (Call::Asked { .. }, _) | (_, Some(Fit::Short(_))) => Some(self.call.wake()),
            (Call::Next(_), _) => None,
        }
    }
}

/// Whether another image fits on the disk. Its size is not known before its pull. As a rule the next version shares its lower layers with
/// the one that serves and is compressed while it is pulled, so half of what that one takes unpacked is enough; `more` if it was not.
pub(super) fn disk(capacity: &Capacity, more: u64) -> Fit {
    let needed = DISK_FLOOR.max(capacity.image_size.unwrap_or_default() / 2).max(more);
    match capacity.disk_free {
        Some(free) if free < needed => Fit::Short(format!(
            "the disk has {} free, and the image of the next version needs about {}",
            Bytes(free),
            Bytes(needed)
        )),
        _ => Fit::Enough,
    }
}

/// Whether two containers fit into the memory at once. Without a limit the new one is taken to need what the old one uses.
pub(super) fn memory(capacity: &Capacity, serving: &Config, next: &Config) -> Fit {
    let needed = next.memory.or(capacity.memory_used);
    let (Some(available), Some(needed)) = (capacity.memory_available, needed) else { return Fit::Enough };
    if available >= needed {
        return Fit::Enough;
    }
    let need = match next.memory {
        Some(limit) => format!("may use {}", Bytes(limit)),
        None => format!("is taken to use {}, as the old one does", Bytes(needed)),
    };
    let reason = format!("{} of memory are available, and the new container {need}", Bytes(available));
    if can_restart(serving, next) { Fit::Restart(reason) } else { Fit::Short(reason) }
}

/// Whether the new container can take the ports of the old one. Without a board every instance of a fleet would be away at once.
fn can_restart(serving: &Config, next: &Config) -> bool {
    next.traffic_move() != TrafficMove::Restart
        && next.release.board.is_some()
        && next.ports == serving.ports
        && next.target_groups == serving.target_groups
}
