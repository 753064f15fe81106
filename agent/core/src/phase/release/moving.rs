//! Moving: traffic goes from the old container to the new one, and the bake after that.

use std::time::Duration;

use berth_config::TrafficMove;

use super::{Before, ENGINE, Return, ReturnEnd, Swap, SwapCause, SwapStage};
use crate::app::App;
use crate::clock::Uptime;
use crate::connections::Connections;
use crate::message::release::Verdict;
use crate::outbox::Outbox;
use crate::release::NotedBefore;

/// Longer than the targets may take in any case.
const JOINING: Duration = Duration::from_secs(24 * 3600);

/// For a stop, beyond `stop_timeout`. No request is answered meanwhile.
const STOPPING: Duration = Duration::from_secs(30);

impl Swap {
    pub(super) fn begin_join(&mut self, outbox: &mut Outbox, now: Uptime) {
        let Some(running) = self.other.as_ref().and_then(|other| other.running().cloned()) else { return };
        match self.serve.past.targets.join(&self.config, &running, false, outbox, now) {
            Ok(()) => {
                // The targets have their own limits.
                self.until = now + JOINING;
                self.stage = SwapStage::Joining;
            }
            Err(reason) => self.fail(reason, outbox, now),
        }
    }

    pub(super) fn join(&mut self, outbox: &mut Outbox, now: Uptime) -> bool {
        let targets = &self.serve.past.targets;
        let unhealthy = self.other.as_ref().is_none_or(|other| !other.health().is_healthy());
        if let Some(reason) = targets.joining_failure(&self.config, now) {
            self.fail(reason, outbox, now);
        } else if unhealthy {
            let reason = self.other.as_ref().map_or("it is gone", App::reason).to_owned();
            self.fail(reason, outbox, now);
        } else if targets.have_joined() && !self.may_move(now) {
            self.abandon("the lock is lost", outbox, now);
        } else if targets.have_joined() {
            self.serve.past.targets.keep_joined(outbox, now);
            self.exchange(outbox, now);
        } else {
            return false;
        }
        true
    }

    /// `/ready` is 503, and what serves keeps the clients that it has.
    pub(super) fn begin_letting_go(&mut self, back: Option<Return>, now: Uptime) {
        let settle = self.serve.past.config.drain.settle;
        let running = self.serve.app().running().cloned();
        let connections = Connections::of(running, now);
        self.gap = Some((now, None));
        self.until = now + settle.saturating_add(self.serve.past.config.drain.timeout);
        self.stage = SwapStage::LettingGo { connections, settled: now + settle, back };
    }

    /// The load balancers have let go, and no client has a connection.
    pub(super) fn let_go(&mut self, outbox: &mut Outbox, now: Uptime) -> bool {
        let idle = self.serve.past.config.drain.idle;
        let is_late = self.until <= now;
        let SwapStage::LettingGo { connections, settled, back } = &mut self.stage else { return false };
        if now < *settled {
            return false;
        }
        let is_quiet = connections.quiet_since().is_some_and(|since| now.since(since) >= idle);
        if is_quiet || is_late || connections.is_empty() {
            connections.cancel(outbox);
            let back = back.take();
            if let Some(back) = back {
                self.give_back(back, outbox, now);
            } else if self.may_move(now) {
                self.begin_pause(outbox, now);
            } else {
                self.abandon("the lock is lost", outbox, now);
            }
            return true;
        }
        connections.advance(outbox, now);
        false
    }

    pub(super) fn begin_pause(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.until = now + self.serve.past.config.stop_timeout.saturating_add(STOPPING);
        self.serve.app_mut().pause(outbox, now);
        self.stage = SwapStage::Pausing;
    }

    /// The old one has stopped: the new one takes its ports.
    pub(super) fn pause(&mut self, outbox: &mut Outbox, now: Uptime) -> bool {
        if !self.serve.app().is_paused() {
            if now < self.until {
                return false;
            }
            // It has its ports still. That is for the engine to mend, and another attempt would cost as much: no verdict.
            let reason = "the old container cannot be stopped".to_owned();
            self.go_back(Return { reason, end: ReturnEnd::GivenUp }, outbox, now);
            return true;
        }
        self.start(outbox, now);
        self.stage = SwapStage::Arriving;
        true
    }

