//! The next release: its wave, its image, what it needs of the host, and its turn.

use std::sync::Arc;
use std::time::Duration;

use berth_config::Config;

use super::{Gate, Preparation, ReleaseEnd, Releases, Serving};
use crate::clock::Uptime;
use crate::message::command::Command;
use crate::message::release::{Release, Verdict};
use crate::outbox::Outbox;

/// For the image of a release to be here, from when its wave has begun.
const PREPARATION_LIMIT: Duration = Duration::from_secs(1800);

/// A release that this instance is to begin.
#[derive(Clone, Debug)]
pub struct Next {
    /// Its config.
    pub config: Arc<Config>,
    /// Which it is.
    pub release: Release,
    /// When it may begin.
    pub gate: Gate,
    /// Its image.
    pub preparation: Preparation,
    pub(super) began: Uptime,
}

impl Next {
    /// When it wants to be woken. `advanced` is when all that was due was last ordered; while images leave it waits for that.
    pub(super) fn wake(&self, advanced: Uptime, images_leave: bool) -> Option<Uptime> {
        let is_ready = self.preparation.ready().is_some();
        let waits = images_leave && !is_ready;
        let limit = (!is_ready && !waits).then(|| self.began.max(self.gate.opens_at()) + PREPARATION_LIMIT);
        // A wave that has begun waits for the image.
        let gate = self.gate.wake().filter(|at| *at > advanced);
        let preparation = if waits { None } else { self.preparation.wake(advanced) };
        [gate, preparation, limit].into_iter().flatten().min()
    }
}

impl Releases {
    pub(super) fn drop_next(&mut self, outbox: &mut Outbox, now: Uptime) {
        if let Some(mut next) = self.next.take() {
            next.preparation.cancel(outbox);
            next.gate.give_up(outbox, now);
            self.closing.push(next.gate);
        }
    }

    /// The next release cannot be prepared here.
    pub(super) fn fail_next(&mut self, reason: String, outbox: &mut Outbox, now: Uptime) {
        if let Some(mut next) = self.next.take() {
            next.preparation.cancel(outbox);
            let end = ReleaseEnd { verdict: Verdict::Bad, reason, output: None, gap: None };
            self.conclude(next.gate, next.release.id, end, now);
        }
    }

    pub(super) fn advance(&mut self, serving: Serving<'_>, may_begin: bool, outbox: &mut Outbox, now: Uptime) {
        let cannot_begin = |next: &Next| !may_begin || next.preparation.lacks_memory() || next.gate.has_lost_lock(now);
        if self.next.as_ref().is_some_and(|next| next.gate.has_asked() && cannot_begin(next)) {
            // It holds nothing that others wait for.
            if let Some(next) = self.next.take() {
                self.put_back(next, outbox, now);
            }
        }
        // What the document had while a release went on may be what serves by now, or what failed.
        let current = self.serving.as_ref().map(|serving| &serving.id);
        let is_over = |next: &Next| Some(&next.release.id) == current || self.failed.contains(&next.release.id);
        if may_begin && self.next.as_ref().is_some_and(is_over) {
            return self.drop_next(outbox, now);
        }
        let Some(next) = &mut self.next else { return };
        if next.gate.was_bad_here() {
            // An agent before this one rolled it back, and the note of it is lost.
            let id = next.release.id.clone();
            self.drop_next(outbox, now);
            return self.remember_failed(id);
        }
        if !next.gate.is_in_wave(now) {
            return;
        }
        // An image that is seen on the host is not removed after that.
        if self.images.are_leaving() && next.preparation.ready().is_none() {
            return;
        }
        if let Err(error) = next.preparation.advance(serving, outbox, now) {
            return self.fail_next(error.to_string(), outbox, now);
        }
        if may_begin && next.preparation.wants_cleared_disk() {
            let kept = serving.image.into_iter().chain(next.preparation.image());
            if self.images.keep(&kept.collect::<Vec<_>>()) {
                next.preparation.measure_disk_again(outbox);
                return self.images.advance(None, outbox, now);
            }
        }
        if let Some(reason) = next.preparation.remark() {
            outbox.command(Command::Remark(format!("release {} does not begin: {reason}", next.release.id)));
        }
        if next.preparation.shortage().is_some() {
            // The release is not to blame: its time does not run out.
            next.began = now;
            if next.preparation.lacks_memory() {
                next.preparation.measure_memory(serving, outbox, now);
            }
        } else if next.preparation.ready().is_some() {
            // The lock of one that ends here is the lock of the next: it is given back first.
            // A verdict that cannot be written does not keep it waiting.
            if may_begin {
                self.closing.iter_mut().for_each(|gate| gate.give_up_failing(outbox, now));
            }
            if may_begin && self.closing.is_empty() {
                if !next.gate.has_asked() {
                    next.preparation.forget_memory(outbox);
                }
                next.gate.ask(now);
            }
        } else if next.began.max(next.gate.opens_at()) + PREPARATION_LIMIT <= now {
            return self.fail_next(format!("the image is not here within {PREPARATION_LIMIT:?}"), outbox, now);
        }
        next.gate.advance(outbox, now);
        if next.gate.is_open(now) && next.preparation.ready().is_some() {
            next.preparation.measure_memory(serving, outbox, now);
        }
    }

    /// The release that may begin now.
    pub fn take_open(&mut self, now: Uptime) -> Option<Next> {
        let is_ready = |next: &Next| next.preparation.ready().is_some() && next.preparation.has_memory();
        self.next.take_if(|next| next.gate.is_open(now) && is_ready(next))
    }

    /// It was given up before anything was touched: it may begin again, unless the document has another one.
    pub fn put_back(&mut self, mut next: Next, outbox: &mut Outbox, now: Uptime) {
        next.gate.give_up(outbox, now);
        next.preparation.forget_memory(outbox);
        let fresh = next.gate.afresh();
        self.close(std::mem::replace(&mut next.gate, fresh));
        if self.wanted.as_ref() == Some(&next.release.id) {
            self.next.get_or_insert(Next { began: now, ..next });
        }
    }
}
