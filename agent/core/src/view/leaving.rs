//! Why and how an instance leaves: a drain, a failure, and what is waited for.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use crate::message::error::ErrorClass;
use crate::view::ReadyReason;

/// A drain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DrainView {
    /// Why it began.
    pub cause: DrainCause,
    /// What the cause says beyond its name, for people: the reason given to `berth drain`, the notice, AWS's lifecycle state.
    pub cause_detail: Option<String>,
    /// How far it is.
    pub stage: DrainStage,
    /// When it began; before the start of this agent, a negative number, if an earlier agent began it.
    pub began_seconds: f64,
    /// By when the app must have stopped: set by a spot interruption, else null.
    pub cut_seconds: Option<f64>,
    /// Whether anything was cut short by a deadline or a second signal; the agent then exits with code 5.
    pub cut_short: bool,
}

/// Why a drain began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum DrainCause {
    /// SIGTERM or SIGINT.
    Signal,
    /// `berth drain`, or `POST /v1/drain`.
    Requested,
    /// Auto Scaling is terminating the instance.
    Terminating,
    /// Auto Scaling is returning the instance to its warm pool.
    ReturningToWarmPool,
    /// Auto Scaling is replacing the root volume.
    ReplacingRootVolume,
    /// A spot interruption was announced.
    SpotInterruption,
    /// A rebalance is recommended, and the config drains on it.
    RebalanceRecommended,
    /// Maintenance is scheduled, and the config drains on it.
    MaintenanceScheduled,
}

/// The stages of a drain, in their order; one that is not needed is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum DrainStage {
    /// The config is read.
    ReadingConfig,
    /// The containers that run are looked up.
    Discovering,
    /// `/ready` answers 503; the app still serves.
    Settling,
    /// Connections of clients end.
    DrainingConnections,
    /// The app is stopped.
    Stopping,
    /// The termination hook is completed.
    CompletingHook,
    /// The final status goes to the console.
    FinalStatus,
}

/// Why a boot failed, or why the app is given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FailureView {
    /// Which failure.
    pub reason: ReadyReason,
    /// The class of the error behind it; null if no call failed, such as an app that does not become healthy in time.
    pub error_class: Option<ErrorClass>,
    /// The exit code of the agent: 2 for an invalid config, 3 for a failed boot, 4 for an app that cannot be kept running.
    pub exit_code: u8,
    /// What happened, with what was answered, for people.
    pub message: String,
}

/// What is waited for, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeadlineView {
    /// What ends then.
    pub name: DeadlineName,
    /// When it ends.
    pub at_seconds: f64,
}

/// What ends at a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum DeadlineName {
    /// `boot.timeout`
    BootTimeout,
    /// `probe.start_timeout`
    ProbeStartTimeout,
    /// The config is read, in a drain that does not know it.
    ReadingConfig,
    /// The containers that run are looked up, in a drain that does not know them.
    Discovering,
    /// `drain.settle`
    DrainSettle,
    /// `drain.timeout`
    DrainTimeout,
    /// `stop_timeout`
    StopTimeout,
    /// The completion of the termination hook.
    TerminationHook,
    /// A spot interruption: by then the app must have stopped.
    SpotInterruption,
    /// What follows a failure: the app is stopped, the hook is completed.
    Cleanup,
    /// AWS stops waiting for the launch hook: after 100 times its timeout, and at most 48 hours.
    Hold,
}

berth_config::read_as_word!(DrainCause, DrainStage, DeadlineName);

impl DeadlineName {
    /// For people: the key of the config, if it is one.
    pub fn label(self) -> &'static str {
        match self {
            Self::BootTimeout => "boot.timeout",
            Self::ProbeStartTimeout => "probe.start_timeout",
            Self::ReadingConfig => "reading the config",
            Self::Discovering => "looking up containers",
            Self::DrainSettle => "drain.settle",
            Self::DrainTimeout => "drain.timeout",
            Self::StopTimeout => "stop_timeout",
            Self::TerminationHook => "termination hook",
            Self::SpotInterruption => "spot interruption",
            Self::Cleanup => "cleanup",
            Self::Hold => "hold",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_the_config_sets_is_called_like_its_key() {
        let keys: Vec<_> = berth_config::key_sections().into_iter().flat_map(|section| section.keys).collect();
        let key = |word: &str| keys.iter().map(|doc| doc.key).find(|key| key.replace('.', "_") == word);
        let of_keys: Vec<_> =
            DeadlineName::VARIANTS.iter().filter_map(|name| Some((name.label(), key(name.into())?))).collect();
        assert_eq!(of_keys.len(), 5, "{of_keys:?}");
        for (label, key) in of_keys {
            assert_eq!(label, key);
        }
    }
}
