//! Why `/ready` answers as it does: one of these sentences and nothing else.
//!
//! Anyone who reaches the port reads it. What AWS, the registry, the engine or the app answered, and what an operator
//! typed, is in [`View::reason`](super::View::reason) only, which the local socket, the log and the console show.

use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};

use crate::message::error::{ErrorClass, JobError};

/// A sentence of the closed list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, VariantArray, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ReadyReason {
    /// Nothing is known yet.
    #[default]
    Starting,
    /// The metadata service has not answered yet.
    WaitingForMetadata,
    /// User-data, file and pointer are being read.
    ReadingConfig,
    /// `listen` is another address than the one that answers, and is not bound yet.
    BindingListenAddress,
    /// The secrets are being fetched.
    FetchingSecrets,
    /// The registry's credentials are being fetched.
    LoggingIn,
    /// The engine has not answered yet.
    WaitingForEngine,
    /// What an earlier agent left is being looked for, or removed.
    CheckingContainers,
    /// The digest or the local image is being looked up.
    LookingUpImage,
    /// The image is being pulled.
    PullingImage,
    /// A path of `after` is not there.
    WaitingForPaths,
    /// The container is being created.
    CreatingContainer,
    /// The container is being started.
    StartingApp,
    /// The app runs and has not passed its health check since it started.
    NotHealthyYet,
    /// The app passes its health check.
    Healthy,
    /// The app fails its health check.
    AppUnhealthy,
    /// The app exited.
    AppExited,
    /// The app was restarted as often as `restart.limit` allows.
    RestartLimitReached,
    /// The app is restarted to get secrets that changed.
    RestartingForSecrets,
    /// A release moves traffic to its container.
    ReleaseMoves,
    /// The engine does not answer, or cannot do what it is asked.
    EngineUnavailable,
    /// The secrets cannot be fetched.
    SecretsUnavailable,
    /// The metadata service cannot be used.
    MetadataUnavailable,
    /// The config cannot be read.
    ConfigUnavailable,
    /// The config can be read and is invalid.
    ConfigInvalid,
    /// `listen` cannot be bound.
    ListenAddressUnavailable,
    /// AWS or the registry denies the instance what its config needs.
    AccessDenied,
    /// The image cannot be had.
    ImageUnavailable,
    /// The engine does not create the container.
    ContainerNotCreated,
    /// The engine does not start the container.
    ContainerNotStarted,
    /// The health check can never pass, such as `health=docker` on an image without a HEALTHCHECK.
    NeverHealthy,
    /// `probe.start_timeout` is over.
    NotHealthyInTime,
    /// `boot.timeout` is over.
    BootTimedOut,
    /// The launch hook can never be completed: Auto Scaling would terminate the instance at the hook's timeout.
    LaunchHookRefused,
    /// The load balancer did not call the target healthy in time.
    TargetNotHealthy,
    /// The target cannot be registered.
    TargetRefused,
    /// Auto Scaling put the instance on standby.
    Standby,
    /// Prepared, in the warm pool.
    Warm,
    /// Auto Scaling is terminating the instance.
    Terminating,
    /// Auto Scaling returns the instance to its warm pool.
    ReturningToWarmPool,
    /// Auto Scaling replaces the instance's root volume.
    ReplacingRootVolume,
    /// A spot interruption was announced.
    SpotInterruption,
    /// A rebalance recommendation, and the config drains on it.
    RebalanceRecommended,
    /// A scheduled maintenance event, and the config drains on it.
    MaintenanceScheduled,
    /// SIGTERM or SIGINT.
    AgentStopping,
    /// `berth drain`.
    DrainRequested,
    /// The agent is about to exit.
    Exiting,
}

berth_config::read_as_word!(ReadyReason);

impl ReadyReason {
    /// Every reason, for the table in docs/operations.md and its test.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// What `/ready` says.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::WaitingForMetadata => "waiting for the instance metadata",
            Self::ReadingConfig => "reading the config",
            Self::BindingListenAddress => "binding the configured listen address",
            Self::FetchingSecrets => "fetching the secrets",
            Self::LoggingIn => "logging in to the registry",
            Self::WaitingForEngine => "waiting for the container engine",
            Self::CheckingContainers => "checking for containers of an earlier agent",
            Self::LookingUpImage => "looking up the image",
            Self::PullingImage => "pulling the image",
            Self::WaitingForPaths => "waiting for a path or a mount on the host",
            Self::CreatingContainer => "creating the container",
            Self::StartingApp => "starting the app",
            Self::NotHealthyYet => "the app is not healthy yet",
            Self::Healthy => "the app is healthy",
            Self::AppUnhealthy => "the app fails its health check",
            Self::AppExited => "the app exited",
            Self::RestartLimitReached => "the app exited or failed its health check too often",
            Self::RestartingForSecrets => "restarting the app for rotated secrets",
            Self::ReleaseMoves => "the app's next version takes its place",
            Self::EngineUnavailable => "the container engine is unavailable",
            Self::SecretsUnavailable => "the secrets cannot be fetched",
            Self::MetadataUnavailable => "the instance metadata cannot be read",
            Self::ConfigUnavailable => "the config cannot be read",
            Self::ConfigInvalid => "the config is invalid",
            Self::ListenAddressUnavailable => "the configured listen address cannot be bound",
            Self::AccessDenied => "access to AWS or to the registry is denied",
            Self::ImageUnavailable => "the image cannot be pulled",
            Self::ContainerNotCreated => "the container cannot be created",
            Self::ContainerNotStarted => "the container cannot be started",
            Self::NeverHealthy => "the health check can never pass",
            Self::NotHealthyInTime => "the app did not become healthy in time",
            Self::BootTimedOut => "the boot timed out",
            Self::LaunchHookRefused => "the launch hook cannot be completed",
            Self::TargetNotHealthy => "the load balancer did not call the target healthy in time",
            Self::TargetRefused => "the target cannot be registered with the load balancer",
            Self::Standby => "Auto Scaling put the instance on standby",
            Self::Warm => "prepared, in the warm pool",
            Self::Terminating => "Auto Scaling is terminating the instance",
            Self::ReturningToWarmPool => "Auto Scaling is returning the instance to its warm pool",
            Self::ReplacingRootVolume => "Auto Scaling is replacing the root volume",
            Self::SpotInterruption => "spot interruption",
            Self::RebalanceRecommended => "rebalance recommendation",
            Self::MaintenanceScheduled => "scheduled maintenance",
            Self::AgentStopping => "the agent is being stopped",
            Self::DrainRequested => "a drain was requested on the instance",
            Self::Exiting => "the agent is exiting",
        }
    }

    /// This reason, unless AWS or the registry denied the call: then that is what there is to know.
    pub fn or_denied(self, error: &JobError) -> Self {
        if error.class == ErrorClass::Denied { Self::AccessDenied } else { self }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_sentence_of_its_own() {
        let sentences: BTreeSet<&str> = ReadyReason::ALL.iter().map(|reason| reason.sentence()).collect();
        assert_eq!(sentences.len(), ReadyReason::ALL.len());
    }

    #[test]
    fn a_reason_is_a_word_in_json() {
        let words: BTreeSet<String> =
            ReadyReason::ALL.iter().map(|reason| serde_json::to_string(reason).unwrap()).collect();
        assert!(words.contains("\"returning_to_warm_pool\""), "{words:?}");
        assert_eq!(words.len(), ReadyReason::ALL.len());
    }
}
