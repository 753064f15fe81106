//! The end of the app in a drain: one container after the other, each within its time, and what ends by itself before.

use std::time::Duration;

use super::{Drain, Stage};
use crate::clock::{Moment, Uptime};
use crate::message::job::Job;
use crate::outbox::Outbox;
use crate::view::StepName;

/// What the engine gets beyond `stop_timeout` to kill the app and to answer.
const STOP_MARGIN: Duration = Duration::from_secs(15);

impl Drain {
    /// The app exited before it was stopped. With a connection open, or before load balancers had seen the 503, a request may have failed.
    pub(super) fn lose(&mut self, how: Option<String>, outbox: &mut Outbox, now: Uptime) {
        // A container that the boot was removing is not the app.
        if !self.past.removing {
            self.clean &= match &self.stage {
                Stage::DrainingConnections { connections, .. } => connections.quiet_since().is_some(),
                _ => false,
            };
            self.exited = how;
        }
        if let Some(app) = &mut self.past.app {
            app.read_output(outbox, now);
        }
        self.stop_next(outbox, now);
    }

    /// Stops the next container; after the last the hook is completed.
    pub(super) fn stop_next(&mut self, outbox: &mut Outbox, now: Uptime) {
        let Some(id) = self.to_stop.front().cloned() else { return self.complete_hook(outbox, now) };
        let longest = self.past.config.stop_timeout;
        let began = *self.stopping.get_or_insert(Moment::now(now));
        // An agent before this one has waited for the whole stop if it had come to the hook.
        let left = if self.completing.is_some() { Duration::ZERO } else { began.left_of(longest, now) };
        let timeout = self.cut.map_or(left, |cut| cut.since(now).min(left));
        let ticket = outbox.emit(Job::StopContainer { id, timeout, for_good: true });
        self.enter(StepName::Stopping, Stage::Stopping { ticket, until: now + timeout + STOP_MARGIN }, now);
    }

    /// One is over, and the next gets its own time.
    pub(super) fn stop_after(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.to_stop.pop_front();
        self.stopping = Some(Moment::now(now));
        self.stop_next(outbox, now);
    }

    /// What could not be stopped is left, and the drain continues.
    pub(super) fn give_up_stop(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.clean = false;
        self.stopped = false;
        self.stop_after(outbox, now);
    }

    /// A second signal: everything that waits is over.
    pub(super) fn hurry(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.cut = Some(self.cut.map_or(now, |earlier| earlier.min(now)));
        let Stage::Stopping { ticket, until } = &self.stage else { return };
        let (ticket, former) = (*ticket, *until);
        outbox.cancel(ticket);
        self.clean = false;
        self.stop_next(outbox, now);
        // One that hangs gets no longer by it than it had.
        if let Stage::Stopping { until, .. } = &mut self.stage {
            *until = former.min(*until);
        }
    }
}
