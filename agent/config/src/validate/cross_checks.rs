//! Cross-checks: values that exclude each other, and values that need another key.

use crate::config::Config;
use crate::config::policy::ImdsAccess;
use crate::error::ConfigErrors;
use crate::error::code::Code;
use crate::parse::layers::Layers;
use crate::validate::mounts;
use crate::value::health::ProbeMethod;
use crate::value::port::Port;

impl Layers {
    /// Keys that need another key.
    pub(crate) fn check_missing(&self, config: &Config, errors: &mut ConfigErrors) {
        let needs_port = matches!(config.health, Some(ProbeMethod::Path(_) | ProbeMethod::Tcp(None)));
        if needs_port && config.first_tcp_port().is_none() && !self.has_error_in_ports() {
            errors.add(
                Code::Missing,
                self.location("health"),
                Some("health"),
                || "needs a TCP port, and the config has none: add `port=`",
            );
        }
        if config.log_driver == "awslogs" && !config.log_opt.contains_key("awslogs-group") {
            let reason = "`awslogs` needs `log_opt.awslogs-group`";
            errors.add(Code::Missing, self.location("log_driver"), Some("log_driver"), || reason);
        }
    }

    /// Values that exclude each other.
    pub(crate) fn check_combinations(&self, config: &Config, errors: &mut ConfigErrors) {
        self.check_conflicts(config, errors);
        let mut error = |key: &str, reason: &'static str| {
            errors.add(Code::Conflict, self.location(key), Some(key), || reason);
        };
        for name in config.env.keys().filter(|name| config.secret.contains_key(*name)) {
            error(&format!("secret.{name}"), "is also set by `env.`: remove one of them");
        }
        let ports = if self.keys.contains_key("ports") { "ports" } else { "port" };
        for (n, port) in config.ports.iter().enumerate() {
            let earlier = config.ports.iter().take(n);
            if earlier.clone().any(|other| port.clashes(other)) {
                error(ports, "has two entries for the same host port");
            }
            if port.takes(config.listen) {
                error(ports, "is the port that `listen` uses on the host: change one of them");
            }
            if config.network.as_deref() == Some("host") && port.host != port.container {
                error(ports, "has different ports with `network=host`, which has no port mapping");
            }
        }
        if config.imds == ImdsAccess::Block {
            match config.network.as_deref() {
                Some("host") => error("imds", "`block` has no effect on a container with `network=host`"),
                Some(network) if network.starts_with("container:") => {
                    error("imds", "`block` has no effect on a container with `network=container:NAME`");
                }
                _ => {}
            }
        }
        if config.restart.backoff > config.restart.backoff_max {
            let key = if self.keys.contains_key("restart.backoff") { "restart.backoff" } else { "restart.backoff_max" };
            error(key, "`restart.backoff` is longer than `restart.backoff_max`");
        }
        if config.health == Some(ProbeMethod::None) && config.probe.running_for >= config.boot.timeout {
            let key = if self.keys.contains_key("probe.running_for") { "probe.running_for" } else { "boot.timeout" };
            error(
                key,
                "`probe.running_for` must be shorter than `boot.timeout`: else the app never becomes healthy in time",
            );
        }
        if let Some(key) = mounts::duplicate(config) {
            error(key, "has two mounts with the same path in the container");
        }
        if let Some((key, reason)) = mounts::blocks_secrets(config) {
            error(key, reason);
        }
        // The probe connects to the container's own address, and these networks have none.
        let nowhere = config.network.as_deref().is_some_and(|name| name == "none" || name.starts_with("container:"));
        if nowhere
            && matches!(config.health, Some(ProbeMethod::Path(_) | ProbeMethod::Port { .. } | ProbeMethod::Tcp(_)))
        {
            error(
                "health",
                "probes the address of the container, which has none with this `network`: use `health=cmd:…`, or another `network`",
            );
        }
        if config.log_opt.contains_key("awslogs-stream-prefix") {
            error(
                "log_opt.awslogs-stream-prefix",
                "is an option of ECS that Docker's awslogs driver rejects: use `log_opt.awslogs-stream=…`, or `log_opt.tag=…`",
            );
        }
    }

    /// An invalid list of ports is not an empty one.
    fn has_error_in_ports(&self) -> bool {
        ["port", "ports"]
            .iter()
            .any(|key| self.keys.get(*key).is_some_and(|written| written.value.each(Port::parse).is_err()))
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn values_that_conflict_or_need_another_key_are_errors() {
        for (words, expected) in [
            (
                "env.A=1 secret.A=x",
                expect!["user-data line 1 column 25: `secret.A`: is also set by `env.`: remove one of them"],
            ),
            ("port=80:1,80:2", expect!["user-data line 1 column 17: `port`: has two entries for the same host port"]),
            (
                "port=9911",
                expect![
                    "user-data line 1 column 17: `port`: is the port that `listen` uses on the host: change one of them"
                ],
            ),
            (
                "port=80:81 network=host",
                expect![
                    "user-data line 1 column 17: `port`: has different ports with `network=host`, which has no port mapping"
                ],
            ),
            (
                "imds=block network=host",
                expect!["user-data line 1 column 17: `imds`: `block` has no effect on a container with `network=host`"],
            ),
            (
                "imds=block network=container:x",
                expect![
                    "user-data line 1 column 17: `imds`: `block` has no effect on a container with `network=container:NAME`"
                ],
            ),
            (
                "health=/x",
                expect!["user-data line 1 column 17: `health`: needs a TCP port, and the config has none: add `port=`"],
            ),
            (
                "health=tcp port=53/udp",
                expect!["user-data line 1 column 17: `health`: needs a TCP port, and the config has none: add `port=`"],
            ),
            (
                "health=tcp port=x",
                expect![
                    "user-data line 1 column 28: `port`: is not a port like `8080`, `80:8080` or `127.0.0.1:80:8080/udp`"
                ],
            ),
            (
                "restart.backoff=2m",
                expect![
                    "user-data line 1 column 17: `restart.backoff`: `restart.backoff` is longer than `restart.backoff_max`"
                ],
            ),
            (
                "health=none boot.timeout=5s",
                expect![
                    "user-data line 1 column 29: `boot.timeout`: `probe.running_for` must be shorter than `boot.timeout`: else the app never becomes healthy in time"
                ],
            ),
            (
                "log_driver=awslogs",
                expect!["user-data line 1 column 17: `log_driver`: `awslogs` needs `log_opt.awslogs-group`"],
            ),
            (
                "volumes=/a:/x tmpfs=/x/",
                expect!["user-data line 1 column 17: `volumes`: has two mounts with the same path in the container"],
            ),
            (
                "secrets=a secrets_as=files tmpfs=/run/secrets",
                expect![
                    "user-data line 1 column 44: `tmpfs`: is mounted at or below `/run/secrets`, or hides it: berth delivers the secrets there; use another path"
                ],
            ),
            (
                "health=/x port=80 network=none",
                expect![
                    "user-data line 1 column 17: `health`: probes the address of the container, which has none with this `network`: use `health=cmd:…`, or another `network`"
                ],
            ),
            (
                "health=https:8443/x network=none",
                expect![
                    "user-data line 1 column 17: `health`: probes the address of the container, which has none with this `network`: use `health=cmd:…`, or another `network`"
                ],
            ),
            (
                "health=tcp:80 network=container:web",
                expect![
                    "user-data line 1 column 17: `health`: probes the address of the container, which has none with this `network`: use `health=cmd:…`, or another `network`"
                ],
            ),
            (
                "log_opt.awslogs-stream-prefix=api log_driver=awslogs log_opt.awslogs-group=g",
                expect![
                    "user-data line 1 column 17: `log_opt.awslogs-stream-prefix`: is an option of ECS that Docker's awslogs driver rejects: use `log_opt.awslogs-stream=…`, or `log_opt.tag=…`"
                ],
            ),
            (
                "secrets=a#b",
                expect![
                    "user-data line 1 column 17: `secrets`: names one key of a secret: write it as `secret.NAME=…`"
                ],
            ),
            (
                "lifecycle.launch_hook='a b' lifecycle.heartbeat=3h",
                expect![[r#"
                user-data line 1 column 17: `lifecycle.launch_hook`: is not a lifecycle hook name: at most 255 letters, digits and `-_/`
                user-data line 1 column 45: `lifecycle.heartbeat`: is longer than `2h`, the longest heartbeat timeout of a hook"#]],
            ),
            (
                "memory=1m probe.timeout=0s restart.backoff=0s listen=9911",
                expect![[r#"
                user-data line 1 column 17: `memory`: is less than `6m`, the engine's minimum
                user-data line 1 column 27: `probe.timeout`: is shorter than `100ms`
                user-data line 1 column 44: `restart.backoff`: is shorter than `1ms`
                user-data line 1 column 63: `listen`: is not an address with a port like `0.0.0.0:9911` or `[::]:9911`"#]],
            ),
        ] {
            let mut layers = Layers::new();
            layers.add_user_data(format!("berth image=x:1 {words}").as_bytes());
            expected.assert_eq(&layers.resolve().unwrap_err().to_string());
        }
    }

    #[test]
    fn values_that_do_not_conflict_are_allowed() {
        for words in [
            "secrets=a secrets_as=env tmpfs=/run/secrets",
            "secrets_as=files tmpfs=/run/secrets",
            "port=80,80:81/udp,0:82,0:83",
            "port=9911/udp",
            "port=80 network=host health=/x",
            "health=tcp:5432",
            "health=https:8443/x",
            "imds=block network=none",
            "health=cmd:true network=none",
            "health=http://127.0.0.1:1/ network=container:web",
            "imds=block network=own privileged=true",
            "health=http://127.0.0.1:1/ restart.backoff=1m",
            "health=tcp port=1 boot.timeout=5s",
            "health=none probe.running_for=0s boot.timeout=1s",
        ] {
            let mut layers = Layers::new();
            layers.add_user_data(format!("berth image=x:1 {words}").as_bytes());
            assert_eq!(layers.resolve().err(), None, "{words}");
        }
    }
}
