//! A container as the engine has it: what it is made of, how it is found, where it answers, how it ended.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use berth_config::{Config, PinnedImage};
use serde::{Deserialize, Serialize};

use crate::message::identity::Identity;
use crate::targets::HostPorts;

/// A container's id, as the engine gave it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(pub String);

/// What a container is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Creation {
    /// The config.
    pub config: Arc<Config>,
    /// Who this instance is, for `AWS_REGION`, `BERTH_INSTANCE_ID`, `BERTH_AZ` and the label.
    pub identity: Arc<Identity>,
    /// The image, by digest.
    pub image: PinnedImage,
    /// What the image says of itself.
    pub facts: ImageFacts,
    /// The host ports that berth chose.
    pub ports: HostPorts,
}

/// What an image says of itself, as far as it decides anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// ENTRYPOINT
    pub entrypoint: Vec<String>,
    /// CMD
    pub command: Vec<String>,
    /// HEALTHCHECK, if it has one.
    pub healthcheck: Option<HealthCheck>,
}

/// A HEALTHCHECK, as far as berth keeps to it: how often it is asked, and how often it may fail, is `probe.*`'s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The argument vector.
    pub command: Vec<String>,
    /// `--timeout`, or what the engine takes without it.
    pub timeout: Duration,
    /// `--start-period`, zero without it.
    pub start_period: Duration,
}

/// A container that the engine has, as found by [`Effect::FindContainers`].
#[derive(Clone, Debug, PartialEq)]
pub struct FoundContainer {
    /// Its id.
    pub id: ContainerId,
    /// Its name, without the engine's leading slash.
    pub name: String,
    /// The fingerprint of the config that it was made from, if berth made it.
    pub fingerprint: Option<String>,
    /// The image that it was made from, if berth made it.
    pub image: Option<PinnedImage>,
    /// Present if it runs.
    pub running: Option<RunningContainer>,
}

/// A running container, as far as it can be asked and watched.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningContainer {
    /// Its id.
    pub id: ContainerId,
    /// Where its own ports answer, seen from the host.
    pub address: Address,
    /// What is published: port in the container and where it answers on the host.
    pub published: Vec<(u16, SocketAddr)>,
    /// The HEALTHCHECK in force.
    pub healthcheck: Option<HealthCheck>,
    /// Whether commands in it go through the shim to see the secret environment.
    pub shim: bool,
    /// How long its process had been running at the inspection, by the engine's `State.StartedAt`.
    pub running_for: Duration,
}

impl RunningContainer {
    /// The port on the host where other hosts reach this port of the container.
    pub fn host_port(&self, container: u16) -> Option<u16> {
        let is_reached = |address: &SocketAddr| !address.ip().to_canonical().is_loopback();
        let mut published = self.published.iter().filter(|(port, host)| *port == container && is_reached(host));
        published.next().map(|(_, host)| host.port())
    }
}

/// Where a container's own ports answer, seen from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// Its address on its network, or loopback on the host's network.
    At(IpAddr),
    /// Its network mode gives it no address of its own: `none`, or another container's network.
    Never,
    /// It had none at the inspection: it had stopped, or was on no network.
    NotNow,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The exit code, 128 + n for signal n.
    pub code: i64,
    /// Whether the kernel killed it for memory.
    pub oom_killed: bool,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => write!(f, "{address}"),
            Self::Never | Self::NotNow => f.write_str("no address"),
        }
    }
}

/// The first twelve characters, as `docker ps` shows an id.
impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..12).unwrap_or(&self.0))
    }
}

impl Exit {
    /// Whether nothing ran: the codes of a program that cannot be executed (126) or is not there (127), from a shell, from
    /// `docker-init` and from berth's shim alike.
    pub fn is_not_run(&self) -> bool {
        matches!(self.code, 126 | 127)
    }

    /// What the code means, if it is none of the app's own: POSIX shells and `docker-init` give 126, 127 and 128 + n for signal n.
    pub fn meaning(&self) -> Option<&'static str> {
        Some(match self.code {
            126 => {
                "the program cannot be executed: it is not executable, is built for another kind of machine, or its arguments and \
                 environment are too long"
            }
            127 => "the program, or the interpreter that it names, is not in the image",
            129 => "SIGHUP",
            130 => "SIGINT",
            131 => "SIGQUIT",
            132 => "SIGILL: an instruction that this CPU does not have",
            134 => "SIGABRT: the app aborted itself",
            135 => "SIGBUS",
            136 => "SIGFPE",
            137 => {
                "SIGKILL: killed from outside, by `docker kill` or by the kernel when the instance ran out of memory"
            }
            139 => "SIGSEGV: the app accessed memory that is not its own",
            141 => "SIGPIPE",
            143 => "SIGTERM: it was asked to stop",
            _ => return None,
        })
    }
}

/// `exited with code 3`, `exited with code 139 (SIGSEGV: …)`, `was killed by the kernel, out of memory (code 137)`.
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code;
        match self.meaning() {
            _ if self.oom_killed => write!(f, "was killed by the kernel, out of memory (code {code})"),
            Some(meaning) => write!(f, "exited with code {code} ({meaning})"),
            None => write!(f, "exited with code {code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(code: i64) -> String {
        Exit { code, oom_killed: false }.to_string()
    }

    #[test]
    fn an_exit_code_that_is_not_the_app_s_own_is_explained() {
        let signals = [
            (1, "SIGHUP"),
            (2, "SIGINT"),
            (3, "SIGQUIT"),
            (4, "SIGILL"),
            (6, "SIGABRT"),
            (7, "SIGBUS"),
            (8, "SIGFPE"),
            (9, "SIGKILL"),
            (11, "SIGSEGV"),
            (13, "SIGPIPE"),
            (15, "SIGTERM"),
        ];
        for (number, name) in signals {
            let code = 128 + number;
            assert!(shown(code).starts_with(&format!("exited with code {code} ({name}")), "{}", shown(code));
        }
        assert!(shown(126).contains("cannot be executed"), "{}", shown(126));
        assert!(shown(127).contains("is not in the image"), "{}", shown(127));
        for own in [0, 1, 125, 128, 255] {
            assert_eq!(shown(own), format!("exited with code {own}"));
        }
    }

    #[test]
    fn an_app_that_ran_out_of_memory_was_killed_and_did_not_exit() {
        let exit = Exit { code: 137, oom_killed: true };
        assert_eq!(exit.to_string(), "was killed by the kernel, out of memory (code 137)");
    }

    #[test]
    fn an_id_is_shown_as_docker_ps_shows_it() {
        assert_eq!(ContainerId("0123456789abcdef".into()).to_string(), "0123456789ab");
        assert_eq!(ContainerId("short".into()).to_string(), "short");
    }

    #[test]
    fn only_a_container_with_an_address_shows_one() {
        assert_eq!(Address::At(IpAddr::from([172, 17, 0, 2])).to_string(), "172.17.0.2");
        assert_eq!([Address::Never, Address::NotNow].map(|none| none.to_string()), ["no address"; 2]);
    }
}
