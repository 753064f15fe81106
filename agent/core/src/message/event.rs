//! Events: what happened. Every one is in the past; the machine reacts and never asks back.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use berth_config::{Config, Foreign, PinnedImage};
use serde::Serialize;
use strum::{EnumDiscriminants, IntoStaticStr};

use crate::message::capacity::Capacity;
use crate::message::container::{ContainerId, Exit, FoundContainer, ImageFacts, RunningContainer};
use crate::message::error::JobError;
use crate::message::group::Membership;
use crate::message::identity::Identity;
use crate::message::job::JobKind;
use crate::message::output::AppOutput;
use crate::message::probe_failure::ProbeFailure;
use crate::message::release::{BoardState, HeldLock, Release};
use crate::message::snapshot::Snapshot;
use crate::message::target::{GroupFacts, TargetHealth};

/// Something that happened. Answers of effects come first, in the order of a boot.
#[derive(Clone, Debug, PartialEq, IntoStaticStr, EnumDiscriminants)]
#[strum_discriminants(
    name(EventName),
    derive(Serialize),
    serde(rename_all = "snake_case"),
    cfg_attr(feature = "schema", derive(schemars::JsonSchema)),
    doc = "The name of an event, without what it carries, as `/v1/events` has it.",
    allow(missing_docs, reason = "each is documented at its event")
)]
pub enum Event {
    /// The instance's metadata answered.
    Identified(Arc<Identity>),
    /// The user-data holds no config: what it looks like instead.
    UserDataIsForeign(Foreign),
    /// Something in the config is legal and unwise; its place, its key and why, without a value.
    ConfigWarned(String),
    /// Every layer was read and validated; the release, if `config=` points to something.
    ConfigRead(Arc<Config>, Option<Box<Release>>),
    /// What `config=` points to is what was read last.
    ConfigUnchanged,
    /// What `config=` points to, or an earlier release of it, was read, and the config that it makes is invalid. Asked for that
    /// [`revision`](Release::revision), the source has nothing new.
    ConfigRefused {
        /// Which.
        release: Box<Release>,
        /// Every error, of the class [`Misconfigured`](crate::message::error::ErrorClass::Misconfigured).
        error: JobError,
    },
    /// What the board has about the release.
    BoardRead(BoardState),
    /// This instance holds the lock.
    LockTaken(HeldLock),
    /// Others hold every lock.
    LocksBusy,
    /// Another instance holds the lock: its lease ran out.
    LockLost,
    /// The lock is given back.
    LockReleased,
    /// The board has it that this instance begins; the ETag of that.
    Marked(String),
    /// The board has it no more.
    Unmarked,
    /// The verdict is on the board.
    VerdictWritten,
    /// The endpoint answers on the address that was asked for.
    Listening,
    /// All secrets are fetched.
    SecretsFetched,
    /// The registry's credentials are in the adapters (or none are needed).
    RegistryLoggedIn,
    /// The engine answered.
    EngineAnswered,
    /// The containers of this instance.
    ContainersFound(Vec<FoundContainer>),
    /// Every path that the container waits for is there.
    PathsFound,
    /// The registry returned the digest.
    DigestResolved(PinnedImage),
    /// Whether the engine has the image.
    ImageInspected(Option<ImageFacts>),
    /// The pull made progress.
    PullProgressed(PullProgress),
    /// The pull ended without an error. An inspection shows whether the image is there.
    ImagePulled,
    /// Whether the image is removed: not if a container uses it.
    ImageRemoved(bool),
    /// What the host has left.
    CapacityMeasured(Capacity),
    /// The container was created.
    ContainerCreated(ContainerId),
    /// The container was started.
    ContainerStarted(Box<RunningContainer>),
    /// The app is healthy.
    ProbePassed,
    /// The app is unhealthy, or did not answer.
    ProbeFailed(ProbeFailure),
    /// The container exited by itself or was stopped.
    ContainerExited(Exit),
    /// The stop ended.
    ContainerStopped,
    /// The container is removed.
    ContainerRemoved,
    /// No secret is left on the tmpfs.
    SecretsForgotten,
    /// The group of this instance, none outside any group.
    GroupFound(Option<Membership>),
    /// The hook's timer was restarted.
    HeartbeatRecorded,
    /// `No active Lifecycle Action found`: to a heartbeat or to a completion.
    HookNotActive(JobKind),
    /// The hook was completed.
    HookCompleted,
    /// The lifecycle state that the group sees, none outside any group.
    InstanceDescribed(Option<String>),
    /// The instance is reported to the group as unhealthy.
    MarkedUnhealthy,
    /// What the group attaches by itself, and who is being launched.
    GroupDescribed(GroupFacts),
    /// The host ports that are in use.
    PortsFound(BTreeSet<u16>),
    /// What the load balancer says of the targets, by port.
    TargetsDescribed(Vec<(u16, TargetHealth)>),
    /// The target is registered.
    TargetRegistered,
    /// The target is deregistered: no new request goes there.
    TargetDeregistered,
    /// The deregistration delay.
    DelayDescribed(Duration),
    /// A snapshot of the instance metadata.
    MetadataSeen(Snapshot),
    /// The number of open client connections.
    ConnectionsCounted(u32),
    /// systemd was asked for more time.
    StopExtended,
    /// Whether the secrets differ from those that the app was given; new values are in the adapters.
    SecretsChecked {
        /// Whether any value is another.
        changed: bool,
    },
    /// Whether the containers that are kept from the instance metadata still were.
    MetadataBlockChecked(BlockRepair),
    /// The container was not started: no secrets are in the adapters or on tmpfs for it.
    SecretsMissing,
    /// Nothing of secrets or of the registry's password is in the adapters.
    SecretsWiped,
    /// The app has the signal.
    AppSignalled,
    /// What the app wrote last, or why it cannot be read.
    OutputRead(AppOutput),
    /// The console has the line.
    FinalStatusWritten,
    /// An attempt at a job failed.
    Failed(JobKind, JobError),
    /// The process got a signal.
    Signalled(Signal),
    /// `berth drain`, and the reason if one was given.
    DrainRequested(Option<String>),
    /// `berth handover`.
    HandoverRequested,
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

/// What had to be put back so that a container is kept from the instance metadata; nothing if it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockRepair {
    /// Bridges of the host on which rules were missing, and are set.
    pub bridges: BTreeSet<String>,
    /// Networks where no rule can hold, from which the container was disconnected.
    pub networks: BTreeSet<String>,
}

