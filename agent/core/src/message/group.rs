//! The Auto Scaling group as the agent sees it: its lifecycle hooks, and the two results that one can be completed with.

use std::fmt;
use std::time::Duration;

/// A lifecycle hook by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookName {
    /// The Auto Scaling group.
    pub group: String,
    /// The hook.
    pub hook: String,
}

/// The two results that a hook can be completed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookResult {
    /// `CONTINUE`
    Continue,
    /// `ABANDON`
    Abandon,
}

impl HookResult {
    /// AWS's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Continue => "CONTINUE",
            Self::Abandon => "ABANDON",
        }
    }
}

/// The two transitions of an instance that a lifecycle hook can hold up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// `autoscaling:EC2_INSTANCE_LAUNCHING`
    Launching,
    /// `autoscaling:EC2_INSTANCE_TERMINATING`
    Terminating,
}

/// What was found of the group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The Auto Scaling group.
    pub group: String,
    /// The launch hook, if the group has one.
    pub launch_hook: Option<LifecycleHook>,
    /// The termination hook, if the group has one, or the config names one of several.
    pub terminate_hook: Option<LifecycleHook>,
    /// The names of several termination hooks of which the config names none: berth completes none of them.
    pub unnamed_terminate_hooks: Vec<String>,
    /// Why the termination hook could not be looked up. A boot does not need it.
    pub terminate_hook_error: Option<String>,
    /// The lifecycle state, if the group was asked.
    pub state: Option<String>,
}

/// A lifecycle hook of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleHook {
    /// Its name.
    pub name: String,
    /// Its heartbeat timeout, if known.
    pub timeout: Option<Duration>,
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.launch_hook {
            Some(hook) => write!(f, "{}, launch hook {}", self.group, hook.name)?,
            None => write!(f, "{}, no launch hook", self.group)?,
        }
        if !self.unnamed_terminate_hooks.is_empty() {
            let names = self.unnamed_terminate_hooks.join(", ");
            write!(
                f,
                ", several termination hooks ({names}), and berth completes none: set lifecycle.terminate_hook to one"
            )?;
        }
        match &self.terminate_hook_error {
            Some(error) => write!(f, "; the termination hook was not found, set lifecycle.terminate_hook: {error}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for HookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.hook)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_of_the_group_names_its_hooks_and_what_is_wrong_with_them() {
        let hook = |name: &str| Some(LifecycleHook { name: name.into(), timeout: None });
        let web = Membership { group: "web".into(), ..Membership::default() };
        assert_eq!(web.to_string(), "web, no launch hook");
        let both = Membership { launch_hook: hook("boot"), terminate_hook: hook("leave"), ..web.clone() };
        assert_eq!(both.to_string(), "web, launch hook boot");
        let several = Membership { unnamed_terminate_hooks: vec!["backup".into(), "deregister".into()], ..web.clone() };
        assert_eq!(
            several.to_string(),
            "web, no launch hook, several termination hooks (backup, deregister), and berth completes none: set \
             lifecycle.terminate_hook to one"
        );
        let denied = Membership { terminate_hook_error: Some("AccessDenied".into()), ..web };
        assert_eq!(
            denied.to_string(),
            "web, no launch hook; the termination hook was not found, set lifecycle.terminate_hook: AccessDenied"
        );
    }
}
