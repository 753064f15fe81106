//! One poll of the instance metadata: what it says of the surroundings.

use std::time::Duration;

use crate::message::identity::TargetState;

/// What the metadata says at one moment (`autoscaling/target-lifecycle-state`, `spot/instance-action`,
/// `events/recommendations/rebalance`, `events/maintenance/scheduled`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The lifecycle state that the instance is being moved to.
    pub target_state: Option<TargetState>,
    /// A spot interruption that was announced.
    pub spot: Option<Interruption>,
    /// Whether a rebalance is recommended.
    pub rebalance: bool,
    /// The next active maintenance event, in its own words.
    pub maintenance: Option<String>,
}

/// A spot interruption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interruption {
    /// `terminate`, `stop` or `hibernate`.
    pub action: String,
    /// How long until then, when it was read.
    pub ends_in: Duration,
}
