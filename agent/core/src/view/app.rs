//! The container, its image and its health, as they are shown.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::message::container::Exit;
use crate::message::probe_failure::ProbeFailureKind;

/// How far the pull is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PullView {
    /// Layers that are complete.
    pub layers_done: usize,
    /// Layers known so far.
    pub layers_total: usize,
    /// Bytes downloaded.
    pub bytes_pulled: u64,
    /// Bytes of the layers whose size is known so far.
    pub bytes_total: u64,
}

/// The container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContainerView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it was found running and kept.
    pub adopted: bool,
    /// Its published ports, while it runs.
    pub ports: Vec<PortView>,
}

/// A published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PortView {
    /// The port in the container.
    pub container_port: u16,
    /// Where it answers on the host, `ADDRESS:PORT`.
    pub host_address: SocketAddr,
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProbeView {
    /// When it ended.
    pub at_seconds: f64,
    /// How long it took.
    pub took_seconds: f64,
    /// What kind of failure it was; null if it passed.
    pub kind: Option<ProbeFailureKind>,
    /// The failure, for people; null if it passed.
    pub error: Option<String>,
}

/// How the app last exited.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExitView {
    /// When.
    pub at_seconds: f64,
    /// The exit code; 128 + n for signal n, as the engine and POSIX shells count.
    pub code: i64,
    /// The signal that such a code stands for; null for other codes.
    pub signal: Option<u8>,
    /// Whether the kernel killed it because its memory limit was reached.
    pub oom_killed: bool,
}

impl ExitView {
    /// An exit at that moment.
    pub fn new(exit: &Exit, at_seconds: f64) -> Self {
        // Linux has the signals 1 to 64.
        let signal = exit.code.checked_sub(128).and_then(|signal| u8::try_from(signal).ok());
        let signal = signal.filter(|signal| (1..=64).contains(signal));
        Self { at_seconds, code: exit.code, signal, oom_killed: exit.oom_killed }
    }
}

/// How the container is kept from the instance metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BlockView {
    /// Whether the last check could be made, and what was missing was restored.
    pub holds: bool,
    /// How often something was missing and was restored.
    pub restored: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_code_above_128_is_a_signal() {
        let signal = |code| ExitView::new(&Exit { code, oom_killed: false }, 0.0).signal;
        assert_eq!([0, 1, 127, 128, 255, -1].map(signal), [None; 6]);
        assert_eq!([129, 137, 143, 192].map(signal), [Some(1), Some(9), Some(15), Some(64)]);
        assert_eq!([i64::MIN, i64::MAX].map(signal), [None; 2]);
    }
}
