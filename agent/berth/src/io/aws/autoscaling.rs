//! EC2 Auto Scaling: the group of this instance, its hooks, and the three calls that change something.

use std::time::Duration;

use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::{Instance, LifecycleHook};
use berth_core::message::group::{HookName, HookResult, Transition};
use berth_core::message::target::GroupFacts;

use crate::io::aws::client::Aws;
use crate::io::aws::error::AwsError;
use crate::io::aws::service::{Operation, Service};

pub(crate) const DESCRIBE_INSTANCES: Operation = Service::AutoScaling.operation("DescribeAutoScalingInstances");
pub(crate) const DESCRIBE_HOOKS: Operation = Service::AutoScaling.operation("DescribeLifecycleHooks");
pub(crate) const DESCRIBE_GROUPS: Operation = Service::AutoScaling.operation("DescribeAutoScalingGroups");
pub(crate) const COMPLETE: Operation = Service::AutoScaling.operation("CompleteLifecycleAction");
pub(crate) const HEARTBEAT: Operation = Service::AutoScaling.operation("RecordLifecycleActionHeartbeat");
pub(crate) const SET_HEALTH: Operation = Service::AutoScaling.operation("SetInstanceHealth");

/// This instance in its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInstance {
    /// The group's name.
    pub group: String,
    /// `Pending:Wait`, `InService`, …
    pub lifecycle_state: String,
}

/// A hook of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupHook {
    /// Its name.
    pub name: String,
    /// When it holds an instance.
    pub transition: Transition,
    /// `HeartbeatTimeout`
    pub timeout: Option<Duration>,
}

/// The result of a heartbeat or a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookAnswer {
    /// It is recorded.
    Done,
    /// `No active Lifecycle Action found`: not yet, no more, or never; the machine knows which.
    NotActive,
}

/// This instance's group, none if it is in no group.
pub async fn describe_instance(aws: &Aws, instance_id: &str) -> Result<Option<GroupInstance>, AwsError> {
    let answer = aws.call(DESCRIBE_INSTANCES, None, |config| {
        Client::new(config).describe_auto_scaling_instances().instance_ids(instance_id).send()
    });
    let unreadable = AwsError::Unreadable { operation: DESCRIBE_INSTANCES };
    // An empty list means that it is in no group; a response without a list is unreadable.
    let Some(instances) = answer.await?.auto_scaling_instances else { return Err(unreadable) };
    let Some(instance) = instances.into_iter().find(|instance| instance.instance_id() == Some(instance_id)) else {
        return Ok(None);
    };
    match (instance.auto_scaling_group_name, instance.lifecycle_state) {
        (Some(group), Some(lifecycle_state)) => Ok(Some(GroupInstance { group, lifecycle_state })),
        _ => Err(unreadable),
    }
}

/// The target groups that a group attaches by itself, and which of its instances are being launched. One that does not exist has none.
pub async fn describe_group(aws: &Aws, group: &str, instance_id: &str) -> Result<GroupFacts, AwsError> {
    let answer = aws.call(DESCRIBE_GROUPS, None, |config| {
        Client::new(config).describe_auto_scaling_groups().auto_scaling_group_names(group).send()
    });
    let groups = answer.await?.auto_scaling_groups.ok_or(AwsError::Unreadable { operation: DESCRIBE_GROUPS })?;
    let Some(found) = groups.into_iter().find(|one| one.auto_scaling_group_name() == Some(group)) else {
        return Ok(GroupFacts::default());
    };
    let sources = found.traffic_sources().iter().filter_map(|source| source.identifier.clone());
    let mut target_groups: Vec<_> = found.target_group_arns().iter().cloned().chain(sources).collect();
    target_groups.sort();
    target_groups.dedup();
    let is_launching =
        |instance: &&Instance| instance.lifecycle_state().is_some_and(|state| state.as_str().starts_with("Pending"));
    let launching = found.instances().iter().filter(is_launching);
    let count = |instances: usize| u32::try_from(instances).unwrap_or(u32::MAX);
    let before = launching.clone().filter(|one| one.instance_id() < Some(instance_id)).count();
    Ok(GroupFacts { target_groups, launching: count(launching.count()), before: count(before) })
}

