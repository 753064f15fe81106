//! Elastic Load Balancing: the targets of this instance in its target groups.
//!
//! A target group is asked in its own region, which its ARN names.

use std::time::Duration;

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{TargetDescription, TargetHealthDescription};
use berth_config::Arn;
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::target::{Target, TargetHealth, TargetHealthState};

use crate::io::aws::client::Aws;
use crate::io::aws::error::AwsError;
use crate::io::aws::service::{Operation, Service};

pub(crate) const REGISTER: Operation = Service::LoadBalancing.operation("RegisterTargets");
pub(crate) const DEREGISTER: Operation = Service::LoadBalancing.operation("DeregisterTargets");
pub(crate) const DESCRIBE_HEALTH: Operation = Service::LoadBalancing.operation("DescribeTargetHealth");
pub(crate) const DESCRIBE_ATTRIBUTES: Operation = Service::LoadBalancing.operation("DescribeTargetGroupAttributes");

/// Errors of a registration that pass: the instance is not `running` yet, or other targets are still to be deregistered (API reference,
/// RegisterTargets).
const PASSING: [&str; 3] = ["InvalidTarget", "TooManyTargets", "TooManyRegistrationsForTargetId"];

/// What a target that was never registered, or whose target group is gone, answers to a deregistration.
const NOT_THERE: [&str; 2] = ["InvalidTarget", "TargetGroupNotFound"];

/// Registers this instance. It does no harm to do so again.
pub async fn register(aws: &Aws, target: &Target, instance_id: &str) -> Result<(), JobError> {
    let answer = aws.call(REGISTER, region(&target.target_group), |config| {
        let request = Client::new(config).register_targets().target_group_arn(&target.target_group);
        request.targets(describe(instance_id, target.port)).send()
    });
    answer.await.map(drop).map_err(|error| {
        let passes = error.code().is_some_and(|code| PASSING.contains(&code));
        let error = JobError::from(error);
        if passes { JobError { class: ErrorClass::Transient, ..error } } else { error }
    })
}

/// Deregisters this instance. One that is not registered is none any more.
pub async fn deregister(aws: &Aws, target: &Target, instance_id: &str) -> Result<(), AwsError> {
    let answer = aws.call(DEREGISTER, region(&target.target_group), |config| {
        let request = Client::new(config).deregister_targets().target_group_arn(&target.target_group);
        request.targets(describe(instance_id, target.port)).send()
    });
    match answer.await {
        Err(error) if !error.code().is_some_and(|code| NOT_THERE.contains(&code)) => Err(error),
        _ => Ok(()),
    }
}

/// What the load balancer says of this instance's targets on these ports; nothing of a port that it does not mention.
pub async fn health(
    aws: &Aws,
    target_group: &str,
    instance_id: &str,
    ports: &[u16],
) -> Result<Vec<(u16, TargetHealth)>, AwsError> {
    let targets = ports.iter().map(|port| describe(instance_id, *port)).collect();
    let described = describe_health(aws, target_group, Some(targets)).await?;
    let own = described.into_iter().filter(|one| one.target().and_then(TargetDescription::id) == Some(instance_id));
    Ok(own.filter_map(health_of).collect())
}

/// What the load balancer says of every target of a target group: the instance, its port, and how it is.
pub async fn all_targets(aws: &Aws, target_group: &str) -> Result<Vec<(String, u16, TargetHealth)>, AwsError> {
    let described = describe_health(aws, target_group, None).await?;
    let named = described.into_iter().filter_map(|one| Some((one.target()?.id()?.to_owned(), health_of(one)?)));
    Ok(named.map(|(id, (port, health))| (id, port, health)).collect())
}

async fn describe_health(
    aws: &Aws,
    target_group: &str,
    targets: Option<Vec<TargetDescription>>,
) -> Result<Vec<TargetHealthDescription>, AwsError> {
    let answer = aws.call(DESCRIBE_HEALTH, region(target_group), |config| {
        let request = Client::new(config).describe_target_health().target_group_arn(target_group);
        request.set_targets(targets).send()
    });
    answer.await?.target_health_descriptions.ok_or(AwsError::Unreadable { operation: DESCRIBE_HEALTH })
}

/// The deregistration delay of a target group.
pub async fn delay(aws: &Aws, target_group: &str) -> Result<Duration, AwsError> {
    let answer = aws.call(DESCRIBE_ATTRIBUTES, region(target_group), |config| {
        Client::new(config).describe_target_group_attributes().target_group_arn(target_group).send()
    });
    let attributes = answer.await?.attributes.unwrap_or_default();
    let delay = attributes.into_iter().find(|one| one.key() == Some("deregistration_delay.timeout_seconds"));
    let seconds = delay.and_then(|one| one.value?.parse().ok());
    seconds.map(Duration::from_secs).ok_or(AwsError::Unreadable { operation: DESCRIBE_ATTRIBUTES })
}

fn describe(instance_id: &str, port: u16) -> TargetDescription {
    TargetDescription::builder().id(instance_id).port(port.into()).build()
}

fn health_of(described: TargetHealthDescription) -> Option<(u16, TargetHealth)> {
    let port = u16::try_from(described.target?.port?).ok()?;
    let health = described.target_health?;
    let shift = described.administrative_override.and_then(|one| one.state);
    let health = TargetHealth {
        state: TargetHealthState::from_word(health.state?.as_str()),
        reason: health.reason.map(|reason| reason.as_str().to_owned()),
        description: health.description,
        is_shifted: shift.is_some_and(|state| state.as_str() == "zonal_shift_active"),
    };
    Some((port, health))
}

/// The region that the ARN names.
fn region(target_group: &str) -> Option<&str> {
    Arn::parse(target_group).map(|arn| arn.region)
}
