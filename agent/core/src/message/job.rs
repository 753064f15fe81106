//! Jobs: what the machine wants the adapters to do. Each is a whole piece of work. An adapter tries it once and answers with one event.
//!
//! A new job touches this file, event.rs, one phase and one adapter.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use strum::{EnumDiscriminants, IntoStaticStr, VariantArray};

use berth_config::{Board, Config, HttpProbe, ImageRef, PinnedImage, Platform, ProbeMethod, TargetGroup};

use crate::message::container::{ContainerId, Creation, RunningContainer};
use crate::message::group::{HookName, HookResult};
use crate::message::output::AppOutput;
use crate::message::release::{HeldLock, ReleaseId, Verdict};
use crate::message::target::Target;

/// A pull without progress for this long is cut and tried again.
pub const PULL_STALL: Duration = Duration::from_secs(60);

/// Numbers one job, so that its answer finds the part of the machine that ordered it, and so that it can be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One job for the adapters.
#[derive(Clone, Debug, PartialEq, EnumDiscriminants)]
#[strum_discriminants(
    name(JobKind),
    derive(PartialOrd, Ord, Hash, IntoStaticStr, VariantArray, Serialize),
    serde(rename_all = "snake_case"),
    strum(serialize_all = "snake_case"),
    cfg_attr(feature = "schema", derive(schemars::JsonSchema)),
    doc = "The kind of a job, without what it carries: which job failed, in events, logs and metrics.",
    allow(missing_docs, reason = "each is documented at its job")
)]
pub enum Job {
    /// Ask the instance metadata for the identity of this instance.
    Identify,
    /// Read user-data and what its `config=` points to, merge the layers, validate them.
    ReadConfig,
    /// Ask whether what `config=` points to is still this revision; if not, read it as [`Job::ReadConfig`] does.
    FollowConfig {
        /// The [`revision`](crate::message::release::Release::revision) that was read last.
        revision: String,
    },
    /// Read the config with the document of this release in the place of what `config=` points to: as this instance kept it, else from
    /// the board.
    ReadRelease {
        /// The board, if there is one.
        board: Option<Board>,
        /// Which release.
        release: ReleaseId,
    },
    /// Read a release as [`Job::ReadRelease`] does, from the board alone: its copy there says which release it replaced when it was first
    /// published.
    ReadCopy {
        /// The board.
        board: Board,
        /// Which release.
        release: ReleaseId,
    },
    /// Read what the board has about a release.
    ReadBoard {
        /// Where.
        board: Board,
        /// Which release.
        release: ReleaseId,
    },
    /// Take one of the locks: a free one, one of this instance, or one whose lease has run out by the clock of S3.
    TakeLock {
        /// Where.
        board: Board,
        /// For which release.
        release: ReleaseId,
        /// How many locks there are.
        locks: u32,
        /// For how long it is held without being renewed.
        lease: Duration,
    },
    /// Begin the lease of a lock again.
    RenewLock {
        /// Where.
        board: Board,
        /// For which release.
        release: ReleaseId,
        /// Which.
        lock: HeldLock,
        /// For how long it is held after that.
        lease: Duration,
    },
    /// Give a lock back.
    ReleaseLock {
        /// Where.
        board: Board,
        /// Which.
        lock: HeldLock,
    },
    /// Write that this instance begins the release.
    MarkBegun {
        /// Where.
        board: Board,
        /// Which release.
        release: ReleaseId,
    },
    /// Take that back: nothing was touched.
    TakeBackMark {
        /// Where.
        board: Board,
        /// Which release.
        release: ReleaseId,
        /// The ETag of the mark.
        etag: String,
    },
    /// Write this instance's verdict, unless it has written one.
    WriteVerdict {
        /// Where.
        board: Board,
        /// Of which release.
        release: ReleaseId,
        /// What.
        verdict: Verdict,
        /// Why.
        reason: String,
        /// What the app wrote last.
        output: Option<AppOutput>,
    },
    /// Move the readiness endpoint to this address.
    Listen(SocketAddr),
    /// Fetch every secret of the config; the values stay in the adapters until they are delivered, or until [`Job::WipeSecrets`].
    FetchSecrets(Arc<Config>),
    /// Get the registry's username and password. They stay in the adapters until [`Job::WipeSecrets`].
    LoginRegistry(Arc<Config>),
    /// Ping the engine.
    PingEngine,
    /// Find the containers of this instance, and one that has the name.
    FindContainers {
        /// `berth-<name>`
        name: String,
        /// Whose containers.
        instance_id: String,
    },
    /// Ask the registry which digest the tag has, and whether that is one for this platform.
    ResolveDigest(ImageRef, Option<Platform>),
    /// Check that these paths of the host exist.
    CheckPaths(Vec<String>),
    /// Check whether the engine has the image, for this platform.
    InspectImage(PinnedImage, Option<Platform>),
    /// Pull the image.
    PullImage {
        /// What.
        image: PinnedImage,
        /// For which platform, the machine's own if none is given.
        platform: Option<Platform>,
        /// Without progress for this long the pull is cut.
        stall: Duration,
    },
    /// Remove an image from the engine, unless a container uses it.
    RemoveImage(PinnedImage),
    /// Find out what the host has left.
    MeasureCapacity {
        /// The container that serves.
        container: ContainerId,
        /// Its image.
        image: Option<PinnedImage>,
    },
    /// Create the container.
    CreateContainer(Box<Creation>),
    /// Start the container with the secrets that were fetched last, which are then on the tmpfs alone, or with those that are there.
    StartContainer {
        /// Which.
        id: ContainerId,
        /// For the secrets' delivery.
        config: Arc<Config>,
    },
    /// Wait for the container to exit.
    WatchContainer(ContainerId),
    /// Probe the app once.
    ProbeApp {
        /// Its container.
        app: Box<RunningContainer>,
        /// How.
        how: ProbeMethod,
        /// The first TCP port in the container, for the forms of `health` that name none.
        port: Option<u16>,
        /// For the forms of `health` that use HTTP.
        http: HttpProbe,
        /// For at most this long.
        timeout: Duration,
    },
    /// Stop the container, its stop signal, then SIGKILL after the timeout.
    StopContainer {
        /// Which.
        id: ContainerId,
        /// From the signal to SIGKILL.
        timeout: Duration,
        /// Whether it is not started again: then its secrets are deleted from the tmpfs.
        for_good: bool,
    },
    /// Stop the container if it runs, then remove it and its secrets.
    RemoveContainer {
        /// Which.
        id: ContainerId,
        /// From the stop signal to SIGKILL.
        timeout: Duration,
    },
    /// Delete every secret from the tmpfs: the app could not be stopped, and no later job deletes them.
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
    /// Report this instance to the group as unhealthy.
    MarkUnhealthy,
    /// Ask the group which target groups it attaches by itself, and which of its instances are being launched.
    DescribeGroup(String),
    /// Find the host ports that are in use.
    FindPorts,
    /// Ask the load balancer for the health of this instance's targets in a target group, one for each port.
    DescribeTargets {
        /// The ARN.
        target_group: String,
        /// The ports on the host.
        ports: Vec<u16>,
    },
    /// Register the target.
    RegisterTarget(Target),
    /// Deregister the target.
    DeregisterTarget(Target),
    /// Ask for the deregistration delay of a target group, by its ARN.
    DescribeDelay(String),
    /// Poll the instance metadata for notices.
    WatchMetadata,
    /// Count the connections that the app's clients hold.
    CountConnections(Box<RunningContainer>),
    /// Ask systemd for this much more time to stop in, counted from here.
    ExtendStop(Duration),
    /// Check whether the secrets' values differ from those that the app has. Changed ones stay in the adapters, as fetched ones do.
    CheckSecrets(Arc<Config>),
    /// Wipe what is in the adapters of secrets that were not delivered, and the registry's password.
    WipeSecrets,
    /// Send the app a signal.
    SignalApp {
        /// Which container.
        id: ContainerId,
        /// The signal, e.g. `HUP`.
        signal: String,
        /// For the delivery of the secrets before it.
        config: Arc<Config>,
    },
    /// Read the last lines that the app wrote.
    ReadOutput {
        /// Which container.
        id: ContainerId,
        /// For its secrets' values, which are removed from the lines.
        config: Arc<Config>,
    },
    /// Check that the containers with `imds=block` cannot reach the instance metadata, and restore what is missing.
    CheckMetadataBlock,
    /// Write to the system console: one line, and what the app wrote last.
    WriteFinalStatus {
        /// The line.
        line: String,
        /// The app's lines, oldest first; the console gets the newest.
        output: Vec<String>,
    },
}

