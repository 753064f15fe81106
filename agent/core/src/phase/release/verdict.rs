//! The verdict: good at once, bad once it is known what the new container wrote last. No traffic waits for that.

use super::{Swap, SwapCause};
use crate::app::App;
use crate::clock::Uptime;
use crate::message::release::Verdict;
use crate::outbox::Outbox;
use crate::release::ReleaseEnd;

impl Swap {
    /// The new container, whether it is beside the old one or serves.
    fn new_container(&self) -> Option<&App> {
        if self.before.is_some() { Some(self.serve.app()) } else { self.other.as_ref() }
    }

    /// Reads what the new container wrote last. Of one that has exited that is being read, or was.
    pub(super) fn read_output(&mut self, outbox: &mut Outbox, now: Uptime) {
        let new = if self.before.is_some() { Some(self.serve.app_mut()) } else { self.other.as_mut() };
        if let Some(new) = new.filter(|new| new.is_up() && !new.is_reading_output()) {
            new.read_output(outbox, now);
        }
    }

    /// The release is bad. The verdict has what the new container wrote last.
    pub(super) fn condemn(&mut self, reason: String, now: Uptime) {
        self.bad = Some(reason);
        self.settle_verdict(now);
    }

    /// Writes the bad verdict that waits, if it does not have to wait any more.
    pub(super) fn settle_verdict(&mut self, now: Uptime) {
        if self.new_container().is_some_and(App::is_reading_output) {
            return;
        }
        if let Some(reason) = self.bad.take() {
            self.conclude(Verdict::Bad, reason, now);
        }
    }

    /// The verdict, and the lock is given back.
    pub(super) fn conclude(&mut self, verdict: Verdict, reason: String, now: Uptime) {
        let gap = self.gap.and_then(|(from, to)| Some(to?.since(from)));
        let cause = std::mem::replace(&mut self.cause, SwapCause::Rest);
        let output = match verdict {
            Verdict::Bad => self.new_container().and_then(App::output).cloned(),
            Verdict::Ok => None,
        };
        let end = ReleaseEnd { verdict, reason, output, gap };
        match cause {
            SwapCause::Release(next) => {
                let past = &mut self.serve.past;
                past.releases.conclude(next.gate, next.release.id, end, now);
                let before = self.before.as_ref().and_then(|before| before.image.as_ref());
                // The same image twice: the one before it stays.
                if let Some(before) = before.filter(|before| verdict == Verdict::Ok && **before != self.image) {
                    past.releases.keep_images(&self.image, before);
                }
            }
            SwapCause::Secrets => self.serve.past.releases.note(&end, now),
            SwapCause::Rest => {}
        }
    }
}
