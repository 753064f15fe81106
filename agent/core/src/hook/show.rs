//! What people see of a hook.

use super::{Hook, State, Transition};
use crate::view::{LifecycleView, StepView};

impl Hook {
    /// For people.
    pub fn view(&self) -> LifecycleView {
        LifecycleView {
            group: self.group.clone(),
            hook: self.name.clone(),
            state: self.words(),
            failed: self.refused.is_some() || matches!(&self.state, State::Over(ending) if ending.is_failure()),
            heartbeats: self.heartbeats.count(),
            target_state: None,
        }
    }

    /// The steps of finding and completing.
    pub fn steps(&self) -> impl Iterator<Item = StepView> {
        [self.found.view(), self.completed.view()].into_iter().flatten()
    }

    fn words(&self) -> String {
        match (&self.state, &self.refused) {
            (State::Over(ending), _) => ending.to_string(),
            (State::Known, Some(reason)) if self.wanted.is_none() => format!("kept from running out; {reason}"),
            (_, Some(reason)) => format!("refused, asking the group for the instance's state: {reason}"),
            (State::Idle | State::Finding, None) => "looking for the group".to_owned(),
            (State::Known, None) if self.wanted.is_none() => match self.heartbeats.refusal() {
                Some(reason) => format!("waiting for the app; heartbeats are refused: {reason}"),
                None => "waiting for the app".to_owned(),
            },
            (State::Known | State::Completing | State::Asking, None) => "completing".to_owned(),
            (State::NotYet(_), None) => "not active yet".to_owned(),
        }
    }
}

impl Transition {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Launching => "launch hook",
            Self::Terminating { .. } => "termination hook",
        }
    }

    pub(super) fn step(self) -> &'static str {
        match self {
            Self::Launching => "group",
            Self::Terminating { .. } => "look up group again",
        }
    }

    pub(super) fn completion(self) -> &'static str {
        match self {
            Self::Launching => "hook",
            Self::Terminating { .. } => "termination hook",
        }
    }
}
