//! The creation of the new container. The engine may have created it although its answer was lost: so after a failure it is looked for, and
//! removed, before the next attempt.

use crate::clock::Uptime;
use crate::message::container::{ContainerId, Creation};
use crate::message::event::Event;
use crate::message::input::Input;
use crate::message::job::Job;
use crate::outbox::Outbox;
use crate::retry::FAR;
use crate::step::Step;
use crate::view::StepName;

use super::{Swap, SwapStage};

/// A container that is being created.
#[derive(Clone, Debug)]
pub(super) struct Creating {
    create: Step<ContainerId>,
    /// What an attempt may have left behind, after one that failed.
    left_behind: Option<Search>,
}

/// The search for a container that an attempt left behind.
#[derive(Clone, Debug)]
struct Search {
    find: Step<()>,
    found: Option<ContainerId>,
    remove: Step<()>,
}

impl Creating {
    pub(super) fn new() -> Self {
        Self { create: Step::new(StepName::Create, FAR), left_behind: None }
    }

    /// Takes an answer. `name` is that of the new container, `serving` the one that serves. An error is one that no further attempt can
    /// change.
    fn on(
        &mut self,
        input: &Input,
        name: &str,
        serving: &ContainerId,
        outbox: &mut Outbox,
        now: Uptime,
    ) -> Result<(), String> {
        match self.create.answer(input) {
            Some(Event::ContainerCreated(id)) => self.create.done(id.clone(), now),
            Some(Event::Failed(_, error)) if error.is_transient() => {
                self.create.retry(error, outbox, now);
                self.left_behind = Some(Search::new());
            }
            Some(Event::Failed(_, error)) => return Err(error.to_string()),
            _ => {} // no answer to it
        }
        let Some(Search { find, found, remove }) = &mut self.left_behind else { return Ok(()) };
        match find.answer(input) {
            Some(Event::ContainersFound(all)) => {
                *found = all.iter().find(|one| one.name == name && one.id != *serving).map(|one| one.id.clone());
                find.done((), now);
            }
            Some(Event::Failed(_, error)) if error.is_transient() => find.retry(error, outbox, now),
            Some(Event::Failed(_, error)) => return Err(error.to_string()),
            _ => {} // no answer to it
        }
        match remove.answer(input) {
            Some(Event::ContainerRemoved) => {
                remove.done((), now);
                *found = None;
            }
            Some(Event::Failed(_, error)) if error.is_transient() => remove.retry(error, outbox, now),
            Some(Event::Failed(_, error)) => return Err(error.to_string()),
            _ => {} // no answer to it
        }
        Ok(())
    }

    /// Orders what is due.
    fn advance(&mut self, creation: &Creation, outbox: &mut Outbox, now: Uptime) {
        if !self.create.is_due(now) {
            return;
        }
        if let Some(Search { find, found, remove }) = &mut self.left_behind {
            if find.is_due(now) {
                let (name, instance_id) = (creation.config.container_name(), creation.identity.instance_id.clone());
                find.emit(Job::FindContainers { name, instance_id }, outbox, now);
            }
            if let Some(id) = found.clone().filter(|_| remove.is_due(now)) {
                remove.emit(Job::RemoveContainer { id, timeout: creation.config.stop_timeout }, outbox, now);
            }
            if !find.is_done() || found.is_some() {
                return;
            }
            self.left_behind = None;
        }
        self.create.emit(Job::CreateContainer(Box::new(creation.clone())), outbox, now);
    }

    /// Why the last attempt failed.
    fn error(&self) -> Option<&str> {
        self.create.error()
    }

    pub(super) fn cancel(&mut self, outbox: &mut Outbox) {
        self.create.cancel(outbox);
        if let Some(Search { find, remove, .. }) = &mut self.left_behind {
            find.cancel(outbox);
            remove.cancel(outbox);
        }
    }

    pub(super) fn wake(&self) -> Option<Uptime> {
        match &self.left_behind {
            // The wait before the next attempt is over.
            Some(Search { find, remove, .. }) if find.has_begun() => find.wake().or(remove.wake()),
            _ => self.create.wake(),
        }
    }
}

impl Search {
    fn new() -> Self {
        let (find, remove) = (Step::new(StepName::Containers, FAR), Step::new(StepName::Clearing, FAR));
        Self { find, found: None, remove }
    }
}

impl Swap {
    /// Takes the answer to a job of the creation.
    pub(super) fn take_creation(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) {
        let (name, serving) = (self.config.container_name(), self.serve.app().id().clone());
        let SwapStage::Creating(creating) = &mut self.stage else { return };
        if let Err(reason) = creating.on(input, &name, &serving, outbox, now) {
            self.fail(reason, outbox, now);
        }
    }

    /// Creates the new container.
    pub(super) fn create(&mut self, is_late: bool, outbox: &mut Outbox, now: Uptime) -> bool {
        let Some(identity) = self.serve.past.identity.clone() else { return false };
        let creation = Creation {
            config: self.config.clone(),
            identity,
            image: self.image.clone(),
            facts: self.facts.clone().unwrap_or_default(),
            ports: self.ports.clone(),
        };
        let SwapStage::Creating(creating) = &mut self.stage else { return false };
        if let Some(id) = creating.create.get() {
            self.created = Some(id.clone());
            self.created(outbox, now);
            return true;
        }
        if is_late {
            let last = creating.error().unwrap_or("no answer came").to_owned();
            self.fail(format!("the container is not created in time: {last}"), outbox, now);
            return true;
        }
        creating.advance(&creation, outbox, now);
        false
    }
}
