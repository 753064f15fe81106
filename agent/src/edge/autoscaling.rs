//! EC2 Auto Scaling: which group this instance is in, its hooks, and the three things it says to it.

use std::time::Duration;

use super::aws::{Aws, AwsError, Operation, Service};
use crate::effect::{HookName, HookResult};

pub(crate) const DESCRIBE_INSTANCES: Operation = Service::AutoScaling.operation("DescribeAutoScalingInstances");
pub(crate) const DESCRIBE_HOOKS: Operation = Service::AutoScaling.operation("DescribeLifecycleHooks");
pub(crate) const COMPLETE: Operation = Service::AutoScaling.operation("CompleteLifecycleAction");
pub(crate) const HEARTBEAT: Operation = Service::AutoScaling.operation("RecordLifecycleActionHeartbeat");
pub(crate) const SET_HEALTH: Operation = Service::AutoScaling.operation("SetInstanceHealth");

/// This instance as its group sees it.
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

/// When a hook holds an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// `autoscaling:EC2_INSTANCE_LAUNCHING`
    Launching,
    /// `autoscaling:EC2_INSTANCE_TERMINATING`
    Terminating,
    /// One that this version does not know.
    Other,
}

/// What the group answers to a heartbeat or a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is recorded.
    Done,
    /// `No active Lifecycle Action found`: not yet, no more, or never; the machine knows which.
    NotActive,
}

/// This instance's group, none if it is in no group.
pub async fn describe_instance(aws: &Aws, instance_id: &str) -> Result<Option<GroupInstance>, AwsError> {
    let answer = aws.query_call(DESCRIBE_INSTANCES, &[("InstanceIds.member.1", instance_id)]).await?;
    let mut instances = answer.members("AutoScalingInstances");
    let Some(instance) = instances.find(|instance| instance.text_of("InstanceId") == Some(instance_id)) else {
        // The list alone says that it is in no group; without a list this is no answer.
        return match answer.find("AutoScalingInstances") {
            Some(_) => Ok(None),
            None => Err(AwsError::Unreadable { operation: DESCRIBE_INSTANCES }),
        };
    };
    let text = |name| instance.text_of(name).map(str::to_owned);
    match (text("AutoScalingGroupName"), text("LifecycleState")) {
        (Some(group), Some(lifecycle_state)) => Ok(Some(GroupInstance { group, lifecycle_state })),
        _ => Err(AwsError::Unreadable { operation: DESCRIBE_INSTANCES }),
    }
}

/// All hooks of a group, in the order told.
pub async fn hooks(aws: &Aws, group: &str) -> Result<Vec<GroupHook>, AwsError> {
    let answer = aws.query_call(DESCRIBE_HOOKS, &[("AutoScalingGroupName", group)]).await?;
    answer.find("LifecycleHooks").ok_or(AwsError::Unreadable { operation: DESCRIBE_HOOKS })?;
    let hook = |hook: &super::aws::xml::Element| {
        Some(GroupHook {
            name: hook.text_of("LifecycleHookName")?.to_owned(),
            transition: match hook.text_of("LifecycleTransition") {
                Some("autoscaling:EC2_INSTANCE_LAUNCHING") => Transition::Launching,
                Some("autoscaling:EC2_INSTANCE_TERMINATING") => Transition::Terminating,
                _ => Transition::Other,
            },
            timeout: hook.text_of("HeartbeatTimeout").and_then(|text| text.parse().ok()).map(Duration::from_secs),
        })
    };
    Ok(answer.members("LifecycleHooks").filter_map(hook).collect())
}

/// Completes a hook.
pub async fn complete(aws: &Aws, hook: &HookName, instance_id: &str, result: HookResult) -> Result<Answer, AwsError> {
    let parameters = [
        ("AutoScalingGroupName", hook.group.as_str()),
        ("LifecycleHookName", &hook.hook),
        ("InstanceId", instance_id),
        ("LifecycleActionResult", result.word()),
    ];
    answer(aws.query_call(COMPLETE, &parameters).await.map(drop))
}

/// Restarts a hook's timer.
pub async fn heartbeat(aws: &Aws, hook: &HookName, instance_id: &str) -> Result<Answer, AwsError> {
    let parameters =
        [("AutoScalingGroupName", hook.group.as_str()), ("LifecycleHookName", &hook.hook), ("InstanceId", instance_id)];
    answer(aws.query_call(HEARTBEAT, &parameters).await.map(drop))
}

/// Has the group replace this instance at once, whatever its grace period.
pub async fn set_unhealthy(aws: &Aws, instance_id: &str) -> Result<(), AwsError> {
    let parameters =
        [("InstanceId", instance_id), ("HealthStatus", "Unhealthy"), ("ShouldRespectGracePeriod", "false")];
    aws.query_call(SET_HEALTH, &parameters).await.map(drop)
}

/// The API has no error of its own for it, only this text (`… found with instance ID i-…`).
fn answer(result: Result<(), AwsError>) -> Result<Answer, AwsError> {
    match result {
        Ok(()) => Ok(Answer::Done),
        Err(error)
            if error.code() == Some("ValidationError")
                && error.message().is_some_and(|text| text.contains("No active Lifecycle Action found")) =>
        {
            Ok(Answer::NotActive)
        }
        Err(error) => Err(error),
    }
}
