//! What an answer of the group means for the hook.

use super::ending::HookEnding;
use super::{Hook, HookStage, explain, state};
use crate::clock::Uptime;
use crate::message::error::{ErrorClass, JobError};
use crate::message::event::Event;
use crate::message::group::{Membership, Transition};
use crate::outbox::Outbox;

impl Hook {
    pub(super) fn group_answered(&mut self, event: &Event, outbox: &mut Outbox, now: Uptime) {
        match event {
            Event::GroupFound(membership) => {
                self.patience.answered(now);
                if self.state == HookStage::Finding {
                    self.found.done((), now);
                    self.reported = Some(membership.clone());
                    self.learn(membership.clone(), outbox, now);
                }
            }
            Event::Failed(_, error) => self.group_not_found(error, outbox, now),
            _ => {} // no answer to FindGroup
        }
    }

    pub(super) fn completion_answered(&mut self, event: &Event, outbox: &mut Outbox, now: Uptime) {
        match event {
            Event::HookCompleted => {
                if let Some(result) = self.wanted {
                    self.end(HookEnding::Completed(result), now);
                }
            }
            Event::HookNotActive(_) => self.ask(outbox, now),
            Event::Failed(_, error) => self.not_completed(error, outbox, now),
            _ => {} // no answer to CompleteHook
        }
    }

    pub(super) fn state_answered(&mut self, event: &Event, outbox: &mut Outbox, now: Uptime) {
        self.asking = None;
        match event {
            Event::InstanceDescribed(state) => {
                self.patience.answered(now);
                if self.state == HookStage::Asking {
                    self.judge(state.as_deref(), outbox, now);
                }
            }
            Event::Failed(_, error) => self.not_described(error, outbox, now),
            _ => {} // no answer to DescribeInstance
        }
    }

    pub(super) fn heartbeat_answered(&mut self, event: &Event, outbox: &mut Outbox, now: Uptime) {
        match event {
            Event::HeartbeatRecorded => {
                self.patience.answered(now);
                self.heartbeats.recorded();
            }
            Event::Failed(_, error) if error.is_transient() => self.heartbeats.failed(error, outbox, now),
            // The next is due as planned.
            Event::Failed(_, error) => self.heartbeats.refused(error),
            _ => {} // not active, which a completion looks into
        }
    }

    pub(super) fn learn(&mut self, membership: Option<Membership>, outbox: &mut Outbox, now: Uptime) {
        let Some(membership) = membership else { return self.end(HookEnding::OutsideAnyGroup, now) };
        self.group = Some(membership.group);
        let hook = match self.transition {
            Transition::Launching => {
                if let Some(state) = membership.state.filter(|state| !state::waits_to_launch(state)) {
                    return self.end(HookEnding::NothingToComplete(state), now);
                }
                membership.launch_hook
            }
            Transition::Terminating => {
                let named = self.own_name().map(|name| crate::message::group::LifecycleHook { name, timeout: None });
                membership.terminate_hook.or(named)
            }
        };
        match hook {
            Some(hook) => self.know(hook, outbox, now),
            None if self.transition == Transition::Terminating && !membership.unnamed_terminate_hooks.is_empty() => {
                self.end(HookEnding::NotNamed, now);
            }
            None => self.end(HookEnding::NoHook, now),
        }
    }

    pub(super) fn know(&mut self, hook: crate::message::group::LifecycleHook, outbox: &mut Outbox, now: Uptime) {
        self.name = Some(hook.name);
        self.heartbeats.timeout = hook.timeout;
        self.heartbeats.begin(outbox, now);
        self.state = HookStage::Known;
        self.advance(outbox, now);
    }

    pub(super) fn group_not_found(&mut self, error: &JobError, outbox: &mut Outbox, now: Uptime) {
        if self.state != HookStage::Finding {
            return;
        }
        if error.is_transient() {
            self.found.retry(error, outbox, now);
        } else {
            self.found.refuse(error, now);
            self.refused("cannot be found", explain(error, None, None, None), outbox, now);
        }
    }

    pub(super) fn not_completed(&mut self, error: &JobError, outbox: &mut Outbox, now: Uptime) {
        if self.state != HookStage::Completing {
            return;
        }
        if error.is_transient() {
            self.completed.retry(error, outbox, now);
            self.state = HookStage::Known;
        } else {
            self.completed.refuse(error, now);
            let call = Some("autoscaling:CompleteLifecycleAction");
            let why = explain(error, call, self.identity.as_deref(), self.group.as_deref());
            self.refused("cannot be completed", why, outbox, now);
        }
    }

    /// Without the group's word "not active" may still mean "not yet". Who may not ask waits only where something is to come.
    pub(super) fn not_described(&mut self, error: &JobError, outbox: &mut Outbox, now: Uptime) {
        if self.state != HookStage::Asking {
            return;
        }
        if let Some(reason) = self.refused.clone().filter(|_| !error.is_transient()) {
            self.end(HookEnding::Refused { reason, waits: false }, now);
        } else if self.transition == Transition::Terminating && !self.expected && !error.is_transient() {
            self.end(HookEnding::GivenUp(error.reason.clone()), now);
        } else {
            self.not_yet(outbox, now);
            if error.class == ErrorClass::Throttled {
                self.throttled = self.throttled.saturating_add(1);
                self.state = HookStage::NotYet(now + outbox.stand_back(self.throttled));
            }
        }
    }
}
