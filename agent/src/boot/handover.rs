//! What a boot hands to the phase that follows, and every phase to the next: the past, which is shown as long as the agent lives.

use std::sync::Arc;

use crate::app::App;
use crate::config::{Config, PinnedImage};
use crate::effect::ContainerId;
use crate::hook::Hook;
use crate::identity::Identity;
use crate::view::{PullView, StepView};

/// What a boot leaves behind for the phase that follows.
#[derive(Debug)]
pub struct Handover {
    /// The config, if it could be read.
    pub config: Option<Arc<Config>>,
    /// The identity, if it is known.
    pub identity: Option<Arc<Identity>>,
    /// The image, if its digest is known.
    pub image: Option<PinnedImage>,
    /// The app, if its container was created or adopted.
    pub app: Option<App>,
    /// A container that was created but not started.
    pub created: Option<ContainerId>,
    /// The launch hook.
    pub hook: Hook,
    /// The steps, for people.
    pub steps: Vec<StepView>,
    /// How far the pull came.
    pub pull: Option<PullView>,
}
