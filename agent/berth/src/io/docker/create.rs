//! What a container is made of, in the engine's words: every key of the config as `docker run` means it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use berth_config::{Config, Gpus, ImdsAccess, Port, Volume};
use berth_core::message::container::Creation;
use berth_core::targets::HostPorts;
use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest, HostConfig, HostConfigLogConfig, Mount, MountType, PortBinding,
    PortMap, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};

use super::error::EngineError;
use super::seccomp;
use crate::shim;

/// The id of the instance that the container belongs to.
pub(super) const INSTANCE: &str = "berth.instance";
/// The app's name.
pub(super) const NAME: &str = "berth.name";
/// The fingerprint of the config.
pub(super) const FINGERPRINT: &str = "berth.fingerprint";
/// The image, repository and digest.
pub(super) const IMAGE: &str = "berth.image";
/// The security option that the API has as two lists of paths.
const UNMASKED: &str = "systempaths=unconfined";
/// The directory in the container with secrets that are delivered as files.
const SECRET_FILES: &str = "/run/secrets";

/// What is mounted for the delivery of secrets; the directories must exist.
#[derive(Clone, Copy, Debug)]
pub enum Mounted<'a> {
    /// There are no secrets.
    Nothing,
    /// The shim sets them.
    Env {
        /// berth's own binary on the host.
        binary: &'a Path,
        /// The directory that will hold the shim's file, on tmpfs.
        directory: &'a Path,
    },
    /// The app reads them.
    Files {
        /// The directory that will hold them, on tmpfs.
        directory: &'a Path,
    },
}

/// The body of `POST /containers/create`.
pub(super) fn body(creation: &Creation, mounted: Mounted<'_>) -> Result<ContainerCreateBody, EngineError> {
    let config = &creation.config;
    let (entrypoint, cmd) = command(creation, mounted)?;
    Ok(ContainerCreateBody {
        image: Some(creation.image.to_string()),
        entrypoint,
        cmd,
        env: Some(environment(creation)),
        user: config.user.clone(),
        working_dir: config.workdir.clone(),
        hostname: config.hostname.clone(),
        labels: Some(labels(creation).into_iter().collect()),
        stop_signal: config.stop_signal.clone(),
        stop_timeout: Some(whole_seconds(config.stop_timeout).into()),
        exposed_ports: Some(config.ports.iter().map(port_key).collect()),
        volumes: Some(
            config.volumes.iter().filter(|volume| volume.source.is_none()).map(|v| v.target.clone()).collect(),
        ),
        host_config: Some(host_config(creation, mounted)?),
        ..Default::default()
    })
}

