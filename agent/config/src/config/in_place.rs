//! What a release in place cannot change.

use crate::config::Config;
use crate::config::policy::{BootPolicy, Lifecycle};

impl Config {
    /// The keys that differ in the next config and are decided when an instance boots: it runs with the old values until it is replaced.
    pub fn needs_new_instance(&self, next: &Self) -> Vec<&'static str> {
        // Without `..`: a new key does not compile until it is decided here whether a release can change it.
        let Self {
            listen,
            boot: BootPolicy { timeout, on_failure },
            lifecycle: Lifecycle { poll, group, launch_hook, terminate_hook, heartbeat },
            follow,
            image: _,
            name: _,
            ports: _,
            health: _,
            probe: _,
            env: _,
            secret: _,
            secrets: _,
            secrets_as: _,
            secrets_refresh: _,
            registry_auth: _,
            command: _,
            entrypoint: _,
            user: _,
            workdir: _,
            volumes: _,
            tmpfs: _,
            read_only: _,
            memory: _,
            memory_swap: _,
            cpus: _,
            pids_limit: _,
            oom_score_adj: _,
            ulimits: _,
            cap_add: _,
            cap_drop: _,
            group_add: _,
            security_opt: _,
            sysctls: _,
            devices: _,
            gpus: _,
            network: _,
            hostname: _,
            extra_hosts: _,
            dns: _,
            dns_search: _,
            ipc: _,
            pid: _,
            shm_size: _,
            labels: _,
            platform: _,
            runtime: _,
            init: _,
            privileged: _,
            stop_signal: _,
            log_driver: _,
            log_opt: _,
            imds: _,
            target_groups: _,
            target_timeout: _,
            after: _,
            restart: _,
            drain: _,
            stop_timeout: _,
            spot: _,
            rebalance: _,
            maintenance: _,
            release: _,
            placement: _,
        } = self;
        [
            ("listen", *listen != next.listen),
            ("boot.timeout", *timeout != next.boot.timeout),
            ("boot.on_failure", *on_failure != next.boot.on_failure),
            ("lifecycle.poll", *poll != next.lifecycle.poll),
            ("lifecycle.group", *group != next.lifecycle.group),
            ("lifecycle.launch_hook", *launch_hook != next.lifecycle.launch_hook),
            ("lifecycle.terminate_hook", *terminate_hook != next.lifecycle.terminate_hook),
            ("lifecycle.heartbeat", *heartbeat != next.lifecycle.heartbeat),
            ("follow", *follow != next.follow),
        ]
        .into_iter()
        .filter_map(|(key, differs)| differs.then_some(key))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::all;
    use crate::parse::layers::Layers;

    fn config(words: &str) -> Config {
        let mut layers = Layers::new();
        layers.add_user_data(format!("berth image=x:1 {words}").as_bytes());
        layers.resolve_what_is_written(true).0
    }

    #[test]
    fn the_keys_of_a_boot_and_of_the_group_need_a_new_instance() {
        for (words, key) in [
            ("listen=0.0.0.0:80", "listen"),
            ("boot.timeout=1m", "boot.timeout"),
            ("boot.on_failure=hold", "boot.on_failure"),
            ("lifecycle.poll=1s", "lifecycle.poll"),
            ("lifecycle.group=web", "lifecycle.group"),
            ("lifecycle.launch_hook=up", "lifecycle.launch_hook"),
            ("lifecycle.terminate_hook=down", "lifecycle.terminate_hook"),
            ("lifecycle.heartbeat=15s", "lifecycle.heartbeat"),
            ("follow=15s", "follow"),
        ] {
            assert_eq!(config("").needs_new_instance(&config(words)), [key]);
            assert_eq!(config(words).needs_new_instance(&config("")), [key]);
            assert_eq!(config(words).needs_new_instance(&config(words)), [""; 0]);
        }
        let all = config("listen=[::]:80 follow=1s boot.timeout=1m lifecycle.group=a lifecycle.poll=3s");
        let keys = ["listen", "boot.timeout", "lifecycle.poll", "lifecycle.group", "follow"];
        assert_eq!(config("").needs_new_instance(&all), keys);
    }

    #[test]
    fn every_other_key_changes_in_place() {
        let fixed = |name: &str| {
            ["listen", "follow"].contains(&name) || name.starts_with("boot.") || name.starts_with("lifecycle.")
        };
        for key in all().filter(|key| !fixed(key.name)) {
            for example in key.examples.iter().filter(|example| !example.contains('…')) {
                let words =
                    if key.name.ends_with(".NAME") { (*example).to_owned() } else { format!("{}={example}", key.name) };
                let words = if key.name == "image" { "image=y:2".to_owned() } else { words };
                assert_eq!(config("").needs_new_instance(&config(&words)), [""; 0], "{words}");
            }
        }
        for key in all().filter(|key| fixed(key.name)) {
            let words = format!("{}={}", key.name, key.examples.first().unwrap());
            assert_eq!(config("").needs_new_instance(&config(&words)), [key.name]);
        }
    }
}
