//! Effects: what the machine wants done. Each is a whole job; the adapters tries it once and answers with one event.
//!
//! Whoever adds an effect touches this file, event.rs, one phase and one file of the adapters.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use berth_config::{Config, HttpProbe, ImageRef, PinnedImage, Platform, ProbeMethod};

use crate::message::identity::Identity;
use crate::message::outcome::Outcome;

/// A pull that makes no progress for this long is cut and tried again.
pub const PULL_STALL: Duration = Duration::from_secs(60);

/// Numbers one running effect, so that it can be cancelled and its late answer dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One job for the adapters, or for the driver itself ([`Effect::Cancel`], [`Effect::Exit`]).
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask the instance metadata who this instance is.
    Identify,
    /// Read user-data and what its `config=` points to, lay the layers, resolve them.
    ReadConfig,
    /// Move the readiness endpoint to this address.
    Listen(SocketAddr),
    /// Fetch every secret of the config; the values stay in the adapters until they are delivered, or [`Effect::WipeSecrets`].
    FetchSecrets(Arc<Config>),
    /// Get the registry's username and password; they stay in the adapters until [`Effect::WipeSecrets`].
    LoginRegistry(Arc<Config>),
    /// Ask the engine whether it is there.
    PingEngine,
    /// Look for the containers of this instance, and for one that holds the name.
    FindContainers {
        /// `berth-<name>`
        name: String,
        /// Whose containers.
        instance_id: String,
    },
    /// Ask the registry which digest the tag has, and whether that is one for this platform.
    ResolveDigest(ImageRef, Option<Platform>),
    /// Look whether these paths of the host are there.
    CheckPaths(Vec<String>),
    /// Look whether the engine has the image, for this platform.
    InspectImage(PinnedImage, Option<Platform>),
    /// Pull the image.
    PullImage {
        /// What.
        image: PinnedImage,
        /// For which platform, the machine's own if none is said.
        platform: Option<Platform>,
        /// Without progress for this long the pull is cut.
        stall: Duration,
    },
    /// Create the container.
    CreateContainer(Box<Creation>),
    /// Start the container, with the secrets that were fetched last, which then are on tmpfs alone, or with those that are there.
    StartContainer {
        /// Which.
        id: ContainerId,
        /// For the secrets' delivery.
        config: Arc<Config>,
    },
    /// Wait for the container to exit.
    WatchContainer(ContainerId),
    /// Ask the app once whether it is well.
    ProbeApp {
        /// Whom.
        app: Box<RunningContainer>,
        /// How.
        how: ProbeMethod,
        /// The first TCP port in the container, for the forms of `health` that name none.
        port: Option<u16>,
        /// For the forms of `health` that ask over HTTP.
        http: HttpProbe,
        /// For how long.
        timeout: Duration,
    },
    /// Stop the container, its stop signal, then SIGKILL after the timeout.
    StopContainer {
        /// Which.
        id: ContainerId,
        /// From the signal to SIGKILL.
        timeout: Duration,
        /// Whether it is not started again: then its secrets are taken off the tmpfs.
        for_good: bool,
    },
    /// Stop the container if it runs, then remove it and its secrets.
    RemoveContainer {
        /// Which.
        id: ContainerId,
        /// From the stop signal to SIGKILL.
        timeout: Duration,
    },
    /// Take every secret off the tmpfs: the app could not be stopped, and nobody comes back for them.
    ForgetSecrets,
    /// Find the group and its hooks, as far as the config does not name them.
    FindGroup {
        /// `lifecycle.group`
        group: Option<String>,
        /// `lifecycle.launch_hook`
        launch_hook: Option<String>,
        /// `lifecycle.terminate_hook`
        terminate_hook: Option<String>,
    },
    /// Restart the hook's timer.
    RecordHeartbeat(HookName),
    /// Complete the hook.
    CompleteHook {
        /// Which.
        hook: HookName,
        /// With what.
        result: HookResult,
    },
    /// Ask the group which lifecycle state this instance is in.
    DescribeInstance,
    /// Tell the group that this instance is unhealthy.
    MarkUnhealthy,
    /// Look at what the instance metadata says of the surroundings.
    WatchMetadata,
    /// Count the connections that the app's clients hold.
    CountConnections(Box<RunningContainer>),
    /// Ask systemd for this much more time to stop in, counted from here.
    ExtendStop(Duration),
    /// Look whether the secrets' values differ from those that the app was given. Others stay in the adapters, as fetched ones do.
    CheckSecrets(Arc<Config>),
    /// Wipe what is in the adapters of secrets that were not delivered, and the registry's password.
    WipeSecrets,
    /// Send the app a signal.
    SignalApp {
        /// Which container.
        id: ContainerId,
        /// The signal, e.g. `HUP`.
        signal: String,
        /// For the secrets' delivery before it.
        config: Arc<Config>,
    },
    /// Read what the app wrote last.
    ReadOutput {
        /// Which container.
        id: ContainerId,
        /// For its secrets' values, which are taken out.
        config: Arc<Config>,
    },
    /// Look whether the containers that are kept from the instance metadata still are, and put back what is missing.
    CheckMetadataBlock,
    /// Write to the system console: one line, and what the app wrote last.
    SayLastWords {
        /// The line.
        words: String,
        /// The app's lines, oldest first; the console gets the newest.
        output: Vec<String>,
    },
    /// Stop working on that ticket; its answer will be dropped.
    Cancel(Ticket),
    /// Leave.
    Exit(Outcome),
    /// Make room for the next agent, which finds the container as it is.
    HandOver,
    /// Tell whoever asked for a handover why there is none.
    RefuseHandover(&'static str),
}

