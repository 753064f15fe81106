//! Why a call of the engine failed, and what to do about it. `refusal` makes these errors of what the engine answers.

use std::error::Error;
use std::time::Duration;

use berth_core::message::error::{ErrorClass, JobError};

use super::architecture::HERE;
use super::refusal::is_disk_full;

/// Why a call of the engine failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// `DOCKER_HOST` is not a unix socket.
    #[error("DOCKER_HOST={0:?} is not a unix socket: set it to unix:///var/run/docker.sock or another unix:///PATH")]
    NoSocket(String),
    /// The engine's API is older than what berth asks for.
    #[error(
        "the engine at {socket} has API {version}, and berth needs API 1.41 (Docker Engine 20.10) or later: update the engine"
    )]
    TooOld {
        /// Its socket.
        socket: String,
        /// Its newest API.
        version: String,
    },
    /// The engine refused the call.
    #[error("cannot {doing}: {message}")]
    Refused {
        /// What was tried.
        doing: String,
        /// The engine's own message.
        message: String,
        /// What to do about it.
        class: ErrorClass,
    },
    /// No response, or one that cannot be parsed.
    #[error("cannot {doing}")]
    NoAnswer {
        /// What was tried.
        doing: String,
        /// What to do about it.
        class: ErrorClass,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The connection ended before the response did: the engine is stopped or restarted.
    #[error("cannot {doing}: connection closed mid-response")]
    Closed {
        /// What was tried.
        doing: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Another container of berth has the name.
    #[error("the container name {0} is in use by another container of berth")]
    NameTaken(String),
    /// A container that berth did not create, and so does not remove, has the name.
    #[error(
        "the container name {name} is in use by the container {id} of {image}, which berth did not create: remove that container, \
         or set another `name`"
    )]
    NotOurs {
        /// The name.
        name: String,
        /// The id of that container, shortened.
        id: String,
        /// The image that it runs.
        image: String,
    },
    /// The file of `security_opt=seccomp=…` cannot be used.
    #[error("cannot use the seccomp profile {path} (`security_opt`): {reason}")]
    SeccompProfile {
        /// The file on the host.
        path: String,
        /// Why.
        reason: String,
    },
    /// The image is built for another architecture.
    #[error("{image} is built for {built_for}, and this machine is {HERE}: build it for linux/{HERE} as well")]
    OtherMachine {
        /// The image.
        image: String,
        /// Its architecture, in the words of Go.
        built_for: String,
    },
    /// The image is not built for the platform that the config asks for.
    #[error(
        "{image} is built for {built_for}, not for {platform} (`platform`): build it for that platform, or leave the key out"
    )]
    OtherPlatform {
        /// The image.
        image: String,
        /// What the config asks for.
        platform: String,
        /// What it is built for.
        built_for: String,
    },
    /// The engine cannot ask a registry for the digest of a tag.
    #[error(
        "cannot resolve {0}: this engine cannot ask a registry for the digest of a tag (Podman's API has no /distribution); name the \
         image by its digest, NAME@sha256:…"
    )]
    NoTags(String),
    /// The pull made no progress.
    #[error("no progress for {} s while pulling {image}", .stall.as_secs_f32())]
    Stalled {
        /// The image.
        image: String,
        /// For how long.
        stall: Duration,
    },
    /// The password is not text, which the engine's API cannot carry.
    #[error("the password for {0} is not UTF-8 text")]
    UnreadableLogin(String),
    /// Neither the config nor the image says what to run.
    #[error("{0} has no ENTRYPOINT and no CMD, and the config has no command")]
    NoCommand(String),
    /// The container is on a network that is not a bridge of this host.
    #[error(
        "cannot enforce imds=block on the network {network:?} ({driver}): use a bridge network of this host, or `none`"
    )]
    NoBridge {
        /// The network.
        network: String,
        /// Its driver.
        driver: String,
    },
    /// The command in the container took too long.
    #[error("timed out after {} s", .0.as_secs_f32())]
    TooLong(Duration),
}

impl EngineError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NoSocket(_)
            | Self::NoTags(_)
            | Self::UnreadableLogin(_)
            | Self::NoCommand(_)
            | Self::NoBridge { .. } => ErrorClass::Misconfigured,
            Self::SeccompProfile { .. } => ErrorClass::Misconfigured,
            Self::TooOld { .. } | Self::NotOurs { .. } | Self::OtherMachine { .. } | Self::OtherPlatform { .. } => {
                ErrorClass::Broken
            }
            Self::Refused { class, .. } | Self::NoAnswer { class, .. } => *class,
            // The other container may be about to be removed.
            Self::NameTaken(_) => ErrorClass::Transient,
            Self::Closed { .. } => ErrorClass::Transient,
            Self::Stalled { .. } | Self::TooLong(_) => ErrorClass::Transient,
        }
    }
}

impl From<EngineError> for JobError {
    fn from(error: EngineError) -> Self {
        Self::from_error(error.class(), &error).disk_full(is_disk_full(&error))
    }
}
