//! The faults of a boot, each reported to the machine as the adapters report it, and how each must end.

use std::time::Duration;

use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::event::Event;
use berth_core::message::job::JobKind;

use super::plan::{GROUP, Plan, SERVICES, TARGETS};
use super::twist::Twist;
use super::world::World;
use crate::sim::{ms, secs};

/// The adapters' error for a clock that they have just learnt to correct.
pub(crate) const SKEWED: &str = "the service's clock is 600 s ahead";

/// One fault of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BootFault {
    ConfigError,
    Latest,
    SecretMissing,
    KeyMissing,
    BinarySecret,
    SecretDenied,
    LoginDenied,
    ImageDenied,
    ImageMissing,
    /// The registry has no manifest for this machine.
    OtherArchitecture,
    /// The image has no manifest list, and is for another machine.
    OtherMachine,
    /// From power-on until so long after the agent's first start.
    RegistryDown(Duration),
    /// The first attempts at every job of every service.
    Throttled(u32),
    /// The registry does not take the first login any more when this is asked of it.
    TokenExpired(JobKind),
    /// So many pulls in a row.
    StalledPull(u32),
    CutLayer(u32),
    WrongDigest(u32),
    PortTaken,
    /// By a container that berth did not make.
    NameTaken,
    ExitsAtOnce,
    NeverHealthy,
    /// From power-on until so long after the agent's first start.
    EngineLate(Duration),
    /// What `after` names is not there, from power-on until so long after the agent's first start. Only where the config has it.
    PathsLate(Duration),
    /// In the middle of the first such job.
    EngineRestarts {
        during: JobKind,
        lasts: Duration,
        kills: bool,
    },
    DiskFull,
    /// By ten minutes: a service refuses until the agent has learnt the time from a refusal.
    ClockOff,
    /// Once this is known.
    MetadataGone {
        after: JobKind,
        lasts: Duration,
    },
}

/// What is counted, so that a run can say that each of them happened.
pub(crate) const ROWS: [&str; 46] = [
    "invalid config",
    "latest",
    "secret missing",
    "JSON key missing",
    "binary secret",
    "secret denied",
    "login denied",
    "image denied",
    "image not found",
    "no image for this architecture",
    "image for another architecture",
    "registry down",
    "throttled",
    "registry token expired",
    "stalled pull",
    "layer cut",
    "wrong digest",
    "port taken",
    "name taken",
    "app exits at once",
    "app never healthy",
    "engine not up",
    "engine restarted mid-pull",
    "engine restarted mid-probe",
    "disk full",
    "clock off",
    "metadata gone mid-boot",
    "hold ended",
    "killed before the orders of an event",
    "killed after them",
    "another config at the next start",
    "engine restarted mid-start",
    "launch hook refused",
    "root volume replaced",
    "drain abandoned",
    "drain ended by an API that is away",
    "paths not there yet",
    "release by targets",
    "release by readiness",
    "release by restart",
    "secrets replaced the container",
    "release good",
    "release bad",
    "left in a release",
    "killed in a release",
    "went back at the next start",
];

pub(crate) const HOLD_ENDED: usize = 27;
pub(crate) const KILLED_BEFORE: usize = 28;
pub(crate) const KILLED_AFTER: usize = 29;
pub(crate) const CHANGED: usize = 30;
pub(crate) const HOOK_REFUSED: usize = 32;
pub(crate) const REPLACED: usize = 33;
pub(crate) const ABANDONED: usize = 34;
pub(crate) const API_AWAY: usize = 35;
pub(crate) const BY_TARGETS: usize = 37;
pub(crate) const BY_READINESS: usize = 38;
pub(crate) const BY_RESTART: usize = 39;
pub(crate) const RENEWED: usize = 40;
pub(crate) const GOOD: usize = 41;
pub(crate) const BAD: usize = 42;
pub(crate) const LEFT: usize = 43;
pub(crate) const KILLED: usize = 44;
pub(crate) const WENT_BACK: usize = 45;

