//! What follows an exit, a stop or a removal: the next start, or the end.

use crate::clock::Uptime;
use crate::message::container::Exit;
use crate::message::failure_reason::FailureReason;
use crate::message::job::Job;
use crate::outbox::Outbox;
use crate::retry::{Backoff, NEAR};
use crate::view::{ExitView, ReadyReason};

use super::recreation::{Recreation, RecreationNext};
use super::{AfterStop, App, AppState, News, Probing, START_LIMIT};

impl App {
    /// Starts the container, with the secrets fetched before if this process does not hold them.
    pub(super) fn launch(&mut self, outbox: &mut Outbox, now: Uptime) {
        if self.config.has_secrets() && !self.holds_secrets {
            self.fetch_secrets(outbox, now);
        } else {
            self.order_start(outbox, now);
        }
    }

    pub(super) fn fetch_secrets(&mut self, outbox: &mut Outbox, now: Uptime) {
        let ticket = outbox.emit(Job::FetchSecrets(self.config.clone()));
        self.state = AppState::FetchingSecrets { ticket, until: now + START_LIMIT };
    }

    pub(super) fn create(&mut self, outbox: &mut Outbox, now: Uptime) {
        "the container was removed and is created again".clone_into(&mut self.reason);
        self.ready = ReadyReason::CreatingContainer;
        self.state = AppState::Creating(Box::new(Recreation::begin(self.recipe.clone(), outbox, now)));
    }

    pub(super) fn created(&mut self, next: RecreationNext, outbox: &mut Outbox, now: Uptime) -> News {
        match next {
            RecreationNext::Stay => News::Nothing,
            RecreationNext::Created(id) => {
                self.id = id;
                (self.fresh, self.gone) = (true, false);
                self.launch(outbox, now);
                News::Nothing
            }
            RecreationNext::Failed(reason) => {
                self.state = AppState::Halted;
                self.reason.clone_from(&reason);
                self.ready = ReadyReason::ContainerNotCreated;
                News::Lost(reason)
            }
        }
    }

    /// Somebody removed the container before it could be started.
    pub(super) fn removed(&mut self, outbox: &mut Outbox, now: Uptime) -> News {
        self.gone = true;
        // One that goes as soon as it was created is a failed start: else it would be created for ever.
        if self.fresh {
            let reason = "the container was removed before it was started".to_owned();
            return self.back_off(ReadyReason::ContainerNotStarted, reason, outbox, now);
        }
        self.create(outbox, now);
        News::Nothing
    }

    pub(super) fn order_start(&mut self, outbox: &mut Outbox, now: Uptime) {
        let start = Job::StartContainer { id: self.id.clone(), config: self.config.clone() };
        self.state = AppState::Starting { ticket: outbox.emit(start), since: now };
    }

    pub(super) fn exited(&mut self, exit: &Exit, outbox: &mut Outbox, now: Uptime) -> News {
        let AppState::Up { probe, .. } = &self.state else { return News::Nothing };
        self.last_exit = Some(ExitView::new(exit, now.0.as_secs_f64()));
        if let Probing::Asked { ticket, .. } = probe {
            outbox.cancel(*ticket);
        }
        // One that is on its way out may be stopped by the drain itself, which knows.
        if !self.retiring {
            self.output.ask(&self.id, &self.config, outbox, now);
        }
        let reason = match probe {
            Probing::Unasked(_) => {
                let running_for = self.config.probe.running_for;
                FailureReason::ExitedTooSoon { exit: exit.clone(), running_for }.to_string()
            }
            _ => FailureReason::Exited { exit: exit.clone() }.to_string(),
        };
        // What is not there at the first start is not there at the next.
        if exit.is_not_run() && !self.kept && !self.adopted && self.restarts == 0 {
            self.health.mark_unhealthy(now);
            self.state = AppState::Halted;
            self.reason.clone_from(&reason);
            self.ready = ReadyReason::AppExited;
            return News::Lost(reason);
        }
        self.back_off(ReadyReason::AppExited, reason, outbox, now)
    }

    /// Plans the next start, unless there were too many.
    pub(super) fn back_off(&mut self, ready: ReadyReason, reason: String, outbox: &mut Outbox, now: Uptime) -> News {
        let restart = self.config.restart.clone();
        self.health.mark_unhealthy(now);
        self.ready = ready;
        if self.retiring {
            self.state = AppState::Halted;
            self.reason.clone_from(&reason);
            return News::Lost(reason);
        }
        self.recent.retain(|at| now.since(*at) < restart.window);
        if self.recent.len() >= restart.limit as usize {
            self.state = AppState::Halted;
            self.ready = ReadyReason::RestartLimitReached;
            let (restarts, window) = (self.recent.len(), restart.window);
            self.reason = FailureReason::TooManyRestarts { reason, restarts, window }.to_string();
            return News::Lost(self.reason.clone());
        }
        self.recent.push_back(now);
        let backoff = Backoff { first: restart.backoff, steady: 1, cap: restart.backoff_max };
        let wait = outbox.wait(backoff, u32::try_from(self.recent.len()).unwrap_or(u32::MAX));
        self.state = AppState::BackingOff(now + wait);
        self.reason = reason;
        News::Nothing
    }

    /// An engine that is away is no crash of the app: tried again without counting, for as long as a boot may take.
    pub(super) fn wait_for_engine(&mut self, reason: String, outbox: &mut Outbox, now: Uptime) -> News {
        let since = *self.engine_away.get_or_insert(now);
        self.health.mark_unhealthy(now);
        self.ready = ReadyReason::EngineUnavailable;
        self.reason.clone_from(&reason);
        if now.since(since) >= self.config.boot.timeout {
            self.state = AppState::Halted;
            return News::Lost(reason);
        }
        self.attempts = self.attempts.saturating_add(1);
        self.state = AppState::BackingOff(now + outbox.wait(NEAR, self.attempts));
        News::Nothing
    }

    pub(super) fn stop(
        &mut self,
        then: AfterStop,
        ready: ReadyReason,
        reason: String,
        outbox: &mut Outbox,
        now: Uptime,
    ) {
        self.halt(outbox);
        self.health.mark_unhealthy(now);
        (self.ready, self.reason) = (ready, reason);
        self.order_stop(then, outbox, now);
    }

    pub(super) fn order_stop(&mut self, then: AfterStop, outbox: &mut Outbox, now: Uptime) {
        let timeout = self.config.stop_timeout;
        let ticket = outbox.emit(Job::StopContainer { id: self.id.clone(), timeout, for_good: false });
        self.state = AppState::Stopping { ticket, until: now + timeout + START_LIMIT, then };
    }

    pub(super) fn stopped(&mut self, outbox: &mut Outbox, now: Uptime) -> News {
        match std::mem::replace(&mut self.state, AppState::Halted) {
            AppState::Stopping { then: AfterStop::Start, .. } => {
                self.restarts += 1;
                self.order_start(outbox, now);
                News::Nothing
            }
            AppState::Stopping { then: AfterStop::Stay, .. } => News::Nothing,
            AppState::Stopping { then: AfterStop::BackOff(reason), .. } => {
                self.back_off(self.ready, reason, outbox, now)
            }
            other => {
                self.state = other;
                News::Nothing
            }
        }
    }
}
