//! Failing: the boot failed, or the app cannot be kept running. The instance is given back: the app is stopped, the launch
//! hook is completed with ABANDON, or else the instance is reported as unhealthy; then the final status is written, then the agent exits.
//!
//! Nothing here can stop the next step: a failed stop does not keep the hook from being completed.

use std::time::Duration;

use crate::app::App;
use crate::clock::Uptime;
use crate::hook::explain;
use crate::message::container::ContainerId;
use crate::message::error::{ErrorClass, JobError};
use crate::message::event::Event;
use crate::message::group::HookResult;
use crate::message::input::Input;
use crate::message::job::Job;
use crate::message::outcome::Outcome;
use crate::message::output::AppOutput;
use crate::outbox::Outbox;
use crate::phase::past::Past;
use crate::retry::FAR;
use crate::step::Step;
use crate::view::{DeadlineName, DeadlineView, FailureView, ReadyReason, StepName};

/// For the report to the group. After that the hook's own timeout counts.
const LIMIT: Duration = Duration::from_secs(120);

/// Why a boot, or an app, is given up.
#[derive(Clone, Debug)]
pub struct Failure {
    /// How the agent ends.
    pub outcome: Outcome,
    /// Why, as `/ready` says it.
    pub ready: ReadyReason,
    /// The class of the error behind it, if a call failed.
    pub class: Option<ErrorClass>,
    /// Why, with what was answered.
    pub reason: String,
}

impl Failure {
    /// A failed boot.
    pub fn of_boot(ready: ReadyReason, reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::BootFailed, ready, class: None, reason: reason.into() }
    }

    /// The same after a call that failed.
    pub fn of_error(ready: ReadyReason, error: &JobError) -> Self {
        Self { class: Some(error.class), ..Self::of_boot(ready, &*error.reason) }
    }

    /// As it is shown.
    pub fn view(&self) -> FailureView {
        FailureView {
            reason: self.ready,
            error_class: self.class,
            exit_code: self.outcome.code(),
            message: self.reason.clone(),
        }
    }
}

/// On the way out after a failure.
#[derive(Clone, Debug)]
pub struct Failing {
    /// What came before, for people.
    pub past: Past,
    failure: Failure,
    stopped: Step<()>,
    /// The other container of a release, which is stopped after the first.
    to_stop: Option<ContainerId>,
    reported: Step<()>,
    /// Why the instance could not be reported as unhealthy.
    not_reported: Option<String>,
    final_status: Step<()>,
    deadline: Uptime,
}

/// Where a failure goes after an event.
#[derive(Debug)]
pub enum FailingNext {
    /// On with it.
    Stay,
    /// Over.
    Gone(Outcome),
}

impl Failing {
    /// Begins.
    pub fn begin(failure: Failure, mut past: Past, outbox: &mut Outbox, now: Uptime) -> Self {
        let timeout = past.config.stop_timeout;
        past.targets.leave(outbox, now);
        let id = match &mut past.app {
            Some(app) => {
                // Of one that exited it was read then.
                if app.is_up() {
                    app.read_output(outbox, now);
                }
                app.halt(outbox);
                Some(app.id().clone())
            }
            None => past.created.clone(),
        };
        past.releases.leave(outbox, now);
        let to_stop = past.beside.as_mut().map(|beside| {
            beside.halt(outbox);
            beside.id().clone()
        });
        let mut stopped = Step::new(StepName::Stopping, FAR);
        match id {
            Some(id) => stopped.emit(Job::StopContainer { id, timeout, for_good: true }, outbox, now),
            None => stopped.done((), now),
        }
        // Who does not know itself cannot tell anybody.
        if past.identity.is_some() {
            past.hook.begin(past.identity.as_ref(), &past.config.lifecycle, None, outbox, now);
            past.hook.complete(HookResult::Abandon, outbox, now);
        }
        let mut failing = Self {
            past,
            failure,
            stopped,
            to_stop,
            reported: Step::new(StepName::MarkUnhealthy, FAR),
            not_reported: None,
            final_status: Step::new(StepName::FinalStatus, FAR),
            deadline: now + timeout + LIMIT,
        };
        failing.advance(outbox, now);
        failing
    }