/// What a fault comes to if nothing else goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The app is served, so long after the agent's first start at the latest.
    Served(Duration),
    /// The boot is given up with this exit code, or held, so long after the agent's first start at the latest.
    GivenUp(u8, Duration),
    /// Either: it takes about as long as a boot may.
    Open,
}

impl End {
    /// When it is reached at the latest, counted from the agent's first start.
    pub(crate) fn within(self) -> Duration {
        match self {
            Self::Served(within) | Self::GivenUp(_, within) => within,
            Self::Open => Duration::MAX / 1000,
        }
    }
}

/// A boot in which nothing goes wrong takes less.
const USUAL: Duration = Duration::from_secs(20);

/// What so many refusals of a throttled call take, one after the other.
fn stood_back(times: u32) -> Duration {
    (0..times).map(|doublings| secs(3 << doublings).min(secs(20))).sum()
}

/// The longest wait before another attempt.
const WAIT: Duration = Duration::from_secs(21);

impl BootFault {
    pub(crate) fn any(rng: &mut fastrand::Rng) -> Self {
        let lasts = ms([500, 5_000, 20_000, 40_000][rng.usize(..4)] + rng.u64(..500));
        let times = [1, 2, 3, u32::MAX][rng.usize(..4)];
        match rng.u8(..28) {
            0 => Self::ConfigError,
            1 => Self::Latest,
            2 => Self::SecretMissing,
            3 => Self::KeyMissing,
            4 => Self::BinarySecret,
            5 => Self::SecretDenied,
            6 => Self::LoginDenied,
            7 => Self::ImageDenied,
            8 => Self::ImageMissing,
            9 => Self::OtherArchitecture,
            10 => Self::OtherMachine,
            11 => Self::RegistryDown(lasts),
            12 => Self::Throttled(rng.u32(1..=5)),
            13 => Self::TokenExpired([JobKind::ResolveDigest, JobKind::PullImage][rng.usize(..2)]),
            14 => Self::StalledPull(times),
            15 => Self::CutLayer(times),
            16 => Self::WrongDigest(times),
            17 => Self::PortTaken,
            18 => Self::NameTaken,
            19 => Self::ExitsAtOnce,
            20 => Self::NeverHealthy,
            21 => Self::EngineLate(lasts),
            22 => Self::EngineRestarts { during: JobKind::PullImage, lasts, kills: rng.bool() },
            23 => Self::EngineRestarts { during: JobKind::ProbeApp, lasts, kills: rng.bool() },
            24 => Self::DiskFull,
            25 => Self::ClockOff,
            26 => Self::EngineRestarts { during: JobKind::StartContainer, lasts, kills: rng.bool() },
            _ => Self::MetadataGone {
                after: [JobKind::Identify, JobKind::ReadConfig][rng.usize(..2)],
                lasts: [lasts, secs(100_000)][rng.usize(..2)],
            },
        }
    }

    /// Where it is counted.
    pub(crate) fn row(self) -> usize {
        match self {
            Self::ConfigError => 0,
            Self::Latest => 1,
            Self::SecretMissing => 2,
            Self::KeyMissing => 3,
            Self::BinarySecret => 4,
            Self::SecretDenied => 5,
            Self::LoginDenied => 6,
            Self::ImageDenied => 7,
            Self::ImageMissing => 8,
            Self::OtherArchitecture => 9,
            Self::OtherMachine => 10,
            Self::RegistryDown(_) => 11,
            Self::Throttled(_) => 12,
            Self::TokenExpired(_) => 13,
            Self::StalledPull(_) => 14,
            Self::CutLayer(_) => 15,
            Self::WrongDigest(_) => 16,
            Self::PortTaken => 17,
            Self::NameTaken => 18,
            Self::ExitsAtOnce => 19,
            Self::NeverHealthy => 20,
            Self::EngineLate(_) => 21,
            Self::EngineRestarts { during: JobKind::PullImage, .. } => 22,
            Self::EngineRestarts { during: JobKind::ProbeApp, .. } => 23,
            Self::EngineRestarts { .. } => 31,
            Self::DiskFull => 24,
            Self::ClockOff => 25,
            Self::MetadataGone { .. } => 26,
            Self::PathsLate(_) => 36,
        }
    }

