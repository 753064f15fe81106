//! Why a call of the engine failed, and what to do about it. `refusal` makes these errors of what the engine answers.

use std::error::Error;
use std::time::Duration;

use berth_core::message::error::ErrorClass;

use super::architecture::HERE;

/// Why a call of the engine failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// `DOCKER_HOST` is no unix socket.
    #[error("DOCKER_HOST is {0:?}, but berth speaks to the engine on a unix socket: unix:///var/run/docker.sock")]
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
    /// The engine said no.
    #[error("cannot {doing}: {message}")]
    Refused {
        /// What was tried.
        doing: String,
        /// The engine's own words.
        message: String,
        /// What to do about it.
        class: ErrorClass,
    },
    /// No answer, or none that could be understood.
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
    /// The connection ended before the answer did: the engine is stopped or restarted.
    #[error("cannot {doing}: connection closed mid-response")]
    Closed {
        /// What was tried.
        doing: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The name that the container shall have is taken by a container of berth's.
    #[error("the container's name {0} is taken by another container")]
    NameTaken(String),
    /// The name that the container shall have is taken by a container that berth did not make, and so does not remove.
    #[error(
        "the container's name {name} is taken by the container {id} of {image}, which is not berth's: remove it, or give the \
         app another `name`"
    )]
    NotOurs {
        /// The name.
        name: String,
        /// Who has it, shortened.
        id: String,
        /// What that one runs.
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
    /// The image is for another kind of machine.
    #[error("{image} is built for {built_for}, and this machine is {HERE}: build it for linux/{HERE}, too")]
    OtherMachine {
        /// The image.
        image: String,
        /// Its architecture, in Go's word.
        built_for: String,
    },
    /// The image is not for the platform that the config asks for.
    #[error(
        "{image} is built for {built_for}, and not for {platform} (`platform`): build it for that platform, or leave the key out"
    )]
    OtherPlatform {
        /// The image.
        image: String,
        /// What the config asks for.
        platform: String,
        /// What it is built for.
        built_for: String,
    },
    /// The engine has no way to ask a registry which digest a tag has.
    #[error(
        "cannot resolve {0}: this engine cannot ask a registry for the digest of a tag (Podman's API has no /distribution); name the \
         image by its digest, NAME@sha256:…"
    )]
    NoTags(String),
    /// The pull stood still.
    #[error("no progress for {} s while pulling {image}", .stall.as_secs_f32())]
    Stalled {
        /// The image.
        image: String,
        /// For how long.
        stall: Duration,
    },
    /// The password is not text, so the engine cannot be told it.
    #[error("the password for {0} is not UTF-8 text")]
    UnreadableLogin(String),
    /// Neither the config nor the image says what to run.
    #[error("{0} has no ENTRYPOINT and no CMD, and the config has no command")]
    NoCommand(String),
    /// The container is on a network that is no bridge of this host.
    #[error(
        "imds=block cannot be kept on the network {network:?} ({driver}): it takes one that is a bridge of this host, or `none`"
    )]
    NoBridge {
        /// The network.
        network: String,
        /// Its driver.
        driver: String,
    },
    /// The command in the container took too long.
    #[error("it took longer than {} s", .0.as_secs_f32())]
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
            // Its holder may be on the way out.
            Self::NameTaken(_) => ErrorClass::Transient,
            Self::Closed { .. } => ErrorClass::Transient,
            Self::Stalled { .. } | Self::TooLong(_) => ErrorClass::Transient,
        }
    }
}

job_error_from!(EngineError);
