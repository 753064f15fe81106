//! The phases of a life by name, and what `/ready` says in each.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// The name of a phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum PhaseName {
    /// On the way to a healthy app.
    #[default]
    Boot,
    /// The app runs.
    Serve,
    /// The app runs, and its next version takes its place.
    Release,
    /// On the way out.
    Drain,
    /// In a warm pool.
    Warm,
    /// The boot failed, or the app cannot be kept running: the instance is given back.
    Failing,
    /// A failed boot, kept for debugging.
    Hold,
    /// The agent is about to exit.
    Gone,
}

impl PhaseName {
    /// Every phase, in the order of a life.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The word that JSON, metrics and people see.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// What `/ready` says; only [`Status::Ok`] is a 200.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Status {
    /// Serving, and the app is healthy.
    Ok,
    /// The app has not been healthy yet.
    #[default]
    Starting,
    /// Serving, but the app is not healthy.
    Unhealthy,
    /// On the way out.
    Draining,
    /// Auto Scaling put the instance on standby.
    Standby,
    /// In a warm pool.
    Warm,
    /// The boot failed.
    Failed,
}

berth_config::read_as_word!(PhaseName, Status);

impl Status {
    /// The word that JSON and people see.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// A phase that was entered. It ended when the next one began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PhaseView {
    /// Which.
    pub name: PhaseName,
    /// When it began.
    pub began_seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_a_status_is_the_same_in_json_and_for_people() {
        for status in Status::VARIANTS {
            assert_eq!(serde_json::json!(status), status.word());
        }
    }
}
