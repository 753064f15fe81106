//! A target group as a test makes it, and the words that the load balancer has for its targets.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A target group as a test makes it: [`TargetGroup::http`], and what differs from it.
#[derive(Clone, Debug)]
pub struct TargetGroup {
    /// At most 32 letters, digits and hyphens.
    pub name: String,
    /// `HTTP`, or `TCP` of a Network Load Balancer.
    pub protocol: &'static str,
    /// The port of a target that is registered without one.
    pub port: u16,
    /// How long a target is `draining`; AWS's default is 300 s.
    pub deregistration_delay: Duration,
    /// Whether a listener sends requests to it; else its targets are `unused`.
    pub has_listener: bool,
    /// How long registering takes, before the first check; minutes for a Network Load Balancer.
    pub first_check_after: Duration,
    /// How its targets are checked.
    pub check: HealthCheck,
    /// The health of every target that is registered and not draining, whatever it answers.
    pub scripted: Option<Health>,
    /// A zonal shift moves the traffic away from the zone of the targets.
    pub zonal_shift: bool,
    /// How many targets it takes: `TooManyTargets` after that.
    pub most_targets: usize,
}

/// How the targets of a group are checked.
#[derive(Clone, Debug)]
pub struct HealthCheck {
    /// Whether they are; else they are `unavailable`.
    pub enabled: bool,
    /// None is `traffic-port`.
    pub port: Option<u16>,
    /// None for a check that only connects.
    pub path: Option<String>,
    /// The codes of a healthy target.
    pub codes: RangeInclusive<u16>,
    /// Between two checks. AWS's shortest is 5 s.
    pub interval: Duration,
    /// For an answer.
    pub timeout: Duration,
    /// Successes that make an unhealthy target healthy. A new one needs a single success.
    pub healthy_threshold: u32,
    /// Failures that make a target unhealthy.
    pub unhealthy_threshold: u32,
}

impl TargetGroup {
    /// Of an Application Load Balancer that uses it: `/ready` is asked on the traffic port every 100 ms, and must be 200.
    pub fn http(name: &str, port: u16) -> Self {
        Self {
            name: name.into(),
            protocol: "HTTP",
            port,
            deregistration_delay: Duration::from_secs(300),
            has_listener: true,
            first_check_after: Duration::ZERO,
            check: HealthCheck {
                enabled: true,
                port: None,
                path: Some("/ready".into()),
                codes: 200..=200,
                interval: Duration::from_millis(100),
                timeout: Duration::from_secs(2),
                healthy_threshold: 2,
                unhealthy_threshold: 2,
            },
            scripted: None,
            zonal_shift: false,
            most_targets: 1_000,
        }
    }

    /// The port on which a target is checked.
    pub(crate) fn check_port(&self, target: &Target) -> u16 {
        self.check.port.unwrap_or(target.port)
    }
}

/// What is registered: an instance, and a port of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The instance.
    pub id: String,
    /// The port.
    pub port: u16,
}

impl Target {
    /// A port of an instance.
    pub fn new(id: &str, port: u16) -> Self {
        Self { id: id.into(), port }
    }
}

/// What the load balancer says of a target, in AWS's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// `initial`, `healthy`, `unhealthy`, `unhealthy.draining`, `unused`, `draining`, `unavailable`
    pub state: &'static str,
    /// Such as `Target.Timeout`; none if healthy.
    pub reason: Option<&'static str>,
    /// For people; none if healthy.
    pub description: Option<String>,
}

impl Health {
    /// Every check passes.
    pub const HEALTHY: Self = Self { state: "healthy", reason: None, description: None };

    /// Any other health.
    pub fn of(state: &'static str, reason: &'static str, description: &str) -> Self {
        Self { state, reason: Some(reason), description: Some(description.into()) }
    }

    /// The checks failed with this code.
    pub fn code(code: u16) -> Self {
        let description = format!("Health checks failed with these codes: [{code}]");
        Self::of("unhealthy", "Target.ResponseCodeMismatch", &description)
    }

    /// The checks were not answered in time.
    pub fn timeout() -> Self {
        Self::of("unhealthy", "Target.Timeout", "Request timed out")
    }

    /// The connections of the checks failed.
    pub fn failed() -> Self {
        Self::of("unhealthy", "Target.FailedHealthChecks", "Health checks failed")
    }

    /// There is no such target.
    pub(crate) fn not_registered() -> Self {
        Self::of("unused", "Target.NotRegistered", "Target is not registered to the target group")
    }
}

/// A target that was registered again before its deregistration delay was over. AWS allows it. A connection that the load
/// balancer kept, or that a client still has, then meets another app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reuse {
    /// Which.
    pub target: Target,
    /// This long after its deregistration.
    pub after: Duration,
    /// The delay of its group.
    pub delay: Duration,
}
