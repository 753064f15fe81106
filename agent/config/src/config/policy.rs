//! How the agent treats the app and the instance: secrets, boot, restarts, drain, lifecycle, notices.

use std::time::Duration;

use serde::Serialize;
use strum::{EnumString, VariantNames};

use crate::value::probe_http::HttpProbe;
use crate::value::secret_ref::SecretRef;

/// `probe.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// Between two probes while serving.
    pub interval: Duration,
    /// For one probe; none is the default, see [`Probe::timeout_for`].
    pub timeout: Option<Duration>,
    /// Passes in a row that make it healthy.
    pub healthy: u32,
    /// Failures in a row that make it unhealthy.
    pub unhealthy: u32,
    /// From the start of the container to the first healthy probe; none is the default, see [`Probe::start_limit`].
    pub start_timeout: Option<Duration>,
    /// Without a probe: how long the app must run before it counts as healthy.
    pub running_for: Duration,
    /// What an HTTP probe sends, and which responses are healthy.
    #[serde(flatten)]
    pub http: HttpProbe,
}

/// `secrets_as`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, EnumString, VariantNames)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum SecretsAs {
    /// Set in the process by the shim.
    Env,
    /// One file each in `/run/secrets`.
    Files,
}

/// `secrets_refresh`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refresh {
    /// The time between two checks for rotated values.
    pub every: Duration,
    /// What a change does.
    pub on_change: OnChange,
}

/// What rotated secrets do to the app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnChange {
    /// Restart it.
    Restart,
    /// Send it this signal, e.g. `HUP`.
    Signal(String),
}

/// `registry_auth`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RegistryAuth {
    /// ECR if the image's host is one, else none.
    Auto,
    /// ECR's `GetAuthorizationToken`, whatever the host.
    Ecr,
    /// Anonymous.
    None,
    /// A secret holding `{"username":…,"password":…}`.
    Secret(SecretRef),
}

/// `imds`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, EnumString, VariantNames)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum ImdsAccess {
    /// The container may reach the metadata service.
    Allow,
    /// It may not.
    Block,
}

/// `boot.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootPolicy {
    /// Give up booting after this.
    pub timeout: Duration,
    /// What happens after that.
    pub on_failure: OnFailure,
}

/// `boot.on_failure`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, EnumString, VariantNames)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum OnFailure {
    /// Complete the launch hook with ABANDON, or mark the instance unhealthy.
    Abandon,
    /// Keep the instance for debugging.
    Hold,
}

/// `restart.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restart {
    /// Before the first restart; doubles.
    pub backoff: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// The most restarts within `window`; one more, and the instance is marked unhealthy.
    pub limit: u32,
    /// The window.
    pub window: Duration,
}

/// `drain.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DrainConfig {
    /// Keep serving this long after readiness turned 503.
    pub settle: Duration,
    /// Wait at most this long for connections to end.
    pub timeout: Duration,
    /// No connection for this long counts as ended.
    pub idle: Duration,
    /// How the termination hook is completed after a drain that was cut short.
    pub on_failure: CutDrain,
}

/// `drain.on_failure`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, EnumString, VariantNames)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum CutDrain {
    /// The termination hook is completed with CONTINUE, as after any other drain.
    Continue,
    /// It is completed with ABANDON: a group with the retention trigger `TerminateHookAbandon=retain` keeps the instance.
    Abandon,
}

/// `lifecycle.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lifecycle {
    /// Between two polls of the metadata.
    pub poll: Duration,
    /// The Auto Scaling group; discovered if none.
    pub group: Option<String>,
    /// The launch hook; discovered if none.
    pub launch_hook: Option<String>,
    /// The termination hook; discovered if none.
    pub terminate_hook: Option<String>,
    /// Between two heartbeats; none is half the hook's timeout, or 30 s if that is unknown.
    pub heartbeat: Option<Duration>,
}

/// What a notice does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, EnumString, VariantNames)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum OnNotice {
    /// Drain.
    Drain,
    /// Log it.
    Ignore,
}