    /// What it comes to, once it happened and if it is all that happens.
    pub(crate) fn end(self, plan: &Plan) -> End {
        let (boot, start) = plan.limits();
        let patient = |worst: Duration| match worst {
            worst if worst < boot => End::Served(worst),
            worst if worst > secs(1 << 30) => End::GivenUp(3, boot + secs(10)),
            _ => End::Open,
        };
        match self {
            Self::ConfigError | Self::Latest => End::GivenUp(2, USUAL),
            Self::SecretMissing | Self::KeyMissing | Self::BinarySecret | Self::SecretDenied => End::GivenUp(3, USUAL),
            Self::LoginDenied | Self::ImageDenied | Self::ImageMissing => End::GivenUp(3, USUAL),
            Self::OtherArchitecture | Self::OtherMachine | Self::DiskFull => End::GivenUp(3, USUAL),
            Self::PortTaken | Self::NameTaken => End::GivenUp(3, USUAL),
            Self::ExitsAtOnce => End::GivenUp(3, boot.min(start) + secs(30)),
            Self::NeverHealthy => End::GivenUp(3, boot.min(start) + secs(30)),
            Self::RegistryDown(lasts) => patient(USUAL + lasts + WAIT),
            Self::EngineLate(lasts) | Self::PathsLate(lasts) => patient(USUAL + lasts),
            // An app that has not been healthy yet has `probe.start_timeout` to become healthy, whatever the reason.
            Self::EngineRestarts { during, lasts, .. } if during != JobKind::PullImage && USUAL + lasts > start => {
                End::Open
            }
            Self::EngineRestarts { lasts, .. } => patient(USUAL + lasts + WAIT * 2),
            Self::MetadataGone { lasts, .. } => patient(USUAL + lasts + WAIT),
            Self::StalledPull(times) => patient(USUAL + secs(60).saturating_mul(times) + WAIT),
            Self::CutLayer(times) | Self::WrongDigest(times) => patient(USUAL + secs(5).saturating_mul(times)),
            // The group, what it attaches, and the ports are asked for one after the other.
            Self::Throttled(times) if plan.registers() => patient(USUAL + stood_back(times) * 3),
            Self::Throttled(times) => patient(USUAL + stood_back(times)),
            Self::TokenExpired(_) | Self::ClockOff => patient(USUAL),
        }
    }

    /// Whether a hook of that timeout may run out by it: the group is found too late, its heartbeats too, or it is completed too late.
    /// So much of it is over before anybody can send a heartbeat.
    pub(crate) fn outlasts(self, hook: Duration, before: Duration) -> bool {
        let Self::Throttled(times) = self else { return false };
        let (each, margin) = (stood_back(times), before + secs(5));
        each + hook / 8 * times + margin > hook || hook / 2 + each + margin > hook
    }

    /// For how long something is away by it.
    pub(crate) fn lasts(self) -> Duration {
        match self {
            Self::EngineRestarts { lasts, .. } | Self::MetadataGone { lasts, .. } => lasts,
            Self::RegistryDown(lasts) | Self::EngineLate(lasts) | Self::PathsLate(lasts) => lasts,
            _ => Duration::ZERO,
        }
    }

    pub(crate) fn length(&mut self) -> Option<&mut Duration> {
        match self {
            Self::EngineRestarts { lasts, .. } | Self::MetadataGone { lasts, .. } => Some(lasts),
            Self::RegistryDown(lasts) | Self::EngineLate(lasts) | Self::PathsLate(lasts) => Some(lasts),
            _ => None,
        }
    }
}

impl Plan {
    /// The faults of the table in it.
    pub(crate) fn boot_faults(&self) -> impl Iterator<Item = BootFault> {
        self.twists.iter().filter_map(|twist| if let Twist::BootFault(fault) = twist { Some(*fault) } else { None })
    }

