//! The identity of this instance, from the instance metadata service (IMDS).

use std::fmt;

use berth_config::Arn;
use serde::{Deserialize, Serialize};

use crate::message::partition::partition_of;

/// The facts of the instance that the agent asks for once, at the start of a boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `i-0123456789abcdef0`
    pub instance_id: String,
    /// `us-east-2`
    pub region: String,
    /// `us-east-2a`
    pub availability_zone: String,
    /// The twelve digits of the account, from the identity document.
    pub account: String,
    /// `autoscaling/target-lifecycle-state`; none outside a group, or while it is not populated yet.
    pub target_state: Option<TargetState>,
}

impl Identity {
    /// The ARN of a group of this account and region, as IAM takes it for a resource: `*` where the group's own id is.
    pub fn group_arn(&self, group: &str) -> String {
        let (partition, region, account) = (partition_of(&self.region), &self.region, &self.account);
        let resource = format!("autoScalingGroup:*:autoScalingGroupName/{group}");
        Arn { partition, service: "autoscaling", region, account, resource: &resource }.to_string()
    }
}

/// The lifecycle state that the instance is being moved **to** (`autoscaling/target-lifecycle-state`).
///
/// The list grows. Unknown states are kept as [`TargetState::Other`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum TargetState {
    /// In service, or on the way there: `Pending:Wait` shows this too.
    InService,
    /// The group terminates the instance.
    Terminated,
    /// Taken out by `EnterStandby`.
    Standby,
    /// Detached from its group.
    Detached,
    /// Kept running in the warm pool.
    WarmedRunning,
    /// Stopped in the warm pool.
    WarmedStopped,
    /// Hibernated in the warm pool.
    WarmedHibernated,
    /// Leaves the warm pool for good.
    WarmedTerminated,
    /// The group replaces the instance's root volume and reboots it: `ReplacingRootVolume` and what may follow it, but for
    /// `:Proceed`, after which nothing is left to do. The lifecycle states are documented, the word in the metadata is not.
    RootVolume(String),
    /// A state that this version does not know.
    Other(String),
}

impl TargetState {
    /// Whether it is a state of an instance that stays in the warm pool.
    pub fn is_in_pool(&self) -> bool {
        matches!(self, Self::WarmedRunning | Self::WarmedStopped | Self::WarmedHibernated)
    }
}

impl From<String> for TargetState {
    fn from(word: String) -> Self {
        match word.as_str() {
            "InService" => Self::InService,
            "Terminated" => Self::Terminated,
            "Standby" => Self::Standby,
            "Detached" => Self::Detached,
            "Warmed:Running" => Self::WarmedRunning,
            "Warmed:Stopped" => Self::WarmedStopped,
            "Warmed:Hibernated" => Self::WarmedHibernated,
            "Warmed:Terminated" => Self::WarmedTerminated,
            state if state.starts_with("ReplacingRootVolume") && !state.ends_with(":Proceed") => Self::RootVolume(word),
            _ => Self::Other(word),
        }
    }
}

impl From<TargetState> for String {
    fn from(state: TargetState) -> Self {
        state.to_string()
    }
}

impl fmt::Display for TargetState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InService => "InService",
            Self::Terminated => "Terminated",
            Self::Standby => "Standby",
            Self::Detached => "Detached",
            Self::WarmedRunning => "Warmed:Running",
            Self::WarmedStopped => "Warmed:Stopped",
            Self::WarmedHibernated => "Warmed:Hibernated",
            Self::WarmedTerminated => "Warmed:Terminated",
            Self::RootVolume(word) | Self::Other(word) => word,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(word: &str) -> TargetState {
        TargetState::from(word.to_owned())
    }

    #[test]
    fn each_word_of_the_metadata_is_the_state_that_it_names_and_is_written_as_it_was_read() {
        for (word, meant) in [
            ("InService", TargetState::InService),
            ("Terminated", TargetState::Terminated),
            ("Standby", TargetState::Standby),
            ("Detached", TargetState::Detached),
            ("Warmed:Running", TargetState::WarmedRunning),
            ("Warmed:Stopped", TargetState::WarmedStopped),
            ("Warmed:Hibernated", TargetState::WarmedHibernated),
            ("Warmed:Terminated", TargetState::WarmedTerminated),
        ] {
            assert_eq!((&state(word), String::from(meant.clone()).as_str()), (&meant, word));
        }
        // The metadata has grown words before.
        for word in ["Terminating:Wait", "inservice", "Pending:Proceed", ""] {
            assert_eq!((state(word), state(word).to_string().as_str()), (TargetState::Other(word.into()), word));
        }
    }

    #[test]
    fn the_root_volume_is_replaced_until_the_group_proceeds() {
        for word in ["ReplacingRootVolume", "ReplacingRootVolume:Wait"] {
            assert_eq!((state(word), state(word).to_string().as_str()), (TargetState::RootVolume(word.into()), word));
        }
        let proceeds = "ReplacingRootVolume:Proceed";
        assert_eq!(state(proceeds), TargetState::Other(proceeds.into()));
    }

    #[test]
    fn only_an_instance_that_leaves_the_pool_for_good_is_warmed_and_not_in_it() {
        for word in ["Warmed:Running", "Warmed:Stopped", "Warmed:Hibernated"] {
            assert!(state(word).is_in_pool(), "{word}");
        }
        for word in ["Warmed:Terminated", "InService", "Terminated", "Standby", "Detached", "Warmed:Other"] {
            assert!(!state(word).is_in_pool(), "{word}");
        }
    }
}
