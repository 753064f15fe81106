//! What is due: the search for the group, a heartbeat, the completion, or the end of the tries.

use super::ending::HookEnding;
use super::{ANSWER, Hook, HookStage, NOT_YET};
use crate::clock::Uptime;
use crate::message::error::{ErrorClass, JobError};
use crate::message::group::{HookName, HookResult, Transition};
use crate::message::job::Job;
use crate::outbox::Outbox;

impl Hook {
    pub(super) fn not_yet(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.state = HookStage::NotYet(now + outbox.spread(NOT_YET));
    }

    pub(super) fn end(&mut self, ending: HookEnding, now: Uptime) {
        if self.completed.is_under_way() {
            self.completed.done((), now);
        }
        self.state = HookStage::Over(ending);
    }

    /// Nothing more is tried. A launch hook that expires after this terminates a healthy instance: the console says so while it serves.
    pub(super) fn give_up(&mut self, why: String, outbox: &mut Outbox, now: Uptime) {
        if self.transition == Transition::Launching && self.wanted == Some(HookResult::Continue) {
            let last = self.refused.as_deref().or(self.completed.error()).or(self.found.error());
            let last = last.map(|error| format!(" ({error})")).unwrap_or_default();
            let line = format!(
                "the launch hook was not completed within its timeout{last}: the group may terminate this instance although its \
                 app is healthy"
            );
            outbox.emit(Job::WriteFinalStatus { line, output: Vec::new() });
        }
        self.end(HookEnding::GivenUp(why), now);
    }

    /// Does what is due.
    pub(super) fn advance(&mut self, outbox: &mut Outbox, now: Uptime) {
        if self.is_over() {
            return;
        }
        if self.give_up_at.is_some_and(|at| at <= now) {
            return self.give_up("it timed out".to_owned(), outbox, now);
        }
        if self.patience.is_over(now) {
            let error = self.completed.error().or(self.found.error()).unwrap_or("no answer came");
            return self.give_up(
                format!("Auto Scaling was asked for {} s: {error}", self.patience.whole_seconds()),
                outbox,
                now,
            );
        }
        if self.answer_by.is_some_and(|at| at <= now) {
            self.answer_is_late(outbox, now);
        }
        match self.state {
            HookStage::Finding if self.found.is_due(now) => {
                let (group, launch_hook) = (self.group_name.clone(), self.launch_name.clone());
                let terminate_hook = self.terminate_name.clone();
                self.found.emit(Job::FindGroup { group, launch_hook, terminate_hook }, outbox, now);
                self.answer_by = Some(now + ANSWER);
            }
            HookStage::Known => self.advance_known(outbox, now),
            HookStage::NotYet(at) if at <= now && self.refused.is_some() => self.ask(outbox, now),
            HookStage::NotYet(at) if at <= now => {
                self.completed.again();
                self.advance_known(outbox, now);
            }
            _ => {} // an answer is awaited
        }
    }

    pub(super) fn answer_is_late(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.answer_by = None;
        let late = JobError::new(ErrorClass::Transient, "no answer came");
        match self.state {
            HookStage::Finding if self.found.wake().is_none() => {
                self.found.cancel(outbox);
                self.group_not_found(&late, outbox, now);
            }
            HookStage::Completing => {
                self.completed.cancel(outbox);
                self.not_completed(&late, outbox, now);
            }
            HookStage::Asking => {
                self.stop_asking(outbox);
                self.not_described(&late, outbox, now);
            }
            _ => {} // it came
        }
    }

    pub(super) fn advance_known(&mut self, outbox: &mut Outbox, now: Uptime) {
        let Some((group, hook)) = self.group.clone().zip(self.name.clone()) else { return };
        let hook = HookName { group, hook };
        if let Some(result) = self.wanted {
            if self.completed.is_due(now) {
                self.state = HookStage::Completing;
                self.completed.emit(Job::CompleteHook { hook, result }, outbox, now);
                self.answer_by = Some(now + ANSWER);
            }
        } else if self.heartbeat_due().is_some_and(|at| at <= now) {
            let ticket = outbox.emit(Job::RecordHeartbeat(hook));
            self.heartbeats.sent(ticket, outbox, now);
        }
    }

    /// Heartbeats end when the completion begins.
    pub(super) fn heartbeat_due(&self) -> Option<Uptime> {
        if self.wanted.is_some() { None } else { self.heartbeats.due() }
    }
}
