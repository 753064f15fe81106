//! Hold: a failed boot kept for debugging (`boot.on_failure=hold`). Not ready; heartbeats keep the launch hook from
//! expiring; a signal ends it.

use crate::app::App;
use crate::clock::Uptime;
use crate::hook::Hook;
use crate::message::input::Input;
use crate::outbox::Outbox;
use crate::phase::failing::Failure;
use crate::phase::past::Past;
use crate::view::{DeadlineName, DeadlineView};

/// A failed boot, kept.
#[derive(Clone, Debug)]
pub struct Hold {
    /// What came before.
    pub past: Past,
    failure: Failure,
    /// When it began, or when a launch hook of its own began in it.
    since: Uptime,
}

impl Hold {
    /// Begins. A running app is left running for debugging; it is not restarted.
    pub fn begin(failure: Failure, mut past: Past, outbox: &mut Outbox, now: Uptime) -> Self {
        if let Some(app) = &mut past.app {
            // Of one that exited it was read then.
            if app.is_up() {
                app.read_output(outbox, now);
            }
            app.halt(outbox);
        }
        past.hook.hold(outbox, now);
        past.targets.leave(outbox, now);
        Self { past, failure, since: now }
    }

    /// Takes an input; whether the hold is over.
    pub fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> bool {
        self.past.hook.on(input, outbox, now);
        self.past.targets.on(input, outbox, now);
        self.past.targets.advance(outbox, now);
        if let Some(app) = &mut self.past.app {
            app.on(input, outbox, now); // it is halted: only what it wrote last is still to come
        }
        self.deadline() <= now
    }

    /// The group wants the instance in service. Taken from its pool, it has another launch hook to keep from expiring.
    pub fn enter_service(&mut self, outbox: &mut Outbox, now: Uptime) {
        if self.past.hook.is_over() {
            self.since = now;
            self.past.hook = Hook::launching();
            self.past.hook.begin(self.past.identity.as_ref(), &self.past.config.lifecycle, None, outbox, now);
        }
    }

    /// When AWS stops waiting for the launch hook, whatever the heartbeats say.
    fn deadline(&self) -> Uptime {
        self.past.hook.limit(self.since)
    }

    /// When it wants to be woken.
    pub fn wake(&self) -> Option<Uptime> {
        let app = self.past.app.as_ref().and_then(App::wake);
        [self.past.hook.wake(), self.past.targets.wake(), app, Some(self.deadline())].into_iter().flatten().min()
    }

    /// Why the boot failed.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }

    /// Until when AWS lets it be.
    pub fn deadlines(&self) -> Vec<DeadlineView> {
        vec![DeadlineView { name: DeadlineName::Hold, at_seconds: self.deadline().0.as_secs_f64() }]
    }
}
