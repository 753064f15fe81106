//! What is due: a probe, a watch, the next start, or the end of what hangs.

use berth_config::ProbeMethod;

use super::{AfterStop, App, AppState, ExitWatch, News, PROBE_MARGIN, Probing, START_LIMIT};
use crate::clock::Uptime;
use crate::message::job::Job;
use crate::message::probe_failure::{ProbeFailure, ProbeFailureKind};
use crate::outbox::Outbox;
use crate::view::ReadyReason;

impl App {
    /// Does what is due.
    pub(super) fn advance(&mut self, outbox: &mut Outbox, now: Uptime) -> News {
        if let AppState::Up { probe: Probing::Asked { ticket, until, .. }, .. } = &self.state
            && *until <= now
        {
            outbox.cancel(*ticket);
            return self.probed(Some(&ProbeFailure::new(ProbeFailureKind::TimedOut, "the probe did not end")), now);
        }
        // One on its way out is stopped by the drain, in its own time.
        if self.kept
            && !self.retiring
            && self.is_up()
            && self.health.past_threshold(&self.config.probe, self.start_limit, now)
        {
            let reason = format!("the app stays unhealthy: {}", self.reason);
            self.read_output(outbox, now);
            self.stop(AfterStop::BackOff(reason.clone()), ReadyReason::AppUnhealthy, reason, outbox, now);
            return News::Nothing;
        }
        match &mut self.state {
            AppState::Up { running, watch, probe } => {
                if let ExitWatch::Lost(at) = watch
                    && *at <= now
                {
                    *watch = ExitWatch::On(outbox.emit(Job::WatchContainer(self.id.clone())));
                }
                match probe {
                    Probing::Next(at) if *at <= now => {
                        let how = self.config.effective_health(running.healthcheck.is_some());
                        let own = running.healthcheck.as_ref().filter(|_| how == ProbeMethod::Docker);
                        let timeout = self.config.probe.timeout_for(own.map(|own| own.timeout));
                        let (port, http) = (self.config.first_tcp_port(), self.config.probe.http.clone());
                        let ticket = outbox.emit(Job::ProbeApp { app: running.clone(), how, port, http, timeout });
                        *probe = Probing::Asked { ticket, since: now, until: now + timeout + PROBE_MARGIN };
                    }
                    Probing::Unasked(at) if *at <= now => {
                        *probe = Probing::Over;
                        self.health.endure();
                        self.attempts = 0;
                        "the app is healthy".clone_into(&mut self.reason);
                        self.ready = ReadyReason::Healthy;
                        return News::Healthy;
                    }
                    Probing::Next(_) | Probing::Unasked(_) | Probing::Asked { .. } | Probing::Over => {}
                }
            }
            AppState::BackingOff(until) if *until <= now => {
                // While the engine is away the same restart is tried again.
                self.restarts += u32::from(self.engine_away.is_none());
                if self.gone { self.create(outbox, now) } else { self.launch(outbox, now) }
            }
            AppState::Starting { ticket, since } if *since + START_LIMIT <= now => {
                outbox.cancel(*ticket);
                let reason = format!("the container did not start within {START_LIMIT:?}");
                return self.back_off(ReadyReason::ContainerNotStarted, reason, outbox, now);
            }
            AppState::FetchingSecrets { ticket, until } if *until <= now => {
                outbox.cancel(*ticket);
                let reason = format!("the secrets did not come within {START_LIMIT:?}");
                return self.back_off(ReadyReason::SecretsUnavailable, reason, outbox, now);
            }
            AppState::Pausing(at) if *at <= now => self.order_stop(AfterStop::Stay, outbox, now),
            AppState::Stopping { ticket, until, then: AfterStop::Stay } if *until <= now => {
                outbox.cancel(*ticket);
                self.order_stop(AfterStop::Stay, outbox, now);
            }
            AppState::Stopping { ticket, until, .. } if *until <= now => {
                outbox.cancel(*ticket);
                return self.stopped(outbox, now);
            }
            AppState::BackingOff(_)
            | AppState::Pausing(_)
            | AppState::Creating(_)
            | AppState::Starting { .. }
            | AppState::FetchingSecrets { .. }
            | AppState::Stopping { .. }
            | AppState::Halted => {}
        }
        News::Nothing
    }
}
