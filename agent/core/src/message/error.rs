//! What the machine is told of a failure: its class and one sentence. The typed error stays in the adapters.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What to do about a failure. Nothing else of an error decides anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ErrorClass {
    /// May pass by itself: 5xx, a refused connection, a timeout. Tried again with backoff.
    Transient,
    /// What it was tried with is not valid any more: got anew, then tried again with backoff.
    Expired,
    /// The service has too many callers. It passes too, the sooner the more of them stand back.
    Throttled,
    /// The credentials do not allow it. Permanent for this boot.
    Denied,
    /// The container that it was about is not there any more: somebody removed it.
    Gone,
    /// It is not there or not as it must be: image not found, a secret without that key. Permanent for this boot.
    Broken,
    /// The config asks for something that cannot be. Permanent for this boot.
    Misconfigured,
}

/// A failed attempt, as the machine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobError {
    /// What to do about it.
    pub class: ErrorClass,
    /// The whole chain in one sentence, without any secret.
    pub reason: String,
}

impl ErrorClass {
    /// Whether another attempt may succeed.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Transient | Self::Expired | Self::Throttled)
    }
}

impl JobError {
    /// An error from an error and its class, the chain of sources joined by `: `.
    pub fn from_error(class: ErrorClass, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            reason.push_str(": ");
            reason.push_str(&cause.to_string());
            source = cause.source();
        }
        Self { class, reason }
    }

    /// An error with a sentence of its own.
    pub fn new(class: ErrorClass, reason: impl Into<String>) -> Self {
        Self { class, reason: reason.into() }
    }

    /// Whether another attempt may succeed.
    pub fn is_transient(&self) -> bool {
        self.class.is_transient()
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}
