//! A handle on the engine at one socket.

use std::path::Path;
use std::time::Duration;

use berth_config::Platform;
use bollard::{API_DEFAULT_VERSION, Docker};

use super::error::EngineError;

/// Where the engine listens by default.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// For a response that the engine has in memory.
pub(super) const SHORT: Duration = Duration::from_secs(10);
/// For a response that costs the engine work: a cold disk, a device, a network.
pub(super) const LONG: Duration = Duration::from_secs(120);

/// The engine at one socket. Nothing is connected until a call is made: the engine may start after the agent.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(super) socket: String,
    /// The platform of the images to use; none is that of this machine.
    pub(super) platform: Option<Platform>,
}

impl Engine {
    /// The engine that `DOCKER_HOST` names, else the one at the default socket.
    pub fn new(docker_host: Option<&str>) -> Result<Self, EngineError> {
        let socket = match docker_host.filter(|host| !host.is_empty()) {
            None => DEFAULT_SOCKET,
            Some(host) => host
                .strip_prefix("unix://")
                .filter(|path| Path::new(path).is_absolute())
                .ok_or_else(|| EngineError::NoSocket(host.to_owned()))?,
        };
        Ok(Self { socket: socket.to_owned(), platform: None })
    }

    /// The same engine, for images of this platform.
    #[must_use]
    pub fn with_platform(&self, platform: Option<&Platform>) -> Self {
        Self { platform: platform.cloned(), ..self.clone() }
    }

    pub(super) fn asking(&self) -> String {
        format!("call the engine at {}", self.socket)
    }

    /// A bollard client with this timeout until the response begins. It costs nothing to make: every request has a connection of its own anyway.
    pub(super) fn within(&self, timeout: Duration) -> Result<Docker, bollard::errors::Error> {
        Docker::connect_with_unix(&self.socket, timeout.as_secs().saturating_add(1), API_DEFAULT_VERSION)
    }
}

#[cfg(test)]
mod tests {
    use berth_core::message::error::ErrorClass;

    use super::*;

    #[test]
    fn the_socket_is_the_one_docker_host_names() {
        assert_eq!(Engine::new(None).unwrap().socket, "/var/run/docker.sock");
        assert_eq!(Engine::new(Some("")).unwrap().socket, "/var/run/docker.sock");
        assert_eq!(Engine::new(Some("unix:///run/other.sock")).unwrap().socket, "/run/other.sock");
    }

    #[test]
    fn an_engine_elsewhere_is_refused_with_a_sentence() {
        for host in ["tcp://10.0.0.1:2375", "ssh://root@host", "/var/run/docker.sock", "unix://relative.sock"] {
            let error = Engine::new(Some(host)).unwrap_err();
            assert_eq!(error.class(), ErrorClass::Misconfigured);
            assert!(error.to_string().contains("unix:///"), "{error}");
        }
    }
}
