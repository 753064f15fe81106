//! Why a boot, or an app, is given up, as it is shown in the log, on the socket and on the console. `/ready` has sentences of its own
//! (view/ready_reason.rs).

use std::time::Duration;

use thiserror::Error;

use crate::message::container::Exit;

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
