//! A container that was removed is created again, and its image is pulled again if it was removed as well.
//!
//! ```text
//!   find ──▶ remove each ──▶ inspect ──here──▶ paths (`after`) ──▶ create
//!                              └─▶ login ──▶ pull ──▶ inspect
//! ```
//! After a transient failure it begins again with a wait, so what a lost answer left behind is found and removed.

use std::sync::Arc;
use std::time::Duration;

use berth_config::{Config, PinnedImage};

use crate::clock::Uptime;
use crate::message::container::{ContainerId, Creation, ImageFacts};
use crate::message::error::{ErrorClass, JobError};
use crate::message::event::Event;
use crate::message::identity::Identity;
use crate::message::input::Input;
use crate::message::job::{Job, PULL_STALL, Ticket};
use crate::outbox::Outbox;
use crate::retry::FAR;
use crate::targets::HostPorts;

/// For one call; its adapter gives up before that. A pull ends when it makes no progress.
const CALL_LIMIT: Duration = Duration::from_secs(150);

/// What a container is created from, whenever that is.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The config.
    pub config: Arc<Config>,
    /// Who this instance is.
    pub identity: Arc<Identity>,
    /// The image, by digest.
    pub image: PinnedImage,
    /// The host ports that berth chose. They stay the app's for as long as it is registered there.
    pub ports: HostPorts,
}

/// On the way to another container.
#[derive(Clone, Debug)]
pub(super) struct Recreation {
    recipe: Recipe,
    state: RecreationState,
    /// When it is given up.
    deadline: Uptime,
    attempts: u32,
    /// Containers that are in the way.
    strays: Vec<ContainerId>,
    /// Whether this attempt has pulled the image.
    pulled: bool,
    /// What the image says of itself, once it is known to be here.
    facts: Option<ImageFacts>,
}

#[derive(Clone, Debug)]
enum RecreationState {
    Asked { ticket: Ticket, until: Uptime },
    Waiting(Uptime),
}

/// Where it goes after an event.
#[derive(Debug)]
pub(super) enum RecreationNext {
    Stay,
    Created(ContainerId),
    /// It cannot be created, and why.
    Failed(String),
}

impl Recreation {
    /// Begins.
    pub(super) fn begin(recipe: Recipe, outbox: &mut Outbox, now: Uptime) -> Self {
        let deadline = now + recipe.config.boot.timeout;
        let mut recreation = Self {
            recipe,
            state: RecreationState::Waiting(now),
            deadline,
            attempts: 0,
            strays: Vec::new(),
            pulled: false,
            facts: None,
        };
        recreation.find(outbox, now);
        recreation
    }

    /// Takes an input.
    pub(super) fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> RecreationNext {
        if self.deadline <= now {
            self.halt(outbox);
            let limit = self.recipe.config.boot.timeout;
            return RecreationNext::Failed(format!(
                "the container was removed, and is not created again within {limit:?}"
            ));
        }
        match self.state {
            RecreationState::Waiting(at) if at <= now => self.find(outbox, now),
            RecreationState::Asked { ticket, until } if until <= now => {
                outbox.cancel(ticket);
                self.wait(ErrorClass::Transient, outbox, now);
            }
            RecreationState::Asked { ticket, .. } => {
                return input.answer_to(ticket).map_or(RecreationNext::Stay, |event| self.answered(event, outbox, now));
            }
            RecreationState::Waiting(_) => {}
        }
        RecreationNext::Stay
    }