    /// Takes an input.
    pub fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> FailingNext {
        self.past.hook.on(input, outbox, now);
        self.past.targets.on(input, outbox, now);
        self.past.releases.on(input, outbox, now);
        if let Some(app) = &mut self.past.app {
            app.on(input, outbox, now); // it is halted: only what it wrote last is still to come
        }
        if matches!(input, Input::Event(Event::Signalled(_))) {
            self.deadline = now;
        }
        match self.stopped.answer(input) {
            Some(Event::Failed(..)) => self.give_up_stop(outbox, now),
            Some(_) => match self.to_stop.take() {
                Some(id) => {
                    self.stopped.go_on();
                    let timeout = self.past.config.stop_timeout;
                    self.stopped.emit(Job::StopContainer { id, timeout, for_good: true }, outbox, now);
                }
                None => self.stopped.done((), now),
            },
            None => {}
        }
        match self.reported.answer(input) {
            Some(Event::Failed(_, error)) if error.is_transient() => self.reported.retry(error, outbox, now),
            Some(Event::Failed(_, error)) => {
                let (identity, call) = (self.past.identity.as_deref(), Some("autoscaling:SetInstanceHealth"));
                self.not_reported = Some(explain(error, call, identity, self.past.hook.group()));
                self.reported.done((), now);
            }
            Some(_) => self.reported.done((), now),
            None => {}
        }
        if self.final_status.answer(input).is_some() {
            return FailingNext::Gone(self.failure.outcome);
        }
        if self.deadline <= now && self.final_status.is_under_way() {
            return FailingNext::Gone(self.failure.outcome);
        }
        self.advance(outbox, now);
        FailingNext::Stay
    }

    /// When it wants to be woken.
    pub fn wake(&self) -> Option<Uptime> {
        let app = self.past.app.as_ref().and_then(App::wake);
        let releases = self.past.releases.wake();
        [self.past.hook.wake(), self.past.targets.wake(), releases, self.reported.wake(), app, Some(self.deadline)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Why.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }

    /// Until when the report to the group is tried.
    pub fn deadlines(&self) -> Vec<DeadlineView> {
        vec![DeadlineView { name: DeadlineName::Cleanup, at_seconds: self.deadline.0.as_secs_f64() }]
    }

    fn advance(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.past.targets.advance(outbox, now);
        let late = self.deadline <= now;
        let nobody = self.past.identity.is_none();
        if self.past.hook.is_over() && self.reported.is_due(now) {
            if self.past.hook.was_abandoned() || !self.past.hook.may_be_in_group() {
                self.reported.done((), now);
            } else {
                self.reported.emit(Job::MarkUnhealthy, outbox, now);
            }
        }
        let reading = self.past.app.as_ref().is_some_and(App::is_reading_output);
        let over = self.stopped.is_done()
            && (nobody || self.reported.is_done())
            && !reading
            && !self.past.targets.are_leaving();
        if (over || late) && self.final_status.is_due(now) {
            if !self.stopped.is_done() {
                self.stopped.cancel(outbox);
                self.give_up_stop(outbox, now);
            }
            // The final status has a short time of its own, so that a stuck console cannot delay the exit.
            self.deadline = now + Duration::from_secs(5);
            let output = self.past.app.as_ref().and_then(App::output).map(AppOutput::for_people).unwrap_or_default();
            let output = output.into_iter().map(Into::into).collect();
            self.final_status.emit(Job::WriteFinalStatus { line: self.final_status_line(), output }, outbox, now);
        }
    }

    /// A container that could not be stopped keeps no secrets: no later job deletes them.
    fn give_up_stop(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.stopped.done((), now);
        outbox.emit(Job::ForgetSecrets);
    }

    fn final_status_line(&self) -> String {
        let what = match self.failure.outcome {
            Outcome::AppFailed => "the app cannot be kept running",
            _ => "the boot failed",
        };
        let mut words = format!("{what}: {}", self.failure.reason);
        if self.past.hook.refusal().is_none_or(|refusal| refusal != self.failure.reason) {
            words.push_str(&format!("; launch hook: {}", self.past.hook.view()));
        }
        if let Some(not_reported) = &self.not_reported {
            words.push_str(&format!("; the instance could not be marked unhealthy: {not_reported}"));
        }
        if let Some(stuck) = self.past.targets.stuck() {
            words.push_str(&format!("; {stuck}"));
        }
        words
    }
}
