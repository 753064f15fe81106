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

/// `release.*`: how the next version takes the place of the one that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReleasePolicy {
    /// How traffic goes from the old container to the new one, as written; see [`Config::traffic_move`](crate::Config::traffic_move).
    #[serde(rename = "move")]
    pub traffic: TrafficMove,
    /// How long the new container must have been healthy before traffic moves.
    pub healthy_for: Duration,
    /// How long the old container is kept after the move.
    pub bake: Duration,
    /// Where verdicts and locks are.
    pub board: Option<Board>,
    /// Which part of the fleet may begin, and when; at least one, and the last is the whole fleet.
    pub waves: Vec<Wave>,
    /// Instances that may release at once.
    pub max_parallel: u32,
    /// Bad verdicts that stop a release.
    pub failures: u32,
}

/// `release.move`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, EnumString, VariantNames)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum TrafficMove {
    /// `targets` with `target_groups`, else `readiness`.
    Auto,
    /// The new container is registered with the target groups, the old one deregistered.
    Targets,
    /// `/ready` is 503 until load balancers have let go, and the new container takes the port of the old one.
    Readiness,
    /// The old container is stopped, the new one started.
    Restart,
}

/// `release.board`: a prefix in a bucket of S3.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Board {
    /// The bucket.
    pub bucket: String,
    /// The prefix, without a slash at its ends; may be empty.
    pub prefix: String,
}

/// One entry of `release.waves`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Wave {
    /// So many of the 2048 slots of a fleet.
    pub slots: u16,
    /// So long after the release was published.
    pub after: Duration,
}

/// Where a container stands beside another one of the same app. No key says it: a release does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// Whether it has the second name, `berth-<name>-2`: the other container has the first.
    pub is_second: bool,
    /// Whether its ports are published nowhere: the other container has them.
    pub is_unpublished: bool,
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
