//! The surroundings in the search: as little of the engine, the group and the metadata as the machine can tell apart.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use berth_config::{Config, PinnedImage};
use berth_core::message::capacity::Capacity;
use berth_core::message::container::{Address, ContainerId, Exit, FoundContainer, ImageFacts, RunningContainer};
use berth_core::message::event::{BlockRepair, Event};
use berth_core::message::group::{HookResult, LifecycleHook, Membership};
use berth_core::message::identity::{Identity, TargetState};
use berth_core::message::job::{Job, JobKind};
use berth_core::message::release::BoardState;
use berth_core::message::snapshot::{Interruption, Snapshot};
use berth_core::message::target::{GroupFacts, TargetHealth, TargetHealthState};

use crate::sim::{DIGEST, identity, refused, secs, wrote};

/// Everything around the agent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct World {
    image: bool,
    pub(super) containers: Vec<Container>,
    /// Whether the group wants the instance in its warm pool.
    pub(super) pool: bool,
    /// Whether the group terminates the instance.
    pub(super) taken: bool,
    spot: bool,
    pub(super) launch: Hooked,
    pub(super) leave: Hooked,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Container {
    id: u8,
    /// Whether it is of the config that is searched with.
    ours: bool,
    pub(super) runs: bool,
    /// Whether a probe of this start was passed.
    pub(super) passed: bool,
}

/// A lifecycle hook, as the group sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hooked {
    /// Not active.
    Idle,
    /// Active.
    Waits,
    Completed(HookResult),
}

fn id(number: u8) -> ContainerId {
    ContainerId(format!("c{number}"))
}

impl World {
    pub(super) fn new(pool: bool, has_stray: bool) -> Self {
        let (launch, leave) = (Hooked::Waits, Hooked::Idle);
        let stray = Container { id: 1, ours: false, runs: true, passed: false };
        let containers = if has_stray { vec![stray] } else { Vec::new() };
        Self { image: false, containers, pool, taken: false, spot: false, launch, leave }
    }

    /// The group terminates the instance: no launch hook is active any more, and the termination hook is.
    pub(super) fn terminate(&mut self) {
        if !self.taken {
            self.taken = true;
            if self.launch == Hooked::Waits {
                self.launch = Hooked::Idle;
            }
            self.leave = Hooked::Waits;
        }
    }

    pub(super) fn announce_spot(&mut self) {
        self.spot = true;
    }

    /// The group takes the instance out of its pool, with a launch hook of its own.
    pub(super) fn take_from_pool(&mut self) {
        self.pool = false;
        self.launch = Hooked::Waits;
    }

    pub(super) fn runs(&self) -> usize {
        self.containers.iter().filter(|one| one.runs).count()
    }

    fn of(&mut self, wanted: &ContainerId) -> Option<&mut Container> {
        self.containers.iter_mut().find(|one| id(one.id) == *wanted)
    }

    /// Whether that container runs.
    pub(super) fn is_running(&self, wanted: &ContainerId) -> bool {
        self.containers.iter().any(|one| one.runs && id(one.id) == *wanted)
    }

    /// The app exits by itself.
    pub(super) fn exit(&mut self, wanted: &ContainerId) {
        if let Some(one) = self.of(wanted) {
            one.runs = false;
        }
    }

    fn target(&self) -> TargetState {
        match (self.taken, self.pool) {
            (true, true) => TargetState::WarmedTerminated,
            (true, false) => TargetState::Terminated,
            (false, true) => TargetState::WarmedRunning,
            (false, false) => TargetState::InService,
        }
    }

    fn described(&self) -> String {
        let prefix = if self.pool { "Warmed:" } else { "" };
        let state = match (self.taken, self.leave, self.launch) {
            (true, Hooked::Waits, _) => "Terminating:Wait",
            (true, _, _) => "Terminating:Proceed",
            (false, _, Hooked::Waits) => "Pending:Wait",
            (false, _, _) if self.pool => "Running",
            (false, _, _) => "InService",
        };
        format!("{prefix}{state}")
    }

    fn hook(&mut self, name: &str) -> &mut Hooked {
        if name == "boot" { &mut self.launch } else { &mut self.leave }
    }

    fn snapshot(&self) -> Snapshot {
        let spot = self.spot.then(|| Interruption { action: "terminate".to_owned(), ends_in: secs(60) });
        Snapshot { target_state: Some(self.target()), spot, ..Snapshot::default() }
    }

    fn found(&self, config: &Config, fingerprint: &str) -> Vec<FoundContainer> {
        let found = |one: &Container| FoundContainer {
            id: id(one.id),
            name: config.container_name(),
            fingerprint: Some(if one.ours { fingerprint } else { "of another config" }.to_owned()),
            image: Some(PinnedImage { repository: config.image.name(), digest: DIGEST.to_owned() }),
            running: one.runs.then(|| view(&id(one.id))),
        };
        self.containers.iter().map(found).collect()
    }

