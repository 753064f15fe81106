//! Combinations that the engine rejects, or the kernel at the start: found before anything is pulled.

use crate::config::Config;
use crate::error::ConfigErrors;
use crate::error::code::Code;
use crate::parse::layers::Layers;
use crate::value::kernel::{is_of_ipc, is_of_network};

/// Log drivers of the engine, and the prefix of the options that only they have. Any other driver is a plugin, which checks
/// its own options.
const LOG_DRIVERS: [(&str, &str); 11] = [
    ("awslogs", "awslogs-"),
    ("fluentd", "fluentd-"),
    ("gcplogs", "gcp-"),
    ("gelf", "gelf-"),
    ("logentries", "logentries-"),
    ("splunk", "splunk-"),
    ("syslog", "syslog-"),
    ("journald", ""),
    ("json-file", ""),
    ("local", ""),
    ("none", ""),
];

impl Layers {
    /// Keys that exclude each other.
    pub(crate) fn check_conflicts(&self, config: &Config, errors: &mut ConfigErrors) {
        self.check_own_name(config, errors);
        self.check_network_of_another(config, errors);
        self.check_sysctls(config, errors);
        self.check_swap(config, errors);
        self.check_log_options(config, errors);
        self.check_target_groups(config, errors);
    }

    /// A container cannot join its own namespaces: the engine looks for the container before it exists.
    fn check_own_name(&self, config: &Config, errors: &mut ConfigErrors) {
        let own = format!("container:{}", config.container_name());
        for (key, mode) in [("network", &config.network), ("ipc", &config.ipc), ("pid", &config.pid)] {
            if mode.as_deref() == Some(own.as_str()) {
                errors.add(
                    Code::Conflict,
                    self.location(key),
                    Some(key),
                    || "names the app's own container: use another one",
                );
            }
        }
    }

    /// A container on another one's network uses that one's name, name servers and ports (moby, validateNetContainerMode).
    fn check_network_of_another(&self, config: &Config, errors: &mut ConfigErrors) {
        if !config.network.as_deref().is_some_and(|network| network.starts_with("container:")) {
            return;
        }
        let ports = if self.location("port").is_some() { "port" } else { "ports" };
        for (key, is_set) in [
            ("hostname", config.hostname.is_some()),
            ("extra_hosts", !config.extra_hosts.is_empty()),
            ("dns", !config.dns.is_empty()),
            (ports, !config.ports.is_empty()),
        ] {
            if is_set {
                errors.add(
                    Code::Conflict,
                    self.location(key),
                    Some(key),
                    || "cannot be set with `network=container:NAME`: that container's setting is used",
                );
            }
        }
    }

    /// A container in a namespace of the host cannot set its sysctls (runc, validate.sysctl).
    fn check_sysctls(&self, config: &Config, errors: &mut ConfigErrors) {
        let host = |mode: &Option<String>| mode.as_deref() == Some("host");
        let mut error =
            |reason: &'static str| errors.add(Code::Conflict, self.location("sysctls"), Some("sysctls"), || reason);
        if host(&config.network) && config.sysctls.keys().any(|name| is_of_network(name)) {
            error("`net.*` cannot be set with `network=host`: set it on the host, in `/etc/sysctl.d`");
        }
        if host(&config.ipc) && config.sysctls.keys().any(|name| is_of_ipc(name)) {
            error(
                "`kernel.*` and `fs.mqueue.*` cannot be set with `ipc=host`: set them on the host, in `/etc/sysctl.d`",
            );
        }
    }

    fn check_swap(&self, config: &Config, errors: &mut ConfigErrors) {
        let Some(swap) = config.memory_swap.filter(|swap| *swap > 0) else { return };
        let mut error =
            |code, reason: &'static str| errors.add(code, self.location("memory_swap"), Some("memory_swap"), || reason);
        match config.memory {
            // An invalid `memory` has its own error.
            None if self.location("memory").is_some() => {}
            None => error(Code::Missing, "needs `memory`: `memory_swap` is the sum of memory and swap"),
            Some(memory) if swap.unsigned_abs() < memory => {
                error(
                    Code::Conflict,
                    "is less than `memory`: `memory_swap` is the sum of memory and swap; for no swap, set both to the same size",
                );
            }
            Some(_) => {}
        }
    }

