//! Targets: what an instance is to a load balancer, and what the load balancer says of it (API reference of Elastic Load Balancing,
//! TargetHealthDescription).

use std::fmt;

use berth_config::TargetGroup;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// This instance with one of its ports in one target group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// The ARN of the target group.
    pub target_group: String,
    /// The port on the host.
    pub port: u16,
}

/// What the load balancer says of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetHealth {
    /// The state.
    pub state: TargetHealthState,
    /// AWS's code, `Target.Timeout`.
    pub reason: Option<String>,
    /// AWS's sentence.
    pub description: Option<String>,
    /// Whether a zonal shift keeps the traffic from this availability zone.
    pub is_shifted: bool,
}

/// The states of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum TargetHealthState {
    /// It is being registered, or waits for its first health checks.
    Initial,
    /// It passes the health checks.
    Healthy,
    /// It fails them.
    Unhealthy,
    /// It fails them, and its connections end (`unhealthy.draining`).
    UnhealthyDraining,
    /// It is not registered, or nothing is sent to its target group.
    Unused,
    /// It is deregistered, and its requests end.
    Draining,
    /// Its health is not checked.
    Unavailable,
    /// A state that this version does not know.
    Unknown,
}

berth_config::read_as_word!(TargetHealthState);

/// What Auto Scaling knows of the group of this instance, as far as a registration needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupFacts {
    /// The target groups that the group attaches itself, by ARN.
    pub target_groups: Vec<String>,
    /// Instances of the group that are being launched, with this one.
    pub launching: u32,
    /// How many of them come before this one, in the order of their ids.
    pub before: u32,
}

impl TargetHealth {
    /// In this state, without a reason.
    pub fn of(state: TargetHealthState) -> Self {
        Self { state, reason: None, description: None, is_shifted: false }
    }

    /// The same, for this reason.
    #[must_use]
    pub fn because(self, reason: &str) -> Self {
        Self { reason: Some(reason.to_owned()), ..self }
    }

    /// Whether the load balancer takes it for a good one. A zonal shift says nothing against it: its traffic comes back with the zone's.
    pub fn is_good(&self) -> bool {
        self.state == TargetHealthState::Healthy || self.is_shifted
    }

    /// Whether it is in the target group: registered, and not on its way out. One of a target group that nothing is sent to is `unused`
    /// as well.
    pub fn is_registered(&self) -> bool {
        match self.state {
            TargetHealthState::Unused => self.reason.as_deref().is_some_and(|reason| reason != NOT_REGISTERED),
            TargetHealthState::Draining => false,
            _ => true,
        }
    }

    /// Whether the load balancer sends nothing there, and has no request there.
    pub fn is_unused(&self) -> bool {
        self.state == TargetHealthState::Unused
    }
}

/// The reason of a target that is none.
const NOT_REGISTERED: &str = "Target.NotRegistered";

impl TargetHealthState {
    /// AWS's word.
    pub fn from_word(word: &str) -> Self {
        match word {
            "initial" => Self::Initial,
            "healthy" => Self::Healthy,
            "unhealthy" => Self::Unhealthy,
            "unhealthy.draining" => Self::UnhealthyDraining,
            "unused" => Self::Unused,
            "draining" => Self::Draining,
            "unavailable" => Self::Unavailable,
            _ => Self::Unknown,
        }
    }

    /// The word that JSON has.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// `web:8080`
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", TargetGroup::name_of(&self.target_group), self.port)
    }
}

/// `unhealthy (Target.Timeout): …`, with what to look at.
impl fmt::Display for TargetHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.state.word())?;
        if let Some(reason) = &self.reason {
            write!(f, " ({reason})")?;
        }
        if let Some(advice) = self.reason.as_deref().and_then(advice) {
            write!(f, ": {advice}")?;
        }
        if let Some(description) = &self.description {
            write!(f, ": {description}")?;
        }
        if self.is_shifted {
            f.write_str(", without traffic while a zonal shift is active for this availability zone")?;
        }
        Ok(())
    }
}

/// What a reason means, and what to look at.
fn advice(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "Target.Timeout" => {
            "the health check gets no answer: the instance's security group must allow the load balancer's on the port of the \
             health check"
        }
        "Target.FailedHealthChecks" => {
            "the health check cannot connect, or the answer is not one of its protocol: check the target group's port and protocol"
        }
        "Target.ResponseCodeMismatch" => {
            "the health check gets another status than the target group's matcher expects: check its path and port"
        }
        "Target.NotInUse" => "no listener of a load balancer forwards to the target group, or its zone is not enabled",
        "Target.InvalidState" => "the instance is not running",
        "Target.HealthCheckDisabled" => {
            "the target group has no health checks: nobody can say that the target is healthy"
        }
        "Elb.InternalError" => "an error of Elastic Load Balancing",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_state_are_aws_s() {
        for (word, shown) in [
            ("initial", "initial"),
            ("healthy", "healthy"),
            ("unhealthy", "unhealthy"),
            ("unhealthy.draining", "unhealthy_draining"),
            ("unused", "unused"),
            ("draining", "draining"),
            ("unavailable", "unavailable"),
            ("resting", "unknown"),
        ] {
            assert_eq!(TargetHealthState::from_word(word).word(), shown);
        }
    }

    #[test]
    fn a_target_of_a_group_that_nobody_uses_is_registered_and_unused() {
        use TargetHealthState::{Draining, Healthy, Initial, Unused};
        let of = TargetHealth::of;
        let idle = of(Unused).because("Target.NotInUse");
        assert!(idle.is_registered() && idle.is_unused() && !idle.is_good());
        let none = of(Unused).because(NOT_REGISTERED);
        assert!(!none.is_registered() && none.is_unused());
        assert!(!of(Unused).is_registered());
        assert!(!of(Draining).is_registered() && !of(Draining).is_unused());
        assert!(of(Initial).is_registered() && !of(Initial).is_good() && of(Healthy).is_good());
    }

    #[test]
    fn a_zonal_shift_counts_as_healthy_and_is_said() {
        let shifted = TargetHealth { is_shifted: true, ..TargetHealth::of(TargetHealthState::Unhealthy) };
        assert!(shifted.is_good());
        assert!(shifted.to_string().ends_with("while a zonal shift is active for this availability zone"), "{shifted}");
    }

    #[test]
    fn a_reason_is_explained() {
        let of = |reason: &str| TargetHealth::of(TargetHealthState::Unhealthy).because(reason).to_string();
        assert!(of("Target.Timeout").contains("security group"));
        assert_eq!(of("Target.New"), "unhealthy (Target.New)");
        let codes = "Health checks failed with these codes: [503]";
        let mismatch = TargetHealth::of(TargetHealthState::Unhealthy).because("Target.ResponseCodeMismatch");
        let mismatch = TargetHealth { description: Some(codes.into()), ..mismatch }.to_string();
        assert!(
            mismatch.starts_with("unhealthy (Target.ResponseCodeMismatch): ") && mismatch.ends_with(codes),
            "{mismatch}"
        );
        let target = Target { target_group: "arn:aws:elasticloadbalancing:a:1:targetgroup/web/7".into(), port: 80 };
        assert_eq!(target.to_string(), "web:80");
    }
}
