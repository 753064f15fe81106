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
/// Several launch hooks are an error: the boot waits to complete one of them. Several termination hooks are logged and none is used: the boot does not
/// need one, and a drain without it ends at the hook's timeout.
pub async fn hooks(aws: &Aws, found: AutoScalingGroup, named: ConfiguredNames) -> Result<Membership, JobError> {
    let AutoScalingGroup { group, state } = found;
    let hooks = match (&named.launch_hook, &named.terminate_hook) {
        (Some(_), Some(_)) => Vec::new(),
        (launch_hook, _) => match autoscaling::hooks(aws, &group).await {
            Ok(hooks) => hooks,
            // A config that names the launch hook has what the boot needs, and the role may not allow this call.
            Err(error) if launch_hook.is_some() && !error.class().is_transient() => {
                tracing::warn!(%error, "cannot find the termination hook: name it with lifecycle.terminate_hook");
                Vec::new()
            }
            Err(error) => return Err(error.into()),
        },
    };
    let launch_hook = choose(&hooks, Transition::Launching, named.launch_hook).map_err(|[first, second]| {
        let error = SeveralLaunchHooks { group: group.clone(), first, second };
        JobError::from_error(error.class(), &error)
    })?;
    let terminate_hook =
        choose(&hooks, Transition::Terminating, named.terminate_hook).unwrap_or_else(|[first, second]| {
            tracing::warn!(
                "the group {group} has several termination hooks ({first}, {second}, …), and berth completes none of them: name \
                 one with lifecycle.terminate_hook"
            );
            None
        });
    Ok(Membership { group, launch_hook, terminate_hook, state })
}

/// The hook of that name, else the only one of that transition; two of several if nothing says which.
fn choose(
    hooks: &[GroupHook],
    transition: Transition,
    named: Option<String>,
) -> Result<Option<LifecycleHook>, [String; 2]> {
    let mut of_it = hooks.iter().filter(|hook| hook.transition == transition);
    if let Some(name) = named {
        let timeout = of_it.find(|hook| hook.name == name).and_then(|hook| hook.timeout);
        return Ok(Some(LifecycleHook { name, timeout }));
    }
    match (of_it.next(), of_it.next()) {
        (Some(first), Some(second)) => Err([first.name.clone(), second.name.clone()]),
        (first, _) => Ok(first.map(|hook| LifecycleHook { name: hook.name.clone(), timeout: hook.timeout })),
    }
}
