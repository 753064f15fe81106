//! What the next agent on this instance needs to know of the targets of this one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::message::target::Target;

/// The targets that are registered, or were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotedTargets {
    /// Whose targets they are.
    pub instance_id: String,
    /// Each of them.
    pub targets: Vec<NotedTarget>,
    /// Whether the load balancer has called all of them healthy once, so that the boot is over.
    #[serde(default)]
    pub were_in: bool,
}

/// One target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotedTarget {
    /// Which.
    pub target: Target,
    /// What became of it.
    pub state: NotedState,
}

/// What became of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotedState {
    /// It is registered, or the call for it is on its way.
    Registered {
        /// Whether the load balancer has called it healthy.
        healthy: bool,
    },
    /// It was deregistered.
    Left {
        /// How long before the note was written.
        ago: Duration,
        /// The deregistration delay of the target group, if it is known.
        delay: Option<Duration>,
    },
}
