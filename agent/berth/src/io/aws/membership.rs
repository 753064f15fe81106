//! The group of this instance, and the hooks that berth completes: what the config does not name is looked up.

use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::group::{LifecycleHook, Membership, Transition};

use crate::io::aws::autoscaling::{self, GroupHook};
use crate::io::aws::client::Aws;

/// The names in the config.
#[derive(Clone, Debug, Default)]
pub struct ConfiguredNames {
    /// `lifecycle.group`
    pub group: Option<String>,
    /// `lifecycle.launch_hook`
    pub launch_hook: Option<String>,
    /// `lifecycle.terminate_hook`
    pub terminate_hook: Option<String>,
}

/// The group of an instance, and its lifecycle state if Auto Scaling was asked.
#[derive(Clone, Debug)]
pub struct AutoScalingGroup {
    group: String,
    state: Option<String>,
}

/// Several launch hooks, of which the config names none.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "the group {group} has several launch hooks ({first}, {second}, …): name the one that berth completes with lifecycle.launch_hook"
)]
pub struct SeveralLaunchHooks {
    /// The group.
    pub group: String,
    /// One of them.
    pub first: String,
    /// Another one.
    pub second: String,
}

impl SeveralLaunchHooks {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Misconfigured
    }
}

/// Finds the group and its hooks, none outside any group. A config that names all three costs no call.
pub async fn find(aws: &Aws, instance_id: &str, named: ConfiguredNames) -> Result<Option<Membership>, JobError> {
    match find_group(aws, instance_id, &named).await? {
        Some(group) => hooks(aws, group, named).await.map(Some),
        None => Ok(None),
    }
}

/// Finds the group, none outside any group.
pub async fn find_group(
    aws: &Aws,
    instance_id: &str,
    named: &ConfiguredNames,
) -> Result<Option<AutoScalingGroup>, JobError> {
    if let Some(group) = named.group.clone() {
        return Ok(Some(AutoScalingGroup { group, state: None }));
    }
    let found = autoscaling::describe_instance(aws, instance_id).await?;
    Ok(found.map(|instance| AutoScalingGroup { group: instance.group, state: Some(instance.lifecycle_state) }))
}

/// Finds the group's hooks.
///
/// Several launch hooks are an error: the boot waits to complete one of them. Several termination hooks are reported and none is used: the boot does
/// not need one, and a drain without it ends at the hook's timeout.
pub async fn hooks(aws: &Aws, found: AutoScalingGroup, named: ConfiguredNames) -> Result<Membership, JobError> {
    let AutoScalingGroup { group, state } = found;
    let mut terminate_hook_error = None;
    let hooks = match (&named.launch_hook, &named.terminate_hook) {
        (Some(_), Some(_)) => Vec::new(),
        (launch_hook, _) => match autoscaling::hooks(aws, &group).await {
            Ok(hooks) => hooks,
            // A config that names the launch hook has what the boot needs, and the role may not allow this call.
            Err(error) if launch_hook.is_some() && !error.class().is_transient() => {
                terminate_hook_error = Some(JobError::from(error).reason);
                Vec::new()
            }
            Err(error) => return Err(error.into()),
        },
    };
    let launch_hook = choose(&hooks, Transition::Launching, named.launch_hook).map_err(|names| {
        let [first, second] = [0, 1].map(|at| names.get(at).cloned().unwrap_or_default());
        let error = SeveralLaunchHooks { group: group.clone(), first, second };
        JobError::from_error(error.class(), &error)
    })?;
    let (terminate_hook, unnamed_terminate_hooks) = match choose(&hooks, Transition::Terminating, named.terminate_hook)
    {
        Ok(hook) => (hook, Vec::new()),
        Err(names) => (None, names),
    };
    Ok(Membership { group, launch_hook, terminate_hook, unnamed_terminate_hooks, terminate_hook_error, state })
}

/// The hook of that name, else the only one of that transition; the names of several if the config names none.
fn choose(
    hooks: &[GroupHook],
    transition: Transition,
    named: Option<String>,
) -> Result<Option<LifecycleHook>, Vec<String>> {
    let of_it = || hooks.iter().filter(|hook| hook.transition == transition);
    if let Some(name) = named {
        let timeout = of_it().find(|hook| hook.name == name).and_then(|hook| hook.timeout);
        return Ok(Some(LifecycleHook { name, timeout }));
    }
    match of_it().collect::<Vec<_>>().as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(LifecycleHook { name: one.name.clone(), timeout: one.timeout })),
        several => Err(several.iter().map(|hook| hook.name.clone()).collect()),
    }
}
