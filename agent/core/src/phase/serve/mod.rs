//! Serve: the app was healthy once, and is kept running.
//!
//! Ready while the app is healthy and the group has not put the instance on standby (invariant 3). An exit is followed by a
//! restart with backoff, one that stays unhealthy is restarted too; past `restart.limit` within `restart.window` the instance
//! is given up. The launch hook is completed with CONTINUE on the way in, with `target_groups` once the load balancer calls the target
//! healthy; one that never can be is a failed boot.

use std::sync::Arc;

use berth_config::{Config, PinnedImage};

use crate::app::{App, News};
use crate::clock::Uptime;
use crate::message::group::HookResult;
use crate::message::input::Input;
use crate::message::outcome::Outcome;
use crate::message::release::Release;
use crate::outbox::Outbox;
use crate::phase::failing::Failure;
use crate::phase::past::Past;
use crate::release::{Next, Serving};
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
    /// Whether a release goes on: then nothing else replaces the app.
    is_replacing: bool,
}

/// Where serving goes after an event.
#[derive(Debug)]
pub enum ServeNext {
    /// On with it.
    Stay,
    /// A release begins.
    Release(Box<Next>),
    /// Its secrets were rotated: another container takes the place of the app.
    Renew,
    /// The app cannot be kept running, or the launch hook never be completed, and why.
    Fail(Failure),
}

impl Serve {
    /// Begins: the hook is completed now that the app is healthy.
    pub fn begin(mut app: App, past: Past, standby: bool, outbox: &mut Outbox, now: Uptime) -> Self {
        app.keep();
        let rotation = Rotation::begin(past.config.clone(), outbox, now);
        let mut past = past;
        if let Some(identity) = &past.identity {
            past.releases.begin(&past.config, &identity.instance_id, outbox, now);
        }
        let mut serve = Self { app, past, rotation, standby, admitted: false, is_replacing: false };
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
        if let Some(rotation) = self.rotation.as_mut().filter(|_| !self.is_replacing) {
            let in_traffic = self.admitted && !self.standby && self.past.targets.are_in();
            let can_replace = in_traffic && self.past.config.can_register_beside() && self.past.image.is_some();
            if rotation.on(input, &mut self.app, can_replace, outbox, now) {
                return ServeNext::Renew;
            }
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
        let is_healthy = self.app.health().is_healthy() && !self.app.health().is_failing();
        self.past.releases.attest(&self.past.config, is_healthy, now);
        // Only what is in traffic has anything to take over.
        let may_begin = self.admitted && !self.standby && !self.is_replacing;
        let (config, container) = (&*self.past.config, self.app.id());
        let serving = Serving { config, container, image: self.past.image.as_ref() };
        self.past.releases.follow(input, serving, may_begin, outbox, now);
        let next = if may_begin { self.past.releases.take_open(now) } else { None };
        next.map_or(ServeNext::Stay, |next| ServeNext::Release(Box::new(next)))
    }

    /// A release begins.
    pub fn begin_replacing(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.is_replacing = true;
        if let Some(rotation) = &mut self.rotation {
            rotation.pause(outbox, now);
        }
    }

    /// It is over.
    pub fn end_replacing(&mut self) {
        self.is_replacing = false;
    }

    /// Another container serves from now on; returns the one that did.
    pub fn exchange(
        &mut self,
        mut app: App,
        config: Arc<Config>,
        image: Option<PinnedImage>,
        release: Option<Release>,
        outbox: &mut Outbox,
        now: Uptime,
    ) -> App {
        app.keep();
        if let Some(rotation) = &mut self.rotation {
            rotation.halt(outbox);
        }
        self.rotation = Rotation::begin(config.clone(), outbox, now);
        if let Some(release) = release {
            self.past.releases.serve(release, &config, now);
        }
        (self.past.config, self.past.image) = (config, image);
        std::mem::replace(&mut self.app, app)
    }

    /// The app, to stop it for another one.
    pub fn app_mut(&mut self) -> &mut App {
        &mut self.app
    }

    /// The group put the instance on standby, or took it back: the app runs on either way.
    pub fn set_standby(&mut self, standby: bool, outbox: &mut Outbox, now: Uptime) {
        self.standby = standby;
        if standby {
            self.past.targets.leave(outbox, now);
        }
        self.admit(outbox, now);
    }

    /// Whether the group put it on standby.
    pub fn is_standby(&self) -> bool {
        self.standby
    }

    /// When it wants to be woken.
    pub fn wake(&self) -> Option<Uptime> {
        let rotation = self.rotation.as_ref().filter(|_| !self.is_replacing).and_then(Rotation::wake);
        let parts =
            [self.app.wake(), self.past.hook.wake(), self.past.targets.wake(), rotation, self.past.releases.wake()];
        parts.into_iter().flatten().min()
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
