//! The config when nothing is written. The table of keys tells the same in words; a test compares the two.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use super::{
    BootPolicy, Config, CutDrain, Drain, HttpProbe, ImageRef, ImdsAccess, Lifecycle, OnFailure, OnNotice, Probe,
    RegistryAuth, Restart, SecretsAs,
};

/// Every default; what has none, `image` and `name`, is empty.
pub(super) fn defaults() -> Config {
    let seconds = Duration::from_secs;
    Config {
        image: ImageRef { registry: String::new(), repository: String::new(), tag: None, digest: None },
        name: String::new(),
        ports: Vec::new(),
        health: None,
        probe: Probe {
            interval: seconds(5),
            timeout: None,
            healthy: 1,
            unhealthy: 3,
            start_timeout: None,
            running_for: seconds(5),
            http: HttpProbe::default(),
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
        init: true,
        privileged: false,
        stop_signal: None,
        log_driver: "json-file".to_owned(),
        log_opt: BTreeMap::new(),
        imds: ImdsAccess::Allow,
        listen: Config::DEFAULT_LISTEN,
        after: Vec::new(),
        boot: BootPolicy { timeout: seconds(600), on_failure: OnFailure::Abandon },
        restart: Restart { backoff: seconds(1), backoff_max: seconds(60), limit: 5, window: seconds(600) },
        drain: Drain { settle: seconds(20), timeout: seconds(300), idle: seconds(2), on_failure: CutDrain::Continue },
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
    pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 9911));

    /// `log_driver` for whichever the engine has by default, with the options that its own configuration says.
    pub const ENGINE_LOG_DRIVER: &str = "engine";
}

#[cfg(test)]
mod tests {
    use super::super::Layers;
    use super::super::keys::{Default, KEYS};

    #[test]
    fn the_defaults_of_the_table_are_the_defaults_of_the_config() {
        let mut layers = Layers::new();
        let by_value = |default: &Default| if let Default::Value(text) = default { Some(*text) } else { None };
        let words: Vec<_> =
            KEYS.iter().filter_map(|key| Some(format!("{}={}", key.name, by_value(&key.default)?))).collect();
        assert!(words.len() > 20);
        layers.add_words(&["image=x:1".to_owned()]);
        let plain = layers.resolve().unwrap();
        layers.add_words(&words);
        assert_eq!(layers.resolve(), Ok(plain));
    }
}