/// The kind of an effect, without what it carries: who failed, in events, logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    /// [`Effect::Identify`]
    Identify,
    /// [`Effect::ReadConfig`]
    ReadConfig,
    /// [`Effect::Listen`]
    Listen,
    /// [`Effect::FetchSecrets`]
    FetchSecrets,
    /// [`Effect::LoginRegistry`]
    LoginRegistry,
    /// [`Effect::PingEngine`]
    PingEngine,
    /// [`Effect::FindContainers`]
    FindContainers,
    /// [`Effect::ResolveDigest`]
    ResolveDigest,
    /// [`Effect::CheckPaths`]
    CheckPaths,
    /// [`Effect::InspectImage`]
    InspectImage,
    /// [`Effect::PullImage`]
    PullImage,
    /// [`Effect::CreateContainer`]
    CreateContainer,
    /// [`Effect::StartContainer`]
    StartContainer,
    /// [`Effect::WatchContainer`]
    WatchContainer,
    /// [`Effect::ProbeApp`]
    ProbeApp,
    /// [`Effect::StopContainer`]
    StopContainer,
    /// [`Effect::RemoveContainer`]
    RemoveContainer,
    /// [`Effect::ForgetSecrets`]
    ForgetSecrets,
    /// [`Effect::FindGroup`]
    FindGroup,
    /// [`Effect::RecordHeartbeat`]
    RecordHeartbeat,
    /// [`Effect::CompleteHook`]
    CompleteHook,
    /// [`Effect::DescribeInstance`]
    DescribeInstance,
    /// [`Effect::MarkUnhealthy`]
    MarkUnhealthy,
    /// [`Effect::WatchMetadata`]
    WatchMetadata,
    /// [`Effect::CountConnections`]
    CountConnections,
    /// [`Effect::ExtendStop`]
    ExtendStop,
    /// [`Effect::CheckSecrets`]
    CheckSecrets,
    /// [`Effect::WipeSecrets`]
    WipeSecrets,
    /// [`Effect::SignalApp`]
    SignalApp,
    /// [`Effect::ReadOutput`]
    ReadOutput,
    /// [`Effect::CheckMetadataBlock`]
    CheckMetadataBlock,
    /// [`Effect::SayLastWords`]
    SayLastWords,
}

impl Effect {
    /// Which job this is; none for what the driver does itself.
    pub fn job(&self) -> Option<Job> {
        Some(match self {
            Self::Identify => Job::Identify,
            Self::ReadConfig => Job::ReadConfig,
            Self::Listen(_) => Job::Listen,
            Self::FetchSecrets(_) => Job::FetchSecrets,
            Self::LoginRegistry(_) => Job::LoginRegistry,
            Self::PingEngine => Job::PingEngine,
            Self::FindContainers { .. } => Job::FindContainers,
            Self::ResolveDigest(..) => Job::ResolveDigest,
            Self::CheckPaths(_) => Job::CheckPaths,
            Self::InspectImage(..) => Job::InspectImage,
            Self::PullImage { .. } => Job::PullImage,
            Self::CreateContainer(_) => Job::CreateContainer,
            Self::StartContainer { .. } => Job::StartContainer,
            Self::WatchContainer(_) => Job::WatchContainer,
            Self::ProbeApp { .. } => Job::ProbeApp,
            Self::StopContainer { .. } => Job::StopContainer,
            Self::RemoveContainer { .. } => Job::RemoveContainer,
            Self::ForgetSecrets => Job::ForgetSecrets,
            Self::FindGroup { .. } => Job::FindGroup,
            Self::RecordHeartbeat(_) => Job::RecordHeartbeat,
            Self::CompleteHook { .. } => Job::CompleteHook,
            Self::DescribeInstance => Job::DescribeInstance,
            Self::MarkUnhealthy => Job::MarkUnhealthy,
            Self::WatchMetadata => Job::WatchMetadata,
            Self::CountConnections(_) => Job::CountConnections,
            Self::ExtendStop(_) => Job::ExtendStop,
            Self::CheckSecrets(_) => Job::CheckSecrets,
            Self::WipeSecrets => Job::WipeSecrets,
            Self::SignalApp { .. } => Job::SignalApp,
            Self::ReadOutput { .. } => Job::ReadOutput,
            Self::CheckMetadataBlock => Job::CheckMetadataBlock,
            Self::SayLastWords { .. } => Job::SayLastWords,
            Self::Cancel(_) | Self::Exit(_) | Self::HandOver | Self::RefuseHandover(_) => return None,
        })
    }
}