    pub(super) fn arrive(&mut self, outbox: &mut Outbox, now: Uptime) -> bool {
        if self.other.as_ref().is_some_and(|other| other.health().is_healthy()) {
            self.exchange(outbox, now);
            return true;
        }
        match self.why_not_proven(now) {
            Some(reason) => {
                self.fail(reason, outbox, now);
                true
            }
            None if self.other.is_none() => {
                self.fail("its container is gone".to_owned(), outbox, now);
                true
            }
            None => false,
        }
    }

    /// Traffic has moved: what was beside serves, and what served is beside.
    pub(super) fn exchange(&mut self, outbox: &mut Outbox, now: Uptime) {
        let Some(new) = self.other.take() else { return };
        let past = &self.serve.past;
        self.before = Some(Before {
            config: past.config.clone(),
            image: past.image.clone(),
            release: past.releases.serving().cloned(),
        });
        let release = match &self.cause {
            SwapCause::Release(next) => Some(next.release.clone()),
            SwapCause::Secrets | SwapCause::Rest => None,
        };
        let mut old = self.serve.exchange(new, self.config.clone(), Some(self.image.clone()), release, outbox, now);
        if matches!(self.cause, SwapCause::Release(_)) {
            let before = self.before.as_ref().and_then(|before| before.release.clone());
            let before = before.map(|release| NotedBefore { release: release.id, container: old.id().clone() });
            self.serve.past.releases.begin_trial(before);
        }
        if let Some((_, to)) = &mut self.gap {
            to.get_or_insert(now);
        }
        if self.traffic == TrafficMove::Targets {
            old.retire(outbox);
        } else {
            self.register_in_place(outbox, now);
        }
        self.other = Some(old);
        self.last_look = None;
        self.until = now + self.config.release.bake;
        self.stage = SwapStage::Baking;
    }

    /// What took the ports of the other is in on all of its own: they may be others, or in other target groups.
    pub(super) fn register_in_place(&mut self, outbox: &mut Outbox, now: Uptime) {
        let Some(running) = self.serve.app().running().cloned() else { return };
        let is_standby = self.serve.is_standby();
        let past = &mut self.serve.past;
        if past.config.target_groups.is_empty() || is_standby {
            return;
        }
        // What cannot be registered is shown with the targets.
        let _ = past.targets.join(&past.config, &running, false, outbox, now);
        past.targets.keep_joined(outbox, now);
    }

    /// The old one is still there, in case that the new one fails.
    pub(super) fn bake(&mut self, outbox: &mut Outbox, now: Uptime) -> bool {
        let app = self.serve.app();
        if !app.health().is_healthy() && self.can_go_back() {
            let reason = app.reason().to_owned();
            self.fail(reason, outbox, now);
            return true;
        }
        let is_over = if app.health().is_healthy() { self.has_baked(now) } else { self.until <= now };
        if !is_over {
            return false;
        }
        self.serve.past.releases.end_trial();
        let app = self.serve.app();
        if app.health().is_healthy() {
            let how = self.restarts_for.as_ref().map(|reason| format!("; it went by restart: {reason}"));
            self.conclude(Verdict::Ok, format!("it serves{}", how.unwrap_or_default()), now);
        } else {
            let reason = format!("{}; the old container is gone as well", app.reason());
            self.condemn(reason, now);
        }
        self.retire(outbox, now);
        true
    }

    /// Whether the bake is over, and a probe has passed after it.
    fn has_baked(&mut self, now: Uptime) -> bool {
        let is_over = self.until <= now;
        let app = self.serve.app_mut();
        let Some(asked) = self.last_look else {
            if is_over {
                (self.last_look, self.until) = (Some(now), now + ENGINE);
                app.probe_now(now);
            }
            return is_over && app.has_passed_since(now);
        };
        // One that failed may be the first of those that make it unhealthy: the next comes in its own time.
        if !app.health().is_failing() && !app.has_passed_since(asked) {
            app.probe_now(now);
        }
        if is_over && app.health().is_failing() {
            // The next probes decide: one passes, or it becomes unhealthy.
            self.until = now + ENGINE;
            return false;
        }
        is_over || app.has_passed_since(asked)
    }
}