    /// The engine rejects options of another driver.
    fn check_log_options(&self, config: &Config, errors: &mut ConfigErrors) {
        let driver = config.log_driver.as_str();
        if !LOG_DRIVERS.iter().any(|(known, _)| *known == driver) {
            return;
        }
        for option in config.log_opt.keys() {
            let owner = LOG_DRIVERS.iter().find(|(_, begin)| !begin.is_empty() && option.starts_with(begin));
            if let Some((owner, _)) = owner.filter(|(owner, _)| *owner != driver) {
                let key = format!("log_opt.{option}");
                errors.add(Code::Conflict, self.location(&key), Some(&key), || {
                    format!(
                        "is an option of log driver `{owner}`, and `log_driver` is `{driver}`: set `log_driver={owner}`"
                    )
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(words: &str) -> String {
        let mut layers = Layers::new();
        layers.add_user_data(format!("berth image=x:1 {words}").as_bytes());
        layers.resolve().map_or_else(|errors| errors.to_string(), |_| "none".into())
    }

    #[test]
    fn combinations_that_the_engine_rejects_are_errors_with_a_location() {
        for (words, expected) in [
            ("hostname=a network=container:b", "`hostname`: cannot be set with `network=container:NAME`"),
            ("extra_hosts=a:1.1.1.1 network=container:b", "`extra_hosts`: cannot be set"),
            ("dns=1.1.1.1 network=container:b", "`dns`: cannot be set"),
            ("port=80 health=none network=container:b", "`port`: cannot be set"),
            ("sysctls=net.core.somaxconn=1 network=host", "`sysctls`: `net.*` cannot be set with `network=host`"),
            (
                "sysctls=kernel.shmmax=1 ipc=host",
                "`sysctls`: `kernel.*` and `fs.mqueue.*` cannot be set with `ipc=host`",
            ),
            ("sysctls=fs.mqueue.msg_max=1 ipc=host", "`sysctls`: `kernel.*` and `fs.mqueue.*` cannot be set"),
            ("ipc=container:berth-x", "`ipc`: names the app's own container"),
            ("pid=container:berth-x", "`pid`: names the app's own container"),
            ("network=container:berth-x health=none", "`network`: names the app's own container"),
            ("memory_swap=1g", "`memory_swap`: needs `memory`"),
            ("memory_swap=256m memory=512m", "`memory_swap`: is less than `memory`"),
            (
                "log_opt.awslogs-group=g",
                "`log_opt.awslogs-group`: is an option of log driver `awslogs`, and `log_driver` is `json-file`",
            ),
            (
                "log_opt.gelf-address=udp://a:1 log_driver=journald",
                "`log_opt.gelf-address`: is an option of log driver `gelf`",
            ),
        ] {
            let reported = errors(words);
            assert!(
                reported.starts_with("user-data line 1 column 17: ") && reported.contains(expected),
                "{words}: {reported}"
            );
            assert_eq!(reported.lines().count(), 1, "{words}: {reported}");
        }
    }

    #[test]
    fn combinations_that_the_engine_accepts_are_allowed() {
        for words in [
            "sysctls=kernel.shmmax=1 network=host",
            "sysctls=net.core.somaxconn=1 ipc=host",
            "sysctls=net.core.somaxconn=1 network=container:b health=none",
            "memory_swap=-1",
            "memory_swap=0",
            "memory_swap=512m memory=512m",
            "log_opt.awslogs-group=g log_driver=awslogs",
            "log_opt.awslogs-group=g log_driver=engine",
            "log_opt.awslogs-group=g log_driver=team/plugin:1",
            "log_opt.max-size=1m log_driver=local",
            "dns_search=a network=container:b health=none",
            "hostname=a dns=1.1.1.1 network=host",
        ] {
            assert_eq!(errors(words), "none", "{words}");
        }
    }

    #[test]
    fn one_mistake_in_memory_is_one_error() {
        let reported = errors("memory=lots memory_swap=1g");
        assert!(reported.contains("`memory`: is not a size") && reported.lines().count() == 1, "{reported}");
    }

    /// With `engine`, the engine's configuration decides the driver and the rotation.
    #[test]
    fn the_engine_s_own_log_driver_has_no_options_of_berth_s() {
        let mut layers = Layers::new();
        layers.add_user_data(b"berth image=x:1 log_driver=engine");
        let config = layers.resolve().unwrap();
        assert_eq!((config.log_driver.as_str(), config.log_opt.len()), (Config::ENGINE_LOG_DRIVER, 0));
    }
}