impl Event {
    /// The event's name, as the log and `/v1/events` show it.
    pub fn name(&self) -> &'static str {
        self.into()
    }

    /// Whether it is logged as a warning: an operator has something to do, although the agent continues.
    pub fn is_warning(&self) -> bool {
        match self {
            Self::Failed(_, error) => !error.is_transient(),
            Self::ConfigWarned(_) | Self::ConfigRefused { .. } => true,
            Self::GroupFound(Some(found)) => {
                !found.unnamed_terminate_hooks.is_empty() || found.terminate_hook_error.is_some()
            }
            Self::MetadataBlockChecked(repair) => !repair.is_nothing(),
            _ => false,
        }
    }

    /// Whether it comes so often that only a debugging log wants it.
    pub fn is_routine(&self) -> bool {
        matches!(self, Self::MetadataBlockChecked(repair) if repair.is_nothing())
            || matches!(
                self,
                Self::Woke
                    | Self::ProbePassed
                    | Self::PullProgressed(_)
                    | Self::MetadataSeen(_)
                    | Self::ConfigUnchanged
                    | Self::ConnectionsCounted(_)
                    | Self::StopExtended
            )
    }
}

/// The detail after the name in the log: no environment and no secret.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identified(identity) => {
                write!(f, "{} in {}", identity.instance_id, identity.availability_zone)?;
                match &identity.target_state {
                    Some(state) => write!(f, ", target lifecycle state {state}"),
                    None => Ok(()),
                }
            }
            Self::UserDataIsForeign(foreign) => {
                write!(f, "{foreign}; it holds no config, and the other layers say what runs")
            }
            Self::ConfigWarned(warning) => f.write_str(warning),
            Self::ConfigRead(config, release) => {
                write!(f, "{} from {}", config.name, config.image)?;
                match release {
                    Some(release) => write!(f, ", release {}", release.id),
                    None => Ok(()),
                }
            }
            Self::ConfigRefused { release, error } => write!(f, "release {}: {error}", release.id),
            Self::BoardRead(state) => write!(f, "{state}"),
            Self::LockTaken(lock) => write!(f, "{}", lock.number),
            Self::ContainersFound(found) => {
                let running = found.iter().filter(|one| one.running.is_some()).count();
                write!(f, "{} found, {running} running", found.len())
            }
            Self::DigestResolved(image) => write!(f, "{}", image.digest),
            Self::ImageInspected(facts) => f.write_str(if facts.is_some() { "here" } else { "not here" }),
            Self::ImageRemoved(is_removed) => f.write_str(if *is_removed { "" } else { "not: a container uses it" }),
            Self::CapacityMeasured(capacity) => write!(f, "{capacity}"),
            Self::PullProgressed(p) => {
                write!(f, "{} of {} layers, {} of {} bytes", p.layers_done, p.layers, p.bytes, p.total)
            }
            Self::ContainerCreated(id) => write!(f, "{id}"),
            Self::ContainerStarted(running) => write!(f, "{} at {}", running.id, running.address),
            Self::ProbeFailed(failure) => write!(f, "{failure}"),
            Self::ContainerExited(exit) => write!(f, "{exit}"),
            Self::GroupFound(Some(found)) => write!(f, "{found}"),
            Self::GroupFound(None) => f.write_str("in no group"),
            Self::HookNotActive(job) => write!(f, "{job}"),
            Self::InstanceDescribed(state) => f.write_str(state.as_deref().unwrap_or("in no group")),
            Self::GroupDescribed(facts) => match facts.target_groups.len() {
                0 => f.write_str("no target groups of its own"),
                1 => f.write_str("1 target group of its own"),
                groups => write!(f, "{groups} target groups of its own"),
            },
            Self::PortsFound(ports) => write!(f, "{} in use", ports.len()),
            Self::TargetsDescribed(targets) => match targets.as_slice() {
                [(port, health)] => write!(f, "{port} is {health}"),
                targets => {
                    let known = targets.iter().filter(|(_, health)| health.is_registered() || !health.is_unused());
                    write!(f, "{} of {} ports registered or draining", known.count(), targets.len())
                }
            },
            Self::DelayDescribed(delay) => write!(f, "{delay:?}"),
            Self::Failed(job, error) => write!(f, "{job}: {error}"),
            Self::ConnectionsCounted(count) => write!(f, "{count}"),
            Self::MetadataBlockChecked(repair) => write!(f, "{repair}"),
            Self::SecretsChecked { changed } => f.write_str(if *changed { "changed" } else { "the same" }),
            // The lines themselves have their own place in the log.
            Self::OutputRead(output) => match output.lines.len() {
                1 => f.write_str("1 line"),
                lines => write!(f, "{lines} lines"),
            },
            Self::Signalled(signal) => write!(f, "{signal}"),
            Self::DrainRequested(reason) => f.write_str(reason.as_deref().unwrap_or_default()),
            Self::ConfigUnchanged
            | Self::LocksBusy
            | Self::LockLost
            | Self::LockReleased
            | Self::Marked(_)
            | Self::Unmarked
            | Self::VerdictWritten
            | Self::Listening
            | Self::SecretsFetched
            | Self::RegistryLoggedIn
            | Self::EngineAnswered
            | Self::PathsFound
            | Self::ImagePulled
            | Self::ProbePassed
            | Self::ContainerStopped
            | Self::ContainerRemoved
            | Self::SecretsForgotten
            | Self::HeartbeatRecorded
            | Self::HookCompleted
            | Self::MarkedUnhealthy
            | Self::TargetRegistered
            | Self::TargetDeregistered
            | Self::MetadataSeen(_)
            | Self::StopExtended
            | Self::SecretsMissing
            | Self::SecretsWiped
            | Self::AppSignalled
            | Self::FinalStatusWritten
            | Self::HandoverRequested
            | Self::Woke => Ok(()),
        }
    }
}

