//! The config as validated: every value parsed, every cross-check done. Built from what was written, layer by layer.
//!
//! ```text
//!   /etc/berth/berth.toml ─┐
//!   config= pointer        ├─▶ Written (keys, values, places) ─▶ resolve ─▶ Config, or every error at once
//!   user-data              │
//!   command line           ┘
//! ```
//! Nothing here does IO; whoever holds the bytes (the adapters, `berth check`) adds them to [`Layers`]. No value is ever printed by a
//! error, only its key and place: a line may hold by mistake what should have been a secret.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Serialize;

pub use detect::foreign::Foreign;
pub use detect::near_miss::COMMANDS;
pub use error::code::{Code, code_tables};
pub use error::{At, ConfigError, ConfigErrors, Place};
pub use keys::key_docs::{KeyDoc, KeySection, key_sections, key_tables};
pub use parse::layers::{Layer, Layers, Pointer};
pub use validate::network::{Network, ProxyUrl};
pub use validate::shown::Row;
pub use value::health::ProbeMethod;
pub use value::platform::Platform;
pub use value::port::{Port, Protocol};
pub use value::probe_http::{HttpProbe, Statuses};
pub use value::reference::{ImageRef, PinnedImage};
pub use value::scalar::{duration, duration_text};
pub use value::secret_ref::SecretRef;
pub use value::template::{Piece, SecretValue, Template};

mod config;
mod detect;
mod error;
mod keys;
mod parse;
mod validate;
mod value;

#[cfg(test)]
mod forms;
#[cfg(test)]
mod hostile;

/// Everything that this instance shall do. See docs/configuration.md for every key and its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Config {
    /// `image`
    pub image: ImageRef,
    /// `name`: the container is `berth-<name>`.
    pub name: String,
    /// `port`, `ports`, in the order written.
    pub ports: Vec<Port>,
    /// `health` as written, none if it is left to the default: the image's HEALTHCHECK, else `tcp`, else `none`.
    pub health: Option<ProbeMethod>,
    /// `probe.*`
    pub probe: Probe,
    /// `env.NAME`
    pub env: BTreeMap<String, String>,
    /// `secret.NAME`
    pub secret: BTreeMap<String, SecretValue>,
    /// `secrets`: each a JSON object whose keys become names; a later one wins, `secret.NAME` wins over all.
    pub secrets: Vec<SecretRef>,
    /// `secrets_as`
    pub secrets_as: SecretsAs,
    /// `secrets_refresh`
    pub secrets_refresh: Option<Refresh>,
    /// `registry_auth`
    pub registry_auth: RegistryAuth,
    /// `command`: replaces the image's CMD.
    pub command: Option<Vec<String>>,
    /// `entrypoint`: replaces the image's ENTRYPOINT, and drops its CMD, as `docker run --entrypoint` does.
    pub entrypoint: Option<Vec<String>>,
    /// `user`
    pub user: Option<String>,
    /// `workdir`
    pub workdir: Option<String>,
    /// `volumes`
    pub volumes: Vec<Volume>,
    /// `tmpfs`: path in the container → mount options (may be empty).
    pub tmpfs: BTreeMap<String, String>,
    /// `read_only`
    pub read_only: bool,
    /// `memory`, bytes
    pub memory: Option<u64>,
    /// `memory_swap`, bytes of memory and swap together; -1 is no limit
    pub memory_swap: Option<i64>,
    /// `cpus`, in billionths of a CPU (the engine's NanoCpus)
    pub cpus: Option<u64>,
    /// `pids_limit`; -1 and 0 are no limit
    pub pids_limit: Option<i64>,
    /// `ulimits`
    pub ulimits: Vec<Ulimit>,
    /// `cap_add`
    pub cap_add: Vec<String>,
    /// `cap_drop`
    pub cap_drop: Vec<String>,
    /// `group_add`, names and numbers
    pub group_add: Vec<String>,
    /// `security_opt`, each `name=value`
    pub security_opt: Vec<String>,
    /// `sysctls`
    pub sysctls: BTreeMap<String, String>,
    /// `devices`
    pub devices: Vec<Device>,
    /// `gpus`
    pub gpus: Option<Gpus>,
    /// `network`
    pub network: Option<String>,
    /// `hostname`
    pub hostname: Option<String>,
    /// `extra_hosts`, each `name:address`
    pub extra_hosts: Vec<String>,
    /// `dns`
    pub dns: Vec<IpAddr>,
    /// `dns_search`
    pub dns_search: Vec<String>,
    /// `ipc`
    pub ipc: Option<String>,
    /// `pid`
    pub pid: Option<String>,
    /// `shm_size`, bytes
    pub shm_size: Option<u64>,
    /// `labels`
    pub labels: BTreeMap<String, String>,
    /// `platform`
    pub platform: Option<Platform>,
    /// `runtime`
    pub runtime: Option<String>,
    /// `init`
    pub init: bool,
    /// `privileged`
    pub privileged: bool,
    /// `stop_signal`, e.g. `SIGTERM`
    pub stop_signal: Option<String>,
    /// `log_driver`; [`Config::ENGINE_LOG_DRIVER`] is whichever the engine has by default.
    pub log_driver: String,
    /// `log_opt.NAME`; for `json-file` without any option, rotation 3 × 10 MB is filled in.
    pub log_opt: BTreeMap<String, String>,
    /// `imds`
    pub imds: ImdsAccess,
    /// `listen`
    pub listen: SocketAddr,
    /// `after`, paths of the host
    pub after: Vec<String>,
    /// `boot.*`
    pub boot: BootPolicy,
    /// `restart.*`
    pub restart: Restart,
    /// `drain.*`
    pub drain: Drain,
    /// `stop_timeout`: SIGTERM to SIGKILL
    pub stop_timeout: Duration,
    /// `lifecycle.*`
    pub lifecycle: Lifecycle,
    /// `spot`
    pub spot: OnNotice,
    /// `rebalance`
    pub rebalance: OnNotice,
    /// `maintenance`
    pub maintenance: OnNotice,
}

