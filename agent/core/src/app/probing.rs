//! A process that runs: how it is watched and probed, and what its probes mean.

use std::time::Duration;

use berth_config::ProbeMethod;

use super::{App, AppState, ExitWatch, News, PATIENCE, PROBE_CEILING, PROBE_FLOOR, Probing};
use crate::clock::Uptime;
use crate::message::container::RunningContainer;
use crate::message::failure_reason::FailureReason;
use crate::message::job::Job;
use crate::message::probe_failure::{ProbeFailure, ProbeFailureKind};
use crate::outbox::Outbox;
use crate::view::ReadyReason;

impl App {
    /// Its process runs, and has for so long.
    pub(super) fn up(&mut self, running: RunningContainer, ran: Duration, outbox: &mut Outbox, now: Uptime) {
        let watch = ExitWatch::On(outbox.emit(Job::WatchContainer(self.id.clone())));
        let running_for = self.config.probe.running_for;
        let how = self.config.effective_health(running.healthcheck.is_some());
        let own = running.healthcheck.as_ref().filter(|_| how == ProbeMethod::Docker);
        self.start_limit = self.config.probe.start_limit(own.map(|own| own.start_period));
        let probe = if how == ProbeMethod::None {
            self.start_limit = self.start_limit.saturating_add(running_for);
            self.reason = format!("the app has not run for {running_for:?} yet (probe.running_for)");
            Probing::Unasked(now + running_for.saturating_sub(ran))
        } else {
            self.reason = "the app has not answered yet".to_owned();
            Probing::Next(now)
        };
        self.state = AppState::Up { running: Box::new(running), watch, probe };
        self.fresh = false;
        self.engine_away = None;
        self.health.begin(now);
        self.ready = ReadyReason::NotHealthyYet;
    }

    pub(super) fn probed(&mut self, failure: Option<&ProbeFailure>, now: Uptime) -> News {
        let AppState::Up { probe, .. } = &mut self.state else { return News::Nothing };
        let Probing::Asked { since, .. } = *probe else { return News::Nothing };
        let was_healthy = self.health.is_healthy();
        let took = now.since(since);
        if failure.is_none() {
            self.passed = Some(since);
        }
        if self.health.take(failure, took, &self.config.probe, now) {
            self.reason = failure.map_or_else(|| "the app is healthy".to_owned(), ToString::to_string);
            self.ready = match failure {
                None => ReadyReason::Healthy,
                Some(failure) if failure.kind == ProbeFailureKind::Engine => ReadyReason::EngineUnavailable,
                Some(_) if self.health.is_starting() => ReadyReason::NotHealthyYet,
                Some(_) => ReadyReason::AppUnhealthy,
            };
        }
        let ran = self.health.starting_for(now);
        if let Some(failure) = failure
            && !self.kept
            && failure.kind.lasting_after().is_some_and(|after| ran >= after)
        {
            let reason = FailureReason::NeverHealthy { failure: failure.to_string() }.to_string();
            self.reason.clone_from(&reason);
            self.ready = ReadyReason::NeverHealthy;
            return News::Lost(reason);
        }
        let wait = if self.health.is_starting() {
            (self.health.starting_for(now) / PATIENCE).max(took).clamp(PROBE_FLOOR, PROBE_CEILING)
        } else {
            self.config.probe.interval
        };
        *probe = Probing::Next(now + wait);
        if self.health.is_healthy() && !was_healthy {
            self.attempts = 0;
            return News::Healthy;
        }
        News::Nothing
    }
}
