//! The config as validated: every value parsed, every cross-check done.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::config::policy::{
    BootPolicy, CutDrain, DrainConfig, ImdsAccess, Lifecycle, OnFailure, OnNotice, Placement, Probe, Refresh,
    RegistryAuth, ReleasePolicy, Restart, SecretsAs, TrafficMove,
};
use crate::value::container::{Device, Gpus, Ulimit, Volume};
use crate::value::health::ProbeMethod;
use crate::value::platform::Platform;
use crate::value::port::Port;
use crate::value::probe_http::HttpProbe;
use crate::value::reference::ImageRef;
use crate::value::secret_ref::SecretRef;
use crate::value::target_group::TargetGroup;
use crate::value::template::SecretValue;

mod derived;
mod in_place;
pub(crate) mod network;
pub(crate) mod policy;

/// Everything that this instance does. See docs/configuration.md for every key and its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Config {
    /// `image`
    pub image: ImageRef,
    /// `name`: the container is `berth-<name>`.
    pub name: String,
    /// `port`, `ports`, in the order written.
    pub ports: Vec<Port>,
    /// `health` as written; none is the default: the image's HEALTHCHECK, else `tcp`, else `none`.
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
    /// `oom_score_adj`, -1000 to 1000
    pub oom_score_adj: Option<i16>,
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
    /// `log_driver`; [`Config::ENGINE_LOG_DRIVER`] is the engine's default.
    pub log_driver: String,
    /// `log_opt.NAME`; for `json-file` without options, a rotation of 3 × 10 MB is added.
    pub log_opt: BTreeMap<String, String>,
    /// `imds`
    pub imds: ImdsAccess,
    /// `listen`
    pub listen: SocketAddr,
    /// `target_groups`
    pub target_groups: Vec<TargetGroup>,
    /// `target.timeout`
    pub target_timeout: Duration,
    /// `after`, paths of the host
    pub after: Vec<String>,
    /// `boot.*`
    pub boot: BootPolicy,
    /// `restart.*`
    pub restart: Restart,
    /// `drain.*`
    pub drain: DrainConfig,
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
    /// `follow`: the time between two looks at what `config=` points to
    pub follow: Option<Duration>,
    /// `release.*`
    pub release: ReleasePolicy,
    /// Where its container stands beside another one.
    pub placement: Placement,
}

impl Config {
    /// The value of `log_driver` for the engine's default driver, with the options of the engine's configuration.
    pub const ENGINE_LOG_DRIVER: &str = "engine";

    /// Every field without a value. The defaults come from the table of keys.
    pub(crate) fn empty() -> Self {
        Self {
            image: ImageRef { registry: String::new(), repository: String::new(), tag: None, digest: None },
            name: String::new(),
            ports: Vec::new(),
            health: None,
            probe: Probe {
                interval: Duration::ZERO,
                timeout: None,
                healthy: 0,
                unhealthy: 0,
                start_timeout: None,
                running_for: Duration::ZERO,
                http: HttpProbe::empty(),
            },
            env: BTreeMap::new(),
            secret: BTreeMap::new(),
            secrets: Vec::new(),
            secrets_as: SecretsAs::Env,
            secrets_refresh: None,
            registry_auth: RegistryAuth::Auto,
            command: None,
            entrypoint: None,
            user: None,
            workdir: None,
            volumes: Vec::new(),
            tmpfs: BTreeMap::new(),
            read_only: false,
            memory: None,
            memory_swap: None,
            cpus: None,
            pids_limit: None,
            oom_score_adj: None,
            ulimits: Vec::new(),
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            group_add: Vec::new(),
            security_opt: Vec::new(),
            sysctls: BTreeMap::new(),
            devices: Vec::new(),
            gpus: None,
            network: None,
            hostname: None,
            extra_hosts: Vec::new(),
            dns: Vec::new(),
            dns_search: Vec::new(),
            ipc: None,
            pid: None,
            shm_size: None,
            labels: BTreeMap::new(),
            platform: None,
            runtime: None,
            init: false,
            privileged: false,
            stop_signal: None,
            log_driver: String::new(),
            log_opt: BTreeMap::new(),
            imds: ImdsAccess::Allow,
            listen: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)),
            target_groups: Vec::new(),
            target_timeout: Duration::ZERO,
            after: Vec::new(),
            boot: BootPolicy { timeout: Duration::ZERO, on_failure: OnFailure::Abandon },
            restart: Restart { backoff: Duration::ZERO, backoff_max: Duration::ZERO, limit: 0, window: Duration::ZERO },
            drain: DrainConfig {
                settle: Duration::ZERO,
                timeout: Duration::ZERO,
                idle: Duration::ZERO,
                on_failure: CutDrain::Continue,
            },
            stop_timeout: Duration::ZERO,
            lifecycle: Lifecycle {
                poll: Duration::ZERO,
                group: None,
                launch_hook: None,
                terminate_hook: None,
                heartbeat: None,
            },
            spot: OnNotice::Drain,
            rebalance: OnNotice::Ignore,
            maintenance: OnNotice::Ignore,
            follow: None,
            release: ReleasePolicy {
                traffic: TrafficMove::Auto,
                healthy_for: Duration::ZERO,
                bake: Duration::ZERO,
                board: None,
                waves: Vec::new(),
                max_parallel: 0,
                failures: 0,
            },
            placement: Placement { is_second: false, is_unpublished: false },
        }
    }
}

