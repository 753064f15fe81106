//! Releases that could not be made: nothing to follow, nothing that keeps a fleet from going all at once, no way to move traffic.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::Config;
use crate::config::policy::TrafficMove;
use crate::error::ConfigErrors;
use crate::error::code::Code;
use crate::parse::layers::{Layer, Layers};
use crate::value::container::Volume;
use crate::value::pointer::Pointer;
use crate::value::port::{Port, Protocol};
use crate::value::scalar::duration_text;

/// More often than this, a fleet of 200 instances uses up the 40 requests a second that Parameter Store allows an account (AWS General
/// Reference, "Systems Manager endpoints and quotas").
const FAST: Duration = Duration::from_secs(5);

/// What `berth release` counts by, too.
const LIMITS: [&str; 2] = ["release.max_parallel", "release.failures"];

impl Layers {
    /// What a release needs. If more keys follow, nothing is missing yet, and only a `release.move` that is written counts.
    pub(crate) fn check_releases(&self, config: &Config, more_follows: bool, errors: &mut ConfigErrors) {
        let is_followed = config.follow.is_some();
        if is_followed && !self.keys.contains_key("config") && !self.broken {
            errors.add(Code::Missing, self.location("follow"), Some("follow"), || {
                "needs `config=`, the document to look at: write both in the user-data, and what changes with a release, such as \
                 `image`, in the document"
            });
        }
        // What was refused is not what somebody meant.
        if ["release.move", "target_groups"].iter().any(|key| is_refused(errors, key)) {
            return;
        }
        let is_decided = !more_follows || config.release.traffic != TrafficMove::Auto;
        let is_whole = !more_follows && !self.broken;
        match config.traffic_move() {
            TrafficMove::Targets if is_decided && (is_followed || config.release.traffic == TrafficMove::Targets) => {
                self.check_targets(config, is_whole, errors);
            }
            TrafficMove::Readiness if is_decided && is_followed => self.check_readiness(config, is_whole, errors),
            _ => {}
        }
    }

    /// Two containers are in the target groups at once, each with host ports of its own.
    fn check_targets(&self, config: &Config, is_whole: bool, errors: &mut ConfigErrors) {
        if config.target_groups.is_empty() && is_whole {
            errors.add(
                Code::Missing,
                self.location("release.move"),
                Some("release.move"),
                || "`targets` needs `target_groups`: without them write `readiness` or `restart`",
            );
        }
        if config.network.as_deref() == Some("host") {
            errors.add(Code::Conflict, self.location("network"), Some("network"), || {
                "`host` has one set of ports, which two containers cannot have at once while traffic moves by `targets`: use another \
                 `network` and open ports (`port=0:8080`), or write `release.move=restart`"
            });
            return;
        }
        let key = if self.location("port").is_some() { "port" } else { "ports" };
        let fixed = config.ports.iter().find(|port| port.host != 0).filter(|_| !is_refused(errors, key));
        if let Some(port) = fixed {
            errors.add(Code::Conflict, self.location(key), Some(key), || {
                format!(
                    "has a fixed host port, which two containers cannot have at once while traffic moves by `targets`: let berth choose \
                     it, as in `{key}={}`, or write `release.move=restart`",
                    opened(port)
                )
            });
        }
    }

    /// The new container proves itself beside the old one, and then takes its ports.
    fn check_readiness(&self, config: &Config, is_whole: bool, errors: &mut ConfigErrors) {
        if config.release.board.is_none() && is_whole && !is_refused(errors, "release.board") {
            errors.add(Code::Missing, self.location("follow"), Some("follow"), || {
                "needs `release.board`: without it every instance of a fleet would be away at once; add \
                 `release.board=s3://BUCKET/PREFIX`, or register the instance by `target_groups`, or write `release.move=restart`"
            });
        }
        let shared = match config.network.as_deref() {
            Some("host") => Some("host"),
            Some(network) if network.starts_with("container:") => Some("container:NAME"),
            _ => None,
        };
        if let Some(network) = shared {
            errors.add(Code::Conflict, self.location("network"), Some("network"), || {
                format!(
                    "with `{network}` the new container would share its ports with the old one, and could not become healthy beside it: \
                     use another `network`, or write `release.move=restart`"
                )
            });
        }
        if !config.target_groups.is_empty() {
            errors.add(Code::Conflict, self.location("release.move"), Some("release.move"), || {
                "`readiness` would register the same port with the target group again, within its deregistration delay: use open ports \
                 (`port=0:8080`) and leave `release.move` out, or write `release.move=restart`"
            });
        }
    }