    fn answered(&mut self, event: &Event, outbox: &mut Outbox, now: Uptime) -> RecreationNext {
        match event {
            Event::Failed(_, error) => return self.failed(error, outbox, now),
            Event::ContainersFound(found) => {
                let other = self.recipe.config.other_container_name();
                self.strays = found.iter().filter(|one| one.name != other).map(|one| one.id.clone()).collect();
                self.clear(outbox, now);
            }
            Event::ContainerRemoved => self.clear(outbox, now),
            Event::ImageInspected(facts) => self.inspected(facts.as_ref(), outbox, now),
            Event::RegistryLoggedIn => {
                let (image, platform) = (self.recipe.image.clone(), self.recipe.config.platform.clone());
                self.ask(Job::PullImage { image, platform, stall: PULL_STALL }, self.deadline, outbox);
            }
            Event::ImagePulled => {
                self.pulled = true;
                self.inspect(outbox, now);
            }
            Event::PathsFound => self.create(outbox, now),
            Event::ContainerCreated(id) => return RecreationNext::Created(id.clone()),
            _ => {} // no answer of a job that it orders
        }
        RecreationNext::Stay
    }

    /// When it wants to be woken.
    pub(super) fn wake(&self) -> Uptime {
        let (RecreationState::Asked { until: at, .. } | RecreationState::Waiting(at)) = self.state;
        at.min(self.deadline)
    }

    /// Stops what runs.
    pub(super) fn halt(&self, outbox: &mut Outbox) {
        if let RecreationState::Asked { ticket, .. } = self.state {
            outbox.cancel(ticket);
        }
    }

    fn ask(&mut self, job: Job, until: Uptime, outbox: &mut Outbox) {
        self.state = RecreationState::Asked { ticket: outbox.emit(job), until };
    }

    fn find(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.attempts = self.attempts.saturating_add(1);
        self.pulled = false;
        let name = self.recipe.config.container_name();
        let instance_id = self.recipe.identity.instance_id.clone();
        self.ask(Job::FindContainers { name, instance_id }, now + CALL_LIMIT, outbox);
    }

    /// Removes what is in the way, one after the other.
    fn clear(&mut self, outbox: &mut Outbox, now: Uptime) {
        match self.strays.pop() {
            Some(id) => {
                let timeout = self.recipe.config.stop_timeout;
                self.ask(Job::RemoveContainer { id, timeout }, now + timeout + CALL_LIMIT, outbox);
            }
            None => self.inspect(outbox, now),
        }
    }

    fn inspect(&mut self, outbox: &mut Outbox, now: Uptime) {
        let (image, platform) = (self.recipe.image.clone(), self.recipe.config.platform.clone());
        self.ask(Job::InspectImage(image, platform), now + CALL_LIMIT, outbox);
    }

    fn inspected(&mut self, facts: Option<&ImageFacts>, outbox: &mut Outbox, now: Uptime) {
        let config = self.recipe.config.clone();
        self.facts = facts.cloned();
        match facts {
            Some(_) if config.after.is_empty() => self.create(outbox, now),
            Some(_) => self.ask(Job::CheckPaths(config.after.clone()), now + CALL_LIMIT, outbox),
            None if self.pulled => self.wait(ErrorClass::Transient, outbox, now),
            None => self.ask(Job::LoginRegistry(config), now + CALL_LIMIT, outbox),
        }
    }

    fn create(&mut self, outbox: &mut Outbox, now: Uptime) {
        let Recipe { config, identity, image, ports } = self.recipe.clone();
        let facts = self.facts.take().unwrap_or_default();
        let creation = Creation { config, identity, image, facts, ports };
        self.ask(Job::CreateContainer(Box::new(creation)), now + CALL_LIMIT, outbox);
    }

    fn failed(&mut self, error: &JobError, outbox: &mut Outbox, now: Uptime) -> RecreationNext {
        if error.is_transient() {
            self.wait(error.class, outbox, now);
            return RecreationNext::Stay;
        }
        RecreationNext::Failed(format!("the container was removed, and cannot be created again: {error}"))
    }

    fn wait(&mut self, class: ErrorClass, outbox: &mut Outbox, now: Uptime) {
        let wait = match class {
            ErrorClass::Throttled => outbox.stand_back(self.attempts),
            _ => outbox.wait(FAR, self.attempts),
        };
        self.state = RecreationState::Waiting(now + wait);
    }
}