/// The version of the fingerprint's first part: a change creates every container again.
const FINGERPRINT_FORMAT: u32 = 1;

impl Config {
    /// Identifies what a container is made of: 32 hex digits that change when the container must be created again, and stay when only
    /// the agent treats it differently (probe, restart, drain, lifecycle, listen, boot).
    pub fn fingerprint(&self) -> String {
        // Without `..`: a new key does not compile until it is decided here whether a container is made of it.
        let Self {
            image,
            name,
            ports,
            env,
            secret,
            secrets,
            secrets_as,
            imds,
            command,
            entrypoint,
            user,
            workdir,
            init,
            privileged,
            stop_signal,
            volumes,
            tmpfs,
            read_only,
            memory,
            cpus,
            ulimits,
            shm_size,
            cap_add,
            cap_drop,
            devices,
            gpus,
            network,
            hostname,
            extra_hosts,
            labels,
            log_driver,
            log_opt,
            dns,
            dns_search,
            group_add,
            ipc,
            memory_swap,
            pid,
            pids_limit,
            oom_score_adj,
            platform,
            runtime,
            security_opt,
            sysctls,
            health: _,
            probe: _,
            secrets_refresh: _,
            registry_auth: _,
            listen: _,
            // What registers it is not what it is made of; who chooses its host ports is.
            target_groups: _,
            target_timeout: _,
            after: _,
            boot: _,
            restart: _,
            drain: _,
            stop_timeout: _,
            lifecycle: _,
            spot: _,
            rebalance: _,
            maintenance: _,
            follow: _,
            release: _,
            placement: _,
        } = self;
        let first = (
            (FINGERPRINT_FORMAT, image.to_string(), name, ports),
            (env, secret, secrets, secrets_as, imds),
            (command, entrypoint, user, workdir, init, privileged, stop_signal),
            (volumes, tmpfs, read_only, memory, cpus, ulimits, shm_size),
            (cap_add, cap_drop, devices, gpus),
            (network, hostname, extra_hosts, labels, log_driver, log_opt),
        );
        // A key that came after the first version counts only if it is set: a container that was made without it keeps its fingerprint.
        let later = [
            ("dns", json!(dns)),
            ("dns_search", json!(dns_search)),
            ("group_add", json!(group_add)),
            ("ipc", json!(ipc)),
            ("memory_swap", json!(memory_swap)),
            ("oom_score_adj", json!(oom_score_adj)),
            ("pid", json!(pid)),
            ("pids_limit", json!(pids_limit)),
            ("platform", json!(platform)),
            ("port_choice", json!(self.chooses_ports().then_some(()))),
            ("runtime", json!(runtime)),
            ("security_opt", json!(security_opt)),
            ("sysctls", json!(sysctls)),
        ];
        let is_set = |value: &serde_json::Value| *value != json!(null) && *value != json!([]) && *value != json!({});
        let set: serde_json::Map<_, _> =
            later.into_iter().filter(|(_, value)| is_set(value)).map(|(key, value)| (key.to_owned(), value)).collect();
        // Maps with text keys and numbers always have a JSON form; an empty one would only create the container again.
        let mut json = serde_json::to_vec(&first).unwrap_or_default();
        if !set.is_empty() {
            json.extend(serde_json::to_vec(&set).unwrap_or_default());
        }
        Sha256::digest(json).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}
