//! Why a boot, or an app, is given up, as it is shown in the log, on the socket and on the console. `/ready` has sentences of its own
//! (view/ready_reason.rs).

use std::time::Duration;

use thiserror::Error;

use crate::message::container::Exit;
use crate::message::target::Target;

/// A reason that is the agent's own, and not an answer of AWS, the registry or the engine.
#[derive(Clone, Debug, Error)]
pub enum FailureReason {
    /// `probe.start_timeout` is over.
    #[error("the app was not healthy within {limit:?} (probe.start_timeout): {last}")]
    NotHealthyInTime {
        /// The time.
        limit: Duration,
        /// What the last probe saw.
        last: String,
    },
    /// `boot.timeout` is over.
    #[error("the boot was not over within {limit:?} (boot.timeout): {last}")]
    BootTimedOut {
        /// The time.
        limit: Duration,
        /// What the boot was waiting for.
        last: String,
    },
    /// The config asks for the image's HEALTHCHECK.
    #[error("health=docker, and the image has no HEALTHCHECK: add one, or choose another `health`")]
    NoHealthcheck,
    /// A probe failed in a way that no later one changes.
    #[error("the app can never become healthy: {failure}")]
    NeverHealthy {
        /// The probe's own sentence.
        failure: String,
    },
    /// The engine does not start the container.
    #[error("the container does not start: {answer}")]
    NotStarted {
        /// The engine's answer.
        answer: String,
    },
    /// The app exited.
    #[error("the app {exit}")]
    Exited {
        /// How.
        exit: Exit,
    },
    /// Without a probe, the app exited before it counted as healthy.
    #[error("the app {exit} before it had run for {running_for:?} (probe.running_for)")]
    ExitedTooSoon {
        /// How.
        exit: Exit,
        /// The time.
        running_for: Duration,
    },
    /// The load balancer did not call the target healthy in time.
    #[error(
        "the load balancer did not call the target {target} healthy in time (target.timeout {proving:?}, boot.timeout {boot:?}): {last}"
    )]
    TargetNotHealthy {
        /// Which.
        target: Target,
        /// `target.timeout`
        proving: Duration,
        /// `boot.timeout`
        boot: Duration,
        /// What it reported last.
        last: String,
    },
    /// A call for the target was refused for good.
    #[error("the target {target} is refused: {answer}")]
    TargetRefused {
        /// Which.
        target: Target,
        /// The answer.
        answer: String,
    },
    /// The call that a choice of ports needs was refused for good.
    #[error("the host ports cannot be chosen: {answer}")]
    PortsRefused {
        /// The answer.
        answer: String,
    },
    /// The container has no port on the host that a target could be.
    #[error(
        "the container does not publish port {port} where a load balancer reaches it, and target_groups needs it for {target_group}"
    )]
    NotPublished {
        /// The port in the container.
        port: u16,
        /// The name of the target group.
        target_group: String,
    },
    /// The group registers its instances on one port, and the app has another one.
    #[error(
        "the Auto Scaling group attaches the target group {target_group} by itself and registers every instance on its one port, and `port` \
         leaves the host port open: detach it from the group, or give `port` a host port"
    )]
    AttachedWithOpenPort {
        /// The name of the target group.
        target_group: String,
    },
    /// Which target groups are the group's own could not be found out.
    #[error("Auto Scaling did not say in time which target groups it attaches by itself: {last}")]
    GroupNotDescribed {
        /// The last error.
        last: String,
    },
    /// One restart more than `restart.limit` allows.
    #[error("{reason}, after {restarts} restarts within {window:?}")]
    TooManyRestarts {
        /// Why it would have been restarted.
        reason: String,
        /// So many were allowed.
        restarts: usize,
        /// `restart.window`
        window: Duration,
    },
}