/// The instances of a group that are in service; none if there is no such group.
pub async fn in_service(aws: &Aws, group: &str) -> Result<Option<Vec<String>>, AwsError> {
    let answer = aws.call(DESCRIBE_GROUPS, None, |config| {
        Client::new(config).describe_auto_scaling_groups().auto_scaling_group_names(group).send()
    });
    let groups = answer.await?.auto_scaling_groups.ok_or(AwsError::Unreadable { operation: DESCRIBE_GROUPS })?;
    let found = groups.into_iter().find(|one| one.auto_scaling_group_name() == Some(group));
    let serves = |instance: &&Instance| instance.lifecycle_state().is_some_and(|state| state.as_str() == "InService");
    let ids = |instances: &[Instance]| {
        instances.iter().filter(serves).filter_map(|one| one.instance_id().map(str::to_owned)).collect()
    };
    Ok(found.map(|group| ids(group.instances())))
}

/// `HealthCheckType` of a group: `EC2`, `ELB`, …, or several with commas; none if there is no such group.
pub async fn health_check_type(aws: &Aws, group: &str) -> Result<Option<String>, AwsError> {
    let answer = aws.call(DESCRIBE_GROUPS, None, |config| {
        Client::new(config).describe_auto_scaling_groups().auto_scaling_group_names(group).send()
    });
    let groups = answer.await?.auto_scaling_groups.ok_or(AwsError::Unreadable { operation: DESCRIBE_GROUPS })?;
    let found = groups.into_iter().find(|one| one.auto_scaling_group_name() == Some(group));
    Ok(found.and_then(|group| group.health_check_type))
}

/// All hooks of a group, in the order returned.
pub async fn hooks(aws: &Aws, group: &str) -> Result<Vec<GroupHook>, AwsError> {
    let answer = aws.call(DESCRIBE_HOOKS, None, |config| {
        Client::new(config).describe_lifecycle_hooks().auto_scaling_group_name(group).send()
    });
    let hooks = answer.await?.lifecycle_hooks.ok_or(AwsError::Unreadable { operation: DESCRIBE_HOOKS })?;
    let hook = |hook: LifecycleHook| {
        Some(GroupHook {
            name: hook.lifecycle_hook_name?,
            transition: match hook.lifecycle_transition.as_deref() {
                Some("autoscaling:EC2_INSTANCE_LAUNCHING") => Transition::Launching,
                Some("autoscaling:EC2_INSTANCE_TERMINATING") => Transition::Terminating,
                _ => return None, // a transition that AWS does not document
            },
            timeout: hook.heartbeat_timeout.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs),
        })
    };
    Ok(hooks.into_iter().filter_map(hook).collect())
}

/// Completes a hook.
pub async fn complete(
    aws: &Aws,
    hook: &HookName,
    instance_id: &str,
    result: HookResult,
) -> Result<HookAnswer, AwsError> {
    let completed = aws.call(COMPLETE, None, |config| {
        let request = Client::new(config).complete_lifecycle_action().instance_id(instance_id);
        let request = request.auto_scaling_group_name(&hook.group).lifecycle_hook_name(&hook.hook);
        request.lifecycle_action_result(result.word()).send()
    });
    answer(completed.await.map(drop))
}

/// Restarts a hook's timer.
pub async fn heartbeat(aws: &Aws, hook: &HookName, instance_id: &str) -> Result<HookAnswer, AwsError> {
    let recorded = aws.call(HEARTBEAT, None, |config| {
        let request = Client::new(config).record_lifecycle_action_heartbeat().instance_id(instance_id);
        request.auto_scaling_group_name(&hook.group).lifecycle_hook_name(&hook.hook).send()
    });
    answer(recorded.await.map(drop))
}

/// Marks this instance unhealthy, so that the group replaces it at once, without a grace period.
pub async fn set_unhealthy(aws: &Aws, instance_id: &str) -> Result<(), AwsError> {
    let set = aws.call(SET_HEALTH, None, |config| {
        let request = Client::new(config).set_instance_health().instance_id(instance_id);
        request.health_status("Unhealthy").should_respect_grace_period(false).send()
    });
    set.await.map(drop)
}

/// The API has no error code of its own for a hook that is not active, only this message (`… found with instance ID i-…`).
fn answer(result: Result<(), AwsError>) -> Result<HookAnswer, AwsError> {
    match result {
        Ok(()) => Ok(HookAnswer::Done),
        Err(error)
            if error.code() == Some("ValidationError")
                && error.message().is_some_and(|text| text.contains("No active Lifecycle Action found")) =>
        {
            Ok(HookAnswer::NotActive)
        }
        Err(error) => Err(error),
    }
}