    /// Whether a key that counts is in a layer above the document, or in one below a document that was read and does not have it.
    fn is_outside_document(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(|written| match written.layer {
            Layer::Defaults => !self.awaits_document(),
            Layer::Pointer => false,
            Layer::UserData | Layer::CommandLine => true,
        })
    }

    /// Warnings about releases.
    pub(crate) fn warn_of_releases(&self, config: &Config, warnings: &mut ConfigErrors) {
        let mut warn = |code, key: &str, reason: String| {
            if let location @ Some(_) = self.location(key) {
                warnings.add(code, location, Some(key), || reason);
            }
        };
        let awaits_document = self.awaits_document();
        let Some(follow) = config.follow else {
            if config.secrets_refresh.is_none() && !awaits_document {
                for key in self.keys.keys().filter(|key| key.starts_with("release.")) {
                    let reason = "has no effect without `follow`, which stands beside `config=` in the user-data";
                    warn(Code::UnusedKey, key, reason.into());
                }
            }
            return;
        };
        if config.release.board.is_none() && !awaits_document {
            for key in LIMITS {
                let reason = "has no effect without `release.board`: no instance knows of another one";
                warn(Code::UnusedKey, key, reason.into());
            }
        }
        if matches!(self.pointer(), Some(Pointer::S3 { .. })) && config.release.board.is_some() {
            for key in LIMITS.into_iter().filter(|key| self.is_outside_document(key)) {
                let reason = "belongs into the document: `berth release` reads it there alone, and would count by another limit than \
                              the instances";
                warn(Code::LimitOutsideDocument, key, reason.into());
            }
        }
        if config.traffic_move() == TrafficMove::Restart {
            let reason = "the app is away from the stop of the old container until the new one is healthy, at every release: \
                          with `target_groups` and open ports (`port=0:8080`) nothing is lost";
            warn(Code::AwayDuringRelease, "release.move", reason.into());
        } else if config.volumes.iter().any(is_written_by_two) {
            let reason = "is mounted in two containers at once during a release, and both may write to it: add `:ro`, or write \
                          `release.move=restart` if the app cannot share it";
            warn(Code::SharedVolume, "volumes", reason.into());
        }
        if follow < FAST && matches!(self.pointer(), Some(Pointer::Ssm(_))) {
            let reason = format!(
                "reads the parameter every {}, and all of an account share 40 requests a second: use 5s or more, or `config=s3://…`",
                duration_text(follow)
            );
            warn(Code::FastFollow, "follow", reason);
        }
    }
}

fn is_refused(errors: &ConfigErrors, key: &str) -> bool {
    errors.iter().any(|error| error.key.as_deref() == Some(key))
}

/// The same port with a host port that is chosen: `0:8080`, `127.0.0.1:0:53/udp`.
fn opened(port: &Port) -> String {
    let host = port.host_ip.map_or("0".to_owned(), |address| SocketAddr::new(address, 0).to_string());
    let protocol = if port.protocol == Protocol::Udp { "/udp" } else { "" };
    format!("{host}:{}{protocol}", port.container)
}

/// An anonymous volume is a container's own, and a socket is made for many.
fn is_written_by_two(volume: &Volume) -> bool {
    !volume.read_only && volume.source.as_deref().is_some_and(|source| !source.ends_with(".sock"))
}

#[cfg(test)]
mod tests;