impl Effect {
    /// Whether it comes so often that only a debugging log wants it.
    pub fn is_routine(&self) -> bool {
        matches!(
            self,
            Self::ProbeApp { .. }
                | Self::WatchMetadata
                | Self::CountConnections(_)
                | Self::ExtendStop(_)
                | Self::CheckMetadataBlock
        )
    }
}

/// A container's id, as the engine gave it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// How long its process had been running when it was looked at, by the engine's `State.StartedAt`.
    pub running_for: Duration,
}

/// Where a container's own ports answer, seen from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// Its address on its network, or loopback on the host's network.
    At(IpAddr),
    /// Its network mode gives it no address of its own: `none`, or another container's network.
    Never,
    /// It had none when it was looked at: it did not run any more, or was on no network.
    NotNow,
}

/// A lifecycle hook by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookName {
    /// The Auto Scaling group.
    pub group: String,
    /// The hook.
    pub hook: String,
}

/// The two results that a hook can be completed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookResult {
    /// `CONTINUE`
    Continue,
    /// `ABANDON`
    Abandon,
}

impl HookResult {
    /// AWS's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Continue => "CONTINUE",
            Self::Abandon => "ABANDON",
        }
    }
}

/// One line for the log: what, and of what; no environment, no reference to a secret's value.
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(job) = self.job() {
            write!(f, "{job:?}")?;
        }
        match self {
            Self::Listen(address) => write!(f, " {address}"),
            Self::FindContainers { name, .. } => write!(f, " {name}"),
            Self::ResolveDigest(image, _) => write!(f, " {image}"),
            Self::CheckPaths(paths) => write!(f, " {}", paths.join(", ")),
            Self::InspectImage(image, _) | Self::PullImage { image, .. } => write!(f, " {image}"),
            Self::CreateContainer(creation) => write!(f, " {} from {}", creation.config.name, creation.image),
            Self::StartContainer { id, .. } | Self::WatchContainer(id) | Self::ReadOutput { id, .. } => {
                write!(f, " {id}")
            }
            Self::StopContainer { id, timeout, for_good: false } => {
                write!(f, " {id} within {timeout:?}, to start it again")
            }
            Self::StopContainer { id, timeout, for_good: true } | Self::RemoveContainer { id, timeout } => {
                write!(f, " {id} within {timeout:?}")
            }
            Self::RecordHeartbeat(hook) => write!(f, " {hook}"),
            Self::CompleteHook { hook, result } => write!(f, " {hook} {}", result.word()),
            Self::ExtendStop(by) => write!(f, " {by:?}"),
            Self::SignalApp { id, signal, .. } => write!(f, " {id} {signal}"),
            Self::SayLastWords { words, .. } => write!(f, " {words}"),
            Self::Cancel(ticket) => write!(f, "Cancel {}", ticket.0),
            Self::Exit(outcome) => write!(f, "Exit {}", outcome.code()),
            Self::HandOver => f.write_str("HandOver"),
            Self::RefuseHandover(why) => write!(f, "RefuseHandover {why}"),
            Self::Identify
            | Self::ReadConfig
            | Self::FetchSecrets(_)
            | Self::LoginRegistry(_)
            | Self::PingEngine
            | Self::ProbeApp { .. }
            | Self::ForgetSecrets
            | Self::FindGroup { .. }
            | Self::DescribeInstance
            | Self::MarkUnhealthy
            | Self::WatchMetadata
            | Self::CountConnections(_)
            | Self::CheckMetadataBlock
            | Self::CheckSecrets(_)
            | Self::WipeSecrets => Ok(()),
        }
    }
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

impl fmt::Display for HookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.hook)
    }
}