    /// Whether one of them may outlast one of the hooks.
    pub(crate) fn outlasts_hooks(&self) -> bool {
        let hooks = [(self.shape.launch_hook, self.shape.os_boots_in), (self.shape.terminate_hook, Duration::ZERO)];
        let may = |hook, before| self.boot_faults().any(|fault| fault.outlasts(hook, before));
        hooks.into_iter().any(|(hook, before)| hook.is_some_and(|hook| may(hook, before)))
    }

    /// `boot.timeout` and `probe.start_timeout`
    pub(crate) fn limits(&self) -> (Duration, Duration) {
        let boot = if self.says("boot.timeout=90s") { secs(90) } else { secs(600) };
        let start = if self.says("probe.start_timeout=30s") { secs(30) } else { secs(120) };
        (boot, start)
    }
}

impl World {
    /// What an event brings along.
    pub(crate) fn bring_faults(&mut self, event: &Event) {
        match event {
            Event::RegistryLoggedIn => self.logins += 1,
            Event::Identified(_) => self.lose_metadata(JobKind::Identify),
            Event::ConfigRead(..) => {
                self.lose_metadata(JobKind::ReadConfig);
                let changed = |twist: &Twist| matches!(twist, Twist::Changed(at) if *at <= self.now);
                if self.plan.has(changed) && !self.engine.containers.is_empty() {
                    self.met(CHANGED);
                }
            }
            Event::ContainerExited(_) => self.meet(|fault| fault == BootFault::ExitsAtOnce),
            Event::ProbeFailed(_) => self.meet(|fault| fault == BootFault::NeverHealthy),
            _ => {}
        }
    }

    fn lose_metadata(&mut self, once: JobKind) {
        let gone = self.plan.boot_faults().find_map(|fault| match fault {
            BootFault::MetadataGone { after, lasts } if after == once => Some(lasts),
            _ => None,
        });
        if let (Some(lasts), None) = (gone, self.metadata_gone) {
            self.metadata_gone = Some(self.now + lasts);
        }
    }

    /// The engine goes away in the middle of a job.
    pub(crate) fn restart_engine(&mut self, job: JobKind, nth: u32, takes: Duration) {
        let restarts =
            |fault: &BootFault| matches!(fault, BootFault::EngineRestarts { during, .. } if *during == job && nth == 0);
        let found = self.plan.boot_faults().filter(|_| !self.progress.healed()).find(restarts);
        if let Some(fault @ BootFault::EngineRestarts { lasts, kills, .. }) = found {
            self.met(fault.row());
            self.engine.leave(self.now + takes / 2, lasts, kills);
        }
    }

    /// Whether what `after` names is not there.
    pub(crate) fn lacks_paths(&self) -> bool {
        let until = |fault| {
            if let BootFault::PathsLate(lasts) = fault { Some(self.plan.shape.os_boots_in + lasts) } else { None }
        };
        !self.progress.healed() && self.plan.boot_faults().filter_map(until).any(|until| self.now < until)
    }

    /// The first of these happened.
    pub(crate) fn meet(&mut self, is: impl Fn(BootFault) -> bool) {
        let found = self.plan.boot_faults().find(|fault| is(*fault));
        if let Some(fault) = found {
            self.met(fault.row());
        }
    }

    /// It happened.
    pub(crate) fn met(&mut self, row: usize) {
        self.seen.met |= 1 << row;
    }

    /// How the nth attempt at a job fails, if a fault of the table causes it, and after how long.
    pub(crate) fn refusal(&mut self, job: JobKind, nth: u32) -> Option<(Option<Duration>, JobError)> {
        if self.progress.healed() {
            return None;
        }
        let plan = self.plan.clone();
        let (fault, after, class, reason) = plan.boot_faults().find_map(|fault| {
            let (after, class, reason) = self.refused_by(fault, job, nth)?;
            Some((fault, after, class, reason))
        })?;
        self.met(fault.row());
        Some((after, JobError::new(class, reason)))
    }