impl JobKind {
    /// Every kind.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The word that JSON and metrics have: `pull_image`. The log shows the name: `PullImage`.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

berth_config::read_as_word!(JobKind);

impl Job {
    /// Which job this is.
    pub fn kind(&self) -> JobKind {
        self.into()
    }

    /// Whether it comes so often that only a debugging log wants it.
    pub fn is_routine(&self) -> bool {
        matches!(
            self,
            Self::ProbeApp { .. }
                | Self::WatchMetadata
                | Self::FollowConfig { .. }
                | Self::RenewLock { .. }
                | Self::CountConnections(_)
                | Self::ExtendStop(_)
                | Self::CheckMetadataBlock
        )
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// One line for the log: what, and of what; no environment, no reference to a secret's value.
impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind())?;
        match self {
            Self::FollowConfig { revision } => write!(f, " after {revision}"),
            Self::ReadRelease { release, .. }
            | Self::ReadCopy { release, .. }
            | Self::ReadBoard { release, .. }
            | Self::TakeLock { release, .. }
            | Self::MarkBegun { release, .. }
            | Self::TakeBackMark { release, .. } => {
                write!(f, " {release}")
            }
            Self::RenewLock { lock, .. } | Self::ReleaseLock { lock, .. } => write!(f, " {}", lock.number),
            Self::WriteVerdict { release, verdict, reason, .. } => {
                write!(f, " {} for {release}: {reason}", verdict.word())
            }
            Self::Listen(address) => write!(f, " {address}"),
            Self::FindContainers { name, .. } => write!(f, " {name}"),
            Self::ResolveDigest(image, _) => write!(f, " {image}"),
            Self::CheckPaths(paths) => write!(f, " {}", paths.join(", ")),
            Self::InspectImage(image, _) | Self::PullImage { image, .. } | Self::RemoveImage(image) => {
                write!(f, " {image}")
            }
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
            Self::DescribeGroup(group) => write!(f, " {group}"),
            Self::DescribeTargets { target_group, ports } => {
                write!(f, " {}", TargetGroup::name_of(target_group))?;
                match ports.as_slice() {
                    [port] => write!(f, ":{port}"),
                    ports => write!(f, ", {} ports", ports.len()),
                }
            }
            Self::RegisterTarget(target) | Self::DeregisterTarget(target) => write!(f, " {target}"),
            Self::DescribeDelay(target_group) => write!(f, " {}", TargetGroup::name_of(target_group)),
            Self::ExtendStop(by) => write!(f, " {by:?}"),
            Self::SignalApp { id, signal, .. } => write!(f, " {id} {signal}"),
            Self::WriteFinalStatus { line, .. } => write!(f, " {line}"),
            Self::Identify
            | Self::ReadConfig
            | Self::FetchSecrets(_)
            | Self::LoginRegistry(_)
            | Self::PingEngine
            | Self::MeasureCapacity { .. }
            | Self::ProbeApp { .. }
            | Self::ForgetSecrets
            | Self::FindGroup { .. }
            | Self::DescribeInstance
            | Self::MarkUnhealthy
            | Self::FindPorts
            | Self::WatchMetadata
            | Self::CountConnections(_)
            | Self::CheckMetadataBlock
            | Self::CheckSecrets(_)
            | Self::WipeSecrets => Ok(()),
        }
    }
}
