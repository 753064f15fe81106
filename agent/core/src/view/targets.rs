//! The targets of the instance in the load balancer's target groups, as they are shown.

use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use crate::message::target::TargetHealthState;

/// One target of this instance, or a target group that is left to the Auto Scaling group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TargetView {
    /// The ARN of the target group.
    pub target_group: String,
    /// The name of the target group.
    pub name: String,
    /// The port on the host; null of a target group that is left to the Auto Scaling group.
    pub port: Option<u16>,
    /// How far the registration is.
    pub state: TargetStage,
    /// What the load balancer reported last; null while it was not asked.
    pub health: Option<TargetHealthState>,
    /// AWS's code for it, such as `Target.Timeout`; null without one.
    pub health_reason: Option<String>,
    /// The last error, or what the load balancer reported last, for people.
    pub reason: Option<String>,
}

/// How far a registration is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum TargetStage {
    /// It is not registered.
    #[default]
    Out,
    /// The load balancer is asked whether it still drains the target from before.
    Checking,
    /// It is being registered.
    Registering,
    /// It is registered, and the load balancer has not called it healthy yet.
    Registered,
    /// The load balancer calls it healthy.
    InService,
    /// It is being deregistered.
    Deregistering,
    /// It is deregistered; its requests end.
    Deregistered,
    /// A call was refused for good.
    Refused,
    /// The Auto Scaling group attaches this target group itself: berth leaves it to the group.
    AttachedByGroup,
}

berth_config::read_as_word!(TargetStage);

impl TargetStage {
    /// The word that JSON and metrics have.
    pub fn word(self) -> &'static str {
        self.into()
    }

    /// The same with spaces, for people.
    pub fn label(self) -> String {
        self.word().replace('_', " ")
    }
}

impl TargetView {
    /// A target group that is left to the Auto Scaling group.
    pub fn attached(target_group: String) -> Self {
        let name = berth_config::TargetGroup::name_of(&target_group).to_owned();
        Self { target_group, name, state: TargetStage::AttachedByGroup, ..Self::default() }
    }
}

/// `web:8080`
impl fmt::Display for TargetView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.name),
            None => f.write_str(&self.name),
        }
    }
}
