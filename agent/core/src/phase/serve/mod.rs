//! Serve: the app was healthy once, and is kept running.
//!
//! Ready while the app is healthy and the group has not put the instance on standby (invariant 3). An exit is followed by a
//! restart with backoff, one that stays unhealthy is restarted too; past `restart.limit` within `restart.window` the instance
//! is given up. The launch hook is completed with CONTINUE on the way in, with `target_groups` once the load balancer calls the target
//! healthy; one that never can be is a failed boot.

use crate::app::{App, News};
use crate::clock::Uptime;
use crate::message::group::HookResult;
use crate::message::input::Input;
use crate::message::outcome::Outcome;
use crate::outbox::Outbox;
use crate::phase::failing::Failure;
use crate::phase::past::Past;
use crate::view::{ReadyReason, Status};

use rotation::Rotation;

mod rotation;

/// The app runs.
#[derive(Clone, Debug)]
pub struct Serve {
    app: App,
    /// What the boot left, without its app.
    pub past: Past,
    rotation: Option<Rotation>,
    standby: bool,
    /// Whether the launch hook was completed, or is being.
    admitted: bool,
}

/// Where serving goes after an event.
#[derive(Debug)]
pub enum ServeNext {
    /// On with it.
    Stay,
    /// The app cannot be kept running, or the launch hook never be completed, and why.
    Fail(Failure),
}

impl Serve {
    /// Begins: the hook is completed now that the app is healthy.
    pub fn begin(mut app: App, past: Past, standby: bool, outbox: &mut Outbox, now: Uptime) -> Self {
        app.keep();
        let rotation = Rotation::begin(past.config.clone(), outbox, now);
        let mut serve = Self { app, past, rotation, standby, admitted: false };
        serve.set_standby(standby, outbox, now);
        serve
    }

    /// Lets load balancers in that the config names, and completes the launch hook once all of them call the target healthy.
    fn admit(&mut self, outbox: &mut Outbox, now: Uptime) {
        let Past { config, targets, hook, deadline, .. } = &mut self.past;
        targets.look(config, hook, outbox, now);
        if let (false, true, Some(running)) = (self.standby, self.app.health().is_healthy(), self.app.running()) {
            let boot_until = if self.admitted { None } else { Some(*deadline) };
            targets.enter(config, running, boot_until, now);
        }
        targets.advance(outbox, now);
        if config.target_groups.is_empty() || self.standby || targets.are_in() {
            hook.complete(HookResult::Continue, outbox, now);
            self.admitted = true;
        }
    }

    /// Takes an input.
    pub fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> ServeNext {
        self.past.hook.on(input, outbox, now);
        // The group would throw the instance away when the hook's time is over, and the next one, too.
        if let Some(reason) = self.past.hook.refusal() {
            return ServeNext::Fail(Failure::of_boot(ReadyReason::LaunchHookRefused, reason));
        }
        if let Some(rotation) = &mut self.rotation {
            rotation.on(input, &mut self.app, outbox, now);
        }
        if let News::Lost(reason) = self.app.on(input, outbox, now) {
            let failure = Failure::of_boot(self.app.ready_reason(), reason);
            return ServeNext::Fail(Failure { outcome: Outcome::AppFailed, ..failure });
        }
        self.past.targets.on(input, outbox, now);
        if let Some(failure) = self.past.targets.failure(&self.past.config, now) {
            return ServeNext::Fail(failure);
        }
        self.admit(outbox, now);
        ServeNext::Stay
    }

    /// The group put the instance on standby, or took it back: the app runs on either way.
    pub fn set_standby(&mut self, standby: bool, outbox: &mut Outbox, now: Uptime) {
        self.standby = standby;
        if standby {
            self.past.targets.leave(outbox, now);
        }
        self.admit(outbox, now);
    }

    /// When it wants to be woken.
    pub fn wake(&self) -> Option<Uptime> {
        let rotation = self.rotation.as_ref().and_then(Rotation::wake);
        [self.app.wake(), self.past.hook.wake(), self.past.targets.wake(), rotation].into_iter().flatten().min()
    }

    /// The app.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// What `/ready` says.
    pub fn status(&self) -> Status {
        match (self.standby, self.app.health().is_healthy()) {
            (true, _) => Status::Standby,
            (false, true) => Status::Ok,
            (false, false) => Status::Unhealthy,
        }
    }

    /// Why.
    pub fn reason(&self) -> String {
        if self.standby {
            return "the group put the instance on standby".to_owned();
        }
        let waits_for = self.past.targets.waits_for().filter(|_| self.app.health().is_healthy());
        waits_for.unwrap_or_else(|| self.app.reason().to_owned())
    }

    /// Whether only the load balancer keeps the instance from getting traffic.
    pub fn waits_for_load_balancer(&self) -> bool {
        !self.standby && self.app.health().is_healthy() && self.past.targets.waits_for().is_some()
    }

    /// Why, as `/ready` says it.
    pub fn ready_reason(&self) -> ReadyReason {
        if self.standby { ReadyReason::Standby } else { self.app.ready_reason() }
    }

    /// Hands over to the next phase.
    pub fn leave(mut self, outbox: &mut Outbox) -> Past {
        if let Some(rotation) = &mut self.rotation {
            rotation.halt(outbox);
        }
        self.past.app = Some(self.app);
        self.past
    }
}
