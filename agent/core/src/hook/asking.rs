//! The question for the instance's state: why a hook is not active, and what a refusal means.

use super::ending::HookEnding;
use super::{ANSWER, Hook, HookStage, state};
use crate::clock::Uptime;
use crate::message::group::{HookResult, Transition};
use crate::message::job::Job;
use crate::outbox::Outbox;

impl Hook {
    /// Why the instance's life cannot go on: the launch hook holds it, or may, and can never be completed. An app that ran before
    /// this agent came is not given up on a guess.
    pub fn refusal(&self) -> Option<&str> {
        match &self.state {
            HookStage::Over(HookEnding::Refused { reason, waits })
                if *waits || (self.in_group && !self.heartbeats.is_inherited()) =>
            {
                Some(reason)
            }
            _ => None,
        }
    }

    /// A completion that was refused is put off: the hook is kept from running out again, as far as it is known.
    pub fn hold(&mut self, outbox: &mut Outbox, now: Uptime) {
        if matches!(self.state, HookStage::Over(HookEnding::Refused { .. })) && self.name.is_some() {
            (self.wanted, self.give_up_at, self.state) = (None, None, HookStage::Known);
            self.completed.reopen();
            self.heartbeats.begin(outbox, now);
            self.advance(outbox, now);
        }
    }

    /// A call was refused for good. Whether the instance's life hangs on it, the group knows.
    pub(super) fn refused(&mut self, what: &str, why: String, outbox: &mut Outbox, now: Uptime) {
        let name = self.group.iter().chain(&self.name).map(String::as_str).collect::<Vec<_>>().join("/");
        let reason = [self.transition.name(), &name, what].into_iter().filter(|word| !word.is_empty());
        let reason = format!("the {}: {why}", reason.collect::<Vec<_>>().join(" "));
        self.refused = Some(reason.clone());
        if self.transition == Transition::Launching && self.wanted != Some(HookResult::Abandon) {
            self.ask(outbox, now);
        } else {
            self.end(HookEnding::Refused { reason, waits: false }, now);
        }
    }

    /// Asks the group which state the instance is in.
    pub(super) fn ask(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.state = HookStage::Asking;
        self.asking = Some(outbox.emit(Job::DescribeInstance));
        self.answer_by = Some(now + ANSWER);
    }

    pub(super) fn stop_asking(&mut self, outbox: &mut Outbox) {
        if let Some(ticket) = self.asking.take() {
            outbox.cancel(ticket);
        }
    }

    pub(super) fn judge(&mut self, state: Option<&str>, outbox: &mut Outbox, now: Uptime) {
        self.throttled = 0;
        let Some(state) = state else { return self.end(HookEnding::OutsideAnyGroup, now) };
        let to_come = match self.transition {
            Transition::Launching => state::waits_to_launch(state),
            Transition::Terminating => state::waits_to_terminate(state, self.expected),
        };
        match self.refused.clone() {
            // Whether there is a hook at all shows when the instance goes on from `Pending`.
            Some(reason) if to_come && state.ends_with(":Wait") => {
                self.end(HookEnding::Refused { reason, waits: true }, now);
            }
            _ if to_come => self.not_yet(outbox, now),
            _ if state.starts_with("Terminat") => self.end(HookEnding::Expired(state.to_owned()), now),
            _ => self.end(HookEnding::NothingToComplete(state.to_owned()), now),
        }
    }
}