/// `probe.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// Between two probes while serving.
    pub interval: Duration,
    /// For one probe, none if it is left to the default: [`Probe::timeout_for`].
    pub timeout: Option<Duration>,
    /// Passes in a row that make it healthy.
    pub healthy: u32,
    /// Failures in a row that make it unhealthy.
    pub unhealthy: u32,
    /// From the start of the container to the first healthy, none if it is left to the default: [`Probe::start_limit`].
    pub start_timeout: Option<Duration>,
    /// Without any probe: how long the app must have run to count as healthy.
    pub running_for: Duration,
    /// What an HTTP probe sends and takes for healthy.
    #[serde(flatten)]
    pub http: HttpProbe,
}

/// `secrets_as`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretsAs {
    /// Set in the process by the shim.
    Env,
    /// One file each in `/run/secrets`.
    Files,
}

/// `secrets_refresh`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refresh {
    /// How often rotated values are looked for.
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

/// One entry of `volumes`: `SOURCE:TARGET[:ro|rw]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// A path on the host, or the name of a volume of the engine; none makes an anonymous volume.
    pub source: Option<String>,
    /// The path in the container.
    pub target: String,
    /// Whether it is mounted read-only.
    pub read_only: bool,
}

/// One entry of `ulimits`: `nofile=1024[:2048]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ulimit {
    /// `nofile`
    pub name: String,
    /// The soft limit, -1 for none.
    pub soft: i64,
    /// The hard limit, -1 for none.
    pub hard: i64,
}

/// One entry of `devices`: `HOST[:CONTAINER[:rwm]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// The path on the host.
    pub host: String,
    /// The path in the container.
    pub container: String,
    /// The cgroup permissions, letters of `rwm`.
    pub permissions: String,
}

/// `gpus`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Gpus {
    /// `all`
    All,
    /// A number of them.
    Count(u32),
    /// `device=0,1`: by index or UUID.
    Devices(Vec<String>),
}

/// `imds`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
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
    /// What then.
    pub on_failure: OnFailure,
}

/// `boot.on_failure`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
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
    /// Restarts within `window` after which the instance is given up.
    pub limit: u32,
    /// The window.
    pub window: Duration,
}

/// `drain.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drain {
    /// Keep serving this long after readiness turned 503.
    pub settle: Duration,
    /// Wait at most this long for connections to end.
    pub timeout: Duration,
    /// No connection for this long counts as ended.
    pub idle: Duration,
    /// What the group hears of a drain that was cut short.
    pub on_failure: CutDrain,
}

/// `drain.on_failure`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CutDrain {
    /// The termination hook is completed with CONTINUE, as after any other drain.
    Continue,
    /// It is completed with ABANDON: a group with the retention trigger `TerminateHookAbandon=retain` keeps the instance.
    Abandon,
}

/// `lifecycle.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lifecycle {
    /// Between two looks at the metadata.
    pub poll: Duration,
    /// The Auto Scaling group; discovered if not given.
    pub group: Option<String>,
    /// The launch hook; discovered if not given.
    pub launch_hook: Option<String>,
    /// The termination hook; discovered if not given.
    pub terminate_hook: Option<String>,
    /// Between two heartbeats; half the hook's timeout if not given, 30 s if that is unknown.
    pub heartbeat: Option<Duration>,
}

/// What a notice does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNotice {
    /// Drain.
    Drain,
    /// Log it.
    Ignore,
}
