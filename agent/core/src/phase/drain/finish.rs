//! The end of a drain: the hook is completed, the final status is written, and the instance leaves or is back in its pool.

use std::time::Duration;

use berth_config::CutDrain;

use super::{Cause, Drain, DrainNext, FINAL_STATUS_LIMIT, Stage, UNANSWERED_LIMIT};
use crate::app::App;
use crate::clock::{Moment, Uptime};
use crate::message::group::HookResult;
use crate::message::job::Job;
use crate::message::outcome::Outcome;
use crate::message::output::AppOutput;
use crate::outbox::Outbox;
use crate::view::StepName;

impl Drain {
    /// A container that could not be stopped keeps no secrets: no later job deletes them.
    pub(super) fn complete_hook(&mut self, outbox: &mut Outbox, now: Uptime) {
        if !self.stopped {
            outbox.emit(Job::ForgetSecrets);
        }
        let since = *self.completing.get_or_insert(Moment::now(now));
        self.enter(StepName::CompletingHook, Stage::CompletingHook, now);
        let tried = since.age(now);
        self.hook.wait_for_answers(self.patience(tried, now), now);
        self.hook.complete(self.result(), outbox, now);
        self.hook.has_been_tried_for(tried, now);
    }

    /// For how long an Auto Scaling that does not answer is asked in all, by this agent and by those before it, which have tried already:
    /// until the hook expires by itself, or, if its timeout is not known, for as long as the drain may take. After a signal or a requested
    /// drain an operator or systemd waits, so it is 60 s.
    pub(super) fn patience(&self, tried: Duration, now: Uptime) -> Duration {
        if self.awaited {
            return UNANSWERED_LIMIT;
        }
        let config = &self.past.config;
        let longest = config.drain.settle.saturating_add(config.drain.timeout).saturating_add(config.stop_timeout);
        let left_then = longest.saturating_sub(self.began.age(now).saturating_sub(tried));
        self.hook.timeout().unwrap_or(left_then + UNANSWERED_LIMIT)
    }

    /// An instance that returns to its pool is used again, so it is not kept for debugging.
    pub(super) fn result(&self) -> HookResult {
        let policy = self.past.config.drain.on_failure;
        match (policy, &self.cause) {
            (CutDrain::Abandon, cause) if !self.clean && !matches!(cause, Cause::BackToPool(_)) => HookResult::Abandon,
            _ => HookResult::Continue,
        }
    }

    pub(super) fn report(&mut self, outbox: &mut Outbox, now: Uptime) {
        let how = if self.clean { "drained" } else { "the drain was cut short" };
        let exited = self.exited.as_ref().map(|how| format!("; {how} before it was stopped")).unwrap_or_default();
        let line = format!(
            "{how} after {:.0} s ({}){exited}; termination hook: {}{}",
            self.began.age(now).as_secs_f64(),
            self.cause,
            self.hook.view(),
            self.past.targets.stuck().map(|stuck| format!("; {stuck}")).unwrap_or_default()
        );
        let output =
            self.past.app.as_ref().filter(|_| self.exited.is_some()).and_then(App::output).map(AppOutput::for_people);
        let output = output.unwrap_or_default().into_iter().map(Into::into).collect();
        let ticket = outbox.emit(Job::WriteFinalStatus { line, output });
        self.enter(StepName::FinalStatus, Stage::FinalStatus { ticket, until: now + FINAL_STATUS_LIMIT }, now);
    }

    pub(super) fn over(&mut self, now: Uptime) -> DrainNext {
        self.ended = Some(now);
        match (&self.cause, self.clean) {
            // Unless it ends anyway: the agent is stopped, its drain is waited for, or spot interrupts the instance.
            (Cause::BackToPool(_), _) if !self.awaited && self.cut.is_none() => DrainNext::Warm,
            (_, true) => DrainNext::Gone(Outcome::Done),
            (_, false) => DrainNext::Gone(Outcome::DrainCut),
        }
    }
}
