//! Releases, as they are shown: what serves, what comes next and what it waits for, and how the last one ended.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use crate::message::output::AppOutput;

/// The releases of an instance that follows a document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReleasesView {
    /// The release that serves.
    pub serving: Option<String>,
    /// The release that the document has instead; null if it is the one that serves, or failed here.
    pub next: Option<NextReleaseView>,
    /// The last one that ended here since the agent started.
    pub last: Option<LastReleaseView>,
    /// The document as it is cannot be released in place; null if it can.
    pub refused: Option<RefusedReleaseView>,
    /// Why the document could not be read last, for people; null if it could.
    pub follow_error: Option<String>,
    /// Releases that ended well since the agent started.
    pub succeeded: u32,
    /// Releases that were rolled back, or could not be prepared, since the agent started.
    pub failed: u32,
}

/// A release that is to begin, or goes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NextReleaseView {
    /// Which.
    pub release: String,
    /// The tag, or the short digest, of its image.
    pub version: String,
    /// What it waits for.
    pub waits_for: GateStage,
    /// When its wave begins here.
    pub wave_at_seconds: f64,
    /// Instances that have it and serve, as the board had it last; null before it was read.
    pub ok: Option<u32>,
    /// Instances that rolled it back.
    pub bad: Option<u32>,
    /// Why the board could not be asked last, or what the instance lacks, for people.
    pub error: Option<String>,
}

/// A release that ended here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LastReleaseView {
    /// Which; null if the app was replaced for other reasons, such as rotated secrets.
    pub release: Option<String>,
    /// Whether it serves, or was rolled back.
    pub is_good: bool,
    /// Why, for people.
    pub reason: String,
    /// When it ended.
    pub at_seconds: f64,
    /// For how long no container took requests, between the old and the new one; null if one always did.
    pub gap_seconds: Option<f64>,
    /// What the new container wrote last, if it was rolled back and had one.
    pub output: Option<AppOutput>,
}

/// A document that needs new instances.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RefusedReleaseView {
    /// Which release.
    pub release: String,
    /// The keys that differ and cannot change in place.
    pub keys: Vec<String>,
}

/// What a release waits for before it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum GateStage {
    /// Its wave has not begun here.
    #[default]
    Wave,
    /// The image is being pulled.
    Preparing,
    /// The disk has no space for its image, or the memory none for its container.
    Capacity,
    /// Other instances release now.
    Lock,
    /// It was halted, or too many instances rolled it back.
    Stopped,
    /// Nothing: it begins, or goes on.
    Open,
    /// The verdict is being written.
    Verdict,
    /// Nothing any more.
    Over,
}

berth_config::read_as_word!(GateStage);

impl GateStage {
    /// The word that JSON and people see.
    pub fn word(self) -> &'static str {
        self.into()
    }
}
