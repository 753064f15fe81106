//! What can be seen of the machine from outside: the readiness endpoint, the socket and `berth status` show this and
//! nothing else. It is made from the machine after every event, so it can never disagree with the phase (invariant 3).
//!
//! States are enums with one spelling each. A sentence beside them is for people, and nothing decides by it. docs/socket.md
//! describes every field; docs/schema has the JSON Schema that is made from these types.
//!
//! It holds no secret, no environment and no config value but the image; in what the app wrote the values of its secrets are
//! taken out.

use std::collections::BTreeMap;

use berth_config::Foreign;
use serde::{Deserialize, Serialize};

use crate::message::job::JobKind;
use crate::message::output::AppOutput;
use crate::view::histogram::Histogram;

pub use app::{BlockView, ContainerView, ExitView, PortView, ProbeView, PullView};
pub use leaving::{DeadlineName, DeadlineView, DrainCause, DrainStage, DrainView, FailureView};
pub use lifecycle::{HookResultName, HookState, HookView, LifecycleView, TransitionName};
pub use phase::{PhaseName, PhaseView, Status};
pub use read::read_json;
pub use ready_reason::ReadyReason;
pub use releases::{GateStage, LastReleaseView, NextReleaseView, RefusedReleaseView, ReleasesView};
pub use steps::{StepName, StepState, StepView, WaitView};
pub use targets::{TargetStage, TargetView};

mod app;
pub mod feed;
pub mod histogram;
pub mod last_life;
mod leaving;
mod lifecycle;
pub mod metrics;
mod phase;
pub mod published;
mod read;
mod ready_reason;
mod releases;
mod steps;
mod targets;
pub mod timeline;

/// The version of what `/v1/status`, `/v1/events`, `berth status --json`, `berth timeline --json` and `last-life.json` show. Within a
/// version fields and words of enums are added; none is renamed, removed or given another meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// The agent at one moment. Durations and moments are in seconds; moments count from the start of the agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct View {
    /// The phase.
    pub phase: PhaseName,
    /// What `/ready` says.
    pub status: Status,
    /// Why, as a word: what `/ready` says as a sentence.
    pub ready_reason: ReadyReason,
    /// Why, one sentence with what AWS, the registry, the engine or the app answered, for people.
    pub reason: String,
    /// When this phase began.
    pub phase_since_seconds: f64,
    /// Every phase so far, in the order of this life; the last one is going on.
    pub phases: Vec<PhaseView>,
    /// This instance's id.
    pub instance_id: Option<String>,
    /// The instance's availability zone.
    pub availability_zone: Option<String>,
    /// What the user-data is if it holds no config; null if it holds one, or was not read yet.
    pub user_data: Option<Foreign>,
    /// The app's name.
    pub name: Option<String>,
    /// The image as the config has it.
    pub image: Option<String>,
    /// The tag, or the short digest.
    pub version: Option<String>,
    /// The digest.
    pub digest: Option<String>,
    /// The steps of the boot, of the drain, of what follows a failure, in the order they began.
    pub steps: Vec<StepView>,
    /// How far the pull is; kept after it ended.
    pub pull: Option<PullView>,
    /// The container.
    pub container: Option<ContainerView>,
    /// The last probes, oldest first, at most 20.
    pub probes: Vec<ProbeView>,
    /// How long every probe took since the agent started, passed or failed.
    pub probe_durations: Histogram,
    /// Probes that failed since the agent started.
    pub probe_failures: u64,
    /// Connections that the app's clients hold; null while they are not counted.
    pub connections: Option<u32>,
    /// How the app exited last; null while it never did.
    pub app_exit: Option<ExitView>,
    /// What the app wrote last before it exited, or while it did not become healthy; null while it never failed.
    pub app_output: Option<AppOutput>,
    /// Restarts of the app since the agent started.
    pub restarts: u32,
    /// Calls that were made again after a failure and belong to no step, by the job that makes the call.
    pub retries: BTreeMap<JobKind, u32>,
    /// Answers that no further attempt can change, such as a call that is not allowed, by the job that makes the call.
    pub refused: BTreeMap<JobKind, u32>,
    /// Whether `imds=block` holds; null without it.
    pub metadata_block: Option<BlockView>,
    /// The Auto Scaling group and its lifecycle hooks.
    pub lifecycle: LifecycleView,
    /// The targets of this instance in the load balancer's target groups.
    pub targets: Vec<TargetView>,
    /// The releases; null while nothing is followed.
    pub releases: Option<ReleasesView>,
    /// The drain, once it has begun.
    pub drain: Option<DrainView>,
    /// Why the boot failed or the app is given up, once that is so.
    pub failure: Option<FailureView>,
    /// What is waited for, and until when.
    pub deadlines: Vec<DeadlineView>,
}

impl View {
    /// When the way out began, none while the instance is not on it.
    pub fn left_at(&self) -> Option<f64> {
        let out = |phase: &&PhaseView| matches!(phase.name, PhaseName::Drain | PhaseName::Failing);
        self.phases.iter().find(out).map(|phase| phase.began_seconds)
    }
}
