//! Which group this instance is in, and which of its hooks are berth's: what the config does not name is asked for.

use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::group::{LifecycleHook, Membership, Transition};

use crate::io::aws::autoscaling::{self, GroupHook};
use crate::io::aws::client::Aws;

/// What the config names.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// `lifecycle.group`
    pub group: Option<String>,
    /// `lifecycle.launch_hook`
    pub launch_hook: Option<String>,
    /// `lifecycle.terminate_hook`
    pub terminate_hook: Option<String>,
}

/// The group of an instance, and the lifecycle state if the group was asked.
#[derive(Clone, Debug)]
pub struct Place {
    group: String,
    state: Option<String>,
}

/// Several launch hooks, and nothing that says which is berth's.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "the group {group} has several launch hooks ({first}, {second}, …): say which is berth's with lifecycle.launch_hook"
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
pub async fn find(aws: &Aws, instance_id: &str, named: Named) -> Result<Option<Membership>, JobError> {
    match place(aws, instance_id, &named).await? {
        Some(place) => hooks(aws, place, named).await.map(Some),
        None => Ok(None),
    }
}

/// Finds the group, none outside any group.
pub async fn place(aws: &Aws, instance_id: &str, named: &Named) -> Result<Option<Place>, JobError> {
    if let Some(group) = named.group.clone() {
        return Ok(Some(Place { group, state: None }));
    }
    let found = autoscaling::describe_instance(aws, instance_id).await?;
    Ok(found.map(|instance| Place { group: instance.group, state: Some(instance.lifecycle_state) }))
}

/// Finds the group's hooks.
///
/// Several launch hooks are an error: the boot waits to complete one of them. Several termination hooks are told in the log and
/// none is taken: the boot does not need one, and a drain without it ends when the hook's time does.
pub async fn hooks(aws: &Aws, place: Place, named: Named) -> Result<Membership, JobError> {
    let Place { group, state } = place;
    let hooks = match (&named.launch_hook, &named.terminate_hook) {
        (Some(_), Some(_)) => Vec::new(),
        (launch_hook, _) => match autoscaling::hooks(aws, &group).await {
            Ok(hooks) => hooks,
            // Whoever named the launch hook may not have allowed this call, and has what the boot needs.
            Err(error) if launch_hook.is_some() && !error.class().is_transient() => {
                tracing::warn!(%error, "the termination hook is not known: name it with lifecycle.terminate_hook");
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
                "the group {group} has several termination hooks ({first}, {second}, …), and berth completes none of them: say \
                 which is berth's with lifecycle.terminate_hook"
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