    fn refused_by(
        &self,
        fault: BootFault,
        job: JobKind,
        nth: u32,
    ) -> Option<(Option<Duration>, ErrorClass, &'static str)> {
        use ErrorClass::{Broken, Denied, Expired, Misconfigured, Throttled, Transient};
        let agent = self.agent.as_ref()?;
        let of_aws = || GROUP.contains(&job) || SERVICES.contains(&job) || TARGETS.contains(&job);
        let secrets = matches!(job, JobKind::FetchSecrets | JobKind::CheckSecrets);
        let registry = matches!(job, JobKind::ResolveDigest | JobKind::PullImage);
        let (pull, start) = (job == JobKind::PullImage, job == JobKind::StartContainer);
        let is = |yes: bool, class: ErrorClass, reason: &'static str| yes.then_some((None, class, reason));
        match fault {
            BootFault::ConfigError => is(job == JobKind::ReadConfig, Misconfigured, "`helth`: unknown key"),
            BootFault::Latest => is(job == JobKind::ReadConfig, Misconfigured, "`latest` is not pinned"),
            BootFault::SecretMissing => is(secrets, Broken, "there is no such secret"),
            BootFault::KeyMissing => is(secrets, Broken, "the secret has no key \"password\""),
            BootFault::BinarySecret => is(secrets, Broken, "the secret is not a JSON object"),
            BootFault::SecretDenied => is(secrets, Denied, "no right to secretsmanager:GetSecretValue"),
            BootFault::LoginDenied => {
                is(job == JobKind::LoginRegistry, Denied, "no right to ecr:GetAuthorizationToken")
            }
            BootFault::ImageDenied => is(registry, Denied, "no right to ecr:BatchGetImage"),
            BootFault::ImageMissing => is(registry, Broken, "manifest unknown"),
            BootFault::OtherArchitecture => is(pull, Broken, "no matching manifest for linux/arm64/v8"),
            BootFault::OtherMachine => {
                is(job == JobKind::InspectImage && self.engine.has_image, Broken, "it is built for arm64")
            }
            BootFault::RegistryDown(lasts) => {
                let until = self.plan.shape.os_boots_in + lasts;
                is(registry && self.now < until, Transient, "503 Service Unavailable")
            }
            BootFault::PathsLate(_) => {
                is(job == JobKind::CheckPaths && self.lacks_paths(), Transient, "/mnt/data does not exist")
            }
            BootFault::Throttled(times) => is(nth < times && of_aws(), Throttled, "Rate exceeded"),
            BootFault::TokenExpired(of) => {
                is(job == of && self.logins < 2, Expired, "denied: Your authorization token has expired")
            }
            BootFault::StalledPull(times) if pull && nth < times => {
                Some((Some(secs(60)), Transient, "no progress for 60 s"))
            }
            BootFault::CutLayer(times) if pull && nth < times => Some((Some(secs(1)), Transient, "unexpected EOF")),
            BootFault::WrongDigest(times) => is(pull && nth < times, Transient, "filesystem layer verification failed"),
            BootFault::PortTaken => is(start, Misconfigured, "Bind for 0.0.0.0:8080 failed: port is already allocated"),
            BootFault::NameTaken => is(job == JobKind::CreateContainer, Broken, "the name is taken, and not by berth"),
            BootFault::DiskFull => is(pull, Broken, "no space left on device"),
            BootFault::ClockOff => is(!agent.knows_clock && of_aws(), Transient, SKEWED),
            BootFault::MetadataGone { .. } if self.metadata_gone.is_some_and(|until| self.now < until) => {
                let asks = matches!(job, JobKind::Identify | JobKind::ReadConfig | JobKind::WatchMetadata);
                is(asks || (!agent.has_credentials && of_aws()), Transient, "the metadata does not answer")
            }
            _ => None, // the models know
        }
    }
}
