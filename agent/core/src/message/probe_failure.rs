//! Why a probe failed: its kind, by which is decided, and a sentence for people.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};

/// A command that is not in the container when it is asked for first may be put there by the app's entry point.
const INSTALLED_WITHIN: Duration = Duration::from_secs(5);

/// A failed probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeFailure {
    /// What kind of failure it is.
    pub kind: ProbeFailureKind,
    /// The same in a few words. Of the app's answer they hold only a status or an exit code.
    pub reason: String,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ProbeFailureKind {
    /// The container does not run, or is on no network any more.
    NotRunning,
    /// The connection was refused.
    Refused,
    /// No connection, answer or exit within the time.
    TimedOut,
    /// No connection for another reason.
    Unreachable,
    /// The TLS handshake failed.
    Tls,
    /// What answered is no HTTP.
    NotHttp,
    /// An HTTP status that `probe.expect` does not have.
    Status,
    /// The command exited with another code than 0.
    CommandFailed,
    /// The command, or a program that it runs, is not in the container or cannot be executed: 126 or 127.
    CommandNotFound,
    /// The engine could not be asked, or could not run the command.
    Engine,
    /// `health=docker`, and the image has no HEALTHCHECK.
    NoHealthcheck,
    /// The config has no TCP port to ask.
    NoPort,
    /// The container's network mode gives it no address.
    NoAddress,
    /// `health` names nothing that can be asked.
    InvalidTarget,
}

berth_config::read_as_word!(ProbeFailureKind);

impl ProbeFailure {
    /// A failure and its sentence.
    pub fn new(kind: ProbeFailureKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into() }
    }
}

impl ProbeFailureKind {
    /// How long the app must have run for this failure to be one that no later probe changes; none for a failure that may pass.
    pub fn lasting_after(self) -> Option<Duration> {
        match self {
            Self::NoHealthcheck | Self::NoPort | Self::NoAddress | Self::InvalidTarget => Some(Duration::ZERO),
            Self::CommandNotFound => Some(INSTALLED_WITHIN),
            Self::NotRunning
            | Self::Refused
            | Self::TimedOut
            | Self::Unreachable
            | Self::Tls
            | Self::NotHttp
            | Self::Status
            | Self::CommandFailed
            | Self::Engine => None,
        }
    }
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}
