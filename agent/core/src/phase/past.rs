//! The past: what a boot leaves to the next phase, and every phase to its next. It is shown until the agent exits.

use std::sync::Arc;

use berth_config::{Config, PinnedImage};

use crate::app::App;
use crate::clock::Uptime;
use crate::hook::Hook;
use crate::message::container::ContainerId;
use crate::message::event::Event;
use crate::message::identity::Identity;
use crate::message::input::Input;
use crate::message::job::Job;
use crate::outbox::Outbox;
use crate::release::Releases;
use crate::step::Step;
use crate::targets::Targets;
use crate::view::{PullView, StepView};

/// What a boot leaves behind for the phase that follows.
#[derive(Clone, Debug)]
pub struct Past {
    /// The config: the defaults until one was read.
    pub config: Arc<Config>,
    /// Whether this config was read for this boot.
    pub is_configured: bool,
    /// The identity, if it is known.
    pub identity: Option<Arc<Identity>>,
    /// The image, if its digest is known.
    pub image: Option<PinnedImage>,
    /// The app, if its container was created or adopted.
    pub app: Option<App>,
    /// The other container of a release, while there are two.
    pub beside: Option<App>,
    /// Whether it is known which containers there were.
    pub looked: bool,
    /// Whether a container was being removed: the engine may go on with it, and its exit is not the app's.
    pub removing: bool,
    /// A container that was created but not started.
    pub created: Option<ContainerId>,
    /// The launch hook.
    pub hook: Hook,
    /// What is registered with load balancers.
    pub targets: Targets,
    /// Which release serves, and which comes next.
    pub releases: Releases,
    /// When the boot has to be over, with all that its launch hook waits for.
    pub deadline: Uptime,
    /// Whether the endpoint is where the config says: a boot may end before it is.
    pub listen: Step<()>,
    /// The steps, without the one above.
    pub steps: Vec<StepView>,
    /// How far the pull came.
    pub pull: Option<PullView>,
}

impl Past {
    /// Moves the endpoint to where the config says, in every phase that a boot did not get to it for: load balancers ask
    /// there, also on the way out. No phase waits for it.
    pub fn attend_endpoint(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) {
        if !self.is_configured {
            return;
        }
        match self.listen.answer(input) {
            Some(Event::Failed(_, error)) if error.is_transient() => self.listen.retry(error, outbox, now),
            Some(Event::Failed(_, error)) => self.listen.refuse(error, now),
            Some(_) => self.listen.done((), now),
            None => {}
        }
        if self.listen.is_due(now) {
            self.listen.emit(Job::Listen(self.config.listen), outbox, now);
        }
    }
}
