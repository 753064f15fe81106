//! From what was written to what is believed: every value, then what the values say together, all faults at once.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::fault::{Faults, Place};
use super::keys::{self, Key};
use super::layers::{Layer, Layers, Written};
use super::{
    BootPolicy, Config, Drain, Health, ImageRef, ImdsAccess, Lifecycle, OnFailure, OnNotice, Port, Probe, RegistryAuth,
    Restart, SecretsAs,
};

impl Layers {
    /// The config, or every fault of all layers.
    pub fn believe(&self) -> Result<Config, Faults> {
        let (config, faults) = self.believe_in_part();
        if faults.is_empty() { Ok(config) } else { Err(faults) }
    }

    /// The config for `berth run`: as [`Layers::believe`], and keys that this version does not act on are faults too.
    pub fn believe_for_run(&self) -> Result<Config, Faults> {
        let (config, mut faults) = self.believe_in_part();
        for (key, sentence) in self.not_yet() {
            faults.add(self.place(key), Some(key), || sentence);
        }
        if faults.is_empty() { Ok(config) } else { Err(faults) }
    }

    /// The config as far as it can be believed. Without an `image` it has none; that is a fault.
    fn believe_in_part(&self) -> (Config, Faults) {
        let (config, mut faults) = self.believe_what_is_written();
        if !self.keys.contains_key("image") && !self.broken {
            faults.add(None, Some("image"), || match self.in_vain {
                true => {
                    "is required, and the user-data holds no config (a line that begins with `berth ` or `#berth `)"
                }
                false => "is required",
            });
        }
        (config, faults)
    }

    /// The config as far as these layers tell, where more may follow: an `image` that is not written is empty.
    pub(crate) fn believe_what_is_written(&self) -> (Config, Faults) {
        let mut faults = self.faults.clone();
        let mut config = unset();
        let mut in_order: Vec<(&String, &Written)> =
            self.keys.iter().filter(|(key, _)| !self.is_outdone(key)).collect();
        in_order.sort_by_key(|(_, written)| written.order);
        for (key, written) in in_order {
            let Some((known, name)) = Key::find(key) else { continue };
            if let Err(reasons) = (known.believe)(&mut config, &written.value, name) {
                for reason in reasons.0 {
                    faults.add(Some(written.place.clone()), Some(key), || reason);
                }
            }
        }
        self.fill_in(&mut config, &mut faults);
        self.cross_check(&config, &mut faults);
        (config, faults)
    }

    /// Whether the key says the same thing as another one that a later layer wrote: `port` and `ports` are one list, and a
    /// name has one value, from `env` or from `secret`.
    fn is_outdone(&self, key: &str) -> bool {
        let other = match (key.strip_prefix("env."), key.strip_prefix("secret."), key) {
            (Some(name), ..) => format!("secret.{name}"),
            (_, Some(name), _) => format!("env.{name}"),
            (.., "port") => "ports".to_owned(),
            (.., "ports") => "port".to_owned(),
            _ => return false,
        };
        self.layer(&other) > self.layer(key)
    }

    /// What follows from other keys when it is not written itself.
    fn fill_in(&self, config: &mut Config, faults: &mut Faults) {
        if !self.keys.contains_key("name") {
            let last = config.image.repository.rsplit('/').next().unwrap_or_default();
            match keys::app_name(last) {
                Ok(name) => config.name = name,
                Err(_) if last.is_empty() => {}
                Err(_) => faults.add(None, Some("name"), || "must be given: the repository's last part is no name"),
            }
        }
        if config.log_driver == "json-file" && config.log_opt.is_empty() {
            let rotated = [("max-size", "10m"), ("max-file", "3")];
            config.log_opt.extend(rotated.map(|(key, value)| (key.to_owned(), value.to_owned())));
        }
    }

