//! The lifecycle hooks of the instance, as they are shown.

use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// The Auto Scaling group and its lifecycle hooks, as far as they concern this instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LifecycleView {
    /// The Auto Scaling group; null while it is not known, and outside any group.
    pub group: Option<String>,
    /// The target lifecycle state that the instance metadata showed last, in AWS's spelling (`InService`, `Terminated`, …).
    pub target_state: Option<String>,
    /// Whether a hook of the transition under way could not be completed: refused, expired, or not in time.
    pub failed: bool,
    /// Heartbeats recorded since the agent started, of all hooks.
    pub heartbeats: u32,
    /// The hooks: of the launch first, then, once a drain has begun, of the termination. Several termination hooks of which the config names
    /// none are here from the start, each `not_named`.
    pub hooks: Vec<HookView>,
}

impl LifecycleView {
    /// The hooks of the transition under way: those of the termination once there are any. And those that berth does not complete.
    pub fn current(&self) -> impl Iterator<Item = &HookView> {
        let is_completed = |hook: &&HookView| hook.state != HookState::NotNamed;
        let current = self.hooks.iter().rfind(is_completed).map(|hook| hook.transition);
        self.hooks.iter().filter(move |hook| Some(hook.transition) == current || !is_completed(hook))
    }
}

/// One lifecycle hook.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HookView {
    /// What it holds up.
    pub transition: TransitionName,
    /// Its name; null while it is not known, and if there is none.
    pub name: Option<String>,
    /// How far it is.
    pub state: HookState,
    /// What it was completed with; null while it was not.
    pub result: Option<HookResultName>,
    /// The lifecycle state of the instance that explains `nothing_to_complete` and `expired`, in AWS's spelling.
    pub instance_state: Option<String>,
    /// Heartbeats recorded.
    pub heartbeats: u32,
    /// Why it is refused or given up, or why its heartbeats are refused, for people.
    pub reason: Option<String>,
}

/// The two transitions that a hook can hold up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum TransitionName {
    /// `autoscaling:EC2_INSTANCE_LAUNCHING`
    #[default]
    Launch,
    /// `autoscaling:EC2_INSTANCE_TERMINATING`
    Termination,
}

impl TransitionName {
    /// The word that JSON and metrics have.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// What a hook was completed with: AWS's `CONTINUE` and `ABANDON`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum HookResultName {
    /// `CONTINUE`
    Continue,
    /// `ABANDON`
    Abandon,
}

/// How far a hook is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum HookState {
    /// The group is being looked up.
    #[default]
    Finding,
    /// The hook waits for the app; heartbeats keep it from expiring.
    WaitingForApp,
    /// The app is healthy, and the hook waits until the load balancer calls each target healthy; heartbeats keep it from expiring.
    WaitingForLoadBalancer,
    /// A failed boot is held; heartbeats keep the hook from expiring.
    Held,
    /// It is being completed.
    Completing,
    /// It is not active yet; the completion is tried again.
    NotActiveYet,
    /// A call was refused; the group is asked for the instance's lifecycle state.
    Refusing,
    /// It is completed, see `result`.
    Completed,
    /// The instance is in no group.
    OutsideAnyGroup,
    /// The group has no such hook.
    NoHook,
    /// The group has several termination hooks and `lifecycle.terminate_hook` names none: berth completes none of them.
    NotNamed,
    /// The instance is in a lifecycle state that waits for no hook, see `instance_state`.
    NothingToComplete,
    /// The hook expired before it was completed, see `instance_state`.
    Expired,
    /// A call was refused for good, see `reason`.
    Refused,
    /// It was given up, see `reason`.
    GivenUp,
    /// It was left: the instance is terminating, and the termination hook counts.
    Left,
}

berth_config::read_as_word!(TransitionName, HookResultName, HookState);

impl HookState {
    /// The word that JSON and metrics have.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// `completed CONTINUE`, `refused: …`: for people.
impl fmt::Display for HookView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.reason.as_deref().unwrap_or_default();
        let instance = self.instance_state.as_deref().unwrap_or_default();
        match self.state {
            HookState::Finding => f.write_str("looking up the group"),
            HookState::WaitingForApp => waiting(f, "app", reason),
            HookState::WaitingForLoadBalancer => waiting(f, "load balancer", reason),
            HookState::Held => write!(f, "kept from expiring; {reason}"),
            HookState::Completing => f.write_str("completing"),
            HookState::NotActiveYet => f.write_str("not active yet"),
            HookState::Refusing => write!(f, "refused, asking the group for the instance's state: {reason}"),
            HookState::Completed => match self.result {
                Some(HookResultName::Abandon) => f.write_str("completed ABANDON"),
                Some(HookResultName::Continue) | None => f.write_str("completed CONTINUE"),
            },
            HookState::OutsideAnyGroup => f.write_str("in no group"),
            HookState::NoHook => f.write_str("no such hook"),
            HookState::NotNamed => {
                f.write_str("one of several, and berth completes none: set lifecycle.terminate_hook")
            }
            HookState::NothingToComplete => write!(f, "nothing to complete, the instance is {instance}"),
            HookState::Expired => write!(f, "expired, the instance is {instance}"),
            HookState::Refused => write!(f, "refused: {reason}"),
            HookState::GivenUp => write!(f, "given up: {reason}"),
            HookState::Left => f.write_str("given up: the instance is terminating"),
        }
    }
}

fn waiting(f: &mut fmt::Formatter<'_>, for_what: &str, refusal: &str) -> fmt::Result {
    write!(f, "waiting for the {for_what}")?;
    if refusal.is_empty() { Ok(()) } else { write!(f, "; heartbeats are refused: {refusal}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(transition: TransitionName, state: HookState) -> HookView {
        HookView { transition, state, ..HookView::default() }
    }

    #[test]
    fn the_hooks_of_the_termination_take_the_place_of_those_of_the_launch() {
        use HookState::{Completed, Completing, Finding, NotNamed, WaitingForApp};
        use TransitionName::{Launch, Termination};
        let current = |hooks: &[(TransitionName, HookState)]| {
            let hooks = hooks.iter().map(|(transition, state)| hook(*transition, *state)).collect();
            let view = LifecycleView { hooks, ..LifecycleView::default() };
            view.current().map(|hook| (hook.transition, hook.state)).collect::<Vec<_>>()
        };
        assert_eq!(current(&[]), []);
        assert_eq!(current(&[(Launch, WaitingForApp)]), [(Launch, WaitingForApp)]);
        let drain = [(Launch, Completed), (Termination, Completed), (Termination, Completing)];
        assert_eq!(current(&drain), drain[1..]);
        // Several of which the config names none are shown beside any other, as they need the config to be mended.
        let boot = [(Launch, Finding), (Termination, NotNamed), (Termination, NotNamed)];
        assert_eq!(current(&boot), boot);
        assert_eq!(current(&boot[1..]), boot[1..]);
    }

    #[test]
    fn a_hook_that_waits_for_the_app_says_whether_its_heartbeats_are_refused() {
        let waiting = hook(TransitionName::Launch, HookState::WaitingForApp);
        assert_eq!(waiting.to_string(), "waiting for the app");
        let refused = HookView { reason: Some("AccessDenied".into()), ..waiting };
        assert_eq!(refused.to_string(), "waiting for the app; heartbeats are refused: AccessDenied");
    }
}
