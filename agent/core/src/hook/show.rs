//! How a hook is shown.

use super::ending::HookEnding;
use super::{Hook, HookStage};
use crate::message::group::Transition;
use crate::view::{HookState, HookView, StepName, StepView, TransitionName};

impl Hook {
    /// Its Auto Scaling group, once that is known.
    pub fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// Whether it could not be completed: refused, expired, or not in time.
    pub fn has_failed(&self) -> bool {
        self.refused.is_some() || matches!(&self.state, HookStage::Over(ending) if ending.is_failure())
    }

    /// The termination hooks of the group that berth does not complete, because the config names none of them.
    pub fn unnamed(&self) -> impl Iterator<Item = HookView> {
        let names = self.reported.iter().flatten().flat_map(|membership| &membership.unnamed_terminate_hooks);
        names.map(|name| HookView {
            transition: TransitionName::Termination,
            name: Some(name.clone()),
            state: HookState::NotNamed,
            ..HookView::default()
        })
    }

    /// As it is shown.
    pub fn view(&self) -> HookView {
        let shown = HookView {
            transition: self.transition.into(),
            name: self.name.clone(),
            heartbeats: self.heartbeats.count(),
            ..HookView::default()
        };
        let of = |state, reason: Option<&str>| HookView { state, reason: reason.map(str::to_owned), ..shown.clone() };
        match (&self.state, self.refused.as_deref()) {
            (HookStage::Over(ending), _) => ending.show(shown),
            (HookStage::Known, Some(reason)) if self.wanted.is_none() => of(HookState::Held, Some(reason)),
            (HookStage::Known | HookStage::Completing, Some(_)) => of(HookState::Completing, None),
            (_, Some(reason)) => of(HookState::Refusing, Some(reason)),
            (HookStage::Idle | HookStage::Finding, None) => of(HookState::Finding, None),
            (HookStage::Known, None) if self.wanted.is_none() => {
                of(HookState::WaitingForApp, self.heartbeats.refusal())
            }
            (HookStage::Known | HookStage::Completing | HookStage::Asking, None) => of(HookState::Completing, None),
            (HookStage::NotYet(_), None) => of(HookState::NotActiveYet, None),
        }
    }

    /// The steps of finding and completing.
    pub fn steps(&self) -> impl Iterator<Item = StepView> {
        [self.found.view(), self.completed.view()].into_iter().flatten()
    }
}

impl HookEnding {
    fn show(&self, shown: HookView) -> HookView {
        let of = |state| HookView { state, ..shown.clone() };
        let because = |state, reason: &str| HookView { reason: Some(reason.to_owned()), ..of(state) };
        let instance = |state, instance: &str| HookView { instance_state: Some(instance.to_owned()), ..of(state) };
        match self {
            Self::Completed(result) => HookView { result: Some((*result).into()), ..of(HookState::Completed) },
            Self::OutsideAnyGroup => of(HookState::OutsideAnyGroup),
            Self::NoHook => of(HookState::NoHook),
            Self::NotNamed => of(HookState::NotNamed),
            Self::NothingToComplete(state) => instance(HookState::NothingToComplete, state),
            Self::Expired(state) => instance(HookState::Expired, state),
            Self::Refused { reason, .. } => because(HookState::Refused, reason),
            Self::GivenUp(why) => because(HookState::GivenUp, why),
            Self::Left => of(HookState::Left),
        }
    }
}

impl Transition {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Launching => "launch hook",
            Self::Terminating => "termination hook",
        }
    }

    pub(super) fn step(self) -> StepName {
        match self {
            Self::Launching => StepName::Group,
            Self::Terminating => StepName::LookUpGroupAgain,
        }
    }

    pub(super) fn completion(self) -> StepName {
        match self {
            Self::Launching => StepName::Hook,
            Self::Terminating => StepName::TerminationHook,
        }
    }
}

impl From<Transition> for TransitionName {
    fn from(transition: Transition) -> Self {
        match transition {
            Transition::Launching => Self::Launch,
            Transition::Terminating => Self::Termination,
        }
    }
}
