//! What can be seen of the machine from outside: the readiness endpoint, the socket and `berth status` show this and
//! nothing else. A value made anew after every event, so it can never disagree with the phase (invariant 3).
//!
//! It holds no secret, no environment and no config value but the image; in what the app wrote the values of its secrets are
//! taken out.

use std::collections::BTreeMap;

use berth_config::Foreign;
use serde::{Deserialize, Serialize};

use crate::message::output::AppOutput;
use crate::message::probe_failure::ProbeFailureKind;
use crate::view::histogram::Histogram;

pub use ready_reason::ReadyReason;

pub mod histogram;
pub mod last_life;
pub mod metrics;
pub mod published;
mod ready_reason;

/// The agent at one moment. Durations and moments are in seconds; moments count from the start of the agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The phase.
    pub phase: PhaseName,
    /// What `/ready` says.
    pub status: Status,
    /// Why, as anyone who reaches the endpoint may read it.
    #[serde(default)]
    pub ready_reason: ReadyReason,
    /// Why it is so, one sentence with what was answered: for the socket, the log and the console, never for the endpoint.
    pub reason: String,
    /// When this phase began.
    pub phase_since: f64,
    /// Every phase so far, in the order of this life; the last one is going on.
    #[serde(default)]
    pub phases: Vec<PhaseView>,
    /// Who this instance is.
    pub instance_id: Option<String>,
    /// The instance's availability zone.
    pub availability_zone: Option<String>,
    /// What the user-data is if it holds no config; none if it holds one, or was not read yet.
    #[serde(default)]
    pub user_data: Option<Foreign>,
    /// The app's name.
    pub name: Option<String>,
    /// The image as the config has it.
    pub image: Option<String>,
    /// The tag, or the short digest.
    pub version: Option<String>,
    /// The digest.
    pub digest: Option<String>,
    /// The steps of the boot, of the drain, of the winding up, in the order they began.
    pub steps: Vec<StepView>,
    /// How far the pull is; kept after it ended.
    pub pull: Option<PullView>,
    /// The container.
    pub container: Option<ContainerView>,
    /// The last probes, oldest first, at most 20.
    pub probes: Vec<ProbeView>,
    /// How long every probe took since the agent started, those that failed too.
    #[serde(default)]
    pub probe_seconds: Histogram,
    /// Probes that failed since the agent started.
    #[serde(default)]
    pub probe_failures: u64,
    /// Connections that the app's clients hold, none while they are not counted.
    #[serde(default)]
    pub connections: Option<u32>,
    /// What the app wrote last before it exited, or while it did not become healthy; none while it never failed.
    #[serde(default)]
    pub app_output: Option<AppOutput>,
    /// Restarts of the app since the agent started.
    pub restarts: u32,
    /// Calls that were made again after a failure and belong to no step, by the name of the call.
    #[serde(default)]
    pub retries: BTreeMap<String, u32>,
    /// Answers that no further attempt can change, such as a call that is not allowed, by the name of the call.
    #[serde(default)]
    pub refused: BTreeMap<String, u32>,
    /// Whether `imds=block` holds, none without it.
    #[serde(default)]
    pub metadata_block: Option<BlockView>,
    /// The lifecycle hook.
    pub lifecycle: LifecycleView,
    /// What is waited for, and until when.
    pub deadlines: Vec<DeadlineView>,
}

impl View {
    /// When the way out began, none while the instance is not on it.
    pub fn left_at(&self) -> Option<f64> {
        let out = |phase: &&PhaseView| matches!(phase.name, PhaseName::Drain | PhaseName::Failing);
        self.phases.iter().find(out).map(|phase| phase.began)
    }
}

/// The name of a phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PhaseName {
    /// On the way to a healthy app.
    #[default]
    Boot,
    /// The app runs.
    Serve,
    /// On the way out.
    Drain,
    /// In a warm pool.
    Warm,
    /// The boot failed and is being wound up.
    Failing,
    /// A failed boot, kept for debugging.
    Hold,
    /// Over.
    Gone,
}