fn host_config(creation: &Creation, mounted: Mounted<'_>) -> Result<HostConfig, EngineError> {
    let config = &creation.config;
    let is_unmasked = config.security_opt.iter().any(|option| option == UNMASKED);
    Ok(HostConfig {
        binds: Some(config.volumes.iter().filter_map(bind).collect()),
        mounts: Some(mounts(mounted)),
        tmpfs: Some(config.tmpfs.clone().into_iter().collect()),
        readonly_rootfs: Some(config.read_only),
        memory: config.memory.map(signed),
        memory_swap: config.memory_swap,
        pids_limit: config.pids_limit,
        oom_score_adj: config.oom_score_adj.map(i64::from),
        nano_cpus: config.cpus.map(signed),
        ulimits: Some(
            config
                .ulimits
                .iter()
                .map(|limit| ResourcesUlimits {
                    name: Some(limit.name.clone()),
                    soft: Some(limit.soft),
                    hard: Some(limit.hard),
                })
                .collect(),
        ),
        cap_add: Some(config.cap_add.clone()),
        cap_drop: Some(config.cap_drop.clone()),
        devices: Some(
            config
                .devices
                .iter()
                .map(|device| DeviceMapping {
                    path_on_host: Some(device.host.clone()),
                    path_in_container: Some(device.container.clone()),
                    cgroup_permissions: Some(device.permissions.clone()),
                })
                .collect(),
        ),
        device_requests: Some(config.gpus.iter().map(gpus).collect()),
        group_add: Some(config.group_add.clone()),
        sysctls: Some(config.sysctls.clone().into_iter().collect()),
        network_mode: config.network.clone(),
        dns: Some(config.dns.iter().map(IpAddr::to_string).collect()),
        dns_search: Some(config.dns_search.clone()),
        ipc_mode: config.ipc.clone(),
        pid_mode: config.pid.clone(),
        extra_hosts: Some(config.extra_hosts.clone()),
        shm_size: config.shm_size.map(signed),
        init: Some(config.init),
        privileged: Some(config.privileged),
        security_opt: Some(security_opts(config)?).filter(|options| !options.is_empty()),
        masked_paths: is_unmasked.then(Vec::new),
        readonly_paths: is_unmasked.then(Vec::new),
        runtime: config.runtime.clone(),
        log_config: Some(HostConfigLogConfig {
            // Without a driver the engine uses its default, and adds the options of its own configuration.
            typ: Some(config.log_driver.clone()).filter(|driver| driver != Config::ENGINE_LOG_DRIVER),
            config: Some(config.log_opt.clone().into_iter().collect()),
        }),
        // The other container of a release has them.
        port_bindings: (!config.placement.is_unpublished).then(|| port_bindings(&config.ports, &creation.ports)),
        // Only the agent restarts it (invariant 10).
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        ..Default::default()
    })
}

/// The security options. The docker command reads files and turns some options into other fields, which the API does not do. Unless the config
/// says otherwise, no process in the container gains privileges; a privileged container is exempt, since its apps need setuid programs.
fn security_opts(config: &Config) -> Result<Vec<String>, EngineError> {
    let is_said = config.security_opt.iter().any(|option| option.starts_with("no-new-privileges="));
    let own = (!config.privileged && !is_said).then(|| Ok("no-new-privileges:true".to_owned()));
    let written = config.security_opt.iter().filter(|option| *option != UNMASKED);
    own.into_iter()
        .chain(written.map(|option| match option.strip_prefix("seccomp=").filter(|profile| profile.starts_with('/')) {
            Some(path) => Ok(format!("seccomp={}", seccomp::profile(Path::new(path))?)),
            None => Ok(option.clone()),
        }))
        .collect()
}

/// An argument vector, if one is set.
type Arguments = Option<Vec<String>>;

/// ENTRYPOINT and CMD. What is not set is left to the image, unless the shim comes first: then all of it must be spelled out.
fn command(creation: &Creation, mounted: Mounted<'_>) -> Result<(Arguments, Arguments), EngineError> {
    let Creation { config, facts, image, .. } = creation;
    let entrypoint = config.entrypoint.as_ref().unwrap_or(&facts.entrypoint);
    let command = match (&config.command, &config.entrypoint) {
        (Some(command), _) => command.as_slice(),
        (None, Some(_)) => &[],
        (None, None) => &facts.command,
    };
    // `docker run --entrypoint ""` clears the image's entry point with one empty word.
    let entrypoint: Vec<_> = entrypoint.iter().filter(|word| !word.is_empty() || entrypoint.len() > 1).collect();
    if entrypoint.is_empty() && command.is_empty() {
        return Err(EngineError::NoCommand(image.to_string()));
    }
    if let Mounted::Env { .. } = mounted {
        let shim = [shim::BINARY, shim::WORD].into_iter().map(str::to_owned);
        return Ok((Some(shim.chain(entrypoint.into_iter().cloned()).collect()), Some(command.to_vec())));
    }
    let entrypoint = config
        .entrypoint
        .as_ref()
        .map(|_| if entrypoint.is_empty() { vec![String::new()] } else { entrypoint.into_iter().cloned().collect() });
    Ok((entrypoint, config.command.clone()))
}

