//! Target groups that no target of this instance could serve, found before anything is pulled.

use crate::config::Config;
use crate::error::ConfigErrors;
use crate::error::code::Code;
use crate::parse::layers::Layers;
use crate::value::port::{Port, Protocol};
use crate::value::scalar::duration_text;
use crate::value::target_group::TargetGroup;

const KEY: &str = "target_groups";

impl Layers {
    /// Each target group needs a port of the container that the load balancer reaches on the instance.
    pub(crate) fn check_target_groups(&self, config: &Config, errors: &mut ConfigErrors) {
        // A port that was refused is not missing, too.
        if errors.iter().any(|error| matches!(error.key.as_deref(), Some("port" | "ports"))) {
            return;
        }
        for (at, port) in config.ports.iter().enumerate().filter(|(_, port)| config.chooses_ports() && port.is_open()) {
            if config.ports.iter().take(at).any(|other| other.is_open() && other.container == port.container) {
                let key = if self.location("port").is_some() { "port" } else { "ports" };
                let why = format!("has `0:{}` twice: berth chooses one host port for it", port.container);
                errors.add(Code::Conflict, self.location(key), Some(key), || why);
            }
        }
        for (at, group) in config.target_groups.iter().enumerate() {
            let name = group.name();
            if let Some((code, why)) = unreachable(config, group) {
                errors.add(code, self.location(KEY), Some(KEY), || format!("`{name}` {why}"));
            }
            let target = |group: &TargetGroup| (group.arn.clone(), config.target_port(group));
            if config.target_groups.iter().take(at).any(|other| target(other) == target(group)) {
                let why = "twice with the same port: remove one of them";
                errors.add(Code::Conflict, self.location(KEY), Some(KEY), || format!("has `{name}` {why}"));
            }
        }
    }

    /// A time for something that is not done.
    pub(crate) fn warn_of_target_groups(&self, config: &Config, warnings: &mut ConfigErrors) {
        let key = "target.timeout";
        let location @ Some(_) = self.location(key) else { return };
        if config.target_groups.is_empty() {
            let why = "has no effect without `target_groups`: this instance registers itself nowhere";
            warnings.add(Code::UnusedKey, location, Some(key), || why);
        } else if config.target_timeout >= config.boot.timeout {
            let boot = duration_text(config.boot.timeout);
            let why = format!(
                "is never reached: `boot.timeout` ends the boot after {boot}; set `boot.timeout` to more than this and the time until the app is healthy"
            );
            warnings.add(Code::TargetAfterBoot, location, Some(key), || why);
        }
    }
}

