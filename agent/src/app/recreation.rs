//! A container that is gone is created again: somebody removed it, and maybe its image with it.
//!
//! ```text
//!   find ──▶ remove each ──▶ inspect ──here──▶ paths (`after`) ──▶ create
//!                              └─▶ login ──▶ pull ──▶ inspect
//! ```
//! After a transient failure it begins again with a wait, so what a lost answer left behind is found and removed.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Uptime;
use crate::config::{Config, PinnedImage};
use crate::desk::Desk;
use crate::effect::{ContainerId, Creation, Effect, ImageFacts, Job, PULL_STALL, Ticket};
use crate::event::Event;
use crate::fault::{Class, Fault};
use crate::identity::Identity;
use crate::retry::FAR;

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
}

/// On the way to another container.
#[derive(Debug)]
pub(super) struct Recreation {
    recipe: Recipe,
    state: State,
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

#[derive(Debug)]
enum State {
    Asked { job: Job, ticket: Ticket, until: Uptime },
    Waiting(Uptime),
}

/// Where it goes after an event.
#[derive(Debug)]
pub(super) enum Next {
    Stay,
    Created(ContainerId),
    /// It cannot be created, and why.
    Failed(String),
}

impl Recreation {
    /// Begins.
    pub(super) fn begin(recipe: Recipe, desk: &mut Desk, now: Uptime) -> Self {
        let deadline = now + recipe.config.boot.timeout;
        let mut recreation = Self {
            recipe,
            state: State::Waiting(now),
            deadline,
            attempts: 0,
            strays: Vec::new(),
            pulled: false,
            facts: None,
        };
        recreation.find(desk, now);
        recreation
    }

    /// Whether the event may be the answer to one of its questions.
    pub(super) fn may_take(event: &Event) -> bool {
        match event {
            Event::ContainersFound(_)
            | Event::ContainerRemoved
            | Event::ImageInspected(_)
            | Event::RegistryLoggedIn
            | Event::ImagePulled
            | Event::PathsFound
            | Event::ContainerCreated(_) => true,
            Event::Failed(job, _) => matches!(
                job,
                Job::FindContainers
                    | Job::RemoveContainer
                    | Job::InspectImage
                    | Job::LoginRegistry
                    | Job::PullImage
                    | Job::CheckPaths
                    | Job::CreateContainer
            ),
            _ => false,
        }
    }

    /// Takes an event.
    pub(super) fn on(&mut self, event: &Event, desk: &mut Desk, now: Uptime) -> Next {
        if self.deadline <= now {
            self.halt(desk);
            let limit = self.recipe.config.boot.timeout;
            return Next::Failed(format!("the container was removed, and is not created again within {limit:?}"));
        }
        match (&self.state, event) {
            (State::Waiting(at), _) if *at <= now => self.find(desk, now),
            (State::Asked { ticket, until, .. }, _) if *until <= now => {
                desk.order(Effect::Cancel(*ticket));
                self.wait(Class::Transient, desk, now);
            }
            (State::Asked { job, .. }, Event::Failed(failed, fault)) if job == failed => {
                return self.failed(fault, desk, now);
            }
            (State::Asked { job: Job::FindContainers, .. }, Event::ContainersFound(found)) => {
                self.strays = found.iter().map(|one| one.id.clone()).collect();
                self.clear(desk, now);
            }
            (State::Asked { job: Job::RemoveContainer, .. }, Event::ContainerRemoved) => self.clear(desk, now),
            (State::Asked { job: Job::InspectImage, .. }, Event::ImageInspected(facts)) => {
                self.inspected(facts.as_ref(), desk, now);
            }
            (State::Asked { job: Job::LoginRegistry, .. }, Event::RegistryLoggedIn) => {
                let (image, platform) = (self.recipe.image.clone(), self.recipe.config.platform.clone());
                self.ask(Effect::PullImage { image, platform, stall: PULL_STALL }, self.deadline, desk);
            }
            (State::Asked { job: Job::PullImage, .. }, Event::ImagePulled) => {
                self.pulled = true;
                self.inspect(desk, now);
            }
            (State::Asked { job: Job::CheckPaths, .. }, Event::PathsFound) => self.create(desk, now),
            (State::Asked { job: Job::CreateContainer, .. }, Event::ContainerCreated(id)) => {
                return Next::Created(id.clone());
            }
            _ => {} // not about this
        }
        Next::Stay
    }

    /// When it wants to be looked at again.
    pub(super) fn wake(&self) -> Uptime {
        let (State::Asked { until: at, .. } | State::Waiting(at)) = self.state;
        at.min(self.deadline)
    }

    /// Stops what runs.
    pub(super) fn halt(&self, desk: &mut Desk) {
        if let State::Asked { ticket, .. } = self.state {
            desk.order(Effect::Cancel(ticket));
        }
    }

    fn ask(&mut self, effect: Effect, until: Uptime, desk: &mut Desk) {
        if let Some(job) = effect.job() {
            self.state = State::Asked { job, ticket: desk.order(effect), until };
        }
    }

    fn find(&mut self, desk: &mut Desk, now: Uptime) {
        self.attempts = self.attempts.saturating_add(1);
        self.pulled = false;
        let name = self.recipe.config.container_name();
        let instance_id = self.recipe.identity.instance_id.clone();
        self.ask(Effect::FindContainers { name, instance_id }, now + CALL_LIMIT, desk);
    }

    /// Removes what is in the way, one after the other.
    fn clear(&mut self, desk: &mut Desk, now: Uptime) {
        match self.strays.pop() {
            Some(id) => {
                let timeout = self.recipe.config.stop_timeout;
                self.ask(Effect::RemoveContainer { id, timeout }, now + timeout + CALL_LIMIT, desk);
            }
            None => self.inspect(desk, now),
        }
    }

    fn inspect(&mut self, desk: &mut Desk, now: Uptime) {
        let (image, platform) = (self.recipe.image.clone(), self.recipe.config.platform.clone());
        self.ask(Effect::InspectImage(image, platform), now + CALL_LIMIT, desk);
    }

    fn inspected(&mut self, facts: Option<&ImageFacts>, desk: &mut Desk, now: Uptime) {
        let config = self.recipe.config.clone();
        self.facts = facts.cloned();
        match facts {
            Some(_) if config.after.is_empty() => self.create(desk, now),
            Some(_) => self.ask(Effect::CheckPaths(config.after.clone()), now + CALL_LIMIT, desk),
            None if self.pulled => self.wait(Class::Transient, desk, now),
            None => self.ask(Effect::LoginRegistry(config), now + CALL_LIMIT, desk),
        }
    }

    fn create(&mut self, desk: &mut Desk, now: Uptime) {
        let Recipe { config, identity, image } = self.recipe.clone();
        let facts = self.facts.take().unwrap_or_default();
        let creation = Creation { config, identity, image, facts };
        self.ask(Effect::CreateContainer(Box::new(creation)), now + CALL_LIMIT, desk);
    }

    fn failed(&mut self, fault: &Fault, desk: &mut Desk, now: Uptime) -> Next {
        if fault.is_transient() {
            self.wait(fault.class, desk, now);
            return Next::Stay;
        }
        Next::Failed(format!("the container was removed, and cannot be created again: {fault}"))
    }

    fn wait(&mut self, class: Class, desk: &mut Desk, now: Uptime) {
        let wait = match class {
            Class::Throttled => desk.stand_back(self.attempts),
            _ => desk.wait(FAR, self.attempts),
        };
        self.state = State::Waiting(now + wait);
    }
}
