//! The steps of a boot, of a drain and of what follows a failure: what they are called, and how far each is.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use crate::message::error::ErrorClass;

/// The name of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum StepName {
    /// Boot: the instance metadata says which instance this is.
    #[default]
    Identity,
    /// Boot: user-data, file and pointer are read and validated.
    Config,
    /// Boot: with `follow`, which release of the document this instance runs.
    Release,
    /// Boot: the endpoint moves to `listen`.
    Listen,
    /// Boot: the secrets are fetched.
    Secrets,
    /// Boot: the registry's credentials are fetched.
    Login,
    /// Boot: the engine answers.
    Engine,
    /// Boot: the containers of an earlier agent are looked up.
    Containers,
    /// Boot: those that cannot be adopted are removed.
    Clearing,
    /// Boot: the tag is resolved to a digest.
    Digest,
    /// Boot: the engine is asked whether it has the image.
    Image,
    /// Boot: the image is pulled.
    Pull,
    /// Boot: the paths of `after` are waited for.
    Paths,
    /// Boot: Auto Scaling is asked which target groups it attaches by itself.
    Attachments,
    /// Boot: the host ports that the config leaves open are chosen.
    Ports,
    /// Boot: the container is created.
    Create,
    /// Boot: the container is started.
    Start,
    /// Boot: the app becomes healthy.
    Healthy,
    /// Boot: the Auto Scaling group and its launch hook are looked up.
    Group,
    /// Boot: the instance is registered with a target group, until the load balancer calls it healthy.
    Target,
    /// Boot: the launch hook is completed.
    Hook,
    /// Drain: the config is read, when this agent does not know it yet.
    ReadingConfig,
    /// Drain: the containers that run are looked up, when this agent does not know them yet.
    Discovering,
    /// Drain: `/ready` answers 503; the app still serves (`drain.settle`).
    Settling,
    /// Drain: connections of clients end (`drain.timeout`).
    DrainingConnections,
    /// Drain: the app is stopped (`stop_timeout`).
    Stopping,
    /// Drain: the termination hook is completed.
    CompletingHook,
    /// Drain: the group and its termination hook are looked up.
    LookUpGroupAgain,
    /// Drain: the call that completes the termination hook.
    TerminationHook,
    /// Failure: the group is asked to replace the instance.
    MarkUnhealthy,
    /// Drain and failure: the final status goes to the console.
    FinalStatus,
}

impl StepName {
    /// The word that JSON and metrics have.
    pub fn word(self) -> &'static str {
        self.into()
    }

    /// The same with spaces, for people.
    pub fn label(self) -> String {
        self.word().replace('_', " ")
    }
}

/// How far a step is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum StepState {
    /// Work is under way.
    #[default]
    Running,
    /// Nothing runs: it waits for its next attempt, for a time to pass, or for clients to leave.
    Waiting,
    /// It succeeded.
    Done,
    /// It failed and is not tried again.
    Failed,
}

berth_config::read_as_word!(StepName, StepState);

/// One step on the way in or out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepView {
    /// Which.
    pub name: StepName,
    /// How far it is.
    pub state: StepState,
    /// When its first attempt began.
    pub began_seconds: f64,
    /// How long it took; null while it goes on.
    pub took_seconds: Option<f64>,
    /// Attempts so far.
    pub attempts: u32,
    /// The error of the last failed attempt, for people; null once it is done.
    pub error: Option<String>,
    /// The class of that error.
    pub error_class: Option<ErrorClass>,
    /// The parts of it in which nothing ran, in their order.
    pub waits: Vec<WaitView>,
}

/// A part of a step in which it only waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WaitView {
    /// When it began.
    pub began_seconds: f64,
    /// How long it took; null while it goes on.
    pub took_seconds: Option<f64>,
}
