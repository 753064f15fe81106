//! The target groups that this instance registers itself with: every question that its agent asks. Registering is not tried.

use std::collections::BTreeMap;

use berth_config::{Config, Port, TargetGroup, duration_text};
use berth_core::message::error::JobError;
use berth_core::message::target::{Target, TargetHealth, TargetHealthState};

use super::report::{Finding, Verdict};
use super::within;
use crate::commands::policy::Policy;
use crate::io::aws::{Aws, AwsError, autoscaling, load_balancing};

const NAME: &str = "target";

/// What each question needs, and what its answer is compared with.
pub struct Question<'a> {
    /// Asks.
    pub aws: &'a Aws,
    /// This instance.
    pub instance_id: &'a str,
    /// Its Auto Scaling group, if it has one.
    pub group: Option<&'a str>,
    /// Its policy.
    pub policy: &'a Policy,
}

impl Question<'_> {
    /// Every target group of the config, and the two calls that are not tried.
    pub async fn examine(&self, config: &Config) -> Vec<Finding> {
        let groups: BTreeMap<&str, &TargetGroup> =
            config.target_groups.iter().map(|group| (group.arn.as_str(), group)).collect();
        if groups.is_empty() {
            return Vec::new();
        }
        let (attached, mut checks) = match self.attached().await {
            Ok(attached) => (attached, Vec::new()),
            Err(check) => (Vec::new(), vec![check]),
        };
        let (left, own): (Vec<_>, Vec<_>) = groups.into_values().partition(|group| attached.contains(&group.arn));
        checks.extend(left.into_iter().map(|group| self.left_to_the_group(config, group)));
        let is_registered = !own.is_empty();
        checks.extend(futures_util::future::join_all(own.into_iter().map(|group| self.one(group))).await);
        if is_registered {
            let found = "registering this instance and deregistering it are not tried: that would do them";
            let untried = Finding { verdict: Verdict::Untried, ..Finding::ok(NAME, found) };
            let advice = Some("see that the role's policy allows it:".to_owned());
            checks.push(Finding { advice, ..untried }.allowing(self.allowing("RegisterTargets")));
        }
        checks
    }

    /// The target groups that the Auto Scaling group attaches itself. A boot that may not ask goes on without.
    async fn attached(&self) -> Result<Vec<String>, Finding> {
        let Some(group) = self.group else { return Ok(Vec::new()) };
        let described = within(autoscaling::describe_group(self.aws, group, self.instance_id)).await;
        let described = described.ok_or_else(|| super::no_answer(NAME, "autoscaling"))?;
        described.map(|facts| facts.target_groups).map_err(|error| {
            let error = JobError::from(error);
            let statement = self.policy.allowing("autoscaling:DescribeAutoScalingGroups");
            dispensable(Finding::refused(NAME, "", &error, statement), &error)
        })
    }

    fn left_to_the_group(&self, config: &Config, group: &TargetGroup) -> Finding {
        let attaches =
            format!("{}: the Auto Scaling group {} attaches it itself", group.name(), self.group.unwrap_or_default());
        let is_open = |port: &Port| port.is_open() && Some(port.container) == config.target_port(group);
        if config.ports.iter().any(is_open) {
            let found = format!(
                "{attaches} and registers every instance on its one port, and `port` leaves the host port open"
            );
            return Finding::fail(NAME, found, "detach it from the group, or give `port` a host port");
        }
        let advice = "take it out of `target_groups`, or detach it from the group";
        Finding::warn(NAME, format!("{attaches}, so berth leaves it to the group"), advice)
    }

    async fn one(&self, group: &TargetGroup) -> Finding {
        let name = group.name();
        if let (Some(there), Some(here)) = (group.region(), self.aws.region())
            && there != here
        {
            return Finding::fail(
                NAME,
                format!("{name} is in {there}, and this instance is in {here}"),
                "a target group takes the instances of its own VPC: name one of this region in `target_groups`",
            );
        }
        let (targets, delay) = futures_util::join!(
            within(load_balancing::all_targets(self.aws, &group.arn)),
            within(load_balancing::delay(self.aws, &group.arn)),
        );
        let no_answer = || super::no_answer(NAME, "elasticloadbalancing");
        let targets = match targets {
            None => return no_answer(),
            Some(Err(error)) => return self.refused(group, "DescribeTargetHealth", error),
            Some(Ok(targets)) => targets,
        };
        if let Some((id, port, health)) = why_none_is_healthy(&targets) {
            let target = Target { target_group: group.arn.clone(), port: *port };
            return Finding::warn(
                NAME,
                format!("{name}: no target of it is healthy, {id} as {target} is {health}"),
                "if that holds for this instance too, its boot fails after `target.timeout`: correct it first",
            );
        }
        let delay = match delay {
            None => return no_answer(),
            Some(Err(error)) => {
                let error = JobError::from(error);
                let statement = self.allowing("DescribeTargetGroupAttributes");
                return dispensable(Finding::refused(NAME, name, &error, statement), &error);
            }
            Some(Ok(delay)) => duration_text(delay),
        };
        let healthy = targets.iter().filter(|(.., health)| health.is_good()).count();
        Finding::ok(
            NAME,
            format!("{name}: {healthy} of {} targets healthy, deregistration delay {delay}", targets.len()),
        )
    }

    fn refused(&self, group: &TargetGroup, action: &str, error: AwsError) -> Finding {
        let is_gone = error.code() == Some("TargetGroupNotFound");
        let check = Finding::refused(NAME, group.name(), &JobError::from(error), self.allowing(action));
        if !is_gone {
            return check;
        }
        let advice =
            format!("create it in {}, or correct its ARN in `target_groups`", group.region().unwrap_or_default());
        Finding { advice: Some(advice), ..check }
    }

    fn allowing(&self, action: &str) -> Option<&crate::commands::policy::Statement> {
        self.policy.allowing(&format!("elasticloadbalancing:{action}"))
    }
}

/// The finding about a call without which a boot goes on once it is refused for good.
fn dispensable(check: Finding, error: &JobError) -> Finding {
    if error.is_transient() { check } else { Finding { verdict: Verdict::Warn, ..check } }
}

/// A target that is not healthy, if none is, of those that could be.
fn why_none_is_healthy(targets: &[(String, u16, TargetHealth)]) -> Option<&(String, u16, TargetHealth)> {
    let mut settled =
        targets.iter().filter(|(.., health)| health.is_registered() && health.state != TargetHealthState::Initial);
    if settled.clone().any(|(.., health)| health.is_good()) { None } else { settled.next() }
}
