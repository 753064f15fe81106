//! Events: what happened. Every one is in the past; the machine reacts and never asks back.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::config::{Config, PinnedImage};
use crate::effect::{ContainerId, FoundContainer, ImageFacts, Job, RunningContainer};
use crate::fault::Fault;
use crate::identity::Identity;

/// Something that happened. Answers of effects come first, in the order of a boot.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The agent started; the first event of every life.
    Began,
    /// The instance's metadata answered.
    Identified(Arc<Identity>),
    /// Every layer was read and believed.
    ConfigRead(Arc<Config>),
    /// The endpoint answers on the address that was asked for.
    Listening,
    /// All secrets are at the edge.
    SecretsFetched,
    /// The registry's credentials are at the edge (or none are needed).
    RegistryLoggedIn,
    /// The engine answered.
    EngineAnswered,
    /// The containers of this instance.
    ContainersFound(Vec<FoundContainer>),
    /// The registry told the digest.
    DigestResolved(PinnedImage),
    /// The engine has the image, or has not.
    ImageInspected(Option<ImageFacts>),
    /// The pull went on.
    PullProgressed(PullProgress),
    /// The pull ended without an error; whether the image is there, an inspection tells.
    ImagePulled,
    /// The container was created.
    ContainerCreated(ContainerId),
    /// The container was started.
    ContainerStarted(Box<RunningContainer>),
    /// The app said that it is well.
    ProbePassed,
    /// The app said no, or nothing; the reason in a few words.
    ProbeFailed(String),
    /// The container exited by itself or was stopped.
    ContainerExited(Exit),
    /// The stop that was asked for is over.
    ContainerStopped,
    /// The container is gone.
    ContainerRemoved,
    /// The group of this instance, none outside any group.
    GroupFound(Option<Membership>),
    /// The hook's timer was restarted.
    HeartbeatRecorded,
    /// `No active Lifecycle Action found`: to a heartbeat or to a completion.
    HookNotActive(Job),
    /// The hook was completed.
    HookCompleted,
    /// The lifecycle state that the group sees, none outside any group.
    InstanceDescribed(Option<String>),
    /// The group was told that this instance is unhealthy.
    MarkedUnhealthy,
    /// The console has the line.
    LastWordsSaid,
    /// An attempt at a job failed.
    Failed(Job, Fault),
    /// The process got a signal.
    Signalled(Signal),
    /// A wake-up that the machine asked for.
    Woke,
}

/// The signals that the agent reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM
    Term,
    /// SIGINT
    Interrupt,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The exit code, 128 + n for signal n.
    pub code: i64,
    /// Whether the kernel killed it for memory.
    pub oom_killed: bool,
}

/// How far a pull is, summed over its layers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PullProgress {
    /// Layers that are complete, or were there already.
    pub layers_done: usize,
    /// Layers known so far.
    pub layers: usize,
    /// Bytes downloaded.
    pub bytes: u64,
    /// Bytes of the layers whose size is known so far.
    pub total: u64,
}

/// What was found of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The Auto Scaling group.
    pub group: String,
    /// The launch hook, if the group has one.
    pub launch_hook: Option<Hook>,
    /// The lifecycle state, if the group was asked.
    pub state: Option<String>,
}

/// A lifecycle hook of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Its name.
    pub name: String,
    /// Its heartbeat timeout, if known.
    pub timeout: Option<Duration>,
}