/// Why a load balancer never reaches the port of this target group.
fn unreachable(config: &Config, group: &TargetGroup) -> Option<(Code, String)> {
    let Some(port) = config.target_port(group) else {
        return Some((Code::Missing, "needs a TCP port, and the config has none: add `port=`".to_owned()));
    };
    match config.network.as_deref() {
        // The container's ports are the host's.
        Some("host") if port == config.listen.port() => {
            let why = format!("needs port {port}, which `listen` uses on the host: change one of them");
            return Some((Code::Conflict, why));
        }
        Some("host") => return None,
        Some(network) if network == "none" || network.starts_with("container:") => {
            let why = format!("needs a port that is published, and `network={network}` publishes none");
            return Some((Code::Conflict, why));
        }
        _ => {}
    }
    let is_published = |one: &Port| one.protocol == Protocol::Tcp && one.container == port;
    if !config.ports.iter().any(is_published) {
        return Some((
            Code::Missing,
            format!("needs TCP port {port} of the container, which is not published: add `port={port}`"),
        ));
    }
    if !config.ports.iter().any(|one| one.is_reached_at(port)) {
        let why = format!(
            "needs port {port}, which is published on loopback only, where no load balancer reaches it: leave out the address"
        );
        return Some((Code::Conflict, why));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/web/73e2d6bc24d8a067";

    fn layers(words: &str) -> Layers {
        let mut layers = Layers::new();
        layers.add_user_data(format!("berth image=x:1 {}", words.replace("ARN", ARN)).as_bytes());
        layers
    }

    #[test]
    fn a_target_group_without_a_port_that_a_balancer_reaches_is_an_error() {
        for (words, expected) in [
            ("target_groups=ARN", "`web` needs a TCP port, and the config has none: add `port=`"),
            ("target_groups=ARN port=53/udp", "`web` needs a TCP port, and the config has none: add `port=`"),
            (
                "target_groups=ARN#9000 port=80",
                "`web` needs TCP port 9000 of the container, which is not published: add `port=9000`",
            ),
            (
                "target_groups=ARN port=127.0.0.1:80:80",
                "`web` needs port 80, which is published on loopback only, where no load balancer reaches it: leave out the address",
            ),
            (
                "target_groups=ARN port=[::1]:80:80",
                "`web` needs port 80, which is published on loopback only, where no load balancer reaches it: leave out the address",
            ),
            (
                "target_groups=ARN#9911 network=host",
                "`web` needs port 9911, which `listen` uses on the host: change one of them",
            ),
            (
                "target_groups=ARN#80 network=container:b health=none",
                "`web` needs a port that is published, and `network=container:b` publishes none",
            ),
            ("target_groups=ARN,ARN#80 port=80", "has `web` twice with the same port: remove one of them"),
        ] {
            let reported = layers(words).resolve().unwrap_err().to_string();
            assert_eq!(reported, format!("user-data line 1 column 17: `target_groups`: {expected}"), "{words}");
        }
    }

    #[test]
    fn a_target_group_with_a_port_that_a_balancer_reaches_is_allowed() {
        for words in [
            "target_groups=ARN port=80",
            "target_groups=ARN#9000 port=80,0:9000",
            "target_groups=ARN,ARN#9000 port=80,9000",
            "target_groups=ARN#9000 network=host",
            "target_groups=ARN port=127.0.0.1:80:80,10.0.0.1:81:80",
        ] {
            assert_eq!(layers(words).resolve().err(), None, "{words}");
        }
    }

    #[test]
    fn berth_chooses_only_what_a_balancer_may_still_send_to() {
        let chooses = |words: &str| layers(words).resolve().unwrap().chooses_ports();
        assert!(chooses("target_groups=ARN port=0:80") && chooses("target_groups=ARN port=80,0:9000"));
        assert!(
            !chooses("target_groups=ARN port=80")
                && !chooses("port=0:80")
                && !chooses("target_groups=ARN port=80,0:53/udp")
        );
    }

    #[test]
    fn an_error_of_the_ports_is_the_only_one() {
        for (port, why) in [
            ("65536", "is not a port like"),
            ("0", "has container port 0"),
            ("0:80,0:80", "has `0:80` twice: berth chooses one host port for it"),
        ] {
            let reported = layers(&format!("target_groups=ARN port={port}")).resolve().unwrap_err().to_string();
            assert!(reported.contains(why) && reported.lines().count() == 1, "{port}: {reported}");
        }
        assert_eq!(layers("port=0:80,0:80").resolve().err(), None, "the engine chooses two");
    }

    #[test]
    fn a_time_for_the_load_balancer_that_boot_timeout_cuts_is_a_warning() {
        let warnings = |words: &str| {
            let layers = layers(&format!("target_groups=ARN port=80 {words}"));
            layers.warnings(&layers.resolve().unwrap()).to_string()
        };
        assert!(warnings("target.timeout=20m").contains("`target.timeout`: is never reached: `boot.timeout` ends"));
        assert!(!warnings("boot.timeout=4m").contains("never reached"), "the default is cut, as it was meant");
        assert!(!warnings("target.timeout=20m boot.timeout=30m").contains("never reached"));
    }

    #[test]
    fn a_timeout_without_a_target_group_is_a_warning() {
        let warnings = |words: &str| {
            let layers = layers(words);
            layers.warnings(&layers.resolve().unwrap()).to_string()
        };
        assert!(warnings("target.timeout=1m").contains("`target.timeout`: has no effect without `target_groups`"));
        assert!(!warnings("target.timeout=1m target_groups=ARN port=80").contains("target.timeout"));
    }
}