impl PhaseName {
    /// Every phase, in the order of a life.
    pub const ALL: [Self; 7] =
        [Self::Boot, Self::Serve, Self::Drain, Self::Warm, Self::Failing, Self::Hold, Self::Gone];

    /// The word that JSON, metrics and people see.
    pub fn word(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Serve => "serve",
            Self::Drain => "drain",
            Self::Warm => "warm",
            Self::Failing => "failing",
            Self::Hold => "hold",
            Self::Gone => "gone",
        }
    }
}

/// What `/ready` says; only [`Status::Ok`] is a 200.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Serving, and the app is healthy.
    Ok,
    /// Not yet.
    #[default]
    Starting,
    /// Serving, but the app is not healthy.
    Unhealthy,
    /// On the way out.
    Draining,
    /// The group put the instance on standby.
    Standby,
    /// In a warm pool.
    Warm,
    /// The boot failed.
    Failed,
}

impl Status {
    /// The word that JSON and people see.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Starting => "starting",
            Self::Unhealthy => "unhealthy",
            Self::Draining => "draining",
            Self::Standby => "standby",
            Self::Warm => "warm",
            Self::Failed => "failed",
        }
    }
}

/// A phase that was entered. It ended when the next one began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseView {
    /// Which.
    pub name: PhaseName,
    /// When.
    pub began: f64,
}

/// One step on the way in or out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepView {
    /// `identity`, `config`, `secrets`, `login`, `engine`, `containers`, `digest`, `image`, `pull`, `paths`, `create`, `start`,
    /// `healthy`, `group`, `hook`; whoever has a step gives it its name.
    pub name: String,
    /// When its first attempt began.
    pub began: f64,
    /// How long it took, none while it goes on.
    pub took: Option<f64>,
    /// Attempts so far.
    pub attempts: u32,
    /// The error of the last failed attempt.
    pub error: Option<String>,
    /// The parts of it in which nothing ran, in their order.
    #[serde(default)]
    pub waits: Vec<WaitView>,
}

/// A part of a step in which it only waited: for its next attempt, for a time to pass, for others to leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WaitView {
    /// When it began.
    pub began: f64,
    /// How long it took, none while it goes on.
    pub took: Option<f64>,
}

/// How far the pull is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PullView {
    /// Layers complete.
    pub layers_done: usize,
    /// Layers known.
    pub layers: usize,
    /// Bytes downloaded.
    pub bytes: u64,
    /// Bytes known.
    pub total: u64,
}

/// The container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it was found running and kept.
    pub adopted: bool,
    /// `8080 -> 0.0.0.0:80`
    pub ports: Vec<String>,
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeView {
    /// When it ended.
    pub at: f64,
    /// How long it took.
    pub took: f64,
    /// Why it failed, none if it passed.
    pub error: Option<String>,
    /// What kind of failure that is.
    #[serde(default)]
    pub kind: Option<ProbeFailureKind>,
}

/// How the container is kept from the instance metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockView {
    /// Whether the last check could be made, and what was missing be put back.
    pub holds: bool,
    /// How often something was missing and was put back.
    pub restored: u64,
}

/// The lifecycle hook.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LifecycleView {
    /// The Auto Scaling group.
    pub group: Option<String>,
    /// The launch hook.
    pub hook: Option<String>,
    /// In words: `looking`, `none`, `waiting for the app`, `completing`, `completed CONTINUE`, …
    pub state: String,
    /// Whether it could not be completed: refused, expired, or not in time.
    #[serde(default)]
    pub failed: bool,
    /// Heartbeats recorded.
    pub heartbeats: u32,
    /// The target lifecycle state last seen.
    pub target_state: Option<String>,
}

/// The deadline of a spot interruption: by then the app must have stopped.
pub const SPOT: &str = "spot interruption";

/// Something that is waited for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadlineView {
    /// What.
    pub name: String,
    /// When it ends.
    pub at: f64,
}
