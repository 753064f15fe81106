//! The config when nothing is written. The values stand in the table of keys and nowhere else.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use crate::keys::{Default, KEYS};
use crate::value::Value;
use crate::{
    BootPolicy, Config, CutDrain, Drain, HttpProbe, ImageRef, ImdsAccess, Lifecycle, OnFailure, OnNotice, Probe,
    RegistryAuth, Restart, SecretsAs,
};

impl Config {
    /// `log_driver` for whichever the engine has by default, with the options that its own configuration says.
    pub const ENGINE_LOG_DRIVER: &str = "engine";

    /// The config when nothing is written. `image` and `name` have no default and are empty: a life begins with this config, and
    /// runs no container before it has read its own.
    pub fn defaults() -> Self {
        let mut config = Self::empty();
        for key in KEYS {
            if let Default::Value(text) = key.default {
                // A test resolves each: a default is as valid as what is written.
                let resolved = (key.resolve)(&mut config, &Value::Text(text.to_owned()), "");
                debug_assert!(resolved.is_ok(), "the default of {}", key.name);
            }
        }
        config
    }

    /// Every field without a value. What has a default gets it from the table of keys.
    fn empty() -> Self {
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
            after: Vec::new(),
            boot: BootPolicy { timeout: Duration::ZERO, on_failure: OnFailure::Abandon },
            restart: Restart { backoff: Duration::ZERO, backoff_max: Duration::ZERO, limit: 0, window: Duration::ZERO },
            drain: Drain {
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layers;

    #[test]
    fn the_defaults_of_the_table_are_the_defaults_of_the_config() {
        let by_value = |default: &Default| if let Default::Value(text) = default { Some(*text) } else { None };
        let words: Vec<_> =
            KEYS.iter().filter_map(|key| Some(format!("{}={}", key.name, by_value(&key.default)?))).collect();
        assert!(words.len() > 20);
        let mut layers = Layers::new();
        layers.add_words(&["image=x:1".to_owned()]);
        let plain = layers.resolve().unwrap();
        layers.add_words(&words);
        assert_eq!(layers.resolve(), Ok(plain.clone()));
        let filled_in = Config {
            image: plain.image.clone(),
            name: "x".into(),
            log_opt: plain.log_opt.clone(),
            ..Config::defaults()
        };
        assert_eq!(filled_in, plain);
    }
}