/// The plain environment: berth's own variables, unless the config sets them.
fn environment(creation: &Creation) -> Vec<String> {
    let Creation { config, identity, .. } = creation;
    let version = config.version();
    // Some SDKs read one name, some the other: a region that the config sets under the first counts for both.
    let region = config.env.get("AWS_REGION").unwrap_or(&identity.region);
    let mut variables = BTreeMap::from([
        ("AWS_DEFAULT_REGION", region.as_str()),
        ("AWS_REGION", identity.region.as_str()),
        ("BERTH_VERSION", version.as_str()),
        ("BERTH_INSTANCE_ID", &identity.instance_id),
        ("BERTH_AZ", &identity.availability_zone),
    ]);
    if config.imds == ImdsAccess::Block {
        // The AWS SDKs then do not wait for metadata that cannot be reached (AWS SDKs and Tools reference guide, "IMDS credential provider").
        variables.insert("AWS_EC2_METADATA_DISABLED", "true");
    }
    variables.extend(config.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn labels(creation: &Creation) -> BTreeMap<String, String> {
    let Creation { config, identity, image, .. } = creation;
    let mut labels = config.labels.clone();
    labels.insert(INSTANCE.to_owned(), identity.instance_id.clone());
    labels.insert(NAME.to_owned(), config.name.clone());
    labels.insert(FINGERPRINT.to_owned(), config.fingerprint());
    labels.insert(IMAGE.to_owned(), image.to_string());
    labels
}

/// `SOURCE:TARGET[:ro]`: the engine makes a missing directory on the host, as `docker run -v` does.
fn bind(volume: &Volume) -> Option<String> {
    let source = volume.source.as_ref()?;
    let mode = if volume.read_only { ":ro" } else { "" };
    Some(format!("{source}:{}{mode}", volume.target))
}

/// The mounts for the secrets. Unlike a bind, such a mount is refused when its source is missing: the engine makes no empty directory on a disk in
/// its place.
fn mounts(mounted: Mounted<'_>) -> Vec<Mount> {
    let read_only = |source: &Path, target: &str| Mount {
        typ: Some(MountType::BIND),
        source: Some(source.display().to_string()),
        target: Some(target.to_owned()),
        read_only: Some(true),
        ..Default::default()
    };
    match mounted {
        Mounted::Nothing => Vec::new(),
        Mounted::Env { binary, directory } => {
            vec![read_only(binary, shim::BINARY), read_only(directory, shim::DIRECTORY)]
        }
        Mounted::Files { directory } => vec![read_only(directory, SECRET_FILES)],
    }
}

fn gpus(gpus: &Gpus) -> DeviceRequest {
    let (count, device_ids) = match gpus {
        Gpus::All => (-1, None),
        Gpus::Count(count) => (i64::from(*count), None),
        Gpus::Devices(ids) => (0, Some(ids.clone())),
    };
    DeviceRequest {
        count: Some(count),
        device_ids,
        capabilities: Some(vec![vec!["gpu".to_owned()]]),
        ..Default::default()
    }
}

fn port_key(port: &Port) -> String {
    format!("{}/{}", port.container, port.protocol.word())
}

/// A TCP port that the config leaves open is the one that berth chose, if it did.
fn port_bindings(ports: &[Port], chosen: &HostPorts) -> PortMap {
    let mut bindings: BTreeMap<String, Option<Vec<PortBinding>>> = BTreeMap::new();
    for port in ports {
        let chosen = chosen.get(&port.container).filter(|_| port.is_open());
        bindings.entry(port_key(port)).or_default().get_or_insert_default().push(PortBinding {
            host_ip: port.host_ip.map(|address| address.to_string()),
            host_port: Some(chosen.unwrap_or(&port.host).to_string()),
        });
    }
    bindings.into_iter().collect()
}

/// The engine counts whole seconds; a fraction is rounded up, so that no container is killed early.
pub(super) fn whole_seconds(duration: Duration) -> i32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