impl BlockRepair {
    /// Whether nothing had to be put back.
    pub fn is_nothing(&self) -> bool {
        self.bridges.is_empty() && self.networks.is_empty()
    }
}

/// What an operator should know: that the app could reach the metadata, and what was done.
impl fmt::Display for BlockRepair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
        match (self.bridges.is_empty(), self.networks.is_empty()) {
            (true, true) => return f.write_str("imds=block holds"),
            (false, true) => write!(f, "rules were missing on {} and are set", listed(&self.bridges))?,
            (true, false) => write!(f, "the app was disconnected from {}", listed(&self.networks))?,
            (false, false) => write!(
                f,
                "rules were missing on {} and are set, the app was disconnected from {}",
                listed(&self.bridges),
                listed(&self.networks)
            )?,
        }
        f.write_str(": until now the app could reach the instance metadata although the config says imds=block")
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Term => "SIGTERM",
            Self::Interrupt => "SIGINT",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::error::ErrorClass;

    #[test]
    fn what_an_operator_can_mend_is_a_warning() {
        let failed = |class| Event::Failed(JobKind::PullImage, JobError::new(class, "no"));
        let found = |change: fn(&mut Membership)| {
            let mut group = Membership { group: "web".into(), ..Membership::default() };
            change(&mut group);
            Event::GroupFound(Some(group))
        };
        for warning in [
            failed(ErrorClass::Denied),
            failed(ErrorClass::Broken),
            Event::ConfigWarned("`port`: is not published".into()),
            found(|group| group.unnamed_terminate_hooks = vec!["backup".into(), "deregister".into()]),
            found(|group| group.terminate_hook_error = Some("AccessDenied".into())),
        ] {
            assert!(warning.is_warning(), "{} {warning}", warning.name());
        }
        for other in [
            failed(ErrorClass::Transient),
            failed(ErrorClass::Throttled),
            found(|_| ()),
            Event::GroupFound(None),
            Event::SecretsFetched,
            Event::Signalled(Signal::Term),
        ] {
            assert!(!other.is_warning(), "{} {other}", other.name());
        }
    }

    #[test]
    fn a_repair_of_the_metadata_block_says_what_was_open_and_what_was_done() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let repair = |bridges: &[&str], networks: &[&str]| {
            BlockRepair { bridges: names(bridges), networks: names(networks) }.to_string()
        };
        let open = ": until now the app could reach the instance metadata although the config says imds=block";
        assert_eq!(repair(&[], &[]), "imds=block holds");
        assert_eq!(repair(&["br-1", "docker0"], &[]), format!("rules were missing on br-1, docker0 and are set{open}"));
        assert_eq!(repair(&[], &["mesh"]), format!("the app was disconnected from mesh{open}"));
        assert_eq!(
            repair(&["docker0"], &["mesh"]),
            format!("rules were missing on docker0 and are set, the app was disconnected from mesh{open}")
        );
    }
}