    fn cross_check(&self, config: &Config, faults: &mut Faults) {
        let mut fault = |key: &str, reason: &'static str| faults.add(self.place(key), Some(key), || reason);
        for name in config.env.keys().filter(|name| config.secret.contains_key(*name)) {
            fault(&format!("secret.{name}"), "the same name is given as `env.` too");
        }
        let ports = if self.keys.contains_key("ports") { "ports" } else { "port" };
        for (n, port) in config.ports.iter().enumerate() {
            let earlier = config.ports.iter().take(n);
            if earlier.clone().any(|other| port.clashes(other)) {
                fault(ports, "two of the ports need the same port of the host");
            }
            if port.takes(config.listen) {
                fault(ports, "`listen` has this port of the host: change one of them");
            }
            if config.network.as_deref() == Some("host") && port.host != port.container {
                fault(ports, "on the host's network a port is the same on both sides");
            }
        }
        let needs_port = matches!(config.health, Some(Health::Path(_) | Health::Tcp(None)));
        if needs_port && config.first_tcp_port().is_none() && !self.has_fault_in_ports() {
            fault("health", "asks the first TCP port, and none is given: add `port=`");
        }
        if config.restart.backoff > config.restart.backoff_max {
            let key = if self.keys.contains_key("restart.backoff") { "restart.backoff" } else { "restart.backoff_max" };
            fault(key, "`restart.backoff` is longer than `restart.backoff_max`");
        }
        if config.log_driver == "awslogs" && !config.log_opt.contains_key("awslogs-group") {
            fault("log_driver", "`awslogs` needs `log_opt.awslogs-group`");
        }
        let mut targets: Vec<&str> = config.volumes.iter().map(|volume| volume.target.as_str()).collect();
        targets.extend(config.tmpfs.keys().map(String::as_str));
        let mut targets: Vec<&str> = targets.into_iter().map(|target| target.trim_end_matches('/')).collect();
        targets.sort_unstable();
        if targets.windows(2).any(|pair| pair.first() == pair.last()) {
            let key = if config.volumes.is_empty() { "tmpfs" } else { "volumes" };
            fault(key, "two of the mounts have the same path in the container");
        }
        if config.secrets_as == SecretsAs::Files && config.has_secrets() && targets.contains(&"/run/secrets") {
            fault("secrets_as", "the secrets' files need `/run/secrets`, where a volume or tmpfs is");
        }
    }

    /// A list of ports that is at fault is not an empty one.
    fn has_fault_in_ports(&self) -> bool {
        ["port", "ports"]
            .iter()
            .any(|key| self.keys.get(*key).is_some_and(|written| written.value.each(Port::parse).is_err()))
    }

    fn place(&self, key: &str) -> Option<Place> {
        self.keys.get(key).map(|written| written.place.clone())
    }

    fn layer(&self, key: &str) -> Option<Layer> {
        self.keys.get(key).map(|written| written.layer)
    }
}

/// The defaults, with what has none left empty. The table of keys says the same; a test compares them.
fn unset() -> Config {
    let seconds = Duration::from_secs;
    Config {
        image: ImageRef { registry: String::new(), repository: String::new(), tag: None, digest: None },
        name: String::new(),
        ports: Vec::new(),
        health: None,
        probe: Probe {
            interval: seconds(5),
            timeout: seconds(2),
            healthy: 1,
            unhealthy: 3,
            start_timeout: seconds(120),
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
        cpus: None,
        ulimits: Vec::new(),
        cap_add: Vec::new(),
        cap_drop: Vec::new(),
        devices: Vec::new(),
        gpus: None,
        network: None,
        hostname: None,
        extra_hosts: Vec::new(),
        shm_size: None,
        labels: BTreeMap::new(),
        init: true,
        privileged: false,
        stop_signal: None,
        log_driver: "json-file".to_owned(),
        log_opt: BTreeMap::new(),
        imds: ImdsAccess::Allow,
        listen: Config::DEFAULT_LISTEN,
        boot: BootPolicy { timeout: seconds(600), on_failure: OnFailure::Abandon },
        restart: Restart { backoff: seconds(1), backoff_max: seconds(60), limit: 5, window: seconds(600) },
        drain: Drain { settle: seconds(20), timeout: seconds(300), idle: seconds(2) },
        stop_timeout: seconds(30),
        lifecycle: Lifecycle {
            poll: seconds(2),
            group: None,
            launch_hook: None,
            terminate_hook: None,
            heartbeat: None,
        },
        spot: OnNotice::Drain,
        rebalance: OnNotice::Ignore,
        maintenance: OnNotice::Ignore,
    }
}

impl Config {
    /// `listen` when it is not written.
    pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 9911));
}