    /// Does the job, and answers it.
    pub(super) fn answer(&mut self, job: &Job, config: &Arc<Config>, fingerprint: &str) -> Event {
        match job {
            Job::Identify => Event::Identified(Arc::new(Identity { target_state: Some(self.target()), ..identity() })),
            Job::ReadConfig => Event::ConfigRead(config.clone(), None),
            Job::FollowConfig { .. } => Event::ConfigUnchanged,
            Job::ReadRelease { .. } | Job::ReadCopy { .. } => Event::ConfigRead(config.clone(), None),
            Job::ReadBoard { .. } => Event::BoardRead(BoardState::default()),
            Job::TakeLock { .. } => Event::LocksBusy,
            Job::RenewLock { .. } => Event::LockLost,
            Job::ReleaseLock { .. } => Event::LockReleased,
            Job::MarkBegun { .. } => Event::Marked("1".to_owned()),
            Job::TakeBackMark { .. } => Event::Unmarked,
            Job::WriteVerdict { .. } => Event::VerdictWritten,
            Job::Listen(_) => Event::Listening,
            Job::FetchSecrets(_) => Event::SecretsFetched,
            Job::LoginRegistry(_) => Event::RegistryLoggedIn,
            Job::PingEngine => Event::EngineAnswered,
            Job::FindContainers { .. } => Event::ContainersFound(self.found(config, fingerprint)),
            Job::ResolveDigest(image, _) => Event::DigestResolved(image.at(DIGEST.to_owned())),
            Job::CheckPaths(_) => Event::PathsFound,
            Job::InspectImage(..) => Event::ImageInspected(self.image.then(ImageFacts::default)),
            Job::PullImage { .. } => {
                self.image = true;
                Event::ImagePulled
            }
            Job::RemoveImage(_) => Event::ImageRemoved(true),
            Job::MeasureCapacity { .. } => Event::CapacityMeasured(Capacity::default()),
            Job::CreateContainer(_) => {
                let free = (1..).find(|free| self.containers.iter().all(|one| one.id != *free)).unwrap_or(0);
                self.containers.push(Container { id: free, ours: true, runs: false, passed: false });
                Event::ContainerCreated(id(free))
            }
            Job::StartContainer { id, .. } => {
                if let Some(one) = self.of(id) {
                    (one.runs, one.passed) = (true, false);
                }
                Event::ContainerStarted(Box::new(view(id)))
            }
            Job::WatchContainer(_) => Event::ContainerExited(Exit { code: 1, oom_killed: false }),
            Job::ProbeApp { app, .. } => match self.of(&app.id).filter(|one| one.runs) {
                Some(one) => {
                    one.passed = true;
                    Event::ProbePassed
                }
                None => refused(),
            },
            Job::StopContainer { id, .. } => {
                self.exit(id);
                Event::ContainerStopped
            }
            Job::RemoveContainer { id: removed, .. } => {
                self.containers.retain(|one| id(one.id) != *removed);
                Event::ContainerRemoved
            }
            Job::ForgetSecrets => Event::SecretsForgotten,
            Job::FindGroup { .. } => {
                let hook = |name: &str| Some(LifecycleHook { name: name.to_owned(), timeout: Some(secs(60)) });
                Event::GroupFound(Some(Membership {
                    group: "web".to_owned(),
                    launch_hook: hook("boot"),
                    terminate_hook: hook("leave"),
                    state: Some(self.described()),
                    ..Membership::default()
                }))
            }
            Job::RecordHeartbeat(hook) => match self.hook(&hook.hook) {
                Hooked::Waits => Event::HeartbeatRecorded,
                _ => Event::HookNotActive(JobKind::RecordHeartbeat),
            },
            Job::CompleteHook { hook, result } => {
                let found = self.hook(&hook.hook);
                if *found != Hooked::Waits {
                    return Event::HookNotActive(JobKind::CompleteHook);
                }
                *found = Hooked::Completed(*result);
                if hook.hook == "boot" && *result == HookResult::Abandon {
                    self.terminate();
                }
                Event::HookCompleted
            }
            Job::DescribeInstance => Event::InstanceDescribed(Some(self.described())),
            Job::MarkUnhealthy => {
                self.terminate();
                Event::MarkedUnhealthy
            }
            Job::DescribeGroup(_) => Event::GroupDescribed(GroupFacts::default()),
            Job::FindPorts => Event::PortsFound(BTreeSet::new()),
            Job::DescribeTargets { ports, .. } => {
                let healthy = |port: &u16| (*port, TargetHealth::of(TargetHealthState::Healthy));
                Event::TargetsDescribed(ports.iter().map(healthy).collect())
            }
            Job::RegisterTarget(_) => Event::TargetRegistered,
            Job::DeregisterTarget(_) => Event::TargetDeregistered,
            Job::DescribeDelay(_) => Event::DelayDescribed(Duration::from_secs(300)),
            Job::WatchMetadata => Event::MetadataSeen(self.snapshot()),
            Job::CountConnections(_) => Event::ConnectionsCounted(0),
            Job::ExtendStop(_) => Event::StopExtended,
            Job::CheckSecrets(_) => Event::SecretsChecked { changed: false },
            Job::WipeSecrets => Event::SecretsWiped,
            Job::SignalApp { .. } => Event::AppSignalled,
            Job::ReadOutput { .. } => Event::OutputRead(wrote("so far, so good")),
            Job::CheckMetadataBlock => Event::MetadataBlockChecked(BlockRepair::default()),
            Job::WriteFinalStatus { .. } => Event::FinalStatusWritten,
        }
    }
}

/// Whether the world is another one after the job.
pub(super) fn changes(job: &Job) -> bool {
    matches!(
        job,
        Job::CreateContainer(_)
            | Job::StartContainer { .. }
            | Job::StopContainer { .. }
            | Job::RemoveContainer { .. }
            | Job::CompleteHook { .. }
            | Job::MarkUnhealthy
    )
}

fn view(id: &ContainerId) -> RunningContainer {
    let address = Address::At(IpAddr::V4(Ipv4Addr::new(172, 17, 0, 2)));
    let running_for = Duration::ZERO;
    RunningContainer { id: id.clone(), address, published: Vec::new(), healthcheck: None, shim: false, running_for }
}
