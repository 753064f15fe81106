//! What the next agent on this instance needs to know of the releases of this one.

use berth_config::PinnedImage;
use serde::{Deserialize, Serialize};

use super::Releases;
use crate::message::container::ContainerId;
use crate::message::release::ReleaseId;

/// The releases here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotedReleases {
    /// Whose they are.
    pub instance_id: String,
    /// What serves.
    pub serving: ReleaseId,
    /// In which container, if there is one: while there are two, it decides.
    pub container: Option<ContainerId>,
    /// What was tried and rolled back.
    pub failed: Vec<ReleaseId>,
    /// The images that berth pulled and has not removed.
    #[serde(default)]
    pub pulled: Vec<PinnedImage>,
    /// What served before, while traffic may still go back to it.
    #[serde(default)]
    pub before: Option<NotedBefore>,
}

/// What served before the release that is on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotedBefore {
    /// Which release.
    pub release: ReleaseId,
    /// In which container.
    pub container: ContainerId,
}

impl Releases {
    /// What the next agent on this instance needs to know; none if nothing is followed.
    pub fn noted(&self, instance_id: &str, container: Option<&ContainerId>) -> Option<NotedReleases> {
        Some(NotedReleases {
            instance_id: instance_id.to_owned(),
            serving: self.serving.as_ref()?.id.clone(),
            container: container.cloned(),
            failed: self.failed.clone(),
            before: self.before.clone(),
            pulled: self.images.pulled().to_vec(),
        })
    }

    /// Takes what an agent before this one left.
    pub fn remember(&mut self, noted: &NotedReleases) {
        self.failed.clone_from(&noted.failed);
        self.before.clone_from(&noted.before);
        self.images.remember(&noted.pulled);
    }
}
