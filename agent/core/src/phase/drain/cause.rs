//! Why the instance leaves.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::SPOT_MARGIN;
use crate::clock::Uptime;
use crate::message::identity::TargetState;
use crate::view::{DrainCause, ReadyReason};

/// Why a drain begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The process got SIGTERM or SIGINT.
    Signal,
    /// `berth drain`, and the reason.
    Asked(String),
    /// The group terminates the instance.
    Terminated,
    /// The group returns the instance to its warm pool.
    BackToPool(TargetState),
    /// The group replaces the instance's root volume, which ends in a reboot; its word for it.
    RootVolume(String),
    /// A spot interruption after this time.
    Spot(Duration),
    /// A rebalance is recommended, and the config says to drain: the notice.
    Rebalance(String),
    /// Maintenance is scheduled, and the config says to drain: the notice.
    Maintenance(String),
}

impl Cause {
    /// Whether the group asked for it: then its termination hook is, or will be, active.
    pub(super) fn is_the_group_s(&self) -> bool {
        matches!(self, Self::Terminated | Self::BackToPool(_) | Self::RootVolume(_))
    }

    /// The cause, as `/ready` says it.
    pub(super) fn ready_reason(&self) -> ReadyReason {
        match self {
            Self::Signal => ReadyReason::AgentStopping,
            Self::Asked(_) => ReadyReason::DrainRequested,
            Self::Terminated => ReadyReason::Terminating,
            Self::BackToPool(_) => ReadyReason::ReturningToWarmPool,
            Self::RootVolume(_) => ReadyReason::ReplacingRootVolume,
            Self::Spot(_) => ReadyReason::SpotInterruption,
            Self::Rebalance(_) => ReadyReason::RebalanceRecommended,
            Self::Maintenance(_) => ReadyReason::MaintenanceScheduled,
        }
    }

    /// Its name, as it is shown.
    pub(super) fn name(&self) -> DrainCause {
        match self {
            Self::Signal => DrainCause::Signal,
            Self::Asked(_) => DrainCause::Requested,
            Self::Terminated => DrainCause::Terminating,
            Self::BackToPool(_) => DrainCause::ReturningToWarmPool,
            Self::RootVolume(_) => DrainCause::ReplacingRootVolume,
            Self::Spot(_) => DrainCause::SpotInterruption,
            Self::Rebalance(_) => DrainCause::RebalanceRecommended,
            Self::Maintenance(_) => DrainCause::MaintenanceScheduled,
        }
    }

    /// What it says beyond its name.
    pub(super) fn detail(&self) -> Option<String> {
        match self {
            Self::Signal | Self::Terminated | Self::Spot(_) => None,
            Self::Asked(text) | Self::RootVolume(text) | Self::Rebalance(text) | Self::Maintenance(text) => {
                Some(text.clone())
            }
            Self::BackToPool(state) => Some(state.to_string()),
        }
    }

    /// By when the app must have stopped.
    pub(super) fn cut(&self, now: Uptime) -> Option<Uptime> {
        match self {
            Self::Spot(ends_in) => Some(now + ends_in.saturating_sub(SPOT_MARGIN)),
            _ => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal => f.write_str("a signal"),
            Self::Asked(reason) => write!(f, "berth drain ({reason})"),
            Self::Terminated => f.write_str("Auto Scaling is terminating the instance"),
            Self::BackToPool(state) => write!(f, "Auto Scaling is returning the instance to its warm pool ({state})"),
            Self::RootVolume(word) => write!(f, "Auto Scaling is replacing the root volume ({word})"),
            Self::Spot(ends_in) => write!(f, "spot interruption in {} s", ends_in.as_secs()),
            Self::Rebalance(notice) | Self::Maintenance(notice) => f.write_str(notice),
        }
    }
}
